"""Decision tables (决策表): CSV files or workbooks that map facts to an account, edited in a spreadsheet.

Columns: any number of conditions (names of facts, see facts.py), `priority`, `valid_from`, `valid_to`, `note`, and the
output, `account` in most tables. A condition cell is one of

    D01            this value                D01|D02    one of these values
    D*             begins with D             100..500   from 100 to 500, both included (amounts, major units)
    <missing>      the document has none     <present>  anything but missing
    *              anything, missing too

A column `dimensions` names the kinds (department|project) of the template line's dimensions that go with the account;
those must be there, others are left off. Without that column the template line decides.

Of the rows that fit, the one of the highest priority wins (empty is 0); then the one with more conditions that are not
`*`; then the one with more cells that name values exactly. Two rows that are equal in all three are ambiguous: a
problem for the document, as is no row at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from pathlib import Path
from typing import Any

from include.config_files import capped, written_day
from include.rules import facts
from include.rules.cells import ColumnKind
from include.rules.facts import Fact, FactType
from include.rules.sheets import SUFFIXES, UNREAD_SUFFIXES, Sheet, read_sheet

CONTROL_COLUMNS = ("priority", "valid_from", "valid_to", "dimensions", "note")
OUTPUT = "account"
ACCOUNTS_FILE = "accounts.csv"
ANY, MISSING, PRESENT = "*", "<missing>", "<present>"
MAX_PRIORITY = 9999
_RANGE = re.compile(r"^\s*(-?[0-9.]*)\s*\.\.\s*(-?[0-9.]*)\s*$")
_PRIORITY = re.compile(r"-?[0-9]{1,4}")


class CellKind(StrEnum):
    ANY = "any"
    VALUES = "values"
    PREFIX = "prefix"
    RANGE = "range"
    PRESENT = "present"


@dataclass(frozen=True, slots=True)
class Cell:
    """A condition: `values` for VALUES (the empty text: missing) and PREFIX (one); bounds in major units for RANGE."""

    kind: CellKind
    values: tuple[str, ...] = ()
    start: Decimal | None = None
    end: Decimal | None = None


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row; `row` counts as an editor shows it, the header is 1. Both dates belong to its time."""

    row: int
    cells: tuple[Cell, ...]
    account: str
    priority: int = 0
    valid_from: date | None = None
    valid_to: date | None = None
    dimensions: frozenset[str] | None = None
    """The kinds that go with the account; None where the table leaves it to the template."""

    @property
    def rank(self) -> int:
        """What decides between rows that fit, as one number: priority, conditions that count, exact ones."""
        conditions = sum(cell.kind is not CellKind.ANY for cell in self.cells)
        exact = sum(cell.kind is CellKind.VALUES and len(cell.values) == 1 for cell in self.cells)
        return (self.priority * 1000 + conditions) * 1000 + exact


@dataclass(frozen=True, slots=True)
class DecisionTable:
    """A whole table; `name` is the file's name without its ending, `file` its path."""

    name: str
    file: str
    conditions: tuple[Fact, ...]
    rows: tuple[TableRow, ...]

    @property
    def file_name(self) -> str:
        return Path(self.file).name

    @property
    def shown(self) -> str:
        """The path inside the configuration, for people: `tables/acme/expense_accounts.csv`."""
        return "/".join(Path(self.file).parts[-3:])

    @property
    def has_dates(self) -> bool:
        return any(row.valid_from or row.valid_to for row in self.rows)


@dataclass(frozen=True, slots=True)
class KeyedAccount:
    """A row of accounts.csv."""

    account: str
    row: int


@dataclass(frozen=True, slots=True)
class _Mistake:
    """What is wrong with the text of a cell."""

    message: str


def table_files(tables_dir: Path, problems: list[str]) -> dict[str, Path]:
    """The file of each table, by its name. Two files of one table and files that nobody reads are problems."""
    found: dict[str, Path] = {}
    try:
        paths = sorted(tables_dir.iterdir()) if tables_dir.exists() else []
    except OSError as error:
        problems.append(f"{tables_dir}: 无法读取 / cannot be read: {error.strerror}")
        return {}
    for path in paths:
        suffix = path.suffix.lower()
        # Excel and LibreOffice keep such files beside one that is open.
        if path.name.startswith(("~$", ".")):
            continue
        if suffix in UNREAD_SUFFIXES:
            problems.append(
                f"{path}: 不读 {suffix} 文件，另存为 .xlsx 或“CSV UTF-8” / {suffix} files are not read, save it as .xlsx or "
                "“CSV UTF-8”"
            )
        elif suffix in SUFFIXES and path.stem in found:
            other = found[path.stem].name
            problems.append(
                f"{path}: 与 {other} 是同一个表，只留一个 / the same table as {other}, keep one of them"
            )
        elif suffix in SUFFIXES:
            found[path.stem] = path
    return found


def read_accounts(path: Path, problems: list[str]) -> dict[str, KeyedAccount]:
    """Semantic key → account. What is wrong is added to `problems`, each with file and row."""
    found: list[str] = []
    result = _read_accounts(path, found)
    problems += capped(path, found)
    return result


def _read_accounts(path: Path, problems: list[str]) -> dict[str, KeyedAccount]:
    sheet = read_sheet(path, _kind, problems)
    if sheet is None:
        return {}
    if not {"key", OUTPUT} <= set(sheet.header) <= {"key", OUTPUT, "note"}:
        problems.append(f"{path}: 表头应为 key,account,note / the header must be key,account,note")
        return {}
    _check_rows(path, sheet, problems)
    key_at, account_at = sheet.header.index("key"), sheet.header.index(OUTPUT)
    result: dict[str, KeyedAccount] = {}
    for number, cells in sheet.rows:
        key, account = cells[key_at], cells[account_at]
        if not key or not account:
            problems.append(
                f"{path} 第 {number} 行: key 和 account 不能为空 / row {number}: both are needed, fill them or delete the row"
            )
        elif key in result:
            problems.append(
                f"{path} 第 {number} 行: key {key!r} 与第 {result[key].row} 行重复，删去一行 / row {number} repeats "
                f"row {result[key].row}, delete one"
            )
        else:
            result[key] = KeyedAccount(account, number)
    return result


def read_table(path: Path, problems: list[str], output: str = OUTPUT) -> DecisionTable | None:
    """A decision table whose result stands in the column `output`: `TableRow.account` holds it, whatever it means.

    What is wrong is added to `problems`, each with file, row and column; rows with mistakes are left out. None where the
    table as a whole cannot be used.
    """
    found: list[str] = []
    table = _read_table(path, found, output)
    problems += capped(path, found)
    return table


def _read_table(path: Path, problems: list[str], output: str) -> DecisionTable | None:
    sheet = read_sheet(path, _kind, problems)
    if sheet is None:
        return None
    conditions = _conditions(path, sheet.header, problems, output)
    if output not in sheet.header:
        problems.append(
            f"{path}: 缺少 {output} 列，请在表头加上 / the column {output} is missing, add it to the header"
        )
        return None
    _check_rows(path, sheet, problems)
    rows = []
    seen: dict[tuple[object, ...], int] = {}
    for row in _rows(path, sheet, conditions, problems, output):
        identity = (*map(id, row.cells), row.priority, row.valid_from, row.valid_to)
        first = seen.setdefault(identity, row.row)
        if first != row.row:
            problems.append(
                f"{path} 第 {row.row} 行: 条件与第 {first} 行完全相同，删去一行 / row {row.row} has the same conditions as row {first}, "
                "delete one"
            )
        rows.append(row)
    return DecisionTable(path.stem, str(path), conditions, tuple(rows))


def _check_rows(path: Path, sheet: Sheet, problems: list[str]) -> None:
    if not sheet.rows and not problems:
        problems.append(f"{path}: 没有数据行，至少写一行 / the table has no rows, write one at least")


def _kind(column: str) -> ColumnKind:
    """What a column holds; only that decides how a number or a date in a workbook's cell is taken."""
    if column == "note":
        return ColumnKind.FREE
    if column in {"valid_from", "valid_to"} or column.endswith("_on"):
        return ColumnKind.DATE
    condition = facts.fact(column)
    is_number = column == "priority" or (condition is not None and condition.type is FactType.AMOUNT)
    return ColumnKind.NUMBER if is_number else ColumnKind.CODE


def _conditions(path: Path, header: Sequence[str], problems: list[str], output: str) -> tuple[Fact, ...]:
    found = []
    for column in header:
        if column in CONTROL_COLUMNS or column == output:
            continue
        condition = facts.fact(column)
        if condition is None:
            known = "、".join(
                [*CONTROL_COLUMNS, output, *(n for p in facts.TEXTS for n in facts.names_of(p))]
            )
            problems.append(f"{path}: 未知的列 {column!r} / unknown column; 可选 / choose from: {known}")
        else:
            found.append(condition)
    return tuple(found)


def _rows(
    path: Path, sheet: Sheet, conditions: Sequence[Fact], problems: list[str], output: str
) -> Iterator[TableRow]:
    """The rows without mistakes. Equal cells are one object, so that comparing rows is comparing identities."""
    known: dict[Cell, Cell] = {}
    names = [
        *(condition.path for condition in conditions),
        output,
        *(c for c in _CONTROLS if c in sheet.header),
    ]
    parsers = [*(_condition_parser(condition.type, known) for condition in conditions), _output]
    parsers += [_CONTROLS[name] for name in names[len(parsers) :]]
    columns = [_parsed(sheet, name, parse) for name, parse in zip(names, parsers, strict=True)]
    width = len(conditions)
    controls = names[width + 1 :]
    for (number, _), values in zip(sheet.rows, zip(*columns, strict=True), strict=True):
        wrong = [
            f"{path} 第 {number} 行: {name}: {value.message} (row {number})"
            for name, value in zip(names, values, strict=True)
            if isinstance(value, _Mistake)
        ]
        if wrong:
            problems += wrong
            continue
        further = dict(zip(controls, values[width + 1 :], strict=True))
        row = TableRow(number, values[:width], values[width], **further)
        if row.valid_from and row.valid_to and row.valid_from > row.valid_to:
            problems.append(
                f"{path} 第 {number} 行: valid_from 晚于 valid_to，请对调 / row {number}: valid_from is later than valid_to, "
                "exchange them"
            )
            continue
        yield row


def _condition_parser(type_: FactType, known: dict[Cell, Cell]) -> Callable[[str], Cell]:
    def parse(text: str) -> Cell:
        cell = _cell(text, type_)
        return known.setdefault(cell, cell)

    return parse


def _parsed(sheet: Sheet, column: str, parse: Callable[[str], Any]) -> list[Any]:
    """What the cells of a column mean, or the _Mistake in them. Each distinct text is looked at once."""
    index = sheet.header.index(column)
    meanings: dict[str, Any] = {}
    for text in {cells[index] for _, cells in sheet.rows}:
        try:
            meanings[text] = parse(text)
        except ValueError as error:
            meanings[text] = _Mistake(str(error))
    return [meanings[cells[index]] for _, cells in sheet.rows]


def _output(text: str) -> str:
    if not text:
        raise ValueError("单元格为空，请填写 / the cell is empty, fill it in")
    return text


def _priority(text: str) -> int:
    if text and not _PRIORITY.fullmatch(text):
        raise ValueError(
            f"{text!r} 应为 -{MAX_PRIORITY} 到 {MAX_PRIORITY} 的整数 / a whole number from -{MAX_PRIORITY} to {MAX_PRIORITY} is "
            "expected"
        )
    return int(text or 0)


def _dimensions(text: str) -> frozenset[str]:
    kinds = frozenset(part.strip() for part in text.split("|") if part.strip())
    unknown = kinds - set(facts.DIMENSION_KINDS)
    if unknown:
        known = "、".join(facts.DIMENSION_KINDS)
        raise ValueError(
            f"未知的辅助核算 {'、'.join(sorted(unknown))}，可选：{known} / unknown dimension, choose from: {known}"
        )
    return kinds


def _cell(text: str, type_: FactType) -> Cell:
    """Read a condition cell; ValueError says what is wrong with it."""
    if text == ANY:
        return Cell(CellKind.ANY)
    if not text:
        raise ValueError(
            "空单元格：写 * 表示任意，<missing> 表示没有值 / empty: write * for anything, <missing> for none"
        )
    if text == PRESENT:
        return Cell(CellKind.PRESENT)
    if type_ is FactType.AMOUNT:
        return _range(text)
    if text == MISSING:
        return Cell(CellKind.VALUES, ("",))
    if text.endswith(ANY) and text.count(ANY) == 1 and "|" not in text:
        return Cell(CellKind.PREFIX, (text[:-1],))
    values = tuple(sorted({"" if part.strip() == MISSING else part.strip() for part in text.split("|")}))
    if (
        ANY in text
        or len(values) != len(text.split("|"))
        or any(not part.strip() for part in text.split("|"))
    ):
        raise ValueError(f"{text!r} 应写作 A、A|B、A* 或 * / write A, A|B, A* or *")
    return Cell(CellKind.VALUES, values)


def _range(text: str) -> Cell:
    match = _RANGE.match(text)
    try:
        bounds = [Decimal(part) if part else None for part in match.groups()] if match else []
    except InvalidOperation:
        bounds = []
    if not any(bound is not None for bound in bounds):
        raise ValueError(f"{text!r} 应写作 100..500、100.. 或 ..500 / write 100..500, 100.. or ..500")
    start, end = bounds
    if start is not None and end is not None and start > end:
        raise ValueError(f"{text!r} 的起点大于终点 / the range ends before it starts")
    return Cell(CellKind.RANGE, (), start, end)


def _day(text: str) -> date | None:
    return written_day(text) if text else None


_CONTROLS: Mapping[str, Callable[[str], Any]] = {
    "priority": _priority,
    "valid_from": _day,
    "valid_to": _day,
    "dimensions": _dimensions,
}
"""How the columns that are neither condition nor result are read; each is a field of TableRow."""
