"""The emulated Feishu by plain requests: what the vendor's pages say, and nothing of any client of ours."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
import pytest

from include.emulators.feishu import ADMIN_KEY, APP_ID, APP_SECRET, Options, Plan, open_world, running

Json = dict[str, Any]
EXPENSE = "7C468A54-8745-2245-9675-08B7C63E7A85"
V4 = "/open-apis/approval/v4"
HOURS_10 = 36_000_000


class Tenant:
    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=url, timeout=20)
        self.admin = httpx.Client(
            base_url=f"{url}/__emulator__/", headers={"X-Emulator-Key": ADMIN_KEY}, timeout=20
        )
        self.log_in()

    def log_in(self) -> None:
        body = {"app_id": APP_ID, "app_secret": APP_SECRET}
        got = self.http.post("/open-apis/auth/v3/tenant_access_token/internal", json=body).json()
        assert got["code"] == 0
        self.http.headers["Authorization"] = f"Bearer {got['tenant_access_token']}"

    def new(self, fate: str, kind: str = "expense", count: int = 1) -> list[str]:
        made = self.admin.post("documents/new", json={"fate": fate, "kind": kind, "count": count}).json()
        codes: list[str] = made["instance_codes"]
        return codes

    def detail(self, code: str) -> Json:
        data: Json = self.http.get(f"{V4}/instances/{code}").json()["data"]
        return data


@pytest.fixture(scope="module")
def tenant() -> Iterator[Tenant]:
    options = Options(list_per_minute=0, calls_per_minute=0, calls_per_second=0)
    with running(open_world(Plan(documents=40, seed=5), options)) as url:
        made = Tenant(url)
        with contextlib.closing(made.http), contextlib.closing(made.admin):
            yield made


def test_form_is_a_json_text_and_its_lines_add_up(tenant: Tenant) -> None:
    [code] = tenant.new("APPROVED")
    detail, truth = tenant.detail(code), tenant.admin.get("truth").json()[code]
    form = json.loads(detail["form"])
    widgets = {widget["custom_id"]: widget for widget in form}
    lines = [{cell["custom_id"]: cell["value"] for cell in row} for row in widgets["lines"]["value"]]
    assert detail["status"] == "APPROVED"
    assert round(widgets["amount"]["value"] * 100) == sum(round(line["line_amount"] * 100) for line in lines)
    assert widgets["amount"]["ext"]["currency"] == truth["truth"]["currency"]


def test_list_has_a_window_of_ten_hours_and_pages(tenant: Tenant) -> None:
    codes = tenant.new("PENDING", count=5)
    start = int(tenant.detail(codes[0])["start_time"])
    asked = {"approval_code": EXPENSE, "start_time": start, "end_time": start + HOURS_10, "page_size": 2}
    found: list[str] = []
    while True:
        data = tenant.http.get(f"{V4}/instances", params=asked).json()["data"]
        found += data["instance_code_list"]
        if not data["has_more"]:
            break
        asked["page_token"] = data["page_token"]
    assert [code for code in found if code in codes] == codes
    assert len(set(found)) == len(found)
    asked["end_time"] = start + HOURS_10 + 1
    refused = tenant.http.get(f"{V4}/instances", params=asked)
    assert (refused.status_code, refused.json()["code"]) == (400, 1390001)


def test_revocation_is_seen_in_events_alone(tenant: Tenant) -> None:
    [code] = tenant.new("REVERTED")
    detail = tenant.detail(code)
    assert detail["status"] == "APPROVED"
    assert "reverted" not in detail
    assert tenant.admin.get("truth").json()[code]["verdict"] == "REVERTED"
    events = [e["event"] for e in tenant.admin.get("events").json() if e["event"]["instance_code"] == code]
    assert [event["status"] for event in events] == ["PENDING", "APPROVED", "REVERTED"]
    assert [type(event["operate_time"]) for event in events] == [str, str, int]
    found = tenant.http.post(f"{V4}/instances/query", json={"instance_code": code}).json()["data"]
    assert found["instance_list"] == []


def test_comment_is_kept_and_wrong_callers_are_refused(tenant: Tenant) -> None:
    [code] = tenant.new("APPROVED")
    path, person = f"{V4}/instances/{code}/comments", tenant.detail(code)["open_id"]
    body = {"content": json.dumps({"text": "凭证号 记-12"})}
    assert tenant.http.post(path, params={"user_id": person}, json=body).json()["code"] == 0
    assert tenant.detail(code)["comment_list"][0]["comment"] == "凭证号 记-12"
    assert tenant.http.post(path, params={"user_id": "ou_nobody"}, json=body).json()["code"] == 60012
    assert tenant.http.get(f"{V4}/instances/unknown").json()["code"] == 60003
    tenant.admin.post("tokens/end")
    assert tenant.http.get(f"{V4}/instances/{code}").json()["code"] == 99991663
    tenant.log_in()


def test_calls_above_the_rate_are_refused(tenant: Tenant) -> None:
    tenant.admin.post("options", json={"list_per_minute": 1})
    asked = {"approval_code": EXPENSE, "start_time": 0, "end_time": 1}
    answers = [tenant.http.get(f"{V4}/instances", params=asked) for _ in range(2)]
    tenant.admin.post("options", json={"list_per_minute": 0})
    assert (answers[-1].status_code, answers[-1].json()["code"]) == (429, 99991400)


def test_comment_is_committed_when_its_answer_is_lost(tenant: Tenant) -> None:
    [code] = tenant.new("APPROVED")
    person = tenant.detail(code)["open_id"]
    tenant.admin.post("faults", json={"kind": "drop_after", "only": "/comments"})
    with pytest.raises(httpx.TransportError):
        tenant.http.post(
            f"{V4}/instances/{code}/comments", params={"user_id": person}, json={"content": '{"text":"x"}'}
        )
    assert len(tenant.detail(code)["comment_list"]) == 1


class _Receiver(BaseHTTPRequestHandler):
    got: list[Json] = []  # noqa: RUF012  (the handler is made anew for each call)
    refuse = 0

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        is_refused = _Receiver.refuse > 0 and body["type"] != "url_verification"
        _Receiver.refuse -= is_refused
        if not is_refused and body["type"] != "url_verification":
            _Receiver.got.append(body)
        self.send_response(500 if is_refused else 200)
        self.end_headers()
        self.wfile.write(json.dumps({"challenge": body.get("challenge")}).encode())

    def log_message(self, *_: object) -> None:
        """Quiet."""


def test_an_event_that_is_refused_holds_back_the_rest(tenant: Tenant) -> None:
    server = HTTPServer(("127.0.0.1", 0), _Receiver)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/"
        assert tenant.admin.post("callback", json={"url": url, "token": "v"}).status_code == 200
        subscribe = f"{V4}/approvals/{EXPENSE}/subscribe"
        assert [tenant.http.post(subscribe).json()["code"] for _ in range(2)] == [0, 60007]
        tenant.new("REVERTED")
        _Receiver.refuse = 1
        assert tenant.admin.post("deliver").json() == {"delivered": 0, "waiting": 3}
        assert tenant.admin.post("deliver").json() == {"delivered": 3, "waiting": 0}
        assert [e["event"]["status"] for e in _Receiver.got] == ["PENDING", "APPROVED", "REVERTED"]
        assert {e["token"] for e in _Receiver.got} == {"v"}
    finally:
        server.shutdown()
        server.server_close()
