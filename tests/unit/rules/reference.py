"""What rules mean, one document at a time: slow, plain, and independent of the way it is compiled.

Facts are read from rows as the tests write them (tests/unit/rules/cases.py), one dictionary per document, line and
write-off. A document ends as vouchers, as no voucher, or with the codes of its problems.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

from include.domain.money import MAX_MINOR, currency_decimals
from include.rules import RuleSet
from include.rules.ruleset import Template
from include.rules.schema import PLACEHOLDER, Entry, Predicate
from include.rules.tables import Cell, CellKind, DecisionTable, TableRow
from include.settings import Book, ResidueAccount

Row = Mapping[str, Any]
REFERENCES = ("legal_entity", "department", "submitter", "supplier", "project", "fee_type")
FOREIGN_SETTLEMENTS = ("written_off", "company_paid", "payable", "refund")


class Stopped(Exception):
    """No such line can be made; the argument is the problem's code."""


@dataclass(frozen=True)
class Line:
    """A journal line; the fields are those that a voucher shows, in the order in which lines are compared."""

    entry_index: int
    entry: str
    side: str
    account: str
    amount: int
    currency: str
    transaction: int
    dimensions: str
    summary: str
    source_line_no: int
    portion_no: int
    table_row: int
    day: str = ""


@dataclass
class Verdict:
    """What becomes of a document: vouchers by event, or silence, or problems."""

    vouchers: dict[str, tuple[str, list[Line]]] = field(default_factory=dict)
    is_silent: bool = False
    problems: list[str] = field(default_factory=list)


def evaluate(
    ruleset: RuleSet, book: Book, document: Row, lines: Sequence[Row], write_offs: Sequence[Row]
) -> Verdict:
    """The verdict on one document."""
    unusable = ["rules.missing_date"] * (document["business_date"] is None)
    unusable += ["rules.wrong_currency"] * (document["functional_currency"] != book.currency)
    if unusable:
        return Verdict(problems=unusable)
    fitting = [t for t in ruleset.templates if fits(t, Facts(book, document, lines, write_offs))]
    events = [t.spec.event for t in fitting]
    silent = [t for t in fitting if t.spec.no_voucher]
    if not fitting:
        return Verdict(problems=["rules.no_template"])
    if len(set(events)) < len(events) or 0 < len(silent) < len(fitting):
        return Verdict(problems=["rules.ambiguous_template"])
    if silent:
        return Verdict(is_silent=True)
    verdict = Verdict()
    facts = Facts(book, document, settled(book, document, lines), write_offs)
    for template in fitting:
        made, problems = lines_of(ruleset, book, template, facts)
        verdict.vouchers[template.spec.event] = (template.spec.word, made)
        verdict.problems += problems
    if not verdict.problems:
        for _, made in verdict.vouchers.values():
            verdict.problems += unsound(made)
    if verdict.problems:
        verdict.vouchers.clear()
    return verdict


def unsound(lines: Sequence[Line]) -> list[str]:
    """Why lines are no voucher."""
    if len(lines) < 2:
        return ["rules.no_lines"]
    sums = {side: sum(x.amount for x in lines if x.side == side) for side in ("debit", "credit")}
    amounts = [n for x in lines for n in (x.amount, x.transaction)]
    if any(abs(n) > MAX_MINOR for n in [*amounts, *sums.values()]) or any(
        x.amount * x.transaction < 0 for x in lines
    ):
        return ["rules.amount_out_of_range"]
    currencies = {x.currency for x in lines}
    foreign = sum(x.transaction if x.side == "debit" else -x.transaction for x in lines)
    one_currency = len(currencies) == 1 and "" not in currencies
    if sums["debit"] != sums["credit"] or (one_currency and foreign):
        return ["rules.unbalanced"]
    return []


# -- facts -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Facts:
    """A document and its parts, asked by the names that rules use."""

    book: Book
    document: Row
    lines: Sequence[Row]
    write_offs: Sequence[Row]

    def value(self, path: str, thing: Row | None = None) -> Any:
        """A fact for conditions: text, minor units, or None where it is missing."""
        scope, _, name = path.partition(".")
        row = self.document if scope == "document" else thing or {}
        if name.startswith("properties."):
            return json.loads(row["properties"]).get(name.removeprefix("properties.")) or None
        if name == "is_own":
            return self.is_own(scope, row)
        if name in REFERENCES:
            found = row[f"{name}_code"] or row[f"{name}_id"] or None
        elif name in ("has_write_off", "has_company_paid", "has_payable"):
            column = {"has_write_off": "written_off_minor"}.get(name, f"{name.removeprefix('has_')}_minor")
            found = "yes" if row[column] else "no"
        else:
            columns = {
                "document": {n: f"{n}_minor" for n in ("gross", "written_off", "company_paid", "payable")},
                "line": {"gross": "functional_minor", "deductible_tax": "tax_minor"},
                "write_off": {"loan": "loan_document_id", "amount": "amount_minor"},
            }[scope]
            found = row[columns.get(name, name)]
            if isinstance(found, date):
                found = found.isoformat()
            found = None if found == "" else found
        if found is None and scope == "line" and name in ("department", "project", "legal_entity"):
            return self.value(f"document.{name}")
        return found

    def is_own(self, scope: str, row: Row) -> str:
        identity, code = row["legal_entity_id"], row["legal_entity_code"]
        if not identity and not code:
            if scope == "line":
                return self.is_own("document", self.document)
            return "yes" if self.book.receives_unassigned else "no"
        return "yes" if {identity, code} & set(self.book.legal_entities) else "no"

    def name(self, path: str, thing: Row | None = None) -> str:
        """A fact for people: a name rather than a code."""
        scope, _, name = path.partition(".")
        if path == "document.period":
            return f"{self.document['business_date']:%Y-%m}"
        row = self.document if scope == "document" else thing or {}
        text = row[f"{name}_name"] if name in REFERENCES else ""
        if (
            not text
            and name in REFERENCES
            and scope == "line"
            and not (row[f"{name}_code"] or row[f"{name}_id"])
            and name in ("department", "project", "legal_entity")
        ):
            return self.name(f"document.{name}")
        value = text or self.value(path, thing)
        return "" if value is None else str(value)

    def dimension(self, path: str, thing: Row | None = None) -> tuple[str, str] | None:
        """Code and name, None where the fact is missing."""
        scope, _, name = path.partition(".")
        row = self.document if scope == "document" else thing or {}
        code = row[f"{name}_code"] or row[f"{name}_id"]
        if not code:
            return self.dimension(f"document.{name}") if scope == "line" and name != "fee_type" else None
        return code, row[f"{name}_name"]


def fits(template: Template, facts: Facts) -> bool:
    spec, day = template.spec, facts.document["business_date"]
    return (
        facts.document["kind"] in {kind.value for kind in spec.kinds}
        and (spec.valid_from is None or spec.valid_from <= day)
        and (spec.valid_to is None or day <= spec.valid_to)
        and holds(spec.when, facts, None)
    )


def holds(when: Mapping[str, Predicate], facts: Facts, thing: Row | None) -> bool:
    decimals = currency_decimals(facts.book.currency)
    return all(is_met(p, facts.value(path, thing), decimals) for path, p in when.items())


def is_met(predicate: Predicate, value: Any, decimals: int) -> bool:
    if predicate.is_missing or value is None:
        return bool(predicate.is_missing) and value is None
    if predicate.equals is not None:
        return bool(value == predicate.equals)
    if predicate.any_of is not None:
        return value in predicate.any_of
    if predicate.prefix is not None:
        return str(value).startswith(predicate.prefix)
    if predicate.range is not None:
        major = Decimal(value).scaleb(-decimals)
        start, end = predicate.range.start, predicate.range.end
        return (start is None or start <= major) and (end is None or major <= end)
    return True


# -- amounts -----------------------------------------------------------------------------------------


def half_up(value: Fraction) -> int:
    """To a whole number, a half away from zero."""
    size = int(abs(value) + Fraction(1, 2))
    return size if value >= 0 else -size


def settled(book: Book, document: Row, lines: Sequence[Row]) -> list[Row]:
    """The lines with the conversion residue on one of them, where the book's policy puts it on a line."""
    left = conversion_residue(document, lines)
    if not left or isinstance(book.residue, ResidueAccount):
        return list(lines)
    foreign = [x for x in lines if x["currency"] != document["functional_currency"]]
    number = {id(x): (x["line_no"], x["portion_no"]) for x in foreign}
    if book.residue == "last_line":
        chosen = max(foreign, key=lambda x: number[id(x)])
    else:
        chosen = min(foreign, key=lambda x: (-abs(x["functional_minor"]), number[id(x)]))
    return [{**x, "functional_minor": x["functional_minor"] + left} if x is chosen else x for x in lines]


def conversion_residue(document: Row, lines: Sequence[Row]) -> int:
    """What the document's total has more than its lines, where rounding explains it; else 0."""
    amounts = [x["functional_minor"] for x in lines]
    foreign = sum(
        x["currency"] is not None and x["currency"] != document["functional_currency"] for x in lines
    )
    if not foreign or None in amounts or document["gross_minor"] is None:
        return 0
    left = document["gross_minor"] - sum(amounts)
    return left if abs(left) <= foreign else 0


def measured(entry: Entry, facts: Facts, thing: Row) -> tuple[int | None, str, int | None]:
    """Functional amount, foreign currency ("" where there is none) and foreign amount; None where not known."""
    d = facts.document
    if entry.measure_property:
        return property_amount(facts, entry.measure_property), "", 0
    if entry.for_each == "write_off":
        return thing["amount_minor"], "", 0
    if entry.for_each == "line":
        gross, tax = thing["functional_minor"], thing["tax_minor"]
        total, currency = thing["amount_minor"], thing["currency"]
    else:
        taxes = [x["tax_minor"] for x in facts.lines]
        gross, tax = d["gross_minor"], None if None in taxes else sum(taxes)
        total, currency = d["transaction_gross_minor"], d["currency"]
    is_foreign = currency is not None and currency != d["functional_currency"]
    if entry.measure in FOREIGN_SETTLEMENTS:
        payable = d["payable_minor"]
        amount = {
            "written_off": d["written_off_minor"],
            "company_paid": d["company_paid_minor"],
            "payable": None if payable is None else max(payable, 0),
            "refund": None if payable is None else max(-payable, 0),
        }[entry.measure]
        is_whole = is_foreign and amount is not None and amount == gross
        return amount, currency if is_whole else "", total if is_whole else 0
    foreign = currency if is_foreign else ""
    if entry.measure == "gross":
        return gross, foreign, total if is_foreign else 0
    if gross is None or tax is None:
        known = tax if entry.measure == "deductible_tax" else None
        return known, foreign, None if is_foreign else 0
    share = None
    if total is not None:
        share = half_up(Fraction(abs(total) * abs(tax), abs(gross))) * sign(tax) if gross else 0
    if entry.measure == "deductible_tax":
        return tax, foreign, share if is_foreign else 0
    return gross - tax, foreign, (None if share is None else total - share) if is_foreign else 0


def sign(value: int) -> int:
    return (value > 0) - (value < 0)


def property_amount(facts: Facts, name: str) -> int | None:
    text = str(json.loads(facts.document["properties"]).get(name, "")).strip()
    decimals = currency_decimals(facts.book.currency)
    if not re.fullmatch(r"-?[0-9]{1,18}(\.[0-9]*)?", text):
        return None
    minor = Decimal(text).scaleb(decimals)
    return int(minor) if minor == int(minor) else None


Amount = tuple[int | None, str, int | None]


def amounts(
    template: Template, entry: Entry, facts: Facts, things: Sequence[Row]
) -> tuple[list[Amount | None], int]:
    """What each thing gives (None where the condition does not hold), and what is left for an account of its own."""
    base: list[Amount | None] = [
        measured(entry, facts, thing) if holds(entry.when, facts, thing) else None for thing in things
    ]
    if entry.fraction is not None:
        return shared(base, Fraction(entry.fraction), facts.book, things)
    left_over = 0
    for other in template.spec.less_of(entry):
        parts, left = amounts(template, other, facts, things)
        left_over -= left
        base = [minus(own, part) for own, part in zip(base, parts, strict=True)]
    return base, left_over


def minus(own: Amount | None, part: Amount | None) -> Amount | None:
    if own is None or part is None:
        return own
    amount = None if own[0] is None or part[0] is None else own[0] - part[0]
    if not own[1] or not part[1]:
        return amount, "", 0
    return amount, own[1], None if own[2] is None or part[2] is None else own[2] - part[2]


def shared(
    base: Sequence[Amount | None], fraction: Fraction, book: Book, things: Sequence[Row]
) -> tuple[list[Amount | None], int]:
    """The fraction of each, adding up to the fraction of the whole: functional amounts, and each foreign currency."""
    values = [one and one[0] for one in base]
    taken, left = share_out(values, fraction, book, things)
    foreign: list[int | None] = [one and one[2] for one in base]
    for currency in {one[1] for one in base if one and one[1]}:
        own = [one[2] if one and one[1] == currency else None for one in base]
        for index, value in enumerate(share_out(own, fraction, book, things)[0]):
            if base[index] and base[index][1] == currency:  # type: ignore[index]
                foreign[index] = value
    return [None if one is None else (taken[i], one[1], foreign[i]) for i, one in enumerate(base)], left


def share_out(
    values: Sequence[int | None], fraction: Fraction, book: Book, things: Sequence[Row]
) -> tuple[list[int | None], int]:
    taken = [None if v is None else half_up(v * fraction) for v in values]
    known = [i for i, v in enumerate(values) if v is not None]
    left = half_up(sum(values[i] or 0 for i in known) * fraction) - sum(taken[i] or 0 for i in known)
    if isinstance(book.residue, ResidueAccount):
        return taken, left
    if known:
        number = {i: number_of(things[i]) for i in known}
        if book.residue == "last_line":
            chosen = max(known, key=lambda i: number[i])
        else:
            chosen = min(known, key=lambda i: (-abs(values[i] or 0), number[i]))
        taken[chosen] = (taken[chosen] or 0) + left
    return taken, 0


def number_of(thing: Row) -> tuple[int, int]:
    if "seq" in thing:
        return 0, thing["seq"]
    return thing.get("line_no", 0), thing.get("portion_no", 0)


# -- lines -------------------------------------------------------------------------------------------


def lines_of(ruleset: RuleSet, book: Book, template: Template, facts: Facts) -> tuple[list[Line], list[str]]:
    """The lines of a template in their order, and what stopped some of them."""
    made: list[Line] = []
    problems: list[str] = []
    for index, entry in enumerate(template.spec.lines):
        own, found = entry_lines(ruleset, book, template, index, entry, facts)
        made += merged(own) if entry.merge != "none" else own
        problems += found
        made += left_over(ruleset, book, template, index, entry, facts)
    made = [signed(template, line) for line in made]
    made += conversion_line(ruleset, book, facts, made)
    return sorted(made, key=in_order), problems


def things_of(entry: Entry, facts: Facts) -> Sequence[Row]:
    return {"document": [{}], "line": facts.lines, "write_off": facts.write_offs}[entry.for_each.value]


def entry_lines(
    ruleset: RuleSet, book: Book, template: Template, index: int, entry: Entry, facts: Facts
) -> tuple[list[Line], list[str]]:
    made, problems = [], []
    things = things_of(entry, facts)
    for thing, amount in zip(things, amounts(template, entry, facts, things)[0], strict=True):
        if amount is None:
            continue
        if amount[0] is None or (amount[1] and amount[2] is None):
            problems.append("rules.missing_amount")
        if not amount[0]:
            continue
        try:
            account, row, kinds = account_of(ruleset, entry, facts, thing)
        except Stopped as stopped:
            problems.append(stopped.args[0])
            continue
        dimensions, lacking = dimensions_of(entry, kinds, facts, thing)
        problems += ["rules.missing_dimension"] * lacking
        is_foreign = bool(amount[1]) and bool(amount[2])
        made.append(
            Line(
                index, entry.name, entry.side.value, account, amount[0],
                amount[1] if is_foreign else "", amount[2] or 0 if is_foreign else 0,
                json.dumps(dimensions, ensure_ascii=False, separators=(",", ":")),
                summary_of(template, entry, facts, thing), *number_of(thing), row,
                facts.value("line.occurred_on", thing) or "" if entry.merge == "day" else "",
            )
        )  # fmt: skip
    return made, problems


def account_of(
    ruleset: RuleSet, entry: Entry, facts: Facts, thing: Row
) -> tuple[str, int, frozenset[str] | None]:
    """Account, row that gave it, and the kinds of dimensions that the row names (None: it names none)."""
    if entry.account.key is not None:
        keyed = ruleset.accounts[entry.account.key]
        return keyed.account, keyed.row, None
    table = ruleset.tables[entry.account.table or ""]
    row = winning_row(table, facts, thing)
    return row.account, row.row, row.dimensions


def winning_row(table: DecisionTable, facts: Facts, thing: Row) -> TableRow:
    day, decimals = facts.document["business_date"], currency_decimals(facts.book.currency)
    fitting = [
        row
        for row in table.rows
        if (row.valid_from is None or row.valid_from <= day)
        and (row.valid_to is None or day <= row.valid_to)
        and all(
            cell_fits(cell, facts.value(fact.path, thing), decimals)
            for fact, cell in zip(table.conditions, row.cells, strict=True)
        )
    ]
    if not fitting:
        raise Stopped("rules.no_row")
    best = [row for row in fitting if rank(row) == max(map(rank, fitting))]
    if len(best) > 1:
        raise Stopped("rules.ambiguous_row")
    return best[0]


def rank(row: TableRow) -> tuple[int, int, int]:
    conditions = [cell for cell in row.cells if cell.kind is not CellKind.ANY]
    exact = [cell for cell in conditions if cell.kind is CellKind.VALUES and len(cell.values) == 1]
    return row.priority, len(conditions), len(exact)


def cell_fits(cell: Cell, value: Any, decimals: int) -> bool:
    match cell.kind:
        case CellKind.ANY:
            return True
        case CellKind.PRESENT:
            return value is not None
        case CellKind.VALUES:
            return ("" if value is None else value) in cell.values
        case CellKind.PREFIX:
            return value is not None and str(value).startswith(cell.values[0])
        case CellKind.RANGE:
            if value is None:
                return False
            major = Decimal(value).scaleb(-decimals)
            return (cell.start is None or cell.start <= major) and (cell.end is None or major <= cell.end)


def dimensions_of(
    entry: Entry, kinds: frozenset[str] | None, facts: Facts, thing: Row
) -> tuple[list[list[str]], int]:
    """The dimensions by kind, and how many are lacking."""
    found: dict[str, list[str]] = {}
    lacking = 0
    for kind, path in {**entry.dimensions, **entry.optional_dimensions}.items():
        if kinds is not None and kind not in kinds:
            continue
        value = facts.dimension(path, thing)
        if value is not None:
            found[kind] = [kind, *value]
        elif kinds is not None or kind in entry.dimensions:
            lacking += 1
    for kind, fixed in entry.fixed_dimensions.items():
        if kinds is None or kind in kinds:
            found[kind] = [kind, fixed.code, fixed.name]
    return [found[kind] for kind in sorted(found)], lacking


def summary_of(template: Template, entry: Entry, facts: Facts, thing: Row) -> str:
    text = PLACEHOLDER.sub(lambda m: facts.name(m[1], thing), template.spec.summary_of(entry))
    return re.sub(r"[\x00-\x1f\x7f]+", " ", text)[:200].strip()


def merged(lines: Sequence[Line]) -> list[Line]:
    groups: dict[tuple[str, ...], list[Line]] = {}
    for line in lines:
        groups.setdefault((line.account, line.dimensions, line.currency, line.day), []).append(line)
    result = []
    for group in groups.values():
        numbers = {line.source_line_no for line in group}
        amount = sum(line.amount for line in group)
        if amount:
            result.append(
                Line(
                    group[0].entry_index, group[0].entry, group[0].side, group[0].account, amount,
                    group[0].currency, sum(line.transaction for line in group), group[0].dimensions,
                    group[0].summary, numbers.pop() if len(numbers) == 1 else 0,
                    min(line.portion_no for line in group), min(line.table_row for line in group), group[0].day,
                )
            )  # fmt: skip
    return result


def signed(template: Template, line: Line) -> Line:
    if not template.spec.lines[line.entry_index].red:
        return line
    return Line(**{**vars(line), "amount": -line.amount, "transaction": -line.transaction})


def left_over(
    ruleset: RuleSet, book: Book, template: Template, index: int, entry: Entry, facts: Facts
) -> Iterator[Line]:
    """The line for what fractions leave, where the book keeps that on an account of its own."""
    things = things_of(entry, facts)
    taken, left = amounts(template, entry, facts, things)
    if left and any(one is not None for one in taken):
        yield residue_line(ruleset, book, facts, index, entry.name, entry.side.value, left)


def conversion_line(ruleset: RuleSet, book: Book, facts: Facts, made: Sequence[Line]) -> Iterator[Line]:
    if not isinstance(book.residue, ResidueAccount):
        return
    left = conversion_residue(facts.document, facts.lines)
    difference = sum(x.amount if x.side == "debit" else -x.amount for x in made)
    if left and abs(difference) == abs(left):
        side = "debit" if difference < 0 else "credit"
        yield residue_line(ruleset, book, facts, -1, "residue", side, abs(difference))


def residue_line(
    ruleset: RuleSet, book: Book, facts: Facts, index: int, entry: str, side: str, amount: int
) -> Line:
    assert isinstance(book.residue, ResidueAccount)
    keyed = ruleset.accounts[book.residue.account]
    summary = f"尾差 {facts.name('document.code')}"
    return Line(index, entry, side, keyed.account, amount, "", 0, "[]", summary, 0, 0, keyed.row)


def in_order(line: Line) -> tuple[Any, ...]:
    """Debits first, then as the template lists them, then by source line, account, dimensions."""
    return (
        line.side != "debit", line.entry_index, line.source_line_no, line.portion_no,
        line.account, line.dimensions, line.currency, line.day,
    )  # fmt: skip
