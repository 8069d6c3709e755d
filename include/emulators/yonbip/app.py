"""The ASGI application: data centre look-up, tokens and the gateway over the books, behind the faults."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from include.emulators.http_faults import RATE_LIMIT, Fault, FaultLayer, FaultPlan
from include.emulators.ledger_admin import Admin
from include.emulators.ledger_books import Books
from include.emulators.yonbip.options import Options
from include.emulators.yonbip.platform import PERIODS, Credentials, Platform

Json = dict[str, Any]
LOOK_UP = "/open-auth/dataCenter/getGatewayAddress"
AUTH = "/iuap-api-auth"
GATEWAY = "/iuap-api-gateway"
TOKENS = ("/open-auth/selfAppAuth/base/v1/getAccessToken", "/open-auth/selfAppAuth/getAccessToken")
MAX_BODY_BYTES = 4 * 2**20
BAD_TOKEN = "bad_token"  # noqa: S105
VENDOR_FAULTS: Mapping[str, tuple[str, str]] = {
    RATE_LIMIT: ("310046", "触发了API级限流"),
    "rate_system": ("310032", "触发了系统级限流"),
    "rate_application": ("310039", "触发了应用级限流"),
    "rate_product": ("310042", "触发了产品级限流"),
    BAD_TOKEN: ("310036", "非法token"),
    "not_granted": ("310037", "API未被授权"),
    "processing": ("202", "幂等接口，后端服务正在处理中"),
    "timeout": ("310504", "请求超时"),
    "circuit": ("310043", "此API触发熔断"),
    "backend": ("999", "服务端逻辑异常"),
}
"""Refusals that can be planned: a `Fault` of the kind `vendor` with one of these names."""
_NUMBER = re.compile(r'"\\u0000(-?[0-9.]+)"')


def answer(body: Json, status: int = 200) -> Response:
    """JSON whose decimals are exact numbers. Nothing that comes in may hold U+0000, which marks them on their way."""
    whole = json.dumps(body, ensure_ascii=False, default=_marked)
    return Response(_NUMBER.sub(r"\1", whole), status, media_type="application/json")


def _marked(value: object) -> str:
    if not isinstance(value, Decimal):
        raise TypeError(type(value).__name__)
    return f"\x00{value:f}"


@dataclass(slots=True)
class Site:
    """The open platform as its callers see it."""

    platform: Platform

    async def look_up(self, request: Request) -> Response:
        """GET getGatewayAddress."""
        if request.query_params.get("tenantId") != self.platform.credentials.tenant_id:
            return answer({"code": "500", "message": "根据租户id获取网关地址出现异常"})
        here = f"{request.url.scheme}://{request.url.netloc}"
        data = {"gatewayUrl": here + GATEWAY, "tokenUrl": here + AUTH}
        return answer({"code": "00000", "message": "成功！", "data": data})

    async def token(self, request: Request) -> Response:
        """GET getAccessToken."""
        return answer(await run_in_threadpool(self.platform.token, dict(request.query_params)))

    async def gateway(self, request: Request) -> Response:
        """The path is looked at before the token, the token before the body."""
        path = "/" + request.path_params["path"]
        run = self.platform.routes().get(path)
        if run is None:
            said = f"网关上没有注册此API[{path[:300]}]，请确认后重新调用"
            return answer({"code": "310404", "message": said}, 404)
        if request.method != "POST":
            return answer({"code": "310405", "message": "请求方法不允许"})
        token = request.query_params.get("access_token", "")
        if not token:
            return answer({"code": "310001", "message": "access_token不能为空。"})
        if not await run_in_threadpool(self.platform.token_is_valid, token):
            return refused(BAD_TOKEN, path)
        if any(part in path for part in self.platform.options.denied):
            return refused("not_granted", path)
        if self.platform.is_over_quota(path):
            return answer({"code": self.platform.options.quota_code, "message": "触发了API级限流"})
        try:
            body = parsed(await _read(request))
        except ValueError:
            return answer({"code": "310002", "message": "请求体必须是JSON结构"})
        return answer(await run_in_threadpool(run, body))


def parsed(raw: bytes) -> Json:
    """A body, its numbers exact.

    Raises:
        ValueError: no JSON object, too deep, or with U+0000 or lone surrogates in it.
    """
    try:
        found = json.loads(raw, parse_float=Decimal, parse_constant=_no_constant) if raw.strip() else {}
        plain = json.dumps(found, ensure_ascii=False, default=str)
    except RecursionError as error:
        raise ValueError("too deep") from error
    plain.encode()
    if not isinstance(found, dict) or "\\u0000" in plain:
        raise ValueError("not an object of texts")
    return found


def _no_constant(name: str) -> object:
    raise ValueError(name)


async def _read(request: Request) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise ValueError("too large")
        parts.append(part)
    return b"".join(parts)


def refused(name: str, path: str, text: str = "") -> Response:
    """A refusal of the gateway; the interface of periods says a bad token in plain text."""
    code, message = VENDOR_FAULTS.get(name, ("315001", text or "未知错误"))
    if name == BAD_TOKEN and path.endswith(PERIODS):
        return PlainTextResponse(message)
    return answer({"code": code, "message": message})


def _planned(fault: Fault, path: str) -> Response:
    return refused(fault.name, path, fault.body)


def build_app(
    books: Books,
    *,
    credentials: Credentials | None = None,
    options: Options | None = None,
    plan: FaultPlan | None = None,
    admin_key: str | None = None,
) -> FaultLayer:
    """A tenant of YonBIP behind its gateway.

    Args:
        books: the ledger.
        credentials: tenant, application and maker.
        options: the switches at the start; those changed later are kept in the books and win.
        plan: what is to go wrong.
        admin_key: opens the test controls under /__emulator__/ ; without it they do not exist.
    """
    platform = Platform(books, credentials or Credentials(), options or Options())
    site, app = Site(platform), Starlette()
    layer = FaultLayer(app, plan or FaultPlan(), _planned)
    if admin_key:
        extra = {"tokens": lambda _body: books.forget_notes("tokens")}
        app.router.routes += Admin(books, layer, admin_key, platform.set_options, extra).routes()
    app.router.routes += [
        Route(LOOK_UP, site.look_up, methods=["GET"]),
        *(
            Route(before + path, site.token, methods=["GET"])
            for before in ("", AUTH, GATEWAY)
            for path in TOKENS
        ),
        Route(GATEWAY + "/{path:path}", site.gateway, methods=["GET", "POST", "PUT", "DELETE"]),
    ]
    return layer
