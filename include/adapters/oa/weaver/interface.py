"""What both of e-cology's interfaces can do, in the words of one of them: the transports implement `Interface`.

Requests are plain JSON values in the vendor's field names, whichever way they came.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol

from include.domain.errors import RetryLater

Json = dict[str, Any]
ARCHIVE, START = "3", "0"
"""Node types: 归档, 创建."""
_NUMBER = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Search:
    """A search over the requests in which the interface's user takes part. Days are the OA's own, ends included; None
    for an open end.
    """

    workflows: Sequence[str]
    operated: tuple[date | None, date | None] = (None, None)
    created: tuple[date | None, date | None] = (None, None)


class Interface(Protocol):
    """One of the two ways in. Every method may raise RetryLater (nothing was changed) and FixConfig."""

    name: str

    def count(self, search: Search | None) -> int:
        """How many requests a search finds; None: all that the user takes part in."""
        ...

    def page(self, search: Search, number: int, size: int, total: int) -> list[Json]:
        """Page `number` (from 1) of a search that found `total`; items without their forms, in any order."""
        ...

    def request(self, request_id: str) -> Json | None:
        """A request with its form and the last of its history; None where it is proved that there is none."""
        ...

    def node_type(self, request: Json) -> str | None:
        """The type of the node at which a request is; None where it is there no more."""
        ...

    def logs(self, request: Json) -> list[Json]:
        """The whole history of a request, latest first, in the form that `request` gives the last of it."""
        ...

    def change(
        self, request: Json, fields: Mapping[str, str], remark: str, *, submit: bool, is_same: bool
    ) -> None:
        """Save fields of the main form, and submit with `submit`; `is_same` says that repeating the call does no harm.

        Raises:
            FixData: it is refused.
            OutcomeUnknown: the answer was lost.
        """
        ...

    def create(self, workflow: str, title: str, fields: Mapping[str, str], remark: str) -> None:
        """A new request, submitted. Repeating it makes another one. Raises as `change`."""
        ...

    def close(self) -> None: ...


def usable_request_id(value: object) -> str:
    """A request's id as text, "" for what is none."""
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    return text if _NUMBER.fullmatch(text) else ""


def read_count(value: object, where: str) -> int:
    """A count as a whole number.

    Raises:
        RetryLater: it is none.
    """
    text = str(value).strip() if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if _NUMBER.fullmatch(text):
        return int(text)
    raise RetryLater(f"泛微 {where} 没有给出数目：{str(value)[:80]!r} / no number came back, try again later")


def read_items(value: object, where: str) -> list[Json]:
    """A list of requests.

    Raises:
        RetryLater: it is none.
    """
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise RetryLater(
            f"泛微 {where} 的应答不是流程列表 / the answer is no list of requests, try again later"
        )
    return value
