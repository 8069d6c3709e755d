"""Who calls: the connection's credentials, the SDK that signs with them, and when a session may be dropped.

Kingdee's SDK needs no login: every call is signed, and the session id that an answer brings is sent along afterwards.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from k3cloud_webapi_sdk.main import K3CloudApiSdk
from k3cloud_webapi_sdk.model.cookie_store import CookieStore

from include.connections import Endpoint
from include.domain.errors import FixConfig

COOL_DOWN_S = 300.0
"""A session is thrown away once in so long: a new one may need minutes until the site takes it, as users report."""
LCID = 2052
"""Chinese: refusals come in the language of the caller, and the table of errors knows Chinese."""

Transport = Callable[[str, dict[str, str], Any], tuple[str, Any]]
"""Sends (url, signed headers, body as JSON data) and gives the answer's text and the `requests` answer."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What Kingdee calls 第三方系统登录授权. Neither secret nor application id is in its repr."""

    url: str
    acct_id: str = field(repr=False)
    user: str = field(repr=False)
    app_id: str = field(repr=False)
    app_secret: str = field(repr=False)
    organisation: str = ""

    @classmethod
    def of(cls, endpoint: Endpoint, organisation: str) -> Credentials:
        """Raises FixConfig: the connection lacks a part, or the application id is none."""
        given = {
            "用户 login": endpoint.login,
            "应用密钥 password": endpoint.password,
            "数据中心 acct_id": endpoint.extra.get("acct_id", ""),
            "应用 ID app_id": endpoint.extra.get("app_id", ""),
        }
        missing = [name for name, value in given.items() if not value]
        if missing:
            raise FixConfig(
                f"{endpoint.name}: 连接缺少 {'、'.join(missing)}，见金蝶「第三方系统登录授权」/ the connection lacks "
                f"{', '.join(missing)}: they are shown in Kingdee under third-party login authorisation"
            )
        client, _, key = given["应用 ID app_id"].partition("_")
        if not client or len(key) != 32:
            raise FixConfig(
                f"{endpoint.name}: app_id 应形如 204399_ 加 32 个字符 / app_id is a number, _ and 32 characters: copy it whole"
            )
        user, secret, acct_id, app_id = given.values()
        return cls(endpoint.url, acct_id, user, app_id, secret, organisation)


class Sdk(K3CloudApiSdk):  # type: ignore[misc]
    """Kingdee's SDK with another way of sending.

    Its `PostJson` does not verify certificates, follows redirects, reads answers of any size, loses the HTTP status and
    cuts error texts; a failed call cannot be told from one whose answer was lost. Signatures, services, bodies and
    cookies stay the SDK's. (Importing it switches urllib3's warning of unverified certificates off; ours are verified.)
    """

    def __init__(self, credentials: Credentials, send: Transport) -> None:
        super().__init__(credentials.url)
        self._send = send
        self._dropped_at: float | None = None
        self.InitConfig(
            credentials.acct_id,
            credentials.user,
            credentials.app_id,
            credentials.app_secret,
            credentials.url,
            lcid=LCID,
        )
        if credentials.organisation:
            # InitConfig takes whole numbers alone; what is signed is its text, and organisations may have letters.
            self.identify.OrgNum = credentials.organisation

    def PostJson(self, service_name: str, json_data: Any = None, _invoke_type: Any = None) -> str:  # noqa: N802
        url = f"{self.identify.ServerUrl.rstrip('/')}/{service_name}.common.kdsvc"
        text, response = self._send(url, self.BuildHeader(url), json_data or {})
        if response.status_code == 200:
            self.FillCookieAndHeader(response.cookies, response.headers)
        return text

    @property
    def session_id(self) -> str:
        return str(self.cookiesStore.SID)

    def drop_session(self) -> bool:
        """Forget the session id, unless that was done less than COOL_DOWN_S ago; says whether it was."""
        now = time.monotonic()
        if self._dropped_at is not None and now - self._dropped_at < COOL_DOWN_S:
            return False
        self._dropped_at = now
        self.cookiesStore = CookieStore()
        return True
