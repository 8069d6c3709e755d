"""What goes in and out of the accounting system's interface: refusals, amounts as decimal text, ids, texts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

DECIMALS = {"JPY": 0, "KRW": 0, "KWD": 3}
"""Decimals of currencies that do not have two."""


class Refused(Exception):
    """A business refusal: nothing was changed. `details` goes into the answer beside code and message."""

    def __init__(self, code: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details


class KeyTaken(Refused):
    """Another content stands under the idempotency key."""


def minor(amount: Any, currency: str) -> int:
    """Decimal text as minor units.

    Raises:
        Refused: it is no number, or has more digits than the currency.
    """
    try:
        value = Decimal(str(amount)).scaleb(DECIMALS.get(currency, 2))
    except InvalidOperation as error:
        raise Refused("E1006", f"金额 {amount!r} 格式有误") from error
    if value != value.to_integral_value() or abs(value) >= 10**17:
        raise Refused("E1006", f"金额 {amount} 的小数位数或大小超出 {currency} 的精度")
    return int(value)


def head(voucher: Mapping[str, Any]) -> dict[str, Any]:
    return {name: voucher[name] for name in ("id", "word", "number", "status")}


def numeric(ids: Iterable[str]) -> list[int]:
    return [int(each) for each in ids if each.isascii() and each.isdecimal() and len(each) < 18]


def one_line(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text).strip()


def digest(voucher: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(voucher, sort_keys=True).encode()).hexdigest()


def text(minor: int, currency: str) -> str:
    return str(Decimal(minor).scaleb(-DECIMALS.get(currency, 2)))
