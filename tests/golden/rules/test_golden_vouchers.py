"""The shipped rules make the vouchers that are written down (see golden.py)."""

from __future__ import annotations

import pytest

from tests.golden.rules.golden import Golden, golden_cases, made_of
from tests.unit.rules.cases import example

CASES = golden_cases()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.path.stem)
def test_voucher_reads_as_written_down(case: Golden) -> None:
    book, rules = example(case.book)
    assert made_of(rules, book, [case]) == {case.path: case.expected}


def test_there_are_cases() -> None:
    assert len(CASES) >= 15
