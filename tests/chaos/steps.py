"""The places in the product at which a process of a chaos run may be killed or stopped, by name.

The product has no code for this: `install` wraps its methods by their names, and a name that is gone fails at once.
A label is passed twice, as `<label>.before` and `<label>.after`.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

STORE = {
    "extract.filing": "include.store.documents:Documents.save",
    "extract.watermark": "include.store.documents:Documents.advance_watermark",
    "extract.proof": "include.store.documents:Documents.record_proof",
    "validate.filing": "include.store.documents:Documents.file_gate",
    "follow.writing": "include.store.corrections:Corrections.save",
    "generate.saving": "include.store.vouchers:Vouchers.save_generated",
    "post.lease": "include.store.leases:Leases.acquire",
    "post.intent": "include.store.vouchers:Vouchers.mark_sending",
    "post.outcome": "include.store.vouchers:Vouchers.settle",
    "post.release": "include.store.leases:Leases.release",
    "reconcile.record": "include.store.reconciliations:Reconciliations.record",
    "write_back.record": "include.store.reconciliations:Reconciliations.record_write_backs",
    "store.commit": "sqlalchemy.engine.default:DefaultDialect.do_commit",
}
GATEWAY = {
    "ledger.dimensions": "ensure_dimensions",
    "ledger.post": "post",
    "ledger.look": "find",
    "ledger.complete": "complete",
}
WIRE = {
    "http.request": "requests.sessions:Session.send",
    "http.response": "http.client:HTTPConnection.getresponse",
}
"""`http.response.before`: the request is on its way, its answer not read; the other side may have done it or not."""
GATEWAYS = {
    "chaos": "tests.chaos.ledger_gateway:_Gateway",
    "tryton": "include.adapters.ledger.tryton.gateway:TrytonGateway",
}

STAGES: Mapping[str, tuple[str, ...]] = {
    "extract": ("extract", "store.commit", "http"),
    "validate": ("validate", "store.commit"),
    "follow": ("follow", "store.commit"),
    "generate": ("generate", "store.commit"),
    "post": ("post", "ledger", "store.commit", "http"),
    "reconcile": ("reconcile", "store.commit", "http"),
    "write-back": ("write_back", "store.commit", "http"),
}
"""Which labels, or families of them, each command passes when it has something to do."""
NOT_ALWAYS = frozenset({"follow.writing", "ledger.look", "ledger.complete"})
"""Labels that are passed only after something went wrong, or a document changed."""

MAX_WAIT_S = 4.0
"""In place of the minute that a call may wait for its turn: no run here has to wait longer for one."""
BUSY_TIMEOUT_MS = 1_000
"""In place of the minute that the store waits for another writer."""


@dataclass(frozen=True, slots=True)
class Plan:
    """At the `occurrence`-th passage of `label` (1 is the first) the process sends itself `number`."""

    label: str
    occurrence: int = 1
    number: int = signal.SIGKILL


class _Passages:
    """What this process has passed, and what it is to do where."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.plan: Plan | None = None
        self._lock = threading.Lock()

    def passed(self, label: str) -> None:
        with self._lock:
            self.counts[label] += 1
            plan = self.plan
            is_here = plan is not None and (label, self.counts[label]) == (plan.label, plan.occurrence)
        if plan is not None and is_here:
            os.kill(os.getpid(), plan.number)


passages = _Passages()


def labels(stage: str) -> list[str]:
    """The labels that a command passes, with `.before` and `.after`."""
    families = STAGES[stage]
    names = [
        name
        for name in (*STORE, *GATEWAY, *WIRE)
        if any(name == family or name.startswith(f"{family}.") for family in families)
    ]
    return [f"{name}.{when}" for name in names for when in ("before", "after")]


def install(ledger: str, clock: Path) -> None:
    """Put the labels into this process, let its clock follow the file, and shorten the two long waits.

    Args:
        ledger: The system of the book's ledger.
        clock: A file with the seconds that the product's clock is ahead of the machine's.

    Raises:
        AttributeError: the product has no such name any more.
    """
    for label, target in _targets(ledger).items():
        _wrap(label, target)
    _shorten_waits()
    _follow(clock)


def check() -> int:
    """How many steps there are, with all kinds of ledgers; raises as `install` if a name is gone."""
    return len({_find(target)[2] for ledger in GATEWAYS for target in _targets(ledger).values()})


def _targets(ledger: str) -> dict[str, str]:
    return STORE | WIRE | {label: f"{GATEWAYS[ledger]}.{name}" for label, name in GATEWAY.items()}


def _find(target: str) -> tuple[Any, str, Callable[..., Any]]:
    """The class, the name and the method that a target means."""
    module, _, path = target.partition(":")
    owner_name, _, name = path.rpartition(".")
    owner = getattr(import_module(module), owner_name)
    return owner, name, getattr(owner, name)


def _wrap(label: str, target: str) -> None:
    owner, name, original = _find(target)

    @functools.wraps(original)
    def wrapped(*arguments: Any, **named: Any) -> Any:
        passages.passed(f"{label}.before")
        result = original(*arguments, **named)
        passages.passed(f"{label}.after")
        return result

    setattr(owner, name, wrapped)


def _shorten_waits() -> None:
    import_module("include.stages.post")
    for name, value in (("MAX_WAIT_S", MAX_WAIT_S), ("BUSY_TIMEOUT_MS", BUSY_TIMEOUT_MS)):
        found = [
            module
            for module in list(sys.modules.values())
            if module.__name__.startswith("include.") and hasattr(module, name)
        ]
        if not found:
            raise AttributeError(f"the product has no {name} any more")
        for module in found:
            setattr(module, name, value)


def _follow(file: Path) -> None:
    """The product's only clock is `SystemClock`; rate limits and time-outs go by the machine's monotonic one."""
    from include.ports import SystemClock

    def now(_clock: SystemClock) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=float(file.read_text("ascii")))

    SystemClock.now = now  # type: ignore[method-assign]


class SteppedClock:
    """The other end of the file: the true time, and what the product's machine believes it is."""

    def __init__(self, file: Path, start: datetime) -> None:
        self.file = file
        self._ahead_s = (start - datetime.now(UTC)).total_seconds()
        self.step(0)

    def go_on(self, seconds: float) -> None:
        """Time passes, for everybody; a clock that was wrong is right again."""
        self._ahead_s += seconds
        self.step(0)

    def step(self, seconds: float) -> None:
        """Set the clock of the product's machine wrong by so much, at once, for all its processes."""
        draft = self.file.with_suffix(".new")
        draft.write_text(f"{self._ahead_s + seconds:.6f}", "ascii")
        draft.replace(self.file)

    def now_ms(self) -> int:
        """The true time."""
        return int((time.time() + self._ahead_s) * 1000)
