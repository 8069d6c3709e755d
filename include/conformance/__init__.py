"""Conformance: one suite for every source and one for every ledger, on an emulator or on a customer's test tenant.

`source_suite` and `ledger_suite` hold the cases, the folders `source` and `ledger` what they run on, `runner` runs them
and `report` shows what came of it. The cases are pytest's, since nothing of ours would run them, name their failures and
clear up better.
"""

from __future__ import annotations

import pytest

# Failures of these say what the values were.
pytest.register_assert_rewrite(
    *(f"{__name__}.{module}" for module in ("source_suite", "ledger_suite", "ledger_trouble", "ledger_words"))
)
