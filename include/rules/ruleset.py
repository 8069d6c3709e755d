"""A book's whole rules: read, checked against each other, and against the ledger's chart of accounts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from include.config_files import read_model
from include.domain.account import Chart
from include.domain.document import digest
from include.domain.errors import FixConfig
from include.domain.problems import Problem
from include.rules.schema import Entry, TemplateFile, VoucherTemplate
from include.rules.tables import (
    ACCOUNTS_FILE,
    DecisionTable,
    KeyedAccount,
    read_accounts,
    read_table,
    table_files,
)
from include.rules.treatments import INPUT_VAT, read_input_vat

PARTY = frozenset({"employee", "supplier"})
"""Either satisfies an account that demands a `party`."""


@dataclass(frozen=True, slots=True)
class Template:
    """A template and where it stands: `file` is its name in the rules folder, lines are 1-based."""

    spec: VoucherTemplate
    file: str
    line: int
    entry_lines: tuple[int, ...]

    @property
    def trace_name(self) -> str:
        """How traces name it: `expense.yaml#claim_paid`."""
        return f"{self.file}#{self.spec.id}"


@dataclass(frozen=True, slots=True)
class RuleSet:
    """All rules of a book. `digest` covers what they say, not how they are laid out: comments, notes and the order of
    rows and templates are left out.
    """

    templates: tuple[Template, ...]
    tables: Mapping[str, DecisionTable]
    accounts: Mapping[str, KeyedAccount]
    rules_dir: Path
    tables_dir: Path
    digest: str
    accounts_file: str = ACCOUNTS_FILE
    """The name of the file that `accounts` stand in: messages and traces name it."""
    input_vat: DecisionTable | None = None
    """How each invoice's deductible tax is found; None: as the OA states it for the line."""


def load_rules(rules_dir: Path, tables_dir: Path) -> RuleSet:
    """Read `*.yaml` of `rules_dir`, `*.csv` and `*.xlsx` of `tables_dir`.

    Raises:
        FixConfig: everything that is wrong, one line each with file, line, key and what is allowed.
    """
    problems: list[str] = []
    templates = _load_templates(rules_dir, problems)
    files = table_files(tables_dir, problems)
    accounts_path = files.pop(Path(ACCOUNTS_FILE).stem, tables_dir / ACCOUNTS_FILE)
    accounts = read_accounts(accounts_path, problems)
    vat_path = files.pop(INPUT_VAT, None)
    input_vat = read_input_vat(vat_path, problems) if vat_path is not None else None
    read = {name: read_table(path, problems) for name, path in files.items()}
    tables = {name: table for name, table in read.items() if table is not None}
    problems += _cross_check(rules_dir, accounts_path, templates, read, accounts)
    if problems:
        raise FixConfig("\n".join(problems))
    return RuleSet(
        templates,
        tables,
        accounts,
        rules_dir,
        tables_dir,
        _digest(templates, tables, accounts, input_vat),
        accounts_path.name,
        input_vat,
    )


def check_accounts(ruleset: RuleSet, chart: Chart) -> tuple[Problem, ...]:
    """What the ledger will refuse: accounts that are missing, closed or not leaf, and accounts that require a dimension
    which the template line that uses them does not supply (an optional one does not count).
    """
    found: dict[tuple[str, str, str], Problem] = {}
    for where, account in _named_accounts(ruleset):
        problem = _account_problem(where, account, chart)
        if problem is not None:
            found.setdefault((where, account, problem.code), problem)
    for template, index, entry in _entries(ruleset.templates):
        for account, supplied in _accounts_of(ruleset, entry):
            known = chart.accounts.get(account)
            missing = _unsupplied(known.required_dimensions, supplied) if known else set()
            if known and missing:
                where = f"{ruleset.rules_dir / template.file}:{template.entry_lines[index]}"
                kinds = "、".join(sorted(missing))
                found[where, account, kinds] = Problem(
                    "rules.dimension_not_supplied",
                    where,
                    f"模板 {template.spec.id!r} 的 {entry.name!r} 用到科目 {account} {known.name}，该科目必须带辅助核算 {kinds}："
                    f"在这一行的 dimensions 中写上",
                    f"line {entry.name!r} of template {template.spec.id!r} uses account {account} {known.name}, which requires "
                    f"{kinds}: add it to the line's dimensions",
                )
    return tuple(found[key] for key in sorted(found))


def _unsupplied(required: frozenset[str], supplied: frozenset[str]) -> set[str]:
    return {kind for kind in required if not (supplied & PARTY if kind == "party" else kind in supplied)}


def _named_accounts(ruleset: RuleSet) -> Iterator[tuple[str, str]]:
    for keyed in ruleset.accounts.values():
        yield f"{ruleset.tables_dir / ruleset.accounts_file}:{keyed.row}", keyed.account
    for table in ruleset.tables.values():
        for row in table.rows:
            yield f"{table.file}:{row.row}", row.account


def _account_problem(where: str, account: str, chart: Chart) -> Problem | None:
    known = chart.accounts.get(account)
    if known is None:
        code, zh, en = "missing", "在账套科目表中不存在", "is not in the ledger's chart"
    elif not known.is_leaf:
        code, zh, en = "not_leaf", "不是末级科目", "is not a leaf account"
    elif not known.is_active:
        code, zh, en = "closed", "已停用", "is closed"
    else:
        return None
    return Problem(
        f"rules.account_{code}",
        where,
        f"科目 {account} {zh}：改用科目表中可记账的末级科目，或先在账套中开设",
        f"account {account} {en}: use an open leaf account of the chart, or open it in the ledger first",
    )


def _accounts_of(ruleset: RuleSet, entry: Entry) -> Iterator[tuple[str, frozenset[str]]]:
    """Each account that an entry may use, with the kinds of dimensions that a line on it is sure to have."""
    certain = frozenset({*entry.dimensions, *entry.fixed_dimensions})
    if entry.account.key is not None:
        yield ruleset.accounts[entry.account.key].account, certain
    elif entry.account.table is not None:
        for row in ruleset.tables[entry.account.table].rows:
            yield row.account, certain if row.dimensions is None else row.dimensions


def _entries(templates: tuple[Template, ...]) -> Iterator[tuple[Template, int, Entry]]:
    for template in templates:
        for index, entry in enumerate(template.spec.lines):
            yield template, index, entry


def _load_templates(rules_dir: Path, problems: list[str]) -> tuple[Template, ...]:
    paths = sorted(rules_dir.glob("*.yaml")) if rules_dir.is_dir() else []
    if not paths:
        problems.append(f"{rules_dir}: 没有 *.yaml 模板 / no *.yaml template here")
    return tuple(template for path in paths for template in _load_file(path, problems))


def _load_file(path: Path, problems: list[str]) -> Iterator[Template]:
    read = read_model(path, TemplateFile, problems)
    if read is None:
        return
    content, marked = read
    for index, spec in enumerate(content.templates):
        base = ("templates", index)
        entry_lines = tuple(marked.line_of((*base, "lines", i)) for i in range(len(spec.lines)))
        yield Template(spec, path.name, marked.line_of(base), entry_lines)


def _cross_check(
    rules_dir: Path,
    accounts_path: Path,
    templates: tuple[Template, ...],
    tables: Mapping[str, DecisionTable | None],
    accounts: Mapping[str, KeyedAccount],
) -> Iterator[str]:
    """What does not fit together; `tables` has None for a file that could not be read, which is reported already."""
    first: dict[str, Template] = {}
    for template in templates:
        other = first.setdefault(template.spec.id, template)
        if other is not template:
            yield (
                f"{rules_dir / template.file}:{template.line}: 模板 id {template.spec.id!r} 已用于 {other.file}:{other.line}，换一个 / "
                f"the template id is taken by {other.file}:{other.line}, choose another"
            )
    for template, index, entry in _entries(templates):
        where = f"{rules_dir / template.file}:{template.entry_lines[index]}: account"
        key, name = entry.account.key, entry.account.table
        # A file that could not be read is reported already: no second complaint about what it lacks.
        if key is not None and key not in accounts and accounts:
            known = "、".join(sorted(accounts)) or "-"
            yield (
                f"{where}.key: {key!r} 不在 {accounts_path} 中，可选：{known} / no such key there, "
                f"choose from: {known}"
            )
        if name == INPUT_VAT:
            yield (
                f"{where}.table: {INPUT_VAT} 是进项税额表，不给出科目，改用其他表 / the table of input VAT, which gives no "
                "account, name another table"
            )
        elif name is not None and name not in tables:
            known = "、".join(sorted(tables)) or "-"
            yield (
                f"{where}.table: 没有 {accounts_path.parent / name}.csv（或 .xlsx），可选：{known} / no such table, choose from: "
                f"{known}"
            )
        table = tables.get(name) if name is not None else None
        if table is not None:
            yield from _misfits(f"{where}.table: {table.file_name}", table, entry)


def _misfits(where: str, table: DecisionTable, entry: Entry) -> Iterator[str]:
    """What a table asks for or names that the template line which uses it does not have."""
    unseen = [condition.path for condition in table.conditions if condition.scope not in entry.for_each.sees]
    unnamed = sorted({kind for row in table.rows for kind in row.dimensions or ()} - entry.dimension_kinds)
    if unnamed:
        yield (
            f"{where} 的 dimensions 列用到 {'、'.join(unnamed)}，但这一行没有写明取值 / its column dimensions names "
            f"{', '.join(unnamed)}, which this line does not say how to fill"
        )
    if unseen:
        yield (
            f"{where} 以 {'、'.join(unseen)} 为条件，但这一行 for_each: {entry.for_each} / the table asks for {', '.join(unseen)}, "
            f"which a line for each {entry.for_each} does not have"
        )


def _digest(
    templates: tuple[Template, ...],
    tables: Mapping[str, DecisionTable],
    accounts: Mapping[str, KeyedAccount],
    input_vat: DecisionTable | None,
) -> str:
    every = {**tables, **({INPUT_VAT: input_vat} if input_vat else {})}
    return digest(
        {
            "templates": sorted(
                (t.spec.model_dump(mode="json", by_alias=True, exclude_none=True) for t in templates),
                key=lambda spec: str(spec["id"]),
            ),
            "tables": {
                name: {
                    "conditions": [condition.path for condition in table.conditions],
                    "rows": sorted(
                        [[str(cell.kind), *cell.values, str(cell.start), str(cell.end)] for cell in row.cells]
                        + [[row.account, str(row.priority), str(row.valid_from), str(row.valid_to)]]
                        + [["-"] if row.dimensions is None else ["=", *sorted(row.dimensions)]]
                        for row in table.rows
                    ),
                }
                for name, table in every.items()
            },
            "accounts": {key: keyed.account for key, keyed in accounts.items()},
        }
    )
