"""A token of the Toy OA: fetched when there is none, thrown away when it is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Token:
    """`fetch` logs in; it raises FixConfig for a wrong key or secret."""

    fetch: Callable[[], str]
    _value: str = field(default="", repr=False)

    def value(self) -> str:
        """The token to send."""
        if not self._value:
            self._value = self.fetch()
        return self._value

    def is_refused(self, value: str) -> None:
        """The OA does not take that one any more."""
        if value == self._value:
            self._value = ""
