"""Documents as a year of the example company has them, straight into a store by set-based inserts.

The same seed gives the same rows. Claims have one to nine lines; some are foreign, some taxed, some on projects, some
paid by loans or by the company; there are loans, payments, purchases and receipts beside them, and of a thousand
documents a few lack what the rules need.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import polars as pl
from sqlalchemy import ColumnElement, Connection, Engine, Table, insert, select

from include.domain.document import Disposition
from include.store import bulk
from include.store import tables as t
from include.store.engine import writing

BOOK, SOURCE = "acme", "hesi"
START = date(2026, 1, 1)
PAGE = 10_000
TIME = datetime(2026, 1, 1, 8, tzinfo=UTC)

FEE_TYPES = [
    *(
        ("COST10", "火车票"),
        ("COST11", "飞机票"),
        ("COST13", "酒店住宿"),
        ("COST20", "出租车"),
        ("COST21", "网约车"),
    ),
    *(
        ("COST30", "业务招待"),
        ("COST40", "办公用品"),
        ("COST41", "快递"),
        ("COST42", "通讯费"),
        ("COST50", "培训费"),
    ),
    *(("COST51", "会议费"), ("COST52", "软件服务"), ("COST60", "员工福利"), ("COST61", "车辆燃油")),
]
DEPARTMENTS = [
    *(
        ("GM", "总经办"),
        ("ADM", "行政部"),
        ("HR", "人力资源部"),
        ("FIN", "财务部"),
        ("SALES-E", "华东销售部"),
    ),
    *(
        ("SALES-N", "华北销售部"),
        ("MKT", "市场部"),
        ("RD-1", "研发一部"),
        ("RD-2", "研发二部"),
        ("PROD", "生产部"),
    ),
]
PROJECTS = [(f"P{n:03d}", f"项目{n}") for n in range(1, 31)]
STAFF = [(f"W{n:04d}", f"员工{n}") for n in range(1, 801)]
SUPPLIERS = [(f"V{n:04d}", f"供应商{n}有限公司") for n in range(1, 301)]
RATES = {"USD": Decimal("7.1234"), "EUR": Decimal("7.8021"), "JPY": Decimal("0.047513")}
INVOICES = ("FULL_DIGITAl_SPECIAL", "train", "FULL_DIGITAl_NORMAL")
OTHER_KINDS = (
    *("loan", "payment_request", "prepayment", "receipt", "receipt"),
    *("purchase_order", "goods_receipt", "purchase_invoice", "purchase_invoice", "requisition"),
)

DOCUMENT: dict[str, Any] = {
    "id": pl.Int64, "source": pl.String, "document_id": pl.String, "revision": pl.Int64, "is_current": pl.Boolean,
    "book": pl.String, "content_digest": pl.String, "snapshot_id": pl.Int64, "code": pl.String, "kind": pl.String,
    "form_type": pl.String, "template_id": pl.String, "title": pl.String, "status": pl.String,
    "disposition": pl.String, "business_date": pl.Date, "functional_currency": pl.String, "currency": pl.String,
    "gross_minor": pl.Int64, "transaction_gross_minor": pl.Int64, "written_off_minor": pl.Int64,
    "company_paid_minor": pl.Int64, "payable_minor": pl.Int64, "legal_entity_id": pl.String,
    "legal_entity_code": pl.String, "legal_entity_name": pl.String, "department_id": pl.String,
    "department_code": pl.String, "department_name": pl.String, "submitter_id": pl.String,
    "submitter_code": pl.String, "submitter_name": pl.String, "supplier_id": pl.String, "supplier_code": pl.String,
    "supplier_name": pl.String, "project_id": pl.String, "project_code": pl.String, "project_name": pl.String,
    "approved_at": pl.Datetime("us", "UTC"), "payment_channel": pl.String, "attachments": pl.Int64,
    "line_count": pl.Int64, "voucher_no": pl.String, "links": pl.String, "properties": pl.String,
}  # fmt: skip
LINE: dict[str, Any] = {
    "document_pk": pl.Int64, "line_no": pl.Int64, "portion_no": pl.Int64, "line_id": pl.String,
    "fee_type_id": pl.String, "fee_type_code": pl.String, "fee_type_name": pl.String, "department_id": pl.String,
    "department_code": pl.String, "department_name": pl.String, "project_id": pl.String, "project_code": pl.String,
    "project_name": pl.String, "currency": pl.String, "amount_minor": pl.Int64, "functional_minor": pl.Int64,
    "rate": pl.String, "tax_minor": pl.Int64, "occurred_on": pl.Date, "description": pl.String,
}  # fmt: skip
INVOICE: dict[str, Any] = {
    "document_pk": pl.Int64, "seq": pl.Int64, "line_no": pl.Int64, "invoice_id": pl.String, "kind": pl.String,
    "claimed_minor": pl.Int64, "tax_minor": pl.Int64, "total_minor": pl.Int64, "exempt_minor": pl.Int64,
    "occurred_on": pl.Date, "is_named": pl.Boolean,
}  # fmt: skip
WRITE_OFF: dict[str, Any] = {
    "document_pk": pl.Int64, "seq": pl.Int64, "loan_document_id": pl.String, "amount_minor": pl.Int64,
}  # fmt: skip

Row = tuple[Any, ...]


@dataclass(slots=True)
class _Page:
    """Rows of a page of documents, as tuples in the order of the schemas above."""

    documents: list[Row] = field(default_factory=list)
    lines: list[Row] = field(default_factory=list)
    invoices: list[Row] = field(default_factory=list)
    write_offs: list[Row] = field(default_factory=list)


def populate(engine: Engine, documents: int, seed: int = 1) -> None:
    """Fill an empty store with accepted documents of book acme."""
    with writing(engine) as connection:
        connection.execute(
            t.source_snapshot.insert(),
            {
                "id": 1,
                "source": SOURCE,
                "document_id": "all",
                "digest": "",
                "payload": b"",
                "fetched_at": TIME,
            },
        )
    for page in _pages(documents, Random(seed)):  # noqa: S311 - made-up documents, the same each time
        with writing(engine) as connection:
            for table, rows, schema in (
                (t.source_document, page.documents, DOCUMENT),
                (t.source_line, page.lines, LINE),
                (t.source_invoice, page.invoices, INVOICE),
                (t.source_write_off, page.write_offs, WRITE_OFF),
            ):
                bulk.insert(connection, table, pl.DataFrame(rows, schema=schema, orient="row"))
    _settle(engine)


def multiply(engine: Engine, documents: int, times: int) -> None:
    """Make a store of that many documents one of `times` as many, by copies under new ids."""
    d = t.source_document
    for number in range(1, times):
        shift = number * documents
        with writing(engine) as connection:
            of_first = d.c.id <= documents
            suffix = f"-{number}"
            renamed = {"id": d.c.id + shift} | {n: d.c[n] + suffix for n in ("document_id", "code")}
            _copy(connection, d, renamed, of_first)
            for table in (t.source_line, t.source_invoice, t.source_write_off):
                _copy(
                    connection,
                    table,
                    {"document_pk": table.c.document_pk + shift},
                    table.c.document_pk <= documents,
                )
    _settle(engine)


def _copy(
    connection: Connection,
    table: Table,
    changed: Mapping[str, ColumnElement[Any]],
    which: ColumnElement[bool],
) -> None:
    columns = [changed.get(column.name, column) for column in table.columns]
    names = [column.name for column in table.columns]
    connection.execute(insert(table).from_select(names, select(*columns).where(which)))


def _settle(engine: Engine) -> None:
    """What a database does to itself some time after so many rows."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql("VACUUM ANALYZE")
            connection.exec_driver_sql("CHECKPOINT")
        else:
            connection.connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _pages(count: int, random: Random) -> Iterator[_Page]:
    page = _Page()
    for pk in range(1, count + 1):
        _add_document(page, pk, random)
        if pk % PAGE == 0 or pk == count:
            yield page
            page = _Page()


def _add_document(page: _Page, pk: int, random: Random) -> None:
    kind = "expense_claim" if random.random() < 0.9 else random.choice(OTHER_KINDS)
    is_claim = kind == "expense_claim"
    day = START + timedelta(days=random.randrange(365))
    currency = random.choice(tuple(RATES)) if is_claim and random.random() < 0.03 else "CNY"
    lines = list(
        _lines(page, pk, random, day, currency, random.randint(1, 9) if is_claim else random.randint(1, 2))
    )
    page.lines += lines
    gross, total = sum(line[15] for line in lines), sum(line[14] for line in lines)
    written_off = gross // 3 if is_claim and random.random() < 0.08 else 0
    company_paid = gross - written_off if is_claim and random.random() < 0.06 else 0
    if written_off:
        page.write_offs.append((pk, 1, f"LOAN{pk}", written_off))
    has_supplier = kind in {"payment_request", "prepayment", "goods_receipt", "purchase_invoice"} or (
        company_paid and random.random() < 0.5
    )
    is_broken = random.random() < 0.002
    submitter, department = random.choice(STAFF), random.choice(DEPARTMENTS)
    properties = {"net_amount": _major(gross), "material": random.choice(("RAW", "GOODS", "ASSET"))}
    page.documents.append(
        (
            *(pk, SOURCE, f"ID01{pk:012d}", 1, True, BOOK, f"{pk:064d}", 1, f"B{pk:08d}", kind),
            *(
                "expense",
                "SPEC_EXPENSE:1",
                f"{day.month}月差旅与办公费用",
                "paid",
                Disposition.ACCEPTED.value,
                day,
            ),
            *("CNY", currency, gross, total, written_off, company_paid, gross - written_off - company_paid),
            *_reference(("E01", "示例科技（上海）有限公司")),
            *_reference(None if is_broken else department),
            *_reference(submitter),
            *_reference(random.choice(SUPPLIERS) if has_supplier else None),
            *_reference(random.choice(PROJECTS) if random.random() < 0.3 else None),
            *(TIME + (day - START), "OFFLINE" if random.random() < 0.5 else "", random.randrange(6)),
            *(len(lines), "", "[]", json.dumps(properties if kind == "purchase_invoice" else {})),
        )
    )


def _lines(page: _Page, pk: int, random: Random, day: date, currency: str, count: int) -> Iterator[Row]:
    for number in range(1, count + 1):
        amount = random.randrange(1_000, 300_000)
        rate = RATES.get(currency)
        functional = amount if rate is None else _converted(amount, rate, currency)
        is_taxed = rate is None and random.random() < 0.4
        tax = functional * 6 // 106 if is_taxed else 0
        spent = day - timedelta(days=random.randrange(30))
        if is_taxed:
            page.invoices.append(
                (
                    pk,
                    number,
                    number,
                    f"INV{pk}-{number}",
                    random.choice(INVOICES),
                    amount,
                    tax,
                    amount,
                    0,
                    spent,
                    True,
                )
            )
        yield (
            *(pk, number, 1, f"L{number}"),
            *_reference(random.choice(FEE_TYPES)),
            *_reference(random.choice(DEPARTMENTS) if random.random() < 0.1 else None),
            *_reference(random.choice(PROJECTS) if random.random() < 0.15 else None),
            *(
                currency,
                amount,
                functional,
                None if rate is None else str(rate),
                tax,
                spent,
                "出差期间的费用",
            ),
        )


def _converted(amount: int, rate: Decimal, currency: str) -> int:
    """Foreign minor units in fen; the yen has no minor unit."""
    return int((amount * rate * (100 if currency == "JPY" else 1)).to_integral_value())


def _major(minor: int) -> str:
    return f"{minor // 100}.{minor % 100:02d}"


def _reference(named: tuple[str, str] | None) -> tuple[str | None, str, str]:
    return (None, "", "") if named is None else (f"ID_{named[0]}", *named)
