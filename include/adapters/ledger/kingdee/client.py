"""Kingdee over HTTP, through its own SDK. What failures of the site mean is in `answers`; those on the way:

| what happens | a read | a write |
|---|---|---|
| nothing listens, no route, time-out while connecting | RetryLater | RetryLater |
| time-out, reset, garbage, too much after sending; HTTP 5xx | RetryLater | OutcomeUnknown |
| HTTP 429 | Refused | Refused |
| HTTP 519: the gateway lets nobody in (clock, application, address) | FixConfig | FixConfig |
| `Fail to verify thirty passport`; other statuses, redirects, TLS | FixConfig | FixConfig |

Every request waits for its turn (`include.pace`), and one that is Refused is repeated before that is said.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from include.adapters.ledger.kingdee.answers import (
    BUSY,
    SESSION_LOST,
    UNCERTAIN,
    NotAnAnswer,
    Status,
    failure,
    is_repeat,
    lost,
    parse,
    status_of,
)
from include.adapters.ledger.kingdee.auth import Credentials, Sdk
from include.connections import Endpoint
from include.domain.errors import FixConfig, FixData, RetryLater, VoucherflowError
from include.exchanges import is_recording, record
from include.pace import Limiter, Refused, retry_after_s

MAX_ANSWER_BYTES = 64 * 2**20
MAX_LIMIT = 2000
"""Rows of one query, the vendor's own limit."""
NOT_ACTIVE_S = 60.0
"""How long to wait for a session that the site does not take yet."""
GATEWAY: Mapping[int, tuple[str, str]] = {
    4002: ("网关不认识此应用，请检查 app_id", "the gateway does not know the application: check app_id"),
    4006: ("签名时间过期，请校准本机时钟", "the signed time is too far off: set this machine's clock"),
    5001: ("网关没有此地址，请检查连接地址", "the gateway knows no such address: check the connection's URL"),
}
WRONG_ACCOUNT = "Fail to verify thirty passport"


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a query, by the keys that were asked for."""

    values: Mapping[str, Any]

    def __getitem__(self, key: str) -> Any:
        return self.values[key]

    def text(self, key: str) -> str:
        value = self.values[key]
        return "" if value is None else str(value).strip()

    def whole(self, key: str) -> int:
        return int(self.text(key) or 0)


@dataclass(frozen=True, slots=True)
class Batch:
    """What became of each part of a call that changes something; `returned` is NeedReturnData."""

    status: Status
    returned: Sequence[Mapping[str, Any]] = ()


class KingdeeClient:
    """Calls a K3Cloud site. Safe to share between threads: each has its own SDK, since that keeps cookies unguarded."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        organisation: str = "",
        connect_timeout_s: float,
        read_timeout_s: float,
        limiter: Limiter | None = None,
    ) -> None:
        self.name = endpoint.name
        self._credentials = Credentials.of(endpoint, organisation)
        self._limiter = limiter or Limiter()
        self._timeout = (connect_timeout_s, read_timeout_s)
        self._was_admitted = False
        self._local = threading.local()

    def query(
        self,
        form: str,
        keys: Sequence[str],
        where: str,
        order: str,
        *,
        start: int = 0,
        limit: int = MAX_LIMIT,
    ) -> list[Row]:
        """One page of rows. `order` must leave no ties: sites lose rows between pages otherwise.

        Raises:
            RetryLater, Refused, FixConfig, FixData: see `answers`.
        """
        data = {
            "FormId": form,
            "FieldKeys": ",".join(keys),
            "FilterString": where,
            "OrderString": order,
            "TopRowCount": 0,
            "StartRow": start,
            "Limit": limit,
        }
        answer = self._read("ExecuteBillQuery", data)
        if not isinstance(answer, list) or not all(
            isinstance(row, list) and len(row) == len(keys) for row in answer
        ):
            raise lost(self.name, f"{form}: 不是行 / not rows", writes=False)
        return [Row(dict(zip(keys, row, strict=True))) for row in answer]

    def view(self, form: str, identity: str) -> Mapping[str, Any]:
        """One document whole.

        Raises:
            FixData: there is none of that id. Others as `query`.
        """
        answer = self._read("View", form, {"Id": identity})
        found = answer.get("Result", {}).get("Result") if isinstance(answer, Mapping) else None
        if isinstance(found, str):  # some sites give JSON in a text
            found = parse(found)
        if not isinstance(found, Mapping):
            raise lost(self.name, f"View {form}", writes=False)
        return found

    def change(self, operation: str, form: str, data: Mapping[str, Any]) -> Batch:
        """BatchSave, Submit, Audit or Delete. Each part is in `done`, in `errors`, or, on odd sites, in neither.

        Raises:
            RetryLater, Refused, FixConfig: nothing was done.
            OutcomeUnknown: the answer was lost, or a part was done and another met a passing trouble.
        """

        def once() -> Batch:
            answer, status = self._call(operation, form, dict(data), writes=True)
            if status is None:
                raise lost(self.name, f"{operation}: 没有 ResponseStatus / no ResponseStatus", writes=True)
            troubled = [text for text in status.errors.values() if not is_repeat(text)]
            if not status.is_success and status.done and troubled and status.code in BUSY | UNCERTAIN:
                raise lost(self.name, f"{operation}: 部分成功 / done in part: {status.message}", writes=True)
            if not status.is_success and not status.done and (troubled or not status.errors):
                error = failure(self.name, operation, status, writes=True)
                if not isinstance(error, FixData):
                    raise error
            returned = answer["Result"].get("NeedReturnData") or ()
            return Batch(status, [each for each in returned if isinstance(each, Mapping)])

        return self._limiter.call(once)

    def _read(self, operation: str, *arguments: Any) -> Any:
        def once() -> Any:
            answer, status = self._call(operation, *arguments, writes=False)
            if status is not None and not status.is_success:
                raise failure(self.name, _told(operation, arguments), status, writes=False)
            return answer

        return self._limiter.call(once)

    def _call(self, operation: str, *arguments: Any, writes: bool) -> tuple[Any, Status | None]:
        """The answer and its status, signed again once where the session is lost: that is said before anything is done."""
        sdk = self._sdk()
        before = sdk.session_id
        answer, status = self._send_once(sdk, operation, arguments, writes=writes)
        if status is not None and status.is_session_lost:
            is_replaced = sdk.session_id != before
            if is_replaced or (before and sdk.drop_session()):
                before = sdk.session_id
                answer, status = self._send_once(sdk, operation, arguments, writes=writes)
            if status is not None and status.is_session_lost:
                raise self._not_admitted(is_new=sdk.session_id != before)
        self._was_admitted = True
        return answer, status

    def _not_admitted(self, *, is_new: bool) -> VoucherflowError:
        """A wrong key and a session that is too new are told in the same words; only for the first is there always
        another session id.
        """
        if is_new and not self._was_admitted:
            return FixConfig(
                f"{self.name}: 金蝶不接受登录，请检查用户、应用 ID、应用密钥，以及该应用是否已授权给该用户 / Kingdee does not "
                f"let us in: check the user, app_id and secret, and that the application is authorised (MsgCode {SESSION_LOST})"
            )
        return RetryLater(
            f"{self.name}: 金蝶会话尚未生效，稍后会重试 / Kingdee does not take the session yet, it will be tried again",
            retry_after_s=NOT_ACTIVE_S,
        )

    def _send_once(
        self, sdk: Sdk, operation: str, arguments: Sequence[Any], *, writes: bool
    ) -> tuple[Any, Status | None]:
        self._local.writes, self._local.what = writes, _told(operation, arguments)
        try:
            answer = parse(getattr(sdk, operation)(*arguments))
            return answer, status_of(answer)
        except NotAnAnswer as error:
            raise lost(self.name, f"{self._local.what}: {error}", writes=writes) from error

    def _sdk(self) -> Sdk:
        sdk: Sdk | None = getattr(self._local, "sdk", None)
        if sdk is None:
            sdk = self._local.sdk = Sdk(self._credentials, self._post)
            self._local.http = requests.Session()
            # The SDK keeps the cookies and signs with them; a jar of our own would outlive a session that it dropped.
            self._local.http.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        return sdk

    def _post(self, url: str, headers: dict[str, str], data: Any) -> tuple[str, requests.Response]:
        """Where the SDK's calls end: it builds url, headers and body, this sends them."""
        writes, what = self._local.writes, self._local.what
        body = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
        self._limiter.wait()
        text: str | None = None
        try:
            with self._local.http.post(
                url,
                data=body.encode(),
                headers=headers,
                timeout=self._timeout,
                allow_redirects=False,
                stream=True,
            ) as response:
                text = self._body(response)
            self._check_status(response, text)
        except (requests.exceptions.SSLError, requests.exceptions.InvalidURL, ValueError) as error:
            raise FixConfig(
                f"{self.name}: 连接地址或证书有误 / the address or its certificate is wrong: {type(error).__name__}"
            ) from error
        except requests.exceptions.RequestException as error:
            if _was_never_sent(error):
                raise RetryLater(
                    f"{self.name}: 无法连接金蝶，稍后会重试 / Kingdee cannot be reached, it will be tried again"
                ) from error
            raise lost(self.name, f"{what}: {type(error).__name__}", writes=writes) from error
        else:
            return text, response
        finally:
            if is_recording():  # credentials are in headers alone, which are not recorded
                service = url.rpartition("/")[2]
                record(f"{service}\n{body}", None if text is None else text)

    def _body(self, response: requests.Response) -> str:
        """The body within a limit of size and time, unpacked."""
        parts, size, latest = [], 0, time.monotonic() + self._timeout[1]
        for part in response.iter_content(2**16):
            size += len(part)
            if size > MAX_ANSWER_BYTES or time.monotonic() > latest:
                raise lost(
                    self.name,
                    f"{self._local.what}: 回答过大或过慢 / too much or too slow",
                    writes=self._local.writes,
                )
            parts.append(part)
        return b"".join(parts).decode("utf-8", "replace")

    def _check_status(self, response: requests.Response, text: str) -> None:
        status = response.status_code
        if status == 200:
            return
        if status == 429:
            pause_s = retry_after_s(response.headers.get("Retry-After"), response.headers.get("Date"))
            raise Refused(
                f"{self.name}: 调用过于频繁 / too many calls: {self._local.what}", retry_after_s=pause_s
            )
        if WRONG_ACCOUNT in text:
            raise FixConfig(
                f"{self.name}: 金蝶没有此数据中心，请检查 acct_id / Kingdee has no such data centre: check acct_id"
            )
        if status == 519 and (told := _gateway(text)) is not None:
            raise FixConfig(f"{self.name}: {told[0]} / {told[1]} (HTTP 519)")
        if status >= 500:
            raise lost(self.name, f"{self._local.what}: HTTP {status}", writes=self._local.writes)
        raise FixConfig(
            f"{self.name}: 地址不像金蝶站点，应形如 https://…/k3cloud / the address does not answer as a K3Cloud site does, it "
            f"ends with /k3cloud (HTTP {status}, {self._local.what})"
        )


def _gateway(text: str) -> tuple[str, str] | None:
    """What a gateway's refusal means; None for one that nobody has described, which may come after the fact."""
    try:
        return GATEWAY.get(int(parse(text)["errcode"]))
    except (NotAnAnswer, KeyError, TypeError, ValueError):
        return None


def _told(operation: str, arguments: Sequence[Any]) -> str:
    first = arguments[0]
    return f"{operation} {first if isinstance(first, str) else first.get('FormId', '')}"


def _was_never_sent(error: requests.exceptions.RequestException) -> bool:
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return True
    cause: Any = error.args[0] if error.args else None
    return isinstance(getattr(cause, "reason", cause), NewConnectionError | ConnectTimeoutError)
