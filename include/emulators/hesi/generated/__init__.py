"""A made-up company's year of documents, from a seed."""
