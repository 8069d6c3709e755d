"""The suite's system, under the name that its users know."""

from include.conformance.ledger.kingdee import *  # noqa: F403
