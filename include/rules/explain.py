"""Why a journal line is as it is: the template, the table's row, the source fields and the arithmetic, for people.

Nothing is computed a second time: the rules run again over the one document with merging switched off, so that every
line shows the parts it was merged from, and the words only say what those numbers are made of.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import polars as pl

from include.domain.money import currency_decimals, format_minor, to_decimal
from include.rules.amounts import with_amounts
from include.rules.compile import generate
from include.rules.entries import entry_lines
from include.rules.facts import Measure, Scope, is_reference
from include.rules.findings import WORDS
from include.rules.frames import Sources
from include.rules.prepare import DAY, Needs, Prepared, prepare
from include.rules.residue import half_up_int
from include.rules.ruleset import RuleSet, Template
from include.rules.schema import Entry, Predicate
from include.rules.tables import Cell, CellKind
from include.settings import Book

Row = Mapping[str, Any]

_TAXES = (Measure.DEDUCTIBLE_TAX, Measure.NET_OF_DEDUCTIBLE_TAX)
MEASURES = {
    "gross": ("金额", "gross"),
    "deductible_tax": ("可抵扣税额", "deductible tax"),
    "net_of_deductible_tax": ("不含税金额", "net of deductible tax"),
    "written_off": ("核销借款", "loan written off"),
    "company_paid": ("企业已付", "paid by the company"),
    "payable": ("应付余额", "payable"),
    "refund": ("应退回", "to be returned"),
}


@dataclass(frozen=True, slots=True)
class Words:
    """The same in Chinese and in English."""

    zh: str
    en: str

    def __str__(self) -> str:
        return f"{self.zh} / {self.en}"


@dataclass(frozen=True, slots=True)
class LineExplanation:
    """One journal line explained; `line_no` and `event` find it in the voucher.

    `template`, `row` say where the rules stand; `conditions` are what held for it; `arithmetic` has a sentence for each
    part that went into its amount, and the sum where there are several; `taxes` one for each invoice whose tax it is of.
    """

    event: str
    line_no: int
    template: Words
    conditions: tuple[Words, ...]
    account: Words
    dimensions: tuple[Words, ...]
    arithmetic: tuple[Words, ...]
    taxes: tuple[Words, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def explain(ruleset: RuleSet, book: Book, sources: Sources) -> list[LineExplanation]:
    """The lines that a rule set makes of one document, each with its reasons; none where it makes no voucher.

    Raises:
        ValueError: `sources` hold several documents.
    """
    if sources.documents.height != 1:
        raise ValueError(f"one document is explained at a time, not {sources.documents.height}")
    made = generate(ruleset, book, sources)
    teller = _Teller(ruleset, book, prepare(ruleset, book, currency_decimals(book.currency), sources))
    return [teller.line(row) for row in made.lines.iter_rows(named=True)]


def _unmerged(ruleset: RuleSet) -> RuleSet:
    templates = tuple(
        replace(
            template,
            spec=template.spec.model_copy(
                update={
                    "lines": [entry.model_copy(update={"merge": "none"}) for entry in template.spec.lines]
                }
            ),
        )
        for template in ruleset.templates
    )
    return replace(ruleset, templates=templates)


class _Teller:
    def __init__(self, ruleset: RuleSet, book: Book, prepared: Prepared) -> None:
        self.ruleset = ruleset
        self.book = book
        self.prepared = prepared
        self.templates = {template.trace_name: (n, template) for n, template in enumerate(ruleset.templates)}
        self.groups: dict[tuple[int, int], list[list[Row]]] = {}

    def line(self, row: Row) -> LineExplanation:
        number, template = self.templates[row["template"]]
        names = [entry.name for entry in template.spec.lines]
        parts = self._parts(number, names.index(row["entry"]), row) if row["entry"] in names else []
        if not parts:
            return self._residue(template, row)
        entry = template.spec.lines[names.index(row["entry"])]
        things = self._things(template, entry)
        found = [things.get((part["source_line_no"], part["portion_no"])) for part in parts]
        if None in found:  # of no line: what fractions leave, on an account of its own
            return self._residue(template, row)
        own = [(part, thing) for part, thing in zip(parts, found, strict=True) if thing is not None]
        first = own[0][1]
        return LineExplanation(
            event=row["event"],
            line_no=row["line_no"],
            template=self._template(template, entry, row),
            conditions=tuple(_conditions(template, entry, first)),
            account=self._account(entry, row, first),
            dimensions=tuple(_dimensions(entry, row)),
            arithmetic=tuple(self._arithmetic(template, entry, row, own)),
            taxes=tuple(self._taxes(entry, {thing["source_line_no"] for _, thing in own})),
        )

    def _parts(self, number: int, index: int, line: Row) -> list[Row]:
        """The unmerged lines that went into a line. Lines of several days may look alike: each group is taken once."""
        if (number, index) not in self.groups:
            rows = entry_lines(
                _unmerged(self.ruleset), self.book, self.prepared, self.prepared.documents, (number, index)
            )[0]
            entry = self.ruleset.templates[number].spec.lines[index]
            is_merged, days = entry.merge != "none", self._days() if entry.merge == "day" else {}
            by: dict[tuple[Any, ...], list[Row]] = {}
            for row in rows.sort("source_line_no", "portion_no").iter_rows(named=True):
                day = days.get((row["source_line_no"], row["portion_no"]))
                alone = () if is_merged else (row["source_line_no"], row["portion_no"])
                key = (row["account"], row["dimensions"], row["transaction_currency"], day, *alone)
                by.setdefault(key, []).append(row)
            self.groups[number, index] = list(by.values())
        same = ("account", "dimensions", "transaction_currency")
        for group in self.groups[number, index]:
            is_it = all(group[0][name] == line[name] for name in same)
            if is_it and sum(part["amount"] for part in group) == line["amount_minor"]:
                self.groups[number, index].remove(group)
                return group
        return []

    def _things(self, template: Template, entry: Entry) -> dict[tuple[int, int], Row]:
        """The facts and amounts of everything that the entry makes a line for, by line and portion number."""
        needs = Needs.of_entry(self.ruleset, template.spec, entry).merged(
            Needs(values=frozenset(p for p in template.spec.when if p.startswith("document.")))
        )
        frame = self.prepared.joined(entry.for_each, self.prepared.documents, needs)
        return {(row["source_line_no"], row["portion_no"]): row for row in frame.iter_rows(named=True)}

    def _days(self) -> dict[tuple[int, int], str]:
        rows = self.prepared.lines.select("source_line_no", "portion_no", DAY).iter_rows()
        return {(line, portion): day for line, portion, day in rows}

    def _template(self, template: Template, entry: Entry, row: Row) -> Words:
        side = {"debit": ("借方", "debit"), "credit": ("贷方", "credit")}[row["side"]]
        red = ("，红字", ", red") if entry.red else ("", "")
        return Words(
            f"模板 {template.spec.title.zh}（{template.file} 第 {row['template_line']} 行 {entry.name}），{side[0]}{red[0]}",
            f"template {template.spec.title.en} ({template.file} line {row['template_line']} {entry.name}), {side[1]}{red[1]}",
        )

    def _account(self, entry: Entry, row: Row, thing: Row) -> Words:
        account, number, file = row["account"], row["table_row"], row["table_name"]
        if entry.account.key is not None:
            return Words(
                f"科目 {account}：{file} 第 {number} 行，键 {entry.account.key}",
                f"account {account}: {file} row {number}, key {entry.account.key}",
            )
        table = self.ruleset.tables[entry.account.table or ""]
        found = next(one for one in table.rows if one.row == number)
        cells = [
            f"{fact.path} = {_shown(thing, fact.path)} ∈ {cell_text(cell)}"
            for fact, cell in zip(table.conditions, found.cells, strict=True)
            if cell.kind is not CellKind.ANY
        ]
        because = "；".join(cells) or "*"
        dates = (
            f" {found.valid_from or ''}..{found.valid_to or ''}" if found.valid_from or found.valid_to else ""
        )
        priority = f" priority {found.priority}" if found.priority else ""
        return Words(
            f"科目 {account}：{file} 第 {number} 行（{because}{dates}{priority}）",
            f"account {account}: {file} row {number} ({because.replace('；', '; ')}{dates}{priority})",
        )

    def _arithmetic(
        self, template: Template, entry: Entry, row: Row, own: Sequence[tuple[Row, Row]]
    ) -> Iterator[Words]:
        sign = -1 if entry.red else 1
        for part, thing in own:
            yield self._part(template, entry, part["amount"] * sign, thing, part)
        if len(own) > 1:
            terms = " + ".join(self._plain(part["amount"] * sign) for part, _ in own)
            total = self._money(row["amount_minor"] * sign)
            yield Words(f"合计 {terms} = {total}", f"sum {terms} = {total}")
        if entry.red:
            total = self._money(row["amount_minor"])
            yield Words(f"红字：{total}", f"red: {total}")

    def _part(self, template: Template, entry: Entry, amount: int, thing: Row, part: Row) -> Words:
        """`第 2 行 金额 106.00 − 可抵扣税额 6.00 = 100.00`, with fraction, what was taken off, and the residue."""
        zh, en = _place(entry, thing)
        value, formula_zh, formula_en = self._measure(entry, thing)
        if value is None:
            return Words(f"{zh} {self._money(amount)}", f"{en} {self._money(amount)}")
        expected = value
        if entry.fraction is not None:
            expected = half_up_int(value, *entry.fraction.as_integer_ratio())
            formula_zh += f" × {entry.fraction}"
            formula_en += f" × {entry.fraction}"
        for other in template.spec.less_of(entry):
            taken = self._taken(template, other, part)
            expected -= taken
            formula_zh += f" − {other.name} {self._plain(taken)}"
            formula_en += f" − {other.name} {self._plain(taken)}"
        if expected != amount:
            left = self._plain(amount - expected)
            formula_zh, formula_en = f"{formula_zh} + 尾差 {left}", f"{formula_en} + residue {left}"
        foreign = ""
        if part["transaction_currency"]:
            foreign = f" ({format_minor(part['transaction'], part['transaction_currency'])})"
        total = f" = {self._money(amount)}{foreign}"
        return Words(f"{zh} {formula_zh}{total}", f"{en} {formula_en}{total}")

    def _taken(self, template: Template, other: Entry, part: Row) -> int:
        """What another entry took of the same thing."""
        needs = Needs.of_entry(self.ruleset, template.spec, other)
        frame = self.prepared.joined(other.for_each, self.prepared.documents, needs)
        decimals = currency_decimals(self.book.currency)
        taken = with_amounts(frame, template.spec, other, decimals, self.book).filter(
            source_line_no=part["source_line_no"], portion_no=part["portion_no"]
        )
        return int(taken["amount"].sum())

    def _taxes(self, entry: Entry, line_nos: set[int]) -> Iterator[Words]:
        """How the tax of each invoice on these lines was found, where it matters and the book has a table for it."""
        table, taxes = self.ruleset.input_vat, self.prepared.invoice_taxes
        if table is None or taxes is None or entry.measure not in _TAXES:
            return
        # An amount of the whole document is made of all its lines.
        mine = taxes if entry.for_each is Scope.DOCUMENT else taxes.filter(pl.col("line_no").is_in(line_nos))
        for row in mine.sort("line_no", "seq").iter_rows(named=True):
            claimed, tax = self._plain(row["claimed"]), self._plain(row["tax"])
            printed, total, exempt = (self._plain(row[name]) for name in ("printed", "total", "exempt"))
            rule = f"{table.file_name} 第 {row['table_row']} 行 {row['account']}"
            rule_en = f"{table.file_name} row {row['table_row']} {row['account']}"
            yield Words(
                f"第 {row['line_no']} 行发票 {row['invoice_id']}（{row['kind'] or '种类未知'}）：{rule}；报销 {claimed}，价税合计 {total}，"
                f"不含税部分 {exempt}，票面税额 {printed}，可抵扣 {tax}",
                f"line {row['line_no']}, invoice {row['invoice_id']} ({row['kind'] or 'unknown kind'}): {rule_en}; claimed {claimed}, total {total}, "
                f"without VAT {exempt}, printed tax {printed}, deductible {tax}",
            )

    def _measure(self, entry: Entry, thing: Row) -> tuple[int | None, str, str]:
        """Value and formula of a measure for one thing, before fraction and what is taken off."""
        if entry.measure_property is not None:
            value = thing[f"property:{entry.measure_property}"]
            return value, f"{entry.measure} {self._plain(value)}", f"{entry.measure} {self._plain(value)}"
        zh, en = MEASURES[entry.measure]
        measure, scope = Measure(entry.measure), entry.for_each
        if scope is Scope.WRITE_OFF:
            value = thing["write_off_amount"]
        elif measure in (Measure.NET_OF_DEDUCTIBLE_TAX, Measure.DEDUCTIBLE_TAX, Measure.GROSS):
            gross, tax = (
                (thing["line_gross"], thing["line_tax"])
                if scope is Scope.LINE
                else (thing["gross"], thing.get("document_tax"))
            )
            if measure is Measure.NET_OF_DEDUCTIBLE_TAX and gross is not None and tax is not None:
                terms = self._plain(gross), self._plain(tax)
                return (
                    gross - tax,
                    f"金额 {terms[0]} − 可抵扣税额 {terms[1]}",
                    f"gross {terms[0]} − deductible tax {terms[1]}",
                )
            value = gross if measure is Measure.GROSS else tax
        else:
            value = thing["payable" if measure is Measure.REFUND else measure.value]
            if value is not None and measure is Measure.REFUND:
                value = max(-value, 0)
        return value, f"{zh} {self._plain(value)}", f"{en} {self._plain(value)}"

    def _residue(self, template: Template, row: Row) -> LineExplanation:
        left = self._money(row["amount_minor"])
        return LineExplanation(
            event=row["event"],
            line_no=row["line_no"],
            template=Words(
                f"模板 {template.spec.title.zh}（{template.file} 第 {template.line} 行），账簿的尾差科目",
                f"template {template.spec.title.en} ({template.file} line {template.line}), the book's residue account",
            ),
            conditions=(),
            account=Words(
                f"科目 {row['account']}：{row['table_name']} 第 {row['table_row']} 行",
                f"account {row['account']}: {row['table_name']} row {row['table_row']}",
            ),
            dimensions=(),
            arithmetic=(Words(f"尾差 {left}", f"residue {left}"),),
        )

    def _plain(self, minor: int | None) -> str:
        return "—" if minor is None else f"{to_decimal(minor, self.book.currency):,f}"

    def _money(self, minor: int) -> str:
        return format_minor(minor, self.book.currency)


def cell_text(cell: Cell) -> str:
    """A cell as it is written in the table."""
    match cell.kind:
        case CellKind.ANY:
            return "*"
        case CellKind.PRESENT:
            return "<present>"
        case CellKind.PREFIX:
            return f"{cell.values[0]}*"
        case CellKind.VALUES:
            return "|".join(value or "<missing>" for value in cell.values)
        case CellKind.RANGE:
            return f"{'' if cell.start is None else cell.start}..{'' if cell.end is None else cell.end}"


def _place(entry: Entry, thing: Row) -> tuple[str, str]:
    number, portion = thing["source_line_no"], thing["portion_no"]
    if entry.for_each is Scope.DOCUMENT:
        return "单据", "document"
    if entry.for_each is Scope.WRITE_OFF:
        return f"核销第 {portion} 笔", f"write-off {portion}"
    shown = f"{number}.{portion}" if portion > 1 else f"{number}"
    return f"第 {shown} 行", f"line {shown}"


def _conditions(template: Template, entry: Entry, thing: Row) -> Iterator[Words]:
    for path, predicate in {**template.spec.when, **entry.when}.items():
        value = _shown(thing, path)
        yield Words(
            f"{path} = {value}，{_predicate(predicate)}", f"{path} = {value}, {_predicate(predicate)}"
        )


def _predicate(predicate: Predicate) -> str:
    given = predicate.model_dump(mode="json", by_alias=True, exclude_none=True)
    ((name, value),) = given.items()
    return name if value is True else f"{name}: {value}"


def _shown(thing: Row, path: str) -> str:
    value = thing.get(path)
    name = thing.get(f"{path}#name")
    if value is None or value == "":
        return "<missing>"
    return f"{value}（{name}）" if is_reference(path) and name and name != value else str(value)


def _dimensions(entry: Entry, row: Row) -> Iterator[Words]:
    sources = {**entry.dimensions, **entry.optional_dimensions}
    for kind, code, name in pl.Series([row["dimensions"]]).str.json_decode(pl.List(pl.List(pl.String)))[0]:
        origin = sources.get(kind)
        zh = f"{WORDS[kind]} {code} {name}".rstrip()
        en = f"{kind} {code} {name}".rstrip()
        yield Words(
            f"{zh}（{origin or '模板写定'}）",
            f"{en} ({origin or 'fixed by the template'})",
        )
