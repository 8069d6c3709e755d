"""HTTP to Feishu's open platform: the token, limits, pacing, retries, and the meaning of each status and code."""

from __future__ import annotations

import json
import logging
import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from include.adapters.oa.feishu.options import FeishuOptions
from include.connections import Endpoint
from include.domain.errors import FixConfig, FixData, OutcomeUnknown, RetryLater, VoucherflowError
from include.pace import Limiter, Refused, limiter_of, retry_after_s
from include.ports import Clock

log = logging.getLogger(__name__)

Json = dict[str, Any]
PREFIX = "/open-apis/approval/v4/"
RENEW_BEFORE_S = 300.0
_FIRST_BACKOFF_S = 0.5
_LONGEST_BACKOFF_S = 120.0
_LONGEST_NUMBER = 64
_DETAIL_BURST = 10


class Gone(FixData):
    """There is no such instance."""


class _TokenGone(RetryLater):
    """The token was refused, so that nothing was done."""


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes
    retry_after_s: float | None


class FeishuClient:
    """Calls in the name of one app; may be used by several threads. Redirects are not followed, cookies not kept.

    No error, log line or repr shows the secret or a token.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        options: FeishuOptions,
        clock: Clock,
        *,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._base = endpoint.url.rstrip("/")
        self._name = endpoint.name
        self._app_id, self._secret = endpoint.login, endpoint.password
        self._options = options
        self._clock = clock
        self._jitter = jitter
        # Ceilings are the app's, so books over one connection share them.
        key = f"feishu {self._base} {self._app_id}"
        self._lists = limiter_of(f"{key} lists", options.lists_per_min / 60)
        self._details = limiter_of(f"{key} details", options.details_per_min / 60, _DETAIL_BURST)
        self._token, self._renew_at = "", 0.0
        self._lock = threading.Lock()
        self._session = requests.Session()
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        adapter = HTTPAdapter(pool_connections=2, pool_maxsize=options.concurrency, max_retries=0)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)

    def __repr__(self) -> str:
        return f"FeishuClient({self._base!r})"

    def close(self) -> None:
        """Give the connections back."""
        self._session.close()

    # -- calls ---------------------------------------------------------------------------------------

    def page(self, path: str, params: Mapping[str, str], body: Json | None = None) -> Json:
        """The data of a page of a list: GET, or POST with a body. Repeated until it comes.

        Raises:
            RetryLater: it never did. FixConfig: keys, address or parameters are refused.
        """
        return self._read("POST" if body is not None else "GET", PREFIX + path, params, body, self._lists)

    def detail(self, path: str, params: Mapping[str, str]) -> Json | None:
        """The data of one thing, None where there is none; raises as `page`."""
        try:
            return self._read("GET", PREFIX + path, params, None, self._details)
        except Gone:
            return None

    def write(self, path: str, params: Mapping[str, str], body: Json) -> None:
        """POST, sent again only where Feishu certainly did nothing (refused for its speed, or the token).

        Raises:
            OutcomeUnknown: the answer was lost. RetryLater: nothing was done. FixData: the content is refused.
            FixConfig: keys or address are refused.
        """
        self._details.call(
            lambda: self._authorised("POST", PREFIX + path, params, body, self._details, writing=True)
        )

    def log_in(self) -> None:
        """Get a token if there is none."""
        self._bearer()

    # -- parts ---------------------------------------------------------------------------------------

    def _read(
        self, method: str, path: str, params: Mapping[str, str], body: Json | None, pace: Limiter
    ) -> Json:
        return self._retried(
            lambda: pace.call(lambda: self._authorised(method, path, params, body, pace, writing=False))
        )

    def _retried(self, read: Callable[[], Json]) -> Json:
        for attempt in range(1, self._options.attempts + 1):
            try:
                return read()
            except RetryLater as error:
                if attempt == self._options.attempts:
                    raise
                wait_s = self._backoff(attempt, error.retry_after_s)
                log.info("%s；%.1f 秒后重试 / retry in %.1f s (%d)", error, wait_s, wait_s, attempt)
                self._clock.sleep(wait_s)
        raise AssertionError("attempts is at least 1")

    def _backoff(self, attempt: int, told_s: float | None) -> float:
        if told_s is not None:
            return min(told_s, _LONGEST_BACKOFF_S)
        ceiling: float = min(_FIRST_BACKOFF_S * 2 ** (attempt - 1), 30.0)
        return ceiling * (0.5 + self._jitter() / 2)

    def _authorised(
        self,
        method: str,
        path: str,
        params: Mapping[str, str],
        body: Json | None,
        pace: Limiter,
        *,
        writing: bool,
    ) -> Json:
        """One call; a token that is refused is replaced once."""
        token = self._bearer()
        for is_last in (False, True):
            pace.wait()
            answer = self._send(method, path, params, body, token, writing=writing)
            try:
                data = self._object(path, answer, writing=writing).get("data")
            except _TokenGone:
                if is_last:
                    raise
                token = self._bearer(refused=token)
                continue
            return data if isinstance(data, dict) else {}
        raise AssertionError("the second turn returns or raises")

    def _bearer(self, refused: str = "") -> str:
        """A token that should be good for the next call; another one than `refused`."""
        with self._lock:
            if not self._token or self._token == refused or self._clock.monotonic() >= self._renew_at:
                answer = self._retried(self._new_token)
                token, life = answer.get("tenant_access_token"), answer.get("expire")
                if not isinstance(token, str) or not token.isascii() or not token.isprintable() or not token:
                    raise FixConfig(
                        f"飞书没有给出令牌：请核对连接 {self._name!r} 的地址和选项 token_path / no token came back: check the host of the "
                        "connection and the option token_path"
                    )
                seconds = life if isinstance(life, int) and not isinstance(life, bool) else 0
                # One that lives for less than the margin is used until Feishu refuses it.
                self._renew_at = self._clock.monotonic() + max(seconds - RENEW_BEFORE_S, seconds / 2, 1.0)
                self._token = token
            return self._token

    def _new_token(self) -> Json:
        body = {"app_id": self._app_id, "app_secret": self._secret}
        path = self._options.token_path
        answer = self._send("POST", path, {}, body, "", writing=False)
        try:
            return self._object(path, answer, writing=False)
        except (FixData, FixConfig, _TokenGone) as error:
            refusal = FixConfig(
                f"{error}。飞书不接受登录：请核对连接 {self._name!r} 的 App ID 和 App Secret / Feishu refuses the log-in: check App ID and "
                "App Secret of the connection"
            )
        raise refusal

    # -- one exchange --------------------------------------------------------------------------------

    def _send(
        self,
        method: str,
        path: str,
        params: Mapping[str, str],
        body: Json | None,
        token: str,
        *,
        writing: bool,
    ) -> _Answer:
        failure: VoucherflowError
        try:
            with self._session.request(
                method,
                self._base + path,
                params=params,
                json=body,
                headers={"Authorization": f"Bearer {token}"} if token else {},
                timeout=(self._options.connect_timeout_s, self._options.read_timeout_s),
                allow_redirects=False,
                stream=True,
            ) as response:
                wait_s = retry_after_s(response.headers.get("Retry-After"), response.headers.get("Date"))
                return _Answer(response.status_code, self._body(path, response), wait_s)
        except (requests.ConnectTimeout, requests.exceptions.SSLError) as error:
            failure = self._unreachable(path, error)
        except requests.RequestException as error:
            # A refused connection sent nothing; a reset one may have.
            refused = "NewConnectionError" in repr(error) or "NameResolutionError" in repr(error)
            failure = self._lost(path, error) if writing and not refused else self._unreachable(path, error)
        except RetryLater as error:
            failure = OutcomeUnknown(str(error)) if writing else error
        # Raised outside of the handlers: the library's exception must not be chained, it may quote headers.
        raise failure

    def _body(self, path: str, response: requests.Response) -> bytes:
        """The body, unpacked as it comes, so that no small answer can become a large one."""
        limit = self._options.max_body_mb * 1024 * 1024
        chunks: list[bytes] = []
        size = 0
        for chunk in response.iter_content(64 * 1024):
            size += len(chunk)
            if size > limit:
                raise RetryLater(
                    f"飞书 {path} 的应答超过 {self._options.max_body_mb} MB：请减小 page_size 或增大 max_body_mb / the answer is larger than "
                    f"{self._options.max_body_mb} MB: lower page_size or raise max_body_mb"
                )
            chunks.append(chunk)
        return b"".join(chunks)

    # -- what an answer means ------------------------------------------------------------------------

    def _object(self, path: str, answer: _Answer, *, writing: bool) -> Json:
        """The answer as an object with code 0; the table of statuses and codes."""
        value = _parsed(answer.body)
        code = value.get("code") if value is not None else None
        if answer.status == 200 and value is not None and code == 0:
            return value
        said = " ".join(str((value or {}).get("msg") or "").split())[:300]
        for secret in filter(None, (self._secret, self._token)):
            said = said.replace(secret, "***")
        where = f"飞书 {path} → HTTP {answer.status} {'' if code is None else code} {said}".rstrip()
        if code in self._options.token_codes or (code is None and answer.status == 401):
            raise _TokenGone(f"{where}：令牌失效，稍后重试 / the token is not good any more, later")
        if code in self._options.busy_codes or answer.status == 429:
            raise Refused(f"{where}：请求过于频繁 / too many calls", retry_after_s=answer.retry_after_s)
        if code in self._options.gone_codes:
            raise Gone(f"{where}：没有此审批实例 / there is no such instance")
        if answer.status >= 500 or (answer.status == 200 and not isinstance(code, int)):
            message = f"{where}：应答不完整或服务暂时不可用 / the answer is cut off, or the service is not available"
            if writing:
                raise OutcomeUnknown(f"{message}，结果不明 / the outcome is unknown")
            raise RetryLater(f"{message}，稍后重试 / later", retry_after_s=answer.retry_after_s)
        raise self._refusal(where, answer.status, has_code=isinstance(code, int), writing=writing)

    def _refusal(self, where: str, status: int, *, has_code: bool, writing: bool) -> VoucherflowError:
        if 300 <= status < 400 or not has_code:
            return FixConfig(
                f"{where}：地址不对或不允许访问，请核对连接 {self._name!r} 的地址 / wrong address or no access: check the host of the "
                "connection"
            )
        if writing and status in {200, 400}:
            return FixData(f"{where}：飞书不接受 / Feishu does not take it")
        return FixConfig(
            f"{where}：请求不被接受：请核对应用的审批权限、映射文件的 templates（approval_code）和来源选项 / refused: check the app's rights to "
            "approvals, templates (approval_code) in the mapping files, and the source's options"
        )

    def _unreachable(self, path: str, error: Exception) -> RetryLater:
        return RetryLater(
            f"无法读取飞书 {self._base}{path}（{type(error).__name__}）：请检查网络和地址，稍后重试 / cannot read from Feishu: check network "
            "and host, then try again"
        )

    def _lost(self, path: str, error: Exception) -> OutcomeUnknown:
        return OutcomeUnknown(
            f"飞书 {self._base}{path} 的应答丢失（{type(error).__name__}），结果不明 / the answer was lost, the outcome is unknown"
        )


def parse_json(text: str | bytes) -> Any:
    """JSON with every number exact: fractions and absurdly long integers as text, for money must not lose digits.

    Raises:
        ValueError, RecursionError: it is none.
    """
    return json.loads(text, parse_float=_fraction, parse_int=_whole, parse_constant=str)


def _parsed(body: bytes) -> Json | None:
    try:
        value = parse_json(body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _fraction(literal: str) -> str:
    number = Decimal(literal)
    return format(number, "f") if abs(number.adjusted()) < _LONGEST_NUMBER else literal


def _whole(literal: str) -> int | str:
    return int(literal) if len(literal) <= _LONGEST_NUMBER else literal
