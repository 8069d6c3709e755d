"""WorkflowService over SOAP; see `include.adapters.soap` for what is not done there."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from datetime import date
from typing import Any

from include.adapters.oa.weaver.interface import (
    ARCHIVE,
    Interface,
    Json,
    Search,
    read_count,
    read_items,
)
from include.adapters.oa.weaver.options import WeaverOptions
from include.adapters.oa.weaver.web import Web
from include.adapters.soap import Reply, Service, has_document_type
from include.connections import Endpoint
from include.domain.errors import FixConfig, FixData, OutcomeUnknown, RetryLater, VoucherflowError

PATH = "/services/WorkflowService"
LOG_PAGE = 100
_HEAD = re.compile(r"^\s*<\?xml[^>]*\?>")


class _Courier:
    """Our own HTTP. Whether a call writes is the thread's that makes it."""

    def __init__(self, web: Web) -> None:
        self._web = web
        self.call = threading.local()

    def fetch(self) -> str:
        answer = self._web.retried(lambda: self._web.send("GET", PATH, params={"wsdl": ""}))
        return _safe(answer.text, "WSDL")

    def carry(self, envelope: bytes, headers: Mapping[str, str]) -> Reply:
        writing = bool(getattr(self.call, "writing", False))
        answer = self._web.send("POST", PATH, headers=headers, body=envelope, writing=writing, faults=True)
        try:
            return Reply(_safe(answer.text, PATH), answer.status)
        except RetryLater as error:
            if not writing:
                raise
            raise OutcomeUnknown(str(error)) from None


class SoapInterface(Interface):
    """Calls in the name of one user, whose id is the connection's login; SOAP asks for no password but our address."""

    name = "SOAP"

    def __init__(self, web: Web, endpoint: Endpoint, options: WeaverOptions) -> None:
        self._web = web
        self._options = options
        self._user = endpoint.login.strip()
        self._courier = _Courier(web)
        self._service = Service(
            web.base + PATH,
            self._courier,
            system="泛微",
            connection=web.name,
            instead=("并确认 WorkflowService 已开放", "and that WorkflowService is open"),
            is_checked=options.soap_address == "checked",
        )

    def __repr__(self) -> str:
        return f"SoapInterface({self._web.base!r})"

    def close(self) -> None:
        self._web.close()

    # -- reading -------------------------------------------------------------------------------------

    def count(self, search: Search | None) -> int:
        return self._count(_fragments(search))

    def _count(self, fragments: list[str]) -> int:
        name = "getAllWorkflowRequestCount"
        return read_count(self._read(name, self._user_id(), {"string": fragments}), name)

    def page(self, search: Search, number: int, size: int, total: int) -> list[Json]:
        # On SQL Server the page is cut by this total: too small a one hides the rest.
        name = "getAllWorkflowRequestList"
        found = self._read(name, number, size, total, self._user_id(), {"string": _fragments(search)})
        return read_items(found or [], name)

    def request(self, request_id: str) -> Json | None:
        found = self._read("getWorkflowRequest", int(request_id), self._user_id(), 0)
        if isinstance(found, dict) and found.get("requestId"):
            return found
        # An inner error gives nothing too: only a list without it proves that it is gone.
        if self._count([f" t1.requestid = {request_id}"]):
            raise RetryLater(
                f"泛微没有给出流程 {request_id} 的内容，稍后重试 / the request is there but was not given, try again later"
            )
        return None

    def node_type(self, request: Json) -> str | None:
        node = str(request.get("currentNodeId", ""))
        if not (node.isascii() and node.isdigit()):
            return ""
        at_node = f" t1.requestid = {request['requestId']} and t1.currentnodeid = {node}"
        for kind in (ARCHIVE, "0", "1", "2"):
            if self._count([at_node, f" t1.currentnodetype = '{kind}'"]):
                return kind
        return "" if self._count([at_node]) else None

    def logs(self, request: Json) -> list[Json]:
        workflow = str((request.get("workflowBaseInfo") or {}).get("workflowId", ""))
        found: list[Json] = []
        last = 0
        for _ in range(self._options.max_pages):
            page = self._read(
                "getWorkflowRequestLogs", workflow, str(request["requestId"]), self._user_id(), LOG_PAGE, last
            )
            page = read_items(page or [], "getWorkflowRequestLogs")
            found += page
            ids = [int(log["id"]) for log in page if str(log.get("id", "")).isdigit()]
            if len(page) < LOG_PAGE or not ids or (last and min(ids) >= last):
                return found
            last = min(ids)
        raise RetryLater(
            f"泛微流程 {request['requestId']} 的流转记录没有尽头 / the history does not come to an end"
        )

    # -- writing -------------------------------------------------------------------------------------

    def change(
        self, request: Json, fields: Mapping[str, str], remark: str, *, submit: bool, is_same: bool
    ) -> None:
        workflow = str((request.get("workflowBaseInfo") or {}).get("workflowId", ""))
        info = _info(workflow, str(request.get("requestName") or ""), fields)
        number, kind = int(request["requestId"]), "submit" if submit else "save"
        for _ in range(2 if is_same else 1):
            try:
                said = self._call(
                    "submitWorkflowRequest", info, number, self._user_id(), kind, remark, writing=True
                )
            except OutcomeUnknown as error:
                lost = error
                continue
            if said != "success":
                raise FixData(f"泛微 submitWorkflowRequest({kind}) → {str(said)[:200]}")
            return
        raise lost

    def create(self, workflow: str, title: str, fields: Mapping[str, str], remark: str) -> None:
        info = _info(workflow, title, fields) | {"isnextflow": "1", "remark": remark}
        said = str(self._call("doCreateWorkflowRequest", info, self._user_id(), writing=True))
        if not said.isdigit():
            raise FixData(f"泛微 doCreateWorkflowRequest → {said[:200]}")

    # -- one call ------------------------------------------------------------------------------------

    def _user_id(self) -> int:
        if not (self._user.isascii() and self._user.isdigit() and len(self._user) < 10):
            raise FixConfig(
                f"连接 {self._web.name!r} 的 Login 须为接口用户的人员 id（数字）/ the login of connection {self._web.name!r} must be the "
                "numeric id of the interface's user"
            )
        return int(self._user)

    def _read(self, operation: str, *arguments: Any) -> Any:
        return self._web.retried(lambda: self._call(operation, *arguments, writing=False))

    def _call(self, operation: str, *arguments: Any, writing: bool) -> Any:
        """One call; the table of what can go wrong with it."""
        from zeep.exceptions import Error, Fault

        self._courier.call.writing = writing
        failure: VoucherflowError
        try:
            return _plain(self._service.operation(operation)(*arguments))
        except Fault as error:
            failure = self._fault(operation, str(error.message or ""), writing=writing)
        except (Error, AttributeError, KeyError, ValueError, TypeError) as error:
            # zeep raises the plain ones too where an answer is of another shape than the WSDL says.
            message = f"泛微 {operation} 的应答无法读取（{type(error).__name__}），稍后重试 / the answer cannot be read, try again later"
            failure = OutcomeUnknown(message) if writing else RetryLater(message)
        # Raised outside of the handlers: what zeep says quotes whole answers.
        raise failure

    def _fault(self, operation: str, said: str, *, writing: bool) -> VoucherflowError:
        where = f"泛微 {operation} → SOAP Fault {said[:300]!r}"
        if "conditions" in said:
            return FixConfig(
                f"{where}：此版本的补丁不再接受查询条件，请改用选项 interface: rest / this build takes no conditions any more: use the "
                "option interface: rest"
            )
        if "Invalid operation" in said or "not parse" in said:
            return FixConfig(
                f"{where}：此版本没有该接口，请核对 e-cology 版本或改用 interface: rest / this release lacks the operation: check the "
                "release, or use interface: rest"
            )
        if writing:
            return OutcomeUnknown(f"{where}：结果不明 / the outcome is unknown")
        return RetryLater(f"{where}：稍后重试 / try again later")


def _safe(text: str, what: str) -> str:
    """The text without its XML declaration (it is UTF-8 from here on).

    Raises:
        RetryLater: it has a document type, where bombs and external entities live, or is a page for people.
    """
    text = _HEAD.sub("", text, count=1)
    if has_document_type(text):
        raise RetryLater(
            f"{what} 的应答含 DOCTYPE，已拒绝：可能是登录页、网关或攻击，请核对地址 / the answer has a DOCTYPE and was refused: a login page, a "
            "gateway or an attack, check the address"
        )
    return text


def _fragments(search: Search | None) -> list[str]:
    """A search as SQL fragments. All values are digits or days; each fragment stands by itself, without an OR."""
    if search is None:
        return []
    found = [f" t1.workflowid in ({','.join(search.workflows)})"]
    for column, (first, last) in (
        ("t1.lastoperatedate", search.operated),
        ("t1.createdate", search.created),
    ):
        found += _bound(column, ">=", first) + _bound(column, "<=", last)
    return found


def _bound(column: str, sign: str, day: date | None) -> list[str]:
    return [f" {column} {sign} '{day.isoformat()}'"] if day else []


def _info(workflow: str, title: str, fields: Mapping[str, str]) -> Json:
    """A WorkflowRequestInfo with fields of the main form."""
    values = [
        {"fieldName": name, "fieldValue": value, "edit": True, "view": True} for name, value in fields.items()
    ]
    record = {"workflowRequestTableFields": {"WorkflowRequestTableField": values}}
    return {
        "requestName": title,
        "requestLevel": "0",
        "workflowBaseInfo": {"workflowId": workflow},
        "workflowMainTableInfo": {"requestRecords": {"WorkflowRequestTableRecord": [record]}},
    }


def _plain(value: Any) -> Any:
    """What zeep made of an answer as plain JSON values: arrays are lists, as in the other interface."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    values = getattr(value, "__values__", None)
    if values is None:
        return value
    kind = str(getattr(getattr(value, "_xsd_type", None), "name", "") or "")
    if kind.startswith("ArrayOf"):
        return [_plain(item) for item in next(iter(values.values()), None) or [] if item is not None]
    return {name: _plain(item) for name, item in values.items() if item is not None}
