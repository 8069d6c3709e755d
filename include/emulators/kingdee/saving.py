"""A Model of Save as a draft for the books: what is sent, over what is there already."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from include.emulators.kingdee.forms import currency_code
from include.emulators.kingdee.options import Options
from include.emulators.kingdee.protocol import Problem, field_of, flag
from include.emulators.ledger_books import Books, as_draft
from include.emulators.ledger_rules import Draft, Line, Reason, Refusal, Voucher

Json = Mapping[str, Any]
MAX_SUMMARY = 255
LINE_TEXTS = ("FSETTLENO", "FSettleTypeID", "FEXPORTENTRYID")
HEAD_TEXTS = ("FSourceBillKey", "FIMPORTVERSION")
FLEX_PREFIX = "fdetailid__"


@dataclass(slots=True)
class Model:
    """Reads one Model. `problems` collects what cannot be read; the books check the rest.

    Attributes:
        books: where codes are looked up.
        options: the switches.
        data: everything beside Model: NumberSearch, IsVerifyBaseDataField, IsDeleteEntry, NeedUpDateFields.
        model: the Model itself.
        old: the voucher that it changes, None for a new one.
        user: who sends it.
    """

    books: Books
    options: Options
    data: Json
    model: Json
    old: Voucher | None
    user: str
    problems: list[Problem] = field(default_factory=list)

    def draft(self) -> Draft | None:
        """The draft, or None where something could not be read."""
        start = as_draft(self.old) if self.old else None
        book = self._base("FAccountBookID", "账簿", "books", start.book if start else "")
        word = self._base("FVOUCHERGROUPID", "凭证字", "words", start.word if start else "")
        day = self._day("FDate", start.day if start else None)
        for key, label, value in (
            ("FAccountBookID", "账簿", book),
            ("FVOUCHERGROUPID", "凭证字", word),
            ("FDate", "日期", day),
        ):
            if not value:
                self._must(key, label)
        if self.problems or day is None:
            return None
        own = str(self.books.book(book)["currency"])
        lines = tuple(self._lines(own))
        extra = dict(start.extra) if start else {}
        for key in (*HEAD_TEXTS, *self.options.custom_fields):
            if self._has(self.model, key):
                extra[key] = _plain(field_of(self.model, key, ""))
        draft = Draft(
            book=book,
            word=word,
            day=day,
            lines=lines,
            number=self._number(start),
            attachments=self._count("FATTACHMENTS", start.attachments if start else 0),
            preparer=start.preparer if start else self.user,
            reference=start.reference if start else "",
            adjustment=self._adjustment(start),
            business_day=self._day("FBUSDATE", start.business_day if start else None),
            extra=extra,
        )
        return None if self.problems else draft

    # The head

    def _adjustment(self, start: Draft | None) -> tuple[int, int] | None:
        """FYEAR and FPERIOD count for vouchers of an adjustment period alone; else the date says the period."""
        if not self._has(self.model, "FISADJUSTVOUCHER"):
            return start.adjustment if start else None
        if not flag(self.model, "FISADJUSTVOUCHER", default=False):
            return None
        return self._count("FYEAR", 0), self._count("FPERIOD", 0)

    def _number(self, start: Draft | None) -> int | None:
        given = _plain(field_of(self.model, "FVOUCHERGROUPNO", ""))
        if not self._has(self.model, "FVOUCHERGROUPNO") or given in ("", "0"):
            return start.number if start else None
        if not given.isdecimal() or len(given) > 9:
            self._wrong("FVOUCHERGROUPNO", f"凭证号“{given}”不正确")
            return None
        return int(given)

    def _count(self, key: str, default: int) -> int:
        text = _plain(field_of(self.model, key, default)) if self._has(self.model, key) else str(default)
        if not text.isdecimal() or len(text) > 9:
            self._wrong(key, f"字段{key}的值“{text}”不正确")
            return 0
        return int(text)

    def _day(self, key: str, default: date | None) -> date | None:
        text = _plain(field_of(self.model, key, "")) if self._has(self.model, key) else ""
        if not text:
            return default
        try:
            return datetime.fromisoformat(text.replace("/", "-")).date()
        except ValueError:
            self._wrong(key, f"字段{key}的值“{text}”不是有效的日期")
            return None

    def _base(self, key: str, label: str, table: str, default: str) -> str:
        """The code of a book or word. What is not found is empty, and named only where the caller asks for that."""
        if not self._has(self.model, key):
            return default
        given = self._code(field_of(self.model, key, {}), table)
        with self.books.transaction() as db:
            known = db.execute(f"SELECT code FROM {table} WHERE code = ? COLLATE NOCASE", (given,)).fetchone()  # noqa: S608
        if known is None:
            self._unverified(key, label, given)
            return ""
        return str(known["code"])

    # The entries

    def _lines(self, own: str) -> Iterator[Line]:
        old = {line.id: line for line in self.old.lines} if self.old else {}
        if not self._has(self.model, "FEntity"):
            yield from old.values()
            return
        given = field_of(self.model, "FEntity", [])
        if not isinstance(given, list) or not all(isinstance(item, Mapping) for item in given):
            self._wrong("FEntity", "FEntity必须为数组")
            return
        named = {self._line_id(item) for item in given} & old.keys()
        if not flag(self.data, "IsDeleteEntry", default=True):
            yield from (line for line in old.values() if line.id not in named)
        for number, item in enumerate(given, start=1):
            yield self._line(number, item, old.get(self._line_id(item)), own)

    @staticmethod
    def _line_id(item: Json) -> int:
        text = _plain(field_of(item, "FEntryID", 0))
        return int(text) if text.isdecimal() and len(text) < 18 else 0

    def _line(self, number: int, item: Json, old: Line | None, own: str) -> Line:
        line = old or Line(account="")
        if self._has(item, "FACCOUNTID"):
            line = replace(line, account=self._account(number, item))
        if self._has(item, "FCURRENCYID"):
            line = replace(line, currency=self._currency(number, item, own))
        if self._has(item, "FEXPLANATION"):
            line = replace(line, summary=_plain(field_of(item, "FEXPLANATION", ""))[:MAX_SUMMARY])
        if self._has(item, "FBUSNO"):
            line = replace(line, reference=_plain(field_of(item, "FBUSNO", "")))
        if self._has(item, "FEXCHANGERATE"):
            line = replace(line, rate=self._decimal(number, item, "FEXCHANGERATE") or "1")
        if self._has(item, "FDetailID"):
            line = replace(line, dimensions=self._dimensions(number, item, line.account))
        extra = dict(line.extra) | {
            key: _plain(field_of(item, key, "")) for key in LINE_TEXTS if self._has(item, key)
        }
        return replace(self._amounts(number, item, line, own), extra=extra)

    def _amounts(self, number: int, item: Json, line: Line, own: str) -> Line:
        debit = self._money(number, item, "FDEBIT", own) if self._has(item, "FDEBIT") else line.debit
        credit = self._money(number, item, "FCREDIT", own) if self._has(item, "FCREDIT") else line.credit
        currency, is_new = line.currency or own, line.id == 0
        if is_new and own != "CNY" and not self._has(item, "FCURRENCYID"):
            self._must("FCURRENCYID", "币别", number)
        if currency == own:
            return replace(line, debit=debit, credit=credit, amount_for=debit + credit)
        for key, label in (("FEXCHANGERATETYPE", "汇率类型"), ("FAMOUNTFOR", "原币金额")):
            if is_new and not self._has(item, key):
                self._must(key, label, number)
        amount_for = (
            self._money(number, item, "FAMOUNTFOR", currency)
            if self._has(item, "FAMOUNTFOR")
            else line.amount_for
        )
        return replace(line, debit=debit, credit=credit, amount_for=amount_for)

    def _account(self, number: int, item: Json) -> str:
        given = self._code(field_of(item, "FACCOUNTID", {}), "accounts")
        with self.books.transaction() as db:
            known = db.execute("SELECT 1 FROM accounts WHERE code = ?", (given,)).fetchone()
        if known is None:
            self._unverified("FACCOUNTID", "科目编码", given, number)
            return ""
        return given

    def _currency(self, number: int, item: Json, own: str) -> str:
        given = currency_code(self._code(field_of(item, "FCURRENCYID", {}), "currencies"))
        if given and not self.books.has_currency(given):
            self._unverified("FCURRENCYID", "币别", given, number)
            return own
        return given or own

    def _dimensions(self, number: int, item: Json, account: str) -> dict[str, str]:
        """Flex columns that this company does not have are not read at all; the rest is looked up."""
        kinds = {column.lower(): kind for kind, column in self.options.flex.items()}
        detail = field_of(item, "FDetailID", {})
        if not isinstance(detail, Mapping):
            self._wrong("FDetailID", f"第{number}行分录的核算维度格式不正确")
            return {}
        found: dict[str, str] = {}
        for key, value in detail.items():
            kind = (
                kinds.get(key.lower().removeprefix(FLEX_PREFIX))
                if key.lower().startswith(FLEX_PREFIX)
                else None
            )
            code = self._code(value, "items") if kind else ""
            if kind is None or not code:
                continue
            if self.books.item(kind, code) is None:
                self._unverified(f"FDETAILID__{self.options.flex[kind]}", "核算维度", code, number)
            else:
                found[kind] = code
        return self._fitting(account, found)

    def _fitting(self, account: str, found: dict[str, str]) -> dict[str, str]:
        if self.options.stray_dimensions == "refuse":
            return found
        with self.books.transaction() as db:
            rows = db.execute(
                "SELECT DISTINCT d.kind FROM account_dimensions d JOIN accounts a ON a.id = d.account WHERE a.code = ?",
                (account,),
            ).fetchall()
        carried = {row["kind"] for row in rows}
        return {kind: code for kind, code in found.items() if kind in carried}

    # Values

    def _code(self, value: Any, table: str) -> str:
        """The code in a reference: FNumber (in any case), or by id where NumberSearch is off."""
        if not isinstance(value, Mapping):
            return ""
        if flag(self.data, "NumberSearch", default=True):
            given = field_of(value, "FNumber", None) or field_of(value, "FStaffNumber", "")
            return _plain(given)
        identity = next((_plain(item) for item in value.values() if _plain(item).isdecimal()), "0")
        with self.books.transaction() as db:
            row = db.execute(f"SELECT code FROM {table} WHERE id = ?", (int(identity[:18]),)).fetchone()  # noqa: S608
        return str(row["code"]) if row else ""

    def _money(self, number: int, item: Json, key: str, currency: str) -> int:
        """Minor units; more decimals than the currency has are rounded half up."""
        text = self._decimal(number, item, key)
        scale = self.books.scale(currency) or 0
        return int(Decimal(text or 0).scaleb(scale).quantize(Decimal(1), ROUND_HALF_UP))

    def _decimal(self, number: int, item: Json, key: str) -> str:
        text = _plain(field_of(item, key, 0)) or "0"
        try:
            value = Decimal(text)
        except InvalidOperation:
            value = Decimal("NaN")
        if not value.is_finite() or abs(value) >= Decimal(10) ** 13:
            self._wrong(key, f"第{number}行分录的{key}的值“{text[:40]}”不正确")
            return ""
        return text if value else ""

    def _has(self, data: Json, key: str) -> bool:
        """Whether a field is sent and, where NeedUpDateFields names some, is one of these."""
        wanted = field_of(self.data, "NeedUpDateFields", [])
        is_wanted = (
            self.old is None
            or not wanted
            or not isinstance(wanted, list)
            or key.lower() in {str(name).lower() for name in wanted}
        )
        return is_wanted and any(name.lower() == key.lower() for name in data)

    # Problems

    def _unverified(self, key: str, label: str, code: str, number: int | None = None) -> None:
        """A code that does not exist is an error only where the caller has base data verified; else it is empty."""
        if code and flag(self.data, "IsVerifyBaseDataField", default=False):
            self._wrong(key, f"{_row(number)}{label}“{code}”不存在、未审核或已禁用")

    def _must(self, key: str, label: str, number: int | None = None) -> None:
        self._wrong(key, f"{_row(number)}字段“{label}”是必填项")

    def _wrong(self, key: str, message: str) -> None:
        self.problems.append(Problem(message, key))


def _row(number: int | None) -> str:
    return "" if number is None else f"第{number}行分录的"


def _plain(value: Any) -> str:
    """A value as text; null is empty, a reference is its code."""
    if isinstance(value, Mapping):
        return _plain(field_of(value, "FNumber", ""))
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value).strip()


WORDING: Mapping[Reason, tuple[str, str]] = {
    Reason.BOOK_UNKNOWN: ("FAccountBookID", "账簿“{value}”不存在"),
    Reason.WORD_UNKNOWN: ("FVOUCHERGROUPID", "凭证字“{value}”不存在"),
    Reason.PERIOD_UNKNOWN: ("FDate", "日期{value}不在账簿的会计日历范围内"),
    Reason.PERIOD_CLOSED: ("FDate", "凭证所在的会计期间{value}已结账，不允许此操作"),
    Reason.PERIOD_NOT_OPEN: ("FDate", "凭证所在的会计期间{value}尚未启用"),
    Reason.NO_LINES: ("FEntity", "凭证至少需要一条分录"),
    Reason.TOO_MANY_LINES: ("FEntity", "凭证分录数{value}超过{detail}"),
    Reason.UNBALANCED: ("FDEBIT", "凭证借贷不平衡"),
    Reason.ACCOUNT_MISSING: ("FACCOUNTID", "{row}字段“科目编码”是必填项"),
    Reason.ACCOUNT_UNKNOWN: ("FACCOUNTID", "{row}科目“{value}”不属于账簿的科目表"),
    Reason.ACCOUNT_NOT_LEAF: ("FACCOUNTID", "{row}科目“{value} {detail}”不是明细科目"),
    Reason.ACCOUNT_DISABLED: ("FACCOUNTID", "{row}科目“{value} {detail}”已禁用"),
    Reason.CURRENCY_UNKNOWN: ("FCURRENCYID", "{row}币别“{value}”不存在"),
    Reason.BOTH_SIDES: ("FDEBIT", "{row}借方金额和贷方金额不能同时录入"),
    Reason.NO_AMOUNT: ("FDEBIT", "{row}借方金额和贷方金额不能同时为零"),
    Reason.DIMENSION_MISSING: ("FDetailID", "{row}科目“{value}”的核算维度“{detail}”必录"),
    Reason.DIMENSION_STRAY: ("FDetailID", "{row}科目“{value}”没有核算维度“{detail}”"),
    Reason.VALUE_UNKNOWN: ("FDetailID", "{row}核算维度“{detail}”的值“{value}”不存在"),
    Reason.VALUE_DISABLED: ("FDetailID", "{row}核算维度“{detail}”的值“{value}”已禁用"),
    Reason.NUMBER_TAKEN: ("FVOUCHERGROUPNO", "凭证字“{detail}”下的凭证号{value}已存在"),
}


def as_problem(refusal: Refusal, kinds: Mapping[str, str], index: int = 0) -> Problem:
    """What the books refused, as Kingdee says it; `kinds` gives the names of dimensions."""
    key, text = WORDING[refusal.reason]
    detail = kinds.get(refusal.detail, refusal.detail)
    return Problem(text.format(row=_row(refusal.line), value=refusal.value, detail=detail), key, index=index)
