"""OA and expense systems."""
