"""Our vouchers as NC's and back. Pure functions over `References`, what the site's views say."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET  # written here, never parsed
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal, localcontext
from typing import Any

from include.adapters.ledger.nc.options import NcOptions
from include.adapters.ledger.nc.references import References, field_of, text_of
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

VOID = "作废"
STANDING = frozenset({"未审核", "已审核", "已记账"})
"""The platform can only import: what an accountant does next is his."""
TALLIED = "已记账"
RATE_DECIMALS = 10
_NOT_XML = re.compile("[\x00-\x1f\x7f\ud800-\udfff\ufffe\uffff]")

Refusal = tuple[str, str]
"""Why a voucher cannot be posted and what to do, in Chinese and in English."""


def clean_text(text: str) -> str:
    """Without what XML cannot hold, and without line breaks."""
    return _NOT_XML.sub(" ", text).strip()


def say(refusals: Sequence[Refusal]) -> str:
    """All of them in one message, Chinese first."""
    return f"{'；'.join(zh for zh, _ in refusals)} / {'; '.join(en for _, en in refusals)}"


def refusals_of(voucher: Voucher, references: References, options: NcOptions) -> list[Refusal]:
    """Everything for which NC would refuse the voucher, or change it without a word; empty when nothing."""
    refusals = []
    if voucher.currency != references.currency:
        ours, theirs = voucher.currency, references.currency
        zh = f"凭证本位币 {ours} 与账簿 {theirs} 不符，请检查账簿设置"
        refusals.append((zh, f"the voucher is in {ours}, the book in {theirs}: correct the book"))
    if voucher.word not in options.words:
        zh = f"凭证字 {voucher.word} 没有对应的凭证类别编码，请写入 ledger.options.words"
        en = f"no code of a voucher type for the word {voucher.word}: add it to ledger.options.words"
        refusals.append((zh, en))
    key = str(voucher.key)
    if len(key) > options.key_length or clean_text(key) != key:
        zh = f"凭证键有 {len(key)} 个字符，最多 {options.key_length} 个且不能有控制字符，请缩短账簿或来源的名称"
        en = f"the key has {len(key)} characters, at most {options.key_length} and none of control: shorten the names of book or source"
        refusals.append((zh, en))
    if references.period_of(voucher.date) is None:
        zh = f"账簿没有含 {voucher.date} 的会计期间，请先在 NC 建立"
        refusals.append((zh, f"the book has no period that holds {voucher.date}: add it in NC"))
    for line in voucher.lines:
        refusals += [
            (f"第 {line.line_no} 行：{zh}", f"line {line.line_no}: {en}")
            for zh, en in _line_refusals(line, references, options)
        ]
    return refusals


def _line_refusals(line: JournalLine, references: References, options: NcOptions) -> list[Refusal]:
    account, code = references.accounts.get(line.account), line.account
    if account is None:
        return [(f"没有科目 {code}，请修改规则表", f"no account {code}: correct the table")]
    if not account.is_leaf:
        return [(f"科目 {code} 不是末级科目，请用其下级", f"account {code} is not a leaf: use one below it")]
    if not account.is_active:
        return [(f"科目 {code} 已封存，请换用其他科目", f"account {code} is sealed: use another")]
    refusals = []
    kept = {value.kind for value in line.dimensions if value.kind in options.dimensions}
    types = [options.dimensions[kind] for kind in kept]
    if twice := ", ".join(sorted({each for each in types if types.count(each) > 1})):
        zh = f"辅助核算类型 {twice} 有两个值，请在规则中只留一个"
        refusals.append((zh, f"two values of the auxiliary type {twice}: leave one in the rule"))
    if missing := ", ".join(sorted(references.required[code] - set(types))):
        zh = f"科目 {code} 的辅助核算类型 {missing} 必填，请在规则中写上"
        en = f"account {code} requires the auxiliary type {missing}: add it to the rule"
        refusals.append((zh, en))
    if stray := ", ".join(sorted(k for k in kept if options.dimensions[k] not in references.carried[code])):
        zh = f"科目 {code} 没有辅助核算 {stray}，请从规则中去掉或在 NC 中为科目加上"
        en = f"account {code} carries no {stray}: leave it out of the rule, or add it to the account"
        refusals.append((zh, en))
    summary = clean_text(line.summary)
    if not summary:
        refusals.append(
            ("没有摘要，NC 要求填写，请修改规则", "no summary, and NC requires one: correct the rule")
        )
    elif len(summary) > options.summary_length:
        zh = f"摘要有 {len(summary)} 个字符，最多 {options.summary_length} 个，请缩短规则中的摘要"
        en = f"the summary has {len(summary)} characters, at most {options.summary_length}: shorten it in the rule"
        refusals.append((zh, en))
    if line.transaction is not None and line.transaction.currency == references.currency:
        currency = references.currency
        zh = f"外币金额不能用本位币 {currency}，请去掉"
        refusals.append((zh, f"{currency} is the book's own currency, not a foreign one: leave it out"))
    return refusals


def document_of(vouchers: Sequence[Voucher], options: NcOptions) -> str:
    """A file for the platform. There must be no `refusals_of` its vouchers.

    `replace` is N and pk_voucher empty: otherwise NC overwrites what is there, without a word.
    """
    root = ET.Element(
        "ufinterface",
        {
            "account": options.account,
            "billtype": "vouchergl",
            "businessunitcode": options.account,
            "filename": "",
            "groupcode": options.group,
            "isexchange": "Y",
            "orgcode": options.org,
            "receiver": options.org,
            "replace": "N",
            "roottag": "",
            "sender": options.sender,
        },
    )
    for voucher in vouchers:
        head = ET.SubElement(ET.SubElement(root, "voucher", {"id": str(voucher.key)}), "voucher_head")
        _fill(head, _head(voucher, options))
        details = ET.SubElement(head, "details")
        for index, line in enumerate(voucher.lines, start=1):
            _entry(ET.SubElement(details, "item"), index, line, options)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode")


def _head(voucher: Voucher, options: NcOptions) -> Mapping[str, str]:
    return {
        "pk_voucher": "",
        "pk_vouchertype": options.words[voucher.word],
        "year": f"{voucher.date.year:04d}",
        "pk_system": "GL",
        "voucherkind": "0",
        "pk_accountingbook": options.book,
        "discardflag": "N",
        "period": f"{voucher.date.month:02d}",
        "no": "",  # NC numbers it
        "attachment": str(voucher.attachments),
        "prepareddate": f"{voucher.date.isoformat()} 00:00:00",
        "pk_prepared": options.maker,
        "signflag": "N",
        "pk_org": options.org,
        "pk_org_v": options.org,
        "pk_group": options.group,
    }


def _entry(item: ET.Element, index: int, line: JournalLine, options: NcOptions) -> None:
    original = line.amount if line.transaction is None else line.transaction
    side = "debit" if line.side is Side.DEBIT else "credit"
    _fill(
        item,
        {
            "detailindex": str(index),
            "explanation": clean_text(line.summary),
            "price": "0",
            "excrate2": f"{rate_of(line):f}",
            f"{side}amount": f"{original.decimal:f}",
            f"local{side}amount": f"{line.amount.decimal:f}",
            f"group{side}amount": "0",
            f"global{side}amount": "0",
            "pk_currtype": options.currencies.get(original.currency, original.currency),
            "pk_accasoa": line.account,
        },
    )
    values = [value for value in line.dimensions if value.kind in options.dimensions]
    if values:
        ass = ET.SubElement(item, "ass")
        for value in values:
            pair = {"pk_Checktype": options.dimensions[value.kind], "pk_Checkvalue": clean_text(value.code)}
            _fill(ET.SubElement(ass, "item"), pair)


def _fill(element: ET.Element, fields: Mapping[str, str]) -> None:
    for name, text in fields.items():
        ET.SubElement(element, name).text = text


def rate_of(line: JournalLine) -> Decimal:
    """Functional per foreign unit, to ten decimals; 1 where nothing was converted."""
    if line.transaction is None or line.transaction.minor == 0:
        return Decimal(1)
    with localcontext(prec=40):
        rate = line.amount.decimal / line.transaction.decimal
        return rate.quantize(Decimal(1).scaleb(-RATE_DECIMALS))


def number_of(row: Mapping[str, Any], options: NcOptions) -> str:
    """As people read it, 记-35; empty for a voucher that has none."""
    bare, code = text_of(row, "no"), text_of(row, "vouchertype")
    if bare in ("", "0"):
        return ""
    return f"{next((word for word, each in options.words.items() if each == code), code)}-{bare}"


def found_voucher(row: Mapping[str, Any], references: References, options: NcOptions) -> LedgerVoucher:
    """A voucher from a row of the view.

    Raises:
        FixData: an amount, a day or a status that cannot be read.
    """
    ledger_id, status, lines = text_of(row, "pk_voucher"), text_of(row, "status"), field_of(row, "lines")
    try:
        if not ledger_id or not isinstance(lines, list) or status not in {*STANDING, VOID}:
            raise ValueError(f"pk_voucher {ledger_id!r}, status {status!r}")
        return LedgerVoucher(
            ledger_id=ledger_id,
            number=number_of(row, options),
            reference=text_of(row, "external_id"),
            date=date.fromisoformat(text_of(row, "prepareddate")[:10]),
            period=text_of(row, "period"),
            state=LedgerVoucherState.REVERSED if status == VOID else LedgerVoucherState.POSTED,
            lines=tuple(_ledger_line(line, references, options) for line in lines),
        )
    except (AmountError, ValueError, TypeError, AttributeError) as error:
        raise FixData(
            f"视图 vouchers 中的凭证 {ledger_id[:40]} 不能读取，请核对视图 / a voucher in the view vouchers cannot be read, check the view: "
            f"{error}"
        ) from error


def _ledger_line(line: Mapping[str, Any], references: References, options: NcOptions) -> LedgerLine:
    own = references.currency
    debit, credit = (Money.parse(line[name] or 0, own) for name in _needed(line, "localdebit", "localcredit"))
    side = Side.CREDIT if credit.minor else Side.DEBIT
    shown = text_of(line, "currency")
    currency = next((iso for iso, code in options.currencies.items() if code == shown), shown or own)
    foreign = None
    if currency != own:
        (name,) = _needed(line, "credit" if side is Side.CREDIT else "debit")
        foreign = Money.parse(line[name] or 0, currency)
    return LedgerLine(
        side=side,
        account=text_of(line, "account"),
        amount=credit if side is Side.CREDIT else debit,
        dimensions=tuple(sorted(_dimensions(line, options))),
        transaction=foreign,
        summary=text_of(line, "explanation"),
    )


def _needed(line: Mapping[str, Any], *names: str) -> tuple[str, ...]:
    """The same names.

    Raises:
        ValueError: the line lacks one; a view that leaves amounts out must not be taken for zeros.
    """
    for name in names:
        if name not in line:
            raise ValueError(f"分录没有 {name} / a line without {name}")
    return names


def _dimensions(line: Mapping[str, Any], options: NcOptions) -> list[AuxiliaryDimension]:
    """Values of the types that we know. Two kinds may share a type (客商): the line says which only by its account,
    so that the first of them is taken.
    """
    found = []
    for item in field_of(line, "ass") or []:
        kind = next((k for k, code in options.dimensions.items() if code == text_of(item, "type")), "")
        if kind and text_of(item, "value"):
            found.append(AuxiliaryDimension(kind, text_of(item, "value"), text_of(item, "name")))
    return found
