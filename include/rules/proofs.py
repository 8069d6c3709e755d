"""What proofs of rules find, and the proofs of decision tables."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from include.rules.defects import Defects, Hole, Overlap, Unreachable, defects_of
from include.rules.regions import Box, Value
from include.rules.ruleset import RuleSet
from include.rules.uses import DATE, model_of, uses_of
from include.rules.wording import Words, rows_en, spans

LISTED = 200
"""So many findings of one code are listed for a table; the others are counted in one more."""

SEARCHES = {
    "overlap": ("同级冲突的行", "rows that clash"),
    "unreachable": ("永远不会生效的行", "rows that never apply"),
    "hole": ("范围和日期之间的空档", "holes between ranges and dates"),
    "gap": ("没有行适合的组合", "combinations without a row"),
}


class Severity(StrEnum):
    ERROR = "error"
    """The rules are wrong: a rule set with an error is refused."""
    WARNING = "warning"
    """Probably a mistake, or not proved; a person should look."""
    NOTE = "note"
    """Holds under a condition that the rules cannot settle."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong with the rules: where it stands, what it is, what to do.

    `file` is the path inside the configuration, `line` the row or line as an editor shows it. `witness` is an example
    for people; for tables `case` is the same as values of facts (amounts in minor units, None and "" are missing) and
    `rows` are all rows concerned.
    """

    code: str
    severity: Severity
    file: str
    line: int
    zh: str
    en: str
    witness: str = ""
    case: Mapping[str, Value] = field(default_factory=dict)
    rows: tuple[int, ...] = ()

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: [{self.code}] {self.zh} / {self.en}"


def check_tables(ruleset: RuleSet, decimals: int) -> list[Finding]:
    """Rows that clash or never apply, holes and gaps of all tables, that of input VAT too; `decimals` are those of the
    book's currency.

    In the order of files and lines. What could not be decided within the budget is a finding too.
    """
    found: list[Finding] = []
    tables = [*ruleset.tables.values(), *([ruleset.input_vat] if ruleset.input_vat else [])]
    for table in tables:
        uses = uses_of(ruleset, table, decimals)
        model = model_of(table, uses, decimals)
        found += _findings(Words(model, uses), defects_of(model))
    return sorted(found, key=lambda one: (one.file, one.line, one.code, one.rows))


def _findings(words: Words, defects: Defects) -> Iterator[Finding]:
    yield from listed(_overlaps(words, defects.overlaps))
    yield from listed([_unreachable(words, one) for one in defects.unreachable])
    yield from listed([_hole(words, one) for one in defects.holes])
    yield from listed([_gap(words, region) for region in defects.gaps])
    for search, rows in sorted(defects.unproved.items()):
        yield _not_proved(words, search, rows)


def finding(
    words: Words,
    code: str,
    severity: Severity,
    *,
    line: int,
    zh: str,
    en: str,
    rows: Sequence[int] = (),
    case: Mapping[str, Value] | None = None,
) -> Finding:
    """A finding about a table; `rows` are the numbers of its rows, and `case` an example, shown by the facts that those
    rows ask for.
    """
    axes = words.asked_by(rows)
    witness = words.example(case, axes, words.label, "，") if case else ""
    if witness:
        zh, en = (
            f"{zh}（例 {witness}）",
            f"{en} (such as {words.example(case or {}, axes, words.name, ', ')})",
        )
    return Finding(code, severity, words.file, line, zh, en, witness, case or {}, words.rows(rows))


def listed(found: Sequence[Finding]) -> Iterator[Finding]:
    """The first LISTED of findings of one code, in order of lines, and one finding about all the others."""
    ordered = sorted(found, key=lambda one: (one.line, one.rows))
    yield from ordered[:LISTED]
    rest = ordered[LISTED:]
    if rest:
        rows = sorted({row for one in rest for row in (one.line, *one.rows)})
        yield replace(
            rest[0],
            severity=min(one.severity for one in rest),
            zh=f"还有 {len(rest)} 处同类问题没有逐条列出，涉及第 {spans(rows)} 行；先改正已列出的",
            en=f"{len(rest)} more of the same are not listed one by one, they concern {rows_en(rows)}; mend the "
            "listed ones first",
            rows=tuple(rows),
        )


def _overlaps(words: Words, overlaps: Sequence[Overlap]) -> list[Finding]:
    """One finding per row that clashes with others: of two rows it is told of the one that clashes more often."""
    often = Counter(row for one in overlaps for row in one.rows)
    by_row: dict[int, list[Overlap]] = defaultdict(list)
    for one in overlaps:
        by_row[max(one.rows, key=lambda row: (often[row], row))].append(one)
    found = []
    for row, its in by_row.items():
        rows = {row, *(other for one in its for other in one.rows)}
        others = words.rows(rows - {row})
        found.append(
            finding(
                words,
                "rules.overlap",
                Severity.ERROR,
                line=words.row(row),
                rows=sorted(rows),
                zh=f"第 {words.row(row)} 行与第 {spans(others)} 行同级，有单据同时适合，无法决定用哪一行。请给其中一行更高的 "
                "priority，或写得更具体",
                en=f"row {words.row(row)} and {rows_en(others)} rank equally and fit the same documents, so none can "
                "be chosen. Give one of them a higher priority, or more conditions",
                case=words.model.witness(its[0].example),
            )
        )
    return found


def _unreachable(words: Words, one: Unreachable) -> Finding:
    line, shadows = words.row(one.row), words.rows(one.shadows)
    if shadows:
        severity = Severity.ERROR
        zh = f"第 {line} 行永远不会生效：它的全部情况都由第 {spans(shadows)} 行先取。请删去这一行，或提高它的 priority"
        en = f"row {line} never applies, all its cases go to {rows_en(shadows)}. Delete it, or give it a higher priority"
    elif one.is_empty:
        severity = Severity.ERROR
        zh = f"第 {line} 行永远不会生效：金额范围内没有本位币能表示的金额。请改正范围"
        en = f"row {line} never applies: its range holds no amount of the book's currency. Correct the range"
    else:
        severity = Severity.WARNING
        zh = (
            f"第 {line} 行永远不会生效：用到此表的模板（{words.users}）的条件不会让这样的单据到来，或这样的组合不存在。"
            "请删去这一行，或改正模板的 when"
        )
        en = (
            f"row {line} never applies: the templates that use the table ({words.users}) let no such case through, or there "
            "is none. Delete it, or correct the templates' `when`"
        )
    case = None if one.example is None else words.model.witness(one.example)
    rows = sorted({one.row, *one.shadows})
    return finding(words, "rules.unreachable", severity, line=line, rows=rows, zh=zh, en=en, case=case)


def _hole(words: Words, hole: Hole) -> Finding:
    first, second = (words.row(row) for row in hole.rows)
    is_date = words.model.names[hole.axis] == DATE
    code = "rules.date_hole" if is_date else "rules.amount_hole"
    column = words.label(hole.axis)
    span = words.shown(hole.axis, hole.box[hole.axis])
    zh = f"第 {first} 行与第 {second} 行之间，{column} {span} 没有写"
    en = f"between rows {first} and {second}, {words.model.names[hole.axis]} {span} is left out"
    if hole.taker is None:
        severity = Severity.ERROR
        zh += "，也没有别的行适合。请把两行接上，或补一行"
        en += " and no other row fits. Let the rows meet, or add one"
    else:
        severity = Severity.WARNING
        taker = words.row(hole.taker)
        zh += f"，会落到第 {taker} 行。若不是有意如此，请把两行接上"
        en += f" and falls to row {taker}. If that is not meant, let the rows meet"
    rows = sorted({*hole.rows, *([] if hole.taker is None else [hole.taker])})
    case = words.model.witness(hole.example)
    return finding(words, code, severity, line=second, rows=rows, zh=zh, en=en, case=case)


def _gap(words: Words, region: Box) -> Finding:
    return finding(
        words,
        "rules.gap",
        Severity.ERROR,
        line=words.nearest(region),
        zh=f"没有行适合：{words.region(region, words.label, '；')}。请补一行，或写一行 * 作为默认",
        en=f"no row for {words.region(region, words.name, '; ')}. Add a row, or a row of * as default",
        case=words.model.witness(region),
    )


def _not_proved(words: Words, search: str, rows: Sequence[int]) -> Finding:
    zh, en = SEARCHES[search]
    numbers = words.rows(rows)
    where_zh, where_en = f"（第 {spans(numbers)} 行）", f" ({rows_en(numbers)})"
    return finding(
        words,
        "rules.not_proved",
        Severity.WARNING,
        line=min(numbers, default=1),
        rows=rows,
        zh=f"表太复杂，没有查完{zh}{where_zh if rows else ''}。请先改正已列出的问题，或用前缀和默认行简化表",
        en=f"the table is too involved to look for all {en}{where_en if rows else ''}. Mend what is listed, or simplify the "
        "table with beginnings and default rows",
    )
