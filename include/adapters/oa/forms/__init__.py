"""OA systems whose documents are free forms: instances, mapping files, and the canonical documents that they become."""
