"""Frozen value types: the words of the trade. This package imports nothing else of the project."""
