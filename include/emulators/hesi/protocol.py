"""What all endpoints share: errors, parameters, pages, tokens."""

from __future__ import annotations

import json
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from include.emulators.hesi.clock import DAY_MS, EmulatorClock, parse_text
from include.emulators.hesi.faults import Faults
from include.emulators.hesi.world import World

Json = dict[str, Any]
MAX_PAGE = 100
POWER_CODE = "219904"
REFRESHED_TOKEN_MS = 32 * DAY_MS


class ApiError(Exception):
    """An error answer. The authorisation pages spell its last field `errorDetail`, the others `errorDetails`."""

    def __init__(self, status: int, message: str, *, authorisation: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.authorisation = authorisation

    def response(self) -> Response:
        body: Json = {"errorCode": self.status, "errorMessage": self.message}
        body |= (
            {"errorDetail": None}
            if self.authorisation
            else {"errorDetails": None, "code": None, "data": None}
        )
        return JSONResponse(body, self.status)


class BareError(Exception):
    """An error that the vendor answers with a body of another form."""

    def __init__(self, response: Response) -> None:
        super().__init__("bare answer")
        self.response = response


def empty_400() -> BareError:
    """A wrong dimension or date on the archive pages: HTTP 400, yet the body of an empty list."""
    return BareError(JSONResponse({"count": 0, "items": []}, 400))


def not_found() -> BareError:
    """An incomplete query on the payee page."""
    return BareError(PlainTextResponse("Error 404 Not Found", 404))


def missing(name: str) -> ApiError:
    return ApiError(400, f"输入存在错误:\n- 缺少{name}参数")


@dataclass(slots=True)
class Tokens:
    """Access tokens issued by this process; times are epoch milliseconds of `clock`."""

    clock: EmulatorClock
    ttl_ms: int
    unready_ms: int = 0
    """The vendor's old bug: a token is refused for so long after it was issued."""
    _live: dict[str, tuple[str, int, int]] = field(default_factory=dict)

    def issue(self, ttl_ms: int | None = None) -> tuple[str, str, int]:
        """A new (access token, refresh token, expiry)."""
        now = self.clock.now_ms()
        access, refresh = f"ID_{secrets.token_hex(12)}", f"ID_{secrets.token_hex(12)}"
        expires = now + (self.ttl_ms if ttl_ms is None else ttl_ms)
        self._live = {token: entry for token, entry in self._live.items() if entry[1] > now}
        self._live[access] = (refresh, expires, now + self.unready_ms)
        return access, refresh, expires

    def is_valid(self, access: str) -> bool:
        entry = self._live.get(access)
        return entry is not None and entry[2] <= self.clock.now_ms() < entry[1]

    def refresh(self, access: str, refresh: str) -> tuple[str, str, int] | None:
        """Both tokens anew and the old ones gone, or None where the pair is not valid any more."""
        entry = self._live.get(access)
        if entry is None or entry[0] != refresh or entry[1] <= self.clock.now_ms():
            return None
        del self._live[access]
        return self.issue(REFRESHED_TOKEN_MS)


@dataclass(slots=True)
class Service:
    """What the endpoints work on."""

    world: World
    app_key: str
    app_secret: str
    tokens: Tokens
    faults: Faults
    requests: dict[str, int] = field(default_factory=dict)
    """Answered API calls by path template, for tests that count calls."""
    query_cache: tuple[object, Any] | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One request to the API, past the token check."""

    service: Service
    request: Request

    @property
    def world(self) -> World:
        return self.service.world

    @property
    def params(self) -> Mapping[str, str]:
        return self.request.query_params


Handler = Callable[[Call], Awaitable[Response]]


def items_response(items: list[Json], count: int | None = None) -> Response:
    return JSONResponse({"items": items} if count is None else {"count": count, "items": items})


def whole_number(params: Mapping[str, str], name: str) -> int:
    """A mandatory number from the query.

    Raises:
        ApiError: missing, or no whole number.
    """
    text = params.get(name)
    if text is None or text == "":
        raise missing(name)
    if not text.isascii() or not text.lstrip("-").isdigit() or len(text) > 18:
        raise ApiError(400, f"输入存在错误:\n- 参数{name}必须为数字")
    return int(text)


def page_of(params: Mapping[str, str]) -> tuple[int, int]:
    """`start` and `count` of a paged list: 0 ≤ start, 0 < count ≤ 100, both mandatory."""
    start, count = whole_number(params, "start"), whole_number(params, "count")
    if start < 0:
        raise ApiError(400, "输入存在错误:\n- start不能小于0")
    if not 0 < count <= MAX_PAGE:
        raise ApiError(400, f"输入存在错误:\n- count必须大于0且不能超过{MAX_PAGE}")
    return start, count


def date_range(params: Mapping[str, str]) -> tuple[int | None, int | None]:
    """`startDate` and `endDate` as epoch milliseconds, None where absent.

    Raises:
        ValueError: not `yyyy-MM-dd HH:mm:ss`.
    """
    start, end = params.get("startDate"), params.get("endDate")
    return (parse_text(start) if start else None, parse_text(end) if end else None)


def active_filter(params: Mapping[str, str], name: str = "active") -> bool | None:
    """The vendor's three-way flag: absent means all, "true" the active, anything else the inactive."""
    value = params.get(name)
    return None if value is None else value == "true"


def listed(items: Iterable[Json], params: Mapping[str, str], time_of: Callable[[Json], int]) -> list[Json]:
    """Master data filtered and ordered by update time, where the query asks for it.

    Raises:
        ValueError: a date of another form.
    """
    start, end = date_range(params)
    chosen = [
        item
        for item in items
        if (start is None or time_of(item) >= start) and (end is None or time_of(item) <= end)
    ]
    if params.get("orderBy") == "updateTime":
        chosen.sort(key=time_of, reverse=params.get("orderByType") == "desc")
    return chosen


def text_time(item: Json) -> int:
    """The update time of an item that carries it as text."""
    return parse_text(item["updateTime"])


async def json_body(request: Request) -> Json:
    """The body as a JSON object.

    Raises:
        ApiError: it is anything else.
    """
    try:
        body = json.loads(await request.body())
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise ApiError(412, "JSON请求参数不正确")
    return body


def text_list(body: Json, name: str) -> list[str] | None:
    """A list of texts from a body, None where it is absent.

    Raises:
        ApiError: it is no list of texts.
    """
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ApiError(400, f"输入存在错误:\n- 参数{name}必须为字符串数组")
    return value
