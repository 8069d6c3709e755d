"""核算维度: which flex column holds which kind in this company, and which values there are. Nothing here is guessed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import TypeVar

from include.adapters.ledger.kingdee.client import MAX_LIMIT, KingdeeClient, Row
from include.domain.account import AuxiliaryDimension
from include.domain.errors import FixConfig

T = TypeVar("T")

CHUNK = 50
"""Values per look-up: filters are texts, and sites limit their length."""
SMALL_PAGE = 100
"""A page of fewer rows is the last one; a site may give fewer than it was asked for, but not so few."""
MAX_PAGES = 1000

ASSISTANT = "BOS_ASSISTANTDATA_DETAIL"
"""Where the values of dimensions without a form of their own are (辅助资料)."""
BASE_DATA = "0"
"""FVALUETYPE of a dimension whose values are a form's."""
EMPLOYEES = "BD_Empinfo"


def quoted(text: str) -> str:
    """A text inside a FilterString."""
    doubled = text.replace("'", "''")
    return f"'{doubled}'"


def one_of(key: str, texts: Iterable[str]) -> str:
    return f"{key} in ({','.join(map(quoted, texts))})"


def chunks(values: Sequence[T], size: int = CHUNK) -> Iterator[list[T]]:
    for start in range(0, len(values), size):
        yield list(values[start : start + size])


def all_rows(client: KingdeeClient, form: str, keys: Sequence[str], where: str, order: str) -> Iterator[Row]:
    """Every row of a form that nobody changes meanwhile, page by page until one is short."""
    start = 0
    for _ in range(MAX_PAGES):
        page = client.query(form, keys, where, order, start=start, limit=MAX_LIMIT)
        yield from page
        if len(page) < SMALL_PAGE:
            return
        start += len(page)
    raise FixConfig(
        f"{client.name}: {form} 超过 {start} 行 / {form} has more than {start} rows: it does not end"
    )


@dataclass(frozen=True, slots=True)
class FlexColumn:
    """A dimension as the company set it up. `source` is a form, or the category of auxiliary data."""

    number: str
    name: str
    column: str
    source: str
    is_base_data: bool

    @property
    def form(self) -> str:
        return self.source if self.is_base_data else ASSISTANT

    @property
    def code_key(self) -> str:
        """Employees go by their staff number."""
        return "FStaffNumber" if self.source == EMPLOYEES else "FNumber"

    @property
    def name_key(self) -> str:
        return "FName" if self.is_base_data else "FDataValue"

    @property
    def code(self) -> str:
        """Where queries of vouchers find a line's value. (What is saved is called FDETAILID__<column>.)"""
        return f"FDetailID.{self.column}.{self.code_key}"

    @property
    def label(self) -> str:
        return f"FDetailID.{self.column}.{self.name_key}"


def read_columns(client: KingdeeClient) -> list[FlexColumn]:
    """All dimensions that the company has."""
    keys = ["FNumber", "FName", "FFLEXNUMBER", "FVALUESOURCE", "FVALUETYPE"]
    return [
        FlexColumn(
            row.text("FNumber"),
            row.text("FName"),
            row.text("FFLEXNUMBER"),
            row.text("FVALUESOURCE"),
            row.text("FVALUETYPE") == BASE_DATA,
        )
        for row in all_rows(client, "BD_FLEXITEMPROPERTY", keys, "", "FNumber")
        if row.text("FFLEXNUMBER")
    ]


def columns_of(wanted: Mapping[str, str], columns: Sequence[FlexColumn]) -> dict[str, FlexColumn]:
    """The column of each of our kinds; `wanted` names it by its source, number or name.

    Raises:
        FixConfig: kinds whose dimension is not there, or is there several times; all of them.
    """
    found = {
        kind: [c for c in columns if name in (c.source, c.number, c.name)] for kind, name in wanted.items()
    }
    wrong = [
        f"{kind}: {wanted[kind]} × {len(matches)}" for kind, matches in found.items() if len(matches) != 1
    ]
    if wrong:
        there = "、".join(f"{c.name} ({c.number}, {c.source})" for c in columns)
        raise FixConfig(
            f"账簿的 ledger.options.dimensions 中 {'、'.join(wrong)}，应各对应一个核算维度；金蝶中有：{there} / each of the book's "
            f"ledger.options.dimensions must name one dimension; wrong are {', '.join(wrong)}"
        )
    return {kind: matches[0] for kind, matches in found.items()}


class DimensionIndex:
    """Values that the ledger has and that are in use. Grows with the master data, not with vouchers; thread-safe."""

    def __init__(self, client: KingdeeClient) -> None:
        self._client = client
        self._lock = Lock()
        self._known: set[AuxiliaryDimension] = set()

    def known(
        self, values: Iterable[AuxiliaryDimension], columns: Mapping[str, FlexColumn]
    ) -> set[AuxiliaryDimension]:
        """Those of `values` that there are. What was there once is not asked for again."""
        wanted = {value for value in values if value.kind in columns}
        with self._lock:
            missing = wanted - self._known
        for kind in sorted({value.kind for value in missing}):
            codes = sorted(value.code for value in missing if value.kind == kind)
            for chunk in chunks(codes):
                found = {AuxiliaryDimension(kind, code) for code in self._read(columns[kind], chunk)}
                with self._lock:
                    self._known |= found
        with self._lock:
            return wanted & self._known

    def forget(self, values: Iterable[AuxiliaryDimension]) -> None:
        """Ask for them again: the ledger refused one."""
        with self._lock:
            self._known -= set(values)

    def _read(self, column: FlexColumn, codes: Sequence[str]) -> set[str]:
        """Codes that are audited and not forbidden. Case counts, whatever the site's database thinks."""
        where = f"{one_of(column.code_key, codes)} and FForbidStatus='A' and FDocumentStatus='C'"
        if column.form == ASSISTANT:
            where += f" and FId.FNumber={quoted(column.source)}"
        rows = all_rows(self._client, column.form, [column.code_key], where, column.code_key)
        return {row.text(column.code_key) for row in rows} & set(codes)


def name_values(values: Sequence[AuxiliaryDimension]) -> str:
    """Up to twenty of them, and how many more."""
    shown = ", ".join(f"{value.kind} {value.code}" for value in values[:20])
    return shown if len(values) <= 20 else f"{shown} … +{len(values) - 20}"
