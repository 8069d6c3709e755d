"""Tryton over HTTP: JSON-RPC at `/<database>/rpc/`, and what each failure means.

| what happens | a read | a write |
|---|---|---|
| nothing listens, no route, time-out while connecting | RetryLater | RetryLater |
| time-out, reset or garbage after sending; 5xx; an unnamed error of the server | RetryLater | OutcomeUnknown |
| 429, a concurrent change | Refused | Refused |
| UserError, UserWarning | FixData | FixData |
| a missing right; 400, 401 after a new login, 403, 404, 413; a redirect; TLS | FixConfig | FixConfig |

Every request waits for its turn (`include.pace`), and a call that is Refused is repeated before that is said: Tryton did
nothing. Only a login is not, since Tryton counts attempts.
"""

from __future__ import annotations

import datetime as dt
import json
import threading
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import requests
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from include.adapters.ledger.tryton.auth import LOGIN, TrytonSession
from include.connections import Endpoint
from include.domain.errors import FixConfig, FixData, OutcomeUnknown, RetryLater, VoucherflowError
from include.exchanges import HIDDEN, is_recording, record
from include.pace import Limiter, Refused, retry_after_s

STATUS_CONFIG = {
    400: (
        "Tryton 不理解请求，版本可能不符",
        "Tryton does not understand the request: check that it is version 8.2",
    ),
    401: ("用户名或密码错误", "the user or the password is wrong: correct the connection"),
    403: ("该用户无权调用", "the user may not call this: give it the rights, or check the address"),
    404: (
        "没有这个数据库",
        "there is no such database: the connection's address ends with the database's name",
    ),
    413: ("请求太大", "the request is too large: lower batch_size in the book's ledger options"),
}
"""Statuses that mean that settings are wrong; 429 and 5xx are in `_status_error`."""


class TrytonClient:
    """Calls methods of Tryton's models. Safe to share between threads: each has its own connection."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        connect_timeout_s: float,
        read_timeout_s: float,
        limiter: Limiter | None = None,
    ) -> None:
        self._name = endpoint.name
        self._limiter = limiter or Limiter()
        self._url = f"{endpoint.url}/rpc/"
        self._timeout = (connect_timeout_s, read_timeout_s)
        self._session = TrytonSession(endpoint.login, endpoint.password)
        self._local = threading.local()

    def call(self, method: str, *params: Any, writes: bool) -> Any:
        """The result of `method`, with Decimal and date as such; `writes` says whether it may change the ledger.

        Raises:
            RetryLater, Refused, OutcomeUnknown, FixData, FixConfig: as in the table above.
        """
        return self._limiter.call(lambda: self._call_once(method, params, writes=writes))

    def _call_once(self, method: str, params: Sequence[Any], *, writes: bool) -> Any:
        header = self._session.header(self._log_in)
        response = self._send(method, list(params), header, writes=writes)
        if response.status_code == 401:
            self._session.expire(header)
            header = self._session.header(self._log_in)
            response = self._send(method, list(params), header, writes=writes)
        return self._result(method, response, writes=writes)

    def _log_in(self, method: str, params: list[Any]) -> Any:
        response = self._send(method, params, "", writes=False)
        return self._result(method, response, writes=False)

    def _send(self, method: str, params: list[Any], header: str, *, writes: bool) -> requests.Response:
        body = json.dumps({"id": 0, "method": method, "params": params}, default=_encode).encode()
        headers = {"Content-Type": "application/json"}
        if header:
            headers["Authorization"] = header
        self._limiter.wait()
        response = None
        try:
            response = self._http().post(
                self._url, data=body, headers=headers, timeout=self._timeout, allow_redirects=False
            )
        except (requests.exceptions.SSLError, requests.exceptions.InvalidURL, ValueError) as error:
            raise FixConfig(
                f"{self._name}: 连接地址或证书有误 / the address or its certificate is wrong: {_brief(error)}"
            ) from error
        except requests.exceptions.RequestException as error:
            if _was_never_sent(error):
                raise RetryLater(
                    f"{self._name}: 无法连接账务系统，稍后会重试 / the ledger cannot be reached, it will be tried "
                    f"again: {_brief(error)}"
                ) from error
            raise self._lost(method, _brief(error), writes=writes) from error
        else:
            return response
        finally:
            if method == LOGIN:  # the password goes out, a session's token comes back
                record(f"{LOGIN} {HIDDEN}", None if response is None else HIDDEN)
            elif is_recording():
                record(
                    body.decode(),
                    None if response is None else f"HTTP {response.status_code}\n{response.text}",
                )

    def _http(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
        return session

    def _result(self, method: str, response: requests.Response, *, writes: bool) -> Any:
        if response.status_code != 200:
            raise self._status_error(method, response, writes=writes)
        try:
            answer = json.loads(response.content, object_hook=_decode)
            if "error" not in answer:
                return answer["result"]
            error = answer["error"]
            name, detail = str(error[0]), error[1] if len(error) > 1 else ""
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise self._lost(
                method, f"not a JSON-RPC answer ({type(error).__name__})", writes=writes
            ) from error
        raise self._named_error(method, name, detail, writes=writes)

    def _status_error(self, method: str, response: requests.Response, *, writes: bool) -> VoucherflowError:
        status = response.status_code
        if status == 429:
            pause_s = retry_after_s(response.headers.get("Retry-After"), response.headers.get("Date"))
            if method == LOGIN:
                return RetryLater(
                    f"{self._name}: 登录尝试过多，请稍后 / too many attempts to log in, wait",
                    retry_after_s=pause_s,
                )
            return Refused(f"{self._name}: 调用过于频繁 / too many calls: {method}", retry_after_s=pause_s)
        if status >= 500:
            return self._lost(method, f"HTTP {status}", writes=writes)
        zh, en = STATUS_CONFIG.get(status, ("地址不像 Tryton", "the address does not answer as Tryton does"))
        return FixConfig(f"{self._name}: {zh} / {en} (HTTP {status}, {method})")

    def _named_error(self, method: str, name: str, detail: Any, *, writes: bool) -> VoucherflowError:
        if name in ("UserError", "UserWarning"):
            parts = [str(part) for part in detail[:2] if isinstance(part, str)]
            text = " ".join(part for part in parts if part)
            if text.startswith("You are not allowed to") and "posted" not in text:
                return FixConfig(f"{self._name}: 接口用户缺少权限 / the user lacks a right in Tryton: {text}")
            return FixData(f"账务系统拒绝：{text} / the ledger refuses: {text}")
        if name == "ConcurrencyException":
            return Refused(f"{self._name}: 记录正被修改 / somebody is changing the record: {detail}")
        if name == "LoginException":
            return FixConfig(
                f"{self._name}: 该用户要求额外的登录步骤 / the user needs a further step to log in: use a password alone"
            )
        return self._lost(method, f"error {name[:200]!r}", writes=writes)

    def _lost(self, method: str, what: str, *, writes: bool) -> VoucherflowError:
        if writes:
            return OutcomeUnknown(
                f"{self._name}: {method} 已发出但没有得到可靠回答，须先查询 / was sent and its answer was lost, "
                f"look before sending again: {what}"
            )
        doing = "登录 / logging in" if method == LOGIN else method
        return RetryLater(
            f"{self._name}: 读取失败，稍后会重试 / no answer, it will be tried again: {doing}: {what}"
        )


def _was_never_sent(error: requests.exceptions.RequestException) -> bool:
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return True
    cause: Any = error.args[0] if error.args else None
    return isinstance(getattr(cause, "reason", cause), NewConnectionError | ConnectTimeoutError)


def _brief(error: Exception) -> str:
    """The kind of failure; requests' own text repeats the address and object ids."""
    cause: Any = error.args[0] if error.args else None
    reason = getattr(cause, "reason", None)
    return type(reason if isinstance(reason, Exception) else error).__name__


def _encode(value: Any) -> Any:
    if isinstance(value, Decimal):
        return {"__class__": "Decimal", "decimal": str(value)}
    if isinstance(value, dt.date):
        return {"__class__": "date", "year": value.year, "month": value.month, "day": value.day}
    raise TypeError(f"cannot be sent to Tryton: {type(value).__name__}")


def _decode(value: dict[str, Any]) -> Any:
    match value.get("__class__"):
        case "Decimal":
            return Decimal(value["decimal"])
        case "date":
            return dt.date(value["year"], value["month"], value["day"])
        case _:
            return value
