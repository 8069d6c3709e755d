"""Trouble on the way: what befalls a call before, after or instead of being carried out, set by the admin interface."""

from __future__ import annotations

import asyncio
import gzip
import random
import re
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from include.emulators.weaver.problems import EmulatorError

KINDS = (
    "drop_before",
    "drop_after",
    "late_commit",
    "truncate",
    "slow",
    "status",
    "login_page",
    "session_loss",
    "entity_bomb",
    "external_entity",
    "deep_xml",
    "gzip_bomb",
)
MAX_BODY = 4 * 1024 * 1024
"""Bytes of a request; more is answered 413."""
_OPERATION = re.compile(rb"<(?:[\w.-]+:)?Body[^>]*>\s*<(?:[\w.-]+:)?([\w.-]+)")


@dataclass(slots=True)
class Fault:
    """One kind of trouble.

    Attributes:
        kind: drop_before and drop_after cut the connection before or after the call is carried out; late_commit cuts
            it and carries the call out `delay_ms` later; truncate answers half; slow waits `delay_ms`; status answers
            `status` with a page and does nothing; login_page answers 200 with a login page, as a lost session does;
            session_loss ends all tokens first; entity_bomb, external_entity, deep_xml and gzip_bomb answer with what
            a reader must refuse.
        match: only calls whose "path#operation" contains it.
        times: how many calls it befalls; 0 for all.
        share: of the calls that match, 0 to 1; drawn from `seed`.
        status: for kind status.
        delay_ms: for slow and late_commit.
    """

    kind: str
    match: str = ""
    times: int = 1
    share: float = 1.0
    status: int = 503
    delay_ms: int = 0
    seed: int = 0
    seen: int = 0
    struck: int = 0

    def strikes(self, target: str) -> bool:
        """Whether it befalls this call."""
        if self.match not in target or (self.times and self.struck >= self.times):
            return False
        self.seen += 1
        if random.Random(f"{self.seed}:{self.seen}").random() >= self.share:
            return False
        self.struck += 1
        return True


def faults_from(values: Sequence[Mapping[str, Any]]) -> list[Fault]:
    """Faults from JSON.

    Raises:
        EmulatorError: an unknown kind or setting, or a value out of range.
    """
    known = {item.name: item.type for item in fields(Fault)}
    faults = []
    for value in values:
        unknown = sorted(set(value) - set(known))
        if unknown or value.get("kind") not in KINDS:
            raise EmulatorError(
                f"故障设置不对：{value}；kind 可用 {', '.join(KINDS)} / unknown fault {value}; kinds: {', '.join(KINDS)}"
            )
        numbers = [value.get(name, 0) for name in ("times", "delay_ms", "share", "seed")]
        if not all(isinstance(number, (int, float)) and number >= 0 for number in numbers):
            raise EmulatorError(
                f"故障参数不能为负 / fault settings must be numbers and not negative: {value}"
            )
        if not 200 <= value.get("status", 503) <= 599:
            raise EmulatorError(f"status 须为 200 到 599 / status must be 200 to 599: {value}")
        faults.append(Fault(**value))
    return faults


@dataclass(slots=True)
class Calls:
    """What the middleware knows: the faults in force and how often each operation was called."""

    faults: list[Fault] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def as_json(self) -> dict[str, Any]:
        return {"faults": [asdict(fault) for fault in self.faults], "calls": dict(self.counts)}


class FaultMiddleware:
    """Pure ASGI, outermost: it must reach the connection to break it. Leaves the admin interface alone."""

    def __init__(self, app: ASGIApp, calls: Calls, end_sessions: Any, admin_prefix: str) -> None:
        self.app = app
        self.calls = calls
        self.end_sessions = end_sessions
        self.admin_prefix = admin_prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body = await _whole(receive)
        if body is None:
            await HTMLResponse("<h1>413 Request Entity Too Large</h1>", 413)(scope, receive, send)
            return
        replayed = _Replay(body, receive)
        path = str(scope.get("path", ""))
        if path.startswith(self.admin_prefix):
            await self.app(scope, replayed, send)
            return
        found = _OPERATION.search(body)
        target = f"{path}#{found[1].decode('ascii', 'replace')}" if found else path
        self.calls.counts[target] = self.calls.counts.get(target, 0) + 1
        fault = next((fault for fault in self.calls.faults if fault.strikes(target)), None)
        if fault is None:
            await self.app(scope, replayed, send)
        else:
            await self._befall(fault, scope, replayed, send)

    async def _befall(self, fault: Fault, scope: Scope, receive: _Replay, send: Send) -> None:
        match fault.kind:
            case "drop_before":
                await _break_connection(receive.rest, send)
            case "drop_after":
                await self.app(scope, receive, _swallow)
                await _break_connection(receive.rest, send)
            case "late_commit":
                task = asyncio.create_task(self._later(fault.delay_ms / 1000, scope, receive.body))
                self.calls.tasks.add(task)
                task.add_done_callback(self.calls.tasks.discard)
                await _break_connection(receive.rest, send)
            case "truncate":
                await self.app(scope, receive, _Truncated(send))
                await _break_connection(receive.rest, send)
            case "slow":
                await asyncio.sleep(fault.delay_ms / 1000)
                await self.app(scope, receive, send)
            case "session_loss":
                self.end_sessions()
                await self.app(scope, receive, send)
            case _:
                await _instead(fault)(scope, receive, send)

    async def _later(self, delay_s: float, scope: Scope, body: bytes) -> None:
        await asyncio.sleep(delay_s)
        await self.app(scope, _Replay(body, _never), _swallow)


def _instead(fault: Fault) -> Response:
    """The answer that takes the place of the true one."""
    if fault.kind == "status":
        retry = {"Retry-After": "1"} if fault.status == 429 else {}
        return HTMLResponse(f"<html><body><h1>{fault.status}</h1></body></html>", fault.status, retry)
    if fault.kind == "login_page":
        return HTMLResponse("<html><head><title>泛微协同商务系统</title></head><body>登录</body></html>")
    if fault.kind == "gzip_bomb":
        packed = gzip.compress(b" " * (64 * 1024 * 1024), 9)
        return Response(packed, headers={"Content-Encoding": "gzip"}, media_type="text/xml")
    return Response(_hostile(fault.kind), media_type="text/xml")


def _hostile(kind: str) -> bytes:
    """An envelope that a careful reader refuses."""
    text, doctype = "x", ""
    if kind == "entity_bomb":
        levels = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
        doctype, text = f'<!DOCTYPE bomb [<!ENTITY l0 "ha">{levels}]>', "&l9;"
    elif kind == "external_entity":
        doctype, text = '<!DOCTYPE x [<!ENTITY secret SYSTEM "file:///etc/hostname">]>', "&secret;"
    elif kind == "deep_xml":
        text = "<a>" * 100_000 + "</a>" * 100_000
    envelope = (
        '<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body>'
        '<ns1:getUserIdResponse xmlns:ns1="webservices.services.weaver.com.cn">'
        f"<ns1:out>{text}</ns1:out></ns1:getUserIdResponse></soap:Body></soap:Envelope>"
    )
    return f'<?xml version="1.0" encoding="UTF-8"?>{doctype}{envelope}'.encode()


async def _whole(receive: Receive) -> bytes | None:
    """The request's body, None where it is longer than the limit."""
    parts: list[bytes] = []
    length = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b"".join(parts)
        part = message.get("body", b"")
        length += len(part)
        if length > MAX_BODY:
            return None
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)


class _Replay:
    """Gives the body again, then what the connection says."""

    def __init__(self, body: bytes, rest: Receive) -> None:
        self.body = body
        self.rest = rest
        self.given = False

    async def __call__(self) -> Message:
        if self.given:
            return await self.rest()
        self.given = True
        return {"type": "http.request", "body": self.body, "more_body": False}


async def _never() -> Message:
    return {"type": "http.disconnect"}


async def _swallow(message: Message) -> None:
    """An answer that nobody will get."""


class _Truncated:
    """Sends the true headers, then half of the body."""

    def __init__(self, send: Send) -> None:
        self.send = send

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
