"""Conformance: one suite for every source and one for every ledger, on an emulator or on a customer's test tenant.

`source_suite` and `ledger_suite` hold the cases, `systems` what they run on, `runner` runs them and `report` shows what
came of it. The cases are pytest's, since nothing of ours would run them, name their failures and clear up better.
"""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("include.conformance.source_suite", "include.conformance.ledger_suite")
