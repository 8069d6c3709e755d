"""HTTP to Hesi: one place for time-outs, limits, retries, pacing and the meaning of each status."""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC
from decimal import Decimal
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from include.adapters.oa.hesi.auth import TokenKeeper, protect_logs
from include.adapters.oa.hesi.options import HesiOptions
from include.adapters.oa.hesi.pacing import MAX_WAIT_S, Pacer
from include.connections import Endpoint
from include.domain.errors import FixConfig, FixData, OutcomeUnknown, RetryLater, VoucherflowError
from include.ports import Clock

log = logging.getLogger(__name__)

Params = Mapping[str, str]
Check = Callable[[Any], str | None]
"""Looks at a parsed answer and says what is wrong with it, or None."""

_FIRST_BACKOFF_S = 0.5
_LONGEST_NUMBER = 64


class DocumentGone(FixData):
    """HTTP 412: the document does not exist or was deleted."""


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes
    retry_after_s: float | None


class HesiClient:
    """A logged-in client; may be used by several threads.

    No error, log line or repr of it shows the token: a token travels in the URL, and the HTTP library puts
    URLs into its messages, so its exceptions are never chained or quoted.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        options: HesiOptions,
        clock: Clock,
        *,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        protect_logs()
        self._base = endpoint.url.rstrip("/")
        self._name = endpoint.name
        self._options = options
        self._jitter = jitter
        self._clock = clock
        self.pacer = Pacer(options.requests_per_s, sleep=clock.sleep)
        self._tokens = TokenKeeper(self._log_in, endpoint.login, endpoint.password, clock)
        self._session = requests.Session()
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        adapter = HTTPAdapter(pool_connections=2, pool_maxsize=options.concurrency, max_retries=0)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)

    def __repr__(self) -> str:
        return f"HesiClient({self._base!r})"

    def close(self) -> None:
        """Give the connections back. The client may still be used and then opens new ones."""
        self._session.close()

    def read(self, path: str, params: Params, check: Check | None = None) -> Any:
        """GET, retried; `params` without the token.

        Raises:
            RetryLater: network, overload, or an answer that is not what it should be, after all attempts.
            FixConfig: the keys, the address or the request are refused.
            DocumentGone: 412.
        """
        return self._retried("GET", path, params, None, check)

    def search(self, path: str, body: Any, check: Check | None = None) -> Any:
        """POST to a page that only reads; as `read`."""
        return self._retried("POST", path, {}, body, check)

    def write(self, path: str, body: Any) -> Any:
        """PUT, sent once, or again only where the OA certainly did nothing (token refused).

        Raises:
            OutcomeUnknown: it was sent and the answer was lost or is an error of the server.
            RetryLater: certainly nothing was changed (no connection, 429).
            FixData: the content is refused (400, 412).
            FixConfig: the keys or the address are refused.
        """
        answer = self._authorised("PUT", path, {}, body, writing=True)
        return self._parsed("PUT", path, answer, writing=True)

    # -- one call after another ----------------------------------------------------------------------

    def _retried(self, method: str, path: str, params: Params, body: Any, check: Check | None) -> Any:
        for attempt in range(1, self._options.attempts + 1):
            try:
                answer = self._authorised(method, path, params, body, writing=False)
                return self._checked(method, path, self._parsed(method, path, answer, writing=False), check)
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

    def _authorised(self, method: str, path: str, params: Params, body: Any, *, writing: bool) -> _Answer:
        """One call with a token; a refused token is replaced, and one that was just issued gets a moment."""
        token = self._tokens.get()
        answer = self._paced(method, path, {**params, "accessToken": token}, body, writing=writing)
        if answer.status == HTTPStatus.FORBIDDEN:
            token = self._tokens.renew(token)
            answer = self._paced(method, path, {**params, "accessToken": token}, body, writing=writing)
        if answer.status == HTTPStatus.FORBIDDEN:
            self._clock.sleep(self._options.new_token_delay_s)
            answer = self._paced(method, path, {**params, "accessToken": token}, body, writing=writing)
        return answer

    def _log_in(self, path: str, params: Params, body: Params | None) -> Any:
        """The token pages, which need no token. Repeating them does no harm."""
        for attempt in range(1, self._options.attempts + 1):
            try:
                answer = self._paced("POST", path, params, body, writing=False)
                return self._parsed("POST", path, answer, writing=False)
            except RetryLater as error:
                if attempt == self._options.attempts:
                    raise
                self._clock.sleep(self._backoff(attempt, error.retry_after_s))
        raise AssertionError("attempts is at least 1")

    # -- one call ------------------------------------------------------------------------------------

    def _paced(self, method: str, path: str, params: Params, body: Any, *, writing: bool) -> _Answer:
        self.pacer.wait()
        answer = self._send(method, path, params, body, writing=writing)
        if answer.status == HTTPStatus.TOO_MANY_REQUESTS or answer.status >= 500:
            self.pacer.slow_down(answer.retry_after_s)
        else:
            self.pacer.went_well()
        return answer

    def _send(self, method: str, path: str, params: Params, body: Any, *, writing: bool) -> _Answer:
        failure: VoucherflowError
        try:
            with self._session.request(
                method,
                self._base + path,
                params=params,
                json=body,
                timeout=(self._options.connect_timeout_s, self._options.read_timeout_s),
                allow_redirects=False,
                stream=True,
            ) as response:
                return _Answer(response.status_code, self._body(path, response), self._retry_after(response))
        except (requests.ConnectTimeout, requests.exceptions.SSLError) as error:
            failure = self._unreachable(path, error)
        except requests.ConnectionError as error:
            # A refused connection sent nothing; a reset one may have.
            refused = "NewConnectionError" in repr(error) or "NameResolutionError" in repr(error)
            failure = self._lost(path, error) if writing and not refused else self._unreachable(path, error)
        except requests.RequestException as error:
            failure = self._lost(path, error) if writing else self._unreachable(path, error)
        except RetryLater as error:
            failure = OutcomeUnknown(str(error)) if writing else error
        # Raised outside of the handlers: the library's exception must not be chained, it quotes the URL.
        raise failure

    def _body(self, path: str, response: requests.Response) -> bytes:
        limit = self._options.max_body_mb * 1024 * 1024
        chunks: list[bytes] = []
        size = 0
        for chunk in response.iter_content(64 * 1024):
            size += len(chunk)
            if size > limit:
                raise RetryLater(
                    f"合思 {path} 的应答超过 {self._options.max_body_mb} MB：请减小 page_size / the answer of {path} is larger "
                    f"than {self._options.max_body_mb} MB: lower page_size"
                )
            chunks.append(chunk)
        return b"".join(chunks)

    def _retry_after(self, response: requests.Response) -> float | None:
        text = response.headers.get("Retry-After", "").strip()
        if text.isdigit():
            return float(min(int(text[:9]), MAX_WAIT_S))
        try:
            moment = parsedate_to_datetime(text)
        except (ValueError, TypeError):
            return None
        at = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return min(max((at - self._clock.now()).total_seconds(), 0.0), MAX_WAIT_S)

    # -- what an answer means ------------------------------------------------------------------------

    def _parsed(self, method: str, path: str, answer: _Answer, *, writing: bool) -> Any:
        if answer.status != HTTPStatus.OK:
            raise self._error(method, path, answer, writing=writing)
        try:
            return _parse(answer.body)
        except (ValueError, RecursionError):
            pass  # raised below, so that the parser's error, which quotes the body, is not chained
        message = (
            f"合思 {path} 的应答不是完整的 JSON（{len(answer.body)} 字节），可能被截断，稍后重试 / the answer of {path} is no "
            f"complete JSON ({len(answer.body)} bytes), perhaps cut off; trying again later may help"
        )
        raise OutcomeUnknown(message) if writing else RetryLater(message)

    def _checked(self, method: str, path: str, value: Any, check: Check | None) -> Any:
        fault = check(value) if check else None
        if fault is not None:
            raise RetryLater(
                f"合思 {method} {path} 的应答不合约定 / the answer is not as documented: {fault}"
            )
        return value

    def _error(self, method: str, path: str, answer: _Answer, *, writing: bool) -> VoucherflowError:
        """The table of statuses. Only this function knows what they mean."""
        said = self._tokens.redact(_words(answer.body))
        where = f"合思 {method} {path} → HTTP {answer.status} {said}".rstrip()
        match answer.status:
            case 400 if writing:
                return FixData(f"{where}：单据当前不接受此内容 / the document does not take this")
            case 412:
                return DocumentGone(f"{where}：单据不存在或已删除 / the document is gone")
            case 400 | 404 | 405 | 413 | 414 | 415:
                return FixConfig(
                    f"{where}：请求不被接受，请检查来源配置和地址前缀 / the request is refused: check the source's "
                    f"configuration and the host of connection {self._name!r}"
                )
            case 401 | 403:
                return FixConfig(
                    f"{where}：未授权，请检查连接 {self._name!r} 的账号、密码、地址前缀和已开通的功能 / not authorised: check "
                    f"login, password and host of connection {self._name!r} and what the tenant has switched on"
                )
            case 408 | 425 | 429:
                return RetryLater(
                    f"{where}：请求过于频繁，稍后重试 / too many requests, later",
                    retry_after_s=answer.retry_after_s,
                )
            case status if 300 <= status < 400:
                return FixConfig(
                    f"{where}：地址已变更，请更新连接 {self._name!r} 的地址前缀 / it has moved: update the host of the connection"
                )
            case status if status >= 500 and not writing:
                return RetryLater(
                    f"{where}：合思暂时不可用 / Hesi is not available", retry_after_s=answer.retry_after_s
                )
            case status if status >= 500:
                return OutcomeUnknown(f"{where}：结果不明 / the outcome is unknown")
            case _:
                return FixConfig(f"{where}：未约定的状态 / a status that the vendor does not document")

    def _unreachable(self, path: str, error: Exception) -> RetryLater:
        return RetryLater(
            f"无法读取合思 {self._base}{path}（{_kind(error)}）：请检查网络和地址，稍后重试 / cannot read from Hesi: check network "
            f"and host, then try again"
        )

    def _lost(self, path: str, error: Exception) -> OutcomeUnknown:
        return OutcomeUnknown(
            f"合思 {self._base}{path} 的应答丢失（{_kind(error)}），结果不明 / the answer was lost, the outcome is unknown"
        )


def _kind(error: Exception) -> str:
    """The name of what went wrong, without its text, which quotes the URL."""
    return type(error).__name__


def _words(body: bytes) -> str:
    """What an error answer says, in a few words."""
    text = body[:4096].decode("utf-8", "replace")
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return " ".join(text.split())[:200]
    if isinstance(value, dict):
        for name in ("errorMessage", "message", "msg"):
            if isinstance(value.get(name), str):
                return " ".join(value[name].split())[:2000]
    return " ".join(text.split())[:200]


def _parse(body: bytes) -> Any:
    """JSON with every number exact: as text where Python has no number for it, so that one odd field cannot
    make a page unreadable.
    """
    try:
        return json.loads(body, parse_float=_exact, parse_constant=str)
    except ValueError:
        # Perhaps an integer of thousands of digits, which Python refuses; a hook for all of them would be slow.
        return json.loads(body, parse_float=_exact, parse_constant=str, parse_int=_whole)


def _exact(literal: str) -> float | str:
    """A JSON number as a float where that is the same number, else its text: money must not lose digits."""
    value = float(literal)
    is_same = value not in (float("inf"), float("-inf")) and Decimal(repr(value)) == Decimal(literal)
    return value if is_same else literal


def _whole(literal: str) -> int | str:
    """A JSON integer, text where it is absurdly long."""
    return int(literal) if len(literal) <= _LONGEST_NUMBER else literal
