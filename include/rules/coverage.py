"""What the OA's active master data holds and a decision table has no row for: a new fee type, a new department.

The rules do not say which fee types appear on which documents, so these are warnings. One thing they do say: a fee type
that another table names, used for other kinds of documents only (such as receipts), is not asked of this one unless it
names it too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date

from include.ports import MasterRecord
from include.rules.proofs import Finding, Severity, finding, listed
from include.rules.regions import Box, TooMuchWork, meet
from include.rules.ruleset import RuleSet
from include.rules.tables import Cell, CellKind, DecisionTable
from include.rules.uses import DATE, Domain, Model, Use, days_of, model_of, named, uses_of
from include.rules.wording import Words

FEE_TYPE = "line.fee_type"
KINDS = {
    "fee_type": "fee_type",
    "department": "department",
    "project": "project",
    "legal_entity": "legal_entity",
    "supplier": "supplier",
    "submitter": "staff",
}
"""The kind of master data that a reference names, by the last part of the fact."""


def check_coverage(
    ruleset: RuleSet, decimals: int, master: Mapping[str, Sequence[MasterRecord]], day: date
) -> list[Finding]:
    """Active master data, by kind, that no row valid on `day` takes: one finding per fee type and table, with the
    departments and others concerned.
    """
    names = {
        kind: {record.code or record.id: record.name for record in records if record.is_active}
        for kind, records in master.items()
    }
    found: list[Finding] = []
    for _, table in sorted(ruleset.tables.items()):
        uses = [use for use in uses_of(ruleset, table, decimals) if _is_valid(use, day)]
        known = {
            fact.path: names[KINDS[fact.name]]
            for fact in table.conditions
            if fact.name in KINDS and fact.scope in ("document", "line") and names.get(KINDS[fact.name])
        }
        if FEE_TYPE in known:
            others = _named_elsewhere(ruleset, table, uses, decimals, known[FEE_TYPE])
            known[FEE_TYPE] = {key: name for key, name in known[FEE_TYPE].items() if key not in others}
        if uses and known and all(known.values()):
            model = model_of(table, uses, decimals, also={path: tuple(of) for path, of in known.items()})
            found += listed(_check(model, Words(model, uses, known), day))
    return sorted(found, key=lambda one: (one.file, one.line, one.code, one.zh))


def _is_valid(use: Use, day: date) -> bool:
    start, end = use.template.spec.valid_from, use.template.spec.valid_to
    return (start is None or start <= day) and (end is None or day <= end)


def _named_elsewhere(
    ruleset: RuleSet, table: DecisionTable, uses: Sequence[Use], decimals: int, fee_types: Mapping[str, str]
) -> set[str]:
    """Fee types that only tables for other kinds of documents name."""
    kinds = {kind for use in uses for kind in use.template.spec.kinds}
    named_here = _names(table, fee_types)
    found: set[str] = set()
    for other in ruleset.tables.values():
        other_uses = uses_of(ruleset, other, decimals)
        if other_uses and kinds.isdisjoint(kind for use in other_uses for kind in use.template.spec.kinds):
            found |= _names(other, fee_types)
    return found - named_here


def _names(table: DecisionTable, fee_types: Mapping[str, str]) -> set[str]:
    """Those that a cell of the table names, itself or by its beginning."""
    at = [index for index, fact in enumerate(table.conditions) if fact.path == FEE_TYPE]
    cells = {row.cells[index] for index in at for row in table.rows}
    return {key for key in fee_types if any(_is_named(key, cell) for cell in cells)}


def _is_named(key: str, cell: Cell) -> bool:
    if cell.kind is CellKind.PREFIX:
        return key.startswith(cell.values[0])
    return cell.kind is CellKind.VALUES and key in cell.values


def _check(model: Model, words: Words, day: date) -> list[Finding]:
    known = words.known
    order = sorted(
        (c for c, name in enumerate(model.names) if name in known),
        key=lambda c: (model.names[c] != FEE_TYPE, c),
    )
    regions: dict[Box, None] = {}
    try:
        for domain in model.domains:
            model.grid.budget.start_whole()
            demanded = _demanded(model, domain, order, known)
            rows = _rows(model, domain, order, day)
            for region in model.grid.holes(order, demanded, frozenset(), rows):
                regions[meet(region, domain.admitted)] = None
    except TooMuchWork:
        return [_not_proved(words)]
    return [_finding(words, part, order, day) for part in _by_fee_type(model, order, list(regions))]


def _demanded(
    model: Model, domain: Domain, order: Sequence[int], known: Mapping[str, Mapping[str, str]]
) -> Box:
    """The master data, and missing values where the table names those."""
    masks = list(model.grid.full)
    ours = named(model, domain)
    for c in order:
        axis = model.grid.axes[c]
        mask = axis.mask(Cell(CellKind.VALUES, tuple(known[model.names[c]])))
        masks[c] = (mask | ours[c] & axis.missing) & domain.asked[c]
    return tuple(masks)


def _rows(model: Model, domain: Domain, order: Sequence[int], day: date) -> Iterator[int]:
    """The rows that are valid on the day and take something of what comes; what else they ask does not matter here."""
    for index, box in enumerate(model.grid.boxes):
        if index >= model.grid.real:
            if all(mask == model.grid.full[c] for c, mask in enumerate(box) if c not in order):
                yield index
            continue
        start, end = days_of(model.table.rows[index])
        is_valid = (start is None or start <= day.toordinal()) and (end is None or day.toordinal() <= end)
        if is_valid and all(meet(box, domain.admitted)):
            yield index


def _by_fee_type(model: Model, order: Sequence[int], regions: Sequence[Box]) -> Iterator[list[Box]]:
    """The regions, those of several fee types for each of them."""
    if not order or model.names[order[0]] != FEE_TYPE:
        yield from ([region] for region in regions)
        return
    c = order[0]
    by_type: dict[int, list[Box]] = {}
    for region in regions:
        mask = region[c]
        while mask:
            lowest = mask & -mask
            by_type.setdefault(lowest, []).append((*region[:c], lowest, *region[c + 1 :]))
            mask ^= lowest
    yield from (by_type[lowest] for lowest in sorted(by_type))


def _where(
    words: Words, regions: Sequence[Box], axes: Sequence[int], label: Callable[[int], str], separator: str
) -> str:
    """`（部门 line.department = HR（人力资源部）、… 或 …）`; nothing where it is so for all."""
    told = []
    for region in regions:
        some = []
        for c in axes:
            every = words.model.grid.axes[c].mask(
                Cell(CellKind.VALUES, tuple(words.known[words.model.names[c]]))
            )
            if every & ~region[c]:
                some.append(c)
        told.append(words.parts(region, some, label, separator))
    if not all(told):
        return ""
    return f"（{'，或 '.join(told)}）" if separator == "；" else f" ({', or '.join(told)})"


def _not_proved(words: Words) -> Finding:
    return finding(
        words,
        "rules.not_proved",
        Severity.WARNING,
        line=1,
        zh="表太复杂，没有查完 OA 的基础档案是否都有行适合。请用前缀和默认行简化表",
        en="the table is too involved to look whether it has a row for all master data of the OA. Simplify it with beginnings "
        "and default rows",
    )


def _finding(words: Words, regions: Sequence[Box], order: Sequence[int], day: date) -> Finding:
    model = words.model
    has_fee_type = model.names[order[0]] == FEE_TYPE
    rest = order[1:] if has_fee_type else order
    first = order[:1] if has_fee_type else []
    zh = words.parts(regions[0], first, words.label, "；") + _where(words, regions, rest, words.label, "；")
    en = words.parts(regions[0], first, words.name, "; ") + _where(words, regions, rest, words.name, "; ")
    case = model.witness(regions[0])
    if DATE in case:
        case[DATE] = day
    return finding(
        words,
        "rules.not_covered",
        Severity.WARNING,
        line=1,
        zh=f"OA 中启用的基础档案没有行适合（{day}）：{zh}。请补一行；仅从规则无法判断它们会不会出现在模板 {words.users} "
        "的单据上，若不会，可以不管",
        en=f"no row on {day} for active master data of the OA: {en}. Add a row. The rules alone do not tell whether these come "
        f"up on documents of {words.users}; if they never do, leave it",
        case=case,
    )
