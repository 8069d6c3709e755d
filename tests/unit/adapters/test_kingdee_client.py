"""What HTTP itself can answer, by a server that says one thing; nothing of Kingdee's is behind it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, ClassVar

import pytest

from include.adapters.ledger.kingdee.client import KingdeeClient
from include.conformance.subject import timeless_limiter
from include.connections import Endpoint
from include.domain.errors import FixConfig, OutcomeUnknown, RetryLater
from include.pace import Refused

CONNECTION = {"acct_id": "5f0e", "app_id": "204399_" + "a" * 32}
GATEWAY = {"errcode": 4006, "description_cn": "过期"}


@contextmanager
def saying(status: int, body: str, **headers: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A server that answers everything so: (its address, the bodies that it got)."""
    heard: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version: ClassVar[str] = "HTTP/1.1"

        def do_POST(self) -> None:
            heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            content = body.encode()
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(content))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_arguments: object) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/k3cloud", heard
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def client(url: str, **extra: str) -> KingdeeClient:
    endpoint = Endpoint("conn", url, "webapi", "secret-7", CONNECTION | extra)
    return KingdeeClient(endpoint, connect_timeout_s=5, read_timeout_s=10, limiter=timeless_limiter())


@pytest.mark.parametrize(
    ("status", "body", "read", "write"),
    [
        (500, "", RetryLater, OutcomeUnknown),
        (502, "<html>", RetryLater, OutcomeUnknown),
        (500, "Fail to verify thirty passport", FixConfig, FixConfig),
        (519, json.dumps(GATEWAY), FixConfig, FixConfig),
        (519, json.dumps({"errcode": 9999}), RetryLater, OutcomeUnknown),
        (519, "?", RetryLater, OutcomeUnknown),
        (404, "", FixConfig, FixConfig),
        (302, "", FixConfig, FixConfig),
        (413, "", FixConfig, FixConfig),
        (429, "", Refused, Refused),
        (200, "<html>login</html>", RetryLater, OutcomeUnknown),
        (200, "response_error:系统异常", RetryLater, OutcomeUnknown),
        (200, "{}", RetryLater, OutcomeUnknown),
        (200, '[["too","many","columns"]]', RetryLater, OutcomeUnknown),
    ],
)
def test_what_http_says(status: int, body: str, read: type[Exception], write: type[Exception]) -> None:
    with saying(status, body, Location="http://127.0.0.1:9/") as (url, _heard):
        with pytest.raises(read) as failed:
            client(url).query("GL_VOUCHER", ["FVOUCHERID"], "", "FVOUCHERID")
        assert type(failed.value) is read
        with pytest.raises(write) as failed:
            client(url).change("BatchSave", "GL_VOUCHER", {"Model": []})
        assert type(failed.value) is write
    assert "secret-7" not in str(failed.value)


def test_nothing_listens() -> None:
    with pytest.raises(RetryLater, match="conn"):
        client("http://127.0.0.1:9/k3cloud").change("Submit", "GL_VOUCHER", {"Ids": "1"})


def test_numbers_come_exactly_and_the_request_is_the_vendors() -> None:
    with saying(200, "[[100001, 0.1, 12345678901234.56, null]]") as (url, heard):
        (row,) = client(url).query("GL_VOUCHER", ["A", "B", "C", "D"], "A>0", "A", start=5, limit=7)
    assert [row.text(key) for key in "ABCD"] == ["100001", "0.1", "12345678901234.56", ""]
    asked = heard[0]["data"]
    assert (asked["FormId"], asked["FieldKeys"], asked["TopRowCount"]) == ("GL_VOUCHER", "A,B,C,D", 0)
    assert (asked["StartRow"], asked["Limit"]) == (5, 7)


@pytest.mark.parametrize(
    ("change", "said"),
    [({"acct_id": ""}, "acct_id"), ({"app_id": ""}, "app_id"), ({"app_id": "204399_short"}, "app_id")],
)
def test_a_connection_that_lacks_a_part_is_told_at_once(change: dict[str, str], said: str) -> None:
    with pytest.raises(FixConfig, match=said) as refused:
        client("http://127.0.0.1:9/k3cloud", **change)
    assert CONNECTION["app_id"] not in str(refused.value)
    assert "secret-7" not in str(refused.value)
