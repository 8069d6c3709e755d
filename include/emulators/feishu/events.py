"""Events pushed to a callback, in order: one that is not answered with HTTP 200 holds back all that follow."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Any

from include.emulators.feishu.options import EmulatorError
from include.emulators.feishu.world import World

Json = dict[str, Any]
TIMEOUT_S = 5.0
MAX_ANSWER_BYTES = 64 * 1024


@dataclass(slots=True)
class Pusher:
    """Delivers when it is told to (`deliver`), so that a test decides when a retry happens."""

    world: World
    app_id: str
    lock: threading.Lock = field(default_factory=threading.Lock)

    def set_callback(self, url: str, token: str) -> Json:
        """Take a callback after its challenge is answered; "" for none.

        Raises:
            EmulatorError: not http, or the challenge does not come back.
        """
        if url:
            if not url.startswith(("http://", "https://")):
                raise EmulatorError(f"回调地址须以 http 开头：{url} / a callback URL begins with http")
            challenge = {"challenge": "ajls384kdjx98XX", "token": token, "type": "url_verification"}
            status, answer = _post(url, challenge)
            try:
                echoed = json.loads(answer).get("challenge") if status == 200 else None
            except (ValueError, AttributeError):
                echoed = None
            if echoed != challenge["challenge"]:
                raise EmulatorError(
                    f"回调地址没有通过校验（HTTP {status}）/ the callback did not return the challenge"
                )
        self.world.store.set_meta("callback", {"url": url, "token": token})
        return {"url": url}

    def deliver(self) -> Json:
        """Push what waits, oldest first, until one is refused."""
        delivered = 0
        with self.lock:
            callback = self.world.store.meta("callback") or {"url": "", "token": ""}
            while callback["url"]:
                row = self.world.store.row(
                    "SELECT * FROM event WHERE subscribed = 1 AND delivered_ms IS NULL ORDER BY number LIMIT 1"
                )
                if row is None:
                    break
                now = self.world.store.now_ms()
                body = self.world.event_body(row, self.app_id)
                body |= {"ts": f"{now // 1000}.{now % 1000:03d}", "token": callback["token"]}
                status, _ = _post(callback["url"], body)
                got = now if status == 200 else None
                self.world.store.run(
                    "UPDATE event SET attempts = attempts + 1, delivered_ms = ? WHERE number = ?",
                    (got, row["number"]),
                )
                if got is None:
                    break
                delivered += 1
        waiting = self.world.store.row(
            "SELECT count(*) AS n FROM event WHERE subscribed = 1 AND delivered_ms IS NULL"
        )
        return {"delivered": delivered, "waiting": waiting["n"] if waiting else 0}


def _post(url: str, body: Json) -> tuple[int, str]:
    """(HTTP status, answer); 0 where nobody answered."""
    data = json.dumps(body, ensure_ascii=False).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json; charset=utf-8"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310  (checked when it was set)
            return int(answer.status), answer.read(MAX_ANSWER_BYTES).decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        error.close()
        return error.code, ""
    except OSError:
        return 0, ""
