"""E9's way in: an appid is registered, a secret is exchanged for a token, and every call names its user, all with RSA.

What the client encrypts with the system's public key (spk) is PKCS #1 v1.5. Tokens outlive a restart.
"""

from __future__ import annotations

import base64
import binascii
import uuid
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from include.emulators.weaver.store import Store
from include.emulators.weaver.world import World

Json = dict[str, Any]
KEY_BITS = 2048
MAX_HEADER = 4096


class AuthFailure(Exception):
    """An answer instead of what was asked for, with HTTP 200."""

    def __init__(self, body: Json) -> None:
        super().__init__(body["msg"])
        self.body = body


def failure(message: str) -> AuthFailure:
    return AuthFailure({"msg": message, "code": -1, "msgShowType": "none", "status": False})


class Gate:
    """Keys, secret and tokens of one installation, kept in its store."""

    def __init__(self, world: World, app_id: str) -> None:
        self.world = world
        self.app_id = app_id

    @cached_property
    def _key(self) -> rsa.RSAPrivateKey:
        """Made when first needed: many a test speaks SOAP alone."""
        return _private_key(self.world.store)

    @property
    def secret(self) -> str:
        return str(self.world.store.meta("secret"))

    def regist(self, headers: Mapping[str, str]) -> Json:
        """The secret and the system's public key, for a licensed appid; `cpk` is taken and not used further."""
        self._check_app(headers)
        public = self._key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return {
            "msg": "ok",
            "code": 0,
            "errcode": "0",
            "errmsg": "ok",
            "msgShowType": "none",
            "status": True,
            self.world.options.secret_field: self.secret,
            "spk": base64.b64encode(public).decode(),
        }

    def apply_token(self, headers: Mapping[str, str]) -> Json:
        """A token, living `time` seconds, or as long as the installation says."""
        self._check_app(headers)
        secret = self._decrypted(headers.get("secret", ""))
        if secret is None:
            raise failure("secret解密失败,请检查加密内容.")
        if secret != self.secret:
            raise failure("认证信息错误,secret不正确")
        wished = headers.get("time", "")
        seconds = int(wished) if wished.isascii() and wished.isdigit() and 0 < len(wished) < 15 else 0
        token = str(uuid.uuid4())
        with self.world.call() as now:
            self.world.store.run("DELETE FROM emulator_token WHERE expires_ms <= ?", (now,))
            expires = now + 1000 * (seconds or self.world.options.token_ttl_s)
            self.world.store.run("INSERT INTO emulator_token VALUES (?, ?)", (token, expires))
        return {"msg": "获取成功!", "code": 0, "msgShowType": "none", "status": True, "token": token}

    def user(self, headers: Mapping[str, str]) -> int:
        """Whose call it is.

        Raises:
            AuthFailure: no token, one that has run out, or no such user.
        """
        token, user = headers.get("token", ""), headers.get("userid", "")
        if not token or not user or not headers.get("appid"):
            raise AuthFailure({"msg": "登录信息超时", "errorCode": "002", "status": False})
        self._check_app(headers)
        with self.world.call() as now:
            found = self.world.store.row("SELECT expires_ms FROM emulator_token WHERE token = ?", (token,))
        if found is None or found["expires_ms"] <= now:
            raise failure(f"token不存在或者超时：{token[:64]}")
        name = self._decrypted(user)
        if name is None:
            raise failure("userid解密失败,请检查加密内容.")
        if not name.isdigit() or len(name) > 9 or int(name) not in self.world.company.people:
            raise failure("该账号存在异常,单点登录失败")
        return int(name)

    def forget_tokens(self) -> int:
        """End all sessions; returns how many there were."""
        with self.world.store.transaction():
            count = len(self.world.store.rows("SELECT token FROM emulator_token"))
            self.world.store.run("DELETE FROM emulator_token")
        return count

    def _check_app(self, headers: Mapping[str, str]) -> None:
        if headers.get("appid", "") != self.app_id:
            raise failure("没有在找到正确的APPID,请检查APPID是否正确")

    def _decrypted(self, text: str) -> str | None:
        """Plain text of a header, None where it is not encrypted for this system."""
        if len(text) > MAX_HEADER:
            return None
        try:
            plain = self._key.decrypt(base64.b64decode(text, validate=True), padding.PKCS1v15())
            decoded = plain.decode("ascii")
        except (binascii.Error, ValueError):
            return None
        # OpenSSL answers a wrong ciphertext with random bytes rather than an error.
        return decoded if decoded.isprintable() else None


def _private_key(store: Store) -> rsa.RSAPrivateKey:
    """The system's key, made once."""
    with store.transaction():
        kept = store.meta("private_key")
        if kept is None:
            key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
            kept = key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ).decode()
            store.set_meta("private_key", kept)
            store.set_meta("secret", str(uuid.uuid4()))
    loaded = serialization.load_pem_private_key(kept.encode(), None)
    assert isinstance(loaded, rsa.RSAPrivateKey)
    return loaded
