"""What the documents of Feishu leave open, as switches; README.md says on whose word each default stands."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

CHOICES: Mapping[str, tuple[str, ...]] = {
    "reverted": ("events_only", "flag"),
    "codes": ("short", "long"),
    "amounts": ("number", "string"),
    "operate_time": ("documented", "string", "int64"),
    "comments": ("taken", "refused"),
}


class EmulatorError(ValueError):
    """The emulator was asked for something that it cannot do (tests, the admin interface, the command line)."""


@dataclass(frozen=True, slots=True)
class Options:
    """Switches of one emulated tenant; all can be changed while it runs.

    Attributes:
        reverted: what the detail says of a revocation after approval: nothing, or the boolean `reverted` beside APPROVED.
        codes: error numbers 60002, 60003, 60007, 60009, 60012, or 1390002, 1390003, 1390007, 1390009.
        amounts: amounts and numbers in forms as JSON numbers, or as strings.
        operate_time: of events: a string, and an int64 for REVERTED (`documented`); or always the one.
        comments: whether the tenant takes comments through the interface.
        token_path: whether the token is given at /open-apis/auth/v3/tenant_access_token/internal.
        token_ttl_s: life of a token.
        token_code: code for a token that is unknown or has expired; `token_status` is its HTTP status.
        rate_code: code above a rate limit; `rate_status` is its HTTP status.
        list_per_minute: calls of the list and of subscribe per minute; 0 for no limit.
        calls_per_minute: calls of any other kind per minute, each kind apart; 0 for no limit.
        calls_per_second: the same per second.
        query_delay_ms: how long after its creation an instance is not yet found by `query`.
    """

    reverted: str = "events_only"
    codes: str = "short"
    amounts: str = "number"
    operate_time: str = "documented"
    comments: str = "taken"
    token_path: bool = True
    token_ttl_s: int = 7200
    token_code: int = 99991663
    token_status: int = 400
    rate_code: int = 99991400
    rate_status: int = 429
    list_per_minute: int = 100
    calls_per_minute: int = 1000
    calls_per_second: int = 50
    query_delay_ms: int = 0

    def __post_init__(self) -> None:
        for name, allowed in CHOICES.items():
            value = getattr(self, name)
            if value not in allowed:
                raise EmulatorError(
                    f"选项 {name} 不能为 {value!r}，可用：{', '.join(allowed)} / "
                    f"option {name} cannot be {value!r}, use one of: {', '.join(allowed)}"
                )
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, int) and value < 0:
                raise EmulatorError(f"选项 {item.name} 不能为负 / option {item.name} must not be negative")
        for name in ("token_status", "rate_status"):
            if not 200 <= getattr(self, name) <= 599:
                raise EmulatorError(f"选项 {name} 须为 HTTP 状态码 / option {name} must be an HTTP status")

    def changed(self, values: Mapping[str, Any]) -> Options:
        """These options with some values replaced.

        Raises:
            EmulatorError: an unknown name, or a value of another type or outside its choices.
        """
        known = {item.name for item in fields(self)}
        for name, value in values.items():
            if name not in known:
                raise EmulatorError(
                    f"没有选项 {name!r}，可用：{', '.join(sorted(known))} / "
                    f"unknown option {name!r}, use one of: {', '.join(sorted(known))}"
                )
            kind = type(getattr(self, name))
            if type(value) is not kind:
                raise EmulatorError(
                    f"选项 {name} 须为 {kind.__name__}，得到 {value!r} / option {name} must be a {kind.__name__}"
                )
        return replace(self, **values)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def parse_setting(text: str) -> tuple[str, Any]:
    """`name=value` from the command line; a value is JSON, or else a text.

    Raises:
        EmulatorError: there is no `=`.
    """
    name, found, value = text.partition("=")
    if not found:
        raise EmulatorError(f"选项写作 名称=值，得到 {text!r} / write an option as name=value, not {text!r}")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
