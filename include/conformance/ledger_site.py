"""An emulated ledger as a process of its own, and what people do in its own program: for the systems in `ledger`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from include.domain.account import AuxiliaryDimension

ROOT = Path(__file__).resolve().parents[2]
ADMIN_KEY = "emulator-admin"
MAY_BE_EMPTY = (("department", False), ("project", False))
OWN_DIMENSIONS: Mapping[str, tuple[tuple[str, bool], ...]] = {"1122": (), "5101": MAY_BE_EMPTY}


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

    def make(self, values: Sequence[AuxiliaryDimension]) -> None:
        """The keepers of master data make values; those that are there stay as they are."""
        items: dict[str, list[list[str]]] = {}
        for value in values:
            items.setdefault(value.kind, []).append([value.code, value.name.replace("\n", " ") or value.code])
        self.admin("seed", items=items)


def suited(seed: dict[str, Any]) -> dict[str, Any]:
    """An emulator's company with what the suite and the example's rules ask for: expenses and overheads without a required
    dimension, receivables that name no customer, the dinar.
    """
    for account in next(iter(seed["charts"].values())):
        if account["code"].startswith(("6601.", "6602.")) and account["dimensions"]:
            account["dimensions"] = MAY_BE_EMPTY
        account["dimensions"] = OWN_DIMENSIONS.get(account["code"], account["dimensions"])
    seed["currencies"].append(["KWD", "科威特第纳尔", 3])
    return seed


@contextmanager
def serving(
    emulator: str,
    folder: Path,
    seed: Mapping[str, Any],
    options: Mapping[str, Any],
    *,
    path: str = "",
    **secrets: str,
) -> Iterator[Site]:
    """A site of its own.

    Args:
        emulator: the name of its package in `include.emulators`.
        folder: where its file is made.
        seed: what its books are filled with.
        options: its switches.
        path: what the address that it prints ends with, and a site's does not.
        secrets: further environment variables that it reads.
    """
    file = folder / "seed.json"
    file.write_text(json.dumps(seed), encoding="utf-8")
    command = [sys.executable, "-m", f"include.emulators.{emulator}", "--data", str(folder / "books.sqlite")]
    command += ["--seed", str(file), "--options", json.dumps(options)]
    env = os.environ | {"VOUCHERFLOW_EMULATOR_ADMIN_KEY": ADMIN_KEY, "PYTHONPATH": str(ROOT)} | secrets
    process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url, "the emulator did not start"
        yield Site(url.rstrip("/").removesuffix(path))
    finally:
        process.terminate()
        process.wait(20)
        if process.stdout is not None:
            process.stdout.close()
