"""How e-cology writes amounts: text in the shape of the database, of the field, or of whoever typed it.

Amounts inside the emulator are integer minor units (分) and become text only here.
"""

from __future__ import annotations

_DIGITS = "零壹贰叁肆伍陆柒捌玖"
_PLACES = ("", "拾", "佰", "仟")
_GROUPS = ("", "万", "亿")


def plain(minor: int) -> str:
    """123450 → "1234.50": a DECIMAL(15,2) column of SQL Server."""
    sign = "-" if minor < 0 else ""
    whole, cents = divmod(abs(minor), 100)
    return f"{sign}{whole}.{cents:02d}"


def oracle(minor: int) -> str:
    """123450 → "1234.5", 50 → ".5", 100 → "1": a NUMBER column of Oracle, as its driver spells it."""
    text = plain(minor).rstrip("0").rstrip(".")
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text


def thousands(minor: int) -> str:
    """123450 → "1,234.50": a field of type 金额千分位, which is text in the database."""
    sign = "-" if minor < 0 else ""
    whole, cents = divmod(abs(minor), 100)
    return f"{sign}{whole:,}.{cents:02d}"


def capital(minor: int) -> str:
    """123450 → "壹仟贰佰叁拾肆元伍角整": a field of type 金额转换.

    Amounts up to 999,999,999,999.99.
    """
    sign = "负" if minor < 0 else ""
    whole, cents = divmod(abs(minor), 100)
    groups: list[str] = []
    for index in range(3):
        number = whole // 10_000**index % 10_000
        if number:
            text = _group(number) + _GROUPS[index]
            higher = whole // 10_000 ** (index + 1)
            groups.append(("零" if higher and number < 1000 else "") + text)
        elif groups and not groups[-1].startswith("零"):
            groups[-1] = "零" + groups[-1]
    head = "".join(reversed(groups)).lstrip("零")
    jiao, fen = divmod(cents, 10)
    tail = ""
    if jiao:
        tail += _DIGITS[jiao] + "角"
    elif fen and head:
        tail += "零"
    tail += _DIGITS[fen] + "分" if fen else "整"
    if not head:
        return sign + ("零元整" if not cents else tail)
    return f"{sign}{head}元{tail}"


def _group(number: int) -> str:
    """1 to 9999 in capitals: 1034 → "壹仟零叁拾肆"."""
    text = ""
    for place in range(3, -1, -1):
        digit = number // 10**place % 10
        if digit:
            text += _DIGITS[digit] + _PLACES[place]
        elif text and not text.endswith("零") and number % 10**place:
            text += "零"
    return text
