"""Frames into the store and out of it: every value comes back as it went, on both databases."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from sqlalchemy import Engine, select
from sqlalchemy.exc import IntegrityError

from include.domain.errors import RetryLater
from include.store import bulk
from include.store import tables as t
from include.store.engine import open_engine, reading, writing
from tests.builders import StoreBuilder

TEXTS = [
    "",
    " ",
    "NULL",
    "null",
    "\\N",
    "\\.",
    "a,b",
    'say "x"',
    "it's",
    "line\nbreak",
    "\r\n",
    "tab\t",
    "back\\slash",
    "\x01\x1f",
    "单据😀",
]
BIG = 2**63 - 1


def invoices(document: int) -> pl.DataFrame:
    """Rows with every type, with and without values."""
    count = len(TEXTS)
    return pl.DataFrame(
        {
            "document_pk": [document] * count,
            "seq": range(1, count + 1),
            "line_no": [1] * count,
            "invoice_id": TEXTS,
            "kind": TEXTS[::-1],
            "claimed_minor": [BIG, -BIG - 1, 0, None] + [2**53 + 1] * (count - 4),
            "occurred_on": [date(1, 1, 1), date(9999, 12, 31), None] + [date(2026, 3, 10)] * (count - 3),
            "is_named": [True, False, None] * (count // 3),
        }
    )


def test_what_goes_in_comes_out(engine: Engine) -> None:
    with writing(engine) as connection:
        frame = invoices(StoreBuilder(connection).document())
        bulk.insert(connection, t.source_invoice, frame)
        columns = [t.source_invoice.c[name] for name in frame.columns]
        found = bulk.read(connection, select(*columns)).sort("seq")
        assert_frame_equal(found, frame)
        by_sqlalchemy = connection.execute(select(*columns).order_by(t.source_invoice.c.seq)).all()
        assert [tuple(row) for row in by_sqlalchemy] == frame.rows()


def test_times_come_out_in_utc(engine: Engine) -> None:
    moment = datetime(2026, 3, 9, 23, 59, 59, 123456, tzinfo=UTC)
    with writing(engine) as connection:
        builder = StoreBuilder(connection)
        builder.document(paid_at=moment)
        builder.document(paid_at=None)
        d = t.source_document
        found = bulk.read(connection, select(d.c.id, d.c.paid_at)).sort("id")
    assert found["paid_at"].to_list() == [moment, None]
    assert found.schema["paid_at"] == pl.Datetime("us", "UTC")


def test_no_rows_have_the_types_of_the_columns(engine: Engine) -> None:
    i = t.source_invoice
    with reading(engine) as connection:
        found = bulk.read(connection, select(i.c.seq, i.c.kind, i.c.occurred_on, i.c.is_named))
    assert found.is_empty()
    assert [*found.schema.values()] == [pl.Int64, pl.String, pl.Date, pl.Boolean]


def test_nothing_to_insert_or_to_update_is_no_mistake(engine: Engine) -> None:
    with writing(engine) as connection:
        bulk.insert(connection, t.source_invoice, invoices(1).clear())
        bulk.update(connection, t.voucher, pl.DataFrame(schema={"id": pl.Int64, "word": pl.String}))


def test_an_update_changes_the_named_rows_and_columns_alone(engine: Engine) -> None:
    v = t.voucher
    with writing(engine) as connection:
        builder = StoreBuilder(connection)
        first, second, third = (builder.voucher(builder.document(), message="100%") for _ in range(3))
        changes = {"id": [third, first], "date": [date(2026, 4, 1)] * 2, "message": ["b", "%s ?"]}
        bulk.update(connection, v, pl.DataFrame(changes))
        found = connection.execute(select(v.c.id, v.c.date, v.c.message).order_by(v.c.id)).all()
    assert [tuple(row) for row in found] == [
        (first, date(2026, 4, 1), "%s ?"),
        (second, date(2026, 3, 10), "100%"),
        (third, date(2026, 4, 1), "b"),
    ]


def test_thousands_of_numbers_fit_in_one_condition(engine: Engine) -> None:
    with writing(engine) as connection:
        wanted = [StoreBuilder(connection).document()]
        chosen = bulk.among(connection, t.source_document.c.id, [*wanted, *range(10**6, 10**6 + 100_000)])
        assert connection.scalars(select(t.source_document.c.id).where(chosen)).all() == wanted
        none = bulk.among(connection, t.source_document.c.id, [])
        assert connection.scalars(select(t.source_document.c.id).where(none)).all() == []


def test_new_ids_are_not_given_twice(engine: Engine) -> None:
    with writing(engine) as connection:
        builder = StoreBuilder(connection)
        document = builder.document()
        before = builder.voucher(document)
        given = bulk.new_ids(connection, t.voucher, 3).to_list()
        assert given == sorted(set(given))
        assert before not in given
        for number in given:
            builder.voucher(document, id=number)
        assert builder.voucher(document) not in given


def test_a_broken_rule_of_the_table_is_told_as_by_sqlalchemy(engine: Engine) -> None:
    with pytest.raises(IntegrityError), writing(engine) as connection:
        bulk.insert(connection, t.source_invoice, invoices(StoreBuilder(connection).document() + 1))


def test_a_full_disk_is_worth_another_try(make_store_url: Callable[[str], str]) -> None:
    store = open_engine(make_store_url("sqlite"))
    with pytest.raises(RetryLater, match="full"):
        _fill_up(store)
    store.dispose()


def _fill_up(store: Engine) -> None:
    with writing(store) as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 10")
        frame = pl.concat([invoices(StoreBuilder(connection).document())] * 2_000)
        bulk.insert(connection, t.source_invoice, frame.with_columns(seq=pl.int_range(pl.len())))
