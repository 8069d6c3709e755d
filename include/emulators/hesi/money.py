"""The vendor's amount object, written from integer minor units.

An amount is an object: `standard` in the company's own currency and, for foreign money, `foreign`, `rate`
and `sysRate` beside it. `standard` is text in most places and a number in some; `standardScale` is a number
or text. All of these shapes are produced here, because all of them are in the vendor's samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Currency:
    """A currency as the vendor describes it: letter code, number code, decimals, symbol and unit."""

    code: str
    number: str
    scale: int
    symbol: str
    unit: str
    name: str


CURRENCIES = {
    currency.code: currency
    for currency in (
        Currency("CNY", "156", 2, "¥", "元", "人民币"),
        Currency("USD", "840", 2, "$", "美元", "美元"),
        Currency("EUR", "978", 2, "€", "欧元", "欧元"),
        Currency("JPY", "392", 0, "J¥", "圆", "日圆"),
        Currency("HKD", "344", 2, "HK$", "港元", "港元"),
    )
}


@dataclass(frozen=True, slots=True)
class Shape:
    """How an amount is spelt. `trimmed`: "33" for 33.00; `number`: a JSON number; `scale_text`: scale "2"."""

    trimmed: bool = False
    number: bool = False
    scale_text: bool = False


LINE = Shape(trimmed=True)
TOTAL = Shape(scale_text=True)
PLAIN = Shape()
NUMBER = Shape(number=True)


def decimal_text(minor: int, scale: int, *, trimmed: bool = False) -> str:
    """Minor units as decimal text in major units: 3300, 2 → "33.00", trimmed "33"."""
    sign = "-" if minor < 0 else ""
    whole, part = divmod(abs(minor), 10**scale)
    if scale == 0 or (trimmed and part == 0):
        return f"{sign}{whole}"
    return f"{sign}{whole}.{part:0{scale}d}"


def money(minor: int, home: Currency, shape: Shape = PLAIN) -> Json:
    """An amount in the home currency. `minor` is in minor units of `home`."""
    text = decimal_text(minor, home.scale, trimmed=shape.trimmed or shape.number)
    # A JSON number, as the vendor itself sends in places: repr() of the float is the same digits again.
    value: object = (float(text) if "." in text else int(text)) if shape.number else text
    return {
        "standard": value,
        "standardUnit": home.unit,
        "standardScale": str(home.scale) if shape.scale_text else home.scale,
        "standardSymbol": home.symbol,
        "standardNumCode": home.number,
        "standardStrCode": home.code,
    }


def converted(foreign_minor: int, currency: Currency, rate: str, home: Currency) -> int:
    """`foreign × rate` in minor units of `home`, rounded half up, as the vendor requires at submission."""
    value = Decimal(foreign_minor).scaleb(-currency.scale) * Decimal(rate)
    return int(value.scaleb(home.scale).quantize(Decimal(1), ROUND_HALF_UP))


def foreign_money(foreign_minor: int, currency: Currency, rate: str, home: Currency) -> Json:
    """A foreign amount with its home value; `rate` is home units for one foreign unit."""
    return {
        **money(converted(foreign_minor, currency, rate, home), home),
        "foreign": decimal_text(foreign_minor, currency.scale),
        "foreignUnit": currency.unit,
        "foreignScale": currency.scale,
        "foreignSymbol": currency.symbol,
        "foreignNumCode": currency.number,
        "foreignStrCode": currency.code,
        "rate": rate,
        "sysRate": rate,
    }


def share(minor: int, part: int, whole: int) -> int:
    """`minor × part / whole` in minor units, rounded half up; for non-negative numbers."""
    return (2 * minor * part + whole) // (2 * whole)
