"""Switches for what Kingdee's documents leave open. The README says where each default comes from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

Json = dict[str, Any]

FLEX = {
    "supplier": "FFLEX4",
    "department": "FFLEX5",
    "customer": "FFLEX6",
    "employee": "FFLEX7",
    "expense": "FFLEX9",
    "project": "FF100002",
}
"""Kind of the books → flex column. Another company has other columns: they must be looked up, never guessed."""

CHOICES = {
    "bill_number": ("own", "word"),
    "rows": ("entry", "bill"),
    "over_limit": ("cap", "refuse"),
    "stray_dimensions": ("drop", "refuse"),
    "replace": ("editable", "any"),
}


@dataclass(frozen=True, slots=True)
class Options:
    """How this Kingdee behaves.

    Attributes:
        ids_as_text: ids in answers are texts instead of numbers.
        success_as_text: IsSuccess is "true" or "false" instead of a boolean.
        amounts_as_text: amounts of queries are texts with ten decimals instead of numbers.
        view_as_text: Result.Result of View is JSON in a text.
        bill_number: FBillNo is a series of its own ("own"), or word and number ("word", repeated every period).
        rows: a query gives a row per entry, or a row per bill where it names fields of the head alone.
        hidden_statuses: vouchers in these statuses (letters) are not found by queries, only by View.
        over_limit: a Limit above 2000 is cut to 2000 without a word, or refused.
        unstable_ties: rows that OrderString does not tell apart come in another order on every page.
        like_brackets: [abc] in a like pattern is a set of characters, as SQL Server has it.
        replace: Save with an FVOUCHERID replaces vouchers that may be edited, or any that is not posted.
        repeat_window_s: how long ValidateRepeatJson remembers a body.
        partial_is_success: a batch of which a part failed says IsSuccess true.
        stray_dimensions: a dimension that the account does not carry is dropped, or refused.
        audit_needs_submit: Audit takes submitted vouchers alone.
        separate_reviewer: who made a voucher may not audit it.
        post_on_audit: an audited voucher is posted at once (the interface has no posting).
        timestamp_window_s: how far a signed timestamp may be off; 0 is not looked at.
        gateway: a gateway stands before the server, answers HTTP 519 and looks at timestamps.
        gateway_window_s: how far a timestamp may be off for it.
        session_ttl_s: a session that is not used for so long is gone.
        session_unready_ms: a new session is refused for so long.
        async_delay_ms: how long an asynchronous batch is pending.
        custom_fields: keys of own text fields on the head of vouchers (F_…).
        flex: kind of the books → flex column.
    """

    ids_as_text: bool = False
    success_as_text: bool = False
    amounts_as_text: bool = False
    view_as_text: bool = False
    bill_number: str = "own"
    rows: str = "entry"
    hidden_statuses: str = ""
    over_limit: str = "cap"
    unstable_ties: bool = True
    like_brackets: bool = True
    replace: str = "editable"
    repeat_window_s: int = 600
    partial_is_success: bool = False
    stray_dimensions: str = "drop"
    audit_needs_submit: bool = True
    separate_reviewer: bool = False
    post_on_audit: bool = False
    timestamp_window_s: int = 0
    gateway: bool = False
    gateway_window_s: int = 300
    session_ttl_s: int = 1200
    session_unready_ms: int = 0
    async_delay_ms: int = 200
    custom_fields: tuple[str, ...] = ()
    flex: Mapping[str, str] = field(default_factory=lambda: dict(FLEX))

    def __post_init__(self) -> None:
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} 须为 {', '.join(allowed)} / It must be one of these.")
        names = [*self.flex, *self.flex.values(), *self.custom_fields]
        if not all(re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII) for name in names):
            raise ValueError(
                "flex 与 custom_fields 只能是字母、数字、下划线 / Only letters, digits and _ in these names."
            )
        if len(set(self.flex.values())) != len(self.flex):
            raise ValueError("flex 的列不能重复 / Two kinds cannot share a flex column.")

    def changed(self, changes: Mapping[str, Any]) -> Options:
        """Other switches.

        Raises:
            ValueError: a name or a type that there is not.
        """
        known = {item.name for item in fields(self)}
        if not changes.keys() <= known:
            unknown = ", ".join(sorted(changes.keys() - known))
            raise ValueError(f"未知开关 {unknown} / Unknown switches; there are {', '.join(sorted(known))}.")
        values = dict(changes)
        if "custom_fields" in values:
            values["custom_fields"] = tuple(values["custom_fields"])
        for name, value in values.items():
            expected = type(getattr(self, name))
            if type(value) is not expected:
                raise ValueError(f"{name} 须为 {expected.__name__} / It must be a {expected.__name__}.")
        return replace(self, **values)

    def as_json(self) -> Json:
        return asdict(self)
