"""Adapters: one folder per vendor, `client`, `auth`, `mapping`, and one line in `registry`."""
