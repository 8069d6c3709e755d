"""A small DingTalk, after the vendor's pages alone: the calls that the adapter makes, over real HTTP."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from include.ports import SystemClock

Json = dict[str, Any]
EXPENSE = "PROC-9D1A7C52-EXPENSE"
NOW = datetime(2026, 11, 24, 12, 0, 30, tzinfo=UTC)
KEY, SECRET = "ding-key-1", "s3cret-of-the-app"
LIST, ONE, COMMENT = "/instanceIds/query", "/processInstances", "/comments"


class StandingClock(SystemClock):
    """Time stands where it is put; nobody waits."""

    def __init__(self) -> None:
        self.at = NOW
        self.slept: list[float] = []

    def now(self) -> datetime:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@dataclass
class Platform:
    """What the organisation holds, and what goes wrong: `faults` are (end of a path, status, body), each met once."""

    instances: dict[str, Json] = field(default_factory=dict)
    created: dict[str, datetime] = field(default_factory=dict)
    faults: list[tuple[str, int, bytes]] = field(default_factory=list)
    queries: list[Json] = field(default_factory=list)
    tokens: int = 0
    is_endless: bool = False
    loses_comments: bool = False

    def add(self, identity: str, created: datetime, **more: Any) -> Json:
        self.created[identity] = created
        detail = {
            "title": "李经理提交的日常报销",
            "createTime": created.strftime("%Y-%m-%dT%H:%MZ"),
            "finishTime": (created + timedelta(hours=2)).strftime("%Y-%m-%dT%H:%MZ"),
            "originatorUserId": "manager01",
            "status": "COMPLETED",
            "result": "agree",
            "businessId": f"2026{identity}",
            "bizAction": "NONE",
            "operationRecords": [],
            "formComponentValues": form("1,280.50"),
            **more,
        }
        self.instances[identity] = detail
        return detail

    def answer(self, method: str, url: str, token: str, body: Json) -> tuple[int, Any]:
        path = urlsplit(url).path
        for fault in self.faults:
            if path.endswith(fault[0]):
                self.faults.remove(fault)
                return fault[1], fault[2]
        if path.endswith("/accessToken"):
            if body != {"appKey": KEY, "appSecret": SECRET}:
                return 400, {
                    "code": "invalidClient",
                    "message": f"错误的密钥 {body['appSecret']}",
                    "requestid": "r",
                }
            self.tokens += 1
            return 200, {"accessToken": f"token-{self.tokens}", "expireIn": 7200}
        if token != f"token-{self.tokens}":
            return 401, {"code": "InvalidAuthentication", "message": "不合法的access_token", "requestid": "r"}
        if path.endswith(LIST):
            return 200, self.listed(body)
        if path.endswith(COMMENT):
            records = self.instances[body["processInstanceId"]]["operationRecords"]
            records.append({"type": "ADD_REMARK", "date": "2026-11-24T12:00Z", "remark": body["text"]})
            return (502, b"") if self.loses_comments else (200, {"success": True, "result": True})
        found = self.instances.get(parse_qs(urlsplit(url).query)["processInstanceId"][0])
        if found is None:
            return 400, {"code": "processInstanceNotExist", "message": "审批实例不存在", "requestid": "r"}
        return 200, {"result": found, "success": True}

    def listed(self, body: Json) -> Json:
        self.queries.append(body)
        begin, end = body["startTime"], body["endTime"]
        assert end - begin <= 120 * 86_400_000
        assert body["maxResults"] <= 20
        assert begin >= (NOW - timedelta(days=365)).timestamp() * 1000
        created = self.created if body["processCode"] == EXPENSE else {}
        ids = sorted(i for i, at in created.items() if begin <= at.timestamp() * 1000 <= end)
        at = int(body["nextToken"])
        page = ids[at : at + body["maxResults"]]
        result: Json = {"list": page}
        if at + len(page) < len(ids) or self.is_endless:
            result["nextToken"] = at if self.is_endless else at + len(page)
        return {"result": result, "success": True}


def form(total: str, rows: Any = None) -> list[Json]:
    row = [
        {
            "key": "DDSelectField_type",
            "label": "费用类型",
            "value": "住宿费",
            "componentType": "DDSelectField",
        },
        {"key": "MoneyField_1", "label": "金额", "value": total, "componentType": "MoneyField"},
        {"key": "DDDateField_1", "label": "日期", "value": "2026-11-01", "componentType": "DDDateField"},
        {"key": "TextField_1", "label": "说明", "value": "客户现场", "componentType": "TextField"},
    ]
    return [
        {
            "id": "DepartmentField_1",
            "name": "部门",
            "value": "研发部",
            "extValue": '[{"id":"12","name":"研发部"}]',
            "componentType": "DepartmentField",
        },
        {"id": "MoneyField_total", "name": "总金额（元）", "value": total, "componentType": "MoneyField"},
        {
            "id": "TableField_1",
            "name": "明细",
            "value": json.dumps([row] if rows is None else rows, ensure_ascii=False),
            "componentType": "TableField",
        },
    ]


@contextlib.contextmanager
def serving() -> Iterator[ThreadingHTTPServer]:
    """A server on a free port; its attribute `platform` is what it serves."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # one packet an answer

        def _serve(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            token = self.headers.get("x-acs-dingtalk-access-token", "")
            platform: Platform = self.server.platform  # type: ignore[attr-defined]
            status, found = platform.answer(self.command, self.path, token, json.loads(raw or b"{}"))
            body = found if isinstance(found, bytes) else json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _serve  # noqa: N815  the library's names

        def log_message(self, *_: object) -> None:
            return None

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    try:
        yield running
    finally:
        running.shutdown()
        running.server_close()
        thread.join()
