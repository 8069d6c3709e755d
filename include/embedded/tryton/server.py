"""Serve the embedded ledger over HTTP."""

from __future__ import annotations


def serve_ledger() -> None: ...
