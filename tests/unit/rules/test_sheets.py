"""Tables as CSV and as workbooks: what is read, what is refused, and what the message says."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import Workbook

from include.rules import sheets, workbooks
from include.rules.cells import MAX_ROWS, ColumnKind
from include.rules.tables import DecisionTable, read_accounts, read_table, table_files

HEADER = ("line.fee_type", "valid_from", "priority", "account", "note")
GOOD = ("A", "2026-01-01", "1", "6602.10", "差旅费")
Edit = Callable[[str], str]


def workbook(*rows: tuple[Any, ...], edit: Callable[[Workbook], None] | None = None) -> bytes:
    """A workbook of one sheet with a header and these rows."""
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    for row in (HEADER, *rows):
        sheet.append(row)
    if edit is not None:
        edit(book)
    data = io.BytesIO()
    book.save(data)
    return data.getvalue()


def changed(data: bytes, part: str, edit: Edit) -> bytes:
    """The workbook with the text of one part edited."""
    result = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(result, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            text = old.read(name)
            if name == part:
                edited = edit(text.decode())
                assert edited != text.decode()
                text = edited.encode()
            new.writestr(name, text)
    return result.getvalue()


def read(folder: Path, data: bytes | str, name: str = "costs.xlsx") -> tuple[DecisionTable | None, list[str]]:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    problems: list[str] = []
    return read_table(path, problems), problems


def refused(folder: Path, data: bytes | str, name: str = "costs.xlsx") -> str:
    """The messages, each of which names the file and is in two languages."""
    _, problems = read(folder, data, name)
    assert problems
    for problem in problems:
        assert problem.startswith(str(folder / name)), problem
        assert " / " in problem
        assert re.search(r"[\u4e00-\u9fff]", problem), problem
    return "\n".join(problems)


def test_a_workbook_says_what_a_csv_says(tmp_path: Path) -> None:
    rows = [GOOD, ("<missing>", "", "", "1001", ""), ("B*", "2026-02-01", "-3", "6602.01", "a")]
    text = "\n".join(",".join(row) for row in (HEADER, *rows))
    from_csv, problems = read(tmp_path, text, "costs.csv")
    from_workbook, more = read(tmp_path, workbook(*rows))
    assert problems == more == []
    assert from_csv is not None
    assert from_workbook is not None
    assert from_workbook.rows == from_csv.rows
    assert (from_csv.file_name, from_workbook.file_name) == ("costs.csv", "costs.xlsx")


def test_what_excel_makes_of_what_is_typed(tmp_path: Path) -> None:
    """Whole numbers are codes, days are days; blank rows and columns at the end do not count, hidden rows do."""

    def edit(book: Workbook) -> None:
        sheet = book.active
        sheet.row_dimensions[2].hidden = True
        sheet["H9"].value = "  "
        sheet["D30"].number_format = "0.00"

    table, problems = read(
        tmp_path,
        workbook(
            (1001, date(2026, 3, 1), 5, 1002, 3.5),
            (),
            ("B", datetime(2026, 3, 2), 5, 1002.0, date(2026, 1, 2)),  # noqa: DTZ001 - cells have no time zone
            edit=edit,
        ),
    )
    assert problems == []
    assert table is not None
    assert [
        (row.row, row.cells[0].values, row.valid_from, row.priority, row.account) for row in table.rows
    ] == [
        (2, ("1001",), date(2026, 3, 1), 5, "1002"),
        (4, ("B",), date(2026, 3, 2), 5, "1002"),
    ]


def test_days_counted_from_1904(tmp_path: Path) -> None:
    def edit(book: Workbook) -> None:
        book.epoch = datetime(1904, 1, 1)  # noqa: DTZ001

    table, problems = read(tmp_path, workbook(("A", date(2026, 3, 1), 1, "6602", ""), edit=edit))
    assert problems == []
    assert table is not None
    assert table.rows[0].valid_from == date(2026, 3, 1)


def as_excel_writes_it(cells: str, strings: str) -> bytes:
    """A workbook with shared strings, a style 1 for days (a format that Chinese Excel knows), and rows as given."""
    types = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    main = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    relations = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types"><Default Extension="xml" ContentType="application/xml"/>'
        + "".join(
            f'<Override PartName="/xl/{name}.xml" ContentType="{types}.{kind}+xml"/>'
            for name, kind in (
                ("workbook", "sheet.main"),
                ("s1", "worksheet"),
                ("styles", "styles"),
                ("sharedStrings", "sharedStrings"),
            )
        )
        + "</Types>",
        "xl/workbook.xml": f'<workbook {main} xmlns:r="{relations}"><sheets><sheet name="科目" sheetId="1" r:id="rId1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="rId1" '
        f'Type="{relations}/worksheet" Target="s1.xml"/></Relationships>',
        "xl/styles.xml": f'<styleSheet {main}><cellXfs><xf numFmtId="0"/><xf numFmtId="31"/></cellXfs></styleSheet>',
        "xl/sharedStrings.xml": f"<sst {main}>{strings}</sst>",
        "xl/s1.xml": f"<worksheet {main}><sheetData>{cells}</sheetData></worksheet>",
    }
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return data.getvalue()


def test_what_excel_writes_and_openpyxl_does_not(tmp_path: Path) -> None:
    """Shared and rich text, a pronunciation that is no text, characters written as their numbers, local formats of days."""
    data = as_excel_writes_it(
        '<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="s"><v>1</v></c><c r="C1" t="s"><v>2</v></c></row>'
        '<row r="3" hidden="1"><c r="A3" t="s"><v>3</v></c><c r="B3" s="1"><v>46082</v></c><c r="C3"><v>6602</v></c></row>',
        "<si><t>line.fee_type</t></si><si><t>valid_from</t></si><si><t>account</t></si>"
        '<si><r><t>CO</t></r><r><rPr><b/></rPr><t>ST_x0031_</t></r><rPh sb="0" eb="1"><t>x</t></rPh></si>',
    )
    table, problems = read(tmp_path, data)
    assert problems == []
    assert table is not None
    (row,) = table.rows
    assert (row.row, row.cells[0].values, row.valid_from, row.account) == (
        3,
        ("COST1",),
        date(2026, 3, 1),
        "6602",
    )


def test_a_size_that_the_workbook_states_wrongly_loses_no_row(tmp_path: Path) -> None:
    data = changed(
        workbook(GOOD, ("B", *GOOD[1:])),
        "xl/worksheets/sheet1.xml",
        lambda text: re.sub(r'<dimension ref="[^"]+"', '<dimension ref="A1:B2"', text),
    )
    table, problems = read(tmp_path, data)
    assert problems == []
    assert table is not None
    assert len(table.rows) == 2


def put(cell: str, value: object, number_format: str = "General") -> Callable[[Workbook], None]:
    def edit(book: Workbook) -> None:
        assert book.active is not None
        book.active[cell].value = value
        book.active[cell].number_format = number_format

    return edit


def merge(book: Workbook) -> None:
    assert book.active is not None
    book.active.merge_cells("B3:B7")


def another_sheet(book: Workbook) -> None:
    book.create_sheet("去年")["A1"].value = "x"
    book.create_sheet("空")


CELLS = {
    "formula": (put("D2", "=B2&1"), ["D2", "'=B2&1'", "paste it as a value"]),
    "formula in a note": (put("E2", "=TODAY()"), ["E2", "paste it as a value"]),
    "error": (put("D2", "#REF!"), ["D2", "'#REF!'", "correct it"]),
    "zero eaten at the end": (put("D2", 6602.1), ["D2", "6602.1", "6602.10", "format the column as text"]),
    "shown with decimals": (put("D2", 6602, "0.00"), ["D2", "6602", "format the column as text"]),
    "zeros eaten in front": (put("A2", 12, "0000"), ["A2", "12", "0012", "format the column as text"]),
    "digits lost": (put("A2", 12345678901234567890), ["A2", "more than 15 digits"]),
    "code that became a date": (
        put("A2", date(2026, 3, 1), "yyyy-mm-dd"),
        ["A2", "2026-03-01", "format the column as text"],
    ),
    "truth value": (put("A2", value=True), ["A2", "TRUE", "yes or no"]),
    "time": (
        put("B2", datetime(2026, 3, 1, 8), "yyyy-mm-dd h:mm"),  # noqa: DTZ001  # noqa: DTZ001
        ["第 2 行", "valid_from", "write a date as 2026-01-31"],
    ),
    "no date": (put("B2", 45000), ["valid_from", "'45000'", "2023-03-15", "serial number"]),
    "line break": (put("A2", "A\nB"), ["第 2 行", "line.fee_type", "U+000A"]),
    "invisible character": (put("A2", "A\u200b"), ["line.fee_type", "U+200B"]),
    "beyond the header": (put("G2", "x"), ["第 2 行", "more cells than the header's 5"]),
    "far beyond": (put("XFD2", "x"), ["XFD2", "beyond column 256"]),
    "merged cells": (merge, ["B3:B7", "unmerge", "fill every row"]),
    "several sheets": (another_sheet, ["Sheet、去年", "there may be one"]),
    "column twice": (put("E1", "priority"), ["repeated column", "priority"]),
    "no name": (put("B1", None), ["empty column"]),
}


@pytest.mark.parametrize("name", CELLS)
def test_a_mistake_in_a_workbook(tmp_path: Path, name: str) -> None:
    edit, expected = CELLS[name]
    message = refused(tmp_path, workbook(GOOD, edit=edit))
    assert [part for part in expected if part not in message] == [], message


def test_all_mistakes_of_a_workbook_are_told(tmp_path: Path) -> None:
    message = refused(
        tmp_path, workbook((True, "soon", 1.5, 6602.1, ""), ("A", "", "", "=1", ""), ("", "", "x", "", ""))
    )
    assert [
        row for row in ("A2", "D2", "D3", "第 4 行: line.fee_type", "第 4 行: priority") if row not in message
    ] == []


def test_hidden_sheets_do_not_count(tmp_path: Path) -> None:
    def edit(book: Workbook) -> None:
        hidden = book.create_sheet("lists", 0)
        hidden["A1"].value = "x"
        hidden.sheet_state = "hidden"

    table, problems = read(tmp_path, workbook(GOOD, edit=edit))
    assert problems == []
    assert table is not None


def test_a_workbook_without_anything(tmp_path: Path) -> None:
    data = io.BytesIO()
    Workbook().save(data)
    assert "the workbook is empty" in refused(tmp_path, data.getvalue())


def container(name: str, text: bytes = b"") -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, text)
    return data.getvalue()


OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)
FILES = {
    "password": (
        OLE + "EncryptedPackage".encode("utf-16-le"),
        ["protected by a password", "save it without one"],
    ),
    "xls": (OLE, ["the old format .xls", "save it as .xlsx"]),
    "ods": (container("mimetype", b"application/vnd.oasis.opendocument.spreadsheet"), [".ods"]),
    "xlsb": (container("xl/workbook.bin"), [".xlsb"]),
    "another zip": (container("a.txt"), ["no .xlsx workbook"]),
    "text": (b"line.fee_type,account\nA,1\n", ["no Excel workbook"]),
    "empty": (b"", ["the file is empty"]),
    "torn": (workbook(GOOD)[:2000], ["the workbook is damaged"]),
    "bomb": (
        container("xl/worksheets/sheet1.xml", bytes(workbooks.MAX_UNPACKED + 1)),
        ["unpacked", "256 MB"],
    ),
    "entities": (
        changed(
            workbook(GOOD),
            "xl/worksheets/sheet1.xml",
            lambda text: f'<!DOCTYPE x [<!ENTITY a "{"a" * 99}"><!ENTITY b "&a;&a;&a;&a;">]>' + text,
        ),
        ["sheet1.xml", "not read for safety"],
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_no_usable_workbook(tmp_path: Path, name: str) -> None:
    data, expected = FILES[name]
    message = refused(tmp_path, data)
    assert message.count("\n") == 0
    assert [part for part in expected if part not in message] == [], message


WHOLE = workbook(GOOD)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_damaged_workbook_is_a_message_and_no_crash(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    whole = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 5))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    table, problems = read(tmp_path_factory.getbasetemp(), bytes(whole))
    assert problems or (table is not None and len(table.rows) == 1)


def rows_of(count: int) -> str:
    return ",".join(HEADER) + "\n" + "".join(f"F{row},,,6602,\n" for row in range(count))


def test_200000_rows_are_one_message(tmp_path: Path) -> None:
    message = refused(tmp_path, rows_of(200_000), "costs.csv")
    assert message.count("\n") == 0
    for part in ("200000 rows of data", "the limit is 100000", "use prefixes", "split the table by template"):
        assert part in message


def test_200000_rows_of_a_workbook_are_one_message(tmp_path: Path) -> None:
    row = "".join(f'<row r="{row}"><c r="A{row}"><v>{row}</v></c></row>' for row in range(2, 200_002))
    data = changed(
        workbook(),
        "xl/worksheets/sheet1.xml",
        lambda text: text.replace("</sheetData>", row + "</sheetData>"),
    )
    message = refused(tmp_path, data)
    assert message.count("\n") == 0
    assert "200000 rows of data, the limit is 100000" in message


def test_as_many_rows_as_there_may_be(tmp_path: Path) -> None:
    table, problems = read(tmp_path, rows_of(MAX_ROWS) + "\n\n", "costs.csv")
    assert problems == []
    assert table is not None
    assert len(table.rows) == MAX_ROWS


def test_a_hundred_problems_and_how_many_more(tmp_path: Path) -> None:
    _, problems = read(tmp_path, rows_of(250).replace("6602", ""), "costs.csv")
    assert len(problems) == 101
    assert problems[-1].endswith("另有 150 处 / … and 150 more")


CSV = ",".join(HEADER) + "\n"
TEXTS = {
    "GBK": (CSV.encode() + "A,,,1,差旅费\n".encode("gbk"), ["第 54 字节", "line 2", "CSV UTF-8", "GBK/GB18030"]),
    "UTF-16": (("\ufeff" + CSV).encode("utf-16-le"), ["UTF-16", "CSV UTF-8"]),
    "one line of GBK": (
        f"\ufeff{CSV}A,,,1,差旅费\n".encode() + "B,,,1,差旅费\nC,,,1,\n".encode("gbk"), ["mixed encodings", "lines 3 are not UTF-8"],
    ),
    "NUL": (f"{CSV}A,,,1,\0\n", ["line 2", "a NUL character"]),
    "text that was lost": (f"{CSV}A,,,1,\ufffd\n", ["line 2", "the character �"]),
    "workbook named as CSV": (workbook(GOOD), ["an Excel workbook", "name it .xlsx"]),
    "tabs": (CSV.replace(",", "\t"), ["commas, not tabs"]),
    "Chinese commas": (CSV.replace(",", "，"), ["commas, not Chinese commas"]),
    "quote never closed": (f'{CSV}A,,,1,\n"B,,,1,\nC,,,1,\n', ["第 3 行", "a quote opened in row 3", "never closed"]),
    "quote in a quote": (f'{CSV}A,,,1,"a"b"\n', ["row 2", "write a quote inside a value twice"]),
    "quote that swallows rows": (f'{CSV}"A,,,1,\nB",,,1,\n', ["第 2 行: line.fee_type", "U+000A", "a quote may lack its partner"]),
    "2 MB": (f"{CSV}A,,,1,{'x' * 2_000_000}\n", ["row 2", "too long"]),
    "long cell": (f"{CSV}{'A|' * 20_000},,,1,\n", ["第 2 行: line.fee_type", "40000 characters", "32767"]),
    "number as Excel writes it": (f"{CSV}1.23E+17,,,1,\n", ["'1.23E+17'", "format the column as text"]),
    "empty": ("\ufeff\n", ["the file is empty"]),
    "header alone": (CSV, ["the table has no rows"]),
    "serial": (f"{CSV}A,45000,,1,\n", ["valid_from", "'45000'", "2023-03-15"]),
    "no such month": (f"{CSV}A,2026/13/01,,1,\n", ["valid_from", "'2026/13/01'", "there is no such day"]),
}  # fmt: skip


@pytest.mark.parametrize("name", TEXTS)
def test_a_mistake_in_a_csv(tmp_path: Path, name: str) -> None:
    data, expected = TEXTS[name]
    message = refused(tmp_path, data, "costs.csv")
    assert [part for part in expected if part not in message] == [], message


def test_what_is_no_file(tmp_path: Path) -> None:
    problems: list[str] = []
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "loop.csv").symlink_to(tmp_path / "loop.csv")
    for name in ("folder.csv", "nowhere.csv", "loop.csv"):
        assert read_table(tmp_path / name, problems) is None
    assert "a file is expected" in problems[0]
    assert "no such file" in problems[1]
    assert "cannot be read" in problems[2]


def test_a_file_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "costs.csv"
    with path.open("wb") as file:
        file.truncate(sheets.MAX_BYTES + 1)
    problems: list[str] = []
    assert read_table(path, problems) is None
    assert "the limit is 64 MB" in problems[0]


def test_another_output(tmp_path: Path) -> None:
    path = tmp_path / "input_vat.csv"
    path.write_text("line.fee_type,treatment\nA,printed\n", "utf-8")
    problems: list[str] = []
    table = read_table(path, problems, output="treatment")
    assert problems == []
    assert table is not None
    assert table.rows[0].account == "printed"
    path.write_text("line.fee_type,account\nA,1\n", "utf-8")
    assert read_table(path, problems, output="treatment") is None
    assert "the column treatment is missing" in problems[-1]


def test_accounts_in_a_workbook(tmp_path: Path) -> None:
    book = Workbook()
    assert book.active is not None
    for row in (
        ("key", "account", "note"),
        ("bank", 1002, ""),
        ("tax", "2221.01.01", 3.5),
        ("cash", 1001.1, ""),
    ):
        book.active.append(row)
    book.save(tmp_path / "accounts.xlsx")
    problems: list[str] = []
    accounts = read_accounts(tmp_path / "accounts.xlsx", problems)
    assert {key: keyed.account for key, keyed in accounts.items()} == {"bank": "1002", "tax": "2221.01.01"}
    assert len(problems) == 1
    assert "B4" in problems[0]


def test_which_files_are_tables(tmp_path: Path) -> None:
    for name in (
        "a.csv",
        "b.XLSX",
        "~$b.xlsx",
        ".hidden.csv",
        "notes.txt",
        "c.csv",
        "c.xlsx",
        "d.xls",
        "e.et",
    ):
        (tmp_path / name).touch()
    problems: list[str] = []
    found = table_files(tmp_path, problems)
    assert {name: path.name for name, path in found.items()} == {"a": "a.csv", "b": "b.XLSX", "c": "c.csv"}
    assert [Path(problem.partition(": ")[0]).name for problem in problems] == ["c.xlsx", "d.xls", "e.et"]
    assert "the same table as c.csv, keep one" in problems[0]
    assert ".xls files are not read" in problems[1]


@given(
    text=st.text(st.characters(blacklist_categories=("Cs", "Cc", "Cf")), max_size=12).filter(
        lambda t: not t.startswith("=")
    ),
    kind=st.sampled_from(ColumnKind),
)
@settings(max_examples=40, deadline=None)
def test_text_in_a_workbook_is_read_as_in_a_csv(
    text: str, kind: ColumnKind, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp()
    book = Workbook()
    assert book.active is not None
    book.active.append(["a", "b"])
    book.active.append([text, "x"])
    book.active["A2"].data_type = "s"
    book.save(folder / "t.xlsx")
    quoted = text.replace('"', '""')
    (folder / "t.csv").write_text(f'a,b\n"{quoted}",x\n', "utf-8", newline="")
    problems: list[str] = []
    first = sheets.read_sheet(folder / "t.csv", lambda _: kind, problems)
    second = sheets.read_sheet(folder / "t.xlsx", lambda _: kind, [])
    assert problems or first == second
