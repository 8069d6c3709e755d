"""The books behind emulated ledgers: what they refuse, number, keep and add up."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from include.emulators.ledger_books import Books, as_draft
from include.emulators.ledger_rules import Draft, Line, Reason, RefusedError
from include.emulators.ledger_schema import read_seed

ROOT = Path(__file__).resolve().parents[3]
TRAVEL = Line("6602.10", debit=10_000, summary="差旅费", dimensions={"department": "RD"})
STAFF = Line("2241.03", credit=10_000, summary="应付报销", dimensions={"employee": "E0001"})
CLAIM = Draft("001", "记", date(2026, 1, 29), (TRAVEL, STAFF))
OPEN = {"saved"}


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    opened = Books(tmp_path / "books.sqlite")
    yield opened
    opened.close()


def refused(books: Books, draft: Draft, **options: object) -> list[tuple[Reason, int | None]]:
    with pytest.raises(RefusedError) as caught:
        books.save(draft, status="saved", **options)  # type: ignore[arg-type]
    return [(refusal.reason, refusal.line) for refusal in caught.value.refusals]


def test_a_voucher_gets_an_id_and_the_next_number_of_its_word_and_period(books: Books) -> None:
    first, second = books.save(CLAIM, status="saved"), books.save(CLAIM, status="saved")
    other = books.save(replace(CLAIM, day=date(2026, 2, 1)), status="saved")
    assert [(v.period, v.number) for v in (first, second, other)] == [(1, 1), (1, 2), (2, 1)]
    assert len({first.id, second.id, other.id}) == 3
    assert books.voucher(first.id) == first
    assert first.total == 10_000


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (replace(TRAVEL, account=""), Reason.ACCOUNT_MISSING),
        (replace(TRAVEL, account="9999"), Reason.ACCOUNT_UNKNOWN),
        (replace(TRAVEL, account="6602", dimensions={}), Reason.ACCOUNT_NOT_LEAF),
        (replace(TRAVEL, dimensions={}), Reason.DIMENSION_MISSING),
        (replace(TRAVEL, dimensions={"department": "RD", "customer": "C001"}), Reason.DIMENSION_STRAY),
        (replace(TRAVEL, dimensions={"department": "NO"}), Reason.VALUE_UNKNOWN),
        (replace(TRAVEL, currency="XXX"), Reason.CURRENCY_UNKNOWN),
    ],
)
def test_a_wrong_line_is_refused_by_its_number(books: Books, line: Line, reason: Reason) -> None:
    assert (reason, 1) in refused(books, replace(CLAIM, lines=(line, STAFF)))
    assert books.find() == []


def test_all_objections_come_at_once(books: Books) -> None:
    lines = (replace(TRAVEL, account="9999"), replace(STAFF, credit=9_999, dimensions={}))
    found = refused(books, replace(CLAIM, lines=lines, word="收"))
    assert [reason for reason, _ in found] == [
        Reason.WORD_UNKNOWN,
        Reason.ACCOUNT_UNKNOWN,
        Reason.DIMENSION_MISSING,
        Reason.UNBALANCED,
    ]
    assert [line for _, line in found] == [None, 1, 2, None]


def test_what_was_disabled_meanwhile_is_refused(books: Books) -> None:
    books.change_account("CN", "6602.10", enabled=False)
    books.change_item("employee", "E0001", enabled=False)
    assert refused(books, CLAIM) == [(Reason.ACCOUNT_DISABLED, 1), (Reason.VALUE_DISABLED, 2)]


def test_periods_refuse_by_their_state(books: Books) -> None:
    books.set_period("001", 2026, 1, "closed")
    books.set_period("001", 2026, 2, "future")
    assert refused(books, CLAIM) == [(Reason.PERIOD_CLOSED, None)]
    assert refused(books, replace(CLAIM, day=date(2026, 2, 3))) == [(Reason.PERIOD_NOT_OPEN, None)]
    assert refused(books, replace(CLAIM, day=date(2031, 2, 3))) == [(Reason.PERIOD_UNKNOWN, None)]
    books.set_period("001", 2026, 1, "open")
    assert books.save(CLAIM, status="saved").number == 1


def test_a_red_voucher_is_accepted_and_nets_to_nothing(books: Books) -> None:
    books.save(CLAIM, status="saved")
    red = tuple(replace(line, debit=-line.debit, credit=-line.credit) for line in CLAIM.lines)
    books.save(replace(CLAIM, lines=red), status="saved")
    assert books.balances("001", 2026, 1) == []


def test_only_what_may_be_changed_is_changed(books: Books) -> None:
    voucher = books.save(CLAIM, status="saved")
    books.set_status(voucher.id, "approved", allowed=OPEN, actor="审核员", reviews=True)
    assert books.voucher(voucher.id).reviewer == "审核员"
    assert refused(books, CLAIM, voucher_id=voucher.id, editable=OPEN) == [(Reason.STATUS_FORBIDS, None)]
    with pytest.raises(RefusedError, match="status_forbids"):
        books.delete(voucher.id, allowed=OPEN)
    books.post(voucher.id, allowed={"approved"})
    with pytest.raises(RefusedError, match="posted"):
        books.delete(voucher.id, allowed={"approved"})


def test_replacing_keeps_number_and_named_lines(books: Books) -> None:
    old = books.save(CLAIM, status="saved")
    lines = (old.lines[0], replace(STAFF, summary="改"))
    new = books.save(replace(as_draft(old), lines=lines), status="saved", voucher_id=old.id, editable=OPEN)
    assert (new.id, new.number, new.lines[0].id) == (old.id, old.number, old.lines[0].id)
    assert new.lines[1].id not in {line.id for line in old.lines}


def test_a_number_that_is_taken_and_a_reference_that_is_taken(books: Books) -> None:
    books.save(replace(CLAIM, number=7, reference="X"), status="saved")
    assert refused(books, replace(CLAIM, number=7)) == [(Reason.NUMBER_TAKEN, None)]
    assert refused(books, replace(CLAIM, reference="X"), unique_reference=True) == [
        (Reason.REFERENCE_TAKEN, None)
    ]


def test_renumbering_closes_gaps_and_changes_numbers(books: Books) -> None:
    first, second, third = (books.save(CLAIM, status="saved") for _ in range(3))
    books.delete(first.id, allowed=OPEN)
    assert books.renumber("001", 2026, 1, "记") == {second.id: 1, third.id: 2}
    assert books.voucher(third.id).number == 2


def test_a_deleted_id_never_comes_back(books: Books) -> None:
    voucher = books.save(CLAIM, status="saved")
    books.delete(voucher.id, allowed=OPEN)
    assert books.save(CLAIM, status="saved").id > voucher.id
    assert [row["operation"] for row in books.export()["operations"]] == ["create", "delete", "create"]


def test_balances_carry_over_and_can_be_of_posted_vouchers_alone(books: Books) -> None:
    posted = books.save(CLAIM, status="saved")
    books.post(posted.id, allowed=OPEN)
    books.save(replace(CLAIM, day=date(2026, 2, 5)), status="saved")
    aside = books.save(CLAIM, status="aside", numbered=False)
    assert aside.number is None
    travel = next(row for row in books.balances("001", 2026, 2) if row.account == "6602.10")
    assert (travel.opening, travel.debit, travel.closing, travel.year_debit) == (
        10_000,
        10_000,
        20_000,
        20_000,
    )
    assert travel.dimensions == {"department": "RD"}
    assert [row.debit for row in books.balances("001", 2026, 2, posted_only=True)] == [0, 0]
    books.set_void(books.find("v.period = 2")[0].id, void=True, allowed=OPEN)
    assert all(row.debit == 0 for row in books.balances("001", 2026, 2))


def test_an_accountant_recodes_an_account_and_amends_a_line(books: Books) -> None:
    voucher = books.save(CLAIM, status="saved")
    books.change_account("CN", "6602.10", new_code="6602.50")
    assert books.voucher(voucher.id).lines[0].account == "6602.50"
    assert refused(books, CLAIM) == [(Reason.ACCOUNT_UNKNOWN, 1)]
    assert books.amend_line(voucher.id, 2, summary="手工改").lines[1].summary == "手工改"
    with pytest.raises(RefusedError, match="unbalanced"):
        books.amend_line(voucher.id, 2, credit=1)


def test_a_transaction_of_the_caller_is_rolled_back_whole(books: Books) -> None:
    def both() -> None:
        with books.transaction():
            books.save(CLAIM, status="saved")
            books.keep_note("seen", "x", 1)
            books.save(replace(CLAIM, word="无"), status="saved")

    with pytest.raises(RefusedError):
        both()
    assert (books.find(), books.note("seen", "x")) == ([], None)


def test_threads_share_one_file_without_losing_a_number(books: Books) -> None:
    def work() -> None:
        for _ in range(10):
            books.save(CLAIM, status="saved")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(voucher.number or 0 for voucher in books.find()) == list(range(1, 81))


KILLED = """
import sys
from include.emulators.ledger_books import Books
from tests.unit.emulators.test_ledger_books import CLAIM, Path
books = Books(Path(sys.argv[1]))
while True:
    print(books.save(CLAIM, status="saved").id, flush=True)
"""


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "books.sqlite"
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        try:
            assert process.stdout is not None
            seen = [int(process.stdout.readline()) for _ in range(20)]
        finally:
            process.kill()
    books = Books(path)
    kept = {voucher.id for voucher in books.find()}
    books.close()
    assert set(seen) <= kept


def test_a_seed_file_with_an_unknown_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "seed.json"
    path.write_text('{"things": {}}', encoding="utf-8")
    with pytest.raises(ValueError, match="items"):
        read_seed(path)


def test_books_with_another_company(tmp_path: Path) -> None:
    path = tmp_path / "seed.json"
    path.write_text(
        '{"books": [{"code": "JP", "name": "日本", "currency": "JPY", "chart": "CN"}], "years": [2026]}',
        encoding="utf-8",
    )
    books = Books(tmp_path / "books.sqlite", seed=read_seed(path))
    voucher = books.save(replace(CLAIM, book="JP"), status="saved")
    books.close()
    assert voucher.lines[0].currency == "JPY"
