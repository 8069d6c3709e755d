"""A <voucher> of a file as a draft for the books; what cannot be read is said in the platform's words."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

from include.emulators.ledger_books import Books
from include.emulators.ledger_rules import Account, Draft, Line, Reason, Refusal
from include.emulators.nc.documents import child_text
from include.emulators.nc.options import Options

NORMAL_KIND = "0"
LINE_TEXTS = ("price", "debitquantity", "creditquantity", "verifydate", "checkno", "checkstyle", "bill_id")
HEAD_TEXTS = ("pk_system", "memo1", "memo2", "reserve1", "reserve2")
MAX_AMOUNT = Decimal(10) ** 13


@dataclass(slots=True)
class Reader:
    """Reads one voucher. `problems` collects what cannot be read; the books check the rest.

    Attributes:
        books: where codes are looked up.
        options: the switches.
        head: its <voucher_head>.
        sender: the external system.
        voucher_id: the id that the sender gave it.
    """

    books: Books
    options: Options
    head: ET.Element
    sender: str
    voucher_id: str
    problems: list[str] = field(default_factory=list)

    def draft(self) -> Draft | None:
        """The draft as far as it could be read (see `problems`), None without a known book or a day."""
        book = self._book()
        word = self._word()
        preparer = self._preparer()
        day = self._day()
        self._kind()
        number = self._count("no", "凭证号")
        attachments = self._count("attachment", "附单据数") or 0
        lines = tuple(self._lines(book)) if book else ()
        if day is not None:
            self._period(day)
        if not book or day is None:
            return None
        texts = {name: child_text(self.head, name) for name in HEAD_TEXTS}
        return Draft(
            book=book,
            word=word,
            day=day,
            lines=lines,
            number=number or None,
            attachments=attachments,
            preparer=preparer,
            reference=self.voucher_id,
            extra={name: text for name, text in texts.items() if text} | {"sender": self.sender},
        )

    @property
    def is_void(self) -> bool:
        return child_text(self.head, "discardflag") == "Y"

    # The head

    def _book(self) -> str:
        code = child_text(self.head, "pk_accountingbook")
        if not code:
            self._wrong("核算账簿不能为空")
            return ""
        with self.books.transaction() as db:
            known = db.execute("SELECT 1 FROM books WHERE code = ?", (code,)).fetchone()
        if known is None:
            self._wrong(f"核算账簿未匹配到，编码={code}")
            return ""
        organisation = child_text(self.head, "pk_org")
        if organisation and organisation != organisation_of(code):
            self._wrong(f"财务组织{organisation}与核算账簿{code}不一致")
        return code

    def _word(self) -> str:
        code = child_text(self.head, "pk_vouchertype")
        if not code:
            self._wrong("凭证类别不能为空")
        return code

    def _preparer(self) -> str:
        code = child_text(self.head, "pk_prepared")
        if not code:
            self._wrong("制单人不能为空")
        elif self.options.users and code not in self.options.users:
            self._wrong(f"制单人未匹配到，编码={code}")
        return code

    def _kind(self) -> None:
        kind = child_text(self.head, "voucherkind") or NORMAL_KIND
        if kind != NORMAL_KIND:
            self._wrong(f"仿真系统只接收正常凭证，凭证种类voucherkind={kind}")

    def _day(self) -> date | None:
        text = child_text(self.head, "prepareddate")
        if not text:
            self._wrong("制单日期不能为空")
            return None
        try:
            return datetime.fromisoformat(text).date()
        except ValueError:
            self._wrong(f"制单日期{text[:40]}格式不正确")
            return None

    def _period(self, day: date) -> None:
        """Year and period are sent beside the date; the books go by the date."""
        if self.options.period_mismatch == "follow_date":
            return
        year, period = child_text(self.head, "year"), child_text(self.head, "period")
        if not year or not period:
            self._wrong("会计年度和会计期间不能为空")
        elif (year, period.zfill(2)) != (str(day.year), f"{day.month:02d}"):
            self._wrong(f"制单日期{day.isoformat()}不在会计期间{year}-{period}内")

    def _count(self, name: str, label: str) -> int | None:
        text = child_text(self.head, name)
        if not text:
            return None
        if not (text.isdecimal() and text.isascii()) or len(text) > 9:
            self._wrong(f"{label}{text[:40]}不正确")
            return None
        return int(text)

    # The entries

    def _lines(self, book: str) -> Iterator[Line]:
        """The entries in the order of detailindex, which says also what a problem calls them."""
        own = str(self.books.book(book)["currency"])
        found: list[tuple[int, ET.Element]] = []
        for place, item in enumerate(self.head.findall("details/item"), start=1):
            text = child_text(item, "detailindex")
            is_number = text.isdecimal() and text.isascii() and len(text) < 6
            found.append((int(text) if is_number else place, item))
        if len({index for index, _ in found}) != len(found):
            self._wrong("分录号detailindex重复")
        found.sort(key=lambda each: each[0])
        for position, (index, item) in enumerate(found, start=1):
            yield self._line(book, own, position, index, item)

    def _line(self, book: str, own: str, position: int, index: int, item: ET.Element) -> Line:
        summary = child_text(item, "explanation")
        if not summary:
            self._wrong("摘要不能为空", position)
        elif len(summary) > self.options.explanation_length:
            self._wrong(f"摘要长度超过{self.options.explanation_length}", position)
        account = child_text(item, "pk_accasoa") or child_text(item, "accsubjcode")
        currency = child_text(item, "pk_currtype") or own
        if not self.books.has_currency(currency):
            self._wrong(f"币种未匹配到，编码={currency}", position)
            currency = own
        extra = {name: child_text(item, name) for name in LINE_TEXTS}
        debit, credit, original = self._amounts(position, item, currency, own)
        return Line(
            account=account,
            debit=debit,
            credit=credit,
            summary=summary,
            dimensions=self._dimensions(position, item, self.books.account(book, account)),
            currency=currency,
            amount_for=original,
            rate=child_text(item, "excrate2") or "1",
            extra={name: text for name, text in extra.items() if text} | {"index": str(index)},
        )

    def _amounts(self, position: int, item: ET.Element, currency: str, own: str) -> tuple[int, int, int]:
        """Local debit, local credit and original amount; a local amount that is missing follows from the rate."""
        rate = self._decimal(position, item, "excrate2") if child_text(item, "excrate2") else Decimal(1)
        local: dict[str, int] = {}
        original = 0
        for side in ("debit", "credit"):
            given = self._money(position, item, f"{side}amount", currency)
            booked = self._money(position, item, f"local{side}amount", own)
            if not child_text(item, f"local{side}amount"):
                shift = (self.books.scale(own) or 0) - (self.books.scale(currency) or 0)
                booked = int((Decimal(given).scaleb(shift) * rate).quantize(Decimal(1), ROUND_HALF_UP))
            if currency == own and given and given != booked:
                self._wrong("原币金额与本币金额不一致", position)
            local[side] = booked
            original += given
        if currency == own:
            original = local["debit"] + local["credit"]
        return local["debit"], local["credit"], original

    def _money(self, position: int, item: ET.Element, name: str, currency: str) -> int:
        """Minor units of a currency."""
        value = self._decimal(position, item, name).scaleb(self.books.scale(currency) or 0)
        whole = value.quantize(Decimal(1), ROUND_HALF_UP)
        if value != whole and self.options.over_scale == "refuse":
            self._wrong(f"{name}的小数位数超过币种精度", position)
        return int(whole)

    def _decimal(self, position: int, item: ET.Element, name: str) -> Decimal:
        text = child_text(item, name)
        if not text:
            return Decimal(0)
        try:
            value = Decimal(text) if len(text) <= 40 else Decimal("NaN")
        except InvalidOperation:
            value = Decimal("NaN")
        if not value.is_finite() or abs(value) >= MAX_AMOUNT or "e" in text.lower() or "_" in text:
            self._wrong(f"{name}的值{text[:40]}不正确", position)
            return Decimal(0)
        return value

    def _dimensions(self, position: int, item: ET.Element, account: Account | None) -> Mapping[str, str]:
        carried = {kind for kind, _ in account.dimensions} if account else set()
        found: dict[str, str] = {}
        for entry in item.findall("ass/item"):
            code, value = child_text(entry, "pk_Checktype"), child_text(entry, "pk_Checkvalue")
            if not code and not value:
                continue
            kinds = self.options.checktypes.get(code)
            if kinds is None:
                self._wrong(f"辅助核算类型未匹配到，编码={code}", position)
                continue
            kind = next((each for each in kinds if each in carried), kinds[0])
            if account is not None and kind not in carried and self.options.stray_checktypes == "drop":
                continue
            if not value:
                continue
            if kind in found:
                self._wrong(f"辅助核算类型{code}重复", position)
            found[kind] = value
        return found

    def _wrong(self, text: str, position: int | None = None) -> None:
        self.problems.append(text if position is None else f"第{position}条分录{text}")


def organisation_of(book: str) -> str:
    """The organisation of a book: what stands before the last hyphen of its code."""
    return book.rpartition("-")[0] or book


WORDING: Mapping[Reason, str] = {
    Reason.BOOK_UNKNOWN: "核算账簿未匹配到，编码={value}",
    Reason.WORD_UNKNOWN: "凭证类别未匹配到，编码={value}",
    Reason.PERIOD_UNKNOWN: "制单日期{value}没有对应的会计期间",
    Reason.PERIOD_CLOSED: "核算账簿{detail}的会计期间{value}已经结账",
    Reason.PERIOD_NOT_OPEN: "核算账簿{detail}的会计期间{value}未打开",
    Reason.NO_LINES: "凭证没有分录",
    Reason.TOO_MANY_LINES: "凭证分录数{value}超过{detail}",
    Reason.UNBALANCED: "凭证借贷不平衡，借方{value}，贷方{detail}",
    Reason.ACCOUNT_MISSING: "会计科目不能为空",
    Reason.ACCOUNT_UNKNOWN: "会计科目未匹配到适合的科目，影响因素：核算账簿={book}，科目编码={value}",
    Reason.ACCOUNT_NOT_LEAF: "会计科目{value} {detail}不是末级科目",
    Reason.ACCOUNT_DISABLED: "会计科目{value} {detail}已经封存",
    Reason.CURRENCY_UNKNOWN: "币种未匹配到，编码={value}",
    Reason.BOTH_SIDES: "借方和贷方不能同时有金额",
    Reason.NO_AMOUNT: "借方和贷方不能同时为零",
    Reason.DIMENSION_MISSING: "会计科目{value}的辅助核算[{detail}]不能为空",
    Reason.DIMENSION_STRAY: "会计科目{value}没有辅助核算[{detail}]",
    Reason.VALUE_UNKNOWN: "辅助核算未匹配到，影响因素：辅助核算类型={detail}，辅助核算值={value}",
    Reason.VALUE_DISABLED: "辅助核算已经停用，影响因素：辅助核算类型={detail}，辅助核算值={value}",
    Reason.NUMBER_TAKEN: "凭证号{value}已经存在",
    Reason.REFERENCE_TAKEN: "单据{value}重复",
    Reason.VOUCHER_UNKNOWN: "要修改的凭证不存在",
    Reason.STATUS_FORBIDS: "凭证{value}，不能修改",
    Reason.POSTED: "凭证已经记账，不能修改",
}


def in_words(refusal: Refusal, options: Options, draft: Draft, scale: int) -> str:
    """What the books refused, as the platform says it."""
    value, detail = refusal.value, refusal.detail
    if refusal.reason in (
        Reason.DIMENSION_MISSING,
        Reason.DIMENSION_STRAY,
        Reason.VALUE_UNKNOWN,
        Reason.VALUE_DISABLED,
    ):
        detail = options.code_of(detail)
    if refusal.reason is Reason.UNBALANCED:
        value, detail = (f"{Decimal(amount).scaleb(-scale):f}" for amount in (value, detail))
    text = WORDING[refusal.reason].format(value=value, detail=detail, book=draft.book)
    return text if refusal.line is None else f"第{refusal.line}条分录{text}"
