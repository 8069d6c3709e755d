"""Where a system is and how to log in, however that was looked up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A resolved connection. Login, password and extra never appear in its repr.

    Attributes:
        name: The connection's id, for messages.
        url: Scheme, host, port and path prefix, without a trailing slash and without credentials.
        extra: Further settings of the connection, as text.
    """

    name: str
    url: str
    login: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    extra: Mapping[str, str] = field(default_factory=dict, repr=False)


Resolver = Callable[[str], Endpoint]
"""Looks a connection id up; raises FixConfig when there is none."""
