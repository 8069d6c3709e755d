"""The ledgers that the ledger suite runs on, a module for each vendor: its emulator or the real thing, and hands in it.

A module gives `VARIANTS`: name → a function of an empty folder whose context manager gives a `LedgerUnderTest`. A vendor
with one way of being connected has one variant, named "".
"""
