"""What tests of the YonBIP adapter share: a tenant's references, and a gateway that says what a test tells it to."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

from include.adapters.ledger.yonbip import YonbipOptions
from include.adapters.ledger.yonbip.client import YonbipClient
from include.adapters.ledger.yonbip.references import References
from include.conformance.subject import timeless_limiter
from include.connections import Endpoint
from include.domain.account import Account, AuxiliaryDimension
from include.domain.money import Money
from include.domain.period import FiscalPeriod, LedgerPeriod, PeriodState
from include.domain.voucher import JournalLine, Side, Voucher, VoucherKey

EMPLOYEE, DEPARTMENT, PROJECT = (
    AuxiliaryDimension("employee", "E0001", "王小明"),
    AuxiliaryDimension("department", "RD", "研发中心"),
    AuxiliaryDimension("project", "P001", "仓储"),
)
SECRET = "yonbip-secret-7"
OPTIONS = {
    "book": "001",
    "words": {"记": "1"},
    "maker": "13800000000",
    "dimensions": {"department": "0001", "project": "0002", "employee": "0003"},
}


def options(**changes: Any) -> YonbipOptions:
    return YonbipOptions.model_validate(OPTIONS | changes)


def references() -> References:
    accounts = [
        Account("1002", "银行存款", is_leaf=True),
        Account("222101", "进项税额", is_leaf=True),
        Account("2241", "其他应付款", is_leaf=True, required_dimensions=frozenset({"employee"})),
        Account("6602", "管理费用", is_leaf=False),
        Account("660201", "差旅费", is_leaf=True),
        Account("660202", "旧科目", is_leaf=True, is_active=False),
    ]
    months = [FiscalPeriod(2026, month) for month in (2, 3)]
    return References(
        book="001",
        book_name="示例科技",
        currency="CNY",
        accounts={each.code: each for each in accounts},
        carried={"1002": frozenset(), "2241": frozenset({"employee"})},
        periods=[LedgerPeriod(m.code, m.first_day, m.last_day, PeriodState.OPEN) for m in months],
    )


def line(
    no: int,
    side: Side,
    code: str,
    minor: int,
    *values: AuxiliaryDimension,
    foreign: Money | None = None,
    summary: str = "报销差旅费",
) -> JournalLine:
    return JournalLine(no, side, code, Money(minor, "CNY"), summary, values, foreign)


def claim(*, sign: int = 1) -> tuple[JournalLine, ...]:
    return (
        line(1, Side.DEBIT, "660201", sign * 94_000, DEPARTMENT, PROJECT),
        line(2, Side.DEBIT, "222101", sign * 6_010),
        line(3, Side.CREDIT, "2241", sign * 100_010, EMPLOYEE),
    )


def foreign_claim() -> tuple[JournalLine, ...]:
    usd = Money(10_000, "USD")
    return (
        line(1, Side.DEBIT, "660201", 71_234, DEPARTMENT, foreign=usd),
        line(2, Side.CREDIT, "2241", 71_234, EMPLOYEE, foreign=usd),
    )


def voucher(
    lines: tuple[JournalLine, ...] = (),
    *,
    day: date = date(2026, 3, 14),
    attachments: int = 2,
    word: str = "记",
) -> Voucher:
    key = VoucherKey("acme", "hesi", "B26000123", "expense_claim", 1)
    return Voucher(key, word, day, lines or claim(), attachments)


Reply = tuple[int, str]
"""HTTP status and body."""
Script = Callable[[str, Mapping[str, Any]], Reply]
"""Path and body (or query of a GET) → what the gateway says."""


def done(data: Any, code: Any = "200") -> Reply:
    return 200, json.dumps({"code": code, "message": "OK", "data": data}, ensure_ascii=False)


def refused(code: Any, message: str = "失败", status: int = 200) -> Reply:
    return status, json.dumps({"code": code, "message": message, "data": {}}, ensure_ascii=False)


class Scripted:
    """A gateway that looks up addresses, gives numbered tokens, and leaves the rest to a script."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.url = ""
        self.heard: list[tuple[str, Mapping[str, Any]]] = []
        self.tokens: list[str] = []
        self.queries: list[Mapping[str, str]] = []

    def count(self, end: str) -> int:
        return sum(path.endswith(end) for path, _ in self.heard)

    def answer(self, target: str, body: Mapping[str, Any] | None) -> Reply:
        parts = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path.endswith("/getGatewayAddress"):
            return done({"gatewayUrl": f"{self.url}/gw", "tokenUrl": f"{self.url}/auth"}, "00000")
        if parts.path.endswith("/getAccessToken"):
            self.queries.append(query)
            return done({"access_token": f"token+{len(self.queries)}/=", "expire": "7200"}, "00000")
        self.heard.append((parts.path.removeprefix("/gw"), body or query))
        self.tokens.append(query.get("access_token", ""))
        return self.script(parts.path.removeprefix("/gw"), body or query)


@contextmanager
def scripted(script: Script) -> Iterator[Scripted]:
    """The gateway as a server of its own."""
    system = Scripted(script)

    class Handler(BaseHTTPRequestHandler):
        def _say(self, body: Mapping[str, Any] | None) -> None:
            status, text = system.answer(self.path, body)
            content = text.encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_GET(self) -> None:
            self._say(None)

        def do_POST(self) -> None:
            self._say(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def log_message(self, *_arguments: object) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    system.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield system
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def client(url: str, *, pauses: list[float] | None = None, **extra: str) -> YonbipClient:
    """A client for which waiting takes no time; `pauses` hears how long it would have slept."""
    endpoint = Endpoint("conn", url, "app-key-7", SECRET, extra or {"tenant_id": "t1"})
    return YonbipClient(
        endpoint,
        connect_timeout_s=5,
        read_timeout_s=10,
        limiter=timeless_limiter(),
        sleep=([] if pauses is None else pauses).append,
    )
