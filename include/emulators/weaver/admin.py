"""Test controls under /__emulator__/, behind a key of their own; no part of the vendor's interface."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from include.emulators.weaver import changes
from include.emulators.weaver.faults import Calls, faults_from
from include.emulators.weaver.problems import EmulatorError
from include.emulators.weaver.rest_auth import Gate
from include.emulators.weaver.world import World

Json = dict[str, Any]
KEY_HEADER = "X-Emulator-Key"
PREFIX = "/__emulator__"


def admin_routes(world: World, gate: Gate, calls: Calls, admin_key: str) -> list[Route]:
    """The controls; see README.md for what each takes."""

    def serve(work: Callable[[Mapping[str, str], Any], Any]) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            given = request.headers.get(KEY_HEADER, "")
            if not secrets.compare_digest(given.encode(), admin_key.encode()):
                return _no(403, f"缺少或错误的 {KEY_HEADER} / missing or wrong {KEY_HEADER}")
            text = await request.body()
            try:
                body = json.loads(text) if text else {}
                return JSONResponse(await run_in_threadpool(work, request.path_params, body))
            except ValueError as error:
                return _no(400, f"请求不是有效的 JSON：{error} / the request is no JSON")
            except EmulatorError as error:
                return _no(409, str(error))

        return endpoint

    def faults(_path: Mapping[str, str], body: Any) -> Json:
        calls.faults = faults_from(body if isinstance(body, list) else [body])
        return calls.as_json()

    def options(_path: Mapping[str, str], body: Any) -> Json:
        world.set_options(_map(body))
        return world.options.as_json()

    def clock(_path: Mapping[str, str], body: Any) -> Json:
        values = _map(body)
        with world.store.transaction():
            offset = values.get(
                "offset_ms", int(world.store.meta("clock_offset_ms") or 0) + values.get("advance_ms", 0)
            )
            if not isinstance(offset, int):
                raise EmulatorError(
                    "offset_ms、advance_ms 须为整数毫秒 / offset_ms and advance_ms are whole milliseconds"
                )
            world.store.set_meta("clock_offset_ms", offset)
        with world.call() as now:
            return {"now_ms": now, "offset_ms": offset}

    def document(path: Mapping[str, str], body: Any) -> Json:
        return changes.apply(world, int(path["request_id"]), path["operation"], _map(body))

    routes: Mapping[str, tuple[str, Callable[[Mapping[str, str], Any], Any]]] = {
        "/faults": ("POST", faults),
        "/options": ("POST", options),
        "/clock": ("POST", clock),
        "/sessions/end": ("POST", lambda _path, _body: {"ended": gate.forget_tokens()}),
        "/documents/new": ("POST", lambda _path, body: {"requestIds": changes.add(world, _map(body))}),
        "/documents/{request_id:int}/{operation}": ("POST", document),
        "/workflows/{workflow_id:int}/form": (
            "POST",
            lambda path, body: changes.change_form(world, int(path["workflow_id"]), _map(body)),
        ),
        "/counts": (
            "GET",
            lambda _path, _body: calls.as_json() | {"refused_conditions": world.refused_conditions},
        ),
        "/truth": ("GET", lambda _path, _body: world.truth()),
        "/export": ("GET", lambda _path, _body: export(world)),
    }
    return [Route(PREFIX + path, serve(work), methods=[method]) for path, (method, work) in routes.items()]


def export(world: World) -> Json:
    """Every row of every table with documents in it, deleted ones apart, and the truth: for an independent auditor."""
    tables = (
        "workflow_requestbase",
        "workflow_currentoperator",
        "workflow_requestlog",
        "emulator_move",
        "emulator_deleted",
    )
    with world.call() as now:
        rows = {table: [dict(row) for row in world.store.rows(f"SELECT * FROM {table}")] for table in tables}  # noqa: S608
        return {"now_ms": now, "tables": rows, "truth": world.truth()}


def _map(body: Any) -> Mapping[str, Any]:
    if not isinstance(body, dict):
        raise EmulatorError("请求须为 JSON 对象 / the request must be a JSON object")
    return body


def _no(status: int, message: str) -> Response:
    return JSONResponse({"error": message}, status)
