"""The ledger of the default installation: Tryton, a real accounting system, on one SQLite file.

Tryton is a program of its own (GPL-3.0-or-later); Voucherflow sets it up here and otherwise talks to it over HTTP only
(`include.adapters.ledger.tryton`). Nothing of Tryton is imported before one of the functions below is called.
"""

from __future__ import annotations

from include.embedded.tryton.errors import LedgerSetupError
from include.embedded.tryton.initialise import GATEWAY_LOGIN, LedgerReport, init_ledger
from include.embedded.tryton.server import serve_ledger

__all__ = ["GATEWAY_LOGIN", "LedgerReport", "LedgerSetupError", "init_ledger", "serve_ledger"]
