"""Saving what was generated: whole sets at once, with the same outcome as one voucher after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from include.domain.document import Disposition
from include.domain.problems import Problem, Stage
from include.domain.voucher import UNSENT_STATUSES, VoucherKey, VoucherStatus
from include.store import generated
from include.store import tables as t
from include.store.documents import Scope
from include.store.engine import reading, writing
from include.store.generated import GeneratedSet
from include.store.store import Store
from tests.builders import BOOK, SOURCE, StoreBuilder

AT = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
DAY = date(2026, 3, 10)
PROBLEM = Problem("rules.no_row", "expense_accounts.csv", "没有适合的行", "no row")


@dataclass(frozen=True)
class Wanted:
    """One voucher that the rules make: of which document and event, and its amount on two lines."""

    pk: int
    event: str = "expense_claim"
    amount: int = 10_000


def made(
    pks: Sequence[int],
    wanted: Sequence[Wanted],
    *,
    ids: dict[int, str] | None = None,
    silent: dict[int, str] | None = None,
    problems: dict[int, list[Problem]] | None = None,
) -> GeneratedSet:
    """What the rules came to; `ids` are the documents' ids where those matter."""
    rows = [
        {
            "document_pk": w.pk, "event": w.event, "word": "记", "date": DAY, "period": "2026-03", "currency": "CNY",
            "debit_minor": w.amount, "credit_minor": w.amount, "attachments": 1, "source": SOURCE,
            "document_id": (ids or {}).get(w.pk, f"doc-{w.pk:05d}"), "revision": 1,
        }
        for w in wanted
    ]  # fmt: skip
    lines = [
        {
            "document_pk": w.pk, "event": w.event, "line_no": number, "side": side, "account": account,
            "amount_minor": w.amount, "transaction_currency": "", "transaction_minor": 0, "dimensions": "[]",
            "summary": "报销", "template": "claims", "template_line": 3, "entry": account, "table_name": "",
            "table_row": 0, "source_line_no": 0,
        }
        for w in wanted
        for number, (side, account) in enumerate((("debit", "6602.10"), ("credit", "1002")), 1)
    ]  # fmt: skip
    return GeneratedSet(
        book=BOOK,
        pks=pks,
        vouchers=pl.DataFrame(
            rows, schema_overrides={"document_pk": pl.Int64}, schema=None if rows else VOUCHER
        ),
        lines=pl.DataFrame(lines, schema=None if lines else LINE),
        no_voucher=pl.DataFrame(
            list((silent or {}).items()), schema={"document_pk": pl.Int64, "reason": pl.String}, orient="row"
        ),
        problems=problems or {},
        rule_digest="r2",
        rule_version=7,
    )


VOUCHER = {
    "document_pk": pl.Int64, "event": pl.String, "word": pl.String, "date": pl.Date, "period": pl.String,
    "currency": pl.String, "debit_minor": pl.Int64, "credit_minor": pl.Int64, "attachments": pl.Int64,
    "source": pl.String, "document_id": pl.String, "revision": pl.Int64,
}  # fmt: skip
LINE = {
    "document_pk": pl.Int64, "event": pl.String, "line_no": pl.Int64, "side": pl.String, "account": pl.String,
    "amount_minor": pl.Int64, "transaction_currency": pl.String, "transaction_minor": pl.Int64,
    "dimensions": pl.String, "summary": pl.String, "template": pl.String, "template_line": pl.Int64,
    "entry": pl.String, "table_name": pl.String, "table_row": pl.Int64, "source_line_no": pl.Int64,
}  # fmt: skip


def accepted(store: Store, count: int, **fields: Any) -> list[int]:
    """As many accepted documents; their ids are `doc-00001` and so on."""
    with writing(store.engine) as connection:
        builder = StoreBuilder(connection)
        return [builder.document(disposition=Disposition.ACCEPTED, **fields) for _ in range(count)]


def vouchers(engine: Engine, *columns: str) -> list[tuple[Any, ...]]:
    """The vouchers' columns, by id."""
    with reading(engine) as connection:
        found = connection.execute(select(*(t.voucher.c[c] for c in columns)).order_by(t.voucher.c.id))
        return [tuple(row) for row in found]


def amounts(engine: Engine) -> dict[str, list[int]]:
    """The lines' amounts of each voucher by key."""
    v, j = t.voucher, t.journal_line
    result: dict[str, list[int]] = {key: [] for (key,) in vouchers(engine, "key")}
    with reading(engine) as connection:
        for key, amount in connection.execute(
            select(v.c.key, j.c.amount_minor).join(j, j.c.voucher_id == v.c.id).order_by(v.c.key, j.c.line_no)
        ):
            result[key].append(amount)
    return result


def mark(store: Store, status: VoucherStatus, **where: Any) -> None:
    with writing(store.engine) as connection:
        connection.execute(
            update(t.voucher).where(*(t.voucher.c[k] == v for k, v in where.items())).values(status=status)
        )


def dispositions(engine: Engine) -> list[tuple[str, str]]:
    d = t.source_document
    with reading(engine) as connection:
        found = connection.execute(select(d.c.disposition, d.c.disposition_reason).order_by(d.c.id))
        return [tuple(row) for row in found]  # type: ignore[misc]


def test_vouchers_come_with_their_lines_their_rules_and_their_key(store: Store) -> None:
    first, second = accepted(store, 2)
    store.vouchers.save_generated(made([first, second], [Wanted(first), Wanted(second, amount=-500)]))
    assert vouchers(store.engine, "key", "status", "date", "generated_at", "rule_digest", "rule_version") == [
        ("VF/acme/hesi/doc-00001/expense_claim/1", "generated", DAY, AT, "r2", 7),
        ("VF/acme/hesi/doc-00002/expense_claim/1", "generated", DAY, AT, "r2", 7),
    ]
    assert list(amounts(store.engine).values()) == [[10_000, 10_000], [-500, -500]]


def test_generating_again_keeps_the_rows_of_the_keys_and_replaces_what_is_in_them(store: Store) -> None:
    pks = accepted(store, 2)
    store.vouchers.save_generated(made(pks, [Wanted(pk) for pk in pks]))
    before = vouchers(store.engine, "id", "key")
    mark(store, VoucherStatus.REJECTED, document_pk=pks[0])
    store.vouchers.save_generated(made(pks, [Wanted(pk, amount=777) for pk in reversed(pks)]))
    assert vouchers(store.engine, "id", "key") == before
    assert vouchers(store.engine, "status", "debit_minor", "message") == [("generated", 777, "")] * 2
    assert list(amounts(store.engine).values()) == [[777, 777]] * 2


def test_what_is_no_longer_made_is_cancelled_and_comes_back_under_its_row(store: Store) -> None:
    (pk,) = accepted(store, 1)
    store.vouchers.save_generated(made([pk], [Wanted(pk), Wanted(pk, "tax")]))
    store.vouchers.save_generated(made([pk], [Wanted(pk)]))
    assert vouchers(store.engine, "event", "status") == [("expense_claim", "generated"), ("tax", "cancelled")]
    assert amounts(store.engine)["VF/acme/hesi/doc-00001/tax/1"] == []
    ids = vouchers(store.engine, "id")
    store.vouchers.save_generated(made([pk], [Wanted(pk, "tax", 9), Wanted(pk)]))
    assert vouchers(store.engine, "id") == ids
    assert vouchers(store.engine, "status") == [("generated",)] * 2


@pytest.mark.parametrize("status", sorted(set(VoucherStatus) - UNSENT_STATUSES - {VoucherStatus.CANCELLED}))
def test_a_document_whose_voucher_was_sent_is_left_as_it_is(store: Store, status: VoucherStatus) -> None:
    """Sent meanwhile by another run, after this one had read the document."""
    pks = accepted(store, 2)
    store.vouchers.save_generated(made(pks, [Wanted(pk) for pk in pks]))
    mark(store, status, document_pk=pks[0])
    store.vouchers.save_generated(
        made(pks, [Wanted(pks[0], "other"), Wanted(pks[1], amount=5)], problems={pks[0]: [PROBLEM]})
    )
    assert vouchers(store.engine, "event", "status", "debit_minor") == [
        ("expense_claim", status, 10_000),
        ("expense_claim", "generated", 5),
    ]
    assert dispositions(store.engine) == [("accepted", "")] * 2


@pytest.mark.parametrize(
    "change", [{"is_current": False}, {"disposition": Disposition.PENDING}, {"book": "other"}], ids=str
)
def test_a_document_that_changed_since_it_was_read_is_left_to_the_next_run(
    store: Store, change: dict[str, Any]
) -> None:
    (pk,) = accepted(store, 1)
    with writing(store.engine) as connection:
        connection.execute(update(t.source_document).values(**change))
    before = dispositions(store.engine)
    store.vouchers.save_generated(made([pk], [Wanted(pk)], silent={pk: "原因"}, problems={pk: [PROBLEM]}))
    assert vouchers(store.engine, "id") == []
    assert dispositions(store.engine) == before


def test_corrections_are_never_touched(store: Store) -> None:
    (pk,) = accepted(store, 1)
    with writing(store.engine) as connection:
        builder = StoreBuilder(connection)
        for relation in ("reversal", "replacement"):
            builder.voucher(pk, document_id="doc-00001", event=f"expense_claim.{relation}", relation=relation)
    before = vouchers(store.engine, *(column.name for column in t.voucher.columns))
    store.vouchers.save_generated(made([pk], []))
    store.vouchers.withdraw([pk])
    assert vouchers(store.engine, *(column.name for column in t.voucher.columns)) == before
    assert [len(lines) for lines in amounts(store.engine).values()] == [2, 2]


def test_documents_without_a_voucher_say_why_until_they_make_one(store: Store) -> None:
    pks = accepted(store, 3)
    store.vouchers.save_generated(made(pks, [Wanted(pks[0])], silent={pks[1]: "订单", pks[2]: "申请"}))
    assert dispositions(store.engine) == [("accepted", ""), ("no_voucher", "订单"), ("no_voucher", "申请")]
    store.vouchers.save_generated(made(pks, [Wanted(pks[1])], silent={pks[2]: "申请单"}))
    assert dispositions(store.engine) == [("accepted", ""), ("accepted", ""), ("no_voucher", "申请单")]


def test_problems_quarantine_their_document_and_are_resolved_when_they_are_gone(store: Store) -> None:
    pks = accepted(store, 2)
    store.vouchers.save_generated(made(pks, [Wanted(pks[1])], problems={pks[0]: [PROBLEM]}))
    assert [disposition for disposition, _ in dispositions(store.engine)] == ["quarantined", "accepted"]
    p = t.problem
    with reading(store.engine) as connection:
        found = connection.execute(select(p.c.document_pk, p.c.stage, p.c.code, p.c.resolved_at)).all()
    assert [tuple(row) for row in found] == [(pks[0], Stage.GENERATE, PROBLEM.code, None)]
    with writing(store.engine) as connection:  # validating takes it up again
        connection.execute(update(t.source_document).values(disposition=Disposition.ACCEPTED))
    store.vouchers.save_generated(made(pks, [Wanted(pk) for pk in pks]))
    with reading(store.engine) as connection:
        assert connection.scalars(select(p.c.resolved_at)).all() == [AT]


def test_keys_are_those_of_the_domain_whatever_is_in_an_id(store: Store) -> None:
    nasty = [
        "a/b",
        "100%",
        "%2F",
        "a%/b//",
        "单据 1",
        " ",
        "'\";--",
        "back\\slash",
        "line\nbreak",
        "tab\t",
        "😀",
        "VF/x",
    ]
    pks = accepted(store, len(nasty))
    ids = dict(zip(pks, nasty, strict=True))
    store.vouchers.save_generated(made(pks, [Wanted(pk, "事项/%") for pk in pks], ids=ids))
    keys = [key for (key,) in vouchers(store.engine, "key")]
    assert keys == [str(VoucherKey(BOOK, SOURCE, document_id, "事项/%", 1)) for document_id in nasty]
    assert [VoucherKey.parse(key).document_id for key in keys] == nasty  # type: ignore[union-attr]


def test_pages_hold_each_due_document_once_with_its_own_parts(store: Store) -> None:
    with writing(store.engine) as connection:
        builder = StoreBuilder(connection)
        due = [builder.document(disposition=Disposition.ACCEPTED, lines=[{}] * n) for n in range(1, 6)]
        builder.document(disposition=Disposition.PENDING)
        builder.document(disposition=Disposition.ACCEPTED, book="other")
        builder.document(disposition=Disposition.ACCEPTED, is_current=False)
        builder.document(disposition=Disposition.ACCEPTED, business_date=date(2025, 1, 1))
        sent = builder.document(disposition=Disposition.ACCEPTED)
        builder.voucher(sent, status=VoucherStatus.UNKNOWN)
        builder.write_off(due[2], "LOAN", 5)
        builder.invoice(due[3], "I1", is_named=True, occurred_on=None)
    pages = list(store.vouchers.frames_to_generate(BOOK, Scope(DAY, DAY), 2))
    assert [sorted(page[0]["id"]) for page in pages] == [due[:2], due[2:4], due[4:]]
    lines = pl.concat(page[1] for page in pages)
    assert [lines.filter(pl.col("document_pk") == pk).height for pk in due] == [1, 2, 3, 4, 5]
    for documents, *parts in pages:
        assert all(set(part["document_pk"]) <= set(documents["id"]) for part in parts)
    assert pages[1][2].rows() == [(due[2], 1, "LOAN", 5)]
    invoice = pages[1][3].row(0, named=True)
    assert (invoice["document_pk"], invoice["is_named"], invoice["occurred_on"]) == (due[3], True, None)


def test_a_breakdown_in_a_page_leaves_nothing_of_it(store: Store) -> None:
    (pk,) = accepted(store, 1)
    good = made([pk], [Wanted(pk)], silent={pk: "原因"})
    broken = replace(good, lines=good.lines.with_columns(pl.lit(0).alias("amount_minor")))
    with pytest.raises(IntegrityError, match="not_zero"):
        store.vouchers.save_generated(broken)
    assert vouchers(store.engine, "id") == []
    assert dispositions(store.engine) == [("accepted", "")]


# The same, one voucher at a time: small and obvious.

STATUSES = [*VoucherStatus]
EVENTS = ["expense_claim", "tax"]


def naive_save(connection: Connection, one: GeneratedSet, at: datetime) -> None:
    v, j, d = t.voucher, t.journal_line, t.source_document
    ours = {*UNSENT_STATUSES, VoucherStatus.CANCELLED}
    for pk in one.pks:
        document = connection.execute(select(d).where(d.c.id == pk)).one()
        before = connection.execute(select(v).where(v.c.document_pk == pk, v.c.relation == "")).all()
        if document.disposition not in {"accepted", "no_voucher"} or any(
            b.status not in ours for b in before
        ):
            continue
        for row in before:
            connection.execute(delete(j).where(j.c.voucher_id == row.id))
            connection.execute(update(v).where(v.c.id == row.id).values(status=VoucherStatus.CANCELLED))
        rows_by_key = {row.key: row.id for row in before}
        for made_now in one.vouchers.filter(pl.col("document_pk") == pk).iter_rows(named=True):
            key = str(VoucherKey(BOOK, made_now["source"], made_now["document_id"], made_now["event"], 1))
            values = {
                **made_now, "key": key, "book": BOOK, "rule_digest": one.rule_digest, "rule_version": one.rule_version,
                "status": VoucherStatus.GENERATED, "message": "", "content_digest": None, "generated_at": at,
            }  # fmt: skip
            if key in rows_by_key:
                connection.execute(update(v).where(v.c.id == rows_by_key[key]).values(**values))
            else:
                rows_by_key[key] = connection.execute(insert(v).values(**values)).inserted_primary_key[0]
            of_voucher = (pl.col("document_pk") == pk) & (pl.col("event") == made_now["event"])
            for line in one.lines.filter(of_voucher).drop("document_pk", "event").iter_rows(named=True):
                connection.execute(insert(j).values(voucher_id=rows_by_key[key], **line))
        reason = dict(one.no_voucher.iter_rows()).get(pk)
        new = document.disposition
        if reason is not None:
            new = Disposition.NO_VOUCHER
        elif pk in one.vouchers["document_pk"]:
            new = Disposition.ACCEPTED
        changed = new != document.disposition or reason is not None
        if changed:
            connection.execute(
                update(d).where(d.c.id == pk).values(disposition=new, disposition_reason=reason or "")
            )


def contents(connection: Connection) -> list[Any]:
    """All that saving may change, without the ids that a database chose."""
    v, j, d = t.voucher, t.journal_line, t.source_document
    names = [column for column in v.columns if column.name != "id"]
    lines = [column for column in j.columns if column.name != "voucher_id"]
    return [
        [tuple(row) for row in connection.execute(select(*names).order_by(v.c.key))],
        [
            tuple(row)
            for row in connection.execute(
                select(v.c.key, *lines).join(v, v.c.id == j.c.voucher_id).order_by(v.c.key, j.c.line_no)
            )
        ],
        [
            tuple(row)
            for row in connection.execute(
                select(d.c.id, d.c.disposition, d.c.disposition_reason).order_by(d.c.id)
            )
        ],
    ]


@st.composite
def histories(
    draw: st.DrawFn,
) -> tuple[list[tuple[int, str, str, str]], list[str], list[tuple[int, str, int]], list[int]]:
    """Vouchers that are there (document, event, status, relation), how documents stand, what is made, who is silent."""
    documents = st.integers(0, 4)
    there = draw(
        st.lists(
            st.tuples(
                documents,
                st.sampled_from(EVENTS),
                st.sampled_from(STATUSES),
                st.sampled_from(["", "reversal"]),
            ),
            unique_by=lambda x: (x[0], x[1], x[3]),
            max_size=8,
        )
    )
    stand = draw(st.lists(st.sampled_from(["accepted", "no_voucher", "pending"]), min_size=5, max_size=5))
    silent = draw(st.lists(documents, unique=True, max_size=2))
    wanted = draw(
        st.lists(
            st.tuples(documents, st.sampled_from(EVENTS), st.integers(1, 9)),
            unique_by=lambda x: x[:2],
            max_size=8,
        )
    )
    return there, stand, [w for w in wanted if w[0] not in silent], silent


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=histories(), backwards=st.booleans())
def test_whole_sets_come_to_the_same_as_one_voucher_after_the_other(
    engine: Engine, history: Any, backwards: bool
) -> None:
    there, stand, wanted, silent = history

    def outcome(save: Any, is_reversed: bool) -> list[Any]:
        with engine.connect() as connection, connection.begin() as transaction:
            builder = StoreBuilder(connection)
            pks = [builder.document(disposition=disposition, id=n + 1) for n, disposition in enumerate(stand)]
            for n, event, status, relation in there:
                suffix = ".reversal" if relation else ""
                builder.voucher(
                    pks[n], document_id=f"doc-{n + 1:05d}", event=event + suffix, status=status, relation=relation,
                    message="earlier", content_digest="sent",
                )  # fmt: skip
            one = made(
                pks, [Wanted(pks[n], *rest) for n, *rest in wanted], silent={pks[n]: "原因" for n in silent}
            )
            if is_reversed:
                one = replace(one, pks=pks[::-1], vouchers=one.vouchers.reverse(), lines=one.lines.reverse())
            save(connection, one, AT)
            result = contents(connection)
            transaction.rollback()
        return result

    assert outcome(generated.save, backwards) == outcome(naive_save, False)


def test_ids_of_new_vouchers_are_free_and_stay_free_for_other_writers(store: Store) -> None:
    pks = accepted(store, 3)
    store.vouchers.save_generated(made(pks[:2], [Wanted(pk) for pk in pks[:2]]))
    with writing(store.engine) as connection:
        other = StoreBuilder(connection).voucher(pks[0], document_id="x", event="expense_claim.reversal")
    store.vouchers.save_generated(made(pks[2:], [Wanted(pks[2])]))
    ids = [number for (number,) in vouchers(store.engine, "id")]
    assert other in ids
    with reading(store.engine) as connection:
        assert connection.scalar(select(func.count(t.voucher.c.id.distinct()))) == 4
