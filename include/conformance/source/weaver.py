"""An emulated e-cology with a generated company, and the adapter on it, over either of its interfaces."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import requests

from include.adapters.oa.weaver import WeaverSource, build_source
from include.conformance.source_suite import LONG_AGO, Known, SourceUnderTest
from include.conformance.subject import HastyClock, unsupported
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
from include.ports import RawDocument
from include.settings import Source

MAPPINGS = Path(__file__).parents[2] / "config" / "examples" / "weaver" / "mappings" / "weaver"
WORKFLOWS = {"expense": EXPENSE, "loan": LOAN}
INTERFACES = ("soap", "rest")
WRONG = "wrong-app-id-7"


@dataclass
class WeaverSystem:
    source: WeaverSource
    world: World
    url: str
    interface: str
    form_types: tuple[str, ...] = ("expense", "loan")
    since: datetime = LONG_AGO
    secrets: tuple[str, ...] = (APP_ID, WRONG)

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

    def known(self) -> Mapping[str, Known]:
        truth, zone = self.world.truth(), self.source_zone
        rows = self.world.store.rows("SELECT requestid, createdate, createtime FROM workflow_requestbase")
        found = {}
        for row in rows:
            told = truth.get(str(row["requestid"]))
            if told is None or told["truth"] is None or told["truth"]["defect"]:
                continue
            created = datetime.fromisoformat(f"{row['createdate']}T{row['createtime']}").replace(tzinfo=zone)
            found[str(row["requestid"])] = Known(
                told["truth"]["home"], created, told["verdict"] == "approved"
            )
        return found

    @property
    def source_zone(self) -> ZoneInfo:
        """Where the installation stands."""
        return ZoneInfo("Asia/Shanghai")

    def touch(self, document_id: str) -> None:
        self.later(2)
        self.do(document_id, "edit", main={"sy": f"第 {self.offset_ms} 次修改", "jkyt": str(self.offset_ms)})

    def delete(self, document_id: str) -> None:
        self.later(2)
        self.do(document_id, "delete")

    def take_back(self, document_id: str) -> None:
        self.later(2)
        self.do(document_id, "withdraw")

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

    def expire_tokens(self) -> None:
        if self.interface == "soap":
            unsupported(
                "WorkflowService 不用令牌，按白名单放行 / WorkflowService takes no token: it trusts addresses on a list"
            )
        answer = requests.post(
            f"{self.url}/__emulator__/sessions/end", headers={"X-Emulator-Key": ADMIN_KEY}, timeout=10
        )
        assert answer.status_code == 200, answer.text

    def refuse_calls(self, times: int) -> None:
        unsupported("厂商未公布调用频率限制 / the vendor documents no ceiling on calls")

    def break_answers(self, times: int) -> None:
        self.trouble({"kind": "truncate", "match": "List", "times": times})

    def lose_answers(self, times: int) -> None:
        self.trouble({"kind": "drop_after", "match": "ubmit", "times": times})

    @contextlib.contextmanager
    def with_wrong_secret(self) -> Iterator[WeaverSource]:
        if self.interface == "soap":
            unsupported(
                "WorkflowService 不用密钥，按白名单放行 / WorkflowService takes no secret: it trusts addresses on a list"
            )
        with source_at(self.url, self.interface, password=WRONG) as source:
            yield source

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
    world = open_world(
        Plan(documents=documents, seed=seed, dirty_share=dirty_share), Options().changed(emulated or {})
    )
    world.store.set_meta("clock_offset_ms", clock_h * 3_600_000)
    for request_id in add(world, {"count": 3, "fate": "draft", "kind": "expense"}):
        apply(world, request_id, "resubmit", {})
        apply(world, request_id, "approve", {"to": 613})
    with contextlib.closing(world.store), running(world) as url:
        given = source_at(url, interface, login=login, password=password, start=start, **options)
        with given as source:
            yield WeaverSystem(source, world, url, interface)


@contextlib.contextmanager
def source_at(
    url: str,
    interface: str,
    *,
    login: str = str(INTEGRATION_USER),
    password: str = APP_ID,
    start: date = date(2026, 1, 1),
    **options: Any,
) -> Iterator[WeaverSource]:
    """The adapter on a server."""
    problems: list[str] = []
    mappings = read_mappings(MAPPINGS, problems)
    assert not problems
    config = Source(
        id="weaver",
        system="weaver",
        connection="weaver_default",
        start=start,
        mappings=mappings,
        options={"interface": interface} | options,
    )
    endpoint = Endpoint("weaver_default", url, login, password)
    with contextlib.closing(build_source(config, endpoint, HastyClock())) as source:
        yield source


@contextlib.contextmanager
def emulated(interface: str, _folder: Path) -> Iterator[SourceUnderTest]:
    """In pages of seven."""
    with connected(interface, documents=190, page_size=7, window_pages=3) as system:
        yield system


VARIANTS = {interface: partial(emulated, interface) for interface in INTERFACES}
