"""Our vouchers as Kingdee's GL_VOUCHER and back. Pure functions over `References`, what is known of the site."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Any

from include.adapters.ledger.kingdee.answers import is_true
from include.adapters.ledger.kingdee.client import Row
from include.adapters.ledger.kingdee.references import References, day_of
from include.domain.account import AuxiliaryDimension
from include.domain.errors import FixConfig, FixData
from include.domain.money import AmountError, Money
from include.domain.period import PeriodState
from include.domain.voucher import (
    JournalLine,
    LedgerLine,
    LedgerVoucher,
    LedgerVoucherState,
    Side,
    Voucher,
)

ASIDE, CREATED, SUBMITTED, AUDITED, REOPENED = "Z", "A", "B", "C", "D"
"""FDocumentStatus: 暂存, 创建, 审核中, 已审核, 重新审核."""
STEPS = {"save": (CREATED, SUBMITTED, AUDITED), "submit": (SUBMITTED, AUDITED), "audit": (AUDITED,)}
"""By the book's `finish`: the statuses in which a voucher is as posted as the interface can make it."""

ENTRY = "FEntity."
"""Before the key of an entry's field, as the vendor writes it in NeedReturnFields."""
UNFIT_KEY_FIELDS = frozenset({"FSOURCEBILLKEY", "FEXPLANATION", "FVOUCHERID", "FBILLNO", "FVOUCHERGROUPNO"})
"""A reference to master data, a text for people, and what Kingdee fills itself."""
SUMMARY_LENGTH = 255
"""FEXPLANATION, in the database's characters. Not documented: 255 is what its client lets people type."""
MAX_DIGITS = 15
"""Amounts go out as JSON numbers, which readers may take for binary floating point: fifteen digits come through."""
RATE_DECIMALS = 10
UNPRINTABLE = dict.fromkeys([*range(32), 127], " ")


@dataclass(frozen=True, slots=True)
class KeyField:
    """Where our key is kept: a text field of entries or of the head. `length` is in the database's characters."""

    name: str
    is_entry: bool
    length: int

    @classmethod
    def of(cls, text: str, length: int) -> KeyField | None:
        """`FEntity.FBUSNO`, `F_PAEZ_KEY`, or "" for none.

        Raises:
            FixConfig: a field that cannot hold it.
        """
        if not text:
            return None
        name = text.removeprefix(ENTRY)
        if name.upper() in UNFIT_KEY_FIELDS or not name.isidentifier():
            raise FixConfig(
                f"ledger.options.key_field 不能是 {text}：请用 FEntity.FBUSNO 或凭证上的自定义文本字段 / key_field cannot be {text}: use "
                "FEntity.FBUSNO or a text field of your own on vouchers"
            )
        return cls(name, text.startswith(ENTRY), length)

    @property
    def returned(self) -> str:
        """Its name in NeedReturnFields."""
        return f"{ENTRY}{self.name}" if self.is_entry else self.name

    def kept(self, returned: Mapping[str, Any]) -> set[str]:
        """What a save says is kept now; empty where the site does not say."""
        holders = returned.get("FEntity") or () if self.is_entry else (returned,)
        return {str(holder[self.name]) for holder in holders if holder.get(self.name)}


def length_of(text: str) -> int:
    """In the characters of Kingdee's database, where 😀 takes two."""
    return len(text.encode("utf-16-le")) // 2


def cut(text: str, length: int) -> str:
    """The beginning of a text that fits, without half a character."""
    return text.encode("utf-16-le")[: 2 * length].decode("utf-16-le", "ignore")


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


Refusal = tuple[str, str]
"""Why a voucher cannot be posted and what to do, in Chinese and in English."""


def refusals_of(
    voucher: Voucher, references: References, known: Collection[AuxiliaryDimension], key: KeyField | None
) -> list[Refusal]:
    """Everything for which the ledger would refuse the voucher, or change it without a word; empty when nothing."""
    refusals = []
    if voucher.currency != references.currency:
        ours, theirs = voucher.currency, references.currency
        zh, en = (
            f"凭证本位币 {ours} 与账簿 {theirs} 不符，请检查账簿设置",
            f"the voucher is in {ours}, the book in {theirs}",
        )
        refusals.append((zh, f"{en}: correct the book"))
    if voucher.word not in references.words:
        there = list(references.words)
        refusals.append(
            (
                f"金蝶没有凭证字 {voucher.word}，可用：{'、'.join(there)}",
                f"Kingdee has no voucher word {voucher.word}: use one of {', '.join(there)}",
            )
        )
    if key is not None and length_of(str(voucher.key)) > key.length:
        have = length_of(str(voucher.key))
        refusals.append(
            (
                f"凭证键有 {have} 个字符，字段 {key.name} 只能存 {key.length} 个，请换用更长的文本字段（key_field、key_length）",
                f"the key has {have} characters and {key.name} holds {key.length}: use a longer field (key_field, key_length)",
            )
        )
    found = references.period_of(voucher.date)
    if found is None:
        refusals.append(
            (
                f"账簿的会计日历不含 {voucher.date}，请先建立会计年度",
                f"the book's calendar does not hold {voucher.date}: add its year in Kingdee",
            )
        )
    elif found.period.state is not PeriodState.OPEN:
        refusals.append(
            (
                f"会计期间 {found.period.code} 已结账，请反结账或改用之后的日期",
                f"period {found.period.code} is closed: reopen it or use a later date",
            )
        )
    for line in voucher.lines:
        refusals += [
            (f"第 {line.line_no} 行：{zh}", f"line {line.line_no}: {en}")
            for zh, en in _line_refusals(line, references, known)
        ]
    return refusals


def say(refusals: Sequence[Refusal]) -> str:
    """All of them in one message, Chinese first."""
    return f"{'；'.join(zh for zh, _ in refusals)} / {'; '.join(en for _, en in refusals)}"


def _line_refusals(
    line: JournalLine, references: References, known: Collection[AuxiliaryDimension]
) -> list[Refusal]:
    found = references.accounts.get(line.account)
    if found is None:
        return [(f"没有科目 {line.account}，请修改规则表", f"no account {line.account}: correct the table")]
    account, code = found.account, line.account
    if not account.is_leaf:
        return [(f"科目 {code} 不是明细科目，请用其下级", f"account {code} is not a leaf: use one below it")]
    if not account.is_active:
        return [(f"科目 {code} 已禁用，请换用其他科目", f"account {code} is forbidden: use another")]
    refusals = []
    kept = [value for value in line.dimensions if value.kind in references.columns]
    missing = account.required_dimensions - {value.kind for value in kept}
    if missing:
        kinds = ", ".join(sorted(missing))
        zh = f"科目 {code} 的核算维度 {kinds} 必录，请在规则中写上"
        refusals.append((zh, f"account {code} requires {kinds}: add it to the rule"))
    for value in kept:
        if references.columns[value.kind].column not in found.carried:
            zh = f"科目 {code} 没有核算维度 {value.kind}，请从规则中去掉或在金蝶中为科目加上"
            en = f"account {code} carries no {value.kind}: leave it out of the rule, or add it to the account"
            refusals.append((zh, en))
        elif value not in known:
            zh = f"金蝶没有 {value.kind} {value.code}，或未审核、已禁用，请先建立"
            en = f"Kingdee has no {value.kind} {value.code} in use: create and audit it there first"
            refusals.append((zh, en))
    return refusals + _amount_refusals(line, references)


def _amount_refusals(line: JournalLine, references: References) -> list[Refusal]:
    refusals = []
    amounts = [line.amount] if line.transaction is None else [line.amount, line.transaction]
    if any(abs(amount.minor) >= 10**MAX_DIGITS for amount in amounts):
        zh, en = f"金额超过 {MAX_DIGITS} 位，请拆分", f"more than {MAX_DIGITS} digits: split the voucher"
        refusals.append((zh, en))
    if line.transaction is not None:
        currency = line.transaction.currency
        if currency == references.currency:
            zh = f"外币金额不能用本位币 {currency}，请去掉"
            refusals.append((zh, f"{currency} is the book's own currency, not a foreign one: leave it out"))
        elif currency not in references.currencies:
            zh = f"金蝶没有币种 {currency}，请先建立"
            refusals.append((zh, f"Kingdee has no currency {currency}: create it there first"))
    return refusals


def model_of(
    voucher: Voucher, references: References, key: KeyField | None, rate_type: str
) -> dict[str, Any]:
    """A Model for BatchSave, its keys in the vendor's order, which matters. There must be no `refusals_of` it.

    FVOUCHERID is never in it: with one, Kingdee replaces that voucher without a word.
    """
    model: dict[str, Any] = {
        "FAccountBookID": {"FNumber": references.book},
        "FDate": voucher.date.isoformat(),
        "FBUSDATE": voucher.date.isoformat(),
        "FVOUCHERGROUPID": {"FNumber": references.words[voucher.word]},
        "FVOUCHERGROUPNO": "",  # Kingdee numbers it
        "FATTACHMENTS": voucher.attachments,
    }
    if key is not None and not key.is_entry:
        model[key.name] = str(voucher.key)
    # Every entry carries the key: an accountant who deletes one does not make the voucher unfindable.
    own = {key.name: str(voucher.key)} if key is not None and key.is_entry else {}
    return model | {"FEntity": [_entry(line, references, rate_type) | own for line in voucher.lines]}


def _entry(line: JournalLine, references: References, rate_type: str) -> dict[str, Any]:
    amount = number(line.amount.decimal)
    original = line.amount if line.transaction is None else line.transaction
    details = {
        f"FDETAILID__{references.columns[value.kind].column}": {
            references.columns[value.kind].code_key: value.code
        }
        for value in line.dimensions
        if value.kind in references.columns
    }
    return {
        "FEXPLANATION": cut(clean_text(line.summary), SUMMARY_LENGTH),
        "FACCOUNTID": {"FNumber": line.account},
        **({"FDetailID": details} if details else {}),
        "FCURRENCYID": {"FNumber": references.currencies[original.currency]},
        "FEXCHANGERATETYPE": {"FNumber": rate_type},
        "FEXCHANGERATE": number(rate_of(line)),
        "FAMOUNTFOR": number(original.decimal),
        "FDEBIT": amount if line.side is Side.DEBIT else 0,
        "FCREDIT": amount if line.side is Side.CREDIT else 0,
    }


def rate_of(line: JournalLine) -> Decimal:
    """Functional per foreign unit, as exact as Kingdee keeps it; 1 where nothing was converted."""
    if line.transaction is None or line.transaction.minor == 0:
        return Decimal(1)
    with localcontext(prec=40):
        rate = line.amount.decimal / line.transaction.decimal
        shown = min(RATE_DECIMALS, MAX_DIGITS - 1 - max(rate.adjusted(), 0))
        return rate.quantize(Decimal(1).scaleb(-shown))


HEAD_KEYS = (
    "FVOUCHERID",
    "FVOUCHERGROUPID.FName",
    "FVOUCHERGROUPNO",
    "FDate",
    "FYEAR",
    "FPERIOD",
    "FDocumentStatus",
    "FPostStatus",
    "FInvalid",
)
LINE_KEYS = (
    "FEntity_FEntryID",
    "FEXPLANATION",
    "FACCOUNTID.FNumber",
    "FDEBIT",
    "FCREDIT",
    "FCURRENCYID.FNumber",
    "FAMOUNTFOR",
)


def voucher_keys(references: References, key: KeyField | None) -> list[str]:
    """FieldKeys of a query that `found_voucher` reads."""
    flex = [name for column in references.columns.values() for name in (column.code, column.label)]
    return [*HEAD_KEYS, *LINE_KEYS, *flex, *([key.name] if key else [])]


@dataclass(frozen=True, slots=True)
class Found:
    """A voucher in Kingdee with what only Kingdee knows of it."""

    voucher: LedgerVoucher
    status: str
    is_in_balances: bool
    """Whether it is 过账, and so in GL_BALANCE."""


def full_number(word: str, number: str) -> str:
    """As people read it, 记-12; empty for a voucher that has none."""
    return f"{word}-{number}" if number and number != "0" else ""


def found_voucher(rows: Sequence[Row], references: References, key: KeyField | None, finish: str) -> Found:
    """A voucher from the rows of its entries.

    Raises:
        FixData: an amount with more decimals than its currency has.
    """
    head, status = rows[0], rows[0].text("FDocumentStatus")
    is_void = is_true(head["FInvalid"])
    state = LedgerVoucherState.POSTED if status in STEPS[finish] else LedgerVoucherState.DRAFT
    if is_void:
        state = LedgerVoucherState.REVERSED
    ledger_id = head.text("FVOUCHERID")
    try:
        lines = tuple(_ledger_line(row, references) for row in rows)
    except AmountError as error:
        raise FixData(
            f"金蝶凭证内码 {ledger_id} 的金额不能读取 / the voucher with Kingdee's id {ledger_id} has an amount that cannot be "
            f"read: {error}"
        ) from error
    is_draft = state is LedgerVoucherState.DRAFT
    voucher = LedgerVoucher(
        ledger_id=ledger_id,
        # A draft's number may still become another voucher's.
        number=""
        if is_draft
        else full_number(head.text("FVOUCHERGROUPID.FName"), head.text("FVOUCHERGROUPNO")),
        reference=next((text for row in rows if key and (text := row.text(key.name))), ""),
        date=day_of(head["FDate"]),
        period=references.named(head.whole("FYEAR"), head.whole("FPERIOD")),
        state=state,
        lines=lines,
    )
    return Found(voucher, status, is_in_balances=is_true(head["FPostStatus"]) and not is_void)


def _ledger_line(row: Row, references: References) -> LedgerLine:
    debit, credit = (Money.parse(row[key] or 0, references.currency) for key in ("FDEBIT", "FCREDIT"))
    side = Side.CREDIT if credit.minor else Side.DEBIT
    code = references.currency_codes.get(row.text("FCURRENCYID.FNumber"), references.currency)
    dimensions = [
        AuxiliaryDimension(kind, row.text(column.code), row.text(column.label))
        for kind, column in references.columns.items()
        if row.text(column.code)
    ]
    return LedgerLine(
        side=side,
        account=row.text("FACCOUNTID.FNumber"),
        amount=credit if side is Side.CREDIT else debit,
        dimensions=tuple(sorted(dimensions)),
        transaction=None if code == references.currency else Money.parse(row["FAMOUNTFOR"] or 0, code),
        summary=row.text("FEXPLANATION"),
    )
