"""The store as stages see it: one engine and its repositories."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Engine

from include.ports import Clock, SystemClock
from include.store.corrections import Corrections
from include.store.documents import Documents
from include.store.engine import open_engine
from include.store.exchanges import Exchanges
from include.store.leases import Leases
from include.store.migrate import ensure_current
from include.store.reconciliations import Reconciliations
from include.store.rule_sets import RuleSets
from include.store.vouchers import Vouchers


@dataclass(frozen=True, slots=True)
class Store:
    """All that is kept. Safe to share between threads."""

    engine: Engine
    documents: Documents
    vouchers: Vouchers
    leases: Leases
    reconciliations: Reconciliations
    rule_sets: RuleSets
    corrections: Corrections
    exchanges: Exchanges


def open_store(url: str, clock: Clock | None = None) -> Store:
    """Open a store; an empty database gets its schema.

    Raises:
        FixConfig: wrong URL, or a schema of another version, with the command to run.
        RetryLater: the database does not answer.
    """
    engine = open_engine(url)
    ensure_current(engine)
    return assemble(engine, clock or SystemClock())


@contextmanager
def using_store(url: str) -> Iterator[Store]:
    """A store for a while: its connections are given back afterwards. Raises as `open_store`."""
    store = open_store(url)
    try:
        yield store
    finally:
        store.engine.dispose()


def assemble(engine: Engine, clock: Clock) -> Store:
    """The repositories over an engine that is known to be good."""
    return Store(
        engine,
        Documents(engine),
        Vouchers(engine, clock),
        Leases(engine, clock),
        Reconciliations(engine, clock),
        RuleSets(engine, clock),
        Corrections(engine, clock),
        Exchanges(engine, clock),
    )
