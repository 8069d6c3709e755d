"""Our vouchers as Tryton's moves and back. Pure functions over `References`, what is known of the ledger.

A supplier or an employee is the party of a line, under the code `supplier:S01`: Tryton's parties have no kind. Any
other dimension is an analytic account below the root whose code is the dimension's kind.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from include.domain.account import Account, AuxiliaryDimension
from include.domain.money import Money
from include.domain.period import FiscalPeriod, LedgerPeriod, PeriodState
from include.domain.voucher import (
    JournalLine,
    LedgerLine,
    LedgerVoucher,
    LedgerVoucherState,
    Side,
    Voucher,
)

PARTY_KINDS = ("employee", "supplier", "customer")
ANY_PARTY = "party"
"""The kind of a party whose code names none of ours, made by somebody in Tryton."""

MAX_EXACT_MINOR = 10**14 - 1
"""SQLite, under Tryton, keeps amounts exactly but adds them up in binary floating point, which has fifteen digits."""

UNPRINTABLE = dict.fromkeys(map(ord, "\t\n\r\x0b\x0c"), " ")
"""Characters that Tryton refuses in a line of text."""


@dataclass(frozen=True, slots=True)
class PeriodReference:
    id: int
    period: LedgerPeriod


@dataclass(frozen=True, slots=True)
class References:
    """Ids of what a move refers to. Everything here changes rarely; parties and analytic values are looked up."""

    company: int
    company_name: str
    currency: str
    accounts: Mapping[int, Account]
    periods: Sequence[PeriodReference]
    journals: Mapping[str, int]
    currencies: Mapping[str, int]
    roots: Mapping[str, int]
    dimension_kinds: frozenset[str] = field(init=False)
    account_ids: Mapping[str, int] = field(init=False)
    words: Mapping[int, str] = field(init=False)
    currency_codes: Mapping[int, str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "dimension_kinds", frozenset({*PARTY_KINDS, ANY_PARTY, *self.roots}))
        object.__setattr__(self, "account_ids", {account.code: i for i, account in self.accounts.items()})
        object.__setattr__(self, "words", {i: word for word, i in self.journals.items()})
        object.__setattr__(self, "currency_codes", {i: code for code, i in self.currencies.items()})

    def period_of(self, day: dt.date) -> PeriodReference | None:
        """The normal period that holds a day: an adjustment period over the same day is for accountants."""
        return next(
            (
                p
                for p in self.periods
                if p.period.first_day <= day <= p.period.last_day and not p.period.is_adjustment
            ),
            None,
        )

    def ids_of(self, period: FiscalPeriod) -> list[int]:
        """The normal periods of a month."""
        return [p.id for p in self.periods if p.period.code == period.code and not p.period.is_adjustment]


DimensionIds = Mapping[AuxiliaryDimension, int]
"""Ids of parties and analytic accounts by dimension."""


def is_party(kind: str) -> bool:
    return kind in PARTY_KINDS or kind == ANY_PARTY


def party_code(value: AuxiliaryDimension) -> str:
    """The code of a dimension's party: `employee:E1`, or the bare code for a party of somebody else's."""
    return value.code if value.kind == ANY_PARTY else f"{value.kind}:{value.code}"


def party_dimension(code: str, name: str) -> AuxiliaryDimension:
    """The dimension of a party; the reverse of `party_code`."""
    kind, colon, rest = code.partition(":")
    if colon and rest and kind in PARTY_KINDS:
        return AuxiliaryDimension(kind, rest, name)
    return AuxiliaryDimension(ANY_PARTY, code, name)


def clean_text(text: str) -> str:
    return text.translate(UNPRINTABLE).strip()


Refusal = tuple[str, str]
"""Why a voucher cannot be posted and what to do, in Chinese and in English."""


def refusals_of(voucher: Voucher, references: References, ids: DimensionIds) -> list[Refusal]:
    """Everything for which the ledger would refuse the voucher, as far as `references` tell; empty when nothing."""
    refusals = []
    if voucher.currency != references.currency:
        ours, theirs = voucher.currency, references.currency
        refusals.append(
            (
                f"凭证本位币 {ours} 与账簿 {theirs} 不符，请检查账簿设置",
                f"the voucher is in {ours}, the ledger in {theirs}: correct the book",
            )
        )
    if voucher.word not in references.journals:
        refusals.append(
            (
                f"没有凭证字 {voucher.word}，可用：{'、'.join(references.journals)}",
                f"no journal has the code {voucher.word}: use one of {', '.join(references.journals)}",
            )
        )
    found = references.period_of(voucher.date)
    if found is None:
        refusals.append(
            (
                f"没有包含 {voucher.date} 的会计期间，请先建立会计年度",
                f"no period holds {voucher.date}: open its fiscal year in the ledger",
            )
        )
    elif found.period.state is not PeriodState.OPEN:
        refusals.append(
            (
                f"会计期间 {found.period.code} 已关闭，请重新打开或改用之后的日期",
                f"period {found.period.code} is closed: reopen it or use a later date",
            )
        )
    for line in voucher.lines:
        refusals += [
            (f"第 {line.line_no} 行：{zh}", f"line {line.line_no}: {en}")
            for zh, en in _line_refusals(line, references, ids)
        ]
    return refusals


def say(refusals: Sequence[Refusal]) -> str:
    """All of them in one message, Chinese first."""
    return f"{'；'.join(zh for zh, _ in refusals)} / {'; '.join(en for _, en in refusals)}"


def _line_refusals(line: JournalLine, references: References, ids: DimensionIds) -> list[Refusal]:
    account_id = references.account_ids.get(line.account)
    if account_id is None:
        return [(f"没有科目 {line.account}，请修改规则表", f"no account {line.account}: correct the table")]
    account = references.accounts[account_id]
    code = account.code
    if not account.is_leaf:
        return [(f"科目 {code} 不是末级科目，请用其下级", f"account {code} is not a leaf: use one below it")]
    if not account.is_active:
        return [(f"科目 {code} 已停用，请换用其他科目", f"account {code} is closed: use another")]
    refusals = []
    kept = [value for value in line.dimensions if value.kind in references.dimension_kinds]
    parties = [value for value in kept if is_party(value.kind)]
    if "party" in account.required_dimensions and not parties:
        refusals.append(
            (
                f"科目 {code} 必须有往来单位，请为该行指定员工或供应商",
                f"account {code} needs a party: give the line an employee or a supplier",
            )
        )
    if "party" not in account.required_dimensions and parties:
        refusals.append(
            (
                f"科目 {code} 不核算往来单位，请从规则中去掉 {parties[0].kind}",
                f"account {code} takes no party: leave {parties[0].kind} out of the rule",
            )
        )
    if len(parties) > 1:
        refusals.append(("每行只能有一个往来单位", "a line has one party: keep the employee or the supplier"))
    refusals += [
        (
            f"账务系统没有 {value.kind} {value.code}，请先建立",
            f"the ledger has no {value.kind} {value.code}: create it there first",
        )
        for value in kept
        if value not in ids
    ]
    return refusals + _amount_refusals(line, references)


def _amount_refusals(line: JournalLine, references: References) -> list[Refusal]:
    refusals = []
    amounts = [line.amount] if line.transaction is None else [line.amount, line.transaction]
    if any(abs(amount.minor) > MAX_EXACT_MINOR for amount in amounts):
        refusals.append(
            (
                "金额超过 14 位，账务系统不能精确相加，请拆分",
                "more than fourteen digits, which the ledger cannot add exactly: split the voucher",
            )
        )
    if line.transaction is not None:
        currency = line.transaction.currency
        if currency == references.currency:
            refusals.append(
                (
                    f"外币金额不能用本位币 {currency}，请去掉",
                    f"{currency} is the ledger's own currency, not a foreign one: leave it out",
                )
            )
        elif currency not in references.currencies:
            refusals.append(
                (
                    f"账务系统没有币种 {currency}，请先建立",
                    f"the ledger has no currency {currency}: create it there first",
                )
            )
    return refusals


def move_values(voucher: Voucher, references: References, ids: DimensionIds) -> dict[str, Any]:
    """A move for `account.move.create`. There must be no `refusals_of` the voucher."""
    period = references.period_of(voucher.date)
    assert period is not None
    return {
        "company": references.company,
        "journal": references.journals[voucher.word],
        "period": period.id,
        "date": voucher.date,
        "description": str(voucher.key),
        "lines": [("create", [_line_values(line, voucher.date, references, ids) for line in voucher.lines])],
    }


def _line_values(
    line: JournalLine, day: dt.date, references: References, ids: DimensionIds
) -> dict[str, Any]:
    amount = line.amount.decimal
    sides = {
        "debit": amount if line.side is Side.DEBIT else Decimal(0),
        "credit": amount if line.side is Side.CREDIT else Decimal(0),
    }
    values: dict[str, Any] = {
        "account": references.account_ids[line.account],
        "description": clean_text(line.summary),
        **sides,
    }
    if line.transaction is not None:
        # Tryton wants the sign of debit minus credit on the foreign amount.
        foreign = line.transaction.decimal
        values["second_currency"] = references.currencies[line.transaction.currency]
        values["amount_second_currency"] = foreign if line.side is Side.DEBIT else -foreign
    kept = [value for value in line.dimensions if value.kind in references.dimension_kinds]
    for value in kept:
        if is_party(value.kind):
            values["party"] = ids[value]
    analytic = [{"account": ids[value], "date": day, **sides} for value in kept if not is_party(value.kind)]
    if analytic:
        values["analytic_lines"] = [("create", analytic)]
    return values


def ledger_line(
    row: Mapping[str, Any], references: References, dimensions: Sequence[AuxiliaryDimension]
) -> LedgerLine:
    """A row of `account.move.line` as a line of ours."""
    side = Side.CREDIT if row["credit"] else Side.DEBIT
    transaction = None
    if row["second_currency"] is not None and row["amount_second_currency"] is not None:
        foreign = row["amount_second_currency"] if side is Side.DEBIT else -row["amount_second_currency"]
        transaction = money(foreign, references.currency_codes[row["second_currency"]])
    account = references.accounts.get(row["account"])
    return LedgerLine(
        side=side,
        account=account.code if account else f"#{row['account']}",
        amount=money(row[side.value], references.currency),
        dimensions=tuple(sorted(dimensions)),
        transaction=transaction,
        summary=row["description"] or "",
    )


def full_number(word: str, number: str | None) -> str:
    """As people read it, 记-12; empty for a draft, which has none."""
    return f"{word}-{number}" if number else ""


def ledger_voucher(
    row: Mapping[str, Any], lines: Sequence[LedgerLine], references: References, *, is_reversed: bool
) -> LedgerVoucher:
    """A row of `account.move` as a voucher.

    A move that cancels another one carries the same description; it is not the voucher of that key, so its reference
    says instead what it cancels.
    """
    state = LedgerVoucherState.POSTED if row["state"] == "posted" else LedgerVoucherState.DRAFT
    if is_reversed and state is LedgerVoucherState.POSTED:
        state = LedgerVoucherState.REVERSED
    word = references.words.get(row["journal"], "")
    origin = row["origin"] or ""
    return LedgerVoucher(
        ledger_id=str(row["id"]),
        number=full_number(word, row["number"]),
        reference=f"cancels {origin}" if origin.startswith("account.move,") else row["description"] or "",
        date=row["date"],
        period=next((p.period.code for p in references.periods if p.id == row["period"]), ""),
        state=state,
        lines=tuple(lines),
    )


def money(value: Decimal, currency: str) -> Money:
    """An amount as the ledger has it, exactly."""
    return Money.parse(value, currency)
