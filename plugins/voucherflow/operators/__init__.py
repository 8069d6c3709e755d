"""Operators: one per stage, each a single call into the product."""
