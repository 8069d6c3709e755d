"""The one error of setting up and serving the embedded ledger."""

from __future__ import annotations


class LedgerSetupError(Exception):
    """The ledger cannot be set up or served; the message says why and what to do. It never holds a password."""
