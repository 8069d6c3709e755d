"""Posting: against a bare client that makes the same calls of the same ledger, and how much of a ceiling is used."""

from __future__ import annotations

import base64
import json
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path

import requests

from bench import stage
from bench.result import Result
from bench.stores import SqliteStores, opened
from include.adapters.ledger.tryton import TrytonGateway
from include.adapters.ledger.tryton.client import TrytonClient
from include.conformance.ledger.tryton import RunningTryton, serving, set_up
from include.connections import Endpoint
from include.pace import Limiter, concurrently
from include.stages.context import Scope
from include.stages.post import post
from tests.chaos.ledger_client import LedgerClient
from tests.chaos.ledger_process import LedgerProcess

MOST_DOCUMENTS = 1_000
"""Tryton makes about a hundred vouchers a second: more would say nothing else and take long."""
CEILINGS = [(50.0, 5, 1), (10.0, 10, 10)]
"""Calls per second and tokens of the ledger's bucket, and the burst that our settings give."""
RATE_S = 20
"""For so long the ceiling is used."""
WORKERS = 8
LEDGER = "ledger.sqlite"
_numbers = count(1)


def results(documents: int, runs: int) -> Iterator[Result]:
    """All of them, one after the other as they are measured."""
    with tempfile.TemporaryDirectory(prefix="voucherflow-bench-") as name:
        yield _against_bare_client(Path(name), min(documents, MOST_DOCUMENTS), runs)
        for calls_per_s, bucket, burst in CEILINGS:
            yield _use_of_ceiling(Path(name), calls_per_s, bucket, burst)


def _against_bare_client(folder: Path, documents: int, runs: int) -> Result:
    """The stage and the bare client by turns, each time on a fresh copy of store and ledger."""
    stores = SqliteStores(folder, documents)
    with opened(f"sqlite:///{stores.template}") as store:
        vouchers = stage.generate(store)
    set_up(folder / LEDGER)
    bodies: list[bytes] = []
    stages, floors = [], []
    for run in range(runs + 1):
        with stores.fresh() as url, _ledger(folder) as ledger:
            if run == 0:  # it tells the requests, and warms up
                _post(url, _Recorder(ledger.endpoint, bodies), vouchers)
                continue
            seconds = _post(url, ledger.client(), vouchers)
        stages.append(seconds)
        with _ledger(folder) as ledger:
            floors.append(_bare(ledger.endpoint, bodies))
    return Result.of(
        f"post to Tryton: {vouchers:,} vouchers",
        "s",
        stages,
        floors,
        f"floor: a bare client, the same {len(bodies)} requests; budget 1.15",
    )


@contextmanager
def _ledger(folder: Path) -> Iterator[RunningTryton]:
    database = folder / f"ledger{next(_numbers)}" / LEDGER
    database.parent.mkdir()
    shutil.copyfile(folder / LEDGER, database)
    with serving(database) as running:
        yield running


def _post(url: str, client: TrytonClient, vouchers: int) -> float:
    gateway = TrytonGateway(
        client, currency=stage.BOOK.currency, create_missing=stage.BOOK.ledger.create_missing
    )
    with opened(url) as store:
        context = replace(stage.context(store), connect_ledger=lambda: gateway)
        started = time.perf_counter()
        done = post(context, Scope())
        seconds = time.perf_counter() - started
    if done.posted != vouchers:
        raise RuntimeError(f"{vouchers} vouchers to post: {done}")
    return seconds


class _Recorder(TrytonClient):
    """Keeps the body of each request, in order."""

    def __init__(self, endpoint: Endpoint, bodies: list[bytes]) -> None:
        super().__init__(endpoint, connect_timeout_s=10, read_timeout_s=120)
        self._bodies = bodies

    def _http(self) -> requests.Session:
        session = super()._http()
        session.hooks["response"] = [lambda response, **_more: self._bodies.append(response.request.body)]
        return session


def _bare(endpoint: Endpoint, bodies: Sequence[bytes]) -> float:
    """Seconds for the same requests by what an engineer would write who had their contents ready: one connection, one
    request after another, the answers parsed.
    """
    url = f"{endpoint.url}/rpc/"
    headers = {"Content-Type": "application/json"}
    started = time.perf_counter()
    with requests.Session() as session:
        for body in bodies:
            response = session.post(url, data=body, headers=headers, timeout=120)
            response.raise_for_status()
            answer = json.loads(response.content)
            if "error" in answer:
                raise RuntimeError(f"Tryton refuses {body[:200]!r}: {answer['error']}")
            if "Authorization" not in headers:  # the first request was the login
                user_id, token, *_ = answer["result"]
                plain = f"{endpoint.login}:{user_id}:{token}".encode()
                headers["Authorization"] = f"Session {base64.b64encode(plain).decode()}"
    return time.perf_counter() - started


def _use_of_ceiling(folder: Path, calls_per_s: float, bucket: int, burst: int) -> Result:
    """Calls per second that a ledger with a ceiling takes from us, and how many it refused."""
    books = folder / f"books{next(_numbers)}.db"
    server = LedgerProcess(
        books, level="native_key", calls_per_s=calls_per_s, burst=bucket, latency_ms=20, latency_sigma=0.5
    )
    try:
        limiter = Limiter(calls_per_s, burst)
        client = LedgerClient(server.endpoint(), limiter=limiter)
        calls = int(calls_per_s * RATE_S)
        started = time.perf_counter()
        concurrently(
            range(calls),
            lambda _call: client.call("/api/system", writes=False),
            lambda _call, _answer: None,
            workers=WORKERS,
        )
        used = calls / (time.perf_counter() - started)
        refused = server.counts().get("outcome:429", 0)
    finally:
        server.stop()
    name = f"use of a ledger's ceiling: {calls_per_s:g} calls/s, bucket of {bucket}, burst {burst}"
    return Result.of(name, "calls/s", [used], [calls_per_s], f"{refused} refused; at least 0.95 and none")
