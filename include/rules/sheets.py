"""Read a table's file, CSV or workbook, into a header and rows of text: what the cells mean is for tables.py to say.

A file is read whole or not at all where it is in doubt: nothing is guessed about its encoding, its separator or a cell
that a spreadsheet has changed, because a wrong code would go into the ledger.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from include.rules import workbooks
from include.rules.cells import MAX_ROWS, ColumnKind, Line, Unreadable, complaint_about, too_many_rows

SUFFIXES = (".csv", ".xlsx")
UNREAD_SUFFIXES = (".xls", ".xlsm", ".xlsb", ".xltx", ".ods", ".et", ".ett", ".numbers", ".tsv")
"""Tables that somebody may save by mistake: passing them over in silence would look as if they were in force."""
MAX_COLUMNS = 256
MAX_BYTES = 64 * 1024 * 1024
_OTHER_SEPARATORS = {";": "分号 / semicolons", "\t": "制表符 / tabs", "，": "中文逗号 / Chinese commas"}


Row = tuple[int, tuple[str, ...]]
"""The row's number as a spreadsheet shows it, the header is 1; its cells, stripped, as many as the header has."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A header without blanks or repetitions, and the rows that are not blank."""

    header: tuple[str, ...]
    rows: list[Row]


def read_sheet(path: Path, kind_of: Callable[[str], ColumnKind], problems: list[str]) -> Sheet | None:
    """The sheet of a `.csv` or `.xlsx` file, None where nothing of it can be used.

    `kind_of` says what the column of a name holds. What is wrong is added to `problems`, each with file and row; rows
    with mistakes are left out.
    """
    try:
        data = _bytes(path)
        is_workbook = path.suffix.lower() == ".xlsx"
        lines = workbooks.lines(data, kind_of) if is_workbook else _csv_lines(data)
        sheet = _sheet(path, lines, problems)
    except Unreadable as error:
        problems.append(f"{path}: {error}")
        return None
    return Sheet(sheet.header, _without_bad_cells(path, sheet, kind_of, problems))


def _sheet(path: Path, lines: Iterator[Line], problems: list[str]) -> Sheet:
    """Header and rows of lines; beyond MAX_ROWS they are counted and not kept."""
    header = _header([cell for _, cells, _ in islice(lines, 1) for cell in cells])
    width = len(header)
    rows: list[Row] = []
    extra = 0
    for number, cells, complaints in lines:
        if complaints:
            problems += [f"{path} 第 {number} 行: {complaint}" for complaint in complaints]
        elif not any(cells):
            continue
        elif len(rows) == MAX_ROWS:
            extra += 1
        elif any(cells[width:]):
            problems.append(
                f"{path} 第 {number} 行: 单元格多于表头 {width} 列，如值中有逗号请加引号 / row {number} has more cells than the "
                f"header's {width}; put a value with a comma in quotes"
            )
        else:
            rows.append((number, (*cells[:width], *[""] * (width - len(cells)))))
    if extra:
        raise too_many_rows(MAX_ROWS + extra)
    return Sheet(header, rows)


def _header(cells: Sequence[str]) -> tuple[str, ...]:
    """The header in stripped cells of the first row; raises Unreadable where it is unusable."""
    header = tuple(cells)
    while header and not header[-1]:
        header = header[:-1]
    if len(header) == 1:
        for separator, name in _OTHER_SEPARATORS.items():
            if separator in header[0]:
                zh, en = name.split(" / ")
                raise Unreadable(f"请用逗号而不是{zh}分隔 / separate the columns with commas, not {en}")
    if len(header) > MAX_COLUMNS:
        raise Unreadable(
            f"表头有 {len(header)} 列，最多 {MAX_COLUMNS} 列 / {len(header)} columns, the limit is {MAX_COLUMNS}"
        )
    twice = sorted({name for name in header if name and header.count(name) > 1})
    if twice:
        raise Unreadable(
            f"表头有重复列 {'、'.join(twice)}，删去一列 / the header has a repeated column, delete one: {', '.join(twice)}"
        )
    if not header or "" in header:
        raise Unreadable(
            "表头为空或有空列：第 1 行应写列名 / the header is empty or has an empty column: row 1 must name the columns"
        )
    return header


def _bytes(path: Path) -> bytes:
    """The content of the file; raises Unreadable for what is no file, cannot be read, is empty or is too large."""
    try:
        if path.exists() and not path.is_file():
            raise Unreadable("是文件夹，应为文件 / a folder or a device, a file is expected")
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise Unreadable(
                f"文件有 {size // 1024**2} MB，最多 {MAX_BYTES // 1024**2} MB：删去不用的行、列和图片 / the file has "
                f"{size // 1024**2} MB, the limit is {MAX_BYTES // 1024**2} MB: delete rows, columns and pictures that "
                "nobody needs"
            )
        data = path.read_bytes()
    except FileNotFoundError:
        raise Unreadable("没有这个文件，无法读取 / no such file, it cannot be read") from None
    except OSError as error:
        raise Unreadable(
            f"无法读取，检查文件权限 / cannot be read, check who may read it: {error.strerror}"
        ) from error
    if not data.strip(b"\xef\xbb\xbf \t\r\n"):
        raise Unreadable("文件是空的 / the file is empty")
    return data


def _csv_lines(data: bytes) -> Iterator[Line]:
    reader = csv.reader(io.StringIO(_text(data), newline=""), strict=True)
    number, end = 0, 0
    try:
        for number, cells in enumerate(reader, start=1):
            end = reader.line_num
            yield number, [cell.strip() for cell in cells], ()
    except csv.Error as error:
        raise Unreadable(_csv_mistake(str(error), number + 1, end + 1, reader.line_num)) from error


def _csv_mistake(error: str, row: int, line: int, end: int) -> str:
    """What is wrong in the record that begins at `line`, the reader having stopped at line `end`."""
    where_zh = f"第 {row} 行（文件第 {line} 行）"
    where_en = f"row {row} (line {line} of the file)"
    if "field larger" in error:
        return (
            f"{where_zh}的单元格过长，检查引号是否成对 / not valid CSV: a cell of {where_en} is too long, see whether its "
            "quotes are in pairs"
        )
    if "unexpected end" in error:
        return f"{where_zh}的引号没有结束 / not valid CSV: a quote opened in {where_en} is never closed"
    return (
        f"{where_zh}的引号不成对（读到文件第 {end} 行）：值中的引号写两次 / not valid CSV: the quotes of {where_en} are not in "
        f"pairs, seen at line {end}; write a quote inside a value twice ({error})"
    )


def _text(data: bytes) -> str:
    """UTF-8 with or without its mark; raises Unreadable that says where another encoding begins."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise Unreadable(
            "编码是 UTF-16（“Unicode 文本”），在 Excel 中另存为“CSV UTF-8” / encoded as UTF-16 (“Unicode Text”), save it from "
            "Excel as “CSV UTF-8”"
        )
    if data.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise Unreadable(
            "是 Excel 工作簿而不是 CSV：改名为 .xlsx，或另存为“CSV UTF-8” / an Excel workbook and no CSV: name it .xlsx, or save it "
            "as “CSV UTF-8”"
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # The decoder does not count the mark that it has dropped.
        start = error.start + (3 if data.startswith(b"\xef\xbb\xbf") else 0)
        raise Unreadable(_encoding_mistake(data, start)) from None
    for character, zh, en in (
        ("\0", "空字符（不是文本文件，或编码是 UTF-16）", "a NUL character (no text file, or UTF-16)"),
        (
            "\ufffd",
            "替换字符 �（文字在之前的转换中已丢失）",
            "the character � (text was lost in an earlier conversion)",
        ),
    ):
        at = text.find(character)
        if at >= 0:
            line = text.count("\n", 0, at) + 1
            raise Unreadable(
                f"文件第 {line} 行有{zh}，从原表重新另存为“CSV UTF-8” / line {line} has {en}, save the original anew as "
                "“CSV UTF-8”"
            )
    return text


def _encoding_mistake(data: bytes, start: int) -> str:
    lines = data.split(b"\n")
    wrong = [number for number, line in enumerate(lines, start=1) if not _is_utf8(line)]
    others = any(not line.isascii() and _is_utf8(line) for line in lines[1:])
    line = data.count(b"\n", 0, start) + 1
    shown = "、".join(map(str, wrong[:5])) + ("…" if len(wrong) > 5 else "")
    where = f"第 {start + 1} 字节，文件第 {line} 行"
    if others:
        return (
            f"混有多种编码（{where}）：文件第 {shown} 行不是 UTF-8，而其他行是，请重新输入这些行并在 Excel 中另存为“CSV UTF-8” / mixed "
            f"encodings (byte {start + 1}, line {line}): lines {shown} are not UTF-8, others are; type those lines anew and "
            "save from Excel as “CSV UTF-8”"
        )
    return (
        f"不是 UTF-8（{where}），可能是 GBK/GB18030，在 Excel 中另存为“CSV UTF-8” / not UTF-8 (byte {start + 1}, line {line}), "
        "perhaps GBK/GB18030: save it from Excel as “CSV UTF-8”"
    )


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _without_bad_cells(
    path: Path, sheet: Sheet, kind_of: Callable[[str], ColumnKind], problems: list[str]
) -> list[Row]:
    """The rows whose cells are all as typed. Each distinct text of a column is looked at once."""
    bad: dict[int, list[str]] = {}
    for index, name in enumerate(sheet.header):
        kind = kind_of(name)
        texts = {cells[index] for _, cells in sheet.rows}
        complaints = {text: complaint for text in texts if (complaint := complaint_about(text, kind))}
        if complaints:
            for number, cells in sheet.rows:
                if cells[index] in complaints:
                    bad.setdefault(number, []).append(f"{name}: {complaints[cells[index]]}")
    for number in sorted(bad):
        problems += [f"{path} 第 {number} 行: {complaint} (row {number})" for complaint in bad[number]]
    return [row for row in sheet.rows if row[0] not in bad] if bad else sheet.rows
