"""An emulated DingTalk organisation, and the adapter on its approvals."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import requests

from include.adapters.oa.dingtalk import DingTalkSource, build_source
from include.conformance.source_suite import Known, SourceUnderTest
from include.conformance.subject import HastyClock, unsupported
from include.connections import Endpoint
from include.emulators.dingtalk import ADMIN_KEY, APP_KEY, APP_SECRET, EXPENSE, LOAN, Plan, World, running
from include.emulators.weaver.company import DEPARTMENTS
from include.form_mappings import FormMapping
from include.settings import Source

WRONG = "wrong-secret-7"
PROCESSES = {"expense": EXPENSE, "loan": LOAN}
DAYS = 90
LISTS, COMMENTS = "instanceIds", "comments"
NO_EDIT = "审批实例提交后不能修改；变更是另一个实例（MODIFY）/ an instance is never edited: a change is an instance of its own"
_NUMBER = re.compile(r"记-\d+")


@dataclass
class DingTalkSystem:
    source: DingTalkSource
    world: World
    url: str
    since: datetime
    form_types: tuple[str, ...] = ("expense", "loan")
    secrets: tuple[str, ...] = (APP_SECRET, WRONG)

    def ids(self, form_type: str) -> set[str]:
        """Instances that cancel another are documents too, void ones."""
        return {row["id"] for row in self._rows() if row["process_code"] == PROCESSES[form_type]}

    def deleted(self) -> set[str]:
        """None: an instance that is deleted is in no list."""
        return set()

    def known(self) -> Mapping[str, Known]:
        truth = self.world.truth()
        return {
            row["id"]: Known(
                None if row["main_id"] else truth[row["id"]]["gross"],
                datetime.fromtimestamp(row["create_ms"] / 1000, UTC),
                truth[row["id"]]["verdict"] == "approved",
            )
            for row in self._rows()
        }

    def touch(self, document_id: str) -> None:
        unsupported(NO_EDIT)

    def delete(self, document_id: str) -> None:
        unsupported("接口不列出已删除的实例 / the interface shows no deleted instances")

    def take_back(self, document_id: str) -> None:
        with self.world.transaction():
            self.world.act(document_id, "revoke")

    def approved(self) -> list[str]:
        truth = self.world.truth()
        return [i for i, told in truth.items() if (told["verdict"], told["kind"]) == ("approved", "expense")]

    def unapproved(self) -> str:
        return next(i for i, told in self.world.truth().items() if told["verdict"] == "running")

    def shown_number(self, document_id: str) -> str:
        """In the last comment."""
        query = "SELECT text FROM comment WHERE instance_id = ? ORDER BY id DESC LIMIT 1"
        with self.world.lock:
            row = self.world.db.execute(query, (document_id,)).fetchone()
        found = _NUMBER.search(row["text"]) if row else None
        return found[0] if found else ""

    def expire_tokens(self) -> None:
        self._admin("sessions/end", {})

    def refuse_calls(self, times: int) -> None:
        self._plan(kind="vendor", name="rate_limit", only=LISTS, times=times)

    def break_answers(self, times: int) -> None:
        self._plan(kind="truncate", only=LISTS, times=times)

    def lose_answers(self, times: int) -> None:
        self._plan(kind="drop_after", only=COMMENTS, times=times)

    @contextlib.contextmanager
    def with_wrong_secret(self) -> Iterator[DingTalkSource]:
        with source_at(self.url, self.since, password=WRONG) as source:
            yield source

    def _rows(self) -> list[Any]:
        with self.world.lock:
            return self.world.db.execute("SELECT * FROM instance").fetchall()

    def _plan(self, **fault: Any) -> None:
        self._admin("faults", {"planned": [fault]})

    def _admin(self, name: str, body: dict[str, Any]) -> None:
        headers = {"X-Emulator-Key": ADMIN_KEY}
        answer = requests.post(f"{self.url}/__emulator__/{name}", json=body, headers=headers, timeout=10)
        assert answer.status_code == 200, answer.text


def mappings() -> list[FormMapping]:
    """Of the emulator's two forms."""
    departments = {
        str(number): {"code": f"D{number}", "name": each[0]} for number, each in DEPARTMENTS.items()
    }
    document = {
        "legal_entity": {"default": {"code": "E01", "name": "示例科技（上海）有限公司"}},
        "department": {
            "field": "DepartmentField-DEPARTMENT",
            "by": "ext",
            "path": "0.id",
            "enum": departments,
        },
        "gross": "MoneyField-TOTAL",
    }
    fees = {
        "差旅费": {"code": "COST12", "name": "住宿费"},
        "交通费": {"code": "COST10", "name": "交通费"},
        "办公费": {"code": "COST40", "name": "办公费"},
        "招待费": {"code": "COST30", "name": "业务招待费"},
    }
    lines = {
        "table": "TableField-LINES",
        "fee_type": {"field": "DDSelectField-FEE", "enum": fees},
        "amount": "MoneyField-AMOUNT",
        "occurred_on": {"field": "DDDateField-DATE", "main": True},
        "description": {"field": "TextareaField-REASON", "main": True},
    }
    loan = {"occurred_on": "DDDateField-DATE", "description": "TextareaField-REASON"}
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
def source_at(url: str, since: datetime, *, password: str = APP_SECRET) -> Iterator[DingTalkSource]:
    """The adapter on a server, in pages of seven."""
    config = Source(
        id="dingtalk",
        system="dingtalk",
        connection="dingtalk_default",
        start=since.date(),
        mappings=mappings(),
        options={"page_size": 7, "write_back": "comment", "comment_user": "manager01"},
    )
    endpoint = Endpoint("dingtalk_default", url, APP_KEY, password)
    with contextlib.closing(build_source(config, endpoint, HastyClock())) as source:
        yield source


@contextlib.contextmanager
def emulated(_folder: Path) -> Iterator[SourceUnderTest]:
    since = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=DAYS + 5)
    with (
        running(plan=Plan(documents=170, seed=5, days=DAYS)) as (url, world),
        source_at(url, since) as source,
    ):
        yield DingTalkSystem(source, world, url, since)


VARIANTS = {"": emulated}
