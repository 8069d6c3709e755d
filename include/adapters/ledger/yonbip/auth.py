"""Where a tenant's gateway is, and tokens for it: got by a signed query, kept, renewed, and kept out of sight.

Source: the vendor's pages 获取租户所在数据中心域名 and 获取 access_token, as transcribed. A token lives two hours and travels in the
query string of every call, so every URL is a secret.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from include.adapters.ledger.yonbip.answers import Answer
from include.connections import Endpoint
from include.domain.errors import FixConfig

LOOK_UP_PATH = "/open-auth/dataCenter/getGatewayAddress"
TOKEN_PATH = "/open-auth/selfAppAuth/base/v1/getAccessToken"  # noqa: S105
LONGEST_LIFE_S = 7200.0
SHARE = 0.9
"""The part of its life for which a token is used."""

Fetch = Callable[[str, Mapping[str, str]], Answer]
"""GET url, query → answer; raises RetryLater and FixConfig."""

_SECRET_PARAMETER = re.compile(r"(?i)((?:access_token|appKey|signature)[\"']?\s*[=:]\s*[\"']?)[^&\s\"',}]+")


@dataclass(frozen=True, slots=True)
class Credentials:
    """A self-built application (自建应用) of a tenant. Neither of its keys is in its repr."""

    url: str
    app_key: str = field(repr=False)
    app_secret: str = field(repr=False)
    tenant_id: str = ""
    token_url: str = ""

    @classmethod
    def of(cls, endpoint: Endpoint) -> Credentials:
        """Raises FixConfig: the connection lacks a part."""
        tenant_id, token_url = (endpoint.extra.get(name, "") for name in ("tenant_id", "token_url"))
        given = {
            "appKey (login)": endpoint.login,
            "appSecret (password)": endpoint.password,
            "租户 tenant_id": tenant_id or token_url,
        }
        missing = [name for name, value in given.items() if not value]
        if missing:
            raise FixConfig(
                f"{endpoint.name}: 连接缺少 {'、'.join(missing)}，见用友工作台「我的应用」/ the connection lacks {', '.join(missing)}: "
                "they are shown with the application in Yonyou's workbench"
            )
        return cls(
            endpoint.url.rstrip("/"), endpoint.login, endpoint.password, tenant_id, token_url.rstrip("/")
        )


def signature_of(parameters: Mapping[str, str], secret: str) -> str:
    """Base64 of the HMAC-SHA256 of names and values in the order of names; the query's encoding comes on top, once."""
    text = "".join(f"{name}{parameters[name]}" for name in sorted(parameters))
    return base64.b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest()).decode()


class TokenKeeper:
    """One gateway address and one token, shared by all threads of a client."""

    def __init__(
        self,
        name: str,
        credentials: Credentials,
        fetch: Fetch,
        *,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._credentials = credentials
        self._fetch = fetch
        self._now = now
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._urls: tuple[str, str] | None = None
        self._token = ""
        self._good_until = 0.0

    def __repr__(self) -> str:
        return f"TokenKeeper({self._name!r})"

    def get(self) -> tuple[str, str]:
        """The gateway's address and a token for it.

        Raises:
            FixConfig: tenant or keys are refused, an address makes no sense.
            RetryLater: nobody answers.
        """
        with self._lock:
            if not self._token or self._monotonic() >= self._good_until:
                self._log_in()
            return self._addresses()[0], self._token

    def renew(self, refused: str) -> tuple[str, str]:
        """Another token than the one that was refused; one that another thread got meanwhile will do."""
        with self._lock:
            if self._token == refused:
                self._log_in()
            return self._addresses()[0], self._token

    def redact(self, text: str) -> str:
        """The text without anything secret that we know of."""
        for secret in (self._credentials.app_secret, self._credentials.app_key, self._token):
            if secret:
                text = text.replace(secret, "***")
        return redact_parameters(text)

    def _addresses(self) -> tuple[str, str]:
        """The gateway's and the token service's, which differ by data centre."""
        if self._urls is None:
            given = self._credentials
            if given.token_url:
                self._urls = given.url, given.token_url
            else:
                answer = self._fetch(f"{given.url}{LOOK_UP_PATH}", {"tenantId": given.tenant_id})
                data = answer.data if answer.is_done and isinstance(answer.data, Mapping) else {}
                self._urls = (
                    self._checked(data.get("gatewayUrl"), answer),
                    self._checked(data.get("tokenUrl"), answer),
                )
        return self._urls

    def _checked(self, url: object, answer: Answer) -> str:
        """An address that the look-up gave. It may be any host, but never less protected than the one that we asked."""
        parts = urlsplit(url if isinstance(url, str) else "")
        schemes = ("https",) if self._credentials.url.startswith("https:") else ("https", "http")
        if parts.scheme not in schemes or not parts.hostname or parts.query or parts.username:
            raise FixConfig(
                f"{self._name}: 用友没有给出此租户的网关地址，请检查 tenant_id 和地址 / YonBIP gives no gateway for this tenant: check "
                f"tenant_id and the address: {answer.message} ({answer.code})"
            )
        return str(url).rstrip("/")

    def _log_in(self) -> None:
        _, token_url = self._addresses()
        query = {"appKey": self._credentials.app_key, "timestamp": str(int(self._now() * 1000))}
        query["signature"] = signature_of(query, self._credentials.app_secret)
        answer = self._fetch(f"{token_url}{TOKEN_PATH}", query)
        data = answer.data if answer.is_done and isinstance(answer.data, Mapping) else {}
        token = data.get("access_token")
        if not isinstance(token, str) or not token:
            raise FixConfig(
                f"{self._name}: 用友不给令牌，请检查 appKey、appSecret、应用是否启用，以及本机时钟 / YonBIP gives no token: check appKey, "
                f"appSecret, that the application is switched on, and this machine's clock: {self.redact(answer.message)} "
                f"({answer.code})"
            )
        self._token, self._good_until = token, self._monotonic() + SHARE * _life_s(data.get("expire"))


def _life_s(value: object) -> float:
    """What the answer says a token's life is, in seconds; the documented two hours where it makes no sense."""
    text = str(value).strip()
    life_s = float(text[:9]) if text.isascii() and text.isdecimal() else 0.0
    return life_s if 0 < life_s <= LONGEST_LIFE_S else LONGEST_LIFE_S


def redact_parameters(text: str) -> str:
    """The text with the values of secret parameters replaced."""
    return _SECRET_PARAMETER.sub(r"\1***", text)


class RedactSecrets(logging.Filter):
    """urllib3 writes whole URLs into its debug log; this keeps tokens out of it."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = redact_parameters(record.getMessage())
        record.args = ()
        return True


_filter = RedactSecrets()


def protect_logs() -> None:
    """Keep tokens out of the HTTP library's log, however verbose it is set; repeating it changes nothing."""
    logging.getLogger("urllib3.connectionpool").addFilter(_filter)
