"""Test controls under /__emulator__/, behind a key of their own; no part of the vendor's interface."""

from __future__ import annotations

import secrets
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from include.emulators.hesi.model import EmulatorError
from include.emulators.hesi.protocol import ApiError, Service, json_body

Json = dict[str, Any]
KEY_HEADER = "X-Emulator-Key"
PREFIX = "/__emulator__"


def admin_routes(service: Service, admin_key: str) -> list[Route]:
    """Routes to step the clock, change documents and read counts.

    POST /clock {"advance_ms": n} · POST /documents/<id>/<operation> {…} (see `changes.OPERATIONS`) · GET /counts.
    """

    def guard(request: Request) -> None:
        given = request.headers.get(KEY_HEADER, "")
        if not secrets.compare_digest(given.encode(), admin_key.encode()):
            raise ApiError(403, f"缺少或错误的 {KEY_HEADER} · missing or wrong {KEY_HEADER}")

    async def clock(request: Request) -> Response:
        guard(request)
        step = (await json_body(request)).get("advance_ms")
        if not isinstance(step, int) or step < 0:
            raise ApiError(400, "advance_ms 须为非负整数毫秒 · advance_ms must be a non-negative integer")
        service.world.clock.advance(step)
        if service.tokens.clock is not service.world.clock:
            service.tokens.clock.advance(step)
        return JSONResponse({"now_ms": service.tokens.clock.now_ms()})

    async def change(request: Request) -> Response:
        guard(request)
        data = await json_body(request) if await request.body() else {}
        flow_id, operation = request.path_params["flow_id"], request.path_params["operation"]
        try:
            service.world.change(operation, flow_id, **data)
        except EmulatorError as error:
            raise ApiError(409, str(error)) from error
        document = service.world.document(flow_id)
        return JSONResponse({"state": document.state, "active": document.active, "version": document.version})

    async def counts(request: Request) -> Response:
        guard(request)
        return JSONResponse({"documents": service.world.counts(), "requests": service.requests})

    return [
        Route(f"{PREFIX}/clock", clock, methods=["POST"]),
        Route(f"{PREFIX}/documents/{{flow_id}}/{{operation}}", change, methods=["POST"]),
        Route(f"{PREFIX}/counts", counts, methods=["GET"]),
    ]
