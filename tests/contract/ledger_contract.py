"""The suite of ledgers, under the name that its users know."""

from include.conformance.ledger_suite import *  # noqa: F403
from include.conformance.ledger_suite import LedgerSuite

LedgerContract = LedgerSuite
