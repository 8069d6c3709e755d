"""An HTTP server that answers a test's script: results, statuses, garbage, dropped connections, silence."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Answer:
    """What to do with one request. `then` ends a connection after the bytes: `reset` or `silence`."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    then: str = ""


def result(value: Any) -> Answer:
    return Answer(body=json.dumps({"id": 0, "result": value}).encode())


def error(*parts: Any) -> Answer:
    return Answer(body=json.dumps({"id": 0, "error": list(parts)}).encode())


RESET = Answer(then="reset")
SILENCE = Answer(then="silence")


@dataclass
class JsonRpcServer:
    """Logins are answered by `login`, anything else by `script`, in order; `methods` is what was asked for."""

    url: str = ""
    login: Callable[[], Answer] = lambda: result([2, "token", None])
    script: list[Answer] = field(default_factory=list)
    methods: list[str] = field(default_factory=list)
    headers: list[str] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    def answer_to(self, method: str, header: str) -> Answer:
        self.methods.append(method)
        self.headers.append(header)
        return self.login() if method == "common.db.login" else self.script.pop(0)


@contextmanager
def json_rpc_server() -> Iterator[JsonRpcServer]:
    """A server on a free port of this machine until the end of the block."""
    state = JsonRpcServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            answer = state.answer_to(json.loads(content)["method"], self.headers.get("Authorization", ""))
            if answer.then:
                if answer.then == "silence":
                    state.released.wait(30)
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
                return
            self.send_response(answer.status)
            for name, value in answer.headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *_arguments: object) -> None:
            """Tests say what happened themselves."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_port}/ledger"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield state
    finally:
        state.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
