"""Reading the document list (获取单据列表) whole, while documents change under way.

The list is ordered by time of change. A document that changes meanwhile moves to its end and shifts
everything behind its old place, so that paging by offset alone would skip documents. Therefore the cursor is
the time itself: each page asks for changes from the second on in which the last page ended.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from include.adapters.oa.hesi.client import HesiClient
from include.adapters.oa.hesi.options import HesiOptions
from include.adapters.oa.hesi.times import query_text
from include.adapters.oa.reading import usable_id
from include.adapters.oa.times import epoch_ms, to_moment, to_ms
from include.domain.errors import RetryLater
from include.ports import RawDocument

LIST_PATH = "/api/openapi/v1.1/docs/getApplyList"
MAX_RESTARTS = 50
"""How often one crowded second is begun again because documents left it while it was read."""

_SECOND_MS = 1000


@dataclass(frozen=True, slots=True)
class Page:
    """One page as the OA sent it. `total` is its count of the whole query."""

    items: Sequence[Any]
    total: int


def page_of(value: Any, start: int, size: int) -> Page | str:
    """Read a page, or say what is odd about it.

    The vendor once answered count 0 behind the first page; that is let pass, other contradictions are not.
    """
    if not isinstance(value, Mapping) or not isinstance(value.get("items"), list):
        return "没有 items 列表 / no list 'items'"
    items, total = value["items"], value.get("count")
    if isinstance(total, bool) or not isinstance(total, int) or total < 0:
        return f"count 不是数目：{str(total)[:40]!r} / count is no number"
    if len(items) > size:
        return f"要 {size} 条，给了 {len(items)} 条 / more items than were asked for"
    if start > 0 and total == 0:
        return Page(items, start + len(items))
    if items and total < start + len(items):
        return f"count {total} 小于已给出的 {start + len(items)} 条 / count is less than what was sent"
    if len(items) < size and total > start + len(items):
        return f"共 {total} 条，第 {start + len(items)} 条后中断 / the list ends before its count"
    return Page(items, total)


def fetch_page(client: HesiClient, path: str, params: Mapping[str, str], start: int, size: int) -> Page:
    """One page of a start/count list.

    Raises:
        RetryLater: the answer contradicts itself each time it is asked for.
    """

    def check(value: Any) -> str | None:
        page = page_of(value, start, size)
        return page if isinstance(page, str) else None

    value = client.read(path, {**params, "start": str(start), "count": str(size)}, check)
    page = page_of(value, start, size)
    assert isinstance(page, Page)
    return page


def raw_document(item: Any, form_type: str) -> RawDocument:
    """One list entry or detail. What is no object is kept under the key `value`, for the mapping to report."""
    payload: Mapping[str, Any] = item if isinstance(item, Mapping) else {"value": item}
    updated = epoch_ms(payload.get("updateTime"))
    return RawDocument(
        document_id=usable_id(payload.get("id")),
        form_type=form_type,
        updated_at=None if updated is None else to_moment(updated),
        payload=payload,
    )


@dataclass(slots=True)
class _Cursor:
    """Where a walk stands: the second asked for, the offset within it, and what was seen of that second."""

    second: int
    offset: int
    seen: set[tuple[str, int]]
    restarts: int = 0
    tail: tuple[str, int] | None = None
    """The last entry of the page before, which must come first again when paging within a second."""


class ChangeWalk:
    """All documents of one form type changed since a moment, oldest change first."""

    def __init__(self, client: HesiClient, options: HesiOptions, form_type: str) -> None:
        self._client = client
        self._options = options
        self._form_type = form_type

    def pages(self, since: datetime) -> Iterator[Sequence[RawDocument]]:
        """Pages without the entries that an earlier page had in the same version.

        Raises:
            RetryLater: the list does not move on, is out of order, or does not end.
        """
        cursor = _Cursor(to_ms(since) // _SECOND_MS, 0, set())
        for _ in range(self._options.max_pages):
            page = self._fetch(cursor)
            entries = [(raw_document(item, self._form_type), self._key(item)) for item in page.items]
            self._check_order([key for _, key in entries if key], cursor)
            if cursor.offset and not self._continues(entries, cursor):
                continue
            fresh = [raw for raw, key in entries if key is None or key not in cursor.seen]
            if fresh:
                yield fresh
            if len(page.items) < self._options.page_size:
                return
            self._advance(cursor, [key for _, key in entries if key])
        raise RetryLater(
            f"合思 {self._form_type} 列表超过 {self._options.max_pages} 页仍未结束：请稍后重试，或增大 max_pages / the list of "
            f"{self._form_type} does not end within {self._options.max_pages} pages: try later or raise max_pages"
        )

    def _fetch(self, cursor: _Cursor) -> Page:
        params = {
            "type": self._form_type,
            "orderBy": "updateTime",
            "orderByType": "asc",
            "startDate": query_text(to_moment(cursor.second * _SECOND_MS)),
        }
        return fetch_page(self._client, LIST_PATH, params, cursor.offset, self._options.page_size)

    @staticmethod
    def _key(item: Any) -> tuple[str, int] | None:
        """Document and version; None where the entry does not say, which is then never taken for a duplicate."""
        if not isinstance(item, Mapping):
            return None
        updated = epoch_ms(item.get("updateTime"))
        return (str(item.get("id")), updated) if updated is not None else None

    def _check_order(self, keys: Sequence[tuple[str, int]], cursor: _Cursor) -> None:
        times = [updated for _, updated in keys]
        if any(later < earlier for earlier, later in pairwise(times)) or (
            times and times[0] < cursor.second * _SECOND_MS
        ):
            raise RetryLater(
                f"合思 {self._form_type} 列表未按更新时间给出，不能保证不漏单：请联系合思 / the list of {self._form_type} is not "
                "in order of updateTime, so documents might be missed: ask the vendor"
            )

    def _continues(self, entries: Sequence[tuple[RawDocument, Any]], cursor: _Cursor) -> bool:
        """Whether the page begins with the entry that ended the page before; if not, begin the second again."""
        if entries and entries[0][1] == cursor.tail:
            return True
        cursor.offset, cursor.tail, cursor.restarts = 0, None, cursor.restarts + 1
        if cursor.restarts > MAX_RESTARTS:
            raise RetryLater(
                f"合思 {self._form_type} 列表在读取时不断变化：请稍后重试 / the list of {self._form_type} keeps changing while "
                "it is read: try later"
            )
        return False

    def _advance(self, cursor: _Cursor, keys: Sequence[tuple[str, int]]) -> None:
        if not keys:
            raise RetryLater(
                f"合思 {self._form_type} 列表整页没有更新时间，无法继续 / a whole page of {self._form_type} has no updateTime"
            )
        last = keys[-1][1] // _SECOND_MS
        if last > cursor.second:
            # Of the entries read, only those of the last second come again.
            cursor.seen = {key for key in keys if key[1] // _SECOND_MS == last}
            cursor.second, cursor.offset, cursor.tail, cursor.restarts = last, 0, None, 0
            return
        cursor.seen.update(keys)
        cursor.offset += self._options.page_size - 1
        cursor.tail = keys[-1]
