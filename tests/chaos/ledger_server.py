"""An accounting system as a process of its own, over HTTP, with trouble on request.

    python -m tests.chaos.ledger_server --file books.db --level native_key --port 0

prints the port when it accepts connections. All calls are POST with JSON; answers are `{"success": true, "data": …}`,
and business refusals come with HTTP 200, `success` false, a code and a message, as in the products it stands for.

| call | what it does |
|---|---|
| /api/login | a token that expires; it is sent as `Authorization: Bearer …` |
| /api/system, /api/accounts, /api/periods, /api/balances | what the books are |
| /api/auxiliary/query, /api/auxiliary/add | auxiliary values (parties, departments, projects) |
| /api/vouchers/create, audit, read, search, list, numbers, delete | vouchers; `create` with `audit` true does both at once |
| /api/vouchers/offset, /api/periods/close, open, defer, adjust, renumber | what only an accountant may do |
| GET and PUT /admin/faults, GET /admin/counts, /admin/about, /audit/export | for tests, with the header X-Admin-Key |
"""

from __future__ import annotations

import argparse
import json
import math
import os
import secrets
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import Any

from tests.chaos.ledger_books import BATCH_MODES, LEVELS, Books
from tests.chaos.ledger_calls import ACCOUNTANT, ACCOUNTANT_ONLY, CALLS, Interface, Options, keys_of
from tests.chaos.ledger_faults import CallLog, Fault, FaultPlan, Faults, RateLimit
from tests.chaos.ledger_terms import KeyTaken, Refused

REFUSALS = ("429", "429_bare", "lock")
LOCK_MESSAGE = "单据正在被其他用户操作，请稍后再试"


class _Accounting(ThreadingHTTPServer):
    """The listening socket and all that the handlers of its connections share."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, options: Options, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.options = options
        self.books = Books(
            options.file,
            level=options.level,
            batch=options.batch,
            currency=options.currency,
            chart=options.chart,
        )
        self.books.before_commit = self._die_if_doomed
        self.log = CallLog(options.log)
        self.limit = RateLimit(options.calls_per_s, options.burst)
        self.interface = Interface(options, self.books)
        self.to_reset: set[socket.socket] = set()
        self._at_work = 0
        self._counting = threading.Lock()
        self._doomed = threading.local()
        kept = self.books.setting("faults") or {}
        self.faults = Faults(FaultPlan.parse(kept, options.level), len(self.log.entries()))
        self.books.lag_s = self.faults.plan.lag_s

    def set_faults(self, values: Mapping[str, Any]) -> None:
        """Put a plan in force; it outlives the process."""
        plan = FaultPlan.parse(values, self.options.level)
        self.faults.plan = plan
        self.books.lag_s = plan.lag_s
        self.books.keep_setting("faults", asdict(plan))

    @property
    def at_work(self) -> int:
        """How many calls of the interface are being served."""
        return self._at_work

    @contextmanager
    def counted(self) -> Iterator[None]:
        """A call of the interface is being served."""
        with self._counting:
            self._at_work += 1
        try:
            yield
        finally:
            with self._counting:
                self._at_work -= 1

    def doom(self) -> None:
        """Let the transaction that this thread begins next kill the process before its commit."""
        self._doomed.yes = True

    def _die_if_doomed(self) -> None:
        if getattr(self._doomed, "yes", False):
            die()

    def shutdown_request(self, request: Any) -> None:
        """Close a connection; one that is to be reset goes without a farewell."""
        if request in self.to_reset:
            self.to_reset.discard(request)
            request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_request(request)
        else:
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is its own affair; anything else is shown."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def die() -> None:
    """End as by a power cut: no handler runs, nothing is flushed."""
    os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str]

    @property
    def outcome(self) -> str:
        """For the log: ok, partly, or why not."""
        if self.status != 200:
            return str(self.status)
        if not self.body.get("success"):
            return str(self.body.get("code"))
        items = self.body.get("data")
        refused = isinstance(items, list) and any(isinstance(x, dict) and x.get("ok") is False for x in items)
        return "partly" if refused else "ok"


def _answer(status: int, body: Mapping[str, Any], **headers: str) -> _Answer:
    return _Answer(status, body, {name.replace("_", "-"): value for name, value in headers.items()})


def _data(data: Any) -> _Answer:
    return _answer(200, {"success": True, "data": data})


def _refusal(code: str, message: str, *, status: int = 200, **details: Any) -> _Answer:
    return _answer(status, {"success": False, "code": code, "message": message, **details})


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: _Accounting
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 65536

    def log_message(self, *arguments: Any) -> None:
        """The log of calls says more."""

    def do_GET(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if length > self.server.options.max_body:
            self._discard(length)
            self.close_connection = True
            self._send(_refusal("B0009", "请求太大", status=413))
            return
        text = self.rfile.read(length)
        try:
            body = json.loads(text or b"{}")
        except ValueError:
            self._send(_refusal("H0400", "不是 JSON", status=400))
            return
        if self.path.startswith(("/admin/", "/audit/")):
            self._send(self._administer(body))
            return
        endpoint = CALLS.get(self.path)
        if self.command != "POST" or endpoint is None or not isinstance(body, dict):
            self._send(_refusal("H0404", "没有这个接口", status=404))
            return
        with self.server.counted():
            self._call(endpoint, body)

    # -- a call of the interface -----------------------------------------------------------------------

    def _call(self, endpoint: str, body: dict[str, Any]) -> None:
        started = time.monotonic()
        entry = {"endpoint": endpoint, "keys": keys_of(body)}
        if endpoint != "login":
            refusal = self._not_allowed(endpoint) or self._too_fast()
            if refusal is not None:
                self.server.log.write(**entry, outcome=refusal.outcome, fault="")
                self._send(refusal)
                return
        is_scripted = bool(self.server.faults.plan.script)
        number, fault, chance = self.server.faults.draw(endpoint)
        if is_scripted:  # what the script has used up stays so, whatever this call does to the process
            self.server.books.keep_setting("faults", asdict(self.server.faults.plan))
        self._take_time(chance)
        answer = self._before(endpoint, body, fault, chance, entry | {"n": number})
        if answer is None:
            return
        took = round(time.monotonic() - started, 6)
        self.server.log.write(**entry, n=number, outcome=answer.outcome, fault=str(fault), took_s=took)
        self._after(fault, chance, answer)

    def _before(
        self,
        endpoint: str,
        body: Mapping[str, Any],
        fault: Fault,
        chance: Random,
        entry: Mapping[str, Any],
    ) -> _Answer | None:
        """Meet the faults that come before the work, then do it; None where no answer is to be sent."""
        match fault:
            case Fault.DROP_BEFORE:
                self.server.log.write(**entry, outcome="dropped", fault=str(fault))
                self._drop(chance)
                return None
            case Fault.DIE_BEFORE | Fault.DIE_WITHIN:
                self.server.log.write(**entry, outcome="killed", fault=str(fault))
                if fault is Fault.DIE_BEFORE:
                    die()
                self.server.doom()
                self._work(endpoint, body)
                die()
            case Fault.LATE:
                time.sleep(chance.uniform(*self.server.faults.plan.late_s))
            case Fault.LOCKED:
                return _refusal("L0001", LOCK_MESSAGE)
            case Fault.READ_ONLY:
                return _refusal("R0001", "系统正在结账，暂时不能录入凭证")
            case Fault.BUSY:
                return self._slow_down(chance.uniform(0.05, 0.5), "429")
        answer = self._work(endpoint, body)
        return self._work(endpoint, body) if fault is Fault.TWICE else answer

    def _after(self, fault: Fault, chance: Random, answer: _Answer) -> None:
        match fault:
            case Fault.DROP_AFTER:
                self._drop(chance)
            case Fault.TRUNCATE:
                self._send(answer, share=0.5)
            case Fault.BAD_GATEWAY:
                status = chance.choice((502, 503, 504))
                self._send(_Answer(status, {"error": "upstream"}, {}))
            case Fault.DIE_AFTER:
                die()
            case Fault.RENUMBER:
                for period in self.server.books.periods():
                    self.server.books.renumber(period["code"])
                self._send(answer)
            case _:
                self._send(answer)

    def _work(self, endpoint: str, body: Mapping[str, Any]) -> _Answer:
        try:
            return _data(self.server.interface.call(endpoint, body))
        except KeyTaken as taken:
            return _refusal(taken.code, taken.message, status=409, **taken.details)
        except Refused as refused:
            return _refusal(refused.code, refused.message, **refused.details)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            return _refusal("H0400", f"参数有误：{type(error).__name__} {error}", status=400)

    def _not_allowed(self, endpoint: str) -> _Answer | None:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        user = self.server.interface.user(token)
        if not user:
            return _refusal("H0401", "请重新登录", status=401)
        if endpoint in ACCOUNTANT_ONLY and user != ACCOUNTANT:
            return _refusal("H0403", "没有权限", status=403)
        return None

    def _too_fast(self) -> _Answer | None:
        wait = self.server.limit.refuse_for()
        return self._slow_down(wait, self.server.options.refusal) if wait else None

    @staticmethod
    def _slow_down(wait_s: float, how: str) -> _Answer:
        if how == "lock":
            return _refusal("L0001", LOCK_MESSAGE)
        refusal = _refusal("H0429", "调用过于频繁", status=429)
        if how == "429_bare":
            return refusal
        return _answer(429, refusal.body, Retry_After=str(math.ceil(wait_s)))

    def _take_time(self, chance: Random) -> None:
        options = self.server.options
        if options.latency_ms:
            time.sleep(options.latency_ms / 1000 * math.exp(options.latency_sigma * chance.gauss(0, 1)))

    # -- for tests -------------------------------------------------------------------------------------

    def _administer(self, body: Any) -> _Answer:
        if not secrets.compare_digest(self.headers.get("X-Admin-Key", ""), self.server.options.admin_key):
            return _refusal("H0403", "没有权限", status=403)
        match self.command, self.path:
            case "PUT", "/admin/faults":
                try:
                    self.server.set_faults(body)
                except (ValueError, TypeError, KeyError) as error:
                    return _refusal("H0400", str(error), status=400)
                return _data(asdict(self.server.faults.plan))
            case "GET", "/admin/faults":
                return _data(asdict(self.server.faults.plan))
            case "GET", "/admin/counts":
                return _data(self.server.log.counts())
            case "GET", "/admin/about":
                return _data({"pid": os.getpid(), "atWork": self.server.at_work})
            case "GET", "/audit/export":
                return _data(self.server.books.export())
            case _:
                return _refusal("H0404", "没有这个接口", status=404)

    # -- the connection --------------------------------------------------------------------------------

    def _send(self, answer: _Answer, share: float = 1.0) -> None:
        """Send an answer, or the first `share` of its body and no more."""
        payload = json.dumps(answer.body, ensure_ascii=False).encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(payload)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(payload[: int(len(payload) * share)])
        self.wfile.flush()
        if share < 1:
            self.close_connection = True

    def _drop(self, chance: Random) -> None:
        """Close without an answer: half of the time by a reset, as when a process or a proxy dies."""
        self.close_connection = True
        if chance.random() < 0.5:
            self.server.to_reset.add(self.connection)

    def _discard(self, length: int) -> None:
        """Read what is too large to its end, within reason, so that the refusal arrives rather than a reset."""
        left = min(length, 50_000_000)
        while left > 0 and (chunk := self.rfile.read(min(left, 65536))):
            left -= len(chunk)


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--file", type=Path, required=True, help="the books; made if missing")
    parser.add_argument("--log", type=Path, help="the log of calls; by default beside the books")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--level", choices=LEVELS, default="native_key")
    parser.add_argument("--batch", choices=BATCH_MODES, default="each")
    parser.add_argument("--refusal", choices=REFUSALS, default="429")
    chosen = {"file", "log", "level", "batch", "refusal"}
    for each in fields(Options):
        if each.name not in chosen:
            kind = type(each.default)
            parser.add_argument(
                f"--{each.name.replace('_', '-')}",
                type=Path if isinstance(each.default, Path) else kind,
                default=each.default,
            )
    parser.add_argument(
        "--until-stdin-closes", action="store_true", help="end with the process that started it"
    )
    arguments = vars(parser.parse_args())
    port, ends_with_parent = arguments.pop("port"), arguments.pop("until_stdin_closes")
    arguments["log"] = arguments["log"] or arguments["file"].with_suffix(".log")
    server = _Accounting(Options(**arguments), port)
    if ends_with_parent:
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    print(server.server_address[1], flush=True)
    server.serve_forever(poll_interval=5)


def _end_with_stdin() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    main()
