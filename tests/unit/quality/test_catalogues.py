"""Every check has a document that fails it and one that passes it, on both backends."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from include.quality.check import Check
from include.quality.derived import DERIVED_CODES
from include.quality.document_checks import document_checks
from include.quality.line_checks import INVOICE_CHECKS, LINE_CHECKS, WRITE_OFF_CHECKS
from include.quality.voucher_checks import JOURNAL_CHECKS, voucher_checks
from tests.unit.quality.cases import DOCUMENT_CASES, NUL_CASES, VOUCHER_CASES, Case
from tests.unit.quality.conftest import Judged

ON_DOCUMENTS = (*document_checks("CNY"), *LINE_CHECKS, *INVOICE_CHECKS, *WRITE_OFF_CHECKS)
ON_VOUCHERS = (*voucher_checks("CNY"), *JOURNAL_CHECKS)


def _named(case: Case) -> str:
    return case.name


@pytest.mark.parametrize("case", [*DOCUMENT_CASES, *NUL_CASES], ids=_named)
def test_a_document_fails_for_its_own_reasons_alone(documents: Judged, case: Case):
    if case.name not in documents.keys:
        pytest.skip("PostgreSQL stores no NUL character")
    assert documents.codes(case) == case.codes


@pytest.mark.parametrize("case", VOUCHER_CASES, ids=_named)
def test_a_voucher_fails_for_its_own_reasons_alone(vouchers: Judged, case: Case):
    assert vouchers.codes(case) == case.codes


@pytest.mark.parametrize(
    ("checks", "cases"),
    [(ON_DOCUMENTS, (*DOCUMENT_CASES, *NUL_CASES)), (ON_VOUCHERS, VOUCHER_CASES)],
    ids=["documents", "vouchers"],
)
def test_no_check_is_without_a_case(checks: tuple[Check, ...], cases: tuple[Case, ...]):
    assert {check.code for check in checks} == {code for case in cases for code in case.codes}


def test_codes_are_used_once():
    codes = [check.code for check in (*ON_DOCUMENTS, *ON_VOUCHERS)]
    assert len(codes) == len(set(codes))


def test_the_manual_lists_every_code_and_no_other():
    manual = (Path(__file__).parents[3] / "docs" / "quality.md").read_text("utf-8")
    rows = [line.split("|")[1] for line in manual.splitlines() if line.startswith("| `")]
    listed = [code for row in rows for code in re.findall(r"`([^`]+)`", row)]
    fixed = [check.code for check in (*ON_DOCUMENTS, *ON_VOUCHERS)]
    assert sorted(listed) == sorted([*fixed, *DERIVED_CODES])


def test_statistics_name_every_check_and_count_its_failures(documents: Judged):
    counted = {s.code: s for s in documents.report.statistics}
    assert set(counted) == {check.code for check in ON_DOCUMENTS}
    assert counted["kind.unknown"].checked == documents.report.checked
    assert counted["business_date.implausible"].failed == 2
