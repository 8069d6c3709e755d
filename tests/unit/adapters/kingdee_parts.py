"""What tests of the Kingdee adapter share: a company's references as the adapter has read them."""

from __future__ import annotations

from datetime import date

from include.adapters.ledger.kingdee.dimensions import FlexColumn
from include.adapters.ledger.kingdee.references import AccountReference, CalendarPeriod, References
from include.domain.account import Account, AuxiliaryDimension
from include.domain.money import Money
from include.domain.period import LedgerPeriod, PeriodState
from include.domain.voucher import JournalLine, Side, Voucher, VoucherKey

COLUMNS = {
    "department": FlexColumn("HSWD02_SYS", "部门", "FFLEX5", "BD_Department", is_base_data=True),
    "employee": FlexColumn("HSWD04_SYS", "员工", "FFLEX7", "BD_Empinfo", is_base_data=True),
    "project": FlexColumn("HSWD06_SYS", "项目", "FF100002", "XM", is_base_data=False),
}
EMPLOYEE, DEPARTMENT, PROJECT = (
    AuxiliaryDimension("employee", "E0001", "王小明"),
    AuxiliaryDimension("department", "RD", "研发中心"),
    AuxiliaryDimension("project", "P001", "仓储"),
)
KNOWN = frozenset({EMPLOYEE, DEPARTMENT, PROJECT})


def account(
    code: str, *carried: str, required: str = "", is_leaf: bool = True, is_active: bool = True
) -> AccountReference:
    kinds = frozenset({required} if required else ())
    return AccountReference(Account(code, code, is_leaf, is_active, kinds), frozenset(carried))


def references() -> References:
    accounts = [
        account("1002"),
        account("2221.01.01"),
        account("2241.03", "FFLEX7", required="employee"),
        account("6602", is_leaf=False),
        account("6602.10", "FFLEX5", "FF100002"),
        account("6602.11", is_active=False),
    ]
    days = [(date(2026, 2, 1), date(2026, 2, 28)), (date(2026, 3, 1), date(2026, 3, 31))]
    states = [PeriodState.CLOSED, PeriodState.OPEN]
    return References(
        book="001",
        book_name="示例科技",
        currency="CNY",
        accounts={each.account.code: each for each in accounts},
        periods=[
            CalendarPeriod(2026, first.month, LedgerPeriod(f"2026-{first.month:02d}", first, last, state))
            for (first, last), state in zip(days, states, strict=True)
        ],
        words={"记": "PRE001"},
        word_names={"PRE001": "记"},
        currencies={"CNY": "PRE001", "USD": "PRE007", "JPY": "PRE004"},
        columns=COLUMNS,
        all_columns=list(COLUMNS.values()),
    )


def line(
    no: int,
    side: Side,
    code: str,
    minor: int,
    *values: AuxiliaryDimension,
    foreign: Money | None = None,
    summary: str = "报销差旅费",
) -> JournalLine:
    return JournalLine(no, side, code, Money(minor, "CNY"), summary, values, foreign)


def claim(*, sign: int = 1) -> tuple[JournalLine, ...]:
    return (
        line(1, Side.DEBIT, "6602.10", sign * 94_000, DEPARTMENT, PROJECT),
        line(2, Side.DEBIT, "2221.01.01", sign * 6_010),
        line(3, Side.CREDIT, "2241.03", sign * 100_010, EMPLOYEE),
    )


def foreign_claim() -> tuple[JournalLine, ...]:
    dollars = Money(14_080, "USD")
    return (
        line(1, Side.DEBIT, "6602.10", 100_016, DEPARTMENT, foreign=dollars),
        line(2, Side.CREDIT, "2241.03", 100_016, EMPLOYEE, foreign=dollars),
    )


def voucher(
    lines: tuple[JournalLine, ...], *, day: date = date(2026, 3, 10), attachments: int = 2, word: str = "记"
) -> Voucher:
    key = VoucherKey("acme", "hesi", "ID01", "expense_claim", 1)
    return Voucher(key, word, day, lines, attachments)
