"""Address and authorisation (获取地址前缀, 获取授权, 刷新授权)."""

from __future__ import annotations

import json
import secrets

from starlette.responses import JSONResponse, Response

from include.emulators.hesi.protocol import POWER_CODE, ApiError, Call, Handler, missing


async def location(call: Call) -> Response:
    """The address to use from now on; the real one changes with releases."""
    if not call.params.get("corpId"):
        raise missing("corpId")
    return JSONResponse({"value": str(call.request.base_url)})


async def get_access_token(call: Call) -> Response:
    """Key and secret are taken from the JSON body alone; the query does not count."""
    try:
        body = json.loads(await call.request.body())
    except ValueError:
        body = None
    key, secret = (body.get("appKey"), body.get("appSecurity")) if isinstance(body, dict) else (None, None)
    right = secrets.compare_digest(str(key).encode(), call.service.app_key.encode())
    right &= secrets.compare_digest(str(secret).encode(), call.service.app_secret.encode())
    if not right:
        raise ApiError(403, "密钥无效", authorisation=True)
    return _tokens(call, *call.service.tokens.issue())


async def refresh_token(call: Call) -> Response:
    """Needs the pair that is still valid; an expired token cannot be refreshed."""
    params = call.params
    if params.get("powerCode") != POWER_CODE:
        raise ApiError(403, "未授权", authorisation=True)
    renewed = call.service.tokens.refresh(params.get("accessToken", ""), params.get("refreshToken", ""))
    if renewed is None:
        raise ApiError(403, "未授权", authorisation=True)
    return _tokens(call, *renewed)


def _tokens(call: Call, access: str, refresh: str, expires: int) -> Response:
    return JSONResponse(
        {
            "value": {
                "accessToken": access,
                "refreshToken": refresh,
                "expireTime": expires,
                "corporationId": call.world.catalog.corporation_id,
            }
        }
    )


OPEN_ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/api/openapi/v2/location", location),
    ("POST", "/api/openapi/v1/auth/getAccessToken", get_access_token),
    ("POST", "/api/openapi/v2/auth/refreshToken", refresh_token),
)
"""Routes that do not ask for a valid access token."""
