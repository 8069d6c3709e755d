"""Decision tables (决策表): CSV files that map facts to an account, edited in a spreadsheet.

Columns: any number of conditions (names of facts, see facts.py), `priority`, `valid_from`, `valid_to`, `note`, and the
output `account`. A condition cell is one of

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

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from pathlib import Path

from include.rules import facts
from include.rules.facts import Fact, FactType

CONTROL_COLUMNS = ("priority", "valid_from", "valid_to", "dimensions", "note")
OUTPUT = "account"
ACCOUNTS_FILE = "accounts.csv"
ANY, MISSING, PRESENT = "*", "<missing>", "<present>"
MAX_PRIORITY = 9999
EXCEL_ERRORS = ("#REF!", "#N/A", "#VALUE!", "#NAME?", "#DIV/0!", "#NUM!", "#NULL!")
_RANGE = re.compile(r"^\s*(-?[0-9.]*)\s*\.\.\s*(-?[0-9.]*)\s*$")
_DATE = re.compile(r"^(\d{4})[-/](\d{1,2})[-/](\d{1,2})$")


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
    """A whole table; `name` is the file's name without .csv, `file` its path."""

    name: str
    file: str
    conditions: tuple[Fact, ...]
    rows: tuple[TableRow, ...]

    @property
    def file_name(self) -> str:
        return f"{self.name}.csv"

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
class _Record:
    row: int
    values: Mapping[str, str]


def read_accounts(path: Path, problems: list[str]) -> dict[str, KeyedAccount]:
    """Semantic key → account. What is wrong is added to `problems`, each with file and row."""
    header, records = _read(path, problems)
    if header and not {"key", OUTPUT} <= set(header) <= {"key", OUTPUT, "note"}:
        problems.append(f"{path}: 表头应为 key,account,note / the header must be key,account,note")
        return {}
    if header and not records:
        problems.append(f"{path}: 没有数据行 / the table has no rows")
    result: dict[str, KeyedAccount] = {}
    for record in records:
        key, account = record.values["key"], record.values[OUTPUT]
        if not key or not account:
            problems.append(
                f"{path} 第 {record.row} 行: key 和 account 不能为空 / row {record.row}: both are needed"
            )
        elif key in result:
            problems.append(
                f"{path} 第 {record.row} 行: key {key!r} 与第 {result[key].row} 行重复，删去一行 / row {record.row} repeats "
                f"row {result[key].row}, delete one"
            )
        else:
            result[key] = KeyedAccount(account, record.row)
    return result


def read_table(path: Path, problems: list[str]) -> DecisionTable | None:
    """A decision table. What is wrong is added to `problems`, each with file, row and column."""
    header, records = _read(path, problems)
    if not header:
        return None
    conditions = _conditions(path, header, problems)
    if OUTPUT not in header:
        problems.append(f"{path}: 缺少 account 列 / the column account is missing")
        return None
    rows = []
    seen: dict[tuple[object, ...], int] = {}
    for record in records:
        row = _row(path, record, conditions, problems)
        if row is None:
            continue
        identity = (row.cells, row.priority, row.valid_from, row.valid_to)
        if identity in seen:
            problems.append(
                f"{path} 第 {row.row} 行: 条件与第 {seen[identity]} 行完全相同，删去一行 / row {row.row} has the same conditions "
                f"as row {seen[identity]}, delete one"
            )
        seen.setdefault(identity, row.row)
        rows.append(row)
    if not records:
        problems.append(f"{path}: 没有数据行 / the table has no rows")
    return DecisionTable(path.stem, str(path), conditions, tuple(rows))


def _read(path: Path, problems: list[str]) -> tuple[tuple[str, ...], list[_Record]]:
    """Header and records that are not blank, cells stripped; an empty header means that nothing can be read."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        problems.append(f"{path}: 无法读取 / cannot be read: {error.strerror}")
        return (), []
    except UnicodeDecodeError as error:
        problems.append(
            f"{path}: 不是 UTF-8（第 {error.start} 字节），在 Excel 中另存为“CSV UTF-8” / not UTF-8 (byte {error.start}), "
            "save it from Excel as “CSV UTF-8”"
        )
        return (), []
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        problems.append(f"{path}: 不是有效的 CSV / not valid CSV: {error}")
        return (), []
    header = tuple(cell.strip() for cell in lines[0]) if lines else ()
    while header and not header[-1]:
        header = header[:-1]
    if not header or "" in header or len(set(header)) != len(header):
        problems.append(
            f"{path}: 表头为空、有空列或有重复列 / the header is empty, or has an empty or a repeated column"
        )
        return (), []
    if len(header) == 1 and ";" in header[0]:
        problems.append(f"{path}: 请用逗号而不是分号分隔 / separate the columns with commas, not semicolons")
        return (), []
    return header, list(_records(path, header, lines[1:], problems))


def _records(
    path: Path, header: tuple[str, ...], lines: Sequence[Sequence[str]], problems: list[str]
) -> Iterator[_Record]:
    for row, cells in enumerate(lines, start=2):
        stripped = [cell.strip() for cell in cells]
        if not any(stripped):
            continue
        if any(stripped[len(header) :]):
            problems.append(
                f"{path} 第 {row} 行: 单元格多于表头 {len(header)} 列 / row {row} has more cells than the header"
            )
            continue
        stripped += [""] * (len(header) - len(stripped))
        bad = [cell for cell in stripped if cell.startswith("=") or cell in EXCEL_ERRORS]
        if bad:
            problems.append(
                f"{path} 第 {row} 行: 单元格 {bad[0]!r} 是公式，请粘贴为数值 / row {row}: a formula, paste it as a value"
            )
            continue
        yield _Record(row, dict(zip(header, stripped, strict=False)))


def _conditions(path: Path, header: Sequence[str], problems: list[str]) -> tuple[Fact, ...]:
    found = []
    for column in header:
        if column in CONTROL_COLUMNS or column == OUTPUT:
            continue
        condition = facts.fact(column)
        if condition is None:
            known = "、".join(
                [*CONTROL_COLUMNS, OUTPUT, *(n for p in facts.TEXTS for n in facts.names_of(p))]
            )
            problems.append(f"{path}: 未知的列 {column!r} / unknown column; 可选 / choose from: {known}")
        else:
            found.append(condition)
    return tuple(found)


def _row(path: Path, record: _Record, conditions: Sequence[Fact], problems: list[str]) -> TableRow | None:
    where = f"{path} 第 {record.row} 行"
    before = len(problems)
    cells = []
    for condition in conditions:
        try:
            cells.append(_cell(record.values[condition.path], condition.type))
        except ValueError as error:
            problems.append(f"{where}: {condition.path}: {error} (row {record.row})")
    if not record.values.get(OUTPUT):
        problems.append(f"{where}: account 为空 / row {record.row}: the account is empty")
    priority_text = record.values.get("priority") or "0"
    if not re.fullmatch(r"-?\d{1,4}", priority_text):
        problems.append(
            f"{where}: priority {priority_text!r} 应为 -{MAX_PRIORITY} 到 {MAX_PRIORITY} 的整数 / row {record.row}: "
            "a whole number is expected"
        )
    dates = {name: _date(record, name, where, problems) for name in ("valid_from", "valid_to")}
    if dates["valid_from"] and dates["valid_to"] and dates["valid_from"] > dates["valid_to"]:
        problems.append(
            f"{where}: valid_from 晚于 valid_to / row {record.row}: valid_from is later than valid_to"
        )
    kinds = _dimensions(record, where, problems)
    if len(problems) > before:
        return None
    return TableRow(
        record.row, tuple(cells), record.values[OUTPUT], int(priority_text), **dates, dimensions=kinds
    )


def _dimensions(record: _Record, where: str, problems: list[str]) -> frozenset[str] | None:
    if "dimensions" not in record.values:
        return None
    kinds = frozenset(part.strip() for part in record.values["dimensions"].split("|") if part.strip())
    unknown = kinds - set(facts.DIMENSION_KINDS)
    if unknown:
        known = "、".join(facts.DIMENSION_KINDS)
        problems.append(
            f"{where}: 未知的辅助核算 {'、'.join(sorted(unknown))}，可选：{known} / row {record.row}: unknown dimension, "
            f"choose from: {known}"
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


def _date(record: _Record, name: str, where: str, problems: list[str]) -> date | None:
    text = record.values.get(name, "")
    if not text:
        return None
    match = _DATE.match(text)
    try:
        if match:
            return date(int(match[1]), int(match[2]), int(match[3]))
    except ValueError:
        match = None
    problems.append(
        f"{where}: {name} {text!r} 应写作 2026-01-31 / row {record.row}: write a date as 2026-01-31"
    )
    return None
