"""Test controls under /__emulator__/, behind a key of their own; no part of the vendor's interface. See README.md."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from include.emulators.feishu.events import Pusher
from include.emulators.feishu.options import EmulatorError
from include.emulators.feishu.world import World
from include.emulators.http_faults import Fault, FaultLayer, FaultPlan

Json = dict[str, Any]
KEY_HEADER = "X-Emulator-Key"
MAX_BODY_BYTES = 2**20


class TooLargeError(Exception):
    """A body beyond the limit."""


async def read_body(request: Request) -> Json:
    """The JSON object that was sent; empty for no body.

    Raises:
        TooLargeError: more than MAX_BODY_BYTES.
        ValueError: no JSON object.
    """
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise TooLargeError("请求过大 / the body is too large")
        parts.append(part)
    text = b"".join(parts)
    value: Any = json.loads(text) if text else {}
    if isinstance(value, dict):
        return value
    raise ValueError("请求须为 JSON 对象 / the body must be a JSON object")


@dataclass(frozen=True, slots=True)
class Controls:
    """What a test can do to one tenant."""

    world: World
    pusher: Pusher
    plan: FaultPlan

    def options(self, body: Json) -> Json:
        self.world.set_options(body)
        return self.world.options.as_json()

    def clock(self, body: Json) -> Json:
        store = self.world.store
        offset = body.get("offset_ms", int(store.meta("clock_offset_ms") or 0) + body.get("advance_ms", 0))
        if type(offset) is not int:
            raise EmulatorError("offset_ms、advance_ms 须为整数毫秒 / whole milliseconds, please")
        store.set_meta("clock_offset_ms", offset)
        return {"now_ms": store.now_ms(), "offset_ms": offset}

    def end_tokens(self, _body: Json) -> Json:
        self.world.store.run("DELETE FROM token")
        return {}

    def new(self, body: Json) -> Json:
        count = body.get("count", 1)
        if type(count) is not int or not 1 <= count <= 1000:
            raise EmulatorError("count 须为 1 至 1000 / count is 1 to 1000")
        with self.world.call():
            return {"instance_codes": self.world.add(count, body.get("fate"), body.get("kind"))}

    def move(self, body: Json) -> Json:
        with self.world.call() as now:
            self.world.move(str(body.get("instance_code")), str(body.get("operation")), now)
        return {}

    def callback(self, body: Json) -> Json:
        return self.pusher.set_callback(str(body.get("url", "")), str(body.get("token", "")))

    def deliver(self, _body: Json) -> Json:
        return self.pusher.deliver()

    def truth(self, _body: Json) -> Json:
        return self.world.truth()

    def events(self, _body: Json) -> list[Json]:
        rows = self.world.store.rows("SELECT * FROM event ORDER BY number")
        return [self.world.event_body(row, self.pusher.app_id) for row in rows]

    def export(self, _body: Json) -> Json:
        """Every row of every table, tokens apart, and the truth: for an independent auditor."""
        with self.world.call():
            tables: Json = {
                name: [dict(row) for row in self.world.store.rows(f"SELECT * FROM {name}")]  # noqa: S608  (names from here)
                for name in ("instance", "step", "comment", "event", "subscription")
            }
            return tables | {"truth": self.world.truth()}

    def fault(self, body: Json) -> Json:
        try:
            made = Fault(**body)
        except TypeError as error:
            raise EmulatorError(f"故障定义不对：{error} / not a fault: {error}") from error
        self.plan.plan(made)
        return asdict(made)

    def shares(self, body: Json) -> Json:
        rate = body.get("calls_per_second", 0.0)
        self.plan.set_shares(body.get("shares", {}), seed=body.get("seed", 0), calls_per_second=rate)
        return {}

    def clear(self, _body: Json) -> Json:
        self.plan.clear()
        return {}

    def counts(self, _body: Json) -> Json:
        return {"calls": self.plan.calls, "befallen": self.plan.befallen}


def admin_routes(world: World, app_id: str, layer: FaultLayer, admin_key: str) -> list[Route]:
    """The controls' paths."""
    controls = Controls(world, Pusher(world, app_id), layer.plan)

    async def release(_body: Json) -> Json:
        return {"released": await layer.release_late()}

    def guarded(work: Callable[[Json], Any], *, threaded: bool) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            given = request.headers.get(KEY_HEADER, "")
            if not secrets.compare_digest(given.encode(), admin_key.encode()):
                return JSONResponse(
                    {"error": f"缺少或错误的 {KEY_HEADER} / missing or wrong {KEY_HEADER}"}, 403
                )
            try:
                body = await read_body(request)
                if work is release:
                    return JSONResponse(await release(body))
                return JSONResponse(await run_in_threadpool(work, body) if threaded else work(body))
            except (ValueError, TypeError, AttributeError, TooLargeError) as error:
                return JSONResponse({"error": str(error)}, 400)

        return endpoint

    threaded: Mapping[str, tuple[str, Callable[[Json], Any]]] = {
        "options": ("POST", controls.options),
        "clock": ("POST", controls.clock),
        "tokens/end": ("POST", controls.end_tokens),
        "documents/new": ("POST", controls.new),
        "documents/move": ("POST", controls.move),
        "callback": ("POST", controls.callback),
        "deliver": ("POST", controls.deliver),
        "truth": ("GET", controls.truth),
        "events": ("GET", controls.events),
        "export": ("GET", controls.export),
    }
    # The plan of faults belongs to the event loop: these do not leave it.
    in_loop: Mapping[str, tuple[str, Callable[[Json], Any]]] = {
        "faults": ("POST", controls.fault),
        "shares": ("POST", controls.shares),
        "faults/clear": ("POST", controls.clear),
        "release": ("POST", release),
        "counts": ("GET", controls.counts),
    }
    return [
        Route(f"/__emulator__/{name}", guarded(work, threaded=calls is threaded), methods=[method])
        for calls in (threaded, in_loop)
        for name, (method, work) in calls.items()
    ]
