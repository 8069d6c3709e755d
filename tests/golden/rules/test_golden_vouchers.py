"""Golden cases: a document as an accountant would tell it, and the voucher that the example rules make of it.

Every `*.yaml` beside this file is a case: `book`, `document`, `lines`, `write_offs`, and `expected`, the voucher, or
what is said instead of one. Amounts are decimals in the currency of what they belong to.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.rules.cases import Row, document, example, ledger, line, minor, run, write_off

CASES = sorted(Path(__file__).parent.glob("*.yaml"))


def _amounts(fields: dict[str, Any], functional: str, foreign: str) -> Row:
    """`gross: 12.30` becomes `gross_minor: 1230`; `transaction_gross` and `amount` are in the foreign currency."""
    names = (
        "gross",
        "transaction_gross",
        "written_off",
        "company_paid",
        "payable",
        "amount",
        "functional",
        "tax",
    )
    row = {}
    for name, value in fields.items():
        if name in names:
            own = foreign if name in {"transaction_gross", "amount"} else functional
            row[f"{name}_minor"] = minor(value, own)
        else:
            row[name] = value
    return row


def _line(fields: dict[str, Any], number: int, functional: str) -> Row:
    currency = fields.get("currency", functional)
    row = _amounts({**fields, "currency": currency}, functional, currency)
    row.setdefault("functional_minor", row["amount_minor"])
    return line(no=row.pop("no", number), **row)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_voucher_reads_as_written_down(path: Path) -> None:
    case = yaml.load(path.read_text("utf-8"), Loader=yaml.BaseLoader)  # noqa: S506  (it makes text of everything)
    book, rules = example(case["book"])
    fields = {"functional_currency": book.currency, **case["document"]}
    if "business_date" in fields:
        fields["business_date"] = yaml.safe_load(fields["business_date"])
    made = run(
        rules,
        book,
        [document(**_amounts(fields, book.currency, fields.get("currency", book.currency)))],
        [_line(item, n, book.currency) for n, item in enumerate(case.get("lines", []), start=1)],
        [
            write_off(seq=n, amount=minor(a, book.currency))
            for n, a in enumerate(case.get("write_offs", []), 1)
        ],
    )
    said = [
        *made.no_voucher["reason"],
        *(f"{row['zh']}\n{row['en']}" for row in made.problems.iter_rows(named=True)),
    ]
    assert "\n".join([ledger(made), *said]).strip() == case["expected"].strip()


def test_there_are_cases() -> None:
    assert len(CASES) >= 15
