"""NC over HTTP: files to the exchange platform, and the site's own read-only views.

| what happens | a read | a write |
|---|---|---|
| nothing listens, no route, time-out while connecting | RetryLater | RetryLater |
| time-out, reset, garbage, too much after sending; HTTP 5xx | RetryLater | OutcomeUnknown |
| HTTP 429 | Refused | Refused |
| HTTP 401, 403, other statuses, redirects, TLS | FixConfig | FixConfig |

The platform asks for no password; the views get the connection's `view_user` and `view_password`. The HTTP library's
exceptions are never chained or quoted: they hold addresses.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from include.adapters.ledger.nc.answers import NotAnAnswer, SendResult, decoded, results_of
from include.adapters.ledger.nc.options import NcOptions
from include.connections import Endpoint
from include.domain.errors import FixConfig, OutcomeUnknown, RetryLater, VoucherflowError
from include.exchanges import is_recording, record
from include.pace import Limiter, Refused, retry_after_s

SERVLET = "/service/XChangeServlet"
BUSY = ("服务器繁忙", "加锁失败")
"""In the refusal of a file that NC would take a little later (RECALL)."""
SETTINGS = ("账套", "集团", "接收方", "外部系统", "没有注册", "未注册", "单据数", "报文过大")
"""In the refusal of a file that NC will never take as it is (RECALL)."""
MAX_ANSWER_BYTES = 32 * 2**20


class NcClient:
    """Calls one NC site. Safe to share between threads; each has its own connection."""

    def __init__(self, endpoint: Endpoint, options: NcOptions, *, limiter: Limiter | None = None) -> None:
        self.name = endpoint.name
        self.base = _address(endpoint.name, endpoint.url)
        views = options.views.rstrip("/")
        self._views = _address(endpoint.name, views) if views else self.base
        self._login = endpoint.extra.get("view_user", ""), endpoint.extra.get("view_password", "")
        if not all(self._login):
            raise FixConfig(
                f"连接 {endpoint.name!r} 缺少 view_user 或 view_password（只读视图的用户）/ the connection lacks view_user or "
                "view_password, the user of the read-only views"
            )
        second = {"groupcode": options.group} if options.release == "nc6" else {"receiver": options.org}
        self._query = {"account": options.account} | second
        self._limiter = limiter or Limiter()
        self._timeout = (options.connect_timeout_s, options.read_timeout_s)
        self._local = threading.local()

    def __repr__(self) -> str:
        return f"NcClient({self.name!r})"

    def exchange(self, document: str) -> list[SendResult]:
        """Send a file; a result for each voucher, or one for the file.

        Raises:
            RetryLater, Refused, FixConfig: nothing was done.
            OutcomeUnknown: the answer was lost or cannot be read.
        """
        return self._limiter.call(lambda: self._exchange(document))

    def view(self, name: str, query: Mapping[str, str]) -> Mapping[str, Any]:
        """A page of a view: `rows`, a list of objects, and `more`.

        Raises:
            RetryLater, Refused: it could not be read, which says nothing. FixConfig: it is set up otherwise.
        """
        return self._limiter.call(lambda: self._view(name, query))

    def _exchange(self, document: str) -> list[SendResult]:
        self._limiter.wait()
        answer: str | None = None
        try:
            answer = self.carry(document)
            results = results_of(answer)
        except NotAnAnswer as error:
            fault = str(error)
        else:
            if any(result.voucher_id for result in results):
                return results
            raise self._file_refused(results[0])
        finally:
            if is_recording():  # there is no secret in a file or its answer
                record(document, answer)
        raise self.lost(f"{SERVLET}: {fault}", writes=True)

    def _file_refused(self, said: SendResult) -> VoucherflowError:
        """What a result without an id means, which speaks of the whole file. What is not known leaves it in doubt."""
        text = f"{said.description[:300]} ({said.code[:40]})"
        if any(word in said.description for word in BUSY):
            return Refused(f"{self.name}: NC 繁忙 / NC is busy: {text}")
        if any(word in said.description for word in SETTINGS):
            return FixConfig(
                f"{self.name}: NC 不接收报文，请核对选项 account、group、org、sender、batch_size 和 NC 的外部系统信息设置 / NC does not take our "
                f"files, check the options account, group, org, sender and batch_size, and its list of external systems: {text}"
            )
        return self.lost(text, writes=True)

    def carry(self, document: str) -> str:
        """The answer document to a file; the other transport does this otherwise."""
        body, kind = self.send(
            "POST",
            f"{self.base}{SERVLET}",
            what=SERVLET,
            writes=True,
            params=self._query,
            data=document.encode(),
            headers={"Content-Type": "text/xml;charset=UTF-8"},
        )
        return decoded(body, kind)

    def _view(self, name: str, query: Mapping[str, str]) -> Mapping[str, Any]:
        self._limiter.wait()
        what = f"/views/{name}"
        body, _ = self.send(
            "GET", f"{self._views}{what}", what=what, writes=False, params=query, auth=self._login
        )
        try:
            page = json.loads(body)
        except (ValueError, RecursionError):
            page = None
        if not isinstance(page, dict) or not isinstance(page.get("more", False), bool):
            raise self.lost(f"{what}: 不是视图的应答 / not what a view answers", writes=False)
        rows = page.get("rows")
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise self.lost(f"{what}: 没有 rows / no rows", writes=False)
        return page

    def lost(self, what: str, *, writes: bool) -> VoucherflowError:
        if writes:
            return OutcomeUnknown(
                f"{self.name}: 结果不明，须先查询 / the outcome is unknown, look before sending again: {what}"
            )
        return RetryLater(f"{self.name}: 读取失败，稍后重试 / it could not be read, try again later: {what}")

    def send(
        self, method: str, url: str, *, what: str, writes: bool, faults: bool = False, **rest: Any
    ) -> tuple[bytes, str]:
        """(body, Content-Type) of an answer with HTTP 200; with `faults`, of one with 500 too, which SOAP faults have."""
        failed: VoucherflowError
        try:
            with self._http().request(
                method, url, timeout=self._timeout, allow_redirects=False, stream=True, **rest
            ) as response:
                body = self._body(response, what, writes=writes)
                if not (faults and response.status_code == 500):
                    self._check_status(response, what, writes=writes)
                return body, response.headers.get("Content-Type", "")
        except (requests.exceptions.SSLError, requests.exceptions.InvalidURL) as error:
            failed = FixConfig(
                f"{self.name}: 连接地址或证书有误 / the address or its certificate is wrong: {type(error).__name__}"
            )
        except requests.exceptions.RequestException as error:
            if _was_never_sent(error):
                failed = RetryLater(
                    f"{self.name}: 无法连接 NC，稍后会重试 / NC cannot be reached, it will be tried again: {what}"
                )
            else:
                failed = self.lost(f"{what}: {type(error).__name__}", writes=writes)
        raise failed  # outside of the handlers, so that nothing is chained

    def _http(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "http", None)
        if session is None:
            session = self._local.http = requests.Session()
            session.trust_env = False  # a .netrc must not answer for the connection
            session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        return session

    def _body(self, response: requests.Response, what: str, *, writes: bool) -> bytes:
        """The body within a limit of size and time, unpacked."""
        parts, size, latest = [], 0, time.monotonic() + self._timeout[1]
        for part in response.iter_content(2**16):
            size += len(part)
            if size > MAX_ANSWER_BYTES or time.monotonic() > latest:
                raise self.lost(f"{what}: 回答过大或过慢 / too much or too slow", writes=writes)
            parts.append(part)
        return b"".join(parts)

    def _check_status(self, response: requests.Response, what: str, *, writes: bool) -> None:
        status = response.status_code
        if status == 200:
            return
        if status == 429:
            pause_s = retry_after_s(response.headers.get("Retry-After"), response.headers.get("Date"))
            raise Refused(f"{self.name}: 调用过于频繁 / too many calls: {what}", retry_after_s=pause_s)
        if status >= 500:
            raise self.lost(f"{what}: HTTP {status}", writes=writes)
        if status in (401, 403):
            raise FixConfig(
                f"{self.name}: 拒绝登录，请核对 view_user 和 view_password / not let in, check view_user and view_password: "
                f"{what} (HTTP {status})"
            )
        raise FixConfig(
            f"{self.name}: 地址或参数不对，请核对连接地址、views 和 book / the address or its parameters are wrong, check the "
            f"connection's address and the options views and book: {what} (HTTP {status})"
        )


def _address(name: str, url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise FixConfig(f"连接 {name!r} 的地址应为 http(s)://… / the address must be http(s)://…")
    return url.rstrip("/")


def _was_never_sent(error: requests.exceptions.RequestException) -> bool:
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return True
    cause: Any = error.args[0] if error.args else None
    return isinstance(getattr(cause, "reason", cause), NewConnectionError | ConnectTimeoutError)
