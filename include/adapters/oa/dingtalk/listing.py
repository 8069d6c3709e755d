"""Ids of instances by time of creation: the one list that DingTalk has, in bounded windows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Protocol

from include.adapters.oa.dingtalk.client import Gone, Json
from include.adapters.oa.dingtalk.options import DingTalkOptions
from include.adapters.oa.reading import usable_id
from include.adapters.oa.times import to_ms
from include.domain.errors import FixConfig, RetryLater
from include.ports import Clock

QUERY = "/v1.0/workflow/processes/instanceIds/query"
_OVERLAP = timedelta(seconds=1)
"""Whether a window holds its own ends is not documented: windows overlap, and ids are taken once."""
_SHORTEST = timedelta(seconds=4)


class Reads(Protocol):
    """What is needed of a client."""

    def read(
        self, method: str, path: str, *, params: Mapping[str, str] | None = None, body: Json | None = None
    ) -> Json: ...


class _TooMany(Exception):
    """A window holds more than may be read as one."""


class Lists:
    """Slices of a span, newest first: what cancels or changes an instance was made after it, and so comes before it."""

    def __init__(self, client: Reads, options: DingTalkOptions, clock: Clock) -> None:
        self._client = client
        self._options = options
        self._clock = clock

    def slices(self, process: str, start: datetime, end: datetime) -> Iterator[list[str]]:
        """Ids of the instances created from `start` until before `end`, a list for each window, none twice.

        Raises:
            FixConfig: `start` is further back than DingTalk lists.
            RetryLater: the list does not come to an end.
        """
        now = self._clock.now()
        oldest = now - timedelta(days=self._options.history_days)
        if start < oldest:
            raise FixConfig(
                f"钉钉只能列出近 {self._options.history_days} 天发起的审批：请把来源的 start 设为 {oldest.date() + timedelta(days=1)} 或更晚 / "
                f"DingTalk lists the last {self._options.history_days} days: set the source's start to "
                f"{oldest.date() + timedelta(days=1)} or later"
            )
        end = min(
            end, now.astimezone(UTC) + timedelta(milliseconds=1)
        )  # what begins this very moment is in it
        seen: set[str] = set()
        spans = [(start, end)] if start < end else []
        step = timedelta(days=self._options.slice_days)
        while spans:
            low, high = spans.pop()
            if high - low > step:
                spans += [(low, high - step), (high - step, high)]
                continue
            try:
                found = self._window(process, low if low == start else low - _OVERLAP, high)
            except _TooMany:
                if high - low < _SHORTEST:
                    raise RetryLater(
                        f"钉钉模板 {process} 在 {low} 的几秒内超过 {self._options.max_ids} 份，无法再分 / too many instances within "
                        "seconds: raise max_ids"
                    ) from None
                middle = low + (high - low) / 2
                spans += [(low, middle), (middle, high)]
                continue
            fresh = [identity for identity in found if identity not in seen]
            seen.update(fresh)
            if fresh:
                yield fresh

    def _window(self, process: str, low: datetime, high: datetime) -> list[str]:
        found: dict[str, None] = {}
        tokens: set[str] = set()
        body: Json = {
            "processCode": process,
            "startTime": to_ms(low),
            "endTime": to_ms(high) - 1,
            "maxResults": self._options.page_size,
            "nextToken": 0,
        }
        while True:
            try:
                answer = self._client.read("POST", QUERY, body=body)
            except Gone as refusal:
                raise FixConfig(
                    f"钉钉没有模板 {process}：{refusal}。请核对映射文件的 templates / DingTalk has no such template: check templates in "
                    "the mapping files"
                ) from None
            result = answer.get("result")
            ids = result.get("list") if isinstance(result, dict) else None
            if not isinstance(result, dict) or not isinstance(ids, list) or not all(map(usable_id, ids)):
                raise RetryLater(
                    f"钉钉 {QUERY} 的应答不是实例列表 / the answer is no list of instances, try again later"
                )
            found.update(dict.fromkeys(ids))
            if len(found) > self._options.max_ids:
                raise _TooMany
            following = result.get("nextToken")
            if following is None or following == "":
                if len(found) == 10_000:  # the vendor's most: there may be more behind it
                    raise _TooMany
                return list(found)
            if str(following) in tokens:
                raise RetryLater(
                    f"钉钉 {QUERY} 的 nextToken 重复，列表没有尽头 / the list does not come to an end"
                )
            tokens.add(str(following))
            body = {**body, "nextToken": following}
