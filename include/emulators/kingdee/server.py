"""A Kingdee site as a process of its own, or in a thread for tests."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from include.emulators.hesi.clock import EmulatorClock
from include.emulators.http_faults import FaultPlan
from include.emulators.kingdee.access import Credentials
from include.emulators.kingdee.app import build_app
from include.emulators.kingdee.options import Options
from include.emulators.ledger_books import Books
from include.emulators.ledger_schema import defaults
from include.emulators.serving import running_app, serve_app

ADMIN_KEY = "emulator-admin"
SITE = "/k3cloud"
WORDS = [["PRE001", "记"], ["PRE002", "收"], ["PRE003", "付"], ["PRE004", "转"]]


def company() -> dict[str, Any]:
    """What a new site starts with: the usual company, with the vendor's preset voucher words."""
    return defaults() | {"words": WORDS}


def serve(
    data: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    seed: Mapping[str, Any] | None = None,
    credentials: Credentials | None = None,
    options: Options | None = None,
    plan: FaultPlan | None = None,
    admin_key: str | None = None,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM; `on_ready` gets the site's URL (…/k3cloud/).

    Raises:
        OSError: the port is taken.
        sqlite3.DatabaseError: `data` is no file of ours.
    """
    with contextlib.closing(Books(data, seed=seed or company())) as books:
        app = build_app(books, credentials=credentials, options=options, plan=plan, admin_key=admin_key)
        ready = on_ready and (lambda url: on_ready(f"{url}{SITE}/"))
        serve_app(app, host=host, port=port, on_ready=ready)


@contextlib.contextmanager
def running(
    data: Path,
    *,
    clock: EmulatorClock | None = None,
    seed: Mapping[str, Any] | None = None,
    credentials: Credentials | None = None,
    options: Options | None = None,
    plan: FaultPlan | None = None,
    admin_key: str | None = ADMIN_KEY,
) -> Iterator[tuple[str, Books]]:
    """A site in a thread on a free loopback port: (base URL without the site's path, its books)."""
    with contextlib.closing(Books(data, clock=clock, seed=seed or company())) as books:
        app = build_app(books, credentials=credentials, options=options, plan=plan, admin_key=admin_key)
        with running_app(app) as url:
            yield url, books
