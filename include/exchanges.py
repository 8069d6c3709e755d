"""What is said to a ledger and what it answers, as evidence of a posting.

A ledger's client calls `record` for each request; the posting stage listens with `recording` and stores what was
heard, with digests that stay and texts that are kept for a while. Nobody listening, nothing is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

SECRETS = frozenset(
    {"password", "token", "access_token", "app_secret", "client_secret", "authorization", "session"}
)
"""Keys whose values are never kept, whatever the case they are written in."""
HIDDEN = "***"


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer, redacted text both; `response` is None where no answer came."""

    request: str
    response: str | None


_LISTENER: ContextVar[list[Exchange] | None] = ContextVar("exchanges", default=None)


@contextmanager
def recording() -> Iterator[list[Exchange]]:
    """Collect the exchanges of this thread, in order."""
    heard: list[Exchange] = []
    token = _LISTENER.set(heard)
    try:
        yield heard
    finally:
        _LISTENER.reset(token)


def is_recording() -> bool:
    """Whether somebody listens, so that a client need not prepare texts for nobody."""
    return _LISTENER.get() is not None


def record(request: str, response: str | None) -> None:
    """Say what was sent and what came back, both redacted by the client that knows what is secret."""
    heard = _LISTENER.get()
    if heard is not None:
        heard.append(Exchange(request, response))


def redact(value: Any, secrets: frozenset[str] = SECRETS) -> Any:
    """JSON-like data with the values of secret keys hidden, however deep."""
    match value:
        case Mapping():
            return {
                key: HIDDEN if str(key).lower() in secrets else redact(item, secrets)
                for key, item in value.items()
            }
        case str() | bytes():
            return value
        case Sequence():
            return [redact(item, secrets) for item in value]
        case _:
            return value
