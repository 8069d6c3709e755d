"""Log in to Tryton: a session token, kept until the server no longer takes it."""

from __future__ import annotations

import base64
from collections.abc import Callable
from threading import Lock
from typing import Any

LOGIN = "common.db.login"


class TrytonSession:
    """The token of one user, shared by all threads of a client.

    Tryton ends a session after some minutes without a call; it then answers 401 before it does anything, so
    the client may log in again and repeat the call.
    """

    def __init__(self, user: str, password: str) -> None:
        self._user = user
        self._password = password
        self._lock = Lock()
        self._header = ""

    def header(self, send: Callable[[str, list[Any]], Any]) -> str:
        """The Authorization header, logging in through `send` when there is none yet."""
        with self._lock:
            if not self._header:
                # English, so that the texts of refusals are those that the table of errors knows.
                user_id, token, *_ = send(LOGIN, [self._user, {"password": self._password}, "en"])
                plain = f"{self._user}:{user_id}:{token}".encode()
                self._header = f"Session {base64.b64encode(plain).decode()}"
            return self._header

    def expire(self, header: str) -> None:
        """Forget a token that was refused, unless another thread has already renewed it."""
        with self._lock:
            if self._header == header:
                self._header = ""
