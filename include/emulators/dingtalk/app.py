"""The ASGI application: the vendor's paths behind the faults, and the test controls under /__emulator__/."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from include.emulators.dingtalk.api import Api, RefusedError, wrong
from include.emulators.dingtalk.options import Options
from include.emulators.dingtalk.world import EXPENSE, FATES, LOAN, World
from include.emulators.http_faults import RATE_LIMIT, Fault, FaultLayer, FaultPlan

Json = dict[str, Any]
KEY_HEADER = "X-Emulator-Key"
ADMIN = "/__emulator__/"
TOKEN_HEADER = "x-acs-dingtalk-access-token"  # noqa: S105  (the name of a header)
MAX_BODY = 1024 * 1024
QUERY = "/v1.0/workflow/processes/instanceIds/query"
DETAIL = "/v1.0/workflow/processInstances"
FORM_SCHEMA = "/v1.0/workflow/forms/schemas/processCodes"


class Site:
    """The tenant as its callers see it, and as the tests control it."""

    def __init__(self, api: Api, plan: FaultPlan, admin_key: str | None) -> None:
        self.api, self.world, self.plan, self.admin_key = api, api.world, plan, admin_key
        self.layer: FaultLayer | None = None

    async def serve(self, request: Request) -> Response:
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > MAX_BODY:
                return refusal(RefusedError("invalidParameter", "请求体过大", 413))
        if not request.url.path.startswith(ADMIN):
            return await run_in_threadpool(self._vendor, request, body)
        given = request.headers.get(KEY_HEADER, "").encode()
        if self.admin_key is None or not secrets.compare_digest(given, self.admin_key.encode()):
            return JSONResponse({"error": f"缺少或错误的 {KEY_HEADER} / missing or wrong {KEY_HEADER}"}, 403)
        if request.url.path == ADMIN + "release" and self.layer is not None:
            return JSONResponse({"released": await self.layer.release_late()})
        return await run_in_threadpool(self._admin, request, body)

    def _vendor(self, request: Request, body: bytes) -> Response:
        options, path = self.api.options, request.url.path
        calls: Mapping[tuple[str, str], Callable[[Mapping[str, Any], int], Json]] = {
            ("POST", options.token_path): self.api.token,
            ("POST", QUERY): self.api.ids,
            ("GET", DETAIL): self.api.detail,
            ("GET", FORM_SCHEMA): self.api.schema,
            ("POST", options.comment_path): self.api.comment,
        }
        call = calls.get((request.method, path))
        try:
            if call is None:
                raise RefusedError(
                    "InvalidAction.NotFound", "指定的接口不存在，请检查接口地址和请求方法", 404
                )
            with self.world.transaction() as now:
                if path != options.token_path:
                    self.api.check(request.headers.get(TOKEN_HEADER, ""), now)
                given = _object(body) if request.method == "POST" else dict(request.query_params)
                return JSONResponse(call(given, now))
        except RefusedError as error:
            return refusal(error)
        except (UnicodeError, OverflowError):
            # Half a surrogate pair, or a number beyond 64 bits: JSON can spell them and no database can keep them.
            return refusal(wrong("参数取值不合法"))

    def _admin(self, request: Request, body: bytes) -> Response:
        controls: Mapping[str, Callable[[Json], Any]] = {
            "faults": self._faults, "options": self._options, "clock": self._clock, "documents": self._documents,
            "sessions/end": self._end_sessions, "counts": lambda _: {"calls": self.plan.calls, "befallen": self.plan.befallen},
            "truth": lambda _: self.world.truth(), "export": lambda _: self.world.export(),
        }  # fmt: skip
        work = controls.get(request.url.path.removeprefix(ADMIN))
        if work is None:
            return JSONResponse({"error": "没有这个控制 / no such control"}, 404)
        try:
            given = _object(body)
            with self.world.transaction():
                return JSONResponse(work(given))
        except (ValueError, TypeError, RefusedError) as error:
            return JSONResponse({"error": str(error)}, 400)

    def _faults(self, given: Json) -> Json:
        """{"clear": true} and {"planned": [a Fault], "shares": {kind: share}, "seed", "calls_per_second"}."""
        if given.get("clear"):
            self.plan.clear()
        for fault in given.get("planned", []):
            self.plan.plan(Fault(**fault))
        if "shares" in given or "calls_per_second" in given:
            self.plan.set_shares(
                given.get("shares", {}),
                seed=given.get("seed", 0),
                calls_per_second=given.get("calls_per_second", 0.0),
            )
        return {"planned": len(self.plan.planned)}

    def _options(self, given: Json) -> Json:
        self.api.options = self.api.options.changed(given)
        return self.api.options.as_json()

    def _clock(self, given: Json) -> Json:
        offset = given.get("offset_ms", 0)
        if type(offset) is not int:
            raise ValueError("offset_ms 须为整数毫秒 / offset_ms is a whole number of milliseconds")
        self.world.set_meta("offset_ms", offset)
        return {"now_ms": self.world.now_ms()}

    def _end_sessions(self, _given: Json) -> Json:
        return {"ended": self.world.db.execute("DELETE FROM token").rowcount}

    def _documents(self, given: Json) -> Json:
        """{"id", "action"} for an instance there is, or {"count", "fate", "kind"} for new ones, made now."""
        if "id" in given:
            return {"ids": [self.world.act(str(given["id"]), str(given.get("action")))]}
        count, fate, kind = given.get("count", 1), given.get("fate", "approved"), given.get("kind", "expense")
        if (
            type(count) is not int
            or not 1 <= count <= 1000
            or fate not in FATES
            or kind not in {"expense", "loan"}
        ):
            raise ValueError(
                f"count 1–1000，fate {', '.join(FATES)}，kind expense/loan / use one of these values"
            )
        first = self.world.db.execute("SELECT COUNT(*) FROM instance").fetchone()[0] + 1_000_000
        code, now = (EXPENSE if kind == "expense" else LOAN), self.world.now_ms()
        return {"ids": [self.world.add(first + n, now, fate, 0, code) for n in range(count)]}


def _object(body: bytes) -> Json:
    try:
        value = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise wrong("请求体不是合法的JSON") from error
    if not isinstance(value, dict):
        raise wrong("请求体须为JSON对象")
    return value


def refusal(error: RefusedError) -> Response:
    return JSONResponse(
        {"code": error.code, "message": str(error), "requestid": secrets.token_hex(16).upper()}, error.status
    )


def build_app(
    world: World, options: Options, *, app_key: str, app_secret: str, plan: FaultPlan | None = None,
    admin_key: str | None = None,
) -> ASGIApp:  # fmt: skip
    """The tenant behind its faults; without `admin_key` the test controls are shut."""
    site = Site(Api(world, options, app_key, app_secret), plan or FaultPlan(), admin_key)

    def vendor_answer(fault: Fault, _path: str) -> Response:
        if fault.name == RATE_LIMIT:
            limited = "Forbidden.AccessDenied.QpsLimitForApi"
            return refusal(RefusedError(limited, "请求被限流，请稍后再试", site.api.options.rate_status))
        return refusal(RefusedError("InvalidAuthentication", "不合法的access_token", 401))

    app = Starlette()
    app.add_route("/{path:path}", site.serve, methods=["GET", "POST"])
    site.layer = FaultLayer(app, site.plan, vendor_answer)
    return site.layer
