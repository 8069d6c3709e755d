"""An e-cology with the adapter on it, for the suites of the e-cology source."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import requests

from include.adapters.oa.weaver import WeaverSource, build_source
from include.connections import Endpoint
from include.domain.document import DocumentStatus
from include.emulators.weaver import (
    ADMIN_KEY,
    APP_ID,
    INTEGRATION_USER,
    Options,
    Plan,
    World,
    open_world,
    running,
)
from include.emulators.weaver.changes import add, apply
from include.emulators.weaver.forms import EXPENSE, LOAN
from include.form_mappings import read_mappings
from include.ports import RawDocument, SystemClock
from include.settings import Source

MAPPINGS = Path("include/config/examples/weaver/mappings/weaver")
WORKFLOWS = {"expense": EXPENSE, "loan": LOAN}
INTERFACES = ("soap", "rest")


class HastyClock(SystemClock):
    """Waits a hundredth of what it is told; how long in all is remembered."""

    def __init__(self) -> None:
        self.asked_s = 0.0

    def sleep(self, seconds: float) -> None:
        self.asked_s += seconds
        SystemClock.sleep(self, seconds / 100)


@dataclass
class WeaverSystem:
    source: WeaverSource
    world: World
    url: str
    form_types: tuple[str, ...] = ("expense", "loan")

    def ids(self, form_type: str) -> set[str]:
        """What the interface's user takes part in: e-cology shows him nothing else."""
        sql = (
            "SELECT DISTINCT t1.requestid FROM workflow_requestbase t1 JOIN workflow_currentoperator t2 USING (requestid)"
            " WHERE t2.userid = ? AND t1.workflowid = ?"
        )
        rows = self.world.store.rows(sql, (INTEGRATION_USER, WORKFLOWS[form_type]))
        return {str(row["requestid"]) for row in rows}

    def deleted(self) -> set[str]:
        """None that could be listed: what is deleted is gone from every list."""
        return set()

    def touch(self, document_id: str) -> None:
        self.later(2)
        self.do(document_id, "edit", main={"sy": f"第 {self.offset_ms} 次修改", "jkyt": str(self.offset_ms)})

    def delete(self, document_id: str) -> None:
        self.later(2)
        self.do(document_id, "delete")

    def do(self, document_id: str, operation: str, **data: Any) -> None:
        apply(self.world, int(document_id), operation, data)

    @property
    def offset_ms(self) -> int:
        return int(self.world.store.meta("clock_offset_ms") or 0)

    def later(self, seconds: float) -> None:
        self.world.store.set_meta("clock_offset_ms", self.offset_ms + int(seconds * 1000))

    def having(self, verdict: str, form_type: str = "expense") -> list[str]:
        truth = self.world.truth()
        return [i for i in sorted(self.ids(form_type)) if truth[i]["verdict"] == verdict]

    def approved(self) -> list[str]:
        return self.having("approved")

    def unapproved(self) -> str:
        return self.having("pending")[0]

    def shown_number(self, document_id: str) -> str:
        return self.shown(document_id)["pzh"]

    def shown(self, document_id: str) -> dict[str, str]:
        return dict(self.world.truth()[document_id]["voucher"])

    def trouble(self, *faults: dict[str, Any]) -> None:
        answer = requests.post(
            f"{self.url}/__emulator__/faults",
            json=list(faults),
            headers={"X-Emulator-Key": ADMIN_KEY},
            timeout=10,
        )
        assert answer.status_code == 200, answer.text

    def status(self, document_id: str) -> DocumentStatus:
        found = self.source.details([RawDocument(document_id, "expense", None, {})])
        return self.source.to_documents(found)[0].document.status


@contextlib.contextmanager
def connected(
    interface: str,
    *,
    documents: int = 60,
    seed: int = 3,
    dirty_share: float = 0.0,
    emulated: dict[str, Any] | None = None,
    login: str = str(INTEGRATION_USER),
    password: str = APP_ID,
    start: date = date(2026, 1, 1),
    clock_h: int = 0,
    **options: Any,
) -> Iterator[WeaverSystem]:
    """The adapter on an emulator of its own, with three requests under way at the accountant's."""
    problems: list[str] = []
    mappings = read_mappings(MAPPINGS, problems)
    assert not problems
    world = open_world(
        Plan(documents=documents, seed=seed, dirty_share=dirty_share), Options().changed(emulated or {})
    )
    world.store.set_meta("clock_offset_ms", clock_h * 3_600_000)
    for request_id in add(world, {"count": 3, "fate": "draft", "kind": "expense"}):
        apply(world, request_id, "resubmit", {})
        apply(world, request_id, "approve", {"to": 613})
    source = Source(
        id="weaver",
        system="weaver",
        connection="weaver_default",
        start=start,
        mappings=mappings,
        options={"interface": interface} | options,
    )
    with running(world) as url:
        endpoint = Endpoint("weaver_default", url, login, password)
        with contextlib.closing(build_source(source, endpoint, HastyClock())) as adapter:
            yield WeaverSystem(adapter, world, url)
    world.store.close()
