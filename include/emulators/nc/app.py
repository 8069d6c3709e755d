"""The ASGI application: servlet, web service and the site's views over the books, behind the faults."""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from include.emulators.http_faults import RATE_LIMIT, Fault, FaultLayer, FaultPlan
from include.emulators.ledger_admin import Admin
from include.emulators.ledger_books import Books
from include.emulators.nc import soap
from include.emulators.nc.documents import MAX_BODY_BYTES, declared, encoded
from include.emulators.nc.exchange import Platform
from include.emulators.nc.options import Options
from include.emulators.nc.views import VIEWS, ViewError

Json = dict[str, Any]
SERVLET = "/service/XChangeServlet"
VIEWS_PATH = "/views/"
SOAP_TYPE = "text/xml;charset=UTF-8"

VENDOR_FAULTS: Mapping[str, str] = {
    RATE_LIMIT: "服务器繁忙，请稍后再传",
    "locked": "单据加锁失败，其他用户正在操作，请稍后再试",
    "database": "数据库操作异常：java.sql.SQLException: Io exception: Connection reset",
}
"""Refusals that can be planned: a `Fault` of the kind `vendor` with one of these names, or one of the three below."""
LOGIN_PAGE = "login_page"
"""HTTP 200 with a page for people, as when the middleware's own login stands before it."""
RAW = "raw"
"""HTTP 200 text/xml with the fault's `body`, whatever that is."""
SOAP_FAULT = "soap_fault"
"""HTTP 500 with a SOAP fault that says the fault's `body`."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who may read the site's views. The exchange platform itself asks for no password."""

    view_user: str = "readonly"
    view_password: str = "emulator-view"  # noqa: S105  (opens nothing but the emulator)


class _TooLargeError(Exception):
    """A body beyond the limit."""


@dataclass(slots=True)
class Site:
    """One NC server as its callers see it."""

    platform: Platform
    credentials: Credentials

    async def servlet(self, request: Request) -> Response:
        """POST /service/XChangeServlet: a file in, the answer document out, HTTP 200 whatever happened."""
        platform = self.platform
        try:
            body = await _read(request, MAX_BODY_BYTES)
        except _TooLargeError:
            return self._document(platform.refusal("报文过大"))
        content_type = request.headers.get("content-type", "")
        text, sent_in = await run_in_threadpool(
            platform.exchange, body, content_type, dict(request.query_params)
        )
        return self._document(text, sent_in)

    async def web_service(self, request: Request) -> Response:
        """The web service: its WSDL by GET, synchronizeData by POST."""
        if not self.platform.options.soap:
            return PlainTextResponse("Not Found", 404)
        if request.method != "POST":
            return Response(
                soap.wsdl(f"{request.url.scheme}://{request.url.netloc}{soap.PATH}"), media_type="text/xml"
            )
        try:
            # A document in a text grows where its signs are escaped.
            body = await _read(request, 2 * MAX_BODY_BYTES)
            call = soap.read_call(body, request.headers.get("content-type", ""))
            if len(call.document.encode()) > MAX_BODY_BYTES:
                raise _TooLargeError
        except _TooLargeError:
            return self._in_envelope(self.platform.refusal("报文过大"), "UTF-8")
        except soap.SoapFault as error:
            return Response(soap.fault(error), 500, media_type=SOAP_TYPE)
        text = await run_in_threadpool(self.platform.exchange_text, call.document, {})
        return self._in_envelope(text, call.encoding)

    async def view(self, request: Request) -> Response:
        """GET /views/<name>: the site's own, with HTTP basic authentication."""
        run = VIEWS.get(request.path_params["name"])
        if run is None or not self.platform.options.views:
            return PlainTextResponse("Not Found", 404)
        if not self._may_read(request.headers.get("authorization", "")):
            return JSONResponse(
                {"error": "用户名或口令错误 / Wrong user or password."},
                401,
                {"WWW-Authenticate": 'Basic realm="views"'},
            )
        try:
            return JSONResponse(await run_in_threadpool(run, self.platform, dict(request.query_params)))
        except ViewError as error:
            return JSONResponse({"error": str(error)}, 400)

    def _may_read(self, header: str) -> bool:
        scheme, _, given = header.partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            text = base64.b64decode(given, validate=True)
        except binascii.Error:
            return False
        expected = f"{self.credentials.view_user}:{self.credentials.view_password}"
        return secrets.compare_digest(text, expected.encode())

    def _document(self, text: str, sent_in: str = "UTF-8") -> Response:
        body, content_type = encoded(self.platform.options, text, sent_in)
        return Response(body, headers={"Content-Type": content_type})

    def _in_envelope(self, text: str, sent_in: str) -> Response:
        return Response(soap.response(declared(self.platform.options, text, sent_in)), media_type=SOAP_TYPE)

    def refuse(self, fault: Fault, path: str) -> Response:
        """A planned refusal in this vendor's words."""
        if fault.name == LOGIN_PAGE:
            return Response("<html><body>用友NC 登录</body></html>", media_type="text/html;charset=UTF-8")
        if fault.name == RAW:
            return Response(fault.body, media_type="text/xml;charset=UTF-8")
        if fault.name == SOAP_FAULT:
            error = soap.SoapFault("Server", fault.body or "java.lang.NullPointerException")
            return Response(soap.fault(error), 500, media_type=SOAP_TYPE)
        text = VENDOR_FAULTS.get(fault.name, fault.body or "系统异常")
        if path.startswith(VIEWS_PATH):
            return JSONResponse({"error": text}, 503)
        document = self.platform.refusal(text)
        return (
            self._in_envelope(document, "UTF-8") if path.startswith(soap.PATH) else self._document(document)
        )

    # Controls beyond those that every ledger has

    def controls(self) -> Mapping[str, Callable[[Json], Any]]:
        return {
            "ids": lambda _body: self.platform.ids(),
            "forget_id": lambda body: self.platform.forget_id(str(body["sender"]), str(body["id"])),
        }


async def _read(request: Request, limit: int) -> bytes:
    """The body.

    Raises:
        _TooLargeError: it is larger than `limit`; the rest is not read.
    """
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise _TooLargeError
        parts.append(part)
    return b"".join(parts)


def build_app(
    books: Books,
    *,
    credentials: Credentials | None = None,
    options: Options | None = None,
    plan: FaultPlan | None = None,
    admin_key: str | None = None,
) -> FaultLayer:
    """A site that answers as NC's exchange platform does.

    Args:
        books: the ledger.
        credentials: who may read the views.
        options: the switches at the start; those changed later are kept in the books and win.
        plan: what is to go wrong.
        admin_key: opens the test controls under /__emulator__/ ; without it they do not exist.
    """
    platform = Platform(books, options or Options())
    site = Site(platform, credentials or Credentials())
    app = Starlette()
    layer = FaultLayer(app, plan or FaultPlan(), site.refuse)
    if admin_key:
        app.router.routes += Admin(books, layer, admin_key, platform.set_options, site.controls()).routes()
    app.router.routes += [
        Route(SERVLET, site.servlet, methods=["POST"]),
        Route(soap.PATH, site.web_service, methods=["GET", "POST"]),
        Route(f"{VIEWS_PATH}{{name}}", site.view, methods=["GET"]),
    ]
    return layer
