"""E9's way in: an APPID is registered for a secret and a public key, the secret exchanged for a token, and every call
names its user, encrypted.

Source: public integration code. Encryption is RSA, PKCS #1 v1.5, base64. A token lives as long as we ask for; one that
is refused before is replaced. No secret is ever in a URL, a message or a log line.
"""

from __future__ import annotations

import base64
import binascii
import json
import threading
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from include.adapters.oa.weaver.web import Web
from include.connections import Endpoint
from include.domain.errors import FixConfig, RetryLater
from include.ports import Clock

REGIST, APPLY = "/api/ec/dev/auth/regist", "/api/ec/dev/auth/applytoken"
_SECRETS = ("secrit", "secret")
"""The vendor spells it the first way."""


class TokenKeeper:
    """One token shared by all threads of a client. Connection: login is the user's id, password the APPID; `secret`
    and `spk` of its extra are used where a registration was made by hand.
    """

    def __init__(self, web: Web, endpoint: Endpoint, life_s: int, clock: Clock) -> None:
        self._web = web
        self._user = endpoint.login.strip()
        self._app_id = endpoint.password.strip()
        self._secret = endpoint.extra.get("secret", "")
        self._spk = endpoint.extra.get("spk", "")
        self._life_s = life_s
        self._clock = clock
        self._lock = threading.Lock()
        self._key: rsa.RSAPublicKey | None = None
        self._token = ""
        self._renew_at: datetime | None = None

    def __repr__(self) -> str:
        return "TokenKeeper()"

    def headers(self) -> dict[str, str]:
        """What a call has to carry.

        Raises:
            FixConfig: the APPID, the secret or the user is refused.
            RetryLater: e-cology cannot be reached.
        """
        with self._lock:
            if self._renew_at is None or self._clock.now() >= self._renew_at:
                self._log_in()
            return {"token": self._token, "appid": self._app_id, "userid": self._encrypted(self._user)}

    def renew(self, refused: str) -> None:
        """Have a token replaced that was refused, if nobody has done so meanwhile."""
        with self._lock:
            if self._token == refused:
                self._renew_at = None

    def _log_in(self) -> None:
        if not self._app_id or not (self._user.isascii() and self._user.isdigit()):
            raise FixConfig(
                f"连接 {self._web.name!r} 不完整：Login 填人员 id（数字），Password 填 APPID / connection {self._web.name!r}: put the "
                "user's numeric id into its login and the APPID into its password"
            )
        if self._key is None:
            self._register()
        headers = {"appid": self._app_id, "secret": self._encrypted(self._secret), "time": str(self._life_s)}
        answer = self._post(APPLY, headers)
        token = answer.get("token")
        if not isinstance(token, str) or not token:
            raise self._refused(answer)
        self._token = token
        self._renew_at = self._clock.now() + timedelta(seconds=self._life_s * 0.9)

    def _register(self) -> None:
        if not (self._secret and self._spk):
            own = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
            der = own.public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            )
            answer = self._post(REGIST, {"appid": self._app_id, "cpk": base64.b64encode(der).decode()})
            secret = next((answer[name] for name in _SECRETS if answer.get(name)), None)
            spk = answer.get("spk")
            if not isinstance(secret, str) or not isinstance(spk, str):
                raise self._refused(answer)
            self._secret, self._spk = secret, spk
        try:
            key = serialization.load_der_public_key(base64.b64decode(self._spk))
        except (binascii.Error, ValueError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, rsa.RSAPublicKey):
            raise FixConfig(
                f"泛微给出的公钥 spk 无法使用：请核对连接 {self._web.name!r} 的 extra / the public key spk cannot be used: check the "
                "connection's extra"
            )
        self._key = key

    def _encrypted(self, text: str) -> str:
        assert self._key is not None
        try:
            return base64.b64encode(self._key.encrypt(text.encode(), padding.PKCS1v15())).decode()
        except ValueError:
            raise FixConfig(
                f"连接 {self._web.name!r} 的 secret 过长，无法加密 / the secret is too long to be encrypted: check the connection"
            ) from None

    def _post(self, path: str, headers: Mapping[str, str]) -> Mapping[str, Any]:
        return self._web.retried(lambda: _object(path, self._web.send("POST", path, headers=headers).text))

    def _refused(self, answer: Mapping[str, Any]) -> FixConfig:
        said = str(answer.get("msg") or answer.get("errmsg") or "")[:200]
        for secret in filter(None, (self._app_id, self._secret)):
            said = said.replace(secret, "***")
        return FixConfig(
            f"泛微不接受登录：{said}。请核对连接 {self._web.name!r} 的 Password（APPID）和 e-cology 中的授权 / e-cology refuses the log-in: "
            "check the connection's password (APPID) and what was licensed in e-cology"
        )


def _object(path: str, text: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict):
        return value
    raise RetryLater(
        f"泛微 {path} 的应答不是 JSON 对象，稍后重试 / the answer is no JSON object, try again later"
    )
