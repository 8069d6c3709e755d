"""What the cells of a table's file may hold, whichever format it has."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from enum import StrEnum

MAX_ROWS = 100_000
MAX_CELL = 32_767
"""Characters; the most that a cell of Excel holds."""
EXCEL_ERRORS = frozenset(
    {"#REF!", "#N/A", "#VALUE!", "#NAME?", "#DIV/0!", "#NUM!", "#NULL!", "#SPILL!", "#CALC!"}
)
_SCIENTIFIC = re.compile(r"-?\d(?:\.\d+)?E\+\d{2,}")


class ColumnKind(StrEnum):
    """What a column holds, which decides what a spreadsheet can have spoilt in it."""

    CODE = "code"
    DATE = "date"
    NUMBER = "number"
    FREE = "free"


Line = tuple[int, Sequence[str], Sequence[str]]
"""A row of a file: its number as a spreadsheet shows it (the header is 1), its cells stripped, and what is wrong with it."""


class Unreadable(Exception):
    """Nothing of the file can be used. The message says why and what to do, without the path."""


def too_many_rows(rows: int) -> Unreadable:
    """The refusal of a table with more than MAX_ROWS rows of data."""
    return Unreadable(
        f"有 {rows} 行数据，最多 {MAX_ROWS} 行：用前缀（如 COST1*）或默认行 * 合并相同的行，或按模板拆成几个表 / {rows} rows of data, "
        f"the limit is {MAX_ROWS}: use prefixes (COST1*) or a default row of *, or split the table by template"
    )


def complaint_about(text: str, kind: ColumnKind) -> str | None:
    """What is wrong with a cell whatever it means, None where nothing is."""
    if text.startswith("="):
        return f"单元格 {text[:60]!r} 是公式，请粘贴为数值 / a formula, paste it as a value"
    if text in EXCEL_ERRORS:
        return f"{text!r} 是 Excel 的错误值，请改正 / an error of Excel, correct it"
    if len(text) > MAX_CELL:
        return f"单元格有 {len(text)} 个字符，最多 {MAX_CELL} 个 / {len(text)} characters, the limit is {MAX_CELL}"
    if kind is ColumnKind.FREE:
        return None
    if _SCIENTIFIC.fullmatch(text):
        return (
            f"{text!r} 是 Excel 改写的长数字：列格式设为文本后重新输入 / a long number as Excel rewrote it: format the column "
            "as text and type it again"
        )
    if not text.isprintable():
        for character in text:
            if unicodedata.category(character) in {"Cc", "Cf"}:
                return (
                    f"{text[:60]!r} 含不可见字符 U+{ord(character):04X}（换行表示引号可能不成对），请重新输入 / holds the invisible "
                    f"character U+{ord(character):04X} (a line break: a quote may lack its partner), type it again"
                )
    return None
