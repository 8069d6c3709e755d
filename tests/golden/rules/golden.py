"""Golden cases: a document as an accountant would tell it, and the voucher that the example rules make of it.

Every `*.yaml` beside this file is a case: `book`, `document`, `lines`, `write_offs`, `invoices`, and `expected`, the
voucher, or what is said instead of one. Amounts are decimals in the currency of what they belong to. Without
`invoices` a line's `tax` is what the OA says is deductible.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from include.rules import Generated, RuleSet
from include.settings import Book
from tests.unit.rules.cases import (
    Row,
    document,
    example,
    invoice,
    ledger,
    line,
    minor,
    run,
    stated_invoices,
    write_off,
)

FOLDER = Path(__file__).parent
_FOREIGN = ("transaction_gross", "amount")
_FUNCTIONAL = (
    "gross",
    "written_off",
    "company_paid",
    "payable",
    "functional",
    "tax",
    "claimed",
    "total",
    "exempt",
)

_REFERENCES = ("legal_entity", "department", "submitter", "supplier", "project", "fee_type")


@dataclass(frozen=True, slots=True)
class Golden:
    """One case; its rows are of document `pk`."""

    path: Path
    book: str
    document: Row
    lines: Sequence[Row]
    write_offs: Sequence[Row]
    invoices: Sequence[Row]
    expected: str


def golden_cases() -> list[Golden]:
    """All cases, numbered from 1."""
    books = {name: example(name)[0] for name in ("acme", "eur")}
    return [_read(path, pk, books) for pk, path in enumerate(sorted(FOLDER.glob("*.yaml")), start=1)]


def made_of(rules: RuleSet, book: Book, cases: Sequence[Golden]) -> Mapping[Path, str]:
    """What rules make of cases of one book, all at once: the text that `expected` is compared with."""
    made = run(
        rules,
        book,
        [case.document for case in cases],
        [row for case in cases for row in case.lines],
        [row for case in cases for row in case.write_offs],
        [row for case in cases for row in case.invoices],
    )
    return {case.path: _told(made, case.document["id"]) for case in cases}


def _told(made: Generated, pk: int) -> str:
    own = Generated(
        *(
            frame.filter(document_pk=pk)
            for frame in (made.vouchers, made.lines, made.no_voucher, made.problems)
        )
    )
    said = [
        *own.no_voucher["reason"],
        *(f"{row['zh']}\n{row['en']}" for row in own.problems.iter_rows(named=True)),
    ]
    return "\n".join([ledger(own), *said]).strip()


def _read(path: Path, pk: int, books: Mapping[str, Book]) -> Golden:
    case = yaml.load(path.read_text("utf-8"), Loader=yaml.BaseLoader)  # noqa: S506  (it makes text of everything)
    currency = books[case["book"]].currency
    fields = _row({"code": "B0001", "functional_currency": currency, **case["document"]}, currency)
    lines = [_line(item, pk, no, currency) for no, item in enumerate(case.get("lines", []), start=1)]
    amounts = [minor(amount, currency) for amount in case.get("write_offs", [])]
    stated = "invoices" not in case
    return Golden(
        path=path,
        book=case["book"],
        document=document(pk, **fields),
        lines=lines,
        write_offs=[write_off(pk, seq, amount) for seq, amount in enumerate(amounts, start=1)],
        invoices=stated_invoices(lines)
        if stated
        else [_invoice(item, pk, seq, currency) for seq, item in enumerate(case["invoices"], start=1)],
        expected=case["expected"].strip(),
    )


def _row(fields: Mapping[str, Any], functional: str) -> Row:
    """`gross: 12.30` becomes `gross_minor: 1230`; what is in the foreign currency is read in that."""
    foreign = fields.get("currency", functional)
    row: Row = {}
    for name, value in fields.items():
        if name in _FOREIGN or name in _FUNCTIONAL:
            row[f"{name}_minor"] = minor(value, foreign if name in _FOREIGN else functional)
        else:
            row[name] = yaml.safe_load(value) if name in ("business_date", "occurred_on") else value
    # An empty reference is one that nobody gave.
    row |= {name: None for name in _REFERENCES if row.get(name) == ""}
    return row


def _line(fields: Mapping[str, Any], pk: int, number: int, functional: str) -> Row:
    row = _row({"currency": functional, **fields}, functional)
    row.setdefault("functional_minor", row["amount_minor"])
    return line(pk, int(row.pop("no", number)), **row)


def _invoice(fields: Mapping[str, Any], pk: int, seq: int, functional: str) -> Row:
    row = _row(
        {name: value for name, value in fields.items() if name not in ("line", "is_named")}, functional
    )
    named = {"is_named": fields["is_named"] == "yes"} if "is_named" in fields else {}
    row = {name.removesuffix("_minor"): value for name, value in row.items()}
    return invoice(pk, int(fields.get("line", 1)), seq, **row, **named)
