"""e-cology without a server: lists that move while they are read, and odd values in forms and histories."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from include.adapters.oa.weaver.interface import Interface, Json, Search
from include.adapters.oa.weaver.listing import Lists
from include.adapters.oa.weaver.mapping import instance_of
from include.adapters.oa.weaver.options import WeaverOptions
from include.domain.document import DocumentStatus
from include.domain.errors import FixConfig, RetryLater

ZONE = ZoneInfo("Asia/Shanghai")
SINCE = datetime(2026, 3, 1, tzinfo=UTC)
TODAY = date(2026, 3, 3)
SEARCH = Search(("61",))


@dataclass
class Listed(Interface):
    """A list of requests, all operated at one moment; `moves` of them go to the front after each page."""

    requests: list[str]
    moves: int = 0
    hidden: int = 0
    ignores: bool = False
    refuses: bool = False
    name: str = "fake"
    workflow: str = "61"
    sizes: list[int] = field(default_factory=list)

    def count(self, search: Search | None) -> int:
        if search is not None:
            bounds = [day for pair in (search.operated, search.created) for day in pair if day]
            if self.refuses and bounds:
                return 0
            if not self.ignores and any(
                pair[1] and pair[1] < TODAY for pair in (search.operated, search.created)
            ):
                return 0
        return len(self.requests) + self.hidden

    def page(self, search: Search, number: int, size: int, total: int) -> list[Json]:
        self.sizes.append(size)
        found = self.requests[(number - 1) * size : number * size]
        for _ in range(self.moves):
            self.requests.insert(0, self.requests.pop())
        base = {"workflowId": self.workflow}
        moment = {"lastOperateTime": "2026-03-03 10:00:00", "createTime": "2026-03-03 09:00:00"}
        return [{"requestId": i, "workflowBaseInfo": base, **moment} for i in found]

    def request(self, request_id: str) -> Json | None:
        raise AssertionError("no request is read here")

    def node_type(self, request: Json) -> str | None:
        raise AssertionError("no request is read here")

    def logs(self, request: Json) -> list[Json]:
        raise AssertionError("no request is read here")

    def change(
        self, request: Json, fields: Mapping[str, str], remark: str, *, submit: bool, is_same: bool
    ) -> None:
        raise AssertionError("nothing is written here")

    def create(self, workflow: str, title: str, fields: Mapping[str, str], remark: str) -> None:
        raise AssertionError("nothing is written here")

    def close(self) -> None:
        self.requests.clear()


def changed(interface: Listed) -> set[str]:
    lists = Lists(interface, WeaverOptions(page_size=10), ZONE)
    return {str(item["requestId"]) for page in lists.changed(SEARCH, SINCE, TODAY) for item in page}


@pytest.mark.parametrize("moves", [0, 1, 3, 17])
def test_a_list_whose_end_moves_to_its_front_is_read_whole(moves: int) -> None:
    requests = [str(number) for number in range(1, 96)]
    interface = Listed(list(requests), moves)
    assert changed(interface) == set(requests)
    assert (max(interface.sizes) > 10) == (moves > 0)


def test_a_list_that_never_holds_what_is_counted_is_no_list() -> None:
    with pytest.raises(RetryLater, match="漏单"):
        changed(Listed(["1", "2", "3"], hidden=1))


def test_a_list_without_end_is_not_begun() -> None:
    with pytest.raises(RetryLater, match="max_pages"):
        changed(Listed(["1"], hidden=99_999_999))


def test_conditions_that_are_ignored_or_refused_are_noticed() -> None:
    with pytest.raises(FixConfig, match="不理会"):
        changed(Listed(["1"], ignores=True))
    with pytest.raises(FixConfig, match="总是空的"):
        changed(Listed(["1"], refuses=True))


def test_a_list_of_another_workflow_is_refused() -> None:
    with pytest.raises(RetryLater, match="77"):
        changed(Listed(["1"], workflow="77"))


def log(kind: str, node: str, second: int) -> Json:
    return {
        "operateType": kind,
        "nodeName": node,
        "operateDate": "2026-03-01",
        "operateTime": f"10:00:{second:02}",
    }


def payload(*logs: Json, node_type: str | None = "3", node: str = "归档", **fields: Json) -> Json:
    main = [{"fieldName": name, **value} for name, value in fields.items()]
    return {
        "requestId": "300001",
        "currentNodeName": node,
        "currentNodeType": node_type,
        "workflowBaseInfo": {"workflowId": "61"},
        "workflowMainTableInfo": {"requestRecords": [{"workflowRequestTableFields": main}]},
        "workflowRequestLogs": list(reversed(logs)),
    }


SUBMITTED, AGREED = log("提交", "创建", 1), log("批准", "财务审核", 2)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (payload(SUBMITTED, AGREED), DocumentStatus.APPROVED),
        (payload(SUBMITTED, AGREED, log("保存", "归档", 3)), DocumentStatus.APPROVED),
        (payload(SUBMITTED, log("强制归档", "财务审核", 3)), DocumentStatus.NULLIFIED),
        (payload(SUBMITTED, log("强制归档", "财务制证", 3)), DocumentStatus.APPROVED),
        (payload(log("自定义", "创建", 1)), DocumentStatus.UNKNOWN),
        (payload(node_type=""), DocumentStatus.UNKNOWN),
        (payload(SUBMITTED, AGREED, node_type="2", node="财务制证"), DocumentStatus.APPROVED),
        (payload(SUBMITTED, node_type="1", node="财务审核"), DocumentStatus.IN_APPROVAL),
        (payload(node_type="0", node="创建"), DocumentStatus.DRAFT),
        (payload(SUBMITTED, node_type="0", node="创建"), DocumentStatus.IN_APPROVAL),
        (payload(SUBMITTED, log("退回", "财务审核", 3), node_type="0"), DocumentStatus.REJECTED),
        (payload(SUBMITTED, log("撤回", "创建", 3), node_type="0"), DocumentStatus.DRAFT),
        (payload(SUBMITTED, AGREED, log("强制收回", "归档", 3), node_type="0"), DocumentStatus.NULLIFIED),
        ({**payload(SUBMITTED, AGREED), "deleted": True}, DocumentStatus.DELETED),
    ],
)
def test_where_a_request_stands(found: Json, expected: DocumentStatus) -> None:
    assert instance_of(found, ZONE, ("财务制证",)).status is expected


def test_a_submission_at_the_node_of_vouchers_is_no_approval() -> None:
    found = payload(SUBMITTED, AGREED, log("提交", "财务制证", 9))
    form = instance_of(found, ZONE, ("财务制证",))
    assert form.approved_at == datetime(2026, 3, 1, 2, 0, 2, tzinfo=UTC)
    assert form.submitted_at == datetime(2026, 3, 1, 2, 0, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"fieldHtmlType": "3", "fieldType": "17", "fieldValue": "12,31"}, ["12", "31"]),
        ({"fieldHtmlType": "3", "fieldType": "17", "fieldValue": ",12,"}, ["12"]),
        ({"fieldHtmlType": "3", "fieldType": "1", "fieldValue": "12"}, "12"),
        ({"fieldHtmlType": "2", "fieldType": "1", "fieldValue": "甲<br>乙&nbsp;&amp;丙"}, "甲\n乙 &丙"),
        ({"fieldHtmlType": "1", "fieldType": "5", "fieldValue": "1,234.50"}, "1,234.50"),
        ({"fieldHtmlType": "1", "fieldType": "1", "fieldValue": "a < b"}, "a < b"),
        ({"fieldHtmlType": "1", "fieldType": "1"}, ""),
        ({"fieldHtmlType": "1", "fieldType": "1", "fieldValue": {"x": 1}}, ""),
    ],
)
def test_values_of_a_form(given: Json, expected: Any) -> None:
    assert instance_of(payload(f=given), ZONE, ()).fields["f"].value == expected


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"requestId": None, "workflowBaseInfo": [], "workflowRequestLogs": "x", "workflowMainTableInfo": 3},
        {"workflowMainTableInfo": {"requestRecords": [None, 1]}, "workflowDetailTableInfos": [{}, "x"]},
        {"workflowRequestLogs": [{"operateDate": "2026-02-31"}, None, {}], "createTime": "gestern"},
    ],
)
def test_what_is_not_as_documented_counts_as_absent(odd: Json) -> None:
    form = instance_of(odd, ZONE, ())
    assert (form.fields, form.steps, form.created_at) == ({}, (), None)
