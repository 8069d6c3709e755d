"""YonBIP over HTTP. What its answers mean is in `answers`; what happens on the way:

| what happens | a read | a write |
|---|---|---|
| nothing listens, no route, time-out while connecting | RetryLater | RetryLater |
| time-out, reset, garbage, too much after sending; HTTP 5xx | RetryLater | OutcomeUnknown |
| HTTP 429 | Refused | Refused |
| HTTP 404 with code 310404; other statuses, redirects, TLS | FixConfig | FixConfig |

Every call waits for its turn (`include.pace`), and one that is Refused is repeated before that is said. The HTTP library's
exceptions are never chained or quoted: they hold the URL, and the URL holds the token.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from include.adapters.ledger.yonbip.answers import (
    UNCERTAIN,
    WORKING,
    Answer,
    NotAnAnswer,
    answer_of,
    failure,
    lost,
)
from include.adapters.ledger.yonbip.auth import Credentials, TokenKeeper, protect_logs
from include.connections import Endpoint
from include.domain.errors import FixConfig, RetryLater, VoucherflowError
from include.exchanges import SECRETS, is_recording, record, redact
from include.pace import Limiter, Refused, retry_after_s

MAX_ANSWER_BYTES = 64 * 2**20
WORKING_PAUSE_S = 5.0
"""The vendor's own advice at code 202."""
WORKING_TRIES = 4
PERSONAL = SECRETS | {"makermobile", "makeremail"}


class YonbipClient:
    """Calls a tenant's gateway. Safe to share between threads; each has its own connection."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        connect_timeout_s: float,
        read_timeout_s: float,
        limiter: Limiter | None = None,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        protect_logs()
        self.name = endpoint.name
        self._tokens = TokenKeeper(endpoint.name, Credentials.of(endpoint), self._fetch)
        self._limiter = limiter or Limiter()
        self._timeout = (connect_timeout_s, read_timeout_s)
        self._sleep = sleep
        self._local = threading.local()

    def __repr__(self) -> str:
        return f"YonbipClient({self.name!r})"

    def read(self, path: str, body: Mapping[str, Any]) -> Answer:
        """POST to a page that only reads.

        Raises:
            RetryLater, Refused, FixConfig: see `answers`. FixData: the page refuses, with its words.
        """
        answer = self.ask(path, body)
        error = None if answer.is_done else failure(self.name, path, answer, writes=False)
        if error is not None:
            raise error
        return answer

    def ask(self, path: str, body: Mapping[str, Any]) -> Answer:
        """As `read`, but a refusal of the page itself is an answer like others."""
        return self._limiter.call(lambda: self._call(path, body, writes=False))

    def write(self, path: str, body: Mapping[str, Any], *, is_keyed: bool) -> Answer:
        """POST something that changes the books: done, done before or refused.

        `is_keyed`: it carries a key by which YonBIP knows a repeat, so that one that is being worked on (202) may be asked
        for again.

        Raises:
            RetryLater, Refused, FixConfig: nothing was done.
            OutcomeUnknown: the answer was lost, or does not come.
        """
        answer = self._limiter.call(lambda: self._call(path, body, writes=True))
        for _ in range(WORKING_TRIES - 1 if is_keyed else 0):
            if answer.code != WORKING:
                break
            self._sleep(WORKING_PAUSE_S)
            try:
                answer = self._limiter.call(lambda: self._call(path, body, writes=True))
            except (RetryLater, FixConfig) as error:  # of the second call; the first was taken
                raise lost(self.name, f"{path}: 202; {error}", writes=True) from error
        if answer.code == WORKING:
            raise lost(self.name, f"{path}: {answer.message} ({answer.code})", writes=True)
        return answer

    def _call(self, path: str, body: Mapping[str, Any], *, writes: bool) -> Answer:
        """One answer, with another token once where the first is refused: that is said before anything is done."""
        gateway, token = self._tokens.get()
        answer = self._post(gateway, path, token, body, writes=writes)
        if answer.is_token_refused:
            gateway, token = self._tokens.renew(token)
            answer = self._post(gateway, path, token, body, writes=writes)
        if not answer.is_done:
            error = failure(self.name, path, answer, writes=writes)
            if isinstance(error, Refused | FixConfig) or answer.code in UNCERTAIN:
                assert error is not None
                raise error
        return answer

    def _post(self, gateway: str, path: str, token: str, body: Mapping[str, Any], *, writes: bool) -> Answer:
        content = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
        self._limiter.wait()
        text: str | None = None
        try:
            text = self._send(
                "POST", f"{gateway}{path}", {"access_token": token}, content, what=path, writes=writes
            )
            return self._parsed(text, path, writes=writes)
        finally:
            if is_recording():  # the token is in the query alone, which is not recorded
                shown = json.dumps(redact(body, PERSONAL), ensure_ascii=False, separators=(",", ":"))
                record(f"{path}\n{shown}", None if text is None else self._tokens.redact(text))

    def _fetch(self, url: str, query: Mapping[str, str]) -> Answer:
        """The pages of tokens and addresses, which need no token. Repeating them does no harm."""
        what = url.rpartition("/")[2]
        return self._parsed(self._send("GET", url, query, None, what=what, writes=False), what, writes=False)

    def _parsed(self, text: str, what: str, *, writes: bool) -> Answer:
        try:
            return answer_of(text)
        except NotAnAnswer as error:
            fault = str(error)
        raise lost(self.name, f"{what}: {fault}, {len(text)}", writes=writes)

    def _send(
        self, method: str, url: str, query: Mapping[str, str], content: str | None, *, what: str, writes: bool
    ) -> str:
        """The text of an answer that says something."""
        failed: VoucherflowError
        try:
            with self._http().request(
                method,
                url,
                params=query,
                data=None if content is None else content.encode(),
                headers={"Content-Type": "application/json"},
                timeout=self._timeout,
                allow_redirects=False,
                stream=True,
            ) as response:
                text = self._body(response, what, writes=writes)
            self._check_status(response, text, what, writes=writes)
        except (requests.exceptions.SSLError, requests.exceptions.InvalidURL) as error:
            failed = FixConfig(
                f"{self.name}: 连接地址或证书有误 / the address or its certificate is wrong: {type(error).__name__}"
            )
        except requests.exceptions.RequestException as error:
            if _was_never_sent(error):
                failed = RetryLater(
                    f"{self.name}: 无法连接用友，稍后会重试 / YonBIP cannot be reached, it will be tried again: {what}"
                )
            else:
                failed = lost(self.name, f"{what}: {type(error).__name__}", writes=writes)
        else:
            return text
        raise failed  # outside of the handlers, so that nothing is chained

    def _http(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "http", None)
        if session is None:
            session = self._local.http = requests.Session()
            session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        return session

    def _body(self, response: requests.Response, what: str, *, writes: bool) -> str:
        """The body within a limit of size and time, unpacked."""
        parts, size, latest = [], 0, time.monotonic() + self._timeout[1]
        for part in response.iter_content(2**16):
            size += len(part)
            if size > MAX_ANSWER_BYTES or time.monotonic() > latest:
                raise lost(self.name, f"{what}: 回答过大或过慢 / too much or too slow", writes=writes)
            parts.append(part)
        return b"".join(parts).decode("utf-8", "replace")

    def _check_status(self, response: requests.Response, text: str, what: str, *, writes: bool) -> None:
        status = response.status_code
        if status == 200:
            return
        if status == 429:
            pause_s = retry_after_s(response.headers.get("Retry-After"), response.headers.get("Date"))
            raise Refused(f"{self.name}: 调用过于频繁 / too many calls: {what}", retry_after_s=pause_s)
        if status >= 500:
            raise lost(self.name, f"{what}: HTTP {status}", writes=writes)
        told = None
        try:
            told = failure(self.name, what, answer_of(text), writes=True)
        except NotAnAnswer:
            text = ""  # a page of something else's: its words help nobody
        if isinstance(told, FixConfig | RetryLater):
            raise told
        raise FixConfig(
            f"{self.name}: 地址不像用友网关 / the address does not answer as YonBIP's gateway does: check the connection's "
            f"address (HTTP {status}, {what})"
        )


def _was_never_sent(error: requests.exceptions.RequestException) -> bool:
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return True
    cause: Any = error.args[0] if error.args else None
    return isinstance(getattr(cause, "reason", cause), NewConnectionError | ConnectTimeoutError)
