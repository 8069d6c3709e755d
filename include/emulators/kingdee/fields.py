"""Fields of Kingdee's forms: their keys, kinds and columns, and how a value is shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from include.emulators.hesi.clock import SHANGHAI

MONEY_PLACES = 4
"""Columns of the kind `money` are integers in units of 10⁻⁴, whatever the currency."""
SHOWN_PLACES = 10
"""Decimals of an amount that is shown as a text."""
HEAD = "FBillHead"

FIELD_TYPES = {"day": 61, "moment": 61, "id": 127, "money": 106, "number": 106, "int": 56, "flag": 104}
"""FieldType numbers of QueryBusinessInfo; 167 for text."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field. `kind`: text, int, number (decimal text), money, flag, day, moment (epoch ms), id (of base data), or
    digits (a number that is shown as a text). `entity` is the key of the entry it stands in. `lookup` is the form that
    a base-data field refers to.
    """

    key: str
    label: str
    sql: str
    kind: str = "text"
    entity: str = HEAD
    lookup: str = ""
    must: bool = False
    choices: tuple[tuple[str, str], ...] = ()
    listed: bool = True
    """Whether QueryBusinessInfo names it."""

    @property
    def collation(self) -> str:
        return " COLLATE NOCASE" if self.kind == "text" else ""

    def shown(self, value: Any, *, amounts_as_text: bool = False) -> Any:
        """A column's value as a query gives it."""
        if value is None:
            return None
        match self.kind:
            case "money":
                exact = Decimal(value).scaleb(-MONEY_PLACES)
                return f"{exact:.{SHOWN_PLACES}f}" if amounts_as_text else float(exact)
            case "number":
                exact = Decimal(value)
                return f"{exact:.{SHOWN_PLACES}f}" if amounts_as_text else float(exact)
            case "flag":
                return bool(value)
            case "day":
                return str(value).replace(" ", "T")
            case "moment":
                moment = datetime.fromtimestamp(value // 1000, SHANGHAI)
                return f"{moment:%Y-%m-%dT%H:%M:%S}.{value % 1000:03d}"
            case "digits":
                return str(value)
            case _:
                return value


@dataclass(frozen=True, slots=True)
class Form:
    """A form (业务对象) that can be queried.

    Attributes:
        id: its form id; found in any case, although the vendor's spelling is irregular.
        name: in Chinese.
        source: FROM clause of the head.
        key: the field with its primary key; "" where it has none, and pages then need an OrderString.
        entries: entry key → (name, JOIN clause); joined where a field of it is named.
        fields: all fields.
        where: a condition that always holds.
    """

    id: str
    name: str
    source: str
    key: str
    fields: tuple[Field, ...]
    entries: Mapping[str, tuple[str, str]]
    where: str = "1"

    def by_key(self) -> dict[str, Field]:
        return {field.key.lower(): field for field in self.fields}


def base(key: str, label: str, lookup: str, columns: Mapping[str, str], **rest: Any) -> Iterator[Field]:
    """A base-data field and what can be asked behind a dot: `columns` maps "" (the id) and sub-keys to SQL."""
    for sub, sql in columns.items():
        if sub:
            yield Field(f"{key}.{sub}", label, sql, listed=False, entity=rest.get("entity", HEAD))
        else:
            yield Field(key, label, sql, "id", lookup=lookup, **rest)
