"""What a person may say on the command line of `make run`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

DEFAULT_DOCUMENTS = 1000
DEFAULT_SEED = 1
DEFAULT_PORT = 8080


class RunError(Exception):
    """Something that stops `make run`; `str()` is the whole message, Chinese first."""


@dataclass(frozen=True, slots=True)
class Options:
    """The options of one `make run`.

    Attributes:
        once: Stop everything after the first run and exit with its status.
        documents: How many documents the emulated Hesi holds.
        seed: What they are generated from.
        events: A folder of real event logs to use instead of generated documents, or None.
        port: Where Airflow listens; 0 takes any free port.
    """

    once: bool = False
    documents: int = DEFAULT_DOCUMENTS
    seed: int = DEFAULT_SEED
    events: Path | None = None
    port: int = DEFAULT_PORT

    @property
    def world(self) -> str:
        """The name of the state folder: other documents mean other books, so they never share one."""
        if self.events:
            return f"events-{hashlib.sha256(str(self.events).encode()).hexdigest()[:8]}"
        if (self.documents, self.seed) == (DEFAULT_DOCUMENTS, DEFAULT_SEED):
            return "demo"
        return f"demo-{self.documents}-{self.seed}"


def from_environ(environ: Mapping[str, str]) -> Options:
    """Read ONCE, DOCUMENTS, SEED, EVENTS and PORT; an empty value means the default.

    Raises:
        RunError: a value that is no number, out of range, or a folder that is not there.
    """
    events = Path(environ["EVENTS"]).expanduser().resolve() if environ.get("EVENTS") else None
    if events and not events.is_dir():
        raise RunError(f"EVENTS={events}：没有这个目录 / no such folder")
    return Options(
        once=environ.get("ONCE", "") not in ("", "0"),
        documents=_number(environ, "DOCUMENTS", DEFAULT_DOCUMENTS, 1, 10_000_000),
        seed=_number(environ, "SEED", DEFAULT_SEED, 0, 2**31),
        events=events,
        port=_number(environ, "PORT", DEFAULT_PORT, 0, 65_535),
    )


def _number(environ: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    text = environ.get(name) or str(default)
    if not text.isdecimal() or not low <= int(text) <= high:
        raise RunError(
            f"{name}={text}：应为 {low} 到 {high} 的整数 / must be a whole number from {low} to {high}"
        )
    return int(text)
