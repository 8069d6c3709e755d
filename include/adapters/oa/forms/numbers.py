"""Numbers as people and forms write them: thousands separators, full-width digits, currency signs.

Only writing is undone here; what the number means, and whether it fits, is for `Reader` to say. Amounts in words are
refused: a person must not have to trust our reading of them.
"""

from __future__ import annotations

import re

from include.domain.money import AmountError, currency_decimals

MAX_LENGTH = 64
_WIDE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {
    0xFFE5: "¥",  # ￥
    0x2212: "-",  # minus sign
    0x3000: " ",  # ideographic space
    0x00A0: " ",  # no-break space
}
_NUMBER = re.compile(
    r"(?P<before>[^\s0-9.,+-]{0,8})\s?(?P<sign>[+-]?)\s?(?P<between>[^\s0-9.,+-]{0,8})\s?"
    r"(?P<digits>(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]*)?|\.[0-9]+)(?P<power>[eE][+-]?[0-9]{1,4})?"
    r"\s?(?P<after>[^\s0-9.,+-]{0,8})"
)
_WORDS = re.compile("[零〇一二三四五六七八九十百千壹贰貳叁參肆伍陆陸柒捌玖拾佰仟万萬亿億角分整正]")
_SIGNS = {
    "¥": ("CNY", "JPY"),
    "元": ("CNY", "HKD", "TWD", "MOP"),
    "圆": ("CNY", "HKD", "TWD", "MOP"),
    "人民币": ("CNY",),
    "RMB": ("CNY",),
    "CNH": ("CNY",),
    "$": ("USD", "HKD", "TWD", "SGD", "AUD", "CAD", "NZD"),
    "US$": ("USD",),
    "美元": ("USD",),
    "HK$": ("HKD",),
    "港元": ("HKD",),
    "港币": ("HKD",),
    "€": ("EUR",),
    "欧元": ("EUR",),
    "£": ("GBP",),
    "英镑": ("GBP",),
    "日元": ("JPY",),
}
"""What stands beside amounts, and the currencies that it may mean."""


def narrow(text: str) -> str:
    """Full-width characters as plain ones, without spaces at the ends."""
    return text.translate(_WIDE).strip()


def plain_amount(text: str, currency: str) -> str:
    """The digits of a written amount in `currency`, for `parse_minor`; empty where there are none.

    Raises:
        AmountError: `in_words`, `other_currency`, `not_a_number`, `out_of_range`.
    """
    found = narrow(text)
    if not found:
        return ""
    if len(found) > MAX_LENGTH:
        raise AmountError("out_of_range" if found.isascii() and found.isdigit() else "not_a_number", text)
    match = _NUMBER.fullmatch(found)
    if match is None:
        raise AmountError("in_words" if _WORDS.search(found) else "not_a_number", text)
    for mark in match.group("before", "between", "after"):
        if mark and currency not in _currencies(mark, text):
            raise AmountError("other_currency", text)
    return match["sign"] + match["digits"].replace(",", "") + (match["power"] or "")


def _currencies(mark: str, text: str) -> tuple[str, ...]:
    """The currencies that a sign or code stands for."""
    known = _SIGNS.get(mark.upper())
    if known is not None:
        return known
    if _WORDS.search(mark):
        raise AmountError("in_words", text)
    try:
        currency_decimals(mark.upper() if len(mark) == 3 else "")
    except AmountError:
        raise AmountError("not_a_number", text) from None
    return (mark.upper(),)
