"""Create the embedded ledger: company, currencies, chart, journals, fiscal years, and a user for the gateway.

`init_ledger` may be repeated: what exists stays as it is, what is missing is added. It never makes an accounting move.
"""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from include.embedded.tryton.access import (
    ADMIN_LOGIN,
    GATEWAY_LOGIN,
    ensure_administrator,
    ensure_gateway_user,
)
from include.embedded.tryton.chart import ACCOUNT_TYPES, ChartAccount, read_chart
from include.embedded.tryton.errors import LedgerSetupError
from include.embedded.tryton.runtime import MODULES, database_name, in_transaction, inspect_file, opened

__all__ = ["CHART_CN", "CURRENCIES", "GATEWAY_LOGIN", "LedgerReport", "init_ledger"]

CHART_CN = Path(__file__).with_name("chart_cn.csv")
"""A chart by 企业会计准则, with the codes that Kingdee presets."""

CURRENCIES = {
    "CNY": ("人民币", "¥", "156", 2),
    "USD": ("美元", "US$", "840", 2),
    "EUR": ("欧元", "€", "978", 2),
    "HKD": ("港元", "HK$", "344", 2),
    "JPY": ("日元", "JP¥", "392", 0),
    "GBP": ("英镑", "£", "826", 2),
    "KRW": ("韩元", "₩", "410", 0),
    "SGD": ("新加坡元", "S$", "702", 2),
    "AUD": ("澳元", "A$", "036", 2),
    "CAD": ("加元", "C$", "124", 2),
    "CHF": ("瑞士法郎", "CHF", "756", 2),
    "MOP": ("澳门元", "MOP$", "446", 2),
    "TWD": ("新台币", "NT$", "901", 2),
    "THB": ("泰铢", "฿", "764", 2),
    "KWD": ("科威特第纳尔", "KD", "414", 3),
}
"""Name, symbol, ISO 4217 number, decimals."""

JOURNALS = {"记": "记账凭证", "收": "收款凭证", "付": "付款凭证", "转": "转账凭证"}
"""Voucher words (凭证字), which are the codes of the journals."""

DIMENSIONS = {"department": "部门", "project": "项目"}
"""Auxiliary dimensions (辅助核算), one analytic root each; a supplier or an employee is the party of a line."""

MIN_PASSWORD = 8

BALANCE_GUARD = """
CREATE TRIGGER IF NOT EXISTS voucherflow_move_balance BEFORE UPDATE OF state ON account_move
WHEN NEW.state = 'posted' AND (
    SELECT abs(round(total(line.debit - line.credit), currency.digits)) > 0
    FROM account_move_line AS line, company_company AS company
    JOIN currency_currency AS currency ON currency.id = company.currency
    WHERE line.move = NEW.id AND company.id = NEW.company
)
BEGIN SELECT RAISE(ABORT, 'the move does not balance'); END
"""


@dataclass(frozen=True, slots=True)
class LedgerReport:
    """What `init_ledger` found and what it added, in words for a person."""

    database: Path
    company: str
    currency: str
    created: tuple[str, ...]
    existing: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"账簿 {self.database}: {self.company}, {self.currency}"]
        lines += [f"  + {what}" for what in self.created]
        lines += [f"  = {what}" for what in self.existing]
        return "\n".join(lines)


def init_ledger(
    database: Path,
    *,
    company_name: str,
    currency: str,
    years: tuple[int, ...],
    password: str,
    chart: Path = CHART_CN,
    dimensions: dict[str, str] = DIMENSIONS,
) -> LedgerReport:
    """Make `database` a ledger of one company, or complete the one that is there.

    `years` are fiscal years of twelve monthly periods each; voucher numbers start at 1 in every period.
    `password` becomes the password of the user `GATEWAY_LOGIN`, also on a repeated run; the administrator gets none
    and therefore cannot log in over HTTP. `dimensions` are codes and names of auxiliary dimensions.

    Raises:
        LedgerSetupError: bad arguments, a bad chart, a file that is something else, or a ledger of another company
            or currency.
    """
    database_name(database)
    _check_arguments(company_name, currency, years, password)
    accounts = read_chart(chart)
    has_modules = inspect_file(database).has_modules
    try:
        database.parent.mkdir(parents=True, exist_ok=True)
        database.touch(mode=0o600)
    except OSError as error:
        raise LedgerSetupError(
            f"{database}: 无法写入 / the ledger's file cannot be written: {error}"
        ) from error

    from trytond.exceptions import UserError

    def work(pool: Any) -> tuple[list[str], list[str]]:
        return _fill(pool, company_name, currency, years, password, accounts, dimensions)

    try:
        with opened(database, update=() if has_modules else MODULES) as pool:
            created, existing = in_transaction(pool, work)
    except UserError as error:
        raise LedgerSetupError(f"{database}: Tryton 拒绝 / Tryton refuses: {error.message}") from error
    except sqlite3.Error as error:
        raise LedgerSetupError(
            f"{database}: 无法写入，是否有其他程序在用 / the file cannot be written ({error}): is another program using it?"
        ) from error
    return LedgerReport(database, company_name, currency, tuple(created), tuple(existing))


def _check_arguments(company_name: str, currency: str, years: tuple[int, ...], password: str) -> None:
    problems = []
    if not company_name.strip():
        problems.append("公司名称不能为空 / The company needs a name.")
    if currency not in CURRENCIES:
        problems.append(f"未知本位币 {currency} / Choose the currency among {', '.join(CURRENCIES)}.")
    if not years or any(not 1990 <= year <= 2999 for year in years):
        problems.append("会计年度应在 1990 到 2999 之间 / Give fiscal years between 1990 and 2999.")
    if len(password) < MIN_PASSWORD:
        problems.append(
            f"接口用户密码至少 {MIN_PASSWORD} 位 / The gateway's password needs {MIN_PASSWORD} characters."
        )
    if problems:
        raise LedgerSetupError("\n".join(problems))


def _mark_series(pool: Any) -> None:
    """Tryton lists only databases that carry the series of the running program."""
    from trytond import __series__

    configuration = pool.get("ir.configuration")(1)
    configuration.series = __series__
    configuration.language = "en"
    configuration.save()


def _fill(
    pool: Any,
    company_name: str,
    currency: str,
    years: tuple[int, ...],
    password: str,
    accounts: tuple[ChartAccount, ...],
    dimensions: dict[str, str],
) -> tuple[list[str], list[str]]:
    """Everything but the modules, in the caller's one transaction; what was made and what was there."""
    from trytond.transaction import Transaction

    created: list[str] = []
    existing: list[str] = []
    _mark_series(pool)
    _ensure_indexes()
    _ensure_balance_guard()

    def tell(what: str, made: Iterable[str], kept: Iterable[str]) -> None:
        for words, target in ((list(made), created), (list(kept), existing)):
            if words:
                shown = ", ".join(words) if len(words) <= 6 else f"{', '.join(words[:5])} … ({len(words)})"
                target.append(f"{what}: {shown}")

    tell("币种 currencies", *_ensure_currencies(pool))
    company, is_new = _ensure_company(pool, company_name, currency)
    tell("公司 company", [company_name] * is_new, [company_name] * (not is_new))
    with Transaction().set_context(company=company.id):
        tell("科目 accounts", *_ensure_accounts(pool, company, accounts))
        tell("凭证字 voucher words", *_ensure_journals(pool))
        tell("辅助核算 dimensions", *_ensure_dimensions(pool, company, dimensions))
        tell("会计年度 fiscal years", *_ensure_years(pool, company, years))
        is_new = ensure_administrator(pool, company)
        tell(
            "管理员（无口令）administrator without a password",
            [ADMIN_LOGIN] * is_new,
            [ADMIN_LOGIN] * (not is_new),
        )
        is_new = ensure_gateway_user(pool, company, password)
        tell("接口用户 gateway user", [GATEWAY_LOGIN] * is_new, [GATEWAY_LOGIN] * (not is_new))
    return created, existing


def _ensure_indexes() -> None:
    """Tryton has no index on what the gateway searches by: our key (description) and the origin of a reversal."""
    from trytond.transaction import Transaction

    cursor = Transaction().connection.cursor()
    for column in ("description", "origin"):
        cursor.execute(f"CREATE INDEX IF NOT EXISTS voucherflow_move_{column} ON account_move ({column})")


def _ensure_balance_guard() -> None:
    """Let the database refuse to post a move that does not balance.

    Tryton 8.2.1 means to, but on SQLite its check compares a number with bytes, which is never true.
    """
    from trytond.transaction import Transaction

    Transaction().connection.cursor().execute(BALANCE_GUARD)


def _ensure_currencies(pool: Any) -> tuple[list[str], list[str]]:
    currencies = pool.get("currency.currency")
    kept = {record.code for record in currencies.search([("code", "in", list(CURRENCIES))])}
    made = [code for code in CURRENCIES if code not in kept]
    currencies.create(
        [
            {
                "code": code,
                "name": CURRENCIES[code][0],
                "symbol": CURRENCIES[code][1],
                "numeric_code": CURRENCIES[code][2],
                "digits": CURRENCIES[code][3],
                "rounding": Decimal(1).scaleb(-CURRENCIES[code][3]),
            }
            for code in made
        ]
    )
    return made, sorted(kept)


def _ensure_company(pool: Any, name: str, currency: str) -> tuple[Any, bool]:
    companies_model = pool.get("company.company")
    parties = pool.get("party.party")
    companies = companies_model.search([])
    for company in companies:
        if company.party.name != name or company.currency.code != currency:
            raise LedgerSetupError(
                f"账簿已属于 {company.party.name} ({company.currency.code}) / The ledger belongs to that company "
                "already: use the same name and currency, or another file for another company."
            )
        return company, False
    # Codes of parties are the caller's (OA codes), so Tryton's own numbering of parties is switched off.
    configuration = pool.get("party.configuration")(1)
    configuration.party_sequence = None
    configuration.save()
    (party,) = parties.create([{"name": name, "code": "company", "addresses": []}])
    (code,) = pool.get("currency.currency").search([("code", "=", currency)])
    (company,) = companies_model.create([{"party": party.id, "currency": code.id}])
    return company, True


def _ensure_accounts(
    pool: Any, company: Any, accounts: tuple[ChartAccount, ...]
) -> tuple[list[str], list[str]]:
    account_model = pool.get("account.account")
    types = _ensure_types(pool, company)
    ids = {record.code: record.id for record in account_model.search([("company", "=", company.id)])}
    kept = [account.code for account in accounts if account.code in ids]
    made = [account for account in accounts if account.code not in ids]
    for account in made:
        (record,) = account_model.create(
            [
                {
                    "code": account.code,
                    "name": account.name,
                    "company": company.id,
                    "parent": ids[account.parent] if account.parent else None,
                    "type": types[account.type] if account.type else None,
                    "party_required": account.party_required,
                    # Open items are matched in the OA; Tryton must not reconcile zero lines by itself.
                    "reconcile": False,
                }
            ]
        )
        ids[account.code] = record.id
    return [account.code for account in made], kept


def _ensure_types(pool: Any, company: Any) -> dict[str, int]:
    """Ids of the account types by our key; a root for each statement, and the types below it."""
    type_model = pool.get("account.account.type")
    ids = {record.name: record.id for record in type_model.search([("company", "=", company.id)])}

    def ensure(name: str, values: dict[str, Any]) -> int:
        if name not in ids:
            (record,) = type_model.create([{"name": name, "company": company.id, **values}])
            ids[name] = record.id
        return int(ids[name])

    roots = {
        "balance": ensure("资产负债表", {"statement": "balance"}),
        "income": ensure("利润表", {"statement": "income"}),
    }
    return {
        key: ensure(
            kind.name,
            {"statement": kind.statement, "parent": roots[kind.statement], **dict.fromkeys(kind.flags, True)},
        )
        for key, kind in ACCOUNT_TYPES.items()
    }


def _ensure_journals(pool: Any) -> tuple[list[str], list[str]]:
    journals = pool.get("account.journal")
    kept = {record.code for record in journals.search([("code", "in", list(JOURNALS))])}
    made = [word for word in JOURNALS if word not in kept]
    journals.create([{"code": word, "name": JOURNALS[word], "type": "general"} for word in made])
    return made, sorted(kept)


def _ensure_dimensions(pool: Any, company: Any, dimensions: dict[str, str]) -> tuple[list[str], list[str]]:
    analytic = pool.get("analytic_account.account")
    roots = analytic.search([("type", "=", "root"), ("company", "=", company.id)])
    kept = [record.code for record in roots if record.code in dimensions]
    made = [code for code in dimensions if code not in kept]
    analytic.create(
        [
            {"code": code, "name": dimensions[code], "type": "root", "state": "opened", "company": company.id}
            for code in made
        ]
    )
    return made, kept


def _ensure_years(pool: Any, company: Any, years: tuple[int, ...]) -> tuple[list[str], list[str]]:
    """Fiscal years in rising order: Tryton refuses to open a year before one that exists and is open."""
    year_model = pool.get("account.fiscalyear")
    kept = {int(record.start_date.year) for record in year_model.search([("company", "=", company.id)])}
    wanted = sorted(set(years))
    made = [year for year in wanted if year not in kept]
    for year in made:
        _create_year(pool, company, year)
    return [str(year) for year in made], [str(year) for year in wanted if year in kept]


def _create_year(pool: Any, company: Any, year: int) -> None:
    """One fiscal year; each period has its own sequence, as Chinese vouchers are numbered by month."""
    year_model = pool.get("account.fiscalyear")
    sequences_model = pool.get("ir.sequence.strict")
    model_data = pool.get("ir.model.data")
    sequence_type = model_data.get_id("account", "sequence_type_account_move")

    def sequence(name: str) -> dict[str, Any]:
        return {"name": name, "sequence_type": sequence_type, "company": company.id}

    (year_sequence,) = sequences_model.create([sequence(f"{year}")])
    (fiscal_year,) = year_model.create(
        [
            {
                "name": str(year),
                "start_date": dt.date(year, 1, 1),
                "end_date": dt.date(year, 12, 31),
                "company": company.id,
                "move_sequence": year_sequence.id,
            }
        ]
    )
    year_model.create_period([fiscal_year])
    periods = pool.get("account.period").search([("fiscalyear", "=", fiscal_year.id)])
    sequences = sequences_model.create([sequence(period.name) for period in periods])
    for period, own in zip(periods, sequences, strict=True):
        period.move_sequence = own
    pool.get("account.period").save(periods)
