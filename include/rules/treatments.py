"""The reserved table of input VAT, `tables/<book>/input_vat.csv` or `.xlsx`: how each invoice's deductible tax is found.

It is a decision table (tables.py) over facts of an invoice, its line and its document, with the column `treatment`
instead of an account:

    printed        the tax printed on the invoice, or what the OA takes for deductible
    fare 9%        the tax contained in the fare: (claimed - exempt part) / 1.09 x 0.09
    none           nothing

Dates of rows are compared with the invoice's own day (of issue or travel), where it has none with its line's, where
that has none with the voucher date.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

from include.config_files import capped
from include.rules import facts
from include.rules.tables import DecisionTable, read_table

INPUT_VAT = "input_vat"
OUTPUT = "treatment"
PRINTED, NONE, FARE = "printed", "none", "fare"
LINE_FACTS = ("line.fee_type", "line.currency", "line.description", "line.occurred_on")
"""Facts that all portions of a line share: an invoice belongs to a whole line."""
_FARE = re.compile(r"fare\s+([0-9]{1,2}(?:\.[0-9]{1,4})?)\s*[%％]", re.ASCII)


@dataclass(frozen=True, slots=True)
class Treatment:
    """How the deductible tax of an invoice is found; `rate` is given for FARE alone, 9 % is 9/100."""

    kind: str
    rate: Fraction = Fraction(0)

    def __str__(self) -> str:
        """The one way in which it is written: `fare 9%`."""
        return (
            f"{FARE} {(Decimal(self.rate.numerator * 100) / self.rate.denominator).normalize():f}%"
            if self.rate
            else self.kind
        )


def treatment(text: str) -> Treatment:
    """Read a cell of the column `treatment`.

    Raises:
        ValueError: it is none of the words, or a rate that is zero or has more than four decimals.
    """
    if text in (PRINTED, NONE):
        return Treatment(text)
    match = _FARE.fullmatch(text)
    rate = Fraction(match[1]) / 100 if match else Fraction(0)
    if not rate:
        raise ValueError(
            f"{text!r} 应写作 printed（票面税额）、none（不抵扣）或 fare 9%（按票价计算） / write printed, none, or a rate such as fare 9%"
        )
    return Treatment(FARE, rate)


def allowed_facts() -> tuple[str, ...]:
    """What the table may ask for, for messages."""
    return (*facts.names_of("invoice"), *LINE_FACTS, *facts.names_of("document"))


def read_input_vat(path: Path, problems: list[str]) -> DecisionTable | None:
    """The table, each row's treatment in `TableRow.account`, written in one way. None where it cannot be used.

    What is wrong is added to `problems`, each with file, row and column.
    """
    table = read_table(path, problems, output=OUTPUT)
    if table is None:
        return None
    found = list(_misplaced(path, table))
    rows = []
    for row in table.rows:
        try:
            rows.append(replace(row, account=str(treatment(row.account))))
        except ValueError as error:
            found.append(f"{path} 第 {row.row} 行: {OUTPUT}: {error} (row {row.row})")
    problems += capped(path, found)
    return replace(table, rows=tuple(rows))


def _misplaced(path: Path, table: DecisionTable) -> Iterator[str]:
    """Columns that other tables may have and this one may not."""
    for condition in table.conditions:
        if condition.scope == "write_off" or (condition.scope == "line" and condition.path not in LINE_FACTS):
            known = "、".join(allowed_facts())
            yield (
                f"{path}: {condition.path} 不能作为进项税额的条件（发票属于整条明细），删去此列，可选：{known} / an invoice belongs to a "
                f"whole line, {condition.path} is no condition here: delete the column, choose from: {known}"
            )
    if any(row.dimensions is not None for row in table.rows):
        yield f"{path}: 此表没有 dimensions 列，请删去 / this table has no column dimensions, delete it"
