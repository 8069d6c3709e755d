"""Calls to DingTalk's open platform: token, time-outs, limits, repeats, and the meaning of each error.

Errors come as HTTP 4xx with {"code", "message", "requestid"}. Which codes mean an expired token, a full quota or a
missing instance is not in the facts: it is told by the status, and by words that such codes and messages have.
"""

from __future__ import annotations

import json
import logging
import random
import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from http.cookiejar import DefaultCookiePolicy
from typing import Any, TypeVar

import requests

from include.adapters.oa.dingtalk.options import DingTalkOptions
from include.connections import Endpoint
from include.domain.errors import FixConfig, FixData, OutcomeUnknown, RetryLater, VoucherflowError
from include.ports import Clock

log = logging.getLogger(__name__)

Json = dict[str, Any]
T = TypeVar("T")
TOKEN_HEADER = "x-acs-dingtalk-access-token"  # noqa: S105  a header's name
MAX_WAIT_S = 120.0
_TOKEN_LIFE_S = 7200
_FIRST_BACKOFF_S = 0.5
_TOKEN_WORDS = ("invalidauthentication", "access_token", "accesstoken")
_RATE_WORDS = ("throttl", "qpslimit", "ratelimit", "flowcontrol", "limitexceed", "限流")
_GONE_WORDS = ("不存在", "notexist", "notfound", "not exist", "not found", "not.exist", "not.found")


class Gone(FixData):
    """DingTalk says that there is no such thing."""


class _TokenRefused(FixConfig):
    """The token is not taken (any more); nothing was done."""


class Client:
    """One organisation's app. Safe for use by several threads. Redirects are not followed, cookies not kept."""

    def __init__(
        self,
        endpoint: Endpoint,
        options: DingTalkOptions,
        clock: Clock,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._base = endpoint.url.rstrip("/")
        self._name = endpoint.name
        self._key = endpoint.login.strip()
        self._secret = endpoint.password.strip()
        self._options = options
        self._clock = clock
        self._jitter = jitter
        self._lock = threading.Lock()
        self._token = ""
        self._renew_at: datetime | None = None
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    def __repr__(self) -> str:
        return f"Client({self._base!r})"

    def close(self) -> None:
        """Give the connections back."""
        self._session.close()

    def read(
        self, method: str, path: str, *, params: Mapping[str, str] | None = None, body: Json | None = None
    ) -> Json:
        """The answer to a call that changes nothing, repeated while DingTalk is busy or away.

        Raises:
            RetryLater: it stayed so.
            FixConfig: keys, rights or parameters are refused.
            Gone: there is no such thing.
        """
        try:
            return self._retried(lambda: self._call(method, path, params, body, writing=False))
        except Gone:
            raise
        except FixData as refusal:
            raise FixConfig(
                f"{refusal}。请核对选项、映射文件的 templates 和应用权限 / the call is refused: check the options, templates in the "
                "mapping files and the app's rights"
            ) from None

    def change(self, path: str, body: Json) -> Json:
        """The answer to a call that changes something. It is sent once, again only where it was surely not carried out.

        Raises:
            RetryLater: nothing was done.
            OutcomeUnknown: the answer was lost.
            FixData, FixConfig: it is refused.
        """
        return self._retried(lambda: self._call("POST", path, None, body, writing=True))

    # -- parts ---------------------------------------------------------------------------------------

    def _retried(self, work: Callable[[], T]) -> T:
        for attempt in range(1, self._options.attempts + 1):
            try:
                return work()
            except RetryLater as error:
                if attempt == self._options.attempts:
                    raise
                wait_s = self._backoff(attempt, error.retry_after_s)
                log.info("%s；%.1f 秒后重试 / retry in %.1f s (%d)", error, wait_s, wait_s, attempt)
                self._clock.sleep(wait_s)
        raise AssertionError("attempts is at least 1")

    def _backoff(self, attempt: int, retry_after_s: float | None) -> float:
        if retry_after_s is not None:
            return min(retry_after_s, MAX_WAIT_S)
        ceiling: float = min(_FIRST_BACKOFF_S * 2 ** (attempt - 1), 30.0)
        return ceiling * (0.5 + self._jitter() / 2)

    def _call(
        self, method: str, path: str, params: Mapping[str, str] | None, body: Json | None, *, writing: bool
    ) -> Json:
        for _ in range(2):  # a token may expire in the middle: one more try with a fresh one
            token = self._current_token()
            try:
                return self._send(method, path, params, body, token, writing=writing)
            except _TokenRefused:
                with self._lock:
                    if self._token == token:
                        self._renew_at = None
        raise FixConfig(
            f"钉钉 {path}：新取得的令牌也被拒绝：请核对连接 {self._name!r} 的应用与权限 / a fresh token is refused too: check the app "
            f"and the rights of connection {self._name!r}"
        )

    def _current_token(self) -> str:
        with self._lock:
            if self._renew_at is None or self._clock.now() >= self._renew_at:
                self._log_in()
            return self._token

    def _log_in(self) -> None:
        if not self._key or not self._secret:
            raise FixConfig(
                f"连接 {self._name!r} 不完整：Login 填 AppKey，Password 填 AppSecret / connection {self._name!r}: put AppKey into "
                "its login and AppSecret into its password"
            )
        path, keys = self._options.token_path, {"appKey": self._key, "appSecret": self._secret}
        try:
            answer = self._send("POST", path, None, keys, "", writing=False)
        except (FixData, _TokenRefused) as error:
            raise self._keys_refused(str(error)) from None
        token, life = answer.get("accessToken"), answer.get("expireIn")
        if not isinstance(token, str) or not token.isascii() or not token.isprintable() or not token:
            raise self._keys_refused("没有 accessToken / no accessToken")
        seconds = life if isinstance(life, int) and not isinstance(life, bool) else _TOKEN_LIFE_S
        self._token = token
        self._renew_at = self._clock.now() + timedelta(seconds=min(max(seconds, 0), _TOKEN_LIFE_S) * 0.9)

    def _keys_refused(self, said: str) -> FixConfig:
        return FixConfig(
            f"钉钉不接受应用的密钥：{said}。请核对连接 {self._name!r} 的 AppKey 和 AppSecret / DingTalk refuses the app's keys: check "
            f"AppKey and AppSecret of connection {self._name!r}"
        )

    def _send(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None,
        body: Json | None,
        token: str,
        *,
        writing: bool,
    ) -> Json:
        failure: VoucherflowError
        try:
            with self._session.request(
                method,
                self._base + path,
                params=params,
                json=body,
                headers={TOKEN_HEADER: token} if token else {},
                timeout=(self._options.connect_timeout_s, self._options.read_timeout_s),
                allow_redirects=False,
                stream=True,
            ) as response:
                wait = response.headers.get("Retry-After", "")
                status, raw = response.status_code, self._body(path, response)
                return self._understood(
                    method, path, status, raw, wait, writing=writing, logging_in=not token
                )
        except (requests.ConnectTimeout, requests.exceptions.SSLError) as error:
            failure = self._unreachable(path, error)
        except requests.RequestException as error:
            # A refused connection sent nothing; a reset one may have.
            refused = "NewConnectionError" in repr(error) or "NameResolutionError" in repr(error)
            failure = self._unreachable(path, error)
            if writing and not refused:
                failure = OutcomeUnknown(
                    f"钉钉 {path} 的应答丢失，结果不明 / the answer was lost, the outcome is unknown"
                )
        # Raised outside of the handlers: the library's exception quotes the request and must not be chained.
        raise failure

    def _body(self, path: str, response: requests.Response) -> bytes:
        """The body, unpacked as it comes, so that no small answer can become a large one; empty where it is too large."""
        limit = self._options.max_body_mb * 1024 * 1024
        chunks: list[bytes] = []
        size = 0
        for chunk in response.iter_content(64 * 1024):
            size += len(chunk)
            if size > limit:
                log.warning(
                    "钉钉 %s 的应答超过 %d MB / the answer is larger than %d MB",
                    path,
                    self._options.max_body_mb,
                    self._options.max_body_mb,
                )
                return b""
            chunks.append(chunk)
        return b"".join(chunks)

    def _understood(
        self, method: str, path: str, status: int, raw: bytes, wait: str, *, writing: bool, logging_in: bool
    ) -> Json:
        """The answer's JSON, or the error that it is: the table of errors."""
        try:
            answer = json.loads(raw, parse_float=str)  # no amount becomes a float
        except (ValueError, RecursionError):
            answer = None
        where = f"钉钉 {method} {path} → HTTP {status}"
        if status == 200 and isinstance(answer, dict) and answer.get("success") not in (False, "false"):
            return answer
        found = answer if isinstance(answer, dict) else {}
        code, message = self._hidden(found.get("code")), self._hidden(found.get("message"))
        words = f"{code} {message}".lower()
        if 300 <= status < 400:
            return _raise(
                FixConfig(f"{where}：请更新连接 {self._name!r} 的地址 / it has moved: update the host")
            )
        if status == 429 or (400 <= status < 500 and any(word in code.lower() for word in _RATE_WORDS)):
            after = float(wait) if wait.isdigit() and len(wait) < 6 else None
            return _raise(
                RetryLater(f"{where} {code}：调用过于频繁 / too many calls, later", retry_after_s=after)
            )
        if status >= 500 or answer is None:
            said = f"{where}：应答不可用 / the answer cannot be used"
            return _raise(
                OutcomeUnknown(said) if writing and not 400 <= status < 500 else self._odd(status, said)
            )
        said = f"{where} {code} {message}"
        if not logging_in and (status == 401 or any(word in code.lower() for word in _TOKEN_WORDS)):
            return _raise(_TokenRefused(said))
        if status == 403:
            return _raise(
                FixConfig(
                    f"{said}：请在钉钉开放平台为应用授予工作流的读写权限 / grant the app the rights on workflows on DingTalk's "
                    "open platform"
                )
            )
        if any(word in words for word in _GONE_WORDS):
            return _raise(Gone(said))
        return _raise(FixData(said))

    @staticmethod
    def _odd(status: int, said: str) -> VoucherflowError:
        if 400 <= status < 500:
            return FixConfig(f"{said}：请核对连接的地址 / check the host of the connection")
        return RetryLater(said)

    def _hidden(self, value: object) -> str:
        """Words of an answer without anything secret."""
        text = str(value)[:300] if isinstance(value, str | int) else ""
        for secret in filter(None, (self._secret, self._key, self._token)):
            text = text.replace(secret, "***")
        return text

    def _unreachable(self, path: str, error: Exception) -> RetryLater:
        return RetryLater(
            f"无法读取钉钉 {self._base}{path}（{type(error).__name__}）：请检查网络和地址，稍后重试 / cannot reach DingTalk: check "
            "network and host, then try again"
        )


def _raise(error: VoucherflowError) -> Json:
    raise error
