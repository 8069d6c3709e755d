"""Trouble that the ledger server makes on request: which fault meets which call, the rate limit, and the log of calls.

Faults are drawn from a seed and the number of the call, so that a run can be repeated; calls that come at the same
time may change places. Every call is one line of the log, with its fault, so faults can be counted.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from random import Random
from typing import Any


class Fault(StrEnum):
    """What may happen to one call. All but the refusals leave the caller in doubt."""

    NONE = ""
    DROP_BEFORE = "drop_before"  # the connection is reset, nothing was done
    DROP_AFTER = "drop_after"  # done, then the connection is reset
    TRUNCATE = "truncate"  # done, half of the answer's body arrives
    BAD_GATEWAY = "bad_gateway"  # done, the answer is 502, 503 or 504
    LATE = "late"  # done only after `late_s`, when the caller may have given up
    TWICE = "twice"  # done twice; the second answer is sent
    DIE_BEFORE = "die_before"  # the process is killed, nothing was done
    DIE_WITHIN = "die_within"  # the process is killed just before its commit
    DIE_AFTER = "die_after"  # done, then the process is killed
    RENUMBER = "renumber"  # done, then the period is numbered again: the answer's numbers are old
    LOCKED = "locked"  # refused with HTTP 200: somebody else works on the record
    READ_ONLY = "read_only"  # refused with HTTP 200: the books are being closed
    BUSY = "busy"  # refused with 429, as if the limit were reached


WRITES = frozenset({"create", "audit", "delete"})
ONLY_WRITES = frozenset({Fault.TWICE, Fault.DIE_WITHIN, Fault.RENUMBER, Fault.LOCKED, Fault.READ_ONLY})


@dataclass
class FaultPlan:
    """Which faults to make.

    Attributes:
        rates: Probability per call, by fault; their sum is at most 1.
        endpoints: The endpoints that the rates hold for.
        late_s: Least and greatest delay of LATE.
        lag_s: How long searches do not show a new voucher.
        script: Faults for coming calls, each with its endpoint, the first that fits is used up; they come before rates.
    """

    seed: int = 0
    rates: dict[str, float] = field(default_factory=dict)
    endpoints: list[str] = field(default_factory=lambda: ["create", "audit"])
    late_s: tuple[float, float] = (1.0, 2.0)
    lag_s: float = 0.0
    script: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def parse(cls, values: Mapping[str, Any], level: str) -> FaultPlan:
        """A plan from JSON.

        Raises:
            ValueError: an unknown fault or setting, or one that no client could survive at this level.
        """
        unknown = set(values) - set(cls.__dataclass_fields__)
        if unknown:
            raise ValueError(f"no such setting: {', '.join(sorted(unknown))}")
        plan = cls(**values)
        named = {Fault(name) for name in [*plan.rates, *(each["fault"] for each in plan.script)]}
        if Fault.TWICE in named and level != "native_key":
            raise ValueError("a call that is done twice makes two vouchers here: only a native key protects")
        if sum(plan.rates.values()) > 1:
            raise ValueError("the rates are more than 1 together")
        return plan


class Faults:
    """Draws faults after a plan. Safe to share between threads."""

    def __init__(self, plan: FaultPlan, calls_so_far: int = 0) -> None:
        self.plan = plan
        self._calls = calls_so_far
        self._lock = threading.Lock()

    def draw(self, endpoint: str) -> tuple[int, Fault, Random]:
        """The call's number, its fault, and a source of chance for the fault's details."""
        with self._lock:
            self._calls += 1
            chance = Random(f"{self.plan.seed}:{self._calls}")  # noqa: S311  (repeatable, not secret)
            return self._calls, self._fault(endpoint, chance), chance

    def _fault(self, endpoint: str, chance: Random) -> Fault:
        for position, step in enumerate(self.plan.script):
            if step.get("endpoint", endpoint) == endpoint:
                if step.get("after", 0) > 0:
                    step["after"] -= 1
                    return Fault.NONE
                del self.plan.script[position]
                return Fault(step["fault"])
        if endpoint not in self.plan.endpoints:
            return Fault.NONE
        drawn = chance.random()
        for name, rate in sorted(self.plan.rates.items()):
            drawn -= rate
            if drawn < 0:
                fault = Fault(name)
                return Fault.NONE if fault in ONLY_WRITES and endpoint not in WRITES else fault
        return Fault.NONE


class RateLimit:
    """A token bucket: `calls_per_s` over time, `burst` at once. Counts what it refuses by the caller's clock alone."""

    def __init__(self, calls_per_s: float, burst: int) -> None:
        self._calls_per_s = calls_per_s
        self._burst = burst
        self._tokens = float(burst)
        self._at = time.monotonic()
        self._lock = threading.Lock()

    def refuse_for(self) -> float:
        """0 if a call may go on now, else the seconds until one may. No limit where `calls_per_s` is 0."""
        if not self._calls_per_s:
            return 0.0
        with self._lock:
            now = time.monotonic()
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._calls_per_s)
            self._at = now
            if self._tokens >= 1:
                self._tokens -= 1
                return 0.0
            return (1 - self._tokens) / self._calls_per_s


class CallLog:
    """The append-only log of calls: a JSON object a line, written whole or, if the process dies, cut at the end."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        if file.stat().st_size and not file.read_bytes().endswith(b"\n"):
            os.write(self._descriptor, b"\n")  # the last process died while writing

    def write(self, **entry: Any) -> None:
        line = json.dumps({"at": round(time.time(), 6), **entry}, ensure_ascii=False)
        os.write(self._descriptor, f"{line}\n".encode())

    def close(self) -> None:
        os.close(self._descriptor)

    def entries(self) -> list[dict[str, Any]]:
        """All whole lines so far."""
        return list(read_log(self._file))

    def counts(self) -> dict[str, int]:
        """Calls by endpoint, fault (`fault:drop_after`) and outcome (`outcome:ok`)."""
        counts: Counter[str] = Counter()
        for entry in self.entries():
            counts[entry["endpoint"]] += 1
            counts[f"outcome:{entry['outcome']}"] += 1
            if entry["fault"]:
                counts[f"fault:{entry['fault']}"] += 1
        return dict(counts)


def read_log(file: Path) -> list[dict[str, Any]]:
    """The whole lines of a log of calls; lines that a dying process cut are left out."""
    entries = []
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            entries.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return entries
