"""The ASGI application: Kingdee's services over the books, behind the door and the faults."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from include.emulators.http_faults import RATE_LIMIT, Fault, FaultLayer, FaultPlan
from include.emulators.kingdee import queries
from include.emulators.kingdee.access import SESSION_KEY, Access, Admission, Credentials, WrongAccountError
from include.emulators.kingdee.operations import Desk
from include.emulators.kingdee.options import Options
from include.emulators.kingdee.protocol import (
    CONFLICT,
    FAULT,
    LIMITED,
    LOST,
    MAX_BODY_BYTES,
    NO_DATA,
    NO_PARAMETER,
    SESSION_LOST,
    ApiError,
    Call,
    Problem,
    answer,
    failed,
    failure,
    gateway_error,
    login_arguments,
    parse_body,
    service_of,
    take_apart,
)
from include.emulators.kingdee.reports import get_sys_report_data
from include.emulators.ledger_admin import Admin
from include.emulators.ledger_books import Books

Json = dict[str, Any]
TASKS = "task"
SETTINGS = "settings"

READS: dict[str, Callable[[Books, Options, Call], Any]] = {
    "ExecuteBillQuery": queries.execute_bill_query,
    "BillQuery": queries.bill_query,
    "QueryBusinessInfo": queries.query_business_info,
    "View": queries.view,
    "GetSysReportData": get_sys_report_data,
}
WRITES: dict[str, Callable[[Desk, Call], Any]] = {
    "Save": Desk.save,
    "Draft": Desk.draft,
    "BatchSave": Desk.batch_save,
    "Submit": Desk.submit,
    "Audit": Desk.audit,
    "UnAudit": Desk.unaudit,
    "CancelAssign": Desk.cancel_assign,
    "Delete": Desk.delete,
    "ExcuteOperation": Desk.operation,
    "WorkflowAudit": Desk.workflow_audit,
}
_SPELLING = {name.lower(): name for name in (*READS, *WRITES, "QueryAsyncResult")}

VENDOR_FAULTS = {
    RATE_LIMIT: Problem("调用过于频繁，请稍后再试", code=LIMITED),
    "session_lost": Problem(SESSION_LOST, code=LOST),
    "conflict": Problem("网控冲突：其他用户正在处理该单据，请稍后再试", code=CONFLICT),
    "database": Problem("数据库操作失败", code=6),
    "permission": Problem("您没有执行此操作的权限", code=2),
    "license": Problem("许可错误：站点许可数已满", code=7),
}
"""Refusals that can be planned: a `Fault` of the kind `vendor` with one of these names, or with RESPONSE_ERROR."""
RESPONSE_ERROR = "response_error"
"""HTTP 200 with a text that begins `response_error:`, which the vendor's SDK knows as an exception of the server."""


@dataclass(slots=True)
class Site:
    """One K3Cloud site: books, door and switches."""

    books: Books
    access: Access
    options: Options
    flex: dict[str, str] = field(default_factory=dict)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.set_options(self.books.note(SETTINGS, "options") or {})
        queries.install(self.books, self.flex)

    def set_options(self, changes: Json) -> Json:
        """Change switches; they are kept over restarts. Gives all of them."""
        self.options = self.options.changed(changes)
        if changes:
            self.books.keep_note(SETTINGS, "options", (self.books.note(SETTINGS, "options") or {}) | changes)
        self.flex.clear()
        self.flex.update(self.options.flex)
        return self.options.as_json()

    # One call

    async def handle(self, request: Request) -> Response:
        """Any POST below the site."""
        service = service_of(request.url.path)
        if self.options.gateway:
            problem = self.access.gateway_problem(request.headers, self.options)
            if service is None:
                return gateway_error(5001, "API not found", "请求的API不存在")
            if problem is not None:
                return gateway_error(*problem)
        if service is None:
            return PlainTextResponse("The resource cannot be found.", 404)
        kind, operation = service.split(".")
        operation = _SPELLING.get(operation.lower(), operation)
        try:
            body = parse_body(await _read(request), request.headers.get("content-type", ""))
            if kind.lower() == "authservice":
                return self._login(operation, body, request)
            if kind.lower() == "accountservice":
                return answer(self._data_centers())
            admission = self._admit(request)
            if admission.session is None:
                problem_body = failure(self.options, operation, VENDOR_FAULTS["session_lost"])
                return _with_session(answer(problem_body), admission)
            result = await self._run(operation, body, admission.session.user)
            return _with_session(answer(result), admission)
        except WrongAccountError:
            return PlainTextResponse("Fail to verify thirty passport", 500)
        except ApiError as error:
            return answer(failure(self.options, operation, *error.problems))

    def _admit(self, request: Request) -> Admission:
        raw_path = request.scope.get("raw_path", b"").decode("latin-1")
        return self.access.admit(request.headers, request.cookies, raw_path, self.options)

    async def _run(self, operation: str, body: Json, user: str) -> Any:
        if operation == "QueryAsyncResult":
            return self._task(body)
        if operation not in READS and operation not in WRITES:
            raise failed(f"仿真系统没有接口“{operation}”", FAULT)
        call = take_apart(operation, body)
        if call.is_async:
            return self._begin(operation, call, user)
        return await run_in_threadpool(self._perform, operation, call, user)

    def _perform(self, operation: str, call: Call, user: str) -> Any:
        if operation in READS:
            return READS[operation](self.books, self.options, call)
        return WRITES[operation](Desk(self.books, self.options, user), call)

    # Calls that are carried out later, and asked for

    def _begin(self, operation: str, call: Call, user: str) -> Json:
        task_id = str(uuid.uuid4())
        pending = {"Status": 0, "TaskId": task_id, "Result": None}
        self.books.keep_note(TASKS, task_id, pending)

        async def later() -> None:
            await asyncio.sleep(self.options.async_delay_ms / 1000)
            try:
                result = await run_in_threadpool(self._perform, operation, call, user)
            except ApiError as error:
                result = failure(self.options, operation, *error.problems)
            self.books.keep_note(TASKS, task_id, {"Status": 2, "TaskId": task_id, "Result": result})

        task = asyncio.get_running_loop().create_task(later())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return pending

    def _task(self, body: Json) -> Any:
        """QueryAsyncResult: `queryInfo` is JSON in a text."""
        try:
            info = json.loads(body.get("queryInfo") or "")
            task_id = str(info["TaskId"])
        except (ValueError, TypeError, KeyError) as error:
            raise failed("参数queryInfo不正确", NO_PARAMETER) from error
        found = self.books.note(TASKS, task_id)
        if found is None:
            raise failed(f"任务“{task_id}”不存在", NO_DATA)
        return found

    # Logins

    def _login(self, operation: str, body: Json, request: Request) -> Response:
        access, options = self.access, self.options
        match operation.lower():
            case "validateuser":
                result = access.validate_user(
                    *login_arguments(body, ("acctID", "username", "password", "lcid"))[:4]
                )
            case "loginbyappsecret":
                arguments = login_arguments(body, ("acctID", "username", "appId", "appSecret", "lcid"))
                result = access.login_by_secret(*arguments)
            case "loginbysign":
                arguments = login_arguments(
                    body, ("acctID", "username", "appId", "timestamp", "sign", "lcid")
                )
                result = access.login_by_sign(options, *arguments)
            case "logout":
                access.close(request.cookies.get(SESSION_KEY) or request.headers.get(SESSION_KEY, ""))
                return answer({})
            case _:
                raise failed(f"仿真系统没有接口“{operation}”", FAULT)
        return _with_session(answer(result), Admission(None, result["KDSVCSessionId"]))

    def _data_centers(self) -> list[Json]:
        mine = self.access.credentials
        return [{"Id": mine.acct_id, "Number": "001", "Name": mine.acct_name}]

    def refuse(self, fault: Fault, path: str) -> Response:
        """A planned refusal in this vendor's words."""
        if fault.name == RESPONSE_ERROR:
            return PlainTextResponse(f"response_error:{fault.body or '系统异常'}")
        operation = (service_of(path) or ".").split(".")[1]
        problem = VENDOR_FAULTS.get(fault.name, Problem(fault.body or "系统异常", code=FAULT))
        return answer(failure(self.options, _SPELLING.get(operation.lower(), operation), problem))


async def _read(request: Request) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise failed("请求数据过大", NO_PARAMETER)
        parts.append(part)
    return b"".join(parts)


def _with_session(response: Response, admission: Admission) -> Response:
    """Session cookies as the site sets them."""
    if admission.new_sid:
        response.headers.append("Set-Cookie", f"{SESSION_KEY}={admission.new_sid}; path=/")
        response.headers.append("Set-Cookie", f"ASP.NET_SessionId={uuid.uuid4().hex[:24]}; path=/; HttpOnly")
    return response


def build_app(
    books: Books,
    *,
    credentials: Credentials | None = None,
    options: Options | None = None,
    plan: FaultPlan | None = None,
    admin_key: str | None = None,
) -> FaultLayer:
    """A site that answers as Kingdee's does, at any path below which its services lie (`/k3cloud/…`).

    Args:
        books: the ledger.
        credentials: who may call.
        options: the switches at the start; those changed later are kept in the books and win.
        plan: what is to go wrong.
        admin_key: opens the test controls under /__emulator__/ ; without it they do not exist.
    """
    access = Access(credentials or Credentials(), books.clock)
    site = Site(books, access, options or Options())
    app = Starlette()
    layer = FaultLayer(app, plan or FaultPlan(), site.refuse)
    if admin_key:
        controls = Admin(
            books, layer, admin_key, site.set_options, {"sessions": lambda _body: access.drop_all()}
        )
        app.router.routes += controls.routes()
    app.router.routes.append(Route("/{path:path}", site.handle, methods=["POST"]))
    return layer
