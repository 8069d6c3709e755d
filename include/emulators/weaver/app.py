"""The ASGI application: WorkflowService, the E9 interface and the test controls over one world."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from include.emulators.weaver import rest, soap_service
from include.emulators.weaver.admin import PREFIX as ADMIN_PREFIX
from include.emulators.weaver.admin import admin_routes
from include.emulators.weaver.conditions import SqlError
from include.emulators.weaver.faults import Calls, FaultMiddleware
from include.emulators.weaver.rest_auth import AuthFailure, Gate
from include.emulators.weaver.soap import SoapFault, envelope, fault, parse
from include.emulators.weaver.soap_types import SERVICE_NS, TYPES_NS
from include.emulators.weaver.world import World
from include.emulators.weaver.wsdl import wsdl

SERVICE_PATH = "/services/WorkflowService"
MAX_PARAMETERS = 1000


def build_app(world: World, *, app_id: str, admin_key: str | None) -> ASGIApp:
    """An application that answers as e-cology does.

    Args:
        world: the installation behind it.
        app_id: the licensed APPID (ECOLOGY_BIZ_EC).
        admin_key: opens the test controls under /__emulator__/ ; without it they do not exist.
    """
    gate, calls = Gate(world, app_id), Calls()
    routes = [
        Route(SERVICE_PATH, _soap_get(world), methods=["GET"]),
        Route(SERVICE_PATH, _soap_post(world), methods=["POST"]),
        Route("/api/ec/dev/auth/regist", _auth(world, gate.regist), methods=["POST"]),
        Route("/api/ec/dev/auth/applytoken", _auth(world, gate.apply_token), methods=["POST"]),
    ]
    for name, (method, handler) in rest.ROUTES.items():
        routes.append(
            Route(f"{rest.PREFIX}/{name}", _rest(world, gate, handler), methods=[method], name=name)
        )
    if admin_key:
        routes += admin_routes(world, gate, calls, admin_key)
    return FaultMiddleware(Starlette(routes=routes), calls, gate.forget_tokens, ADMIN_PREFIX)


# -- SOAP ---------------------------------------------------------------------------------------------


def _service_ns(world: World) -> str:
    return TYPES_NS if world.options.single_namespace else SERVICE_NS


def _soap_get(world: World) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        if "wsdl" not in {name.lower() for name in request.query_params}:
            return HTMLResponse("<html><body>Invalid SOAP request.</body></html>")
        own = f"{request.url.scheme}://{request.url.netloc}{SERVICE_PATH}"
        options = world.options
        text = wsdl(options.wsdl_address or own, _service_ns(world), options.wsdl_import)
        return Response(text.encode(), media_type="text/xml;charset=UTF-8")

    return endpoint


def _soap_post(world: World) -> Callable[[Request], Any]:
    def carry_out(body: bytes, content_type: str) -> tuple[int, str]:
        try:
            call = parse(body, content_type)
            kind, value = soap_service.answer(world, call)
        except SoapFault as error:
            return 500, fault(error)
        return 200, envelope(call.operation, call.namespace or _service_ns(world), kind, value)

    async def endpoint(request: Request) -> Response:
        allowed = world.options.soap_allow_ips
        if allowed and (request.client is None or request.client.host not in allowed):
            return HTMLResponse("<h1>403 Forbidden</h1>", 403)
        body = await request.body()
        status, text = await run_in_threadpool(carry_out, body, request.headers.get("content-type", ""))
        return _xml(world, status, text)

    return endpoint


def _xml(world: World, status: int, text: str) -> Response:
    chosen = world.options.encoding
    name = "utf-8" if chosen == "utf-8" else "gbk"
    declared = "" if chosen == "gbk-undeclared" else f'<?xml version="1.0" encoding="{name.upper()}"?>\n'
    content_type = "text/xml" if chosen == "gbk-undeclared" else f"text/xml;charset={name.upper()}"
    answer = Response((declared + text).encode(name, "xmlcharrefreplace"), status)
    answer.headers["content-type"] = (
        content_type  # given as media_type, Starlette would add a charset of its own
    )
    return answer


# -- REST ---------------------------------------------------------------------------------------------


def _auth(world: World, work: Callable[[Any], Any]) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        try:
            return _json(world, await run_in_threadpool(work, request.headers))
        except AuthFailure as error:
            return _json(world, error.body)

    return endpoint


def _rest(world: World, gate: Gate, handler: rest.Handler) -> Callable[[Request], Any]:
    def carry_out(headers: Any, params: dict[str, Any]) -> Any:
        user = gate.user(headers)
        try:
            with world.call() as now:
                return handler(rest.RestCall(world, user, params, now))
        except (UnicodeEncodeError, SqlError) as error:
            # Half a surrogate pair, which JSON can spell and no database can keep; or more than a statement can hold.
            return rest.broken(world, str(error))

    async def endpoint(request: Request) -> Response:
        params: dict[str, Any] = dict(request.query_params) | _body_params(
            await request.body(), request.headers.get("content-type", "")
        )
        try:
            return _json(world, await run_in_threadpool(carry_out, request.headers, params))
        except AuthFailure as error:
            return _json(world, error.body)

    return endpoint


def _body_params(body: bytes, content_type: str) -> dict[str, Any]:
    """Parameters of a form or JSON body, in UTF-8 or the charset that it names; empty for what is neither."""
    charset = "gbk" if "gbk" in content_type.lower() else "utf-8"
    text = body.decode(charset, "replace")
    if "json" in content_type.lower():
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return {}
        return value if isinstance(value, dict) else {}
    try:
        pairs = parse_qsl(
            text, keep_blank_values=True, encoding=charset, errors="replace", max_num_fields=MAX_PARAMETERS
        )
    except ValueError:
        return {}
    return dict(pairs)


def _json(world: World, value: Any) -> Response:
    chosen = world.options.encoding
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if chosen == "utf-8":
        return Response(text.encode(), media_type="application/json;charset=UTF-8")
    try:
        packed = text.encode("gbk")
    except UnicodeEncodeError:
        packed = json.dumps(value).encode()
    answer = Response(packed)
    answer.headers["content-type"] = "application/json" + (";charset=GBK" if chosen == "gbk" else "")
    return answer
