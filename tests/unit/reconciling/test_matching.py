"""Every difference between two journals is named once, by what it is, and nothing is guessed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.domain.money import Money
from include.domain.reconciliation import DiscrepancyKind as Kind
from include.domain.voucher import LedgerLine, LedgerVoucherState, Side
from include.reconciling.wording import LABELS
from tests.unit.reconciling.journals import Spec, claim, findings, line, matched

FIRST, SECOND = claim(1), claim(2, 20_000, 1_200)
HALF = tuple(replace(x, amount=Money(x.amount.minor // 2, "CNY")) for x in FIRST.lines)


def red(lines: Sequence[LedgerLine]) -> tuple[LedgerLine, ...]:
    return tuple(replace(x, amount=-x.amount) for x in lines)


def test_the_same_in_another_order_and_cut_otherwise_agrees() -> None:
    debit, tax, credit = FIRST.lines
    cut = [
        replace(credit, amount=Money(600, "CNY")),
        tax,
        replace(debit, amount=Money(4_000, "CNY")),
        replace(credit, amount=Money(10_000, "CNY")),
        replace(debit, amount=Money(6_000, "CNY")),
    ]
    assert findings([FIRST, SECOND], [SECOND, FIRST.but(lines=tuple(cut))]) == set()


@pytest.mark.parametrize(
    ("theirs", "expected"),
    [
        ([], {Kind.MISSING_IN_LEDGER}),
        ([FIRST.but(date=date(2026, 3, 11))], {Kind.DATE}),
        ([FIRST.but(state=LedgerVoucherState.DRAFT)], {Kind.NOT_POSTED_IN_LEDGER}),
        ([FIRST.but(state=LedgerVoucherState.REVERSED)], {Kind.REVERSED_IN_LEDGER}),
        ([FIRST, FIRST.but(ledger_id="9")], {Kind.DUPLICATE_IN_LEDGER}),
        ([FIRST.but(number=0)], {Kind.REFERENCE}),
        ([FIRST.but(number=0, ledger_id="9")], {Kind.REFERENCE}),
        ([FIRST.but(state=LedgerVoucherState.REVERSED), FIRST.but(ledger_id="9")], set()),
        ([FIRST, Spec("9", 0, red(FIRST.lines), text="冲销 记-1")], {Kind.REVERSED_IN_LEDGER}),
        ([FIRST, Spec("9", 0, red(FIRST.lines), text="冲销2026-03记-1")], {Kind.REVERSED_IN_LEDGER}),
        ([FIRST, Spec("9", 0, red(FIRST.lines), text="冲销 记-12")], set()),
        ([FIRST, Spec("9", 0, FIRST.lines, text="手工")], set()),
    ],
)
def test_what_became_of_a_voucher(theirs: list[Spec], expected: set[Kind]) -> None:
    assert findings([FIRST], theirs) == {(kind, 1) for kind in expected}


def changed(at: int, **values: object) -> Spec:
    lines = list(FIRST.lines)
    lines[at] = replace(lines[at], **values)  # type: ignore[arg-type]
    return FIRST.but(lines=tuple(lines))


@pytest.mark.parametrize(
    ("theirs", "expected"),
    [
        (changed(0, account="6602.11"), {Kind.ACCOUNT}),
        (changed(0, amount=Money(9_000, "CNY")), {Kind.AMOUNT}),
        (changed(0, account="6602.11", amount=Money(9_000, "CNY")), {Kind.ACCOUNT, Kind.AMOUNT}),
        (changed(1, side=Side.CREDIT, amount=Money(-600, "CNY")), {Kind.AMOUNT}),
        (changed(0, dimensions=()), {Kind.DIMENSION}),
        (changed(2, dimensions=line(Side.DEBIT, "1", 1, [("employee", "W9")]).dimensions), {Kind.DIMENSION}),
        (changed(0, transaction=Money(1_500, "USD")), {Kind.CURRENCY}),
        (
            changed(0, dimensions=line(Side.DEBIT, "1", 1, [("department", "D1"), ("mood", "x")]).dimensions),
            set(),
        ),
    ],
)
def test_what_differs_in_a_voucher(theirs: Spec, expected: set[Kind]) -> None:
    assert findings([FIRST, SECOND], [theirs, SECOND]) == {(kind, 1) for kind in expected}


@pytest.mark.parametrize(
    "parts",
    [
        [FIRST.but(lines=HALF), Spec("9", 0, HALF, text="拆自 记-1")],
        [FIRST.but(lines=HALF), FIRST.but(ledger_id="9", lines=HALF)],
        [Spec("8", 0, HALF, text="a"), Spec("9", 0, HALF, text="b")],
        [Spec("8", 0, HALF[:1] + HALF[2:], text="x"), Spec("9", 0, (*HALF, HALF[1]), text="x")],
    ],
)
def test_one_of_ours_that_became_several_is_split(parts: list[Spec]) -> None:
    assert findings([FIRST, SECOND], [*parts, SECOND]) == {(Kind.SPLIT, 1)}


@pytest.mark.parametrize(
    "merged",
    [
        FIRST.but(lines=FIRST.lines + SECOND.lines),
        Spec("9", 0, FIRST.lines + SECOND.lines, text="合并 记-1、记-2"),
        Spec("9", 0, FIRST.lines + SECOND.lines, text=""),
    ],
)
def test_several_of_ours_that_became_one_are_merged(merged: Spec) -> None:
    assert findings([FIRST, SECOND], [merged]) == {(Kind.MERGED, 1), (Kind.MERGED, 2)}


def test_a_ledger_that_merges_by_itself_gives_one_id_to_several() -> None:
    ours = [FIRST.but(ledger_id="7"), SECOND.but(ledger_id="7")]
    theirs = [Spec("7", 0, FIRST.lines + SECOND.lines)]
    assert findings(ours, theirs, keeps_keys=False) == {(Kind.MERGED, 1), (Kind.MERGED, 2)}


def test_of_several_copies_the_one_that_we_know_is_compared() -> None:
    edited = changed(0, account="6602.11").but(ledger_id="5")
    copies = [FIRST.but(ledger_id="4"), edited]
    assert findings([FIRST.but(ledger_id="5")], copies) == {(Kind.DUPLICATE_IN_LEDGER, 1), (Kind.ACCOUNT, 1)}


def test_a_voucher_under_anothers_key_is_not_ours_for_its_id() -> None:
    assert findings([FIRST, SECOND], [FIRST.but(ledger_id="2")]) == {(Kind.MISSING_IN_LEDGER, 2)}


def test_a_red_copy_is_no_part_of_a_split() -> None:
    red_copy = Spec("9", 0, red(FIRST.lines), text="冲销 记-1")
    found = matched([FIRST], [FIRST.but(lines=HALF), Spec("8", 0, HALF, text="拆自 记-1"), red_copy])
    assert sorted(found.theirs.vouchers["ledger_id"].gather(found.families["theirs"])) == ["1", "8"]
    assert found.theirs.vouchers["ledger_id"].gather(found.reversals["theirs"]).to_list() == ["9"]


def test_parts_that_do_not_add_up_are_no_split() -> None:
    theirs = [FIRST.but(lines=HALF), Spec("9", 0, HALF[:1] + HALF[2:], text="拆自 记-1")]
    assert findings([FIRST], theirs) == {(Kind.AMOUNT, 1)}


def test_with_something_alike_beside_them_nobody_picks_the_parts_that_would_fit() -> None:
    alike = Spec("7", 0, (HALF[0], line(Side.CREDIT, "1001", 5_000)), text="手工")
    parts = [Spec("8", 0, HALF, text="a"), Spec("9", 0, HALF, text="b")]
    assert findings([FIRST], [*parts, alike]) == {(Kind.MISSING_IN_LEDGER, 1)}


def test_two_alike_without_a_key_are_nobodys() -> None:
    twins = [FIRST.but(number=0, ledger_id="8"), FIRST.but(number=0, ledger_id="9")]
    assert findings([FIRST], twins) == {(Kind.MISSING_IN_LEDGER, 1)}


def test_where_the_ledger_keeps_no_keys_its_ids_decide() -> None:
    theirs = [FIRST, changed(0, account="6602.11").but(ledger_id="2", lines=SECOND.lines)]
    assert findings([FIRST, SECOND], theirs, keeps_keys=False) == set()
    assert findings([FIRST, SECOND], [FIRST], keeps_keys=False) == {(Kind.MISSING_IN_LEDGER, 2)}


def test_others_are_counted_and_their_keys_told() -> None:
    found = matched([FIRST], [FIRST, claim(5), Spec("9", 0, HALF, text="手工")])
    assert found.foreign == 1
    assert found.theirs.vouchers["ledger_id"].gather(found.strange).to_list() == ["5"]


def test_every_kind_has_words_and_stands_in_the_manual() -> None:
    assert set(LABELS) == set(Kind)
    manual = (Path(__file__).parents[3] / "docs/reconciliation.md").read_text("utf-8")
    assert [kind for kind in Kind if f"`{kind.value}`" not in manual] == []


@st.composite
def scenes(draw: st.DrawFn) -> tuple[list[Spec], list[Spec], set[tuple[Kind, int]]]:
    """Our vouchers, what somebody made of them in the ledger, and what must be found; in any order."""
    ours, theirs, expected = [], [], set()
    count = draw(st.integers(1, 8))
    number = 0
    for _ in range(count):
        number += 1
        one = claim(number, 2 * draw(st.integers(50, 500)), 2 * draw(st.integers(1, 50)))
        ours.append(one)
        half = tuple(replace(x, amount=Money(x.amount.minor // 2, "CNY")) for x in one.lines)
        extra = str(1_000 + number)
        what = draw(st.sampled_from(DEEDS))
        if what == "merge":
            number += 1
            other = claim(number, 300, 20)
            ours.append(other)
            theirs.append(one.but(lines=one.lines + other.lines))
            expected |= {(Kind.MERGED, one.number), (Kind.MERGED, other.number)}
            continue
        copies, kind = deeds(one, half, extra)[what]
        theirs += copies
        expected |= {(kind, one.number)} if kind else set()
    for foreign in range(draw(st.integers(0, 3))):
        lines = (line(Side.DEBIT, "6601", 10 + foreign), line(Side.CREDIT, "1002", 10 + foreign))
        theirs.append(Spec(str(5_000 + foreign), 0, lines, text="手工凭证"))
    return draw(st.permutations(ours)), draw(st.permutations(theirs)), expected


def _edit(one: Spec, at: int, **values: object) -> Spec:
    lines = list(one.lines)
    lines[at] = replace(lines[at], **values)  # type: ignore[arg-type]
    return one.but(lines=tuple(lines))


def _more(one: Spec, at: int) -> Spec:
    return _edit(one, at, amount=one.lines[at].amount + Money(3, "CNY"))


def deeds(one: Spec, half: tuple[LedgerLine, ...], extra: str) -> dict[str, tuple[list[Spec], Kind | None]]:
    """What the ledger has of a voucher after somebody's deed, and how that is called."""
    counter = Spec(extra, 0, red(one.lines), text=f"cancels {one.ledger_id}")
    red_copy = Spec(extra, 0, red(one.lines), text=f"冲销 2026-03 {one.name}")
    return {
        "nothing": ([one], None),
        "drop": ([], Kind.MISSING_IN_LEDGER),
        "duplicate": ([one, one.but(ledger_id=extra)], Kind.DUPLICATE_IN_LEDGER),
        "account": ([_edit(one, 0, account="6601.99")], Kind.ACCOUNT),
        "amount": ([_more(_more(one, 0), 2)], Kind.AMOUNT),
        "dimension": ([_edit(one, 2, dimensions=())], Kind.DIMENSION),
        "currency": ([_edit(one, 0, transaction=Money(5, "USD"))], Kind.CURRENCY),
        "date": ([one.but(date=date(2026, 3, 31))], Kind.DATE),
        "draft": ([one.but(state=LedgerVoucherState.DRAFT)], Kind.NOT_POSTED_IN_LEDGER),
        "reverse": ([one.but(state=LedgerVoucherState.REVERSED), counter], Kind.REVERSED_IN_LEDGER),
        "red copy": ([one, red_copy], Kind.REVERSED_IN_LEDGER),
        "no key": ([one.but(number=0)], Kind.REFERENCE),
        "by hand again": ([one.but(number=0, ledger_id=extra)], Kind.REFERENCE),
        "split": ([one.but(lines=half), Spec(extra, 0, half)], Kind.SPLIT),
        "split anew": ([Spec(extra, 0, half), Spec(f"9{extra}", 0, half)], Kind.SPLIT),
    }


DEEDS = ("merge", *deeds(FIRST, HALF, ""))


@given(scenes())
def test_what_was_done_to_each_is_what_is_found(
    scene: tuple[list[Spec], list[Spec], set[tuple[Kind, int]]],
) -> None:
    ours, theirs, expected = scene
    assert findings(ours, theirs) == expected


SMALL = st.builds(
    claim,
    st.integers(1, 3),
    st.sampled_from([2, 4]),
    st.sampled_from([2, 4]),
)


@given(st.lists(SMALL, max_size=4, unique_by=lambda s: s.number), st.lists(SMALL, max_size=5), st.randoms())
def test_the_order_of_rows_never_matters(ours: list[Spec], theirs: list[Spec], random) -> None:
    theirs = [
        spec.but(ledger_id=str(10 + n), number=random.choice([0, spec.number]))
        for n, spec in enumerate(theirs)
    ]
    expected = findings(ours, theirs)
    random.shuffle(ours)
    random.shuffle(theirs)
    assert findings(ours, theirs) == expected


@given(st.lists(SMALL, max_size=4, unique_by=lambda s: s.number), st.lists(SMALL, max_size=5))
def test_families_add_up_and_use_nothing_twice(ours: list[Spec], theirs: list[Spec]) -> None:
    theirs = [spec.but(ledger_id=str(10 + n), number=0) for n, spec in enumerate(theirs)]
    found = matched(ours, theirs).families
    groups: dict[frozenset[int], set[int]] = {}
    for mine, theirs_of in found.group_by("ours").agg("theirs").iter_rows():
        groups.setdefault(frozenset(theirs_of), set()).add(mine)
    for there, mine in groups.items():
        assert 1 in {len(there), len(mine)}
        assert _total([theirs[n] for n in there]) == _total([ours[n] for n in mine])
    used = [n for there in groups for n in there]
    assert len(used) == len(set(used))


def _total(specs: Sequence[Spec]) -> dict[tuple[object, ...], int]:
    sums: dict[tuple[object, ...], int] = {}
    for spec in specs:
        for each in spec.lines:
            effect = (each.account, each.side, each.dimensions)
            sums[effect] = sums.get(effect, 0) + each.amount.minor
    return {effect: total for effect, total in sums.items() if total}
