"""Exact money: integer minor units (分, cents) plus an ISO 4217 currency. Floats never appear."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation, localcontext
from functools import lru_cache

import iso4217

MAX_MINOR = 2**63 - 1
"""The largest amount that a BIGINT column holds, in minor units."""


class AmountError(ValueError):
    """An amount that cannot be taken as it stands; `code` says why.

    Codes: `missing`, `not_a_number`, `too_many_decimals`, `out_of_range`, `unknown_currency`.
    """

    def __init__(self, code: str, value: object) -> None:
        super().__init__(f"{code}: {value!r}")
        self.code = code
        self.value = value


@lru_cache(maxsize=512)
def currency_decimals(currency: str) -> int:
    """Decimals of a currency by ISO 4217: CNY 2, JPY 0, KWD 3.

    Raises:
        AmountError: `unknown_currency`, also for codes that have no minor unit (gold, test codes).
    """
    try:
        exponent = iso4217.Currency(currency).exponent
    except ValueError:
        raise AmountError("unknown_currency", currency) from None
    if exponent is None:
        raise AmountError("unknown_currency", currency)
    return int(exponent)


def parse_minor(value: object, currency: str) -> int:
    """Read a decimal amount in major units (number or text) as minor units of `currency`.

    More decimals than the currency has are refused, unless they are zeros ("12.300" is 1230): rounding
    is never ours to do.

    Raises:
        AmountError: see its codes.
    """
    if value is None or isinstance(value, bool) or (isinstance(value, str) and not value.strip()):
        raise AmountError("missing" if not isinstance(value, bool) else "not_a_number", value)
    if not isinstance(value, str | int | float | Decimal):
        raise AmountError("not_a_number", value)
    text = str(value).strip()
    if len(text) > 64:
        raise AmountError("out_of_range", text[:64] + "…")
    try:
        major = Decimal(text)
    except InvalidOperation:
        raise AmountError("not_a_number", value) from None
    if not major.is_finite():
        raise AmountError("not_a_number", value)
    if major.adjusted() > 30:
        raise AmountError("out_of_range", value)
    with localcontext(prec=100):  # the default of 28 digits would round a long tail of decimals away
        minor = major.scaleb(currency_decimals(currency))
        if minor != minor.to_integral_value():
            raise AmountError("too_many_decimals", value)
    if abs(minor) > MAX_MINOR:
        raise AmountError("out_of_range", value)
    return int(minor)


def to_decimal(minor: int, currency: str) -> Decimal:
    """Major units as an exact Decimal: 1230 CNY is Decimal("12.30")."""
    return Decimal(minor).scaleb(-currency_decimals(currency))


def format_minor(minor: int, currency: str) -> str:
    """For people: `1,234.50 CNY`."""
    return f"{to_decimal(minor, currency):,f} {currency}"


def convert_minor(minor: int, currency: str, rate: Decimal, functional: str) -> int:
    """Minor units of `functional` for an amount in `currency`, half up; `rate` is functional per foreign unit."""
    shift = currency_decimals(functional) - currency_decimals(currency)
    with localcontext(prec=80):  # the default of 28 digits would round before we do
        return int((Decimal(minor) * rate).scaleb(shift).to_integral_value(ROUND_HALF_UP))


def split(total: int, weights: Sequence[int]) -> tuple[int, ...]:
    """Split `total` in proportion to `weights`; the parts always add up to the whole (largest remainder).

    Equal remainders go to the larger weight, then to the earlier position, so equal inputs give equal
    outputs. Weights may be negative, their sum may not be zero.

    Raises:
        ValueError: no weights, or weights that add up to zero: the caller has nothing to split by.
    """
    whole = sum(weights)
    if not weights or whole == 0:
        raise ValueError("cannot split by no weight")
    parts = [total * weight // whole for weight in weights]
    missing = total - sum(parts)
    by_remainder = sorted(
        range(len(weights)), key=lambda i: (-abs((total * weights[i]) % whole), -abs(weights[i]), i)
    )
    for i in by_remainder[:missing]:
        parts[i] += 1
    return tuple(parts)


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in minor units of a currency. Adding two currencies is a programmer's error and raises."""

    minor: int
    currency: str

    def __post_init__(self) -> None:
        currency_decimals(self.currency)
        if isinstance(self.minor, bool) or not isinstance(self.minor, int):
            raise TypeError(f"minor units must be int, not {type(self.minor).__name__}")
        if abs(self.minor) > MAX_MINOR:
            raise AmountError("out_of_range", self.minor)

    @classmethod
    def parse(cls, value: object, currency: str) -> Money:
        """See `parse_minor`."""
        return cls(parse_minor(value, currency), currency)

    @property
    def decimal(self) -> Decimal:
        return to_decimal(self.minor, self.currency)

    def __add__(self, other: Money) -> Money:
        return Money(self.minor + self._same(other), self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(self.minor - self._same(other), self.currency)

    def __neg__(self) -> Money:
        return Money(-self.minor, self.currency)

    def __str__(self) -> str:
        return format_minor(self.minor, self.currency)

    def _same(self, other: Money) -> int:
        if other.currency != self.currency:
            raise ValueError(f"{self.currency} and {other.currency} cannot be added: convert one first")
        return other.minor
