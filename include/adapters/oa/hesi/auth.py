"""Access tokens: got, kept, refreshed before they expire, and kept out of sight.

Source: the vendor's pages 获取授权 and 刷新授权. A token lives two hours by default, a refreshed one 32 days;
an expired one cannot be refreshed. It travels in the query string of every call, so every URL is a secret.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from include.domain.errors import FixConfig, VoucherflowError
from include.ports import Clock

ACCESS_PATH = "/api/openapi/v1/auth/getAccessToken"
REFRESH_PATH = "/api/openapi/v2/auth/refreshToken"
POWER_CODE = "219904"
"""A constant of the refresh page, the same for all tenants."""
MARGIN = timedelta(minutes=5)

_SECRET_PARAMETER = re.compile(
    r"(?i)((?:accessToken|refreshToken|appKey|appSecurity)[\"']?\s*[=:]\s*[\"']?)[^&\s\"',}]+"
)

Exchange = Callable[[str, Mapping[str, str], Mapping[str, str] | None], Any]
"""POST path, query, JSON body → parsed answer; raises the errors of `include.domain.errors`."""


@dataclass(frozen=True, slots=True)
class Token:
    """`expires_at` is None where the OA's word on it makes no sense; `renew_at` comes before it."""

    access: str = field(repr=False)
    refresh: str = field(repr=False)
    renew_at: datetime | None
    expires_at: datetime | None


class TokenKeeper:
    """One token shared by all threads of a client."""

    def __init__(self, exchange: Exchange, app_key: str, app_security: str, clock: Clock) -> None:
        self._exchange = exchange
        self._app_key = app_key
        self._app_security = app_security
        self._clock = clock
        self._lock = threading.Lock()
        self._token: Token | None = None

    def __repr__(self) -> str:
        return "TokenKeeper()"

    def get(self) -> str:
        """A token that should be good for the next call.

        Raises:
            FixConfig: the keys are refused.
            RetryLater: the OA cannot be reached.
        """
        with self._lock:
            token = self._token
            now = self._clock.now()
            if token is None or (token.expires_at is not None and now >= token.expires_at):
                token = self._log_in()
            elif token.renew_at is not None and now >= token.renew_at:
                token = self._refreshed(token)
            self._token = token
            return token.access

    def renew(self, refused: str) -> str:
        """Another token than the one that was refused; a token that another thread got meanwhile will do."""
        with self._lock:
            if self._token is None or self._token.access == refused:
                self._token = self._log_in()
            return self._token.access

    def redact(self, text: str) -> str:
        """The text without anything secret that we know of."""
        token = self._token
        secrets = [self._app_key, self._app_security]
        if token is not None:
            secrets += [token.access, token.refresh]
        for secret in secrets:
            if secret:
                text = text.replace(secret, "***")
        return redact_parameters(text)

    def _log_in(self) -> Token:
        if not self._app_key or not self._app_security:
            raise FixConfig(
                "合思连接缺少接入账号或接入密码：请在连接的 Login 填 appKey、Password 填 appSecurity / the Hesi connection has "
                "no appKey or appSecurity: put them into the connection's login and password"
            )
        keys = {"appKey": self._app_key, "appSecurity": self._app_security}
        try:
            token = self._read(self._exchange(ACCESS_PATH, {}, keys))
            said = ""
        except FixConfig as refusal:
            token, said = None, f"（{refusal}）"
        if token is None:
            raise FixConfig(
                "合思不接受接入账号和密码：请核对连接的 Login（appKey）、Password（appSecurity）和地址前缀 / Hesi refuses appKey "
                f"and appSecurity: check login, password and host of the connection{said}"
            )
        return token

    def _refreshed(self, token: Token) -> Token:
        try:
            answer = self._exchange(
                REFRESH_PATH,
                {"accessToken": token.access, "refreshToken": token.refresh, "powerCode": POWER_CODE},
                None,
            )
        except VoucherflowError:
            # Whatever the refresh stumbled over, a new log-in is the documented way on; it reports for both.
            return self._log_in()
        return self._read(answer) or self._log_in()

    def _read(self, answer: Any) -> Token | None:
        value = answer.get("value") if isinstance(answer, Mapping) else None
        access = value.get("accessToken") if isinstance(value, Mapping) else None
        if not isinstance(value, Mapping) or not isinstance(access, str) or not access:
            # Older tenants answer a wrong key with HTTP 200 and {"value": {"errorCode": 403, …}}.
            return None
        refresh = value.get("refreshToken")
        now = self._clock.now()
        expires_at = _moment(value.get("expireTime"))
        if expires_at is not None and expires_at <= now:
            # Our clock and theirs differ by more than the token's life: use it until it is refused.
            expires_at = None
        renew_at = None if expires_at is None else expires_at - min(MARGIN, (expires_at - now) / 10)
        return Token(access, refresh if isinstance(refresh, str) else "", renew_at, expires_at)


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


def _moment(value: object) -> datetime | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(value))
    except (ValueError, OverflowError):
        return None
