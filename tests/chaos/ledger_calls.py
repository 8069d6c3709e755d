"""The calls of the accounting server's interface: what each takes, checks and answers, apart from HTTP and faults."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.ledger_books import KINDS, PAGE, Books
from tests.chaos.ledger_terms import Refused, digest

LOGIN, PASSWORD = "interface", "interface-secret"
ACCOUNTANT, ACCOUNTANT_PASSWORD = "accountant", "accountant-secret"
PASSWORDS = {LOGIN: PASSWORD, ACCOUNTANT: ACCOUNTANT_PASSWORD}
ADMIN_KEY = "chaos-admin"
CHART = Path(__file__).parents[2] / "include/embedded/tryton/chart_cn.csv"
ACCOUNTANT_ONLY = frozenset({"offset", "close", "open", "defer", "adjust", "renumber"})
WITHOUT_DATA: dict[str, Any] = {}
MAX_SEARCH = 100
MAX_IDS = 500


@dataclass(frozen=True, slots=True)
class Options:
    """How the server behaves apart from faults; the command line has an option of each name.

    Attributes:
        batch: What a bad voucher does to the others of its call, see `ledger_books.BATCH_MODES`.
        calls_per_s: The documented ceiling; 0: none.
        refusal: What a call beyond the ceiling gets: `429` with Retry-After, `429_bare` without it, or `lock`, a lock
            message with HTTP 200.
        latency_ms: Median of the time that a call takes on top of its work, log-normal with `latency_sigma`.
        max_body: Bytes of a request's body.
    """

    file: Path
    log: Path
    level: str = "native_key"
    batch: str = "each"
    max_batch: int = 50
    calls_per_s: float = 0.0
    burst: int = 1
    refusal: str = "429"
    latency_ms: float = 0.0
    latency_sigma: float = 0.0
    max_body: int = 1_000_000
    token_ttl_s: float = 600.0
    currency: str = "CNY"
    chart: Path = CHART
    admin_key: str = ADMIN_KEY


@dataclass
class Interface:
    """The calls. Tokens live in memory: a restart ends all sessions."""

    options: Options
    books: Books
    _tokens: dict[str, tuple[str, float]] = field(default_factory=dict)

    def user(self, token: str) -> str:
        """Whose token it is; "" if it is nobody's or has expired."""
        user, until = self._tokens.get(token, ("", 0.0))
        return user if time.monotonic() < until else ""

    def call(self, name: str, body: Mapping[str, Any]) -> Any:
        """Do a call and give the data of its answer.

        Raises:
            Refused: by the books' rules.
            KeyError, TypeError, ValueError, AttributeError: the body is not what the call takes.
        """
        return _WORK[name](self, body)

    def login(self, body: Mapping[str, Any]) -> Any:
        known = PASSWORDS.get(str(body["user"]), "")
        if not known or not secrets.compare_digest(known.encode(), str(body["password"]).encode()):
            raise Refused("H0402", "用户名或密码错误")
        token = secrets.token_urlsafe(24)
        self._tokens[token] = (str(body["user"]), time.monotonic() + self.options.token_ttl_s)
        return {"token": token, "expiresIn": self.options.token_ttl_s}

    def system(self, body: Mapping[str, Any]) -> Any:
        return {
            "currency": self.options.currency,
            "auxiliary": list(KINDS),
            "maxBatch": self.options.max_batch,
            "callsPerSecond": self.options.calls_per_s,
            "level": self.options.level,
        }

    def accounts(self, body: Mapping[str, Any]) -> Any:
        return self.books.accounts(str(body.get("after", "")), PAGE)

    def periods(self, body: Mapping[str, Any]) -> Any:
        return self.books.periods()

    def balances(self, body: Mapping[str, Any]) -> Any:
        return self.books.balances(str(body["period"]))

    def values(self, body: Mapping[str, Any]) -> Any:
        return self.books.values(str(body["kind"]), _texts(body["codes"], MAX_IDS))

    def add_value(self, body: Mapping[str, Any]) -> Any:
        self.books.add_value(str(body["kind"]), str(body["code"]), str(body["name"]))
        return WITHOUT_DATA

    def create(self, body: Mapping[str, Any]) -> Any:
        vouchers = body["vouchers"]
        if not isinstance(vouchers, list) or not all(isinstance(each, dict) for each in vouchers):
            raise TypeError("vouchers is a list of objects")
        if len(vouchers) > self.options.max_batch:
            raise Refused("B0001", f"一次最多保存 {self.options.max_batch} 张凭证")
        return self.books.create(vouchers, audit=body.get("audit") is True)

    def audit(self, body: Mapping[str, Any]) -> Any:
        return self.books.audit(_texts(body["ids"], MAX_IDS))

    def delete(self, body: Mapping[str, Any]) -> Any:
        self.books.delete(_texts(body["ids"], MAX_IDS))
        return WITHOUT_DATA

    def read(self, body: Mapping[str, Any]) -> Any:
        return self.books.read(_texts(body["ids"], PAGE))

    def numbers(self, body: Mapping[str, Any]) -> Any:
        return self.books.numbers(_texts(body["ids"], MAX_IDS))

    def search(self, body: Mapping[str, Any]) -> Any:
        keys, memos, days = (body.get(name) for name in ("idempotencyKeys", "memos", "days"))
        for wanted in (keys, memos, days):
            if wanted is not None and len(wanted) > MAX_SEARCH:
                raise Refused("B0003", f"一次最多查询 {MAX_SEARCH} 项")
        pairs = None if days is None else [(str(each["date"]), str(each["total"])) for each in days]
        return self.books.search(keys=keys, memos=memos, days=pairs, after=int(body.get("after") or 0))

    def listed(self, body: Mapping[str, Any]) -> Any:
        return self.books.listed(
            str(body["period"]), int(body.get("after") or 0), int(body.get("limit") or PAGE)
        )

    def offset(self, body: Mapping[str, Any]) -> Any:
        return self.books.offset(str(body["id"]))

    def close_period(self, body: Mapping[str, Any]) -> Any:
        self.books.set_closed(str(body["period"]), closed=True)
        return WITHOUT_DATA

    def open_period(self, body: Mapping[str, Any]) -> Any:
        self.books.set_closed(str(body["period"]), closed=False)
        return WITHOUT_DATA

    def defer_period(self, body: Mapping[str, Any]) -> Any:
        self.books.defer(str(body["period"]))
        return WITHOUT_DATA

    def adjust(self, body: Mapping[str, Any]) -> Any:
        self.books.adjust(str(body["period"]), str(body["day"]))
        return WITHOUT_DATA

    def renumber(self, body: Mapping[str, Any]) -> Any:
        self.books.renumber(str(body["period"]))
        return WITHOUT_DATA


def keys_of(body: Mapping[str, Any]) -> list[str]:
    """What a call is about, for the log: keys, memos, or digests of vouchers that carry neither; else ids."""
    vouchers = body.get("vouchers")
    if isinstance(vouchers, list):
        return [
            str(each.get("idempotencyKey") or each.get("memo") or digest(each)[:16])
            for each in vouchers
            if isinstance(each, dict)
        ]
    for name in ("idempotencyKeys", "memos", "ids"):
        if isinstance(body.get(name), list):
            return [str(each) for each in body[name]]
    return []


def _texts(values: Any, limit: int) -> Sequence[str]:
    if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
        raise TypeError("a list of texts is expected")
    if len(values) > limit:
        raise Refused("B0003", f"一次最多 {limit} 项")
    return values


CALLS = {
    "/api/login": "login",
    "/api/system": "system",
    "/api/accounts": "accounts",
    "/api/periods": "periods",
    "/api/periods/close": "close",
    "/api/periods/open": "open",
    "/api/periods/defer": "defer",
    "/api/periods/adjust": "adjust",
    "/api/periods/renumber": "renumber",
    "/api/balances": "balances",
    "/api/auxiliary/query": "values",
    "/api/auxiliary/add": "add_value",
    "/api/vouchers/create": "create",
    "/api/vouchers/audit": "audit",
    "/api/vouchers/delete": "delete",
    "/api/vouchers/read": "read",
    "/api/vouchers/numbers": "numbers",
    "/api/vouchers/search": "search",
    "/api/vouchers/list": "list",
    "/api/vouchers/offset": "offset",
}
"""The name under which faults and the log know each call."""
_WORK: dict[str, Callable[[Interface, Mapping[str, Any]], Any]] = {
    "login": Interface.login,
    "system": Interface.system,
    "accounts": Interface.accounts,
    "periods": Interface.periods,
    "close": Interface.close_period,
    "open": Interface.open_period,
    "defer": Interface.defer_period,
    "adjust": Interface.adjust,
    "renumber": Interface.renumber,
    "balances": Interface.balances,
    "values": Interface.values,
    "add_value": Interface.add_value,
    "create": Interface.create,
    "audit": Interface.audit,
    "delete": Interface.delete,
    "read": Interface.read,
    "numbers": Interface.numbers,
    "search": Interface.search,
    "list": Interface.listed,
    "offset": Interface.offset,
}
