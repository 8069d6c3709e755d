"""An emulated Kingdee site as a process of its own, and the accountant's way into it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from include.connections import Endpoint
from include.emulators.kingdee import ADMIN_KEY, SITE, Credentials

ROOT = Path(__file__).resolve().parents[2]
MINE = Credentials()


def endpoint(url: str, **changes: str) -> Endpoint:
    """A connection to the site at `url` (without its path); `changes` go to acct_id, app_id, login or password."""
    extra = {"acct_id": MINE.acct_id, "app_id": MINE.app_id} | {
        name: value for name, value in changes.items() if name in ("acct_id", "app_id")
    }
    return Endpoint(
        "kingdee_test",
        f"{url}{SITE}",
        changes.get("login", MINE.user),
        changes.get("password", MINE.app_secret),
        extra,
    )


class Site:
    """What people do in the ledger's own program, and what goes wrong on the way to it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def admin(self, name: str, /, method: str = "POST", **body: Any) -> Any:
        response = requests.request(
            method,
            f"{self.url}/__emulator__/{name}",
            json=body,
            headers={"X-Emulator-Key": ADMIN_KEY},
            timeout=20,
        )
        answer = response.json()
        assert response.ok, answer
        return answer

    @contextmanager
    def fault(self, kind: str, only: str, **rest: Any) -> Iterator[None]:
        self.admin("faults", kind=kind, only=only, **rest)
        try:
            yield
        finally:
            self.admin("faults", method="DELETE")

    def vouchers(self) -> list[dict[str, Any]]:
        """All vouchers as the books have them."""
        found: list[dict[str, Any]] = self.admin("export", method="GET")["vouchers"]
        return found


@contextmanager
def serving(folder: Path, seed: dict[str, Any], **options: Any) -> Iterator[Site]:
    """A site of its own, with the switches of `include.emulators.kingdee.options`."""
    file = folder / "seed.json"
    file.write_text(json.dumps(seed), encoding="utf-8")
    command = [sys.executable, "-m", "include.emulators.kingdee", "--data", str(folder / "k3.sqlite")]
    command += ["--seed", str(file), "--options", json.dumps(options)]
    env = os.environ | {"VOUCHERFLOW_EMULATOR_ADMIN_KEY": ADMIN_KEY, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url, "the emulator did not start"
        yield Site(url.removesuffix(f"{SITE}/"))
    finally:
        process.terminate()
        process.wait(20)
        if process.stdout is not None:
            process.stdout.close()
