"""The ASGI application: the open platform's paths, test controls beside them, faults around both."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from include.emulators.feishu.admin import TooLargeError, admin_routes, read_body
from include.emulators.feishu.api import Answer, Api, ApiError
from include.emulators.feishu.world import World
from include.emulators.http_faults import RATE_LIMIT, Fault, FaultLayer, FaultPlan

Json = dict[str, Any]
ROOT = "/open-apis/approval/v4"


def build_app(world: World, *, app_id: str, app_secret: str, admin_key: str | None) -> FaultLayer:
    """The emulator for one tenant; without `admin_key` there are no test controls."""
    api, plan = Api(world, app_id, app_secret), FaultPlan()

    def path(kind: str, work: Callable[[Request, Json, int], Answer]) -> Callable[[Request], Any]:
        def carry_out(request: Request, body: Json) -> Answer:
            try:
                with world.call() as now:
                    if kind != "token":
                        api.authorize(request.headers.get("authorization", ""), now)
                        api.limits.take(world.options, kind, now)
                    return work(request, body, now)
            except ApiError as error:
                return error.answer

        async def endpoint(request: Request) -> Response:
            try:
                body = await read_body(request)
            except TooLargeError:
                return JSONResponse({"code": 1390001, "msg": "param is invalid, body too large"}, 413)
            except (ValueError, RecursionError):
                return JSONResponse({"code": 1390001, "msg": "param is invalid, body is no JSON object"}, 400)
            status, answer = await run_in_threadpool(carry_out, request, body)
            return _json(status, answer)

        return endpoint

    def token(_request: Request, body: Json, now: int) -> Answer:
        return (
            api.token(body, now)
            if world.options.token_path
            else (404, {"code": 404, "msg": "404 page not found"})
        )

    one = ROOT + "/instances/{code}"
    routes = [
        Route("/open-apis/auth/v3/tenant_access_token/internal", path("token", token), methods=["POST"]),
        Route(ROOT + "/approvals/{code}", path("definition", lambda r, _b, _n: api.definition(r.path_params["code"]))),
        Route(ROOT + "/approvals/{code}/subscribe",
              path("subscribe", lambda r, _b, n: api.subscribe(r.path_params["code"], n)), methods=["POST"]),
        Route(ROOT + "/instances", path("list", lambda r, _b, _n: api.instances(r.query_params))),
        Route(ROOT + "/instances/query", path("query", lambda r, b, n: api.query(r.query_params, b, n)), methods=["POST"]),
        Route(one, path("detail", lambda r, _b, _n: api.detail(r.path_params["code"]))),
        Route(one + "/comments",
              path("comment", lambda r, b, n: api.comment(r.path_params["code"], r.query_params, b, n)), methods=["POST"]),
    ]  # fmt: skip
    layer = FaultLayer(Starlette(), plan, lambda fault, _path: _vendor_answer(world, fault))
    if admin_key is not None:
        routes += admin_routes(world, app_id, layer, admin_key)
    layer.app = Starlette(routes=routes)
    return layer


def _json(status: int, body: Json) -> Response:
    return Response(
        json.dumps(body, ensure_ascii=False).encode(), status, media_type="application/json; charset=utf-8"
    )


def _vendor_answer(world: World, fault: Fault) -> Response:
    options = world.options
    refusals = {
        RATE_LIMIT: (options.rate_status, options.rate_code, "request trigger frequency limit"),
        "token": (options.token_status, options.token_code, "Invalid access token for authorization."),
        "internal": (400, 1395001, "There have been some errors. Please try again later"),
    }
    status, code, message = refusals.get(fault.name, refusals["internal"])
    return _json(status, {"code": code, "msg": message})
