"""The few pages of Feishu's open platform that the adapter calls, with instances that a test puts there."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

EXPENSE = "7C468A54-8745-2245-9675-08B7C63E7A85"
SECRET = "app-secret-7Kq"
TEN_HOURS_MS = 36_000_000
Answer = tuple[int, bytes]


def code(number: int, msg: str = "", status: int = 400) -> Answer:
    return status, json.dumps({"code": number, "msg": msg}).encode()


def ok(**data: Any) -> Answer:
    return 200, json.dumps({"code": 0, "msg": "success", "data": data}, ensure_ascii=False).encode()


@dataclass
class Site:
    instances: dict[str, dict[str, Any]] = field(default_factory=dict)
    reverted: set[str] = field(default_factory=set)
    next_answers: list[tuple[str, Answer | None]] = field(default_factory=list)
    """What the next calls of a path that holds the text get; None: done, and the answer is lost."""
    calls: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    tokens: int = 0
    good: set[str] = field(default_factory=set)
    url: str = ""

    def answer(self, path: str, query: dict[str, str], body: dict[str, Any], bearer: str) -> Answer | None:
        self.calls.append((path, query))
        for index, (text, planned) in enumerate(self.next_answers):
            if text in path:
                del self.next_answers[index]
                if planned is None:
                    self.page(path, query, body)
                return planned
        if path.endswith("/tenant_access_token/internal"):
            if body.get("app_secret") != SECRET:
                return code(10014, f"app secret invalid: {body.get('app_secret')}", 200)
            self.tokens += 1
            self.good.add(f"t-{self.tokens}")
            answer = {"code": 0, "msg": "ok", "tenant_access_token": f"t-{self.tokens}", "expire": 7200}
            return 200, json.dumps(answer).encode()
        if bearer.removeprefix("Bearer ") not in self.good:
            return code(99991663, "token expired: " + bearer)
        return self.page(path, query, body)

    def page(self, path: str, query: dict[str, str], body: dict[str, Any]) -> Answer:
        parts = path.removeprefix("/open-apis/approval/v4/").split("/")
        match parts:
            case ["approvals", approval]:
                return ok(form="[]") if approval == EXPENSE else code(60002, "approval code not found")
            case ["instances", "query"]:
                wanted = [i for i in sorted(self.reverted) if body.get("instance_code", i) == i]
                return ok(instance_list=[{"instance": {"code": i}} for i in wanted], has_more=False)
            case ["instances"]:
                return self.listed(query)
            case ["instances", identity] if identity in self.instances:
                return ok(**self.instances[identity])
            case ["instances", identity, "comments"] if identity in self.instances:
                comments = self.instances[identity].setdefault("comment_list", [])
                made = {"comment": body["content"], "create_time": str(len(comments) + 1)}
                comments.append(made)
                return ok(comment_id=str(len(comments)))
            case _:
                return code(60003, "instance code not found")

    def listed(self, query: dict[str, str]) -> Answer:
        first, last = int(query["start_time"]), int(query["end_time"])
        if last - first > TEN_HOURS_MS or int(query["page_size"]) > 100:
            return code(1390001, "param is invalid")
        found = [i for i, each in self.instances.items() if first <= int(each["start_time"]) <= last]
        start = int(query.get("page_token", "0"))
        end = start + int(query["page_size"])
        return ok(instance_code_list=found[start:end], page_token=str(end), has_more=end < len(found))


@contextmanager
def running() -> Iterator[Site]:
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16

        def handle_any(self) -> None:
            parts = urlsplit(self.path)
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            bearer = self.headers.get("Authorization") or ""
            answer = site.answer(parts.path, query, json.loads(raw) if raw else {}, bearer)
            if answer is None:
                self.close_connection = True
                return
            self.send_response(answer[0])
            self.send_header("Content-Length", str(len(answer[1])))
            self.end_headers()
            self.wfile.write(answer[1])

        do_GET = do_POST = handle_any  # noqa: N815  # names of the library

        def log_message(self, *_args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
