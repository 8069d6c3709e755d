"""An YonBIP tenant as a process of its own, or in a thread for tests."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from include.emulators.hesi.clock import EmulatorClock
from include.emulators.http_faults import FaultPlan
from include.emulators.ledger_books import Books
from include.emulators.ledger_schema import defaults
from include.emulators.serving import running_app, serve_app
from include.emulators.yonbip.app import build_app
from include.emulators.yonbip.options import Options
from include.emulators.yonbip.platform import Credentials

ADMIN_KEY = "emulator-admin"
BOOK = "001"
WORDS = [["1", "记账凭证"], ["2", "收款凭证"], ["3", "付款凭证"], ["4", "转账凭证"]]


def company() -> dict[str, Any]:
    """What a new tenant starts with: the usual company, with voucher types as YonBIP codes them."""
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
    """Serve until SIGINT or SIGTERM; `on_ready` gets the base URL, without a final slash.

    Raises:
        OSError: the port is taken.
        sqlite3.DatabaseError: `data` is no file of ours.
    """
    with contextlib.closing(Books(data, seed=seed or company())) as books:
        app = build_app(books, credentials=credentials, options=options, plan=plan, admin_key=admin_key)
        serve_app(app, host=host, port=port, on_ready=on_ready)


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
    """A tenant in a thread on a free loopback port: (base URL without a final slash, its books)."""
    with contextlib.closing(Books(data, clock=clock, seed=seed or company())) as books:
        app = build_app(books, credentials=credentials, options=options, plan=plan, admin_key=admin_key)
        with running_app(app) as url:
            yield url, books
