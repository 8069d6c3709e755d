"""Claims that legal entities share, on the example group: two books, one OA, a balanced voucher in each book."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from rich.console import Console
from sqlalchemy import select

from include.domain.document import (
    BookRole,
    Disposition,
    DocumentStatus,
    InvoiceClaim,
    Reference,
    SourceDocument,
)
from include.domain.voucher import Side, VoucherStatus
from include.explain import explain, render
from include.ports import MasterRecord
from include.settings import DEFAULT_CONFIG_DIR, Settings, load_settings
from include.stages.context import StageContext
from include.stages.extract import extract
from include.stages.generate import generate
from include.stages.post import post
from include.stages.reconcile import reconcile
from include.stages.summary import summarise
from include.stages.validate import changed_after_posting, validate
from include.stages.write_back import write_back
from include.store import tables as t
from include.store.store import Store
from tests.builders import StoreBuilder
from tests.conftest import FakeClock
from tests.documents import DAY, ENTITY, MASTER, claim, line, loan, settling
from tests.fakes.ledger import FakeLedger
from tests.fakes.source import FakeSource
from tests.unit.stages.flow import ALL, accept_all

BEIJING = Reference("LE2", "E02", "示例科技（北京）有限公司")
NOBODY = Reference("LE9", "E99", "别家公司")
BOOKS = ("beijing", "shanghai")
INTERCOMPANY = ("1221.02", "2241.02")


@dataclass
class Group:
    """The books of the example, each with a ledger, over one OA and one store."""

    oa: FakeSource
    store: Store
    clock: FakeClock
    settings: Settings = field(
        default_factory=lambda: load_settings(DEFAULT_CONFIG_DIR / "examples" / "group")
    )
    ledgers: dict[str, FakeLedger] = field(default_factory=lambda: {book: FakeLedger() for book in BOOKS})

    def of(self, book: str) -> StageContext:
        return StageContext(
            settings=self.settings,
            book=self.settings.book(book),
            store=self.store,
            connect_source=lambda: self.oa,
            connect_ledger=lambda: self.ledgers[book],
            clock=self.clock,
            actor="test",
        )

    def each(self, step: Callable[[StageContext], object]) -> None:
        for book in BOOKS:
            step(self.of(book))

    def read(self, book: str = "shanghai") -> None:
        """Read what changed a minute later, and let everything through."""
        self.clock.forward(60)
        extract(self.of(book))
        accept_all(self.of(book))

    def posted(self) -> None:
        """Vouchers of all that is in the OA in both ledgers."""
        self.read()
        self.each(lambda ctx: generate(ctx, ALL))
        self.each(lambda ctx: post(ctx, ALL))

    def rows(self, *, current: bool = True) -> list[tuple[str, str, str, int]]:
        """(document, book, role, revision) of each row."""
        d = t.source_document.c
        with self.store.engine.begin() as connection:
            found = connection.execute(
                select(d.document_id, d.book, d.role, d.revision)
                .where(d.is_current == current)
                .order_by(d.document_id, d.book, d.revision)
            )
            return [tuple(row) for row in found]

    def vouchers(self) -> list[tuple[str, str, str]]:
        """(document, book, status) of each voucher."""
        v = t.voucher.c
        with self.store.engine.begin() as connection:
            found = connection.execute(
                select(v.document_id, v.book, v.status).order_by(v.document_id, v.book, v.id)
            )
            return [tuple(row) for row in found]

    def changed(self, book: str) -> list[str]:
        """What is said of documents that changed after posting, in Chinese."""
        return [changed_after_posting(row).zh for row in self.store.documents.changed_after_posting(book)]

    def balances(self, book: str) -> Mapping[str, int]:
        """Debits less credits by account."""
        found: dict[str, int] = defaultdict(int)
        for voucher in self.ledgers[book].vouchers_by_id.values():
            for item in voucher.lines:
                found[item.account] += item.amount.minor if item.side is Side.DEBIT else -item.amount.minor
        return found


@pytest.fixture
def oa() -> FakeSource:
    entity = MasterRecord("legal_entity", BEIJING.id, BEIJING.code, BEIJING.name)
    return FakeSource(name="hesi", form_types=("expense", "loan"), records=[*MASTER, entity])


@pytest.fixture
def group(oa: FakeSource, store: Store, clock: FakeClock) -> Group:
    return Group(oa, store, clock)


def shared(number: int = 1, **more: object) -> SourceDocument:
    """A claim of Shanghai's, 159.00 in all, of which 53.00 is Beijing's expense."""
    return claim(number, line(1), line(2, 5300, 300, legal_entity=BEIJING), **more)


def test_each_book_takes_its_part_and_the_parts_make_the_whole(group: Group) -> None:
    advance = loan(10, 20_000)
    group.oa.put(advance)
    group.oa.put(shared(1))
    group.oa.put(claim(2, line(1, 3000, 0), line(2, 7000, 0, legal_entity=ENTITY), legal_entity=BEIJING))
    group.oa.put(claim(3, line(1, 1111, 0)))
    group.oa.put(settling(4, advance, 9000, line(1, 4000, 0), line(2, 8000, 400, legal_entity=BEIJING)))
    group.posted()
    assert dict(group.balances("shanghai")) == {
        "1221.03": 20_000 - 9000,
        "1002": -20_000 - 15_900 - 1111 - 3000,
        "6602.10": 10_000 + 7000 + 1111 + 4000,
        "2221.01.01": 600,
        "1221.02": 5300 + 8000,
        "2241.02": -7000,
    }
    assert dict(group.balances("beijing")) == {
        "1002": -10_000,
        "6602.10": 5000 + 3000 + 7600,
        "2221.01.01": 300 + 400,
        "1221.02": 7000,
        "2241.02": -5300 - 8000,
    }
    both = Counter(group.balances("shanghai"))
    both.update(group.balances("beijing"))
    assert sum(both[account] for account in INTERCOMPANY) == 0
    assert both["6602.10"] + both["2221.01.01"] == 15_900 + 10_000 + 1111 + 12_000


def test_a_share_names_its_counterpart_and_the_document_it_belongs_to(group: Group) -> None:
    group.oa.put(shared())
    group.posted()
    (home,) = group.ledgers["shanghai"].vouchers_by_id.values()
    (share,) = group.ledgers["beijing"].vouchers_by_id.values()
    due_from = next(item for item in home.lines if item.account == "1221.02")
    due_to = next(item for item in share.lines if item.account == "2241.02")
    assert [d.code for d in due_from.dimensions] == ["E02"]
    assert [d.code for d in due_to.dimensions] == ["E01"]
    with group.store.engine.begin() as connection:
        summaries = connection.scalars(select(t.journal_line.c.summary)).all()
    assert all("B26000001" in summary for summary in summaries)


def test_the_oa_shows_the_number_of_the_home_alone(group: Group) -> None:
    group.oa.put(shared(1))
    group.oa.put(claim(2, line(1, 3000, 0), line(2, 7000, 0, legal_entity=ENTITY), legal_entity=BEIJING))
    group.posted()
    assert write_back(group.of("beijing"), ALL).written == 1
    assert write_back(group.of("shanghai"), ALL).written == 1
    numbers = {number: voucher.number for number, voucher in group.ledgers["beijing"].vouchers_by_id.items()}
    assert group.oa.written["ID_1"].voucher_no == "记-1"
    assert group.oa.written["ID_2"].voucher_no in numbers.values()
    group.each(lambda ctx: write_back(ctx, ALL))
    assert group.oa.calls.count("write_back") == 2
    group.each(lambda ctx: reconcile(ctx, ALL))
    assert [summarise(group.of(book)).discrepancies for book in BOOKS] == [0, 0]
    assert [summarise(group.of(book)).written_back for book in BOOKS] == [1, 1]
    assert [summarise(group.of(book)).documents for book in BOOKS] == [2, 2]


def test_a_shared_document_counts_once_in_the_proof_and_is_read_again_once(group: Group) -> None:
    group.oa.put(shared(1))
    group.oa.put(claim(2))
    result = extract(group.of("beijing"))
    assert (result.read, result.new, result.complete) == (2, 2, True)
    assert group.rows() == [
        ("ID_1", "beijing", BookRole.SHARE, 1),
        ("ID_1", "shanghai", BookRole.HOME, 1),
        ("ID_2", "shanghai", BookRole.HOME, 1),
    ]
    again = [raw.document_id for page in group.store.documents.unsettled_payloads("hesi") for raw in page]
    assert sorted(again) == ["ID_1", "ID_2"]
    result = extract(group.of("shanghai"))
    assert (result.new, result.changed, result.complete) == (0, 0, True)


def test_the_voucher_date_follows_each_books_policy(group: Group) -> None:
    beijing = group.settings.book("beijing").model_copy(update={"voucher_date": "paid"})
    books = {**group.settings.books, "beijing": beijing}
    group.settings = group.settings.model_copy(update={"books": books})
    group.oa.put(shared(paid_at=DAY + timedelta(days=40)))
    group.posted()
    v = t.voucher.c
    with group.store.engine.begin() as connection:
        periods = {row.book: row.period for row in connection.execute(select(v.book, v.period))}
    assert periods == {"shanghai": "2026-03", "beijing": "2026-04"}


# -- several books in general --------------------------------------------------------------------------


@pytest.mark.parametrize("order", [BOOKS, BOOKS[::-1]])
def test_books_that_share_nothing_get_their_own_documents_in_any_order(
    order: tuple[str, str], group: Group
) -> None:
    for number in range(1, 7):
        group.oa.put(claim(number, legal_entity=BEIJING if number % 2 else ENTITY))
    for book in order:
        group.read(book)
        assert generate(group.of(book), ALL).vouchers == 3
        assert post(group.of(book), ALL).posted == 3
    assert group.vouchers() == [
        (f"ID_{n}", "beijing" if n % 2 else "shanghai", VoucherStatus.POSTED) for n in range(1, 7)
    ]


def test_runs_of_several_books_at_once_file_every_document_once(group: Group) -> None:
    for number in range(1, 16):
        group.oa.put(
            shared(number) if number % 3 == 0 else claim(number, legal_entity=[ENTITY, BEIJING][number % 2])
        )
    group.oa.page_size = 4
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda book: extract(group.of(book)), BOOKS * 2))
    assert all(result.complete for result in results)
    assert sum(result.new for result in results) == 15
    assert Counter(row[0] for row in group.rows()) == {
        f"ID_{n}": 2 if n % 3 == 0 else 1 for n in range(1, 16)
    }
    assert group.rows(current=False) == []


# -- changes -------------------------------------------------------------------------------------------


def test_a_book_that_is_taken_out_before_posting_forgets_the_document(group: Group) -> None:
    group.oa.put(shared())
    group.read()
    group.each(lambda ctx: generate(ctx, ALL))
    group.oa.put(claim(1, line(1), line(2, 5300, 300)), at=group.clock.now())
    group.read()
    assert group.rows() == [("ID_1", "shanghai", BookRole.HOME, 1)]
    assert ("ID_1", "beijing", VoucherStatus.CANCELLED) in group.vouchers()
    assert post(group.of("beijing"), ALL).posted == 0
    group.oa.put(shared(), at=group.clock.now())
    group.posted()
    assert group.rows(current=False) == []
    assert group.vouchers() == [
        ("ID_1", "beijing", VoucherStatus.POSTED),
        ("ID_1", "shanghai", VoucherStatus.POSTED),
    ]


def test_a_document_posted_in_one_book_does_not_look_changed_in_the_other(group: Group) -> None:
    group.oa.put(shared())
    group.read()
    generate(group.of("beijing"), ALL)
    assert post(group.of("beijing"), ALL).posted == 1
    assert [group.changed(book) for book in BOOKS] == [[], []]
    group.oa.change("ID_1", group.clock.now(), status=DocumentStatus.ARCHIVED)
    group.posted()
    assert [group.changed(book) for book in BOOKS] == [[], []]
    assert group.rows(current=False) == []


def test_a_change_concerns_only_the_book_that_has_posted(group: Group) -> None:
    group.oa.put(shared())
    group.read()
    generate(group.of("beijing"), ALL)
    post(group.of("beijing"), ALL)
    group.oa.put(claim(1, line(1), line(2, 6000, 0, legal_entity=BEIJING)), at=group.clock.now())
    group.read()
    assert group.rows() == [
        ("ID_1", "beijing", BookRole.SHARE, 2),
        ("ID_1", "shanghai", BookRole.HOME, 1),
    ]
    assert [len(group.changed(book)) for book in BOOKS] == [1, 0]


def test_a_document_withdrawn_after_posting_concerns_every_book_that_posted(group: Group) -> None:
    group.oa.put(shared())
    group.posted()
    group.oa.change("ID_1", group.clock.now(), status=DocumentStatus.NULLIFIED)
    group.read()
    assert [len(group.changed(book)) for book in BOOKS] == [1, 1]


def test_a_book_taken_out_after_posting_keeps_the_document_for_a_person(group: Group) -> None:
    group.oa.put(shared(1))
    group.oa.put(shared(2))
    group.posted()
    group.oa.put(claim(1, line(1), line(2, 5300, 300)), at=group.clock.now())
    group.clock.forward(60)
    extract(group.of("shanghai"))
    assert group.rows() == [
        ("ID_1", "beijing", BookRole.LEFT, 2),
        ("ID_1", "shanghai", BookRole.HOME, 2),
        ("ID_2", "beijing", BookRole.SHARE, 1),
        ("ID_2", "shanghai", BookRole.HOME, 1),
    ]
    results = [validate(group.of(book), ALL) for book in BOOKS]
    assert [result.causes for result in results] == [(("document.changed_after_posting", 1),)] * 2
    (left,) = group.changed("beijing")
    assert "改属其他账簿" in left
    extract(group.of("beijing"))
    assert [summarise(group.of(book)).quarantined for book in BOOKS] == [1, 1]


def test_a_document_whose_own_entity_changes_after_posting_is_not_booked_twice(group: Group) -> None:
    group.oa.put(claim(1))
    group.posted()
    write_back(group.of("shanghai"), ALL)
    group.oa.put(claim(1, legal_entity=BEIJING), at=group.clock.now())
    group.clock.forward(60)
    extract(group.of("shanghai"))
    assert group.rows() == [
        ("ID_1", "beijing", BookRole.HOME, 1),
        ("ID_1", "shanghai", BookRole.LEFT, 2),
    ]
    group.each(lambda ctx: validate(ctx, ALL))
    group.each(lambda ctx: generate(ctx, ALL))
    group.each(lambda ctx: post(ctx, ALL))
    assert [len(group.ledgers[book].vouchers_by_id) for book in BOOKS] == [0, 1]
    assert "shanghai" in group.changed("beijing")[0]
    assert write_back(group.of("beijing"), ALL).written == 0


def test_once_the_voucher_is_reversed_the_document_is_booked_where_it_went(group: Group) -> None:
    group.oa.put(claim(1))
    group.posted()
    write_back(group.of("shanghai"), ALL)
    group.oa.put(claim(1, legal_entity=BEIJING), at=group.clock.now())
    group.clock.forward(60)
    extract(group.of("shanghai"))
    group.each(lambda ctx: validate(ctx, ALL))
    v = t.voucher.c
    with group.store.engine.begin() as connection:
        pk, original = connection.execute(select(v.document_pk, v.id)).one()
        StoreBuilder(connection, book="shanghai").voucher(
            pk,
            document_id="ID_1",
            event="expense_claim.reversal",
            status=VoucherStatus.POSTED,
            relation="reversal",
            original_id=original,
        )
    extract(group.of("shanghai"))
    assert group.rows() == [("ID_1", "beijing", BookRole.HOME, 1)]
    assert [validate(group.of(book), ALL).quarantined for book in BOOKS] == [0, 0]
    generate(group.of("beijing"), ALL)
    assert post(group.of("beijing"), ALL).posted == 1
    assert write_back(group.of("beijing"), ALL).written == 1


def test_a_book_taken_out_after_posting_does_not_hold_the_home_that_has_not_posted(group: Group) -> None:
    group.oa.put(shared())
    group.read()
    generate(group.of("beijing"), ALL)
    post(group.of("beijing"), ALL)
    group.oa.put(claim(1, line(1), line(2, 5300, 300)), at=group.clock.now())
    group.read()
    assert [len(group.changed(book)) for book in BOOKS] == [1, 0]
    generate(group.of("shanghai"), ALL)
    assert post(group.of("shanghai"), ALL).posted == 1


def test_a_document_of_another_entity_before_posting_simply_moves(group: Group) -> None:
    group.oa.put(claim(1, legal_entity=NOBODY))
    group.clock.forward(60)
    extract(group.of("shanghai"))
    assert validate(group.of("shanghai"), ALL).causes[0][0].startswith("legal_entity.")
    group.oa.put(claim(1, legal_entity=BEIJING), at=group.clock.now())
    group.posted()
    assert group.vouchers() == [("ID_1", "beijing", VoucherStatus.POSTED)]
    with group.store.engine.begin() as connection:
        still_open = select(t.problem.c.code).where(t.problem.c.resolved_at.is_(None))
        assert connection.scalars(still_open).all() == []


# -- the gate ------------------------------------------------------------------------------------------


def test_a_line_of_no_book_holds_the_document_at_home(group: Group) -> None:
    group.oa.put(
        claim(1, line(1), line(2, 5300, 300, legal_entity=BEIJING), line(3, 100, 0, legal_entity=NOBODY))
    )
    extract(group.of("shanghai"))
    assert validate(group.of("shanghai"), ALL).quarantined == 1
    assert validate(group.of("beijing"), ALL).accepted == 1
    p = t.problem.c
    with group.store.engine.begin() as connection:
        (problem,) = connection.execute(
            select(p.book, p.code, p.line_no, p.zh, p.owner).where(p.code == "line.legal_entity.no_book")
        ).all()
    assert problem[:3] == ("shanghai", "line.legal_entity.no_book", 3)
    assert "别家公司（E99）" in problem.zh
    assert "books/*.yaml" in problem.zh
    assert problem.owner == "finance"


def test_a_shared_document_is_not_its_own_duplicate_but_a_second_one_is_held_in_both_books(
    group: Group,
) -> None:
    invoice = InvoiceClaim(line_no=1, invoice_id="INV1", kind="", claimed=10600, tax=600, total=10600)
    group.oa.put(shared(1, invoices=(invoice,)))
    group.clock.forward(60)
    extract(group.of("shanghai"))
    assert [validate(group.of(book), ALL).accepted for book in BOOKS] == [1, 1]
    group.oa.put(replace(shared(2, invoices=(invoice,)), code="B26000001"), at=group.clock.now())
    group.clock.forward(60)
    extract(group.of("shanghai"))
    for book in BOOKS:
        causes = dict(validate(group.of(book), ALL).causes)
        assert causes == {"code.duplicate": 1, "invoice.overclaimed": 1}
    d = t.source_document.c
    with group.store.engine.begin() as connection:
        held = connection.scalars(select(d.document_id).where(d.disposition == Disposition.QUARANTINED)).all()
    assert held == ["ID_2", "ID_2"]


def test_explain_shows_a_document_in_each_of_its_books(group: Group) -> None:
    group.oa.put(shared())
    group.posted()
    group.each(lambda ctx: write_back(ctx, ALL))
    found = explain(group.store, group.settings, "B26000001")
    assert {d["book"]: d["write_back"] is not None for d in found["documents"]} == {
        "shanghai": True,
        "beijing": False,
    }
    console = Console(width=200, record=True, file=None)
    with console.capture() as capture:
        console.print(render(found))
    assert "分摊 / a share" in capture.get()
    assert BEIJING.name in capture.get()


def test_a_claim_that_moves_and_leaves_a_share_behind_is_held_where_it_goes(group: Group) -> None:
    group.oa.put(claim(1))
    group.posted()
    moved = claim(1, line(1), line(2, 5300, 300, legal_entity=ENTITY), legal_entity=BEIJING)
    group.oa.put(moved, at=group.clock.now())
    group.clock.forward(60)
    extract(group.of("shanghai"))
    group.each(lambda ctx: validate(ctx, ALL))
    assert group.changed("beijing")
    group.each(lambda ctx: generate(ctx, ALL))
    group.each(lambda ctx: post(ctx, ALL))
    assert not group.balances("beijing")


def test_what_left_a_book_is_not_accepted_there_by_a_gate_that_looks_at_others(group: Group) -> None:
    group.oa.put(claim(1))
    group.posted()
    group.oa.put(claim(1, legal_entity=BEIJING), at=group.clock.now())
    group.clock.forward(60)
    group.oa.put(claim(5), at=group.clock.now())
    extract(group.of("shanghai"))
    group.each(lambda ctx: validate(ctx, ALL))
    v, d = t.voucher.c, t.source_document
    with group.store.engine.begin() as connection:
        pk, original = connection.execute(select(v.document_pk, v.id)).first()
        StoreBuilder(connection, book="shanghai").voucher(
            pk,
            document_id="ID_1",
            event="expense_claim.reversal",
            status=VoucherStatus.POSTED,
            relation="reversal",
            original_id=original,
        )
        connection.execute(
            d.update().where(d.c.document_id == "ID_5").values(disposition=Disposition.PENDING)
        )
    assert validate(group.of("shanghai"), ALL).accepted == 1
    with group.store.engine.begin() as connection:
        its = (d.c.document_id == "ID_1", d.c.book == "shanghai", d.c.is_current)
        left = select(d.c.disposition).where(*its)
        assert connection.scalar(left) != Disposition.ACCEPTED
