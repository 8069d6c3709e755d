"""Serve the embedded ledger over HTTP: Tryton's own WSGI application under waitress.

One process with a pool of threads: SQLite takes one writer at a time anyway, and readers do not wait for it (WAL).
Posting is bound by Tryton's own checks in Python: some 30 ms of one core for a voucher of four lines with department
and project, 20 ms without.
"""

from __future__ import annotations

import gc
import io
import itertools
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from include.embedded.tryton.errors import LedgerSetupError
from include.embedded.tryton.runtime import database_name, inspect_file, opened

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

THREADS = 8
COLLECT_EVERY = 40
"""Requests between two garbage collections. Tryton opens a connection to SQLite for each transaction and leaves closing
it to the collector; a client with many small calls would exhaust the file descriptors that select() can watch."""


def serve_ledger(
    database: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8010,
    threads: int = THREADS,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Answer requests until SIGINT or SIGTERM; port 0 takes a free one.

    `on_ready` is called once with the URL that the gateway's connection needs, when the port listens and the models
    are loaded.

    Raises:
        LedgerSetupError: there is no complete ledger in the file, or the address cannot be taken.
    """
    name = database_name(database)
    if not inspect_file(database).has_company:
        raise LedgerSetupError(
            f"{database}: 账簿尚未初始化 / there is no ledger yet: run `./voucherflow ledger init` first"
        )
    from waitress.server import create_server

    with opened(database):
        from trytond.wsgi import app

        gc.collect()
        gc.freeze()  # the models stay for good
        listener = _listen(host, port)
        server = create_server(_kept_quiet_and_tidy(app), sockets=[listener], threads=threads, ident=None)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, _exit)
        try:
            if on_ready is not None:
                on_ready(f"http://{host}:{listener.getsockname()[1]}/{name}")
            server.run()
        finally:
            server.close()


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port))
    except OSError as error:
        raise LedgerSetupError(
            f"{host}:{port} 无法监听 / The address cannot be taken ({error.strerror}): is another ledger running?"
        ) from error


def _kept_quiet_and_tidy(app: WSGIApplication) -> WSGIApplication:
    """Tryton without what it leaves behind.

    It logs a traceback for every refusal, twice (what it did not expect is logged by its dispatcher as well), and
    it does not close its connections, see COLLECT_EVERY.
    """
    logging.getLogger("trytond.wsgi").setLevel(logging.CRITICAL)

    requests = itertools.count(1)

    def quiet(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ["wsgi.errors"] = io.StringIO()
        if next(requests) % COLLECT_EVERY == 0:
            gc.collect()
        return app(environ, start_response)

    return quiet


def _exit(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)
