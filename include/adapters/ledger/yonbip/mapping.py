"""Our vouchers as YonBIP's and back. Pure functions over `References`, what is known of the tenant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, localcontext
from typing import Any

from include.adapters.ledger.yonbip.references import Record, References, pick, text_of
from include.domain.account import AuxiliaryDimension
from include.domain.errors import FixData
from include.domain.money import AmountError, Money
from include.domain.voucher import (
    JournalLine,
    LedgerLine,
    LedgerVoucher,
    LedgerVoucherState,
    Side,
    Voucher,
)

ASIDE, SAVED, WRONG, AUDITED, TALLIED, VOID = "00", "01", "02", "03", "04", "05"
"""The values of voucherStatus: 暂存, 保存, 错误, 已审核, 已记账, 作废."""
POSTED = frozenset({SAVED, AUDITED, TALLIED})
"""The interface can only save: what an accountant does next is his."""

CUSTOM_RATE = "02"
SOURCE_TYPE = "voucherflow"
MAX_DIGITS = 15
"""Amounts go out as JSON numbers, which readers may take for binary floating point: fifteen digits come through."""
RATE_DECIMALS = 10
UNPRINTABLE = dict.fromkeys([*range(32), 127], " ")
CHINA = timedelta(hours=8)

Refusal = tuple[str, str]
"""Why a voucher cannot be posted and what to do, in Chinese and in English."""


@dataclass(frozen=True, slots=True)
class Form:
    """How vouchers of a book are written; see YonbipOptions for what each is."""

    key_field: str
    key_length: int
    summary_length: int
    sends_business_id: bool
    words: Mapping[str, str]
    dimensions: Mapping[str, str]
    currencies: Mapping[str, str]
    source_system: str
    maker: Mapping[str, str] = field(repr=False)
    """`makerMobile` or `makerEmail`."""

    def word_of(self, code: str) -> str:
        return next((word for word, each in self.words.items() if each == code), "")

    def currency_of(self, code: str) -> str:
        return next((currency for currency, each in self.currencies.items() if each == code), code)

    def kind_of(self, code: str) -> str:
        return next((kind for kind, each in self.dimensions.items() if each == code), "")


def clean_text(text: str) -> str:
    return text.translate(UNPRINTABLE).strip()


def number(value: Decimal) -> int | float:
    """A JSON number whose text is exactly this decimal of at most fifteen digits; nothing is calculated with it."""
    if value == value.to_integral_value():
        return int(value)
    shown = float(value)
    if Decimal(repr(shown)) != value:
        raise ValueError(f"more than {MAX_DIGITS} digits: {value}")
    return shown


def say(refusals: Sequence[Refusal]) -> str:
    """All of them in one message, Chinese first."""
    return f"{'；'.join(zh for zh, _ in refusals)} / {'; '.join(en for _, en in refusals)}"


def refusals_of(voucher: Voucher, references: References, form: Form) -> list[Refusal]:
    """Everything for which the ledger would refuse the voucher, or change it without a word; empty when nothing."""
    refusals = []
    if voucher.currency != references.currency:
        ours, theirs = voucher.currency, references.currency
        zh = f"凭证本位币 {ours} 与账簿 {theirs} 不符，请检查账簿设置"
        refusals.append((zh, f"the voucher is in {ours}, the book in {theirs}: correct the book"))
    if voucher.word not in form.words:
        zh = f"凭证字 {voucher.word} 没有对应的凭证类型编码，请写入 ledger.options.words"
        en = f"no code of a voucher type for the word {voucher.word}: add it to ledger.options.words"
        refusals.append((zh, en))
    have = len(str(voucher.key))
    if form.key_field and have > form.key_length:
        zh = f"凭证键有 {have} 个字符，{form.key_field} 只能存 {form.key_length} 个，请缩短账簿或来源的名称"
        en = f"the key has {have} characters and {form.key_field} holds {form.key_length}: shorten the names of book or source"
        refusals.append((zh, en))
    if references.period_of(voucher.date) is None:
        zh = f"会计期间方案不含 {voucher.date}，请先在用友建立"
        refusals.append((zh, f"the scheme of periods does not hold {voucher.date}: add it in YonBIP"))
    for line in voucher.lines:
        refusals += [
            (f"第 {line.line_no} 行：{zh}", f"line {line.line_no}: {en}")
            for zh, en in _line_refusals(line, references, form)
        ]
    return refusals


def _line_refusals(line: JournalLine, references: References, form: Form) -> list[Refusal]:
    account, code = references.accounts.get(line.account), line.account
    if account is None:
        return [(f"没有科目 {code}，请修改规则表", f"no account {code}: correct the table")]
    if not account.is_leaf:
        return [(f"科目 {code} 不是末级科目，请用其下级", f"account {code} is not a leaf: use one below it")]
    if not account.is_active:
        return [(f"科目 {code} 已停用，请换用其他科目", f"account {code} is out of use: use another")]
    refusals = []
    kept = {value.kind for value in line.dimensions if value.kind in form.dimensions}
    if missing := ", ".join(sorted(account.required_dimensions - kept)):
        zh = f"科目 {code} 的辅助核算 {missing} 必填，请在规则中写上"
        refusals.append((zh, f"account {code} requires {missing}: add it to the rule"))
    if stray := ", ".join(sorted(kept - references.carried.get(code, frozenset(kept)))):
        zh = f"科目 {code} 没有辅助核算 {stray}，请从规则中去掉或在用友中为科目加上"
        en = f"account {code} carries no {stray}: leave it out of the rule, or add it to the account"
        refusals.append((zh, en))
    summary = clean_text(line.summary)
    if not summary:
        refusals.append(
            ("没有摘要，用友要求填写，请修改规则", "no summary, and YonBIP requires one: correct the rule")
        )
    elif len(summary) > form.summary_length:
        zh = f"摘要有 {len(summary)} 个字符，最多 {form.summary_length} 个，请缩短规则中的摘要"
        en = f"the summary has {len(summary)} characters, at most {form.summary_length}: shorten it in the rule"
        refusals.append((zh, en))
    return refusals + _amount_refusals(line, references)


def _amount_refusals(line: JournalLine, references: References) -> list[Refusal]:
    refusals = []
    amounts = [line.amount] if line.transaction is None else [line.amount, line.transaction]
    if any(abs(amount.minor) >= 10**MAX_DIGITS for amount in amounts):
        zh, en = f"金额超过 {MAX_DIGITS} 位，请拆分", f"more than {MAX_DIGITS} digits: split the voucher"
        refusals.append((zh, en))
    if line.transaction is not None and line.transaction.currency == references.currency:
        currency = references.currency
        zh = f"外币金额不能用本位币 {currency}，请去掉"
        refusals.append((zh, f"{currency} is the book's own currency, not a foreign one: leave it out"))
    return refusals


def body_of(voucher: Voucher, references: References, form: Form) -> dict[str, Any]:
    """The body of addVoucher, fields at its top as the vendor has it. There must be no `refusals_of` it."""
    period = references.period_of(voucher.date)
    assert period is not None
    key = str(voucher.key)
    body: dict[str, Any] = {
        "accbookCode": references.book,
        "voucherTypeCode": form.words[voucher.word],
        "period": period.code,
        "makeTime": voucher.date.isoformat(),
        **form.maker,
        "srcSystemCode": form.source_system,
        "attachedBill": voucher.attachments,
    }
    if form.sends_business_id:
        body["businessId"] = key
    if form.key_field == "description":
        body["description"] = key
    body["externalSourceDataId"] = key
    body["externalSourceDataType"] = SOURCE_TYPE
    body["externalSourceDataCode"] = voucher.key.document_id
    body["externalSourceSystemName"] = voucher.key.source
    return body | {"bodies": [_entry(line, voucher.date, form) for line in voucher.lines]}


def _entry(line: JournalLine, day: date, form: Form) -> dict[str, Any]:
    original = line.amount if line.transaction is None else line.transaction
    side = "debit" if line.side is Side.DEBIT else "credit"
    entry: dict[str, Any] = {
        "description": clean_text(line.summary),
        "accsubjectCode": line.account,
        f"{side}Original": number(original.decimal),
        f"{side}Org": number(line.amount.decimal),
        "currencyCode": form.currencies.get(original.currency, original.currency),
        "busidate": day.isoformat(),
    }
    if line.transaction is not None:
        entry |= {"rateType": CUSTOM_RATE, "rateOrg": number(rate_of(line))}
    values = [
        {"filedCode": form.dimensions[value.kind], "valueCode": value.code}  # the vendor's spelling
        for value in line.dimensions
        if value.kind in form.dimensions
    ]
    return entry | ({"clientAuxiliaryList": values} if values else {})


def rate_of(line: JournalLine) -> Decimal:
    """Functional per foreign unit, to ten decimals; 1 where nothing was converted."""
    if line.transaction is None or line.transaction.minor == 0:
        return Decimal(1)
    with localcontext(prec=40):
        rate = line.amount.decimal / line.transaction.decimal
        shown = min(RATE_DECIMALS, MAX_DIGITS - 1 - max(rate.adjusted(), 0))
        return rate.quantize(Decimal(1).scaleb(-shown))


@dataclass(frozen=True, slots=True)
class Found:
    """A voucher in YonBIP and its voucherStatus."""

    voucher: LedgerVoucher
    status: str


def number_of(head: Record, form: Form) -> str:
    """As people read it, 记-12; empty for a voucher that has none."""
    shown = text_of(head, "displayname", "displayName")
    bare = text_of(head, "billcode", "billCode")
    if shown or not bare or bare == "0":
        return shown
    kind = pick(head, "vouchertype", "voucherTypeObj", "voucherType")
    word = form.word_of(text_of(kind, "code")) if isinstance(kind, Mapping) else ""
    return f"{word}-{bare}" if word else bare


def status_of(head: Record) -> str:
    """The status with its leading zero, which a page that gives a number drops."""
    return text_of(head, "voucherstatus", "voucherStatus").zfill(2)


def found_voucher(record: Record, references: References, form: Form) -> Found:
    """A voucher from a record of the list (`header` and `body`).

    Raises:
        FixData: an amount or a day that cannot be read.
    """
    head, lines = pick(record, "header"), pick(record, "body", "bodies") or []
    if not isinstance(head, Mapping) or not isinstance(lines, list) or not text_of(head, "id"):
        raise FixData("用友的凭证记录没有表头或分录 / a record of a voucher lacks its head or entries")
    status, ledger_id = status_of(head), text_of(head, "id")
    if status == VOID:
        state = LedgerVoucherState.REVERSED
    else:
        state = LedgerVoucherState.POSTED if status in POSTED else LedgerVoucherState.DRAFT
    try:
        voucher = LedgerVoucher(
            ledger_id=ledger_id,
            number="" if state is LedgerVoucherState.DRAFT else number_of(head, form),
            reference=reference_of(head, form),
            date=day_of(pick(head, "maketime", "makeTime")),
            period=text_of(head, "period", "periodunion", "periodUnion"),
            state=state,
            lines=tuple(_ledger_line(line, references, form) for line in lines),
        )
    except (AmountError, ValueError) as error:
        raise FixData(
            f"用友凭证 {ledger_id} 不能读取 / the voucher with YonBIP's id {ledger_id} cannot be read: {error}"
        ) from error
    return Found(voucher, status)


def reference_of(head: Record, form: Form) -> str:
    """The text that may hold our key."""
    return text_of(head, form.key_field, form.key_field.lower()) if form.key_field else ""


def day_of(value: Any) -> date:
    """A day as `2026-01-29`, with a time behind it, or in milliseconds.

    Raises:
        ValueError: none of these.
    """
    text = str(value).strip()
    if text.isascii() and text.isdecimal() and len(text) > 8:
        return (datetime.fromtimestamp(int(text[:13]) // 1000, UTC) + CHINA).date()
    return date.fromisoformat(text[:10])


def _ledger_line(line: Record, references: References, form: Form) -> LedgerLine:
    debit, credit = (
        Money.parse(pick(line, f"{side}_org", f"{side}Org") or 0, references.currency)
        for side in ("debit", "credit")
    )
    side = Side.CREDIT if credit.minor else Side.DEBIT
    code = _code(pick(line, "currency", "currencyObj"))
    currency = form.currency_of(code) if code else references.currency
    original = pick(line, f"{side}_original", f"{side}Original") or 0
    dimensions = [
        AuxiliaryDimension(kind, value, name)
        for each in pick(line, "clientauxiliary", "clientAuxiliary", "clientAuxiliaryList") or []
        if (kind := form.kind_of(text_of(each, "code", "filedCode"))) and (value := _value(each)[0])
        for name in (_value(each)[1],)
    ]
    return LedgerLine(
        side=side,
        account=_code(pick(line, "accsubject", "accSubject", "accSubjectObj")),
        amount=credit if side is Side.CREDIT else debit,
        dimensions=tuple(sorted(dimensions)),
        transaction=None if currency == references.currency else Money.parse(original, currency),
        summary=text_of(line, "description"),
    )


def _code(value: Any) -> str:
    """The code of a reference, which is an object with one or the code itself."""
    return text_of(value, "code") if isinstance(value, Mapping) else str(value or "").strip()


def _value(auxiliary: Record) -> tuple[str, str]:
    """Code and name of an auxiliary value. Where a page gives only YonBIP's id, that: it equals no code of ours."""
    data = pick(auxiliary, "data", "valueObj")
    if isinstance(data, Mapping):
        return text_of(data, "code"), text_of(data, "name")
    return text_of(auxiliary, "valueCode", "value"), text_of(auxiliary, "valueName")
