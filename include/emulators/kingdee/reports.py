"""GetSysReportData for 科目余额表 (GL_RPT_AccountBalance): the trial balance as the ledger's own report prints it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from include.emulators.kingdee.options import Options
from include.emulators.kingdee.protocol import FAULT, NO_PARAMETER, Call, failed, field_of, flag
from include.emulators.ledger_books import Balance, Books

REPORT = "GL_RPT_AccountBalance"
MAX_ROWS = 10_000
ALL_CURRENCIES = "0"
"""综合本位币: everything in the book's own currency."""

COLUMNS = {
    "FBEGINDEBIT": "opening_debit",
    "FBEGINCREDIT": "opening_credit",
    "FDEBIT": "debit",
    "FCREDIT": "credit",
    "FYTDDEBIT": "year_debit",
    "FYTDCREDIT": "year_credit",
    "FENDDEBIT": "closing_debit",
    "FENDCREDIT": "closing_credit",
}
TEXTS = ("FBALANCEID", "FBALANCENAME", "FDETAILNUMBER", "FDETAILNAME")


@dataclass(slots=True)
class Row:
    """One line of the report, minor units; opening and closing are debit less credit."""

    texts: tuple[str, str, str, str]
    opening: int = 0
    debit: int = 0
    credit: int = 0
    year_debit: int = 0
    year_credit: int = 0

    def add(self, balance: Balance) -> None:
        self.opening += balance.opening
        self.debit += balance.debit
        self.credit += balance.credit
        self.year_debit += balance.year_debit
        self.year_credit += balance.year_credit

    def amount(self, name: str) -> int:
        closing = self.opening + self.debit - self.credit
        amounts = {
            "opening_debit": max(self.opening, 0),
            "opening_credit": max(-self.opening, 0),
            "debit": self.debit,
            "credit": self.credit,
            "year_debit": self.year_debit,
            "year_credit": self.year_credit,
            "closing_debit": max(closing, 0),
            "closing_credit": max(-closing, 0),
        }
        return amounts[name]


def get_sys_report_data(books: Books, _options: Options, call: Call) -> Any:
    """Rows of the columns that FieldKeys names; `Rows` is null where there are none, amounts are texts with commas."""
    if call.form.lower() != REPORT.lower():
        raise failed("此接口暂时只支持简单账表", FAULT)
    model = field_of(call.data, "Model", {})
    keys = [
        key.strip().upper() for key in str(field_of(call.data, "FieldKeys", "")).split(",") if key.strip()
    ]
    if not keys or not isinstance(model, dict):
        raise failed("data数据包中的参数FieldKeys和Model的值不能为空。", NO_PARAMETER)
    code = str(field_of(field_of(model, "FACCTBOOKID", {}) or {}, "FNumber", ""))
    with books.transaction() as db:
        book = db.execute(
            "SELECT b.code, b.chart, c.id AS currency, c.scale FROM books b JOIN currencies c ON c.code = b.currency "
            "WHERE b.code = ?",
            (code,),
        ).fetchone()
    if book is None:
        raise failed(f"账簿“{code}”不存在", NO_PARAMETER, "FACCTBOOKID")
    year, period = (_number(model, key) for key in ("FSTARTYEAR", "FSTARTPERIOD"))
    if (year, period) != (_number(model, "FENDYEAR"), _number(model, "FENDPERIOD")):
        raise failed("仿真系统的科目余额表只支持单个期间", FAULT)
    currency = str(field_of(model, "FCURRENCY", ""))
    if currency and not currency.isdecimal():
        raise failed("输入字符串的格式不正确。", FAULT, "FCURRENCY")
    posted_only = not flag(model, "FNOTPOSTVOUCHER", default=False)
    balances = books.balances(book["code"], year, period, posted_only=posted_only)
    if currency not in ("", ALL_CURRENCIES, str(book["currency"])):
        balances = []  # another currency than the book's own has no rows here, and no error either
    rows = list(_rows(books, book["code"], balances, _number(model, "FBALANCELEVEL", 1), model))
    shown = [_shown(row, keys, book["scale"], is_blank=not currency) for row in rows][:MAX_ROWS]
    return {"Result": {"IsSuccess": True, "RowCount": len(shown), "Rows": shown or None}}


def _number(model: dict[str, Any], key: str, default: int = 0) -> int:
    text = str(field_of(model, key, default))
    if not text.isdecimal() or len(text) > 4:
        raise failed("输入字符串的格式不正确。", FAULT, key)
    return int(text)


def _rows(
    books: Books, book: str, balances: Iterable[Balance], level: int, model: dict[str, Any]
) -> Iterator[Row]:
    """An account, its dimensions under it, and the total of leaf accounts at the end."""
    accounts: dict[str, Row] = {}
    details: defaultdict[str, dict[tuple[str, str], Row]] = defaultdict(dict)
    total = Row(("", "合计", "", ""))
    for balance in balances:
        code = balance.account
        while code:
            account = books.account(book, code)
            accounts.setdefault(code, Row((code, account.name if account else "", "", ""))).add(balance)
            code = account.parent if account else ""
        if balance.dimensions:
            key = _detail(books, balance)
            details[balance.account].setdefault(key, Row(("", "", *key))).add(balance)
        total.add(balance)
    show_detail = flag(model, "FSHOWDETAIL", default=False)
    for code in sorted(accounts):
        if code.count(".") < level:
            yield accounts[code]
            if show_detail:
                yield from (details[code][key] for key in sorted(details[code]))
    if accounts:
        yield total


def _detail(books: Books, balance: Balance) -> tuple[str, str]:
    """Codes and names of a set of dimensions, in the order that the account has them."""
    items = [books.item(kind, code) for kind, code in balance.dimensions.items()]
    return "/".join(balance.dimensions.values()), "/".join(item.name if item else "" for item in items)


def _shown(row: Row, keys: list[str], scale: int, *, is_blank: bool) -> list[str | None]:
    texts = dict(zip(TEXTS, row.texts, strict=True))
    shown: list[str | None] = []
    for key in keys:
        amount = COLUMNS.get(key.removesuffix("LOCAL"))
        if key in texts:
            shown.append(texts[key] or None)
        elif amount is None or is_blank:
            shown.append(None)  # without a currency every amount is null
        else:
            value = Decimal(row.amount(amount)).scaleb(-scale)
            shown.append(f"{value:,.{scale}f}" if value else None)
    return shown
