"""Reading fields of a form by their mapping: each reading gives a value or None, and notes what was wrong and where."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, cast

from include.adapters.oa import reading
from include.adapters.oa.directory import Directory
from include.adapters.oa.forms.instance import FieldValue
from include.adapters.oa.forms.moments import read_moment
from include.adapters.oa.forms.numbers import narrow, plain_amount
from include.adapters.oa.reading import ID_LENGTH, Label, as_text, clean_text, shown
from include.domain.document import Reference
from include.domain.money import MAX_MINOR, AmountError, convert_minor, to_decimal
from include.domain.problems import ProblemOwner
from include.form_mappings import (
    AmountField,
    CurrencyField,
    FieldRef,
    PropertyField,
    ReferenceField,
    Target,
    TextField,
)

EMPTY: tuple[Any, ...] = (None, "", [], {})
_JSON_LENGTH = 1_000_000


@dataclass(frozen=True, slots=True)
class Spot:
    """Where fields are read: the form itself, or a row of a table. `line_no` is for messages about cost lines."""

    fields: Mapping[str, FieldValue]
    form: Mapping[str, FieldValue]
    table: str = ""
    index: int = 0
    line_no: int | None = None

    def holder(self, ref: FieldRef) -> Mapping[str, FieldValue]:
        return self.form if ref.main else self.fields

    def where(self, ref: FieldRef) -> str:
        """`dt1[2].je（金额）`: the code of the field and what the form calls it."""
        found = self.holder(ref).get(ref.field)
        prefix = "" if ref.main or not self.table else f"{self.table}[{self.index}]."
        label = f"（{clean_text(found.label)[:40]}）" if found is not None and found.label else ""
        return f"{prefix}{ref.field}{label}"


@dataclass(frozen=True, slots=True)
class Found:
    """What stands in a field. `is_there` is False where the field is not in the form or not as it was: that is noted."""

    value: Any
    where: str
    shown: str = ""
    is_there: bool = True

    @property
    def is_empty(self) -> bool:
        return self.value in EMPTY or (isinstance(self.value, str) and not self.value.strip())


@dataclass(slots=True)
class FormReader(reading.Reader):
    """Collects the problems of one form. `file` is its mapping file, `absent` what no form of the template has."""

    directory: Directory = field(default_factory=lambda: Directory(()))
    file: str = ""
    lists_empty: bool = True
    absent: frozenset[str] = frozenset()
    told: set[str] = field(default_factory=set)

    # -- fields --------------------------------------------------------------------------------------

    def find(self, ref: FieldRef, spot: Spot, label: Label, *, needed: bool = False) -> Found:
        """What stands in a field. One that is not in the form, or of another type, is the engineer's matter."""
        where = spot.where(ref)
        if not ref.field:
            return Found(None, where)
        place = ref.field if ref.main or not spot.table else f"{spot.table}.{ref.field}"
        found = spot.holder(ref).get(ref.field)
        if found is None:
            is_gone = not ref.optional and (needed or self.lists_empty or place in self.absent)
            if is_gone:
                self.gone(place, label)
            return Found(None, where, is_there=not is_gone)
        if ref.oa_type and found.type and found.type != ref.oa_type:
            self._changed(place, where, label, f"{shown(ref.oa_type)} → {shown(found.type)}")
            return Found(None, where, is_there=False)
        value = {"value": found.value, "label": found.shown, "ext": found.ext}[ref.by]
        if ref.path is None or value in EMPTY:
            return Found(value, where, clean_text(found.shown))
        try:
            return Found(_inside(value, ref.path), where)
        except (LookupError, ValueError, RecursionError):
            self._changed(place, where, label, f"path {ref.path}")
            return Found(None, where, is_there=False)

    def gone(self, place: str, label: Label) -> None:
        """Note a field or table that is not in the form."""
        self._once(
            "form.field.missing",
            place,
            f"表单中没有{label.zh}所用的字段 {shown(place)}，模板可能已修改：请在 {self.file} 中改为现在的字段；若部分表单本来就没有，"
            "加上 optional: true",
            f"the form has no field {shown(place)}, which is {label.en}: its template may have been changed. Name the "
            f"present field in {self.file}; if some forms never had it, add optional: true",
        )

    def _changed(self, place: str, where: str, label: Label, how: str) -> None:
        self._once(
            "form.field.changed",
            place,
            f"{label.zh}所用的字段与映射时不同（{how}），模板可能已修改：请核对并修改 {self.file}",
            f"{label.en}: its field is not as it was mapped ({how}), the template may have been changed: check it and "
            f"change {self.file}",
            where=where,
        )

    def structure(self, ref: FieldRef, found: Found, label: Label) -> None:
        """Note a value that is a list or an object where a plain one is mapped."""
        self._changed(ref.field, found.where, label, as_text(found.value))

    def unlisted(self, place: str, found: Found, label: Label, value: str) -> None:
        """Note a value that the mapping's enum does not list."""
        also = f"（{found.shown[:40]}）" if found.shown and found.shown != value else ""
        self._once(
            "form.enum.unknown",
            f"{place}={value[:64]}",
            f"{label.zh}的取值 {shown(value)}{also} 没有映射：请在 {self.file} 该字段的 enum 中加一行",
            f"{label.en} has the value {shown(value)}, which is not mapped: add a line to the field's enum in {self.file}",
            where=found.where,
        )

    def _once(self, code: str, what: str, zh: str, en: str, *, where: str = "") -> None:
        """A problem of the mapping: once a document, and one cause for all documents."""
        if f"{code}:{what}" not in self.told:
            self.told.add(f"{code}:{what}")
            cause = f"{code}:{self.file}:{what}"
            self.note(code, where or clean_text(what), zh, en, owner=ProblemOwner.ENGINEER, cause=cause)

    # -- text ----------------------------------------------------------------------------------------

    def words(self, ref: TextField | PropertyField | None, spot: Spot, label: Label) -> str:
        """Text, by the enum where there is one; a list is joined; empty where there is none."""
        if ref is None:
            return ""
        found = self.find(ref, spot, label)
        if found.is_empty:
            return ref.default if found.is_there else ""
        text = self._joined(ref, found, label)
        if not ref.enum or not text:
            return text
        if text not in ref.enum:
            self.unlisted(ref.field, found, label, text)
        return ref.enum.get(text, "")

    def _joined(self, ref: FieldRef, found: Found, label: Label) -> str:
        values = found.value if isinstance(found.value, list) else [found.value]
        if any(isinstance(value, list | dict) for value in values):
            self.structure(ref, found, label)
            return ""
        return "、".join(filter(None, map(_scalar, values)))

    def code(self, ref: TextField | None, spot: Spot, label: Label, length: int = ID_LENGTH) -> str:
        """A key of at most `length` characters."""
        text = self.words(ref, spot, label)
        return self.key(text, spot.where(ref), label, length, spot.line_no) if ref is not None else ""

    # -- references ----------------------------------------------------------------------------------

    def refer(self, ref: ReferenceField | None, kind: str, spot: Spot, label: Label) -> Reference | None:
        """What a field refers to: by its enum, by name, or by id; None where it says nothing."""
        if ref is None:
            return None
        found = self.find(ref, spot, label)
        if found.is_empty:
            return self._targeted(kind, ref.default) if ref.default and found.is_there else None
        identity = self.one_id(ref, found, label, spot.line_no)
        if identity is None:
            return None
        if ref.enum:
            if identity not in ref.enum:
                self.unlisted(ref.field, found, label, identity)
                return None
            target = ref.enum[identity]
            return Reference(target.code, target.code, target.name or found.shown)
        if ref.by == "label":
            return self._named(kind, identity, found, label, spot.line_no)
        known = self.directory.reference(kind, identity)
        return known if known.name else Reference(known.id, known.code, found.shown)

    def one_id(self, ref: FieldRef, found: Found, label: Label, line_no: int | None = None) -> str | None:
        """The one id in a field: text, a number, an object with an id, or a list of one of these."""
        value = found.value
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if isinstance(value, dict):
            value = value.get("id")
        if isinstance(value, list) and all(not isinstance(item, list) for item in value):
            self.note(
                f"{label.code}.several",
                found.where,
                f"{label.zh}选了 {len(value)} 个，只能选一个，请改正",
                f"{label.en}: {len(value)} are chosen, choose one",
                line_no=line_no,
            )
            return None
        if isinstance(value, bool | list | dict) or value is None:
            self.structure(ref, found, label)
            return None
        return self.key(_scalar(value), found.where, label, ID_LENGTH, line_no) or None

    def _targeted(self, kind: str, target: Target) -> Reference:
        known = self.directory.reference(kind, target.code)
        return known if known.name else Reference(target.code, target.code, target.name)

    def _named(
        self, kind: str, name: str, found: Found, label: Label, line_no: int | None
    ) -> Reference | None:
        records = self.directory.named(kind, name)
        if len(records) == 1:
            return self.directory.reference(kind, records[0].id)
        if records:
            codes = "、".join(record.code or record.id for record in records[:5])
            self.note(
                f"{label.code}.ambiguous",
                found.where,
                f"{label.zh} {shown(name)} 有 {len(records)} 个同名档案（{codes}），请在 OA 中改名，或由工程师改按编号映射",
                f"{label.en} {shown(name)}: {len(records)} entries have that name ({codes}); rename them in the OA, or have "
                "it mapped by id",
                line_no=line_no,
                owner=ProblemOwner.FINANCE,
                cause=f"{label.code}.ambiguous:{name}",
            )
            return None
        return Reference(name, "", name)

    # -- time ----------------------------------------------------------------------------------------

    def at(self, ref: FieldRef | None, spot: Spot, label: Label) -> datetime | None:
        """A moment in UTC, None where there is none."""
        found = self.find(ref, spot, label) if ref is not None else None
        if found is None or found.is_empty:
            return None
        moment = read_moment(found.value, self.zone)
        if moment is None:
            self._no_date(found.value, found.where, label, spot.line_no)
        return moment

    def utc(self, moment: datetime | None, where: str, label: Label) -> datetime | None:
        """A moment that the adapter gave, in UTC; None, with a problem, beyond the years that columns hold."""
        if moment is None or 1970 <= moment.year < 9999:
            return moment.astimezone(UTC) if moment is not None else None
        self._no_date(moment.isoformat(), where, label, None)
        return None

    def _no_date(self, value: object, where: str, label: Label, line_no: int | None) -> None:
        code = f"{label.code}.unreadable"
        if f"{code}:{where}" in self.told:
            return
        self.told.add(f"{code}:{where}")
        self.note(
            code,
            where,
            f"{label.zh} {shown(value)} 不是可用的日期，请改正",
            f"{label.en} {shown(value)} is no usable date, correct it",
            line_no=line_no,
        )

    def on(self, ref: FieldRef | None, spot: Spot, label: Label) -> date | None:
        """The business day of a moment in the tenant's zone."""
        moment = self.at(ref, spot, label)
        return moment.astimezone(self.zone).date() if moment is not None else None

    # -- money ---------------------------------------------------------------------------------------

    def currency_of(self, ref: CurrencyField | None, spot: Spot, label: Label, default: str) -> str | None:
        """The currency that a field names; None, with a problem, where it names none that we know."""
        if ref is None:
            return default
        found = self.find(ref, spot, label)
        if found.is_empty:
            return (ref.default or default) if found.is_there else None
        code = self.one_id(ref, found, label, spot.line_no)
        if code is None:
            return None
        if ref.enum and code not in ref.enum:
            self.unlisted(ref.field, found, label, code)
            return None
        return ref.enum[code] if ref.enum else self.currency(code, found.where, label, spot.line_no)

    def exchange_rate(self, ref: FieldRef, spot: Spot, label: Label) -> Decimal | None:
        """Functional per foreign unit; a foreign amount needs one, so none at all is a problem."""
        found = self.find(ref, spot, label, needed=True)
        if not found.is_there:
            return None
        value = narrow(found.value) if isinstance(found.value, str) else found.value
        return self.rate(value, found.where, label, spot.line_no)

    def money(
        self, ref: FieldRef, currency: str | None, spot: Spot, label: Label, *, needed: bool = False
    ) -> int | None:
        """Minor units of the currency that the field is in; None where it is empty (a problem if it is needed)."""
        found = self.find(ref, spot, label, needed=needed)
        if not found.is_there or currency is None:
            return None
        value = found.value
        if found.is_empty:
            value = ref.default if isinstance(ref, AmountField) else None
            if value is None and not needed:
                return None
        if isinstance(value, list | dict):
            self.structure(ref, found, label)
            return None
        try:
            value = plain_amount(value, currency) if isinstance(value, str) else value
        except AmountError as error:
            self.amount_fault(error, found.where, label, currency, spot.line_no)
            return None
        return self.minor(value, currency, found.where, label, spot.line_no)

    def converted(
        self, amount: int | None, currency: str, rate: Decimal | None, spot: Spot, label: Label, where: str
    ) -> int | None:
        """Functional minor units of an amount; None where amount or rate is not known."""
        if amount is None or currency == self.functional:
            return amount
        if rate is None:
            return None
        found = convert_minor(amount, currency, rate, self.functional)
        if abs(found) > MAX_MINOR:
            self.amount_fault(AmountError("out_of_range", found), where, label, self.functional, spot.line_no)
            return None
        return found

    # -- further fields ------------------------------------------------------------------------------

    def property_text(self, ref: PropertyField, spot: Spot, label: Label, currency: str | None) -> str:
        """A further field as text: amounts in major units, days as 2026-01-31, entries of master data by code."""
        if ref.type == "text":
            return self.words(ref, spot, label)
        found = self.find(ref, spot, label)
        if found.is_empty:
            return ref.default if found.is_there else ""
        if ref.type == "date":
            day = self.on(ref, spot, label)
            return day.isoformat() if day else ""
        if ref.type == "reference":
            identity = self.one_id(ref, found, label)
            return self.directory.reference("dimension", identity).key if identity else ""
        if ref.type == "amount":
            amount = self.money(ref, currency, spot, label)
            return "" if amount is None else format(to_decimal(amount, cast(str, currency)), "f")
        return self._number(ref, found, label)

    def _number(self, ref: FieldRef, found: Found, label: Label) -> str:
        if isinstance(found.value, list | dict | bool):
            self.structure(ref, found, label)
            return ""
        number = _decimal(as_text(found.value))
        if number is None:
            fault = AmountError("not_a_number", found.value)
            self.amount_fault(fault, found.where, label, self.functional, None)
            return ""
        return format(number, "f")


def _decimal(text: str) -> Decimal | None:
    """A number of reasonable size, None where the text is none."""
    try:
        number = Decimal(narrow(text).replace(",", ""))
    except ArithmeticError:
        return None
    is_usable = number.is_finite() and abs(number.adjusted()) < reading.MAX_RATE_DIGITS
    return number if is_usable and len(format(number, "f")) <= ID_LENGTH else None


def _scalar(value: Any) -> str:
    """A plain JSON value as text without spaces at the ends: whole floats as whole numbers, flags as true and false."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if value is None else as_text(value).strip()


def _inside(value: Any, path: str) -> Any:
    """What stands at a place of a JSON value; text on the way is taken for JSON.

    Raises:
        LookupError, ValueError, RecursionError: there is no such place.
    """
    for part in path.split("."):
        if isinstance(value, str):
            if len(value) > _JSON_LENGTH:
                raise ValueError("too long")
            value = json.loads(value, parse_float=Decimal)
        if not isinstance(value, list | dict):
            raise ValueError("neither a list nor an object")  # noqa: TRY004  # it is data, whatever its type
        value = value[int(part)] if isinstance(value, list) else value[part]
    return value
