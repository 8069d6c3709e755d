"""The folder that outlives a run: databases, logs, generated secrets, and the lock that keeps a second runner out."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import secrets
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TextIO

from scripts.runner.options import RunError


@dataclass(frozen=True, slots=True, repr=False)
class Secrets:
    """Made once per state folder, kept in a file that only its owner can read, never logged."""

    admin_password: str
    hesi_secret: str
    ledger_password: str
    jwt_secret: str
    session_key: str
    fernet_key: str


@dataclass(frozen=True, slots=True)
class StateDir:
    """One world's files below `.run/`."""

    path: Path

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def airflow_home(self) -> Path:
        return self.path / "airflow"

    @property
    def store(self) -> Path:
        return self.path / "voucherflow.db"

    @property
    def ledger(self) -> Path:
        return self.path / "ledger.sqlite"

    @property
    def emulator(self) -> Path:
        return self.path / "hesi.sqlite"

    def create(self) -> None:
        """Make the folders, closed to other users of the machine."""
        for folder in (self.path.parent, self.path, self.logs, self.airflow_home):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    @property
    def env_file(self) -> Path:
        return self.path / "env"

    def secrets(self) -> Secrets:
        """Those of an earlier run, or new ones; a file of an older layout gets what it lacks."""
        path = self.path / "secrets.json"
        known = json.loads(path.read_text("utf-8")) if path.exists() else {}
        values = {field.name: known.get(field.name) or _new(field.name) for field in fields(Secrets)}
        if values != known:
            _write_private(path, json.dumps(values, indent=1))
        return Secrets(**values)

    def write_env(self, variables: Mapping[str, str]) -> None:
        """Leave a file that gives a shell the environment of this run: `. .run/<world>/env`."""
        lines = (f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())
        _write_private(self.env_file, "".join(lines))

    def lock(self) -> TextIO:
        """Hold this world for as long as the returned file is open.

        Raises:
            RunError: another runner holds it; the message names its process and address.
        """
        file = (self.path / "runner.lock").open("a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "?"
            file.close()
            raise RunError(
                f"已在运行：{holder}，请先停止它（Ctrl-C）/ already running: {holder}; stop it first (Ctrl-C)"
            ) from None
        return file


def describe_holder(lock: TextIO, text: str) -> None:
    """Write into the lock file what a second runner shall tell its user."""
    lock.seek(0)
    lock.truncate()
    lock.write(text)
    lock.flush()


def _write_private(path: Path, text: str) -> None:
    """Replace a file by one that only its owner can read."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    # O_EXCL on a fresh name: the mode is right from the first byte on.
    with os.fdopen(
        os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8"
    ) as file:
        file.write(text)
    fresh.replace(path)


def _new(name: str) -> str:
    if name == "fernet_key":
        return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    # HS512, which signs Airflow's tokens, wants 64 bytes.
    return secrets.token_urlsafe(12 if name == "admin_password" else 64)
