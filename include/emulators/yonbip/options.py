"""Switches for what the public record of YonBIP leaves open. The README says where each default comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

Json = dict[str, Any]

AUXILIARIES: Mapping[str, str] = {
    "0001": "department",
    "0002": "project",
    "0003": "employee",
    "0004": "supplier",
    "0005": "customer",
    "0006": "expense",
}
"""Code of an auxiliary item → kind of the books; another tenant has other codes."""
CHOICES = {
    "repeat": ("first", "refuse", "create"),
    "resubmit": ("off", "on"),
    "no_period": ("nothing", "current"),
    "periods_as": ("list", "text"),
}


@dataclass(frozen=True, slots=True)
class Options:
    """How this tenant behaves.

    Attributes:
        token_ttl_s: how long a token lives; expire says it.
        signature_code: code of a token call whose signature is wrong.
        timestamp_tolerance_s: how far a token call's timestamp may be off; 0 is not checked.
        denied: interfaces that are not granted (310037): parts of their paths.
        quota_per_minute: calls of one interface in a minute; 0 is no ceiling.
        quota_code: what a call above it is refused with.
        repeat: a businessId that is there already gives the first voucher's answer, is refused, or makes another one.
        repeat_code: of that refusal, and of a resubmitCheckKey after its hour.
        resubmit: resubmitCheckKey (at the top or in data) is honoured.
        resubmit_ttl_s: how long its answer is kept.
        no_period: a list without periodStart and periodEnd is empty, or that of the current month.
        periods_as: periods come as a list (seen), or as one text with string booleans (documented example).
        list_shows: fields of the saved head that the list's header shows beside the documented ones.
        deletable: statuses in which a voucher may be deleted.
        red: negative amounts on their own side are taken.
        description_length: the longest summary of an entry or head.
        key_length: the longest businessId and externalSourceDataId.
        auxiliaries: code of an auxiliary item → kind of the books.
    """

    token_ttl_s: int = 7200
    signature_code: str = "10019"
    timestamp_tolerance_s: int = 0
    denied: tuple[str, ...] = ()
    quota_per_minute: int = 0
    quota_code: str = "310046"
    repeat: str = "first"
    repeat_code: str = "10004"
    resubmit: str = "off"
    resubmit_ttl_s: int = 3600
    no_period: str = "nothing"
    periods_as: str = "list"
    list_shows: tuple[str, ...] = ()
    deletable: tuple[str, ...] = ("00", "01", "02")
    red: bool = True
    description_length: int = 300
    key_length: int = 200
    auxiliaries: Mapping[str, str] = field(default_factory=lambda: dict(AUXILIARIES))

    def __post_init__(self) -> None:
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} 须为 {', '.join(allowed)} / It must be one of these.")
        for item in fields(self):
            value = getattr(self, item.name)
            if type(value) is int and value < 0:
                raise ValueError(f"{item.name} 不能为负 / It must not be negative.")

    def code_of(self, kind: str) -> str:
        """The code under which a kind of the books is known here; the kind itself where there is none."""
        return next((code for code, mine in self.auxiliaries.items() if mine == kind), kind)

    def changed(self, changes: Mapping[str, Any]) -> Options:
        """Other switches; lists stand for tuples, as JSON has them.

        Raises:
            ValueError: a name or a type that there is not.
        """
        known = {item.name for item in fields(self)}
        if not changes.keys() <= known:
            unknown = ", ".join(sorted(changes.keys() - known))
            raise ValueError(f"未知开关 {unknown} / Unknown switches; there are {', '.join(sorted(known))}.")
        values = {name: _value(name, value, type(getattr(self, name))) for name, value in changes.items()}
        return replace(self, **values)

    def as_json(self) -> Json:
        return asdict(self)


def _value(name: str, value: Any, expected: type) -> Any:
    """A switch's value in its type, checked."""
    if expected is tuple:
        if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
            raise ValueError(f"{name} 须为文本数组 / It must be a list of texts.")
        return tuple(value)
    if type(value) is not expected:
        raise ValueError(f"{name} 须为 {expected.__name__} / It must be a {expected.__name__}.")
    return value
