"""Reading e-cology's lists whole, while requests move under way.

Lists come in pages, latest received first, and whoever receives a request again moves it to the front; filters know
whole days. So a page by itself proves nothing. A list is therefore read in pieces by day, each until it holds as many
requests as the OA counts, before and after; one that does not settle is asked for in larger pages, in the end in one,
which is of one moment. The piece with the latest days is read last: what changes meanwhile moves into it.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from include.adapters.oa.forms.moments import read_moment
from include.adapters.oa.weaver.interface import Interface, Json, Search, usable_request_id
from include.adapters.oa.weaver.options import WeaverOptions
from include.domain.errors import FixConfig, RetryLater

log = logging.getLogger(__name__)

MAX_PASSES = 8
LARGEST_PAGE = 5000
_NEVER = (date(1971, 1, 1), date(1971, 1, 1))
DAY = timedelta(days=1)


class Lists:
    """The lists of one user."""

    def __init__(self, interface: Interface, options: WeaverOptions, zone: ZoneInfo) -> None:
        self._interface = interface
        self._options = options
        self._zone = zone
        self._is_proved = False

    def changed(self, search: Search, since: datetime, today: date) -> Iterator[list[Json]]:
        """Requests last operated at `since` (in whole seconds) or later, the oldest change first, in pages.

        `today` may be a day off the OA's own.
        """
        self._prove(search)
        first = since.astimezone(self._zone).date()
        recent = max(first, today - DAY)
        pieces = [*self._pieces(search, first, recent - DAY)] if recent > first else []
        since = since.replace(microsecond=0)
        for start, end in [*pieces, (recent, None)]:
            found = self._whole(replace(search, operated=(start, end)))
            times = [(self.changed_at(item), item) for item in found]
            fresh = [(at, item) for at, item in times if at is None or at >= since]
            fresh.sort(
                key=lambda pair: (pair[0] is not None, pair[0] or since, str(pair[1].get("requestId")))
            )
            items = [item for _, item in fresh]
            for index in range(0, len(items), self._options.page_size):
                yield items[index : index + self._options.page_size]

    def created(self, search: Search, start: date, until: datetime) -> Iterator[Json]:
        """Requests created from a day to a moment."""
        self._prove(search)
        last = until.astimezone(self._zone).date()
        if last < start:
            return
        for first, end in [*self._pieces(search, start, last - DAY, by="created"), (last, last)]:
            for item in self._whole(replace(search, created=(first, end))):
                at = read_moment(item.get("createTime"), self._zone)
                if end < last or at is None or at <= until:
                    yield item

    def count_created(self, search: Search, start: date, until: datetime) -> int:
        """How many those are, by the OA's own count; of the last day, which it cannot divide, by its list."""
        self._prove(search)
        last = until.astimezone(self._zone).date()
        if last < start:
            return 0
        before = self._interface.count(replace(search, created=(start, last - DAY))) if last > start else 0
        return before + sum(1 for _ in self.created(search, last, until))

    def changed_at(self, item: Json) -> datetime | None:
        """When a request was last changed. The OA gives seconds, and a flow moves on after the second in which somebody
        has acted: the part of a second here stands for the node and state, so that such a move is a change too.
        """
        at = read_moment(item.get("lastOperateTime"), self._zone)
        if at is None:
            return None
        names = ("currentNodeId", "status", "requestName", "lastOperatorName")
        state = "\n".join(str(item.get(name) or "") for name in names)
        part = int.from_bytes(hashlib.sha256(state.encode("utf-8", "replace")).digest()[:4]) % 1_000_000
        return at.replace(microsecond=part)

    # -- parts ---------------------------------------------------------------------------------------

    def _pieces(
        self, search: Search, first: date, last: date, by: str = "operated"
    ) -> Iterator[tuple[date, date]]:
        """Stretches of days, oldest first, that hold about as many requests as are read as one piece."""
        limit = self._options.page_size * self._options.window_pages
        waiting = [(first, last)] if first <= last else []
        while waiting:
            start, end = waiting.pop()
            days = {by: (start, end)}
            count = self._interface.count(Search(search.workflows, **days))
            if count > limit and start < end:
                middle = start + (end - start) // 2
                waiting += [(middle + DAY, end), (start, middle)]
            elif count:
                yield start, end

    def _whole(self, search: Search) -> list[Json]:
        """All requests that a search finds, each once.

        Raises:
            RetryLater: it never held what the OA counts.
        """
        size = self._options.page_size
        for _ in range(MAX_PASSES):
            total = self._interface.count(search)
            found = self._pass(search, size, total)
            if len(found) == total and (total <= size or self._interface.count(search) == total):
                return list(found.values())
            log.info(
                "列表在读取时变动：%d 份中读到 %d 份，重读 / the list moved, read again", total, len(found)
            )
            size = min(size * 2, LARGEST_PAGE)
        raise RetryLater(
            f"泛微列表（流程 {'、'.join(search.workflows)}）与其计数始终不一致，不能保证不漏单：稍后重试 / a list never held what e-cology "
            "counts, so requests might be missed: try again later"
        )

    def _pass(self, search: Search, size: int, total: int) -> dict[str, Json]:
        pages = -(-total // size)
        if pages > self._options.max_pages:
            raise RetryLater(
                f"泛微列表有 {total} 份，超过 {self._options.max_pages} 页：请增大 max_pages 或 page_size / the list has more than "
                f"{self._options.max_pages} pages: raise max_pages or page_size"
            )
        found: dict[str, Json] = {}
        for number in range(1, pages + 1):
            for item in self._interface.page(search, number, size, total):
                base = item.get("workflowBaseInfo")
                workflow = str(base.get("workflowId", "")) if isinstance(base, dict) else ""
                if workflow not in search.workflows:
                    raise RetryLater(
                        f"泛微列表给出了流程 {workflow!r} 的单据，要的是 {'、'.join(search.workflows)} / the list holds a request of another "
                        "workflow than was asked for"
                    )
                found[usable_request_id(item.get("requestId")) or str(len(found))] = item
        return found

    def _prove(self, search: Search) -> None:
        """That conditions are understood: some builds drop those that they do not know or that their database refuses,
        and then all counts mean something else.

        Raises:
            FixConfig: they are not.
        """
        if self._is_proved:
            return
        if self._interface.count(replace(search, created=_NEVER)) or self._interface.count(
            replace(search, operated=_NEVER)
        ):
            raise FixConfig(
                f"泛微（{self._interface.name}）不理会按日期的查询条件，不能保证不漏单：请改用另一种 interface / conditions by day have no effect, so "
                "that requests might be missed: use the other interface"
            )
        ever = replace(search, created=(date(1971, 1, 1), None), operated=(date(1971, 1, 1), None))
        if self._interface.count(ever) != 0 or self._interface.count(search) == 0:
            self._is_proved = True
            return
        raise FixConfig(
            f"泛微（{self._interface.name}）的数据库不接受按日期的查询条件，列表总是空的：请改用另一种 interface / the database refuses conditions "
            "by day, so that lists are always empty: use the other interface"
        )
