"""What vouchers refer to, as the tenant has it: the book, its chart and its periods."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Any

from include.adapters.ledger.yonbip.answers import is_true
from include.adapters.ledger.yonbip.client import YonbipClient
from include.domain.account import Account
from include.domain.errors import FixConfig, RetryLater
from include.domain.period import FiscalPeriod, LedgerPeriod, PeriodState

BOOKS = "/yonbip/fi/fipub/basedoc/querybd/accbook"
PERIODS = "/yonbip/fi/fipub/basedoc/querybd/accperiod"
ACCOUNTS = "/yonbip/AMP/fipub/basedoc/querybd/accsubjectByPager"
PAGE = 1000
MAX_PAGES = 200

Record = Mapping[str, Any]

_PERIOD = re.compile(r"\d{4}-(0[1-9]|1[0-2])")
_IN_TEXT = re.compile(r"\bcode:\s*([^,}\s]+)")


@dataclass(frozen=True, slots=True)
class References:
    book: str
    book_name: str
    currency: str
    accounts: Mapping[str, Account]
    carried: Mapping[str, frozenset[str]]
    """Account → kinds of ours that its lines may carry; accounts of which the tenant does not say it are not in it."""
    periods: Sequence[LedgerPeriod]

    def period_of(self, day: date) -> LedgerPeriod | None:
        return next((each for each in self.periods if each.first_day <= day <= each.last_day), None)


def pick(record: Record, *names: str) -> Any:
    """The first of these that is there and says something; pages spell one thing in several ways."""
    return next((record[name] for name in names if record.get(name) not in (None, "")), None)


def text_of(record: Record, *names: str) -> str:
    value = pick(record, *names)
    return "" if value is None else str(value).strip()


def records_of(client: YonbipClient, path: str, body: Record) -> Iterator[Record]:
    """All records of a page of master data, which nobody changes meanwhile. `data` is a list, or holds `recordList`."""
    for index in range(1, MAX_PAGES + 1):
        answer = client.read(path, {**body, "pageIndex": index, "pageSize": PAGE})
        data = answer.data
        if isinstance(data, Mapping) and "recordList" in data:
            data = data["recordList"] or []
        if isinstance(data, str):  # the documented example of periods
            data = [{"code": code, "name": code} for code in _IN_TEXT.findall(data)]
        if isinstance(data, Mapping):
            data = [data]
        if not isinstance(data, list) or not all(isinstance(each, Mapping) for each in data):
            raise RetryLater(f"{client.name}: {path}: 不是记录 / not records")
        yield from data
        if len(data) < PAGE:
            return
    raise FixConfig(f"{client.name}: {path} 没有尽头 / does not end: {MAX_PAGES * PAGE}")


def read_references(
    client: YonbipClient, *, book: str, currency: str, dimensions: Mapping[str, str]
) -> References:
    """Everything anew, in three calls or more.

    Raises:
        FixConfig: no such book, or one of these interfaces is not granted.
    """
    fields = ["id", "code", "name", "accsubjectchart", "accperiodscheme"]
    wanted = [{"field": "code", "operator": "=", "value": book}]
    there = list(records_of(client, BOOKS, {"fields": fields, "conditions": wanted}))
    own = next((each for each in there if text_of(each, "code") == book), None)
    if own is None:
        raise FixConfig(
            f"用友没有账簿 {book}，或应用无权查看，请检查 ledger.options.book / YonBIP has no book {book}, or the application may not "
            "see it: check ledger.options.book"
        )
    scheme, chart = text_of(own, "accperiodscheme"), text_of(own, "accsubjectchart")
    accounts, carried = _read_accounts(client, chart, dimensions)
    return References(
        book=book,
        book_name=text_of(own, "name"),
        currency=currency,
        accounts=accounts,
        carried=carried,
        periods=_read_periods(client, scheme),
    )


def _where(field: str, value: str) -> list[Record]:
    return [{"field": field, "operator": "=", "value": value}] if value else []


def _read_periods(client: YonbipClient, scheme: str) -> list[LedgerPeriod]:
    """The months of the book's scheme. Whether they are closed the interface does not say, so they count as open here."""
    body = {"fields": ["id", "code", "name"], "conditions": _where("accperiodscheme", scheme)}
    found = {}
    for record in records_of(client, PERIODS, body):
        code = text_of(record, "code")
        if _PERIOD.fullmatch(code):  # others are adjustment periods, for accountants
            month = FiscalPeriod.parse(code)
            found[code] = LedgerPeriod(code, month.first_day, month.last_day, PeriodState.OPEN)
    return [found[code] for code in sorted(found)]


def _read_accounts(
    client: YonbipClient, chart: str, dimensions: Mapping[str, str]
) -> tuple[dict[str, Account], dict[str, frozenset[str]]]:
    fields = ["id", "code", "name", "multidimension", "mnemoniccode"]
    body = {"fields": fields, "conditions": _where("accsubjectchart", chart)}
    records = {text_of(each, "code"): each for each in records_of(client, ACCOUNTS, body)}
    groups = groups_of(records)
    kinds = {code: kind for kind, code in dimensions.items()}
    accounts, carried = {}, {}
    for code, record in records.items():
        leaf, disabled = pick(record, "isEnd", "isend"), pick(record, "stopstatus", "stopStatus")
        own = _auxiliaries(record, kinds)
        accounts[code] = Account(
            code=code,
            name=text_of(record, "name"),
            is_leaf=code not in groups if leaf is None else is_true(leaf),
            is_active=not is_true(disabled),
            required_dimensions=frozenset(kind for kind, is_required in (own or {}).items() if is_required),
        )
        if own is not None:
            carried[code] = frozenset(own)
    return accounts, carried


def groups_of(codes: Mapping[str, Any]) -> set[str]:
    """Accounts that have others below them: in a Chinese chart those begin with their code.

    The interface does not document a field for it, so that a site that says it (`isEnd`) is believed first.
    """
    ordered = sorted(code for code in codes if code)
    return {code for code, after in pairwise(ordered) if after.startswith(code)}


def _auxiliaries(record: Record, kinds: Mapping[str, str]) -> dict[str, bool] | None:
    """Kind → whether it is required; None where the tenant does not say which an account carries.

    A dimension that has no kind of ours goes by its own code, so that one that is required is named.
    """
    given = pick(record, "multidimension", "multiDimension")
    if not isinstance(given, list) or not all(isinstance(each, Mapping) for each in given):
        return None
    return {
        kinds.get(text_of(each, "code"), text_of(each, "code")): is_true(
            pick(each, "required", "isRequired", "ismust")
        )
        for each in given
    }
