"""Small documents for tests of rules, and vouchers as text that reads like a ledger."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl

from include.domain.money import format_minor, parse_minor, to_decimal
from include.rules import Generated, RuleSet, Sources, generate, load_rules
from include.rules.frames import DOCUMENTS, INVOICES, LINES, WRITE_OFFS
from include.settings import Book, Label, Ledger, load_settings

Row = dict[str, Any]
DAY = date(2026, 3, 5)
EXAMPLES = Path("include/config/examples/event_log")


def book(currency: str = "CNY") -> Book:
    return Book(
        id="test",
        name=Label(zh="测试", en="Test"),
        currency=currency,
        source="hesi",
        legal_entities=["E01"],
        receives_unassigned=True,
        ledger=Ledger(system="tryton", connection="none"),
    )


def example(book_id: str) -> tuple[Book, RuleSet]:
    """An example book and its rules, as they ship."""
    settings = load_settings(EXAMPLES if book_id == "eur" else None)
    chosen = settings.book(book_id)
    return chosen, load_rules(settings.rules_dir(chosen), settings.tables_dir(chosen))


def reference(name: str, text: str | None) -> Row:
    """`"D51 华东销售部"` as id, code and name; None for one that is missing; `"#X1"` for an id without a code."""
    if text is None:
        return {f"{name}_id": None, f"{name}_code": "", f"{name}_name": ""}
    code, _, words = text.partition(" ")
    return {f"{name}_id": f"id-{code}", f"{name}_code": "" if code[0] == "#" else code, f"{name}_name": words}


def document(pk: int = 1, **fields: Any) -> Row:
    """A paid-out expense claim of 100.00, unless `fields` say otherwise; what follows from them is filled in."""
    row: Row = {
        "id": pk,
        "code": f"B{pk:04d}",
        "kind": "expense_claim",
        "form_type": "expense",
        "template_id": "SPEC_EXPENSE:1",
        "title": "出差报销",
        "status": "approved",
        "business_date": DAY,
        "functional_currency": "CNY",
        "gross_minor": 10_000,
        "written_off_minor": 0,
        "company_paid_minor": 0,
        "payment_channel": "OFFLINE",
        "attachments": 1,
        "legal_entity": "E01 示例科技",
        "department": "FIN 财务部",
        "submitter": "W0001 员工甲",
        "supplier": None,
        "project": None,
        "properties": {},
        **fields,
    }
    row.setdefault("currency", row["functional_currency"])
    row.setdefault("transaction_gross_minor", row["gross_minor"])
    if "payable_minor" not in row:
        parts = [row["gross_minor"], row["written_off_minor"], row["company_paid_minor"]]
        row["payable_minor"] = None if None in parts else parts[0] - parts[1] - parts[2]
    for name in ("legal_entity", "department", "submitter", "supplier", "project"):
        row |= reference(name, row.pop(name))
    row["properties"] = json.dumps(row["properties"], ensure_ascii=False)
    return row


def line(pk: int = 1, no: int = 1, amount: int | None = 10_000, **fields: Any) -> Row:
    """A line without tax in functional currency, unless `fields` say otherwise."""
    row: Row = {
        "document_pk": pk,
        "line_no": no,
        "portion_no": 1,
        "fee_type": "COST13 酒店住宿",
        "department": None,
        "project": None,
        "legal_entity": None,
        "currency": "CNY",
        "amount_minor": amount,
        "functional_minor": amount,
        "tax_minor": 0,
        "occurred_on": DAY,
        "description": "",
        **fields,
    }
    for name in ("fee_type", "department", "project", "legal_entity"):
        row |= reference(name, row.pop(name))
    return row


def write_off(pk: int = 1, seq: int = 1, amount: int | None = 10_000) -> Row:
    return {"document_pk": pk, "seq": seq, "loan_document_id": "LOAN1", "amount_minor": amount}


def run(
    rules: RuleSet,
    of: Book,
    documents: Sequence[Row],
    lines: Sequence[Row] = (),
    write_offs: Sequence[Row] = (),
    invoices: Sequence[Row] | None = None,
) -> Generated:
    return generate(rules, of, sources(documents, lines, write_offs, invoices))


def sources(
    documents: Sequence[Row],
    lines: Sequence[Row] = (),
    write_offs: Sequence[Row] = (),
    invoices: Sequence[Row] | None = None,
) -> Sources:
    """Frames of rows; without `invoices`, those that the lines' tax speaks of."""
    return Sources(
        pl.DataFrame(documents, schema=DOCUMENTS),
        pl.DataFrame(lines, schema=LINES),
        pl.DataFrame(write_offs, schema=WRITE_OFFS),
        pl.DataFrame(stated_invoices(lines) if invoices is None else invoices, schema=INVOICES),
    )


def stated_invoices(lines: Sequence[Row]) -> list[Row]:
    """An invoice of unknown kind on each line that has tax: a table of input VAT can only take what the OA states."""
    by_line: dict[tuple[int, int], list[int | None]] = {}
    for row in lines:
        by_line.setdefault((row["document_pk"], row["line_no"]), []).append(row["tax_minor"])
    return [
        invoice(pk, no, tax=None if None in taxes else sum(tax or 0 for tax in taxes))
        for (pk, no), taxes in by_line.items()
        if any(tax != 0 for tax in taxes)
    ]


def invoice(pk: int = 1, no: int = 1, seq: int | None = None, **fields: Any) -> Row:
    """An invoice on a line, of which nothing is known but what `fields` say (column names without `_minor`)."""
    row: Row = {
        "document_pk": pk,
        "seq": seq or no,
        "line_no": no,
        "invoice_id": f"I{seq or no}",
        "kind": "",
        **{f"{name}_minor": None for name in ("claimed", "tax", "total", "exempt")},
        "occurred_on": None,
        "is_named": None,
    }
    return row | {f"{n}_minor" if f"{n}_minor" in row else n: value for n, value in fields.items()}


def ledger(made: Generated) -> str:
    """All vouchers as text, one line per journal line: side, account, amount, foreign amount, dimensions, summary."""
    parts = []
    for head in made.vouchers.iter_rows(named=True):
        currency = head["currency"]
        parts.append(
            f"{head['date']} {head['word']} {head['event']} {format_minor(head['debit_minor'], currency)} "
            f"附{head['attachments']}张"
        )
        own = made.lines.filter(document_pk=head["document_pk"], event=head["event"])
        parts += [_journal_line(row, currency) for row in own.iter_rows(named=True)]
    return "\n".join(parts)


def _journal_line(row: Mapping[str, Any], currency: str) -> str:
    foreign = (
        f" ({format_minor(row['transaction_minor'], row['transaction_currency'])})"
        if row["transaction_currency"]
        else ""
    )
    dimensions = " ".join(f"{kind}={code}" for kind, code, _ in json.loads(row["dimensions"]))
    side = {"debit": "借", "credit": "贷"}[row["side"]]
    text = f"  {side} {row['account']:<10} {to_decimal(row['amount_minor'], currency):>12,f}{foreign}"
    return f"{text} | {dimensions} | {row['summary']}"


def minor(text: object, currency: str) -> int:
    """Minor units of an amount in a golden case."""
    return parse_minor(text, currency)


def problems(made: Generated) -> list[tuple[int, str]]:
    """(document, code) of all problems."""
    return sorted(zip(made.problems["document_pk"], made.problems["code"], strict=True))


def major(amount: int, currency: str = "CNY") -> Decimal:
    return to_decimal(amount, currency)


def write_rules(folder: Path, files: Mapping[str, str]) -> tuple[Path, Path]:
    """Write `*.yaml` to rules/test and `*.csv` to tables/test below `folder`; returns both folders."""
    rules, tables = folder / "rules" / "test", folder / "tables" / "test"
    for place in (rules, tables):
        place.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (rules if name.endswith(".yaml") else tables).joinpath(name).write_text(text, "utf-8")
    return rules, tables
