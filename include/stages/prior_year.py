"""Blue correcting vouchers (蓝字更正): what is wrong in a year that is closed is put right in an open period of a later one.

The difference between what the books hold and what they should hold is entered in black on the sides where it belongs,
never in red; what would go to profit and loss goes to the account for prior years (以前年度损益调整) instead, so the result
of the current year stays clean.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from include.domain.voucher import Side
from include.rules.entries import SUMMARY_LENGTH
from include.stages.drafting import JOURNAL, Row

Key = tuple[str, tuple[tuple[str, str], ...], str]
"""Account, dimensions by kind and code, foreign currency or empty."""
SidedKey = tuple[str, Key]


def effect(lines: Sequence[Row]) -> dict[SidedKey, tuple[int, int]]:
    """What lines add up to on each side of each account: functional and foreign minor units, nothing that is zero."""
    totals: dict[SidedKey, tuple[int, int]] = {}
    for line in lines:
        key = (str(line["side"]), _key(line))
        amount, foreign = totals.get(key, (0, 0))
        totals[key] = (amount + line["amount_minor"], foreign + line["transaction_minor"])
    return {key: total for key, total in totals.items() if total != (0, 0)}


def _key(line: Row) -> Key:
    dimensions = tuple(sorted((kind, code) for kind, code, _ in json.loads(line["dimensions"])))
    return line["account"], dimensions, line["transaction_currency"]


@dataclass(frozen=True, slots=True)
class PriorYear:
    """How a book corrects closed years: `account` takes what belongs on accounts that begin with one of `prefixes`."""

    account: str
    prefixes: tuple[str, ...]

    def moved(self, lines: Sequence[Row]) -> list[Row]:
        """The same lines, with those of profit and loss on the account for prior years, without dimensions there."""
        plain = {
            "account": self.account,
            "dimensions": "[]",
            "transaction_currency": "",
            "transaction_minor": 0,
        }
        return [{**line, **plain} if line["account"].startswith(self.prefixes) else line for line in lines]

    def is_same(self, there: Sequence[Row], wanted: Sequence[Row]) -> bool:
        """Whether nothing is left to correct."""
        return not self.difference(there, wanted, "")

    def difference(self, there: Sequence[Row], wanted: Sequence[Row], opening: str) -> list[dict[str, Any]]:
        """The lines of the voucher that makes `there` into `wanted`; summaries begin with `opening`.

        Where the functional and the foreign amount of an account change in different directions, what was there is taken
        back and what is wanted is entered by lines of their own: one line could not hold both.
        """
        old, new = self.moved(there), self.moved(wanted)
        found: list[dict[str, Any]] = []
        for key in dict.fromkeys(_key(line) for line in [*new, *old]):
            before = [line for line in old if _key(line) == key]
            after = [line for line in new if _key(line) == key]
            entries = [(line, 1) for line in after] + [(line, -1) for line in before]
            amount, foreign = (
                sum(sign * _signed(line, name) for line, sign in entries)
                for name in ("amount_minor", "transaction_minor")
            )
            if amount * foreign > 0 or (amount and not foreign):
                found.append(_entry(entries[0][0], amount, foreign, opening))
            elif amount or foreign:
                found += _apart(entries, opening)
        return sorted(found, key=lambda line: line["side"] != Side.DEBIT)


def _apart(entries: Sequence[tuple[Row, int]], opening: str) -> Iterator[dict[str, Any]]:
    for line, sign in entries:
        amount, foreign = sign * _signed(line, "amount_minor"), sign * _signed(line, "transaction_minor")
        yield _entry(line, amount, foreign, opening)


def _signed(line: Row, name: str) -> int:
    """Positive on the debit side."""
    return int(line[name] if line["side"] == Side.DEBIT else -line[name])


def _entry(like: Row, amount: int, foreign: int, opening: str) -> dict[str, Any]:
    side = Side.DEBIT if amount > 0 else Side.CREDIT
    kept: Mapping[str, Any] = {name: like[name] for name in JOURNAL}
    return {
        **kept,
        "side": side.value,
        "amount_minor": abs(amount),
        "transaction_minor": abs(foreign),
        "summary": f"{opening}{like['summary']}"[:SUMMARY_LENGTH],
    }
