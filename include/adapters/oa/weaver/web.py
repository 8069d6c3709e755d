"""HTTP to e-cology: one place for time-outs, limits, retries, encodings and the meaning of each status."""

from __future__ import annotations

import logging
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import TypeVar

import requests
from requests.adapters import HTTPAdapter

from include.adapters.oa.weaver.options import WeaverOptions
from include.connections import Endpoint
from include.domain.errors import FixConfig, OutcomeUnknown, RetryLater, VoucherflowError
from include.ports import Clock

log = logging.getLogger(__name__)

Found = TypeVar("Found")
MAX_WAIT_S = 120.0
_FIRST_BACKOFF_S = 0.5
_DECLARED = re.compile(rb"^\s*<\?xml[^>]*encoding=[\"']([A-Za-z0-9_-]+)[\"']")
_CHARSET = re.compile(r"charset=[\"']?([A-Za-z0-9_-]+)", re.IGNORECASE)
_LOGIN = re.compile(r"^\s*(?:<!DOCTYPE html|<html)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, unpacked: `body` holds at most what the options allow."""

    status: int
    body: bytes
    content_type: str = ""
    retry_after_s: float | None = None

    @property
    def text(self) -> str:
        """The body as text: by the charset of the header, the XML declaration, else UTF-8 or GBK, whichever it is.

        Raises:
            RetryLater: it is none of these.
        """
        charset = _CHARSET.search(self.content_type)
        declared = _DECLARED.match(self.body[:200])
        named = charset[1] if charset else declared[1].decode() if declared else ""
        # What calls itself GBK or GB2312 in China is in truth the larger GB18030.
        named = "gb18030" if named.lower() in {"gbk", "gb2312"} else named
        for encoding in [named] if named else ["utf-8", "gb18030"]:
            try:
                return self.body.decode(encoding).lstrip("\ufeff")
            except (UnicodeDecodeError, LookupError):
                continue
        raise RetryLater(
            f"泛微的应答不是 {named or 'UTF-8、GBK'} 文本，可能被截断，稍后重试 / the answer is no text in {named or 'UTF-8 or GBK'}, "
            "perhaps cut off: try again later"
        )

    @property
    def is_page(self) -> bool:
        """Whether it is a web page for people, as a lost session or a gateway gives."""
        return _LOGIN.match(self.body[:200].decode("latin-1")) is not None


class Web:
    """Calls to one installation; may be used by several threads. Redirects are not followed, cookies not kept."""

    def __init__(
        self,
        endpoint: Endpoint,
        options: WeaverOptions,
        clock: Clock,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.base = endpoint.url.rstrip("/")
        self.name = endpoint.name
        self._options = options
        self._clock = clock
        self._jitter = jitter
        self._session = requests.Session()
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        adapter = HTTPAdapter(pool_connections=2, pool_maxsize=options.concurrency, max_retries=0)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)

    def close(self) -> None:
        """Give the connections back."""
        self._session.close()

    def retried(self, read: Callable[[], Found]) -> Found:
        """Try a read until it succeeds, at most `attempts` times.

        Raises:
            RetryLater: it never did.
        """
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

    def _backoff(self, attempt: int, retry_after_s: float | None) -> float:
        if retry_after_s is not None:
            return min(retry_after_s, MAX_WAIT_S)
        ceiling: float = min(_FIRST_BACKOFF_S * 2 ** (attempt - 1), 30.0)
        return ceiling * (0.5 + self._jitter() / 2)

    def send(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        body: bytes | Mapping[str, str] | None = None,
        writing: bool = False,
        faults: bool = False,
    ) -> Answer:
        """One call; the answer has status 200 (or 500 with `faults`, where SOAP says what is wrong).

        Raises:
            RetryLater: certainly nothing was changed.
            OutcomeUnknown: `writing`, and the answer was lost.
            FixConfig: the address is wrong or we may not come in.
        """
        answer = self._exchange(method, path, headers or {}, params or {}, body, writing=writing)
        if answer.status == 200 or (faults and answer.status == 500 and not answer.is_page):
            return answer
        raise self._error(method, path, answer, writing=writing)

    def _exchange(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        params: Mapping[str, str],
        body: bytes | Mapping[str, str] | None,
        *,
        writing: bool,
    ) -> Answer:
        failure: VoucherflowError
        try:
            with self._session.request(
                method,
                self.base + path,
                params=params,
                data=body,
                headers=headers,
                timeout=(self._options.connect_timeout_s, self._options.read_timeout_s),
                allow_redirects=False,
                stream=True,
            ) as response:
                wait = response.headers.get("Retry-After", "")
                return Answer(
                    response.status_code,
                    self._body(path, response),
                    response.headers.get("Content-Type", ""),
                    float(wait) if wait.isdigit() and len(wait) < 6 else None,
                )
        except (requests.ConnectTimeout, requests.exceptions.SSLError) as error:
            failure = self._unreachable(path, error)
        except requests.RequestException as error:
            # A refused connection sent nothing; a reset one may have.
            refused = "NewConnectionError" in repr(error) or "NameResolutionError" in repr(error)
            failure = self._lost(path, error) if writing and not refused else self._unreachable(path, error)
        except RetryLater as error:
            failure = OutcomeUnknown(str(error)) if writing else error
        # Raised outside of the handlers: the library's exception quotes headers and must not be chained.
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
                    f"泛微 {path} 的应答超过 {self._options.max_body_mb} MB：请减小 page_size / the answer of {path} is larger "
                    f"than {self._options.max_body_mb} MB: lower page_size"
                )
            chunks.append(chunk)
        return b"".join(chunks)

    def _error(self, method: str, path: str, answer: Answer, *, writing: bool) -> VoucherflowError:
        """The table of statuses."""
        where = f"泛微 {method} {path} → HTTP {answer.status}"
        match answer.status:
            case 401 | 403:
                return FixConfig(
                    f"{where}：不允许访问：请在 e-cology 的接口白名单中加入本机地址，并核对连接 {self.name!r} / access is refused: have "
                    f"this machine's address allowed in e-cology and check connection {self.name!r}"
                )
            case 408 | 425 | 429:
                return RetryLater(
                    f"{where}：请求过于频繁，稍后重试 / too many requests, later",
                    retry_after_s=answer.retry_after_s,
                )
            case status if 300 <= status < 400:
                return FixConfig(
                    f"{where}：地址已变更，请更新连接 {self.name!r} 的地址 / it has moved: update the host of the connection"
                )
            case status if status >= 500 and not writing:
                return RetryLater(
                    f"{where}：泛微暂时不可用 / e-cology is not available", retry_after_s=answer.retry_after_s
                )
            case status if status >= 500:
                return OutcomeUnknown(f"{where}：结果不明 / the outcome is unknown")
            case _:
                return FixConfig(
                    f"{where}：没有此接口：请核对连接 {self.name!r} 的地址和选项 interface / there is no such interface: check the host "
                    f"of connection {self.name!r} and the option interface"
                )

    def _unreachable(self, path: str, error: Exception) -> RetryLater:
        return RetryLater(
            f"无法读取泛微 {self.base}{path}（{type(error).__name__}）：请检查网络和地址，稍后重试 / cannot read from e-cology: check "
            "network and host, then try again"
        )

    def _lost(self, path: str, error: Exception) -> OutcomeUnknown:
        return OutcomeUnknown(
            f"泛微 {self.base}{path} 的应答丢失（{type(error).__name__}），结果不明 / the answer was lost, the outcome is unknown"
        )
