"""The walk through a list that changes, answers oddly, or does not end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.adapters.oa.hesi.listing import ChangeWalk, Page, page_of
from include.adapters.oa.hesi.options import HesiOptions
from include.domain.errors import RetryLater

ZONE = ZoneInfo("Asia/Shanghai")
START = datetime(2026, 3, 1, tzinfo=UTC)
START_MS = int(START.timestamp() * 1000)
Json = dict[str, Any]


class Lists:
    """Stands for the client: a list of documents by time of change, asked for by second and offset."""

    def __init__(self, times: dict[str, int]) -> None:
        self.times = dict(times)
        self.asked: list[tuple[str, int]] = []
        self.meanwhile: Callable[[int], None] = lambda _: None
        self.twist: Callable[[Json], Any] = lambda answer: answer

    def read(self, path: str, params: Json, check: Callable[[Any], str | None]) -> Any:
        assert params["orderBy"] == "updateTime"
        assert params["orderByType"] == "asc"
        assert "active" not in params  # deleted ones too
        since = datetime.strptime(params["startDate"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=ZONE).timestamp()
        start, count = int(params["start"]), int(params["count"])
        self.asked.append((params["startDate"], start))
        assert len(self.asked) < 3000, "does not come to an end"
        found = sorted((t, i) for i, t in self.times.items() if t >= since * 1000)
        items = [{"id": i, "updateTime": t} for t, i in found[start : start + count]]
        answer = self.twist({"count": len(found), "items": items})
        fault = check(answer)
        if fault:
            raise RetryLater(fault)
        self.meanwhile(len(self.asked))
        return answer

    def walk(self, since: datetime = START, **options: Any) -> list[tuple[str, int]]:
        values = HesiOptions.model_validate({"page_size": 5} | options)
        walk = ChangeWalk(self, values, "expense")  # type: ignore[arg-type]
        return [
            (raw.document_id, raw.payload.get("updateTime", 0)) for page in walk.pages(since) for raw in page
        ]


def spread(count: int, step_ms: int) -> dict[str, int]:
    return {f"d{n:03d}": START_MS + n * step_ms for n in range(count)}


@pytest.mark.parametrize("count", [0, 1, 4, 5, 6, 10, 11, 50])
@pytest.mark.parametrize("step_ms", [0, 1, 400, 1000, 90_000])
def test_every_document_comes_once(count: int, step_ms: int) -> None:
    lists = Lists(spread(count, step_ms))
    assert sorted(lists.walk()) == sorted(lists.times.items())


def test_pages_go_on_by_time_not_by_offset() -> None:
    lists = Lists(spread(23, 5000))
    lists.walk()
    assert {start for _, start in lists.asked} == {0}


def test_the_query_is_in_chinese_time_and_not_later_than_asked() -> None:
    lists = Lists({})
    lists.walk(START + timedelta(milliseconds=999))
    assert lists.asked == [("2026-03-01 08:00:00", 0)]


@settings(max_examples=150, deadline=None)
@given(
    times=st.lists(st.integers(0, 6000), min_size=1, max_size=40),
    moves=st.dictionaries(st.integers(1, 12), st.lists(st.integers(0, 39), max_size=4), max_size=8),
    page_size=st.integers(2, 7),
)
def test_nothing_is_missed_whatever_changes_under_way(
    times: list[int], moves: dict[int, list[int]], page_size: int
) -> None:
    lists = Lists({f"d{n}": START_MS + t for n, t in enumerate(times)})
    later = iter(range(10_000))

    def meanwhile(call: int) -> None:
        for number in moves.get(call, []):
            if f"d{number}" in lists.times:
                lists.times[f"d{number}"] = START_MS + 6001 + next(later)

    before_last: dict[str, int] = {}

    def remember(answer: Json) -> Json:
        before_last.clear()
        before_last.update(lists.times)
        return answer

    lists.meanwhile, lists.twist = meanwhile, remember
    found = dict(lists.walk(page_size=page_size))
    # What changed after the last page was sent is the next extract's to find; all else is here, and as it now is.
    assert found == before_last


def test_a_document_that_keeps_changing_does_not_keep_the_walk_alive() -> None:
    lists = Lists(spread(30, 1000))

    def meanwhile(call: int) -> None:
        lists.times["d000"] = START_MS + 60_000 + call * 1000

    lists.meanwhile = meanwhile
    assert {document_id for document_id, _ in lists.walk()} == set(lists.times)


@pytest.mark.parametrize(
    ("twist", "said"),
    [
        (lambda a: {"count": a["count"]}, "items"),
        (lambda a: {"items": a["items"]}, "count"),
        (lambda a: a | {"count": "many"}, "count"),
        (lambda a: a | {"count": 1}, "count"),
        (lambda a: a | {"items": None}, "items"),
        (lambda a: a | {"items": []}, "count"),
        (lambda a: [a], "items"),
        (lambda a: a | {"items": a["items"] * 3}, "more items"),
        (lambda a: a | {"items": a["items"][::-1]}, "order"),
        (lambda a: a | {"items": [{"id": i["id"]} for i in a["items"]]}, "updateTime"),
    ],
)
def test_an_odd_page_is_said_and_not_taken_for_the_end(twist: Callable[[Json], Any], said: str) -> None:
    lists = Lists(spread(23, 5000))
    lists.twist = twist
    with pytest.raises(RetryLater, match=said):
        lists.walk()


def test_a_server_that_gives_the_same_page_for_ever_is_left() -> None:
    lists = Lists(spread(5, 0))
    lists.twist = lambda _: {
        "count": 900,
        "items": [{"id": f"d{n:03d}", "updateTime": START_MS} for n in range(5)],
    }
    with pytest.raises(RetryLater, match="keeps changing"):
        lists.walk()


def test_pages_are_bounded() -> None:
    lists = Lists(spread(100, 5000))
    with pytest.raises(RetryLater, match="max_pages"):
        lists.walk(max_pages=3)


def test_entries_without_id_or_time_are_kept_for_the_mapping_to_report() -> None:
    lists = Lists(spread(6, 5000))

    def twist(answer: Json) -> Json:
        items = answer["items"]
        if len(items) < 5:
            items.append({"title": "neither id nor time"})
            items.append("no object at all")
            answer["count"] += 2
        return answer

    lists.twist = twist
    walk = ChangeWalk(lists, HesiOptions(page_size=5), "expense")  # type: ignore[arg-type]
    odd = [raw for page in walk.pages(START) for raw in page if not raw.document_id]
    assert [dict(raw.payload) for raw in odd] == [
        {"title": "neither id nor time"},
        {"value": "no object at all"},
    ]
    assert all(raw.updated_at is None for raw in odd)


def test_the_old_bug_of_count_zero_behind_the_first_page_is_let_pass() -> None:
    assert page_of({"count": 0, "items": [1, 2]}, 100, 100) == Page([1, 2], 102)
    assert page_of({"count": 0, "items": []}, 0, 100) == Page([], 0)
    assert isinstance(page_of({"count": 0, "items": [1]}, 0, 100), str)
