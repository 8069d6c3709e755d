"""Switches for what the public record of NC's exchange platform leaves open. The README says where each default comes
from.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

Json = dict[str, Any]

CHECKTYPES: Mapping[str, tuple[str, ...]] = {
    "0001": ("department",),
    "0002": ("employee",),
    "0004": ("supplier", "customer"),
    "0010": ("project",),
    "0011": ("expense",),
}
"""Code of an auxiliary kind (pk_Checktype) → kinds of the books. 0004 客商 is supplier and customer in one. Another
site has other codes.
"""

CHOICES = {
    "answer": ("elements", "attributes"),
    "answer_order": ("sent", "reversed"),
    "success_values": ("Y/N", "true/false", "1/0"),
    "content": ("number", "pk", "empty"),
    "answer_encoding": ("UTF-8", "GBK", "as_sent"),
    "declared_in": ("both", "xml", "header"),
    "problems": ("all", "first"),
    "deleted_id": ("kept", "free"),
    "stray_checktypes": ("refuse", "drop"),
    "over_scale": ("round", "refuse"),
    "period_mismatch": ("refuse", "follow_date"),
}


@dataclass(frozen=True, slots=True)
class Options:
    """How this NC site behaves.

    Attributes:
        account: the data source (账套) that `account` must name.
        group: the group that `groupcode` must name.
        senders: external systems that are registered.
        users: who may be the maker (pk_prepared); empty lets anybody be.
        answer: the fields of a sendresult are elements or attributes.
        answer_order: sendresults come in the order of the vouchers, or in another.
        success_flag: name of the root's attribute that sums the answer up; "" leaves it out.
        success_values: what that attribute says.
        ok_code: resultcode of what went well.
        error_code: resultcode of what did not.
        exists_code: resultcode of an id that was imported before.
        exists_text: what an id that was imported before is refused with; {id} is the id.
        with_billpk: sendresult carries the voucher's primary key as `billpk`.
        content: `content` holds 年|月|凭证类别|号, or the primary key, or nothing.
        partial_is_success: the root says success where a part was imported.
        answer_encoding: of the answer's bytes; as_sent follows the request.
        declared_in: where the encoding of the answer is named.
        problems: a refused voucher names all its problems, or the first alone.
        file_is_atomic: one refused voucher refuses its whole file.
        deleted_id: the id of a voucher that somebody deleted stays imported, or may come again.
        id_required: a voucher without an id is refused.
        id_by_sender: ids are told apart by sender; else the whole site shares them.
        stray_checktypes: an auxiliary kind that the account does not carry is refused, or dropped.
        over_scale: more decimals than the currency has are rounded half up, or refused.
        period_mismatch: year and period that do not hold prepareddate are refused, or the date wins.
        explanation_length: the longest explanation.
        max_vouchers: vouchers in one file; 0 is no ceiling but that of bytes.
        post_on_import: imported vouchers are posted at once (some sites have a task that does it).
        soap: the web service is deployed.
        views: the site has set up its read-only views.
        view_lag_ms: how long a voucher needs until the views show it (they may read a copy).
        checktypes: code of an auxiliary kind → kinds of the books.
    """

    account: str = "develop"
    group: str = "GJJT"
    senders: tuple[str, ...] = ("OA",)
    users: tuple[str, ...] = ("oa", "wanganqi")
    answer: str = "elements"
    answer_order: str = "sent"
    success_flag: str = "successful"
    success_values: str = "Y/N"
    ok_code: str = "1"
    error_code: str = "-32000"
    exists_code: str = "-32000"
    exists_text: str = "单据{id}已经导入过，不允许重复导入"
    with_billpk: bool = False
    content: str = "number"
    partial_is_success: bool = False
    answer_encoding: str = "UTF-8"
    declared_in: str = "both"
    problems: str = "all"
    file_is_atomic: bool = False
    deleted_id: str = "kept"
    id_required: bool = False
    id_by_sender: bool = True
    stray_checktypes: str = "refuse"
    over_scale: str = "round"
    period_mismatch: str = "refuse"
    explanation_length: int = 300
    max_vouchers: int = 0
    post_on_import: bool = False
    soap: bool = True
    views: bool = True
    view_lag_ms: int = 0
    checktypes: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: dict(CHECKTYPES))

    def __post_init__(self) -> None:
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} 须为 {', '.join(allowed)} / It must be one of these.")
        if not re.fullmatch(r"([A-Za-z_][\w.-]*)?", self.success_flag, re.ASCII):
            raise ValueError("success_flag 须为 XML 属性名或空 / The name of an XML attribute, or empty.")
        if self.ok_code in (self.error_code, self.exists_code):
            raise ValueError("ok_code 不能与失败代码相同 / ok_code must differ from the codes of failures.")
        for name in ("explanation_length", "max_vouchers", "view_lag_ms"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} 不能为负 / It must not be negative.")
        if any("|" in sender for sender in self.senders):
            raise ValueError("senders 中不能有竖线 / No vertical bar in senders.")
        kinds = [kind for several in self.checktypes.values() for kind in several]
        if len(set(kinds)) != len(kinds) or not all(self.checktypes.values()):
            raise ValueError(
                "checktypes 中每个编码须有自己的辅助核算 / Each code needs kinds of its own in checktypes."
            )

    def code_of(self, kind: str) -> str:
        """The code under which a kind of the books is known here; the kind itself where the site has no code."""
        return next((code for code, kinds in self.checktypes.items() if kind in kinds), kind)

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
        return _texts(name, value)
    if expected is dict:
        if not isinstance(value, Mapping):
            raise ValueError(f"{name} 须为对象 / It must be an object.")
        return {str(key): _texts(name, item) for key, item in value.items()}
    if type(value) is not expected:
        raise ValueError(f"{name} 须为 {expected.__name__} / It must be a {expected.__name__}.")
    return value


def _texts(name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"{name} 须为文本数组 / It must be a list of texts.")
    return tuple(value)
