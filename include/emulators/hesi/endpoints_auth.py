"""Address and authorisation (获取地址前缀, 获取授权, 刷新授权)."""

from __future__ import annotations

import json
import secrets

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from include.emulators.hesi.protocol import POWER_CODE, ApiError, Handler, Service, missing


async def location(service: Service, request: Request) -> Response:
    """The address to use from now on; the real one changes with releases."""
    if not request.query_params.get("corpId"):
        raise missing("corpId")
    return JSONResponse({"value": str(request.base_url)})


async def get_access_token(service: Service, request: Request) -> Response:
    """Key and secret are taken from the JSON body alone; the query does not count."""
    try:
        body = json.loads(await request.body())
    except ValueError:
        body = None
    key, secret = (body.get("appKey"), body.get("appSecurity")) if isinstance(body, dict) else (None, None)
    right = secrets.compare_digest(str(key).encode(), service.app_key.encode())
    right &= secrets.compare_digest(str(secret).encode(), service.app_secret.encode())
    if not right:
        raise ApiError(403, "密钥无效", authorisation=True)
    return _tokens(service, *service.tokens.issue())


async def refresh_token(service: Service, request: Request) -> Response:
    """Needs the pair that is still valid; an expired token cannot be refreshed."""
    params = request.query_params
    if params.get("powerCode") != POWER_CODE:
        raise ApiError(403, "未授权", authorisation=True)
    renewed = service.tokens.refresh(params.get("accessToken", ""), params.get("refreshToken", ""))
    if renewed is None:
        raise ApiError(403, "未授权", authorisation=True)
    return _tokens(service, *renewed)


def _tokens(service: Service, access: str, refresh: str, expires: int) -> Response:
    return JSONResponse(
        {
            "value": {
                "accessToken": access,
                "refreshToken": refresh,
                "expireTime": expires,
                "corporationId": service.world.catalog.corporation_id,
            }
        }
    )


OPEN_ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/api/openapi/v2/location", location),
    ("POST", "/api/openapi/v1/auth/getAccessToken", get_access_token),
    ("POST", "/api/openapi/v2/auth/refreshToken", refresh_token),
)
"""Routes that do not ask for a valid access token."""
