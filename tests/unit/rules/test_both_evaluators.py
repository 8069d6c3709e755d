"""Compiled to set work or read one document at a time, rules mean the same; and a voucher of either balances."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from polars.testing import assert_frame_equal

from include.rules import Generated
from include.settings import Book
from tests.unit.rules.cases import Row, run
from tests.unit.rules.random_rules import random_book, random_case, random_rules
from tests.unit.rules.reference import Line, Verdict, evaluate
from tests.unit.rules.test_rule_properties import BOOK, MANY, assert_sound, cases, rules_with, templates

RULE_SETS = 40
DOCUMENTS = 250
"""Together ten thousand documents."""

Case = tuple[list[Row], list[Row], list[Row]]


def verdicts_of(made: Generated) -> dict[int, Verdict]:
    """The compiled rules' outcome, in the words of the reference."""
    found: dict[int, Verdict] = defaultdict(Verdict)
    for row in made.problems.iter_rows(named=True):
        found[row["document_pk"]].problems.append(row["code"])
    for pk in made.no_voucher["document_pk"]:
        found[pk].is_silent = True
    for head in made.vouchers.iter_rows(named=True):
        found[head["document_pk"]].vouchers[head["event"]] = (head["word"], [])
    for row in made.lines.iter_rows(named=True):
        found[row["document_pk"]].vouchers[row["event"]][1].append(row)
    return found


def shown(line: Line | Row) -> tuple[object, ...]:
    """A journal line as it is booked and traced."""
    if isinstance(line, Line):
        return (
            line.side, line.account, line.amount, line.currency, line.transaction, line.dimensions, line.summary,
            line.entry, line.table_row, line.source_line_no,
        )  # fmt: skip
    return (
        line["side"], line["account"], line["amount_minor"], line["transaction_currency"], line["transaction_minor"],
        line["dimensions"], line["summary"], line["entry"], line["table_row"], line["source_line_no"],
    )  # fmt: skip


def assert_agreed(rules: object, of: Book, case: Case) -> Counter[str]:
    """Compiled and reference give the same for every document; returns what the documents became."""
    documents, lines, write_offs = case
    compiled = verdicts_of(run(rules, of, *case))  # type: ignore[arg-type]
    kinds: Counter[str] = Counter()
    for document in documents:
        pk = document["id"]
        expected = evaluate(
            rules,  # type: ignore[arg-type]
            of,
            document,
            [row for row in lines if row["document_pk"] == pk],
            [row for row in write_offs if row["document_pk"] == pk],
        )
        got = compiled.get(pk, Verdict())
        assert set(got.problems) == set(expected.problems), pk
        assert got.is_silent == expected.is_silent, pk
        assert set(got.vouchers) == set(expected.vouchers), pk
        for event, (word, own) in expected.vouchers.items():
            assert got.vouchers[event][0] == word
            assert [shown(one) for one in got.vouchers[event][1]] == [shown(one) for one in own], pk
        kinds["problem" if expected.problems else "silent" if expected.is_silent else "voucher"] += 1
    return kinds


@pytest.mark.parametrize("batch", range(4))
def test_ten_thousand_documents_under_random_rules(batch: int) -> None:
    kinds: Counter[str] = Counter()
    for seed in range(batch * RULE_SETS // 4, (batch + 1) * RULE_SETS // 4):
        random = Random(seed)  # noqa: S311  (repeatable)
        of, rules = random_book(random), random_rules(random)
        case = random_case(random, of, DOCUMENTS)
        kinds += assert_agreed(rules, of, case)
        made = run(rules, of, *case)
        assert_sound(made, case[0], of.currency)
        again = run(rules, of, *(random.sample(rows, len(rows)) for rows in case))
        for name in ("vouchers", "lines", "no_voucher", "problems"):
            assert_frame_equal(getattr(made, name), getattr(again, name))
    # A generator that only makes trouble, or none, would prove nothing.
    assert kinds["voucher"] > DOCUMENTS
    assert kinds["problem"] > DOCUMENTS


@MANY
@given(templates(), cases())
def test_any_template_means_the_same(template: object, case: Case) -> None:
    assert_agreed(replace(rules_with(template), input_vat=None), BOOK, case)  # type: ignore[arg-type]


@MANY
@given(cases())
def test_the_shipped_rules_mean_the_same(case: Case) -> None:
    """All but the table of input VAT, which has properties of its own: lines keep the tax that they come with."""
    assert_agreed(replace(rules_with(None), input_vat=None), BOOK, case)
