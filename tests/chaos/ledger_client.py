"""HTTP calls to the accounting server of `ledger_server`, and what each failure means.

| what happens | a read | a write |
|---|---|---|
| nothing listens, time-out while connecting | RetryLater | RetryLater |
| time-out, reset, cut or unreadable answer, 5xx | RetryLater | OutcomeUnknown |
| 429, a lock message, books that are read-only for now | Refused | Refused |
| a business refusal | FixData, with its code | FixData, with its code |
| the idempotency key is taken | | KeysTaken |
| login, rights, addresses, bad requests, sizes | FixConfig | FixConfig |

With a limiter, every request waits for its turn and a call that is Refused is repeated before that is said.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from typing import Any

import requests
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from include.connections import Endpoint
from include.domain.errors import FixConfig, FixData, OutcomeUnknown, RetryLater, VoucherflowError
from include.exchanges import HIDDEN, is_recording, record, redact
from include.pace import Limiter, Refused, retry_after_s

LATER = frozenset({"L0001", "R0001"})
"""Codes that say: nothing was done, the same call goes through later."""
SETTINGS = ("H", "B0001", "B0003", "B0009")
"""Codes, or their beginnings, that say that we call wrongly."""


class LedgerRefusal(FixData):
    """A business refusal; nothing of the call was done. `errors` names the bad ones of a batch, where it says which."""

    def __init__(self, message: str, *, code: str, errors: Sequence[dict[str, Any]] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.errors = errors


class KeysTaken(FixData):
    """Other content stands under these idempotency keys; nothing of the call was done."""

    def __init__(self, message: str, *, keys: Sequence[str]) -> None:
        super().__init__(message)
        self.keys = keys


class LedgerClient:
    """Calls of the interface. Safe to share between threads: each has its own connection."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        connect_timeout_s: float = 5,
        read_timeout_s: float = 30,
        limiter: Limiter | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._timeout = (connect_timeout_s, read_timeout_s)
        self._limiter = limiter
        self._token = ""
        self._lock = threading.Lock()
        self._local = threading.local()

    def call(self, path: str, *, writes: bool, **body: Any) -> Any:
        """The data of the answer; `writes` says whether a second call would do something again.

        Raises:
            RetryLater, Refused, OutcomeUnknown, LedgerRefusal, KeysTaken, FixConfig: as in the table above.
        """
        if self._limiter is None:
            return self._call(path, body, writes=writes)
        return self._limiter.call(lambda: self._call(path, body, writes=writes))

    def _call(self, path: str, body: dict[str, Any], *, writes: bool) -> Any:
        token = self._token or self._log_in("")
        response = self._send(path, body, token, writes=writes)
        if response.status_code == 401:  # refused before anything was done
            response = self._send(path, body, self._log_in(token), writes=writes)
        return self._data(path, response, writes=writes)

    def _log_in(self, expired: str) -> str:
        """A new token, unless another thread has fetched one since."""
        with self._lock:
            if self._token == expired:
                login = {"user": self._endpoint.login, "password": self._endpoint.password}
                response = self._send("/api/login", login, "", writes=False)
                self._token = str(self._data("/api/login", response, writes=False)["token"])
            return self._token

    def _send(self, path: str, body: dict[str, Any], token: str, *, writes: bool) -> requests.Response:
        if self._limiter is not None:
            self._limiter.wait()
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        response = None
        try:
            response = self._http().post(
                self._endpoint.url + path,
                json=body,
                headers=headers,
                timeout=self._timeout,
                allow_redirects=False,
            )
        except requests.exceptions.RequestException as error:
            if _was_never_sent(error):
                raise RetryLater(
                    f"{self._endpoint.name}: 无法连接账务系统，稍后会重试 / the ledger cannot be reached, it will be "
                    f"tried again: {type(error).__name__}"
                ) from error
            raise self._lost(path, type(error).__name__, writes=writes) from error
        else:
            return response
        finally:
            if is_recording():
                self._record(path, body, response)

    def _record(self, path: str, body: dict[str, Any], response: requests.Response | None) -> None:
        text = None
        if response is not None:
            text = HIDDEN if path == "/api/login" else f"HTTP {response.status_code}\n{response.text}"
        record(f"{path} {json.dumps(redact(body), ensure_ascii=False)}", text)

    def _http(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
            session.trust_env = False  # no proxy stands between a test and its own machine
        return session

    def _data(self, path: str, response: requests.Response, *, writes: bool) -> Any:
        if response.status_code >= 500:
            raise self._lost(path, f"HTTP {response.status_code}", writes=writes)
        try:
            answer = response.json()
            if answer["success"]:
                return answer["data"]
            code, message = str(answer["code"]), str(answer["message"])
        except (ValueError, KeyError, TypeError) as error:
            raise self._lost(path, f"not an answer ({type(error).__name__})", writes=writes) from error
        raise self._error(path, response, answer, code, message)

    def _error(
        self, path: str, response: requests.Response, answer: Any, code: str, message: str
    ) -> VoucherflowError:
        text = f"账务系统拒绝：{message} / the ledger refuses: {message} ({code})"
        if response.status_code == 429 or code in LATER:
            pause_s = retry_after_s(response.headers.get("Retry-After"), response.headers.get("Date"))
            return Refused(text, retry_after_s=pause_s)
        if response.status_code == 409:
            return KeysTaken(text, keys=[str(key) for key in answer.get("conflicts", ())])
        if code.startswith(SETTINGS):
            return FixConfig(f"{self._endpoint.name}: {text}, {path}")
        return LedgerRefusal(text, code=code, errors=answer.get("errors", ()))

    def _lost(self, path: str, what: str, *, writes: bool) -> VoucherflowError:
        name = self._endpoint.name
        if writes:
            return OutcomeUnknown(
                f"{name}: {path} 已发出但没有得到可靠回答，须先查询 / was sent and its answer was lost, look before sending "
                f"again: {what}"
            )
        return RetryLater(f"{name}: 读取失败，稍后会重试 / no answer, it will be tried again: {path}: {what}")


def _was_never_sent(error: requests.exceptions.RequestException) -> bool:
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return True
    cause: Any = error.args[0] if error.args else None
    return isinstance(getattr(cause, "reason", cause), NewConnectionError | ConnectTimeoutError)
