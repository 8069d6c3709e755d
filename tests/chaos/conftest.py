"""Fixtures for tests that run against the accounting server: servers on files of the test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from include.ports import ProofLevel
from tests.chaos.ledger_process import LedgerProcess

NewServer = Callable[..., LedgerProcess]


@pytest.fixture
def new_server(tmp_path: Path) -> Iterator[NewServer]:
    """Start a server with new books: `new_server(level, **options)`; options as `ledger_calls.Options` has them."""
    started: list[LedgerProcess] = []

    def start(level: ProofLevel, **options: Any) -> LedgerProcess:
        server = LedgerProcess(tmp_path / f"books-{len(started)}.db", level=level, **options)
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()
