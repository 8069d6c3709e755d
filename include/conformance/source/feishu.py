"""An emulated Feishu tenant, and the adapter on its approvals: with revocations that only events tell, or a flag tells too."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import requests

from include.adapters.oa.feishu import FeishuSource, build_source
from include.conformance.source_suite import Known, SourceUnderTest
from include.conformance.subject import HastyClock, unsupported
from include.connections import Endpoint
from include.emulators.feishu import ADMIN_KEY, APP_ID, APP_SECRET, Options, Plan, World, open_world, running
from include.emulators.feishu.forms import EXPENSE, LOAN, department_id
from include.emulators.weaver.company import DEPARTMENTS
from include.form_mappings import FormMapping
from include.settings import Source

WRONG = "wrong-secret-7"
APPROVALS = {"expense": EXPENSE, "loan": LOAN}
DAYS = 12
FEES = {
    "交通费": "COST10",
    "住宿费": "COST12",
    "餐饮费": "COST30",
    "办公费": "COST40",
    "业务招待费": "COST30",
    "通讯费": "COST42",
    "会议费": "COST51",
    "培训费": "COST50",
}
NO_LIMITS = {"list_per_minute": 0, "calls_per_minute": 0, "calls_per_second": 0}
_NUMBER = re.compile(r"记-\d+")


@dataclass
class FeishuSystem:
    source: FeishuSource
    world: World
    url: str
    since: datetime
    form_types: tuple[str, ...] = ("expense", "loan")
    secrets: tuple[str, ...] = (APP_SECRET, WRONG)

    def ids(self, form_type: str) -> set[str]:
        query = "SELECT instance_code FROM instance WHERE approval_code = ?"
        return {row["instance_code"] for row in self.world.store.rows(query, (APPROVALS[form_type],))}

    def deleted(self) -> set[str]:
        return {code for code, told in self.world.truth().items() if told["verdict"] == "DELETED"}

    def known(self) -> Mapping[str, Known]:
        """But those whose revocation only an event tells."""
        found, truth = {}, self.world.truth()
        for row in self.world.store.rows("SELECT instance_code, start_ms FROM instance"):
            told = truth[row["instance_code"]]
            if told["truth"]["defect"] or (told["verdict"] == "REVERTED" and self._tells_by_event):
                continue
            gross = told["truth"]["gross"] if told["truth"]["currency"] == "CNY" else None
            created = datetime.fromtimestamp(row["start_ms"] / 1000, UTC)
            found[row["instance_code"]] = Known(gross, created, told["verdict"] == "APPROVED")
        return found

    @property
    def _tells_by_event(self) -> bool:
        return self.world.options.reverted == "events_only"

    def touch(self, document_id: str) -> None:
        unsupported(
            "已提交的审批不能修改，接口也不给变更时间 / an approval is never edited once it is submitted"
        )

    def delete(self, document_id: str) -> None:
        self._move(document_id, "delete_approved")

    def take_back(self, document_id: str) -> None:
        if self._tells_by_event:
            unsupported(
                "批准后撤销只由事件告知，详情仍为 APPROVED / only an event tells of it: the detail goes on saying APPROVED"
            )
        self._move(document_id, "revert")

    def approved(self) -> list[str]:
        expenses = self.ids("expense")
        return [
            i for i, told in self.world.truth().items() if told["verdict"] == "APPROVED" and i in expenses
        ]

    def unapproved(self) -> str:
        return next(i for i, told in self.world.truth().items() if told["verdict"] == "PENDING")

    def shown_number(self, document_id: str) -> str:
        """In the last comment."""
        comments = self.world.truth()[document_id]["comments"]
        found = _NUMBER.search(comments[-1]) if comments else None
        return found[0] if found else ""

    def expire_tokens(self) -> None:
        self._admin("tokens/end", {})

    def refuse_calls(self, times: int) -> None:
        self._admin("faults", {"kind": "vendor", "name": "rate_limit", "only": "/instances", "times": times})

    def break_answers(self, times: int) -> None:
        self._admin("faults", {"kind": "truncate", "only": "/instances", "times": times})

    def lose_answers(self, times: int) -> None:
        self._admin("faults", {"kind": "drop_after", "only": "/comments", "times": times})

    @contextlib.contextmanager
    def with_wrong_secret(self) -> Iterator[FeishuSource]:
        with source_at(self.url, self.world, self.since, password=WRONG) as source:
            yield source

    def _move(self, document_id: str, operation: str) -> None:
        with self.world.call() as now:
            self.world.move(document_id, operation, now)

    def _admin(self, name: str, body: dict[str, Any]) -> None:
        headers = {"X-Emulator-Key": ADMIN_KEY}
        answer = requests.post(f"{self.url}/__emulator__/{name}", json=body, headers=headers, timeout=10)
        assert answer.status_code == 200, answer.text


def mappings() -> list[FormMapping]:
    """Of the emulator's two forms, by custom_id."""
    departments = {
        department_id(number): {"code": f"D{number}", "name": each[0]} for number, each in DEPARTMENTS.items()
    }
    document = {
        "legal_entity": {"default": {"code": "E01", "name": "示例科技（上海）有限公司"}},
        "department": {"field": "department", "path": "0.open_id", "enum": departments},
        "gross": "amount",
    }
    lines = {
        "table": "lines",
        "fee_type": {
            "field": "fee",
            "enum": {name: {"code": code, "name": name} for name, code in FEES.items()},
        },
        "amount": "line_amount",
        "tax": {"field": "tax", "optional": True},
        "occurred_on": "day",
        "description": {"field": "note", "optional": True},
    }
    loan = {"occurred_on": "date", "description": "purpose"}
    said = {"write_back": {"comment": True}}
    forms = [
        {
            "form": "expense",
            "templates": [EXPENSE],
            "kind": "expense_claim",
            "document": document,
            "lines": lines,
        },
        {"form": "loan", "templates": [LOAN], "kind": "loan", "document": document, "lines": loan},
    ]
    return [FormMapping.model_validate(form | said) for form in forms]


@contextlib.contextmanager
def source_at(
    url: str, world: World, since: datetime, *, password: str = APP_SECRET
) -> Iterator[FeishuSource]:
    """The adapter on a server, in pages of seven, at no more than the machine's own pace."""
    config = Source(
        id="feishu",
        system="feishu",
        connection="feishu_default",
        start=since.date(),
        mappings=mappings(),
        options={
            "page_size": 7,
            "field_code": "custom_id",
            "write_back": "comment",
            "comment_user": next(iter(world.persons)),
            "lists_per_min": 100_000,
            "details_per_min": 100_000,
        },
    )
    endpoint = Endpoint("feishu_default", url, APP_ID, password)
    with contextlib.closing(build_source(config, endpoint, HastyClock())) as source:
        yield source


@contextlib.contextmanager
def emulated(reverted: str, _folder: Path) -> Iterator[SourceUnderTest]:
    start = datetime.now(UTC).date() - timedelta(days=DAYS + 4)
    since = datetime.combine(start, time(), UTC) - timedelta(days=1)
    plan = Plan(documents=190, seed=4, start=start, as_of=start + timedelta(days=DAYS), dirty_share=0.0)
    world = open_world(plan, Options().changed({"reverted": reverted} | NO_LIMITS))
    with running(world) as url, source_at(url, world, since) as source:
        yield FeishuSystem(source, world, url, since)


VARIANTS = {
    "revocations by event": partial(emulated, "events_only"),
    "revocations by flag": partial(emulated, "flag"),
}
