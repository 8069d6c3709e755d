"""What the documents of DingTalk leave open, as switches: every default is stated here, and why in README.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

CHOICES: Mapping[str, tuple[str, ...]] = {
    "paging": ("offset", "keyset"),
    "table_shape": ("grid", "rowValue"),
    "revoke_link": ("mainProcessInstanceId", "attachedProcessInstanceIds", "none"),
}


@dataclass(frozen=True, slots=True)
class Options:
    """Switches of one emulated tenant.

    Attributes:
        token_path: where appKey and appSecret are exchanged for a token.
        comment_path: where a comment is put on an instance; "" for none (404).
        token_ttl_s: life of a token.
        rate_status: HTTP status of a refusal above the rate.
        paging: `offset`: nextToken is a position, so an instance that leaves the filter moves the rest up;
            `keyset`: it names the last instance given.
        table_shape: `grid`: rows of components; `rowValue`: rows as {"rowNumber", "rowValue": [{"key", …}]}.
        revoke_link: `mainProcessInstanceId` of a REVOKE or MODIFY instance names the approved one;
            `attachedProcessInstanceIds` of the approved one names those.
    """

    token_path: str = "/v1.0/oauth2/accessToken"  # noqa: S105  (a path)
    comment_path: str = "/v1.0/workflow/processInstances/comments"
    token_ttl_s: int = 7200
    rate_status: int = 403
    paging: str = "offset"
    table_shape: str = "grid"
    revoke_link: str = "mainProcessInstanceId"

    def __post_init__(self) -> None:
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"选项 {name} 可用：{', '.join(allowed)} / option {name}: one of {', '.join(allowed)}"
                )
        if self.token_ttl_s < 1 or not 400 <= self.rate_status <= 599:
            raise ValueError(
                "token_ttl_s 至少为 1，rate_status 为 400 至 599 / token_ttl_s ≥ 1, rate_status 400 to 599"
            )

    def changed(self, values: Mapping[str, Any]) -> Options:
        """These options with some values replaced. Raises ValueError for an unknown name, type or choice."""
        known = {item.name for item in fields(self)}
        for name, value in values.items():
            if name not in known or type(value) is not type(getattr(self, name)):
                raise ValueError(
                    f"选项 {name!r} 未知或类型不对，可用：{', '.join(sorted(known))} / "
                    f"unknown option or wrong type: {name!r}; known: {', '.join(sorted(known))}"
                )
        return replace(self, **values)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)
