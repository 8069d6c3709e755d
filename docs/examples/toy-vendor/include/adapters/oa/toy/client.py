"""Calls to the Toy OA: bounded in size, time and number, with errors that say what to do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import requests

from include.adapters.oa.toy.auth import Token
from include.connections import Endpoint
from include.domain.errors import FixConfig, FixData, OutcomeUnknown, RetryLater
from include.ports import Clock

TIMEOUT_S = (10, 60)
MAX_BYTES = 16 * 1024 * 1024
ATTEMPTS = 5
PAUSE_S = 1.0


class ToyClient:
    """One installation; for one thread at a time."""

    def __init__(self, endpoint: Endpoint, clock: Clock) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._http = requests.Session()
        self._token = Token(self._log_in)

    def __repr__(self) -> str:
        return f"ToyClient({self._endpoint.url!r})"

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def get(self, path: str, **query: Any) -> Any:
        """What a path gives; None where there is nothing.

        Raises:
            RetryLater: it could not be read now.
        """
        status, body = self._call("GET", path, query=query)
        return None if status == 404 else body

    def put(self, path: str, body: Mapping[str, Any]) -> str:
        """Write; "" when it is done, else the OA's code for why not.

        Raises:
            OutcomeUnknown: the answer was lost.
            RetryLater: nothing was written.
        """
        status, answer = self._call("PUT", path, body=body)
        return "" if status == 204 else str((answer or {}).get("code") or status)

    def _log_in(self) -> str:
        body = {"key": self._endpoint.login, "secret": self._endpoint.password}
        status, answer = self._send("POST", "/token", body=body)
        if status == 401:
            raise FixConfig(
                f"{self._endpoint.name}: Toy OA 不认此密钥，请核对连接的 key 与 secret / the key or the secret of the connection is wrong"
            )
        if status != 200 or not isinstance(answer, dict) or not isinstance(answer.get("token"), str):
            raise RetryLater(f"{self._endpoint.name}: Toy OA 未给令牌（{status}）/ no token, HTTP {status}")
        return str(answer["token"])

    def _call(
        self, method: str, path: str, *, query: Mapping[str, Any] | None = None, body: Any = None
    ) -> tuple[int, Any]:
        """Log in where that is needed, and wait where the OA is too busy: it did nothing then."""
        for attempt in range(ATTEMPTS):
            token = self._token.value()
            try:
                status, answer = self._send(method, path, query=query, body=body, token=token)
            except RetryLater:
                if attempt == ATTEMPTS - 1:
                    raise
                self._clock.sleep(PAUSE_S * 2**attempt)
                continue
            if status == 401:
                self._token.is_refused(token)
            elif status in {400, 403}:
                raise FixData(f"{path}: Toy OA 拒绝（{status}）：{answer} / refused")
            elif status != 429 and status < 500:
                return status, answer
            else:
                self._clock.sleep(PAUSE_S * 2**attempt)
        raise RetryLater(
            f"{self._endpoint.name}: Toy OA 持续拒绝 {path}，稍后重试 / it goes on refusing, later"
        )

    def _send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        token: str = "",
    ) -> tuple[int, Any]:
        """(status, JSON or None) of one request.

        Raises:
            OutcomeUnknown: a write whose answer was lost.
            RetryLater: a read that failed.
        """
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            with self._http.request(
                method,
                f"{self._endpoint.url}{path}",
                params=query,
                json=body,
                headers=headers,
                timeout=TIMEOUT_S,
                stream=True,
                allow_redirects=False,
            ) as response:
                text = b"".join(_limited(response))
                return response.status_code, json.loads(text) if text else None
        except (requests.RequestException, ValueError) as error:
            kind = OutcomeUnknown if method == "PUT" else RetryLater
            raise kind(
                f"{self._endpoint.name}: {path} 没有完整的应答（{type(error).__name__}）/ no whole answer"
            ) from None


def _limited(response: requests.Response) -> Any:
    size = 0
    for part in response.iter_content(65_536):
        size += len(part)
        if size > MAX_BYTES:
            raise ValueError(f"an answer above {MAX_BYTES} bytes")
        yield part
