"""The ASGI application: the vendor's routes over a world, with tokens, faults and test controls."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from include.emulators.hesi import endpoints_auth, endpoints_flows, endpoints_invoices, endpoints_master
from include.emulators.hesi.admin import admin_routes
from include.emulators.hesi.clock import EmulatorClock
from include.emulators.hesi.faults import FaultMiddleware, Faults
from include.emulators.hesi.protocol import ApiError, BareError, Call, Handler, Service, Tokens
from include.emulators.hesi.world import World

DEFAULT_TOKEN_TTL_S = 2 * 3600


def build_app(
    world: World,
    *,
    app_key: str,
    app_secret: str,
    token_ttl_s: int = DEFAULT_TOKEN_TTL_S,
    faults: Faults | None = None,
    clock: EmulatorClock | None = None,
    admin_key: str | None = None,
) -> ASGIApp:
    """An application that answers as the vendor's OpenAPI does.

    Args:
        world: the company behind it.
        app_key: 接入账号, with
        app_secret: 接入密码, what getAccessToken accepts.
        token_ttl_s: life of a first token in seconds; a refreshed one lives 32 days.
        faults: trouble to make; none by default.
        clock: time for tokens; the world's own by default.
        admin_key: opens the test controls under /__emulator__/ ; without it they do not exist.
    """
    faults = faults or Faults()
    tokens = Tokens(clock or world.clock, token_ttl_s * 1000, faults.token_unready_ms)
    service = Service(world, app_key, app_secret, tokens, faults)
    routes = [_route(service, *route, open_to_all=True) for route in endpoints_auth.OPEN_ROUTES]
    for module in (endpoints_flows, endpoints_master, endpoints_invoices):
        routes += [_route(service, *route, open_to_all=False) for route in module.ROUTES]
    if admin_key:
        routes += admin_routes(service, admin_key)
    app = Starlette(routes=routes, exception_handlers={ApiError: _api_error, BareError: _bare_answer})
    return FaultMiddleware(app, faults)


def _route(service: Service, method: str, path: str, handler: Handler, *, open_to_all: bool) -> Route:
    async def endpoint(request: Request) -> Response:
        service.requests[path] = service.requests.get(path, 0) + 1
        if not open_to_all and not service.tokens.is_valid(request.query_params.get("accessToken", "")):
            raise ApiError(403, "未授权")
        return await handler(Call(service, request))

    # Only what the page documents: Starlette would add HEAD to GET, which does no harm.
    return Route(path, endpoint, methods=[method], name=f"{method} {path}")


def _api_error(_request: Request, error: Exception) -> Response:
    if not isinstance(error, ApiError):
        raise error
    return error.response()


def _bare_answer(_request: Request, error: Exception) -> Response:
    if not isinstance(error, BareError):
        raise error
    return error.response
