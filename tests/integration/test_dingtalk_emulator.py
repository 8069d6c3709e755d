"""The emulated DingTalk by plain requests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from include.emulators.dingtalk import ADMIN_KEY, APP_KEY, APP_SECRET, EXPENSE, Plan, running

DAY = 86_400_000
QUERY = "/v1.0/workflow/processes/instanceIds/query"
DETAIL = "/v1.0/workflow/processInstances"


class Tenant:
    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=url, trust_env=False)
        self.login()

    def login(self) -> None:
        answer = self.http.post("/v1.0/oauth2/accessToken", json={"appKey": APP_KEY, "appSecret": APP_SECRET})
        self.http.headers["x-acs-dingtalk-access-token"] = answer.json()["accessToken"]

    def admin(self, name: str, body: Any = None) -> Any:
        answer = self.http.post(
            f"/__emulator__/{name}", json=body or {}, headers={"X-Emulator-Key": ADMIN_KEY}
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    def now(self) -> int:
        return int(self.admin("clock")["now_ms"])

    def query(self, **body: Any) -> httpx.Response:
        now = self.now()
        whole = {"processCode": EXPENSE, "startTime": now - 100 * DAY, "endTime": now} | body
        return self.http.post(QUERY, content=json.dumps(whole))

    def ids(self, **body: Any) -> list[str]:
        found: list[str] = []
        token: Any = 0
        while token is not None:
            result = self.query(nextToken=token, **body).json()["result"]
            found += result["list"]
            token = result.get("nextToken")
        return found

    def detail(self, name: str) -> Any:
        return self.http.get(DETAIL, params={"processInstanceId": name}).json()["result"]


@pytest.fixture(scope="module")
def tenant() -> Iterator[Tenant]:
    with running(plan=Plan(documents=60, seed=3)) as (url, _):
        tenant = Tenant(url)
        yield tenant
        tenant.http.close()


def test_pages_give_every_instance_once_and_its_lines_add_up(tenant: Tenant) -> None:
    truth, ids = tenant.admin("truth"), tenant.ids(statuses=["COMPLETED"], maxResults=7)
    completed = {
        n
        for n, t in truth.items()
        if t["kind"] == "expense" and t["verdict"] not in {"running", "new", "terminated"}
    }
    assert len(ids) == len(set(ids)) > 7
    assert set(ids) == completed
    for name in ids:
        values = {item["bizAlias"]: item["value"] for item in tenant.detail(name)["formComponentValues"]}
        rows = [{cell["bizAlias"]: cell["value"] for cell in row} for row in json.loads(values["lines"])]
        minor = [int(Decimal(row["amount"].replace(",", "")) * 100) for row in rows]
        assert minor == [line["amount"] for line in truth[name]["lines"]]


@pytest.mark.parametrize(
    "body",
    [{"maxResults": 21}, {"startTime": 0}, {"startTime": 1, "endTime": 1 + 121 * DAY}, {"userIds": ["u"] * 11},
     {"nextToken": 10_000}, {"nextToken": "x"}, {"statuses": ["DONE"]}, {"processCode": "none"}, {"processCode": []}, {"userIds": ["\ud800"]}, {"startTime": 1 << 70, "endTime": 1 << 70}],
)  # fmt: skip
def test_limits_of_the_list(tenant: Tenant, body: Any) -> None:
    answer = tenant.query(**body)
    assert answer.status_code == 400
    assert set(answer.json()) == {"code", "message", "requestid"}


def test_a_revocation_names_the_approved_instance(tenant: Tenant) -> None:
    name = tenant.admin("documents", {"count": 1})["ids"][0]
    later = tenant.admin("documents", {"id": name, "action": "revoke"})["ids"][0]
    shown = tenant.detail(later)
    assert (shown["bizAction"], shown["mainProcessInstanceId"]) == ("REVOKE", name)
    assert tenant.detail(name)["result"] == "agree"
    assert tenant.admin("truth")[name]["verdict"] == "revoked"
    tenant.admin("options", {"revoke_link": "attachedProcessInstanceIds"})
    assert tenant.detail(name)["attachedProcessInstanceIds"] == [later]
    tenant.admin("options", {"revoke_link": "mainProcessInstanceId"})


@pytest.mark.parametrize("paging", ["offset", "keyset"])
def test_an_instance_that_ends_between_pages_moves_the_rest_only_by_position(
    tenant: Tenant, paging: str
) -> None:
    tenant.admin("options", {"paging": paging})
    made = tenant.admin("documents", {"count": 3, "fate": "running"})["ids"]
    whole = tenant.ids(statuses=["RUNNING"])
    first = tenant.query(statuses=["RUNNING"], maxResults=1).json()["result"]
    tenant.admin("documents", {"id": first["list"][0], "action": "approve"})
    second = tenant.query(statuses=["RUNNING"], maxResults=1, nextToken=first["nextToken"]).json()["result"]
    assert set(made) <= set(whole)
    assert second["list"] == [whole[2 if paging == "offset" else 1]]


def test_comments_and_faults(tenant: Tenant) -> None:
    name = tenant.admin("documents", {"count": 1})["ids"][0]
    tenant.admin("faults", {"planned": [{"kind": "drop_after", "only": "comments"}]})
    body = {"processInstanceId": name, "text": "凭证 记-1", "commentUserId": "u9"}
    with pytest.raises(httpx.TransportError):
        tenant.http.post(f"{DETAIL}/comments", json=body)
    assert [r["remark"] for r in tenant.detail(name)["operationRecords"]] == ["凭证 记-1"]
    tenant.admin("faults", {"planned": [{"kind": "vendor", "name": "rate_limit"}]})
    assert tenant.http.get(DETAIL, params={"processInstanceId": name}).status_code == 403
    tenant.admin("sessions/end")
    assert tenant.http.get(DETAIL, params={"processInstanceId": name}).status_code == 401
    tenant.login()


def test_a_kill_keeps_what_was_committed(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "include.emulators.dingtalk",
        "--data",
        str(tmp_path / "d.sqlite"),
        "--documents",
        "5",
    ]
    env = os.environ | {"VOUCHERFLOW_EMULATOR_ADMIN_KEY": ADMIN_KEY}
    kept: list[str] = []
    for _ in range(2):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
            assert process.stdout is not None
            tenant = Tenant(process.stdout.readline().strip())
            assert set(kept) <= set(tenant.admin("truth"))
            kept = tenant.admin("documents", {"count": 1})["ids"]
            tenant.http.close()
            process.send_signal(signal.SIGKILL)
