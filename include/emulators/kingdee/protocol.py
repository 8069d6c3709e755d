"""How Kingdee's web API is spoken: services by path, bodies in four forms, answers with HTTP 200 whatever happened."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NoReturn
from urllib.parse import parse_qs

from starlette.responses import JSONResponse, Response

from include.emulators.kingdee.options import Options

Json = dict[str, Any]
MAX_BODY_BYTES = 8 * 2**20
SHELL = "Kingdee.BOS.WebApi.ServicesStub"
_SERVICE = re.compile(
    r"/Kingdee\.BOS\.(?:WebApi\.ServicesStub|ServiceFacade\.ServicesStub\.Account)\.(\w+\.\w+)\.common\.kdsvc$",
    re.IGNORECASE,
)
DATA_ALONE = ("ExecuteBillQuery", "BillQuery", "QueryBusinessInfo", "WorkflowAudit")
"""Operations whose body has no form id beside the data."""

OK, LOST, NO_OPERATION, FAULT, NO_PARAMETER, NO_FIELD, NO_DATA, INVALID, FORBIDDEN, CONFLICT, LIMITED = (
    0, 1, 3, 4, 8, 9, 10, 11, 12, 13, 14,
)  # fmt: skip
"""MsgCode."""

SESSION_LOST = "会话信息已丢失，请重新登录"


@dataclass(frozen=True, slots=True)
class Problem:
    """One entry of Errors."""

    message: str
    field: str | None = None
    code: int = INVALID
    index: int = 0


class ApiError(Exception):
    """The whole call fails, in the envelope of the API."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("; ".join(problem.message for problem in problems))
        self.problems = problems


def failed(message: str, code: int = INVALID, field: str | None = None) -> ApiError:
    return ApiError(Problem(message, field, code))


@dataclass(frozen=True, slots=True)
class Success:
    """One entry of SuccessEntitys."""

    id: int
    number: str
    index: int = 0
    returned: Json | None = None


def service_of(path: str) -> str | None:
    """`DynamicFormService.Save` out of a path; None where it names no service of this API."""
    match = _SERVICE.search(path)
    return match and match[1]


def status_body(options: Options, problems: Iterable[Problem], done: Iterable[Success] = ()) -> Json:
    """The ResponseStatus of a call that failed, or succeeded in part or whole."""
    problems, done = list(problems), list(done)
    success = not problems or (options.partial_is_success and bool(done))
    body: Json = {} if not problems else {"ErrorCode": 500}
    return body | {
        "IsSuccess": str(success).lower() if options.success_as_text else success,
        "Errors": [
            {"FieldName": problem.field, "Message": problem.message, "DIndex": problem.index}
            for problem in problems
        ],
        "SuccessEntitys": [
            {"Id": shown_id(options, item.id), "Number": item.number, "DIndex": item.index} for item in done
        ],
        "SuccessMessages": [],
        "MsgCode": problems[0].code if problems else OK,
    }


def shown_id(options: Options, value: int) -> int | str:
    return str(value) if options.ids_as_text else value


def envelope(
    options: Options, problems: Iterable[Problem], done: Iterable[Success] = (), **rest: Any
) -> Json:
    return {"Result": {"ResponseStatus": status_body(options, problems, done), **rest}}


def failure(options: Options, operation: str, *problems: Problem) -> Any:
    """A failed call as this operation words it: queries wrap it into two lists."""
    body = envelope(options, problems)
    return [[body]] if operation == "ExecuteBillQuery" else body


def answer(value: Any) -> Response:
    return JSONResponse(value)


def gateway_error(code: int, english: str, chinese: str) -> Response:
    """What the gateway before a public-cloud site says: the status 519 is no standard one."""
    body = {"errcode": code, "description": f"{english}[GW]", "description_cn": f"{chinese}[网关]"}
    return JSONResponse(body, 519)


@dataclass(frozen=True, slots=True)
class Call:
    """A call taken apart: the form (in any case), its data, an operation number, and whether it is asynchronous."""

    form: str
    data: Json
    operation: str = ""
    is_async: bool = False
    arguments: tuple[Any, ...] = ()
    """What logins get, which have no form."""


def parse_body(raw: bytes, content_type: str) -> Json:
    """The outer body: JSON, or a form as old clients post it.

    Raises:
        ApiError: neither, or too large or too deep.
    """
    if len(raw) > MAX_BODY_BYTES:
        raise failed("请求数据过大", NO_PARAMETER)
    if not raw.strip():
        return {}
    if content_type.startswith("application/x-www-form-urlencoded"):
        return {name: values[0] for name, values in parse_qs(raw.decode("utf-8", "replace")).items()}
    body = _load(raw)
    if not isinstance(body, dict):
        raise failed("请求数据不是合法的JSON对象", NO_PARAMETER)
    return body


def take_apart(operation: str, body: Json) -> Call:
    """`{"formid", "data"}`, `{"data"}`, or `{"parameters": [...]}` whose list may be a text; data may be a text too."""
    lower = {name.lower(): value for name, value in body.items()}
    is_async = "beginmethod" in lower
    if "parameters" in lower:
        arguments = _loaded(lower["parameters"])
        if not isinstance(arguments, list):
            raise failed("参数parameters必须为数组", NO_PARAMETER)
        return _from_list(operation, arguments, is_async)
    data = _object(lower.get("data", {}))
    form = _form(lower.get("formid") or _get(data, "FormId") or "")
    return Call(form, data, str(lower.get("opnumber", "")), is_async)


def _from_list(operation: str, arguments: list[Any], is_async: bool) -> Call:
    if operation in DATA_ALONE:
        data = _object(arguments[-1] if arguments else {})
        return Call(_form(_get(data, "FormId") or ""), data, is_async=is_async)
    form = _form(arguments[0] if arguments else "")
    data = _object(arguments[-1] if len(arguments) > 1 else {})
    number = str(arguments[1]) if len(arguments) > 2 else ""
    return Call(form, data, number, is_async)


def login_arguments(body: Json, names: tuple[str, ...]) -> list[str]:
    """The arguments of a login, by position (`parameters`) or by name in any case; "" for what is missing."""
    lower = {name.lower(): value for name, value in body.items()}
    if "parameters" in lower:
        given = _loaded(lower["parameters"])
        values = given if isinstance(given, list) else []
        return ([str(value) for value in values] + [""] * len(names))[: len(names)]
    return [str(lower.get(name.lower(), "")) for name in names]


def _get(data: Mapping[str, Any], name: str) -> Any:
    return next((value for key, value in data.items() if key.lower() == name.lower()), None)


def field_of(data: Mapping[str, Any], name: str, default: Any = None) -> Any:
    """A value by its key in any case; `default` where it is missing or null."""
    value = _get(data, name)
    return default if value is None else value


def flag(data: Mapping[str, Any], name: str, *, default: bool) -> bool:
    """A switch that may be a boolean or the text "true" or "false"."""
    value = field_of(data, name, default)
    return value if isinstance(value, bool) else str(value).strip().lower() == "true"


def _form(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


def _loaded(value: Any) -> Any:
    return _load(value.encode()) if isinstance(value, str) else value


def _object(value: Any) -> Json:
    loaded = _loaded(value) if value != "" else {}
    if not isinstance(loaded, dict):
        raise failed("data数据包不是合法的JSON对象", NO_PARAMETER)
    return loaded


def _load(raw: bytes) -> Any:
    """JSON with exact numbers.

    Raises:
        ApiError: no JSON, not a number, or nested too deep.
    """
    try:
        return json.loads(raw, parse_float=Decimal, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise failed(f"JSON数据格式不正确：{error}", NO_PARAMETER) from error


def _no_number(name: str) -> NoReturn:
    raise ValueError(name)
