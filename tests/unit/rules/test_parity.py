"""Parity: every way in which a ledger may say something else is named by its own cause, whoever wrote the voucher."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from random import Random

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.rules.mentions import cited_codes
from include.rules.parity import (
    HEADS,
    LINES,
    MENTIONS,
    SEPARATOR,
    Cause,
    Evidence,
    Pair,
    ParityReport,
    Span,
    Vouchers,
    compare,
)
from tests.unit.rules.cases import document, example, line, run

BOOK, RULES = example("acme")
MARCH = Span(date(2026, 3, 1), date(2026, 3, 31))
SPRING = Span(date(2026, 2, 1), date(2026, 4, 30))
TAX = "2221.01.01"


@dataclass(frozen=True)
class Leg:
    """A line: `debit 6602.10 100.00`, with what a test cares about beyond that."""

    side: str
    account: str
    amount: int
    values: tuple[str, ...] = ()
    currency: str = ""
    foreign: int = 0
    rule: str = ""


@dataclass(frozen=True)
class Slip:
    """A voucher on either side. `name` is the document's code here, the number there."""

    name: str
    day: date
    legs: tuple[Leg, ...]
    text: str = ""
    key: str = ""
    event: str = ""
    is_reversed: bool = False


def side(slips: Sequence[Slip], *, ours: bool, order: Random | None = None) -> Vouchers:
    """Frames of slips, their rows in any order."""
    heads, lines, mentions = [], [], []
    for number, slip in enumerate(slips):
        code, period = slip.name if ours else "", slip.day.strftime("%Y-%m")
        heads.append((number, slip.name, slip.key, code, slip.event, slip.day, period, slip.is_reversed))
        lines += [
            (
                number,
                leg.side,
                leg.account,
                leg.amount,
                leg.currency,
                leg.foreign,
                SEPARATOR.join(leg.values),
                leg.rule,
            )
            for leg in slip.legs
        ]
        mentions += [] if ours else [(number, slip.text)]
    for rows in (heads, lines, mentions):
        if order:
            order.shuffle(rows)
    return Vouchers(
        pl.DataFrame(heads, schema=HEADS, orient="row"),
        pl.DataFrame(lines, schema=LINES, orient="row"),
        pl.DataFrame(mentions, schema=MENTIONS, orient="row"),
    )


def report(
    ours: Sequence[Slip],
    theirs: Sequence[Slip],
    span: Span = SPRING,
    order: Random | None = None,
    **more: object,
) -> ParityReport:
    return compare(
        side(ours, ours=True, order=order),
        side(theirs, ours=False, order=order),
        span,
        book="acme",
        currency="CNY",
        tax_accounts=[TAX],
        **more,  # type: ignore[arg-type]
    )


def only(found: ParityReport) -> Pair:
    assert len(found.pairs) == 1, found.pairs
    return found.pairs[0]


def taxi(name: str = "B26000001", day: int = 10, amount: int = 10_600, **more: object) -> Slip:
    """A claim with tax, paid to an employee."""
    legs = (
        Leg("debit", "6602.10", amount - 600, ("department=D01",), rule="tables/acme/expense_accounts.csv:4"),
        Leg("debit", TAX, 600, rule="tables/acme/accounts.csv:7"),
        Leg("credit", "2241.03", amount, ("employee=E1",), rule="tables/acme/accounts.csv:9"),
    )
    return replace(Slip(name, date(2026, 3, day), legs, event="expense_claim"), **more)  # type: ignore[arg-type]


def booked(slip: Slip, number: str = "记-1", **more: object) -> Slip:
    """The same voucher in the ledger, without a word about its document."""
    return replace(slip, **{"name": number, "event": "", "text": "员工报销", **more})  # type: ignore[arg-type]


def with_leg(slip: Slip, at: int, **more: object) -> Slip:
    legs = list(slip.legs)
    legs[at] = replace(legs[at], **more)  # type: ignore[arg-type]
    return replace(slip, legs=tuple(legs))


# -- how vouchers are recognised ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "is_named"),
    [
        ("报销B26000001差旅费", True),
        ("b26000001", True),
        ("Ｂ２６０００００１，员工一", True),
        ("B26000001/B26000002", True),
        ("(B26000001)", True),
        ("B26000001-差旅费", True),
        ("B260000012", False),
        ("XB26000001", False),
        ("B26000001-2", False),
        ("B26000001.5", False),
        ("A-B26000001", False),
        ("差旅费", False),
    ],
)
def test_a_code_is_a_whole_word(text: str, is_named: bool) -> None:
    mentions = pl.DataFrame([(7, text)], schema=MENTIONS, orient="row")
    found = cited_codes(mentions, pl.Series(["B26000001"]))
    assert found["voucher"].to_list() == ([7] if is_named else [])


def test_short_codes_are_not_looked_for() -> None:
    mentions = pl.DataFrame([(7, "10月房租")], schema=MENTIONS, orient="row")
    assert cited_codes(mentions, pl.Series(["10"])).is_empty()


def test_the_code_decides_whatever_the_content() -> None:
    mine = [taxi("B26000001"), taxi("B26000002", amount=20_600)]
    theirs = [
        booked(mine[1], "记-1", text="B26000001"),
        booked(mine[0], "记-2", text="B26000002"),
    ]
    found = report(mine, theirs)
    assert [(p.ours, p.theirs, p.cause, p.evidence) for p in found.pairs] == [
        (("B26000002",), ("记-2",), Cause.AMOUNT, Evidence.CODE),
        (("B26000001",), ("记-1",), Cause.AMOUNT, Evidence.CODE),
    ]
    assert [p.difference_minor for p in found.pairs] == [10_000, -10_000]


def test_a_payment_that_names_a_document_is_not_its_voucher() -> None:
    mine = taxi()
    paid = Slip(
        "记-9",
        date(2026, 3, 12),
        (Leg("debit", "2241.03", 10_600, ("employee=E1",)), Leg("credit", "1002", 10_600)),
        text="支付 B26000001",
    )
    wrong = with_leg(booked(mine, text="B26000001"), 0, account="6602.03")
    found = report([mine], [paid, wrong])
    assert [(p.cause, p.theirs, p.detail) for p in found.pairs] == [
        (Cause.ONLY_THEIRS, ("记-9",), "B26000001"),
        (Cause.ACCOUNT, ("记-1",), "B26000001"),
    ]


def test_what_names_a_document_is_never_taken_for_another() -> None:
    found = report(
        [taxi("B26000001")], [booked(taxi(), text="B26000009")], silent={"B26000009": "rules.no_row"}
    )
    assert [(p.cause, p.detail) for p in found.pairs] == [
        (Cause.ONLY_OURS, ""),
        (Cause.ONLY_THEIRS, "B26000009: rules.no_row"),
    ]


def test_keys_find_each_other_and_count_all_revisions() -> None:
    mine = taxi(key="hesi/ID_1/expense_claim")
    first = booked(taxi(amount=5_600, key=mine.key))
    back = replace(first, name="记-2", legs=tuple(replace(leg, amount=-leg.amount) for leg in first.legs))
    pair = only(report([mine], [first, back, booked(mine, "记-3")]))
    assert (pair.cause, pair.evidence) == (Cause.GROUPING, Evidence.KEY)
    assert pair.theirs == ("记-1", "记-2", "记-3")


def test_posted_twice_is_an_amount() -> None:
    mine = taxi(key="hesi/ID_1/expense_claim")
    pair = only(report([mine], [booked(mine), booked(mine, "记-2")]))
    assert (pair.cause, pair.difference_minor) == (Cause.AMOUNT, -10_600)


def test_alike_on_both_sides_are_interchangeable() -> None:
    mine = [taxi(f"B2600000{n}") for n in (1, 2, 3)]
    found = report(mine, [booked(taxi(), f"记-{n}") for n in (1, 2, 3)])
    assert {(p.cause, p.evidence, p.detail) for p in found.pairs} == {
        (Cause.EQUAL, Evidence.INTERCHANGEABLE, "3 = 3")
    }
    assert found.voucher_rate == 100


def test_more_alike_here_than_there_is_not_guessed() -> None:
    found = report([taxi(f"B2600000{n}") for n in (1, 2, 3)], [booked(taxi(), f"记-{n}") for n in (1, 2)])
    assert {(p.cause, p.evidence) for p in found.pairs} == {(Cause.AMBIGUOUS, Evidence.SEVERAL)}
    assert (
        sorted(p.detail for p in found.pairs) == ["B26000001, B26000002, B26000003"] * 2 + ["记-1, 记-2"] * 3
    )


def test_the_same_total_of_another_person_is_another_voucher() -> None:
    stranger = with_leg(
        with_leg(booked(taxi(day=11)), 2, values=("employee=E2",)), 0, values=("department=D09",)
    )
    assert sorted(p.cause for p in report([taxi()], [stranger]).pairs) == [Cause.ONLY_OURS, Cause.ONLY_THEIRS]


def test_two_of_a_day_that_add_up_belong_to_one_unless_dimensions_say_otherwise() -> None:
    mine = [taxi("B26000001"), taxi("B26000002", amount=20_600), taxi("B26000003", amount=90_600)]
    both = Slip(
        "记-1",
        date(2026, 3, 10),
        (
            Leg("debit", "6602.10", 30_000, ("department=D01",)),
            Leg("debit", TAX, 1_200),
            Leg("credit", "2241.03", 31_200, ("employee=E1",)),
        ),
    )
    found = report(mine, [both])
    assert [(p.cause, p.ours) for p in found.pairs] == [
        (Cause.ONLY_OURS, ("B26000003",)),
        (Cause.GROUPING, ("B26000001", "B26000002")),
    ]
    stranger = with_leg(with_leg(both, 0, values=("department=D09",)), 2, values=("employee=E9",))
    assert Cause.GROUPING not in {p.cause for p in report(mine, [stranger]).pairs}


def test_what_the_ledger_reversed_is_set_aside_with_its_counter_voucher() -> None:
    there = booked(taxi(), is_reversed=True)
    counter = Slip("记-2", date(2026, 3, 20), tuple(replace(leg, amount=-leg.amount) for leg in there.legs))
    found = report([taxi()], [there, counter])
    assert [p.cause for p in found.pairs] == [Cause.ONLY_OURS]
    assert (found.reversed_there, found.theirs) == (2, 0)


# -- causes ---------------------------------------------------------------------------------------------------------


def test_one_wrong_row_is_one_pattern() -> None:
    mine = [taxi(f"B2600{n:04d}", amount=10_600 + n) for n in range(41)]
    theirs = [
        with_leg(booked(slip, f"记-{n}", text=slip.name), 0, account="6602.03") for n, slip in enumerate(mine)
    ]
    found = report(mine, theirs)
    (pattern,) = found.patterns
    assert (pattern.text, pattern.rules) == ("6602.10 → 6602.03", "tables/acme/expense_accounts.csv:4")
    assert (pattern.pairs, pattern.amount_minor) == (41, sum(slip.legs[0].amount for slip in mine))


def test_two_rows_for_one_account_are_told_apart_by_the_amount() -> None:
    mine = taxi()
    second = Leg("debit", "6602.10", 3_000, ("department=D02",), rule="tables/acme/expense_accounts.csv:8")
    mine = replace(with_leg(mine, 2, amount=13_600), legs=(*with_leg(mine, 2, amount=13_600).legs, second))
    theirs = with_leg(booked(mine, text=mine.name), 3, account="6602.04")
    (pattern,) = report([mine], [theirs]).patterns
    assert (pattern.text, pattern.rules) == ("6602.10 → 6602.04", "tables/acme/expense_accounts.csv:8")


def test_tax_that_was_not_split_off() -> None:
    mine = taxi()
    there = replace(
        booked(mine, text=mine.name),
        legs=(Leg("debit", "6602.10", 10_600, ("department=D01",)), mine.legs[2]),
    )
    pair = only(report([mine], [there]))
    assert (pair.cause, pair.also) == (Cause.TAX, ())


def test_gross_on_another_account_is_account_and_tax() -> None:
    mine = taxi()
    there = replace(
        booked(mine, text=mine.name),
        legs=(Leg("debit", "6602.03", 10_600, ("department=D01",)), mine.legs[2]),
    )
    pair = only(report([mine], [there]))
    assert (pair.cause, pair.also) == (Cause.ACCOUNT, (Cause.TAX,))


def test_a_tax_line_on_another_account_is_a_matter_of_accounts() -> None:
    there = with_leg(booked(taxi(), text="B26000001"), 1, account="2221.08")
    assert only(report([taxi()], [there])).cause is Cause.ACCOUNT


def test_everything_the_other_way_round_is_a_side() -> None:
    mine = taxi()
    swapped = {"debit": "credit", "credit": "debit"}
    there = replace(
        booked(mine, text=mine.name), legs=tuple(replace(leg, side=swapped[leg.side]) for leg in mine.legs)
    )
    assert only(report([mine], [there])).cause is Cause.SIDE
    red = replace(
        booked(mine, text=mine.name), legs=tuple(replace(leg, amount=-leg.amount) for leg in mine.legs)
    )
    assert only(report([mine], [red])).cause is Cause.SIDE


def test_a_cent_on_an_account_of_its_own_is_rounding() -> None:
    mine = taxi()
    there = with_leg(booked(mine, text=mine.name), 0, amount=mine.legs[0].amount - 1)
    there = replace(there, legs=(*there.legs, Leg("debit", "6603.99", 1)))
    assert only(report([mine], [there])).cause is Cause.ROUNDING
    far = with_leg(with_leg(there, 0, amount=mine.legs[0].amount - 9), 3, amount=9)
    assert only(report([mine], [far])).cause is Cause.ACCOUNT


def test_a_move_of_one_cent_is_still_an_account() -> None:
    legs = (Leg("debit", "6602.10", 1), Leg("credit", "1002", 1))
    mine = Slip("B26000001", date(2026, 3, 10), legs)
    there = with_leg(booked(mine, text=mine.name), 0, account="6602.03")
    assert only(report([mine], [there])).cause is Cause.ACCOUNT


def test_the_more_fundamental_cause_comes_first_and_the_others_stay() -> None:
    mine = taxi()
    there = with_leg(booked(taxi(day=12), text=mine.name), 0, account="6602.03", values=("department=D07",))
    pair = only(report([mine], [there]))
    assert (pair.cause, pair.also) == (Cause.ACCOUNT, (Cause.DIMENSION, Cause.DATE))


def test_only_the_span_is_reported_but_neighbours_are_found() -> None:
    mine = [taxi("B26000001", day=31), taxi("B26000002", day=31, amount=20_600)]
    april = replace(booked(mine[0], text="B26000001"), day=date(2026, 4, 2))
    by_hand = booked(taxi(amount=77_700), "记-7", day=date(2026, 4, 2))
    found = report(mine, [april, by_hand], MARCH)
    assert [(p.cause, p.theirs) for p in found.pairs] == [(Cause.ONLY_OURS, ()), (Cause.PERIOD, ("记-1",))]


def test_rates_are_rounded_down_and_grouping_counts() -> None:
    mine = [taxi(f"B2600000{n}", amount=10_600 + n) for n in range(3)]
    theirs = [booked(slip, f"记-{n}", text=slip.name) for n, slip in enumerate(mine)]
    theirs[0] = with_leg(theirs[0], 0, account="6602.03")
    first = theirs[1].legs[0]
    halves = (replace(first, amount=4_000), replace(first, amount=first.amount - 4_000))
    theirs[1] = replace(theirs[1], legs=(*halves, *theirs[1].legs[1:]))
    found = report(mine, theirs)
    assert (found.voucher_rate, found.amount_rate) == (Decimal("66.66"), Decimal("66.66"))
    assert {c.cause: c.pairs for c in found.causes} == {Cause.ACCOUNT: 1, Cause.GROUPING: 1, Cause.EQUAL: 1}


def test_nothing_on_either_side() -> None:
    found = report([], [])
    assert (found.voucher_rate, found.amount_rate, found.pairs, found.causes) == (None, None, (), ())


def test_as_dict_is_json_with_amounts_as_text() -> None:
    text = json.dumps(report([taxi()], []).as_dict())
    assert json.loads(text)["pairs"] == [
        {
            "ours": ["B26000001"],
            "theirs": [],
            "cause": "only_ours",
            "also": [],
            "evidence": "nothing",
            "detail": "",
            "amount_minor": "10600",
            "difference_minor": "10600",
        }
    ]


# -- any voucher, one known change ----------------------------------------------------------------------------------

Change = Callable[[Random, Slip], list[Slip]]


def _other_day(rng: Random, slip: Slip) -> list[Slip]:
    return [replace(slip, day=slip.day + timedelta(days=rng.choice([-3, -2, -1, 1, 2, 3])))]


def _other_period(rng: Random, slip: Slip) -> list[Slip]:
    return [replace(slip, day=date(2026, 4, rng.randint(1, 20)))]


def _expense(slip: Slip) -> int:
    return next(i for i, leg in enumerate(slip.legs) if leg.account not in {TAX, "1002", "2241.03"})


def _other_account(rng: Random, slip: Slip) -> list[Slip]:
    return [with_leg(slip, _expense(slip), account=rng.choice(["6699.01", "1801"]))]


def _other_department(rng: Random, slip: Slip) -> list[Slip]:
    at = _expense(slip)
    rest = tuple(v for v in slip.legs[at].values if not v.startswith("department="))
    return [with_leg(slip, at, values=tuple(sorted((*rest, "department=D77"))))]


def _other_tax(rng: Random, slip: Slip) -> list[Slip]:
    tax = next(i for i, leg in enumerate(slip.legs) if leg.account == TAX)
    at, moved = _expense(slip), rng.randint(10, slip.legs[tax].amount - 1)
    changed = with_leg(slip, tax, amount=slip.legs[tax].amount - moved)
    return [with_leg(changed, at, amount=slip.legs[at].amount + moved)]


def _cut_a_line(rng: Random, slip: Slip) -> list[Slip]:
    at = _expense(slip)
    leg, part = slip.legs[at], rng.randint(1, slip.legs[at].amount - 1)
    rest = [other for i, other in enumerate(slip.legs) if i != at]
    return [replace(slip, legs=(replace(leg, amount=part), replace(leg, amount=leg.amount - part), *rest))]


def _two_vouchers(rng: Random, slip: Slip) -> list[Slip]:
    at = rng.randrange(len([leg for leg in slip.legs if leg.side == "debit"]))
    (credit,) = [leg for leg in slip.legs if leg.side == "credit"]
    debits = [leg for leg in slip.legs if leg.side == "debit"]
    alone, others = debits[at], [leg for i, leg in enumerate(debits) if i != at]
    return [
        replace(slip, legs=(alone, replace(credit, amount=alone.amount))),
        replace(
            slip, name=slip.name + "b", legs=(*others, replace(credit, amount=credit.amount - alone.amount))
        ),
    ]


def _red_or_other_side(rng: Random, slip: Slip) -> list[Slip]:
    at = rng.randrange(len(slip.legs))
    leg = slip.legs[at]
    swapped = {"debit": "credit", "credit": "debit"}[leg.side]
    return [with_leg(slip, at, side=swapped, amount=-leg.amount)]


def _a_cent(rng: Random, slip: Slip) -> list[Slip]:
    credit = next(i for i, leg in enumerate(slip.legs) if leg.side == "credit")
    at, cent = _expense(slip), rng.choice([-1, 1])
    changed = with_leg(slip, at, amount=slip.legs[at].amount + cent)
    return [with_leg(changed, credit, amount=slip.legs[credit].amount + cent)]


def _more_money(rng: Random, slip: Slip) -> list[Slip]:
    credit = next(i for i, leg in enumerate(slip.legs) if leg.side == "credit")
    at, more = _expense(slip), rng.randint(100, 5_000)
    changed = with_leg(slip, at, amount=slip.legs[at].amount + more)
    return [with_leg(changed, credit, amount=slip.legs[credit].amount + more)]


def _foreign_amount(rng: Random, slip: Slip) -> list[Slip]:
    return [with_leg(slip, _expense(slip), currency="USD", foreign=rng.randint(1, 1_000))]


def _dropped(rng: Random, slip: Slip) -> list[Slip]:
    return []


def _unchanged(rng: Random, slip: Slip) -> list[Slip]:
    return [slip]


CHANGES: dict[
    Change, tuple[Cause, bool]
] = {  # the cause, and whether it is found without the document's code
    _unchanged: (Cause.EQUAL, True),
    _other_day: (Cause.DATE, True),
    _other_period: (Cause.PERIOD, False),
    _other_account: (Cause.ACCOUNT, True),
    _other_department: (Cause.DIMENSION, True),
    _other_tax: (Cause.TAX, True),
    _cut_a_line: (Cause.GROUPING, True),
    _two_vouchers: (Cause.GROUPING, True),
    _red_or_other_side: (Cause.SIDE, True),
    _a_cent: (Cause.ROUNDING, False),
    _more_money: (Cause.AMOUNT, False),
    _foreign_amount: (Cause.CURRENCY, True),
    _dropped: (Cause.ONLY_OURS, True),
}


def generated(count: int, rng: Random) -> list[Slip]:
    """Vouchers that the example rules make of made-up claims: totals differ, and so do the sums of any two."""
    documents, lines = [], []
    for pk in range(1, count + 1):
        total = 10_000 * 3**pk + rng.randrange(5_000)
        cut = rng.randint(2_000, total - 2_000)
        documents.append(
            document(
                pk,
                code=f"B26{pk:06d}",
                gross_minor=total,
                payment_channel="",
                submitter=f"W{pk:04d} 员工",
                business_date=date(2026, 3, rng.randint(5, 25)),
            )
        )
        for no, (amount, fee) in enumerate(((cut, "COST13"), (total - cut, "COST40")), 1):
            tax = amount * 6 // 106
            lines.append(
                line(pk, no, amount, fee_type=fee, department=f"D{rng.randint(1, 5):02d} 部门", tax_minor=tax)
            )
    made = run(RULES, BOOK, documents, lines)
    assert made.problems.is_empty()
    codes = {row["id"]: row["code"] for row in documents}
    return [
        Slip(
            codes[head["document_pk"]],
            head["date"],
            tuple(
                Leg(
                    row["side"],
                    row["account"],
                    row["amount_minor"],
                    tuple(f"{kind}={value}" for kind, value, _ in json.loads(row["dimensions"])),
                    row["transaction_currency"],
                    row["transaction_minor"],
                    f"{row['table_name']}:{row['table_row']}",
                )
                for row in made.lines.filter(document_pk=head["document_pk"]).iter_rows(named=True)
            ),
            event=head["event"],
        )
        for head in made.vouchers.iter_rows(named=True)
    ]


@settings(max_examples=78, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(list(CHANGES)), st.randoms(use_true_random=True), st.booleans())
def test_one_change_is_named_by_its_cause(change: Change, rng: Random, cites: bool) -> None:
    cause, is_found_by_content = CHANGES[change]
    cites = cites or not is_found_by_content
    mine = generated(5, rng)
    target = rng.randrange(len(mine))
    theirs = []
    for number, slip in enumerate(mine):
        there = replace(booked(slip, f"记-{number}"), text=f"报销 {slip.name}" if cites else "报销")
        theirs += change(rng, there) if number == target else [there]
    found = report(mine, theirs, order=rng)
    of_target = [p for p in found.pairs if mine[target].name in p.ours]
    assert [(p.cause, p.also) for p in of_target] == [(cause, ())]
    others = [p for p in found.pairs if p not in of_target]
    assert {p.cause for p in others} == {Cause.EQUAL}
    assert len(others) == len(mine) - 1


@settings(max_examples=15, deadline=None)
@given(st.randoms(use_true_random=True), st.booleans())
def test_documents_of_a_day_in_one_voucher_are_grouping(rng: Random, cites: bool) -> None:
    mine = generated(5, rng)
    mine[1] = replace(mine[1], day=mine[0].day)
    first, second, *rest = (
        booked(slip, f"记-{n}", text=slip.name if cites else "") for n, slip in enumerate(mine)
    )
    together = replace(first, legs=(*first.legs, *second.legs), text=f"{first.text}、{second.text}")
    found = report(mine, [together, *rest], order=rng)
    assert {(p.ours, p.cause) for p in found.pairs if len(p.ours) > 1} == {
        ((mine[0].name, mine[1].name), Cause.GROUPING)
    }
    assert found.voucher_rate == 100


@settings(max_examples=15, deadline=None)
@given(st.randoms(use_true_random=True))
def test_vouchers_without_a_document_are_only_theirs_and_order_never_matters(rng: Random) -> None:
    mine = generated(5, rng)
    salary = Slip(
        "记-99",
        mine[0].day,
        (Leg("debit", "2211", rng.randint(1, 9_999)), Leg("credit", "1002", rng.randint(1, 9_999))),
    )
    salary = with_leg(salary, 1, amount=salary.legs[0].amount)
    theirs = [*(booked(slip, f"记-{n}") for n, slip in enumerate(mine)), salary]
    found = report(mine, theirs, order=rng)
    assert [p.theirs for p in found.pairs if p.cause is Cause.ONLY_THEIRS] == [("记-99",)]
    assert found.voucher_rate == 100
    again = list(range(len(theirs)))
    rng.shuffle(again)
    assert report(mine[::-1], [theirs[i] for i in again]) == found
