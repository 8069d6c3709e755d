"""Who may call: signed headers as Kingdee's SDK sends them, three logins, and sessions.

The order was observed on a live site: a session id that is alive lets a call in and nothing else is looked at;
otherwise the signature and the credentials decide; when they fail, the answer is 会话信息已丢失 and a session id that
is none. Sessions live in memory: a restart loses them.
"""

from __future__ import annotations

import base64
import codecs
import hashlib
import hmac
import secrets
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote

from include.emulators.hesi.clock import EmulatorClock
from include.emulators.kingdee.options import Options

Json = dict[str, Any]
SESSION_KEY = "kdservice-sessionid"
LCIDS = ("2052", "1033", "3076")
_SEED = "0054s397p6234378o09pn7q3r5qropr7"
SIGNED_HEADERS = "x-api-timestamp,x-api-nonce"


@dataclass(frozen=True, slots=True)
class Credentials:
    """One data centre (账套) with one integration user and one application. `app_id` is `<client>_<32 characters>`."""

    acct_id: str = "5f0e1a2b3c4d5e"
    user: str = "webapi"
    password: str = "emulator-password"  # noqa: S105  (opens nothing but the emulator)
    app_id: str = "VF0001_" + base64.b64encode(b"voucherflow-emulated-k3c").decode()
    app_secret: str = "emulator-app-secret"  # noqa: S105  (opens nothing but the emulator)
    acct_name: str = "示例账套"


class WrongAccountError(Exception):
    """The data centre of a signed call does not exist: no JSON answer, HTTP 500."""


@dataclass(slots=True)
class Session:
    id: str
    user: str
    lcid: int
    from_ms: int
    used_ms: int


@dataclass(frozen=True, slots=True)
class Admission:
    """The outcome for one call: who it is (None: nobody), and a session id to hand out with the answer."""

    session: Session | None
    new_sid: str | None = None


@dataclass(slots=True)
class Access:
    """The door. Safe to use from several threads."""

    credentials: Credentials
    clock: EmulatorClock
    sessions: dict[str, Session] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def admit(
        self, headers: Mapping[str, str], cookies: Mapping[str, str], raw_path: str, opts: Options
    ) -> Admission:
        """Let a call in, or not.

        Raises:
            WrongAccountError: signed for another data centre.
        """
        now = self.clock.now_ms()
        with self._lock:
            sid = headers.get(SESSION_KEY) or cookies.get(SESSION_KEY) or ""
            session = self.sessions.get(sid)
            if session is not None and now - session.used_ms > opts.session_ttl_s * 1000:
                del self.sessions[sid]
                session = None
            if session is not None and now - session.from_ms >= opts.session_unready_ms:
                session.used_ms = now
                return Admission(session)
            if session is not None:
                return Admission(None)
        user = self._signed_user(headers, raw_path, opts)
        if user is None:
            return Admission(None, str(uuid.uuid4()))
        opened = self.open(user[0], user[1])
        return Admission(None if opts.session_unready_ms else opened, opened.id)

    def open(self, user: str, lcid: int) -> Session:
        now = self.clock.now_ms()
        session = Session(str(uuid.uuid4()), user, lcid, now, now)
        with self._lock:
            self.sessions[session.id] = session
        return session

    def close(self, sid: str) -> None:
        with self._lock:
            self.sessions.pop(sid, None)

    def drop_all(self) -> int:
        """All sessions end at once, as when the site's server restarts."""
        with self._lock:
            dropped = len(self.sessions)
            self.sessions.clear()
        return dropped

    def _signed_user(
        self, headers: Mapping[str, str], raw_path: str, opts: Options
    ) -> tuple[str, int] | None:
        """(user, lcid) of correctly signed headers, None of anything else."""
        mine = self.credentials
        if not headers.get("x-kd-appkey"):
            return None
        try:
            app_data = base64.b64decode(headers.get("x-kd-appdata", ""), validate=True).decode("utf-8")
        except ValueError:
            return None
        parts = app_data.split(",")
        if len(parts) != 4:
            return None
        acct_id, user, lcid, _organisation = (
            parts  # the organisation is signed, but whether it exists is not checked
        )
        if acct_id != mine.acct_id:
            raise WrongAccountError
        timestamp = headers.get("x-api-timestamp", "")
        client, secret = _application(mine.app_id)
        signed = (
            f"POST\n{_signed_path(raw_path)}\n\nx-api-nonce:{headers.get('x-api-nonce', '')}"
            f"\nx-api-timestamp:{timestamp}\n"
        )
        checks = (
            _same(headers.get("x-kd-appkey", ""), mine.app_id),
            _same(user, mine.user),
            lcid in LCIDS,
            _same(headers.get("x-kd-signature", ""), _signature(mine.app_id + app_data, mine.app_secret)),
            _same(headers.get("x-api-clientid", ""), client),
            headers.get("x-api-auth-version") == "2.0",
            headers.get("x-api-signheaders") == SIGNED_HEADERS,
            _same(headers.get("x-api-signature", ""), _signature(signed, secret)),
            self._in_time(timestamp, opts.timestamp_window_s),
        )
        return (user, int(lcid)) if all(checks) else None

    def _in_time(self, timestamp: str, window_s: int) -> bool:
        """Whether a timestamp in seconds is near enough to now; a window of 0 is not looked at."""
        if not window_s:
            return True
        return timestamp.isdecimal() and abs(self.clock.now_ms() // 1000 - int(timestamp[:18])) <= window_s

    def gateway_problem(self, headers: Mapping[str, str], opts: Options) -> tuple[int, str, str] | None:
        """What the gateway says of a call before the server sees it: (errcode, English, Chinese)."""
        if not headers.get("x-api-clientid"):
            return 4002, "Unauthorized, APP_ID is empty", "认证失败, 应用ID为空"
        timestamp = headers.get("x-api-timestamp", "")
        if not self._in_time(timestamp, opts.gateway_window_s):
            return (
                4006,
                f"Unauthorized, errDescEn: X-Api-TimeStamp is invalid: {timestamp}",
                f"认证失败, errDescCn: X-Api-TimeStamp过期: {timestamp}",
            )
        return None

    # Logins

    def validate_user(self, acct_id: str, user: str, password: str, lcid: str) -> Json:
        """ValidateUser."""
        mine = self.credentials
        known = _same(acct_id, mine.acct_id) & _same(user, mine.user) & _same(password, mine.password)
        return self._login(user, lcid, known=known, wrong="用户名或密码错误，请检查！")

    def login_by_secret(self, acct_id: str, user: str, app_id: str, app_secret: str, lcid: str) -> Json:
        """LoginByAppSecret."""
        mine = self.credentials
        known = _same(acct_id, mine.acct_id) & _same(user, mine.user)
        known &= _same(app_id, mine.app_id) & _same(app_secret, mine.app_secret)
        return self._login(user, lcid, known=known, wrong="应用ID或应用密钥不正确")

    def login_by_sign(
        self, opts: Options, acct_id: str, user: str, app_id: str, timestamp: str, sign: str, lcid: str
    ) -> Json:
        """LoginBySign: the sign is the SHA-256 of account, user, application, secret and time, sorted and joined."""
        mine = self.credentials
        values = sorted([mine.acct_id, mine.user, mine.app_id, mine.app_secret, timestamp])
        expected = hashlib.sha256("".join(values).encode()).hexdigest()
        known = _same(acct_id, mine.acct_id) & _same(user, mine.user) & _same(app_id, mine.app_id)
        known &= _same(sign.lower(), expected) and self._in_time(timestamp, opts.timestamp_window_s)
        return self._login(user, lcid, known=known, wrong="签名验证失败")

    def _login(self, user: str, lcid: str, *, known: bool, wrong: str) -> Json:
        lcid = lcid or LCIDS[0]
        if not known or lcid not in LCIDS:
            return _login_answer(0, wrong)
        session = self.open(user, int(lcid))
        context = {
            "UserLocale": "zh-CN",
            "LogLocale": "zh-CN",
            "DBid": self.credentials.acct_id,
            "DataCenterName": self.credentials.acct_name,
            "UserName": user,
            "UserId": 100001,
            "SessionId": session.id,
        }
        return _login_answer(1, None) | {
            "Context": context,
            "KDSVCSessionId": session.id,
            "IsSuccessByAPI": True,
        }


def _login_answer(kind: int, message: str | None) -> Json:
    return {
        "Message": message,
        "MessageCode": "" if kind == 1 else "CheckPassword",
        "LoginResultType": kind,
        "Context": None,
        "KDSVCSessionId": None,
        "FormId": None,
        "IsSuccessByAPI": False,
    }


def _application(app_id: str) -> tuple[str, str]:
    """(client id, the key that it signs with), both "" for an application id of another form."""
    parts = app_id.split("_")
    if len(parts) != 2:
        return "", ""
    if len(parts[1]) != 32:
        return parts[0], ""
    key = codecs.encode(_SEED, "rot13").encode()
    mixed = bytes(byte ^ key[place] for place, byte in enumerate(base64.b64decode(parts[1])))
    return parts[0], base64.b64encode(mixed).decode()


def _signed_path(raw_path: str) -> str:
    return quote(unquote(raw_path), encoding="utf-8").replace("/", "%2F")


def _signature(message: str, key: str) -> str:
    """Hexadecimal first, base64 of that text afterwards."""
    digest = hmac.new(key.encode(), message.encode(), hashlib.sha256).hexdigest()
    return base64.b64encode(digest.encode()).decode()


def _same(given: str, expected: str) -> bool:
    return secrets.compare_digest(given.encode(), expected.encode())
