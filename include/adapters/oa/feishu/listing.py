"""Reading Feishu's lists whole: windows of at most ten hours, one after the other with an overlap, each page by page."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from include.adapters.oa.feishu.client import FeishuClient, Json
from include.adapters.oa.feishu.options import FeishuOptions
from include.adapters.oa.reading import usable_id
from include.adapters.oa.times import to_ms
from include.domain.errors import RetryLater
from include.ports import Clock

SETTLED = timedelta(days=1)
"""A window that ended so long ago gets no more instances, whatever the clocks say: it is read once."""
AHEAD = timedelta(days=1)
"""How far Feishu's clock may be ahead of ours."""


class Lists:
    """Ids of instances by approval code and time of creation, which nothing changes."""

    def __init__(self, client: FeishuClient, options: FeishuOptions, clock: Clock, start: datetime) -> None:
        self._client = client
        self._options = options
        self._clock = clock
        self._start = start
        self._settled: dict[tuple[str, datetime], tuple[str, ...]] = {}

    def created(self, approval_code: str, until: datetime) -> Iterator[str]:
        """Each id once, of all instances created from the source's start to `until`."""
        seen: set[str] = set()
        settled_before = self._clock.now() - SETTLED
        for first, last in self._windows(until):
            found = self._settled.get((approval_code, first)) if last < settled_before else None
            if found is None:
                found = tuple(self._listed(approval_code, first, last))
                if last < settled_before and self._is_whole(first, last):
                    self._settled[approval_code, first] = found
            yield from (i for i in found if i not in seen)
            seen.update(found)

    def reverted(self, approval_code: str) -> Iterator[str]:
        """Ids of the instances that Feishu finds under the status REVERTED; they may come more than once."""
        for first, last in self._windows(self._clock.now() + AHEAD):
            body: Json = {
                "approval_code": approval_code,
                "instance_status": "REVERTED",
                "instance_start_time_from": str(to_ms(first)),
                "instance_start_time_to": str(to_ms(last)),
            }
            for item in self._pages("instances/query", {}, body, "instance_list"):
                instance = item.get("instance") if isinstance(item, dict) else None
                found = usable_id(instance.get("code")) if isinstance(instance, dict) else ""
                if found:
                    yield found

    def is_reverted(self, approval_code: str, instance_code: str) -> bool:
        """Whether Feishu finds one instance under the status REVERTED."""
        body: Json = {
            "approval_code": approval_code,
            "instance_code": instance_code,
            "instance_status": "REVERTED",
        }
        found = self._pages("instances/query", {}, body, "instance_list")
        return any(
            isinstance(item, dict) and (item.get("instance") or {}).get("code") == instance_code
            for item in found
        )

    # -- parts ---------------------------------------------------------------------------------------

    def _windows(self, until: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Windows on a fixed grid from the start on, the last one cut off at `until`; ends included."""
        size = timedelta(hours=self._options.window_h)
        step = size - timedelta(seconds=self._options.window_overlap_s)
        until = min(until.astimezone(UTC), self._clock.now() + AHEAD)
        first = self._start
        while first <= until:
            yield first, min(first + size, until)
            if first + size >= until:
                return
            first += step

    def _is_whole(self, first: datetime, last: datetime) -> bool:
        return last - first == timedelta(hours=self._options.window_h)

    def _listed(self, approval_code: str, first: datetime, last: datetime) -> Iterator[str]:
        params = {
            "approval_code": approval_code,
            "start_time": str(to_ms(first)),
            "end_time": str(to_ms(last)),
        }
        for found in self._pages("instances", params, None, "instance_code_list"):
            if not usable_id(found):
                raise RetryLater(
                    f"飞书审批 {approval_code} 的列表中有不可用的实例编号 {str(found)[:80]!r}，稍后重试或联系飞书 / the list has an instance "
                    "code that cannot be used: try again later, or ask Feishu"
                )
            yield found

    def _pages(self, path: str, params: dict[str, str], body: Json | None, name: str) -> Iterator[Any]:
        """The items of a list, page by page."""
        token, used = "", set[str]()
        for _ in range(self._options.max_pages):
            page = {"page_size": str(self._options.page_size)} | ({"page_token": token} if token else {})
            data = self._client.page(path, {**params, **page}, body)
            items = data.get(name)
            if items is not None and not isinstance(items, list):
                raise RetryLater(
                    f"飞书 {path} 的应答没有 {name} 列表，稍后重试 / the answer has no list {name}, try again later"
                )
            yield from items or []
            following = data.get("page_token")
            if not data.get("has_more"):
                return
            if not isinstance(following, str) or not following or following in used:
                break
            used.add(following)
            token = following
        raise RetryLater(
            f"飞书 {path} 的列表没有尽头（page_token 缺失、重复或超过 {self._options.max_pages} 页），稍后重试 / the list does not come to an "
            "end (page_token missing, repeated, or too many pages), try again later"
        )
