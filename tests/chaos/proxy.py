"""An HTTP proxy before a real ledger that loses what passes: Tryton has no faults of its own to switch on.

It knows Tryton's calls by their method, gives them the names that `ledger_faults` uses, and draws a fault for each.
"""

from __future__ import annotations

import http.client
import json
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Any

from tests.chaos.ledger_faults import Fault, FaultPlan, Faults

ENDPOINTS = {
    "model.account.move.create": "create",
    "model.account.move.post": "audit",
    "model.account.move.delete": "delete",
    "model.account.move.search_read": "search",
}
LEVEL = "searchable_reference"
UPSTREAM_TIMEOUT_S = 60
HOP_BY_HOP = frozenset({"connection", "transfer-encoding", "content-length", "keep-alive"})
IMPOSSIBLE = frozenset({Fault.TWICE, Fault.RENUMBER, Fault.LOCKED, Fault.READ_ONLY, Fault.DIE_WITHIN})
"""What a proxy cannot do to another's answer."""


class FaultyProxy(ThreadingHTTPServer):
    """Listens on a free port of the loopback address and passes calls on to `upstream`, another port of it.

    Attributes:
        kill: Called to kill the ledger; returns when it is dead.
        counts: How often each fault happened.
        at_work: How many calls are on their way.
    """

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, upstream: int, kill: Callable[[], object]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = upstream
        self.kill = kill
        self.counts: Counter[str] = Counter()
        self.at_work = 0
        self.to_reset: set[Any] = set()
        self._faults = Faults(FaultPlan())
        self._lock = threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def set_faults(self, **plan: Any) -> None:
        """As `LedgerProcess.set_faults`.

        Raises:
            ValueError: a fault that a proxy cannot make.
        """
        parsed = FaultPlan.parse(plan, LEVEL)
        wanted = {Fault(name) for name in [*parsed.rates, *(step["fault"] for step in parsed.script)]}
        if wanted & IMPOSSIBLE:
            raise ValueError(f"a proxy cannot make {', '.join(sorted(wanted & IMPOSSIBLE))}")
        with self._lock:
            self._faults.plan = parsed

    def draw(self, endpoint: str) -> tuple[Fault, Random, FaultPlan]:
        with self._lock:
            _, fault, chance = self._faults.draw(endpoint)
            if fault:
                self.counts[f"fault:{fault}"] += 1
            return fault, chance, self._faults.plan

    @contextmanager
    def counted(self) -> Iterator[None]:
        """A call is on its way."""
        with self._lock:
            self.at_work += 1
        try:
            yield
        finally:
            with self._lock:
                self.at_work -= 1

    def shutdown_request(self, request: Any) -> None:
        """Close a connection; one that is to be reset goes without a farewell."""
        if request in self.to_reset:
            self.to_reset.discard(request)
            request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_request(request)
        else:
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is no error of ours; the run's own findings say the rest."""


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: FaultyProxy
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *arguments: Any) -> None:
        """The counts say more."""

    def do_GET(self) -> None:
        self._pass_on()

    def do_POST(self) -> None:
        self._pass_on()

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with self.server.counted():
            self._serve(body)

    def _serve(self, body: bytes) -> None:
        fault, chance, plan = self.server.draw(_endpoint(body))
        if fault in {Fault.DROP_BEFORE, Fault.DIE_BEFORE}:
            if fault is Fault.DIE_BEFORE:
                self.server.kill()
            self._reset()
            return
        if fault is Fault.BUSY:
            answer = json.dumps({"error": ["busy", "429"]}).encode()
            self._answer(429, {"Content-Type": "application/json", "Retry-After": "1"}, answer)
            return
        if fault is Fault.LATE:
            time.sleep(chance.uniform(*plan.late_s))
        try:
            status, headers, content = self._ask(body)
        except (OSError, http.client.HTTPException):  # it is down, or was killed at work: nobody can say
            self._reset()
            return
        match fault:
            case Fault.DROP_AFTER:
                self._reset()
            case Fault.DIE_AFTER:
                self.server.kill()
                self._reset()
            case Fault.BAD_GATEWAY:
                self._answer(chance.choice((502, 503, 504)), {"Content-Type": "text/html"}, b"<html>")
            case Fault.TRUNCATE:
                self._answer(status, headers, content, share=0.5)
            case _:
                self._answer(status, headers, content)

    def _ask(self, body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.upstream, timeout=UPSTREAM_TIMEOUT_S)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
            connection.request(self.command, self.path, body, headers)
            response = connection.getresponse()
            content = response.read()
            kept = {name: value for name, value in response.getheaders() if name.lower() not in HOP_BY_HOP}
            return response.status, kept, content
        finally:
            connection.close()

    def _answer(self, status: int, headers: Mapping[str, str], content: bytes, share: float = 1.0) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: int(len(content) * share)])
        self.wfile.flush()
        self.close_connection = self.close_connection or share < 1

    def _reset(self) -> None:
        self.close_connection = True
        self.server.to_reset.add(self.connection)


def _endpoint(body: bytes) -> str:
    try:
        method = json.loads(body or b"{}").get("method", "")
    except (ValueError, AttributeError):
        method = ""
    return ENDPOINTS.get(method, "other")
