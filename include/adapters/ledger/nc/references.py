"""What vouchers refer to, as the site's views have it: chart, what accounts carry, periods."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from include.adapters.ledger.nc.client import NcClient
from include.domain.account import Account
from include.domain.errors import FixConfig, RetryLater
from include.domain.period import FiscalPeriod, LedgerPeriod, PeriodState

STATES = {"open": PeriodState.OPEN, "closed": PeriodState.CLOSED, "未开": PeriodState.NOT_YET_OPEN}
MAX_PAGES = 20_000


def field_of(row: Any, name: str) -> Any:
    return row.get(name) if isinstance(row, Mapping) else None


def text_of(row: Any, name: str) -> str:
    """A field as trimmed text, "" where there is none."""
    value = field_of(row, name)
    return "" if value is None else str(value).strip()


def pages(client: NcClient, name: str, query: Mapping[str, str], key: str = "") -> Iterator[Sequence[Any]]:
    """All rows of a view, a page at a time; with `key` it is read on after the last row's.

    Raises:
        RetryLater: it could not be read, or does not come to an end.
    """
    last, start = "", dict(query)
    for _ in range(MAX_PAGES):
        page = client.view(name, start)
        if page["rows"]:
            yield page["rows"]
        if not page.get("more", False):
            return
        following = text_of(page["rows"][-1], key) if key and page["rows"] else ""
        if not following or following <= last:
            break
        last, start = following, {**query, "after": following}
    raise RetryLater(
        f"{client.name}: 视图 {name} 的分页没有尽头，请核对视图 / the pages of the view {name} do not come to an end, check the view"
    )


@dataclass(frozen=True, slots=True)
class References:
    currency: str
    accounts: Mapping[str, Account]
    carried: Mapping[str, frozenset[str]]
    """Account → codes of the auxiliary types that its lines may fill."""
    required: Mapping[str, frozenset[str]]
    """Account → codes of those that they must fill."""
    periods: Sequence[LedgerPeriod]

    def period_of(self, day: date) -> LedgerPeriod | None:
        return next((p for p in self.periods if p.first_day <= day <= p.last_day), None)


def read_references(
    client: NcClient, *, book: str, currency: str, dimensions: Mapping[str, str]
) -> References:
    """Everything anew, in two calls.

    Raises:
        FixConfig: a view that is set up otherwise, or shows no account of the book.
    """
    accounts, carried, required = {}, {}, {}
    for row in (row for page in pages(client, "accounts", {"book": book}) for row in page):
        code, ass = text_of(row, "code"), field_of(row, "ass") or []
        carried[code] = frozenset(text_of(each, "type") for each in ass)
        required[code] = frozenset(
            text_of(each, "type") for each in ass if field_of(each, "required") is True
        )
        accounts[code] = Account(
            code=code,
            name=text_of(row, "name"),
            is_leaf=_flag(client, row, "leaf"),
            is_active=_flag(client, row, "enabled"),
            required_dimensions=frozenset(_kind(each, dimensions) for each in required[code]),
        )
    if not accounts or "" in accounts:
        raise FixConfig(
            f"{client.name}: 视图 accounts 没有账簿 {book} 的科目，请核对 ledger.options.book 和视图 / the view accounts shows none of book "
            f"{book}: check ledger.options.book and the view"
        )
    periods = [_period(client, row) for page in pages(client, "periods", {"book": book}) for row in page]
    return References(currency, accounts, carried, required, sorted(periods, key=lambda each: each.first_day))


def _kind(code: str, dimensions: Mapping[str, str]) -> str:
    """Our kind of an auxiliary type; several of ours that share a type (客商) count as the first."""
    return next((kind for kind, each in dimensions.items() if each == code), code)


def _flag(client: NcClient, row: Mapping[str, Any], name: str) -> bool:
    value = field_of(row, name)
    if not isinstance(value, bool):
        raise _wrong(client, "accounts", f"{name}: {value!r}")
    return value


def _period(client: NcClient, row: Mapping[str, Any]) -> LedgerPeriod:
    try:
        period = FiscalPeriod.parse(text_of(row, "period"))
        return LedgerPeriod(
            period.code,
            date.fromisoformat(text_of(row, "begins") or period.first_day.isoformat()),
            date.fromisoformat(text_of(row, "ends") or period.last_day.isoformat()),
            STATES[text_of(row, "state")],
        )
    except (ValueError, KeyError) as error:
        raise _wrong(client, "periods", str(error)) from error


def _wrong(client: NcClient, view: str, what: str) -> FixConfig:
    return FixConfig(
        f"{client.name}: 视图 {view} 与约定不符（见 docs/connectors.md）/ the view {view} is not as agreed: {what[:200]}"
    )
