"""Trouble on the way to an emulated system: planned call by call, or drawn from a seed.

A planned fault befalls the next calls whose path contains its `only`; shares draw for every call, the same seed and
the same calls meeting the same faults. What a refusal looks like is the vendor's (`FaultLayer.vendor_answer`).
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

KINDS = {
    "drop_before": "the connection breaks before anything happens",
    "drop_after": "carried out, then the connection breaks without an answer",
    "truncate": "carried out and answered with half of the body",
    "slow": "carried out after `seconds`",
    "late_answer": "carried out at once, answered after `seconds`",
    "late_commit": "the connection breaks at once; carried out `seconds` later (0: never by itself), or when released",
    "status": "an HTTP `status` with `body`, before anything happens",
    "vendor": "the vendor's own refusal `name` (its README lists them), before anything happens",
}
MAX_PLANNED = 10_000
MAX_SECONDS = 600.0
RATE_LIMIT = "rate_limit"
"""The `name` of the vendor fault that answers a call above the ceiling."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of trouble for `times` calls whose path contains `only`, after `skip` such calls went well."""

    kind: str
    only: str = ""
    skip: int = 0
    times: int = 1
    seconds: float = 0.0
    status: int = 503
    body: str = ""
    name: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"未知故障 {self.kind} / Unknown fault; use one of {', '.join(KINDS)}.")
        if self.skip < 0 or self.times < 1 or not 0 <= self.seconds <= MAX_SECONDS:
            raise ValueError(
                f"故障参数超出范围 / Out of range: skip ≥ 0, times ≥ 1, seconds ≤ {MAX_SECONDS:g}."
            )
        if not 400 <= self.status <= 599:
            raise ValueError(f"状态码须为 400 至 599 / An HTTP status from 400 to 599, not {self.status}.")


@dataclass(slots=True)
class FaultPlan:
    """What is to go wrong. Used from the server's event loop alone.

    Attributes:
        seed: what the draw for the n-th call depends on, together with n.
        shares: kind → share of calls (0 to 1).
        calls_per_second: a ceiling above which calls are refused; 0 is none.
    """

    seed: int = 0
    shares: Mapping[str, float] = field(default_factory=dict)
    calls_per_second: float = 0.0
    planned: list[tuple[Fault, int, int]] = field(default_factory=list)
    """(fault, calls still to let through, calls still to befall)"""
    calls: dict[str, int] = field(default_factory=dict)
    """Calls that arrived, by path."""
    befallen: dict[str, int] = field(default_factory=dict)
    """Calls that something happened to, by kind."""
    release: asyncio.Event = field(default_factory=asyncio.Event)
    allowance: float = 1.0
    last_s: float = field(default_factory=time.monotonic)

    def set_shares(self, shares: Mapping[str, float], *, seed: int, calls_per_second: float) -> None:
        """Raises ValueError for an unknown kind or shares that add up to more than 1."""
        if (
            not shares.keys() <= KINDS.keys()
            or min(shares.values(), default=0) < 0
            or sum(shares.values()) > 1
        ):
            raise ValueError(
                f"故障比例须为 {', '.join(KINDS)} 且总和不超过 1 / Shares of these kinds, at most 1 in all."
            )
        if calls_per_second < 0:
            raise ValueError("calls_per_second 不能为负 / calls_per_second must not be negative.")
        self.seed, self.shares, self.calls_per_second = seed, dict(shares), calls_per_second

    def plan(self, fault: Fault) -> None:
        if len(self.planned) >= MAX_PLANNED:
            raise ValueError(f"计划的故障过多 / More than {MAX_PLANNED} faults are planned.")
        self.planned.append((fault, fault.skip, fault.times))

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        self.planned.clear()
        self.shares, self.calls_per_second = {}, 0.0

    def choose(self, path: str) -> Fault | None:
        """What befalls this call; counts it."""
        number = sum(self.calls.values())
        self.calls[path] = self.calls.get(path, 0) + 1
        fault = self._over_ceiling() or self._next_planned(path) or self._drawn(number)
        if fault is not None:
            self.befallen[fault.kind] = self.befallen.get(fault.kind, 0) + 1
        return fault

    def _next_planned(self, path: str) -> Fault | None:
        for index, (fault, skip, times) in enumerate(self.planned):
            if fault.only not in path:
                continue
            if skip:
                self.planned[index] = (fault, skip - 1, times)
                continue
            if times == 1:
                del self.planned[index]
            else:
                self.planned[index] = (fault, 0, times - 1)
            return fault
        return None

    def _drawn(self, number: int) -> Fault | None:
        point, edge = random.Random(f"{self.seed}:{number}").random(), 0.0
        for kind, share in self.shares.items():
            edge += share
            if point < edge:
                return Fault(kind, status=(500, 502, 503)[number % 3])
        return None

    def _over_ceiling(self) -> Fault | None:
        """A token bucket one second deep."""
        rate = self.calls_per_second
        if not rate:
            return None
        now_s = time.monotonic()
        self.allowance = min(max(rate, 1.0), self.allowance + (now_s - self.last_s) * rate)
        self.last_s = now_s
        if self.allowance < 1:
            return Fault("vendor", name=RATE_LIMIT)
        self.allowance -= 1
        return None


@dataclass(slots=True)
class FaultLayer:
    """Pure ASGI, outermost: it must reach the connection to break it. Paths that start with `spared` are left alone."""

    app: ASGIApp
    plan: FaultPlan
    vendor_answer: Callable[[Fault, str], Response]
    """The vendor's refusal, given the path that was called."""
    spared: str = "/__emulator__/"
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = str(scope.get("path", ""))
        fault = None if scope["type"] != "http" or path.startswith(self.spared) else self.plan.choose(path)
        if fault is None:
            await self.app(scope, receive, send)
            return
        match fault.kind:
            case "drop_before":
                await _break_connection(receive, send)
            case "drop_after":
                await self.app(scope, receive, _swallow)
                await _break_connection(receive, send)
            case "truncate":
                await self.app(scope, receive, _Truncated(send))
                await _break_connection(receive, send)
            case "slow":
                await asyncio.sleep(fault.seconds)
                await self.app(scope, receive, send)
            case "late_answer":
                await self.app(scope, receive, _Later(send, fault.seconds))
            case "late_commit":
                await self._carry_out_later(scope, receive, send, fault.seconds)
            case "status":
                await PlainTextResponse(fault.body, fault.status)(scope, receive, send)
            case _:
                answer = self.vendor_answer(fault, path)
                await answer(scope, receive, send)

    async def _carry_out_later(self, scope: Scope, receive: Receive, send: Send, seconds: float) -> None:
        """The request is inside already when its sender loses the connection."""
        parts: list[Message] = []
        while True:
            message = await receive()
            parts.append(message)
            if message["type"] == "http.disconnect" or not message.get("more_body"):
                break

        async def replay() -> Message:
            return parts.pop(0) if parts else {"type": "http.disconnect"}

        async def later() -> None:
            with contextlib.suppress(TimeoutError):  # its time has come
                await asyncio.wait_for(self.plan.release.wait(), seconds or None)
            await self.app(scope, replay, _swallow)

        task = asyncio.get_running_loop().create_task(later())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await _break_connection(receive, send)

    async def release_late(self) -> int:
        """Carry out all that is late now, and wait for it; returns how many there were."""
        tasks = list(self._tasks)
        self.plan.release.set()
        await asyncio.gather(*tasks)
        self.plan.release.clear()
        return len(tasks)


async def _swallow(message: Message) -> None:
    """An answer that nobody will get."""


@dataclass(slots=True)
class _Truncated:
    """Sends the true headers, then half of the body."""

    send: Send

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.body":
            body = message.get("body", b"")
            message = {"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True}
        await self.send(message)


@dataclass(slots=True)
class _Later:
    """Holds the answer back."""

    send: Send
    seconds: float

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            await asyncio.sleep(self.seconds)
        await self.send(message)


async def _break_connection(receive: Receive, send: Send) -> None:
    """Cut the TCP connection. ASGI has no word for it, so this reaches for uvicorn's own transport.

    Raises:
        ConnectionAbortedError: another server, such as a test client, runs the app.
    """
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is None:
        raise ConnectionAbortedError("the emulator broke the connection on purpose")
    # What was written (half a body) must leave before the cut; abort() would throw it away.
    transport.close()
    # Returning before the server has noticed would make it send an error answer after all.
    message = await receive()
    while message["type"] != "http.disconnect":
        message = await receive()
