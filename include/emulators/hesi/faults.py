"""Trouble on the way, drawn from a seed: the same seed and the same calls meet the same faults."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field, fields
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

API_PREFIX = "/api/"


@dataclass(frozen=True, slots=True)
class Faults:
    """Shares of API calls (0 to 1) that go wrong, and how. Everything is off by default.

    Attributes:
        seed: what the draw for the n-th call depends on, together with n.
        latency_ms: every call waits between 0 and this.
        too_many: share answered 429 before anything happens.
        server_error: share answered 500, 502 or 503 before anything happens.
        drop_before: share whose connection breaks before anything happens.
        drop_after: share that is carried out, then the connection breaks without an answer.
        truncate: share that is carried out and answered with half of the body.
        calls_per_second: a ceiling above which calls are answered 429; 0 is none.
        token_unready_ms: the vendor's old bug, a new token is refused for so long.
        only: faults befall only calls whose path contains this, and only these are counted.
    """

    seed: int = 0
    latency_ms: int = 0
    too_many: float = 0.0
    server_error: float = 0.0
    drop_before: float = 0.0
    drop_after: float = 0.0
    truncate: float = 0.0
    calls_per_second: float = 0.0
    token_unready_ms: int = 0
    only: str = ""

    def __post_init__(self) -> None:
        shares = [getattr(self, name) for name in KINDS]
        if min(shares) < 0 or sum(shares) > 1:
            raise ValueError(
                f"故障比例须在 0 到 1 之间且总和不超过 1 · fault shares must add up to at most 1: {shares}"
            )
        negative = [
            item.name for item in fields(self) if item.name != "only" and getattr(self, item.name) < 0
        ]
        if negative:
            raise ValueError(f"故障参数不能为负 · fault settings must not be negative: {', '.join(negative)}")

    def draw(self, call: int) -> tuple[str | None, float]:
        """What befalls the n-th call: one of KINDS or None, and its latency in seconds."""
        rng = random.Random(f"{self.seed}:{call}")
        latency_s = rng.random() * self.latency_ms / 1000
        point, edge = rng.random(), 0.0
        for kind in KINDS:
            edge += getattr(self, kind)
            if point < edge:
                return kind, latency_s
        return None, latency_s


KINDS = ("too_many", "server_error", "drop_before", "drop_after", "truncate")


@dataclass(slots=True)
class FaultMiddleware:
    """Pure ASGI, outermost: it must reach the connection to break it. API calls only."""

    app: ASGIApp
    faults: Faults
    calls: int = 0
    allowance: float = 1.0
    last_s: float = field(default_factory=time.monotonic)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = str(scope.get("path", ""))
        if scope["type"] != "http" or not path.startswith(API_PREFIX) or self.faults.only not in path:
            await self.app(scope, receive, send)
            return
        kind, latency_s = self.faults.draw(self.calls)
        self.calls += 1
        if latency_s:
            await asyncio.sleep(latency_s)
        if self._over_ceiling():
            kind = "too_many"
        if kind == "too_many":
            await _error(429, "请求过于频繁，请稍后再试", {"Retry-After": "1"})(scope, receive, send)
        elif kind == "server_error":
            status = (500, 502, 503)[self.calls % 3]
            await _error(status, "系统繁忙，请稍后再试", {})(scope, receive, send)
        elif kind == "drop_before":
            await _break_connection(receive, send)
        elif kind == "drop_after":
            await self.app(scope, receive, _swallow)
            await _break_connection(receive, send)
        elif kind == "truncate":
            await self.app(scope, receive, _Truncated(send))
            await _break_connection(receive, send)
        else:
            await self.app(scope, receive, send)

    def _over_ceiling(self) -> bool:
        """A token bucket one second deep."""
        rate = self.faults.calls_per_second
        if not rate:
            return False
        now_s = time.monotonic()
        self.allowance = min(max(rate, 1.0), self.allowance + (now_s - self.last_s) * rate)
        self.last_s = now_s
        if self.allowance < 1:
            return True
        self.allowance -= 1
        return False


def _error(status: int, message: str, headers: Mapping[str, str]) -> JSONResponse:
    body = {"errorCode": status, "errorMessage": message, "errorDetails": None, "code": None, "data": None}
    return JSONResponse(body, status, dict(headers))


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
