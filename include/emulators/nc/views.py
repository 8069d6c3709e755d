"""Read-only views of a site, over HTTP as JSON: NOT part of NC. The exchange platform has no read side, so many
companies set up views of their own on the tables; this is what such views look like here (see README).

Amounts are decimal text; rows come in the order of their keys.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from include.emulators.ledger_books import Books
from include.emulators.ledger_rules import Line, RefusedError, Voucher
from include.emulators.nc.exchange import POSTED, VOID, Platform, id_of, pk_of
from include.emulators.nc.vouchers import organisation_of

Json = dict[str, Any]
Parameters = Mapping[str, str]
MAX_LIMIT = 1000
PERIOD_STATES = {"open": "open", "closed": "closed", "future": "未开"}
_PERIOD = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")


class ViewError(Exception):
    """What was asked for cannot be shown; HTTP 400."""


def vouchers(platform: Platform, parameters: Parameters) -> Json:
    """Vouchers of a book, by period and/or by the sender's id, in pages by primary key."""
    books = platform.books
    book = _book(books, parameters)
    after, limit = parameters.get("after", ""), _limit(parameters)
    start = id_of(after) if after else 0
    if start is None:
        raise ViewError(f"after 不是主键 / after is no primary key: {after[:40]}")
    where, values = ["v.book = ?", "v.id > ?"], [book, start]
    if "period" in parameters or "external_id" not in parameters:
        where.append("v.year = ? AND v.period = ?")
        values += _period(parameters)
    if "external_id" in parameters:
        # The books index references without regard to case; ids are told apart by it.
        where.append("v.reference = ? COLLATE NOCASE AND v.reference = ? AND v.reference <> ''")
        values += [parameters["external_id"]] * 2
    if platform.options.view_lag_ms:
        where.append("v.created_ms <= ?")
        values.append(books.clock.now_ms() - platform.options.view_lag_ms)
    found = books.find(" AND ".join(where), values, limit=limit + 1)
    return {
        "rows": [_voucher(platform, voucher) for voucher in found[:limit]],
        "more": len(found) > limit,
    }


def _voucher(platform: Platform, voucher: Voucher) -> Json:
    own = str(platform.books.book(voucher.book)["currency"])
    return {
        "pk_voucher": pk_of(voucher.id),
        "external_id": voucher.reference,
        "book": voucher.book,
        "period": f"{voucher.year}-{voucher.period:02d}",
        "prepareddate": voucher.day.isoformat(),
        "vouchertype": voucher.word,
        "no": voucher.number,
        "status": VOID if voucher.void else POSTED if voucher.posted else voucher.status,
        "sender": voucher.extra.get("sender", ""),
        "attachment": voucher.attachments,
        "lines": [
            _line(platform, own, position, line) for position, line in enumerate(voucher.lines, start=1)
        ],
    }


def _line(platform: Platform, own: str, position: int, line: Line) -> Json:
    books, currency = platform.books, line.currency or own
    original = line.debit + line.credit if line.amount_for is None else line.amount_for
    on_debit = bool(line.debit)
    return {
        "index": int(line.extra.get("index", position)),
        "explanation": line.summary,
        "account": line.account,
        "currency": currency,
        "debit": _amount(books, original if on_debit else 0, currency),
        "credit": _amount(books, 0 if on_debit else original, currency),
        "localdebit": _amount(books, line.debit, own),
        "localcredit": _amount(books, line.credit, own),
        "rate": line.rate,
        "ass": _ass(platform, line.dimensions),
    }


def _ass(platform: Platform, dimensions: Mapping[str, str]) -> list[Json]:
    found = [{"type": platform.options.code_of(kind), "value": value} for kind, value in dimensions.items()]
    return sorted(found, key=lambda item: item["type"])


def accounts(platform: Platform, parameters: Parameters) -> Json:
    """The chart of a book."""
    books, book = platform.books, _book(platform.books, parameters)
    with books.transaction() as db:
        codes = [
            row["code"]
            for row in db.execute(
                "SELECT a.code FROM accounts a JOIN books b ON b.chart = a.chart WHERE b.code = ? ORDER BY a.code",
                (book,),
            )
        ]
        found = [account for code in codes if (account := books.account(book, code)) is not None]
    return _rows(
        {
            "code": account.code,
            "name": account.name,
            "parent": account.parent,
            "leaf": account.is_leaf,
            "enabled": account.is_enabled,
            "ass": [
                {"type": platform.options.code_of(kind), "required": required}
                for kind, required in account.dimensions
            ],
        }
        for account in found
    )


def periods(platform: Platform, parameters: Parameters) -> Json:
    """The periods of a book, oldest first."""
    return _rows(
        {
            "period": f"{period.year}-{period.period:02d}",
            "begins": period.begins.isoformat(),
            "ends": period.ends.isoformat(),
            "state": PERIOD_STATES[period.state],
        }
        for period in platform.books.periods(_book(platform.books, parameters))
    )


def balances(platform: Platform, parameters: Parameters) -> Json:
    """Balances of a period by account, auxiliary values and currency; posted vouchers alone, unless `unposted=Y`."""
    books, book = platform.books, _book(platform.books, parameters)
    year, number = _period(parameters)
    own = str(books.book(book)["currency"])
    rows = []
    for each in books.balances(book, year, number, posted_only=parameters.get("unposted") != "Y"):
        local = {
            "opening": each.opening,
            "debit": each.debit,
            "credit": each.credit,
            "closing": each.closing,
        }
        original = {
            "opening_original": each.opening_for,
            "debit_original": each.debit_for,
            "credit_original": each.credit_for,
            "closing_original": each.closing_for,
        }
        rows.append(
            {"account": each.account, "currency": each.currency, "ass": _ass(platform, each.dimensions)}
            | {name: _amount(books, value, own) for name, value in local.items()}
            | {name: _amount(books, value, each.currency) for name, value in original.items()}
        )
    return _rows(rows)


def aux(platform: Platform, parameters: Parameters) -> Json:
    """Values of one auxiliary kind (`type` as pk_Checktype has it), or of all."""
    wanted = parameters.get("type", "")
    table = platform.options.checktypes
    if wanted and wanted not in table:
        raise ViewError(f"没有辅助核算类型 {wanted[:40]} / There is no such type.")
    kinds = {kind: code for code, several in table.items() for kind in several if wanted in ("", code)}
    with platform.books.transaction() as db:
        items = db.execute("SELECT kind, code, name, enabled FROM items ORDER BY kind, code").fetchall()
    rows = [
        {
            "type": kinds[item["kind"]],
            "code": item["code"],
            "name": item["name"],
            "enabled": bool(item["enabled"]),
        }
        for item in items
        if item["kind"] in kinds
    ]
    return _rows(sorted(rows, key=lambda row: (row["type"], row["code"])))


def books_view(platform: Platform, _parameters: Parameters) -> Json:
    """The books of the site."""
    with platform.books.transaction() as db:
        rows = db.execute("SELECT code, name, currency FROM books ORDER BY code").fetchall()
    return _rows(dict(row) | {"org": organisation_of(row["code"])} for row in rows)


VIEWS: Mapping[str, Callable[[Platform, Parameters], Json]] = {
    "vouchers": vouchers,
    "accounts": accounts,
    "periods": periods,
    "balances": balances,
    "aux": aux,
    "books": books_view,
}


def _rows(rows: Any) -> Json:
    return {"rows": list(rows), "more": False}


def _book(books: Books, parameters: Parameters) -> str:
    code = parameters.get("book", "")
    try:
        return str(books.book(code)["code"])
    except RefusedError as error:
        raise ViewError(f"没有账簿 {code[:40]} / There is no such book.") from error


def _period(parameters: Parameters) -> tuple[int, int]:
    match = _PERIOD.fullmatch(parameters.get("period", ""))
    if match is None:
        raise ViewError("period 应为 YYYY-MM / period must be YYYY-MM.")
    return int(match[1]), int(match[2])


def _limit(parameters: Parameters) -> int:
    text = parameters.get("limit", str(MAX_LIMIT))
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:9]) <= MAX_LIMIT):
        raise ViewError(f"limit 应为 1 至 {MAX_LIMIT} / limit must be 1 to {MAX_LIMIT}.")
    return int(text)


def _amount(books: Books, minor: int, currency: str) -> str:
    """Decimal text with the currency's decimals."""
    return f"{Decimal(minor).scaleb(-(books.scale(currency) or 0)):f}"
