"""The body of addVoucher as a draft for the books; what cannot be read is said in the platform's words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from include.emulators.hesi.clock import day_of
from include.emulators.ledger_books import Books
from include.emulators.ledger_rules import Draft, Line, Reason, Refusal
from include.emulators.yonbip.options import Options

Json = dict[str, Any]
HEAD_TEXTS = (
    "description",
    "code",
    "externalSourceDataId",
    "externalSourceDataType",
    "externalSourceDataCode",
    "externalSourceSystemName",
)
SOURCE = "figl"
MAX_AMOUNT = Decimal(10) ** 13
_PERIOD = re.compile(r"(\d{4})-(0[1-9]|1[0-2])")


class BadVoucherError(Exception):
    """What the platform answers to a body that it cannot take."""


def text(body: Mapping[str, Any], name: str) -> str:
    """A field as trimmed text, "" where it is missing or null."""
    value = body.get(name)
    if isinstance(value, dict | list | bool):
        raise BadVoucherError(f"{name}类型不正确")
    return "" if value is None else str(value).strip()


def draft_of(body: Json, books: Books, options: Options) -> Draft:
    """Read the body of addVoucher.

    Raises:
        BadVoucherError: the first thing that is missing or wrong.
        RefusedError: no such book.
    """
    book = text(body, "accbookCode")
    if not book:
        raise BadVoucherError("账簿code不能为空！")
    word = text(body, "voucherTypeCode")
    if not word:
        raise BadVoucherError("凭证类型code不能为空！")
    maker = text(body, "makerMobile") or text(body, "makerEmail")
    if not maker:
        raise BadVoucherError("制单人手机号和邮箱不能都为空！")
    for name in ("businessId", "externalSourceDataId"):
        if len(text(body, name)) > options.key_length:
            raise BadVoucherError(f"{name}长度超过{options.key_length}")
    bodies = body.get("bodies")
    if not isinstance(bodies, list) or not bodies or not all(isinstance(each, dict) for each in bodies):
        raise BadVoucherError("分录不能为空！")
    _short(text(body, "description"), options)
    own = str(books.book(book)["currency"])
    extra = {name: text(body, name) for name in HEAD_TEXTS}
    return Draft(
        book=book,
        word=word,
        day=_day(body, books),
        lines=tuple(_line(number, each, own, books, options) for number, each in enumerate(bodies, start=1)),
        number=_count(body, "billCode") or None,
        attachments=_count(body, "attachedBill"),
        preparer=maker,
        reference=text(body, "businessId"),
        extra={name: value for name, value in extra.items() if value}
        | {"srcSystemCode": text(body, "srcSystemCode") or SOURCE},
    )


def _day(body: Json, books: Books) -> date:
    """makeTime, else today; a period beside it must hold it."""
    given, period = text(body, "makeTime"), text(body, "period")
    try:
        day = date.fromisoformat(given[:10]) if given else day_of(books.clock.now_ms())
    except ValueError as error:
        raise BadVoucherError(f"制单日期{given[:40]}格式不正确") from error
    if period and not _PERIOD.fullmatch(period):
        raise BadVoucherError(f"会计期间{period[:40]}不存在！")
    if period and period != f"{day:%Y-%m}":
        if given:
            raise BadVoucherError(f"制单日期{given[:40]}不在会计期间{period}内")
        return date.fromisoformat(f"{period}-01")
    return day


def _short(value: str, options: Options) -> None:
    if len(value) > options.description_length:
        raise BadVoucherError(f"摘要长度超过{options.description_length}")


def _count(body: Json, name: str) -> int:
    value = text(body, name)
    if not value:
        return 0
    if not (value.isascii() and value.isdecimal()) or len(value) > 9:
        raise BadVoucherError(f"{name}的值{value[:40]}不正确")
    return int(value)


def _line(number: int, entry: Json, own: str, books: Books, options: Options) -> Line:
    here = f"第{number}行分录"
    summary = text(entry, "description")
    if not summary:
        raise BadVoucherError(f"{here}摘要不能为空！")
    _short(summary, options)
    currency = text(entry, "currencyCode") or own
    scales = {"Original": books.scale(currency), "Org": books.scale(own)}
    if scales["Original"] is None:
        raise BadVoucherError(f"{here}币种{currency[:40]}不存在！")
    amounts = {
        side + what: _money(here, entry, side + what, scale or 0, options)
        for side in ("debit", "credit")
        for what, scale in scales.items()
    }
    for side in ("debit", "credit"):
        if (entry.get(f"{side}Original") is None) != (entry.get(f"{side}Org") is None):
            raise BadVoucherError(f"{here}原币和本币都要填写！")
    if currency == own and any(
        amounts[f"{side}Original"] != amounts[f"{side}Org"] for side in ("debit", "credit")
    ):
        raise BadVoucherError(f"{here}原币金额与本币金额不一致")
    return Line(
        account=text(entry, "accsubjectCode"),
        debit=amounts["debitOrg"],
        credit=amounts["creditOrg"],
        summary=summary,
        dimensions=_auxiliaries(here, entry, options),
        currency=currency,
        amount_for=amounts["debitOriginal"] + amounts["creditOriginal"],
        rate=_rate(here, entry),
    )


def _rate(here: str, entry: Json) -> str:
    given = text(entry, "rateOrg") or "1"
    if not re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,12})?", given):
        raise BadVoucherError(f"{here}汇率{given[:40]}不正确")
    return given


def _money(here: str, entry: Json, name: str, scale: int, options: Options) -> int:
    """Minor units."""
    given = text(entry, name)
    try:
        value = Decimal(given or 0) if len(given) <= 40 else Decimal("NaN")
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or abs(value) >= MAX_AMOUNT or "_" in given:
        raise BadVoucherError(f"{here}{name}的值{given[:40]}不正确")
    minor = value.scaleb(scale)
    if minor != minor.to_integral_value():
        raise BadVoucherError(f"{here}{name}的小数位数超过币种精度")
    if minor < 0 and not options.red:
        raise BadVoucherError(f"{here}金额不能为负数")
    return int(minor)


def _auxiliaries(here: str, entry: Json, options: Options) -> dict[str, str]:
    items = entry.get("clientAuxiliaryList") or []
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise BadVoucherError(f"{here}clientAuxiliaryList类型不正确")
    found: dict[str, str] = {}
    for item in items:
        code, value = text(item, "filedCode"), text(item, "valueCode")
        if not code or not value:
            raise BadVoucherError(f"{here}辅助核算项编码和档案值编码不能为空！")
        kind = options.auxiliaries.get(code)
        if kind is None or kind in found:
            raise BadVoucherError(f"{here}辅助核算项{code[:40]}{'重复' if kind else '不存在！'}")
        found[kind] = value
    return found


WORDING: Mapping[Reason, str] = {
    Reason.BOOK_UNKNOWN: "账簿{value}不存在！",
    Reason.WORD_UNKNOWN: "凭证类型{value}不存在！",
    Reason.PERIOD_UNKNOWN: "会计期间{value}不存在！",
    Reason.PERIOD_CLOSED: "会计期间{value}已结账",
    Reason.PERIOD_NOT_OPEN: "会计期间{value}未启用",
    Reason.NO_LINES: "分录不能为空！",
    Reason.TOO_MANY_LINES: "分录数{value}超过{detail}",
    Reason.UNBALANCED: "借贷不平衡",
    Reason.ACCOUNT_MISSING: "科目code不能为空！",
    Reason.ACCOUNT_UNKNOWN: "科目{value}不存在！",
    Reason.ACCOUNT_NOT_LEAF: "科目{value} {detail}不是末级科目",
    Reason.ACCOUNT_DISABLED: "科目{value} {detail}已停用",
    Reason.CURRENCY_UNKNOWN: "币种{value}不存在！",
    Reason.BOTH_SIDES: "借贷不能同时填写",
    Reason.NO_AMOUNT: "借贷金额不能都为空",
    Reason.DIMENSION_MISSING: "科目{value}的辅助核算项{detail}不能为空",
    Reason.DIMENSION_STRAY: "科目{value}没有辅助核算项{detail}",
    Reason.VALUE_UNKNOWN: "辅助核算项{detail}的档案值{value}不存在！",
    Reason.VALUE_DISABLED: "辅助核算项{detail}的档案值{value}已停用",
    Reason.NUMBER_TAKEN: "凭证号{value}已存在",
    Reason.REFERENCE_TAKEN: "业务唯一标识{value}已存在",
    Reason.VOUCHER_UNKNOWN: "未找到相应凭证！",
    Reason.STATUS_FORBIDS: "凭证状态{value}不允许此操作",
    Reason.POSTED: "凭证已记账",
}
ABOUT_KINDS = (
    Reason.DIMENSION_MISSING,
    Reason.DIMENSION_STRAY,
    Reason.VALUE_UNKNOWN,
    Reason.VALUE_DISABLED,
)


def in_words(refusal: Refusal, options: Options) -> str:
    """What the books refused, as the platform says it."""
    detail = options.code_of(refusal.detail) if refusal.reason in ABOUT_KINDS else refusal.detail
    said = WORDING[refusal.reason].format(value=refusal.value, detail=detail)
    return said if refusal.line is None else f"第{refusal.line}行分录{said}"
