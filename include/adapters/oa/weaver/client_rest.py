"""E9's REST interface, /api/workflow/paService: HTTP 200 whatever happens, the truth in `code` or `msg`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from typing import Any

from include.adapters.oa.weaver.auth import TokenKeeper
from include.adapters.oa.weaver.interface import (
    Interface,
    Json,
    Search,
    read_count,
    read_items,
    usable_request_id,
)
from include.adapters.oa.weaver.options import WeaverOptions
from include.adapters.oa.weaver.web import Answer, Web
from include.connections import Endpoint
from include.domain.errors import FixConfig, FixData, OutcomeUnknown, RetryLater, VoucherflowError
from include.ports import Clock

PREFIX = "/api/workflow/paService/"
LOG_PAGE = 100
_TOKEN_GONE = ("token不存在", "登录信息超时")
LOG_TYPES = {
    "0": "批准",
    "1": "保存",
    "2": "提交",
    "3": "退回",
    "7": "转发",
    "e": "强制归档",
    "w": "撤回",
    "r": "强制收回",
}
"""Codes of the history, in the words of the other interface."""


class Refusal(FixData):
    """An answer with a code other than SUCCESS."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class RestInterface(Interface):
    """Calls in the name of one user. Reads are repeated, changes are sent once."""

    name = "E9 REST"

    def __init__(self, web: Web, endpoint: Endpoint, options: WeaverOptions, clock: Clock) -> None:
        self._web = web
        self._options = options
        self._tokens = TokenKeeper(web, endpoint, options.token_life_s, clock)

    def __repr__(self) -> str:
        return f"RestInterface({self._web.base!r})"

    def close(self) -> None:
        self._web.close()

    # -- reading -------------------------------------------------------------------------------------

    def count(self, search: Search | None) -> int:
        name = "getAllWorkflowRequestCount"
        return self._web.retried(lambda: read_count(self._post(name, _conditions(search)), name))

    def page(self, search: Search, number: int, size: int, total: int) -> list[Json]:
        name = "getAllWorkflowRequestList"
        form = {"pageNo": str(number), "pageSize": str(size), **_conditions(search)}
        return self._web.retried(lambda: read_items(self._post(name, form), name))

    def request(self, request_id: str) -> Json | None:
        found: Json | None = self._get("getWorkflowRequest", request_id)
        if found is None and self._get("getRequestStatus", request_id) is not None:
            raise RetryLater(
                f"泛微对流程 {request_id} 的两个应答互相矛盾，稍后重试 / two answers about the request contradict each other, later"
            )
        return found

    def node_type(self, request: Json) -> str | None:
        status = self._get("getRequestStatus", str(request["requestId"]))
        if status is None or str(status.get("currentNodeId")) != str(request.get("currentNodeId")):
            return None
        return str(status.get("currentNodeType", ""))

    def logs(self, request: Json) -> list[Json]:
        found: list[Json] = []
        for number in range(1, self._options.max_pages + 1):
            other = {"otherParams": json.dumps({"pageNumber": number, "pageSize": LOG_PAGE})}
            page = self._get("getRequestLog", str(request["requestId"]), other) or []
            found += [_log(item) for item in page if isinstance(item, dict)]
            if len(page) < LOG_PAGE:
                return found
        raise RetryLater(
            f"泛微流程 {request['requestId']} 的流转记录没有尽头 / the history does not come to an end"
        )

    def _get(self, name: str, request_id: str, more: Mapping[str, str] | None = None) -> Any:
        """The data of an answer about a request; None where there is no such request."""
        try:
            return self._web.retried(lambda: self._read(name, {"requestId": request_id, **(more or {})}))
        except Refusal as error:
            if error.code == "PARAM_ERROR":
                return None
            raise FixConfig(
                f"{error}：接口用户无权查看此流程，请让其参与流程 / the interface's user may not read this request: have it take part"
            ) from None

    def _read(self, name: str, params: Mapping[str, str]) -> Any:
        answer = self._called("GET", name, params, writing=False)
        if not isinstance(answer, dict):
            raise RetryLater(f"泛微 {name} 的应答不合约定，稍后重试 / the answer is not as documented, later")
        return self._data(name, answer, writing=False)

    def _post(self, name: str, form: Mapping[str, str]) -> Any:
        """What a list page answers: bare, unless something is wrong."""
        answer = self._called("POST", name, form, writing=False)
        if not isinstance(answer, dict):
            return answer
        try:
            return self._data(name, answer, writing=False)
        except Refusal as error:
            raise FixConfig(
                f"{error}：请核对映射文件中的流程 id / check the workflow ids in the mapping files"
            ) from None

    # -- writing -------------------------------------------------------------------------------------

    def change(
        self, request: Json, fields: Mapping[str, str], remark: str, *, submit: bool, is_same: bool
    ) -> None:
        form = {
            "requestId": str(request["requestId"]),
            # Some builds want the workflow and blame the request where it is missing.
            "workflowId": str((request.get("workflowBaseInfo") or {}).get("workflowId", "")),
            "mainData": _main_data(fields),
            "otherParams": json.dumps({"src": "submit" if submit else "save"}),
            "remark": remark,
        }
        self._write("submitRequest", form, is_same=is_same)

    def create(self, workflow: str, title: str, fields: Mapping[str, str], remark: str) -> None:
        form = {
            "workflowId": workflow,
            "requestName": title,
            "mainData": _main_data(fields),
            "otherParams": json.dumps({"isnextflow": "1"}),
            "remark": remark,
        }
        self._write("doCreateRequest", form, is_same=False)

    def _write(self, name: str, form: Mapping[str, str], *, is_same: bool) -> None:
        for _ in range(2 if is_same else 1):
            try:
                answer = self._called("POST", name, form, writing=True)
                self._data(name, answer if isinstance(answer, dict) else {}, writing=True)
            except OutcomeUnknown as error:
                lost = error
                continue
            return
        raise lost

    # -- one call ------------------------------------------------------------------------------------

    def _called(self, method: str, name: str, params: Mapping[str, str], *, writing: bool) -> Any:
        """The parsed answer; a token that is refused is replaced once, for then nothing was done."""
        for is_last in (False, True):
            headers = self._tokens.headers()
            answer = self._web.send(
                method,
                PREFIX + name,
                headers=headers,
                params=params if method == "GET" else None,
                body=params if method == "POST" else None,
                writing=writing,
            )
            value = None if answer.is_page else _parsed(name, answer, writing=writing)
            said = value.get("msg") if isinstance(value, dict) and "code" in value else None
            said = value.get("msg") if isinstance(value, dict) and "errorCode" in value else said
            if not answer.is_page and not isinstance(said, str):
                return value
            text = said if isinstance(said, str) else ""
            if not answer.is_page and not text.startswith(_TOKEN_GONE):
                raise self._no_entry(name, text)
            if is_last:
                raise RetryLater(
                    f"泛微 {name} 两次不接受新令牌，稍后重试 / two new tokens were refused, later"
                )
            self._tokens.renew(headers["token"])
        raise AssertionError("the second turn returns or raises")

    def _no_entry(self, name: str, said: str) -> FixConfig:
        return FixConfig(
            f"泛微 {name} 不接受登录：{said[:200]}。请核对连接 {self._web.name!r} 的 Login（人员 id）和 Password（APPID）/ e-cology refuses the "
            "log-in: check the connection's login (user id) and password (APPID)"
        )

    @staticmethod
    def _data(name: str, answer: Mapping[str, Any], *, writing: bool) -> Any:
        """The data of a SUCCESS; the table of codes."""
        code = answer.get("code")
        code = code.get("name") if isinstance(code, dict) else code
        if code == "SUCCESS":
            return answer.get("data")
        failed = answer.get("reqFailMsg")
        kind = failed.get("msgType", "") if isinstance(failed, dict) else ""
        where = f"泛微 {name} → {code} {json.dumps(answer.get('errMsg'), ensure_ascii=False)[:300]} {kind}".rstrip()
        error: VoucherflowError
        match code:
            case "PARAM_ERROR" | "NO_PERMISSION":
                error = Refusal(where, code)
            case "USER_EXCEPTION":
                error = FixConfig(f"{where}：接口用户异常，请核对连接的 Login / check the connection's login")
            case _ if writing:
                error = OutcomeUnknown(f"{where}：结果不明 / the outcome is unknown")
            case _:
                error = RetryLater(f"{where}：稍后重试 / try again later")
        raise error


def _parsed(name: str, answer: Answer, *, writing: bool) -> Any:
    try:
        # Fractions stay as they are written: payloads are kept as JSON, and money must not lose digits.
        return json.loads(answer.text, parse_float=str, parse_constant=str)
    except (ValueError, RecursionError, RetryLater):
        pass  # raised below, so that the parser's error, which quotes the body, is not chained
    message = (
        f"泛微 {name} 的应答不是完整的 JSON（{len(answer.body)} 字节），可能被截断，稍后重试 / no complete JSON ({len(answer.body)} "
        "bytes), perhaps cut off: try again later"
    )
    raise OutcomeUnknown(message) if writing else RetryLater(message)


def _conditions(search: Search | None) -> dict[str, str]:
    """A search as the form field `conditions`."""
    if search is None:
        return {"conditions": "{}"}
    found = {"workflowIds": ",".join(search.workflows)}
    for stem, (first, last) in (("operatedate", search.operated), ("createdate", search.created)):
        if first is not None or last is not None:
            found[f"{stem}select"] = "6"
            found[f"{stem}from"] = _day(first)
            found[f"{stem}to"] = _day(last)
    return {"conditions": json.dumps(found)}


def _day(day: date | None) -> str:
    return day.isoformat() if day else ""


def _main_data(fields: Mapping[str, str]) -> str:
    return json.dumps(
        [{"fieldName": name, "fieldValue": value} for name, value in fields.items()], ensure_ascii=False
    )


def _log(item: Json) -> Json:
    """An entry of getRequestLog in the words that getWorkflowRequest uses."""
    kind = str(item.get("logtype", ""))
    return {
        "id": usable_request_id(item.get("id")),
        "nodeId": str(item.get("nodeid", "")),
        "nodeName": str(item.get("nodename", "")),
        "operateType": LOG_TYPES.get(kind, kind),
        "operateDate": str(item.get("operatedate", "")),
        "operateTime": str(item.get("operatetime", "")),
        "operatorId": str(item.get("operator", "")),
        "remark": str(item.get("remarkHtml", "")),
    }
