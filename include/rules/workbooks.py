"""Read the one sheet of a workbook (`.xlsx`) as text, and refuse what does not stand there as it is shown.

A spreadsheet changes what is typed: 6602.10 becomes the number 6602.1, 3-1 becomes a date, 0012 becomes 12. Where that
can be seen it is a mistake with its cell; zeros that were dropped from a plain whole number cannot be seen. Rows that
are hidden or filtered out count. Hidden sheets do not.
"""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from decimal import Decimal
from functools import cache
from io import BytesIO
from xml.etree import ElementTree as ET

from include.rules.cells import MAX_ROWS, ColumnKind, Line, Unreadable, too_many_rows

MAX_UNPACKED = 256 * 1024 * 1024
MAX_PARTS = 1_000
MAX_COLUMN = 256
MAX_EXACT = 10**15
"""Excel keeps 15 digits of a number."""
_CELLS_END = re.compile(rb"</(?:\w+:)?sheetData>")
_PREFIX = rb"<(?:\w+:)?"
_VALUE = re.compile(_PREFIX + rb"(?:v|is|f)(?:>|\s[^>]*[^/]>)")
_ROW_END = re.compile(rb"</(?:\w+:)?row>")
_MERGED = re.compile(_PREFIX + rb"mergeCell\s[^>]*?ref=[\"']([^\"']+)[\"']")
_ENCODING = re.compile(rb"<\?xml[^>]*?encoding=[\"']([^\"']+)[\"']")
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
_ZEROS = re.compile(r"0{2,}")
_DECIMALS = re.compile(r"0\.0|%|E\+", re.IGNORECASE)
_LOCAL_DATES = frozenset({*range(27, 37), *range(50, 59)})
"""Numbers of formats that Chinese, Japanese and Korean Excel use for dates without writing them down (ECMA-376 18.8.30)."""
_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_ROW, _V, _F, _IS, _SI, _T, _R = (_MAIN + name for name in ("row", "v", "f", "is", "si", "t", "r"))
_STYLES_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.styles+xml"
_STRINGS_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"
_SAVE = "在 Excel 中打开，另存为 .xlsx 或“CSV UTF-8”", "open it in Excel and save it as .xlsx or “CSV UTF-8”"


@dataclass(frozen=True, slots=True)
class _Format:
    """How cells of a style are shown."""

    code: str
    is_date: bool


@dataclass(frozen=True, slots=True)
class _Workbook:
    """What the cells of a sheet refer to."""

    strings: Sequence[str]
    formats: Sequence[_Format]
    epoch: datetime


def lines(data: bytes, kind_of: Callable[[str], ColumnKind]) -> Iterator[Line]:
    """The rows of the workbook's only visible sheet that is not empty, the header first, blank rows included.

    Raises:
        Unreadable: no workbook, protected by a password, too large, several sheets, merged cells, too many rows.
    """
    _check_container(data)
    with warnings.catch_warnings():
        # openpyxl warns of decoration that it drops (validation lists, missing styles): nothing that tables hold.
        warnings.simplefilter("ignore")
        try:
            return iter(list(_lines(data, kind_of)))
        except Unreadable:
            raise
        except Exception as error:
            raise Unreadable(
                f"工作簿已损坏，{_SAVE[0]} / the workbook is damaged ({type(error).__name__}), {_SAVE[1]}"
            ) from error


def _lines(data: bytes, kind_of: Callable[[str], ColumnKind]) -> Iterator[Line]:
    from openpyxl.reader.excel import ExcelReader

    with zipfile.ZipFile(BytesIO(data)) as archive:
        _check_parts(archive)
        # openpyxl finds the parts; reading their cells through it takes half a minute for a table of the largest size.
        reader = ExcelReader(BytesIO(data), read_only=True, keep_links=False)
        reader.read_manifest()
        reader.read_workbook()
        sheets = {
            sheet.name: relation.target
            for sheet, relation in reader.parser.find_sheets()
            if sheet.state == "visible" and relation.Type.endswith("/worksheet")
        }
        xml = _only({name: _xml(archive, part) for name, part in sheets.items()})
        parts = {part.ContentType: part.PartName.removeprefix("/") for part in reader.package.Override}
        book = _Workbook(
            _strings(_xml(archive, parts[_STRINGS_TYPE])) if _STRINGS_TYPE in parts else (),
            _formats(_xml(archive, parts[_STYLES_TYPE])) if _STYLES_TYPE in parts else (),
            reader.wb.epoch,
        )
    kinds: list[ColumnKind] = []
    number = 0
    for row in _elements(xml, _ROW):
        number = int(row.get("r", number + 1))
        if not kinds and number > 1:
            # Row 1 is blank: there is no header.
            yield 1, [], []
        texts, complaints = _row(row, book, kinds, number)
        if number == 1:
            kinds = [kind_of(text) for text in texts]
        yield number, texts, complaints if number > 1 else []


def _only(sheets: dict[str, bytes]) -> bytes:
    """The XML of the one sheet that holds something, and that can be read row by row."""
    # What follows the cells has formulas of its own, for formats and validations.
    filled = {name: xml for name, xml in sheets.items() if _VALUE.search(_cells(xml))}
    if not filled:
        raise Unreadable(
            "工作簿是空的（隐藏的工作表不读） / the workbook is empty (hidden sheets are not read)"
        )
    if len(filled) > 1:
        names = "、".join(filled)
        raise Unreadable(
            f"有 {len(filled)} 个非空的工作表（{names}），只能有一个：其余的移到别的文件或隐藏 / {len(filled)} sheets are not empty "
            f"({names}), there may be one: move the others to files of their own, or hide them"
        )
    ((name, xml),) = filled.items()
    merged = [ref.decode("ascii", "replace") for ref in _MERGED.findall(xml)]
    if merged:
        shown = "、".join(merged[:10]) + ("…" if len(merged) > 10 else "")
        raise Unreadable(
            f"工作表 {name!r} 有合并单元格 {shown}：取消合并，每一行都填上值 / the sheet has merged cells {shown}: unmerge them and fill "
            "every row"
        )
    rows = sum(_VALUE.search(row) is not None for row in _ROW_END.split(_cells(xml))) - 1
    if rows > MAX_ROWS:
        raise too_many_rows(rows)
    return xml


def _cells(xml: bytes) -> bytes:
    end = _CELLS_END.search(xml)
    return xml[: end.start()] if end else b""


def _check_container(data: bytes) -> None:
    """Raises Unreadable for files of other kinds that bear the name."""
    if data.startswith(b"\xd0\xcf\x11\xe0"):
        if "EncryptedPackage".encode("utf-16-le") in data:
            raise Unreadable(
                "工作簿有打开密码：去掉密码后再保存 / the workbook is protected by a password: save it without one"
            )
        raise Unreadable(f"是旧的 .xls 格式，{_SAVE[0]} / the old format .xls, {_SAVE[1]}")
    if not data.startswith(b"PK\x03\x04"):
        raise Unreadable(f"不是 Excel 工作簿，{_SAVE[0]} / no Excel workbook, {_SAVE[1]}")


def _check_parts(archive: zipfile.ZipFile) -> None:
    """Raises Unreadable for what would not fit into memory, other formats in a zip, and XML that defines entities."""
    infos = archive.infolist()
    names = {info.filename for info in infos}
    size = sum(info.file_size for info in infos)
    if size > MAX_UNPACKED or len(infos) > MAX_PARTS:
        raise Unreadable(
            f"解压后有 {size // 1024**2} MB、{len(infos)} 个部分，最多 {MAX_UNPACKED // 1024**2} MB、{MAX_PARTS} 个：把数据复制到新的工作簿"
            f" / unpacked it has {size // 1024**2} MB in {len(infos)} parts, the limits are {MAX_UNPACKED // 1024**2} MB "
            f"and {MAX_PARTS}: copy the data into a new workbook"
        )
    if "xl/workbook.bin" in names or "mimetype" in names or "[Content_Types].xml" not in names:
        raise Unreadable(
            f"不是 .xlsx 工作簿（可能是 .ods 或 .xlsb），{_SAVE[0]} / no .xlsx workbook (perhaps .ods or .xlsb), {_SAVE[1]}"
        )
    for info in infos:
        if not info.filename.startswith("xl/media/"):
            _xml(archive, info.filename)


def _xml(archive: zipfile.ZipFile, name: str) -> bytes:
    """A part of the workbook; raises Unreadable for XML that is not UTF-8 or that defines entities.

    So nothing can expand, whichever parser reads it, and bytes can be searched for tags.
    """
    data = archive.read(name)
    is_utf8 = True
    if name.lower().endswith((".xml", ".rels")):
        declared = _ENCODING.match(data.removeprefix(b"\xef\xbb\xbf"))
        is_utf8 = b"\0" not in data and (
            declared is None or declared[1].lower() in {b"utf-8", b"us-ascii", b"ascii"}
        )
    if not is_utf8 or b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise Unreadable(
            f"{name} 含有文档类型定义或不是 UTF-8，出于安全不读，{_SAVE[0]} / {name} defines a document type or is not UTF-8 and is "
            f"not read for safety, {_SAVE[1]}"
        )
    return data


def _elements(xml: bytes, tag: str) -> Iterator[ET.Element]:
    """The elements of a tag, each emptied before the next is read."""
    # _xml has refused definitions of entities.
    for _, element in ET.iterparse(BytesIO(xml)):  # noqa: S314
        if element.tag == tag:
            yield element
            element.clear()


def _strings(xml: bytes) -> list[str]:
    return [_string(element) for element in _elements(xml, _SI)]


def _string(element: ET.Element) -> str:
    """Plain or rich text, without the pronunciation that some spreadsheets add."""
    if len(element) == 1 and element[0].tag == _T:
        text = element[0].text or ""
    else:
        runs = (child if child.tag == _T else child.find(_T) for child in element if child.tag in {_T, _R})
        text = "".join(run.text or "" for run in runs if run is not None)
    return (_ESCAPED.sub(lambda match: chr(int(match[1], 16)), text) if "_x" in text else text).strip()


def _formats(xml: bytes) -> list[_Format]:
    """The format of each style that cells may name."""
    from openpyxl.styles.numbers import BUILTIN_FORMATS, is_date_format

    root = ET.fromstring(xml)  # noqa: S314 - as above
    codes = dict(BUILTIN_FORMATS)
    for element in root.iterfind(f"{_MAIN}numFmts/{_MAIN}numFmt"):
        codes[int(element.get("numFmtId", "0"))] = element.get("formatCode", "")
    result = []
    for element in root.iterfind(f"{_MAIN}cellXfs/{_MAIN}xf"):
        number = int(element.get("numFmtId", "0"))
        is_local = number in _LOCAL_DATES and number not in codes
        code = codes.get(number, "General")
        result.append(_Format(code, is_local or (code != "General" and is_date_format(code))))
    return result


def _row(
    row: ET.Element, book: _Workbook, kinds: Sequence[ColumnKind], number: int
) -> tuple[list[str], list[str]]:
    """The texts of a row up to its last cell that is not blank, and what is wrong with them."""
    texts: list[str] = []
    complaints: list[str] = []
    strings = book.strings
    index = -1
    for cell in row:
        reference = cell.get("r")
        index = _column(reference) if reference else index + 1
        if cell.get("t") == "s" and len(cell) == 1:
            # Nearly all cells of a table: worth a shorter way.
            text, complaint = strings[int(cell[0].text or "")], None
        else:
            text, complaint = _cell(cell, book, kinds[index] if index < len(kinds) else ColumnKind.FREE)
        if not text and not complaint:
            continue
        if index >= MAX_COLUMN:
            complaint = f"第 {MAX_COLUMN} 列以后不应有内容 / nothing may stand beyond column {MAX_COLUMN}"
        else:
            while len(texts) < index:
                texts.append("")
            texts[index : index + 1] = [text]
        if complaint:
            place = reference or f"{number}:{index + 1}"
            complaints.append(f"单元格 {place}: {complaint} (cell {place})")
    return texts, complaints


@cache
def _letters(letters: str) -> int:
    """`A` is 0, `AA` is 26."""
    value = 0
    for letter in letters:
        value = value * 26 + ord(letter) - ord("A") + 1
    return value - 1


def _column(reference: str) -> int:
    return _letters(reference.rstrip("0123456789"))


def _cell(cell: ET.Element, book: _Workbook, kind: ColumnKind) -> tuple[str, str | None]:
    """The text of a cell, stripped, and what is wrong with it."""
    type_ = cell.get("t", "n")
    value = None
    for child in cell:
        if child.tag == _V:
            value = child.text
        elif child.tag == _F:
            formula = f"={child.text or '…'}"
            return formula, f"{formula[:60]!r} 是公式，请粘贴为数值 / a formula, paste it as a value"
        elif child.tag == _IS:
            return _string(child), None
    if value is None:
        return "", None
    if type_ == "s":
        return book.strings[int(value)], None
    if type_ == "n":
        style = int(cell.get("s", "0"))
        shown = book.formats[style] if style < len(book.formats) else _Format("General", is_date=False)
        return (
            _day(Decimal(value), book.epoch, kind) if shown.is_date else _number(Decimal(value), shown, kind)
        )
    return _other(type_, value, kind)


def _other(type_: str, value: str, kind: ColumnKind) -> tuple[str, str | None]:
    """Cells of the rarer types: errors, truth values, dates as text, results of formulas without the formula."""
    match type_:
        case "e":
            return value, f"{value!r} 是 Excel 的错误值，请改正 / an error of Excel, correct it"
        case "b":
            text = "TRUE" if value == "1" else "FALSE"
            return text, None if kind is ColumnKind.FREE else (
                f"{text} 是逻辑值：列格式设为文本，写 yes 或 no / a truth value: format the column as text and write yes or no"
            )
        case "d":
            return _shown_day(datetime.fromisoformat(value), kind)
    return value.strip(), None


def _number(value: Decimal, shown: _Format, kind: ColumnKind) -> tuple[str, str | None]:
    """A number as the text of its digits; in a column of codes it must be shown by the same digits."""
    is_whole = value == value.to_integral_value()
    text = f"{value.to_integral_value() if is_whole else value.normalize():f}"
    if kind in {ColumnKind.FREE, ColumnKind.NUMBER, ColumnKind.DATE}:
        return text, None
    if abs(value) >= MAX_EXACT:
        return text, (
            f"{text} 超过 15 位，Excel 已改变末尾的数字：列格式设为文本后重新输入 / more than 15 digits, Excel has changed the last ones: "
            "format the column as text and type it again"
        )
    seen = text.zfill(len(shown.code)) if _ZEROS.fullmatch(shown.code) else text
    if not is_whole or seen != text or _DECIMALS.search(shown.code):
        return text, (
            f"数字 {text} 可能不是所写的编码（如 6602.10 变成 6602.1，0012 变成 12）：列格式设为文本后重新输入 / the number {text} may not "
            "be the code that was meant (6602.10 becomes 6602.1, 0012 becomes 12): format the column as text and type "
            "it again"
        )
    return text, None


def _day(serial: Decimal, epoch: datetime, kind: ColumnKind) -> tuple[str, str | None]:
    from openpyxl.utils.datetime import from_excel

    try:
        moment = from_excel(float(serial), epoch)
    except (OverflowError, ValueError):
        moment = None
    if not isinstance(moment, datetime):
        text = f"{serial:f}"
        return text, f"{text} 不是日期，请写作 2026-01-31 / no date, write it as 2026-01-31"
    return _shown_day(moment, kind)


def _shown_day(moment: datetime, kind: ColumnKind) -> tuple[str, str | None]:
    """A day as 2026-01-31, with its time where it has one, which a column of dates then refuses."""
    text = moment.date().isoformat() if moment.time() == time() else moment.isoformat()
    if kind in {ColumnKind.DATE, ColumnKind.FREE}:
        return text, None
    return text, (
        f"Excel 把它变成了日期 {text}：列格式设为文本后重新输入 / Excel has turned it into the date {text}: format the column as text "
        "and type it again"
    )
