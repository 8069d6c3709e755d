"""What vouchers refer to, as the site has it: the book, its chart, periods, words, currencies and flex columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from include.adapters.ledger.kingdee.answers import is_true
from include.adapters.ledger.kingdee.client import KingdeeClient, Row
from include.adapters.ledger.kingdee.dimensions import FlexColumn, all_rows, columns_of, quoted, read_columns
from include.domain.account import Account
from include.domain.errors import FixConfig
from include.domain.period import FiscalPeriod, LedgerPeriod, PeriodState

REQUIRED = "1"
"""FInputType 必录."""
ENABLED = "A"
"""FForbidStatus of what is in use."""


@dataclass(frozen=True, slots=True)
class CalendarPeriod:
    """A period under the year and number that Kingdee gives it."""

    year: int
    number: int
    period: LedgerPeriod


@dataclass(frozen=True, slots=True)
class AccountReference:
    account: Account
    carried: frozenset[str]
    """Flex columns that its lines may fill; what is in others is dropped without a word."""


@dataclass(frozen=True, slots=True)
class References:
    book: str
    book_name: str
    currency: str
    accounts: Mapping[str, AccountReference]
    periods: Sequence[CalendarPeriod]
    words: Mapping[str, str]
    """Voucher word in rules → FNumber."""
    word_names: Mapping[str, str]
    """FNumber → the word as people read it."""
    currencies: Mapping[str, str]
    """ISO code → FNumber."""
    columns: Mapping[str, FlexColumn]
    """Of our kinds."""
    all_columns: Sequence[FlexColumn]
    currency_codes: Mapping[str, str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "currency_codes", {number: code for code, number in self.currencies.items()})

    def period_of(self, day: date) -> CalendarPeriod | None:
        return next((p for p in self.periods if p.period.first_day <= day <= p.period.last_day), None)

    def named(self, year: int, number: int) -> str:
        """Our code of Kingdee's period; for an adjustment period, which its calendar does not list, year and number."""
        found = next((p.period.code for p in self.periods if (p.year, p.number) == (year, number)), None)
        return found or f"{year}-{number:02d}"

    def of(self, period: FiscalPeriod) -> list[CalendarPeriod]:
        return [p for p in self.periods if p.period.code == period.code]


def read_references(
    client: KingdeeClient,
    *,
    book: str,
    currency: str,
    words: Mapping[str, str],
    dimensions: Mapping[str, str],
    current_period: tuple[str, str],
) -> References:
    """Everything anew, in seven queries or more.

    Raises:
        FixConfig: no such book, another currency than ours, dimensions that are not there.
    """
    currencies = {
        row.text("FCODE"): row.text("FNumber")
        for row in all_rows(client, "BD_Currency", ["FCODE", "FNumber"], "FForbidStatus='A'", "FNumber")
        if row.text("FCODE")
    }
    own = _read_book(client, book, current_period)
    if own.text("FCURRENCYID.FNumber") != currencies.get(currency):
        raise FixConfig(
            f"账簿本位币为 {currency}，而金蝶账簿 {book} 的本位币为 {own.text('FCURRENCYID.FNumber')} / the book's currency is {currency}, "
            f"that of book {book} in Kingdee is {own.text('FCURRENCYID.FNumber')}: correct the book or its options"
        )
    columns = read_columns(client)
    there = {
        row.text("FName"): row.text("FNumber")
        for row in all_rows(client, "BD_VOUCHERGROUP", ["FName", "FNumber"], "", "FNumber")
    }
    return References(
        book=book,
        book_name=own.text("FName"),
        currency=currency,
        accounts=_read_accounts(
            client, own.text("FACCTTBLID.FNumber"), columns_of(dimensions, columns), columns
        ),
        periods=_read_periods(client, own, current_period),
        words=there | dict(words),
        word_names={number: name for name, number in there.items()},
        currencies=currencies,
        columns=columns_of(dimensions, columns),
        all_columns=columns,
    )


def _read_book(client: KingdeeClient, book: str, current_period: tuple[str, str]) -> Row:
    keys = ["FNumber", "FName", "FCURRENCYID.FNumber", "FACCTTBLID.FNumber", "FPERIODID.FNumber"]
    keys += ["FSTARTYEAR", "FSTARTPERIOD", *current_period]
    rows = client.query("BD_AccountBook", keys, f"FNumber={quoted(book)}", "FNumber")
    exact = [row for row in rows if row.text("FNumber") == book]
    if len(exact) == 1:
        return exact[0]
    there = [row.text("FNumber") for row in all_rows(client, "BD_AccountBook", ["FNumber"], "", "FNumber")]
    raise FixConfig(
        f"金蝶没有账簿 {book}，请将 ledger.options.book 改为其中之一：{'、'.join(there) or '（无）'} / Kingdee has no book {book}: set "
        f"ledger.options.book to one of {', '.join(there) or 'none, grant the user a right to it'}"
    )


def _read_periods(client: KingdeeClient, book: Row, current: tuple[str, str]) -> list[CalendarPeriod]:
    """Those of the book's calendar. Before the current one they are closed, since Kingdee closes them in order."""
    keys = ["FYEAR", "FPERIOD", "FPERIODSTARTDATE", "FPERIODENDDATE"]
    where = f"FNumber={quoted(book.text('FPERIODID.FNumber'))}"
    now = book.whole(current[0]), book.whole(current[1])
    start = book.whole("FSTARTYEAR"), book.whole("FSTARTPERIOD")
    found = []
    for row in all_rows(client, "BD_ACCOUNTCALENDAR", keys, where, "FYEAR,FPERIOD"):
        first, last = (day_of(row[key]) for key in keys[2:])
        this = row.whole("FYEAR"), row.whole("FPERIOD")
        if this < start:
            continue  # the book did not exist yet
        state = PeriodState.CLOSED if this < now or now == (0, 0) else PeriodState.OPEN
        code = FiscalPeriod.of(first).code
        found.append(CalendarPeriod(*this, LedgerPeriod(code, first, last, state)))
    return sorted(found, key=lambda each: each.period.first_day)


def _read_accounts(
    client: KingdeeClient, chart: str, kinds: Mapping[str, FlexColumn], columns: Sequence[FlexColumn]
) -> dict[str, AccountReference]:
    """The chart, and what each account carries: a row per dimension of an account, at least one."""
    names = {column.column: column.name for column in columns} | {c.column: kind for kind, c in kinds.items()}
    flex, must = "FFlEXITEMPROPERTYID.FFLEXNUMBER", "FInputType"
    keys = ["FNumber", "FName", "FISDETAIL", "FForbidStatus", flex, must]
    rows: dict[str, list[Row]] = {}
    order = "FACCTID,FEntity_FSeq"
    for row in all_rows(client, "BD_Account", keys, f"FACCTTBLID.FNumber={quoted(chart)}", order):
        rows.setdefault(row.text("FNumber"), []).append(row)
    found = {}
    for code, parts in rows.items():
        carried = {part.text(flex): part.text(must) == REQUIRED for part in parts if part.text(flex)}
        account = Account(
            code=code,
            name=parts[0].text("FName"),
            is_leaf=is_true(parts[0]["FISDETAIL"]),
            is_active=parts[0].text("FForbidStatus") == ENABLED,
            required_dimensions=frozenset(
                names.get(column, column) for column, is_required in carried.items() if is_required
            ),
        )
        found[code] = AccountReference(account, frozenset(carried))
    return found


def day_of(value: Any) -> date:
    """The day in `2026-01-29T00:00:00`."""
    return date.fromisoformat(str(value)[:10])
