"""Tables of an emulated ledger, and the company that it starts with.

What a ledger starts with is data (`DEFAULTS`, or a JSON file of the same form): books, chart, auxiliary kinds and
their values, voucher words, currencies, rates and fiscal years. Filling in twice adds nothing.
"""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Mapping
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

Json = dict[str, Any]
CHART_CN = Path(__file__).parents[1] / "embedded" / "tryton" / "chart_cn.csv"
DEFAULT_CHART = "CN"
MAX_SEED_BYTES = 16 * 2**20

TABLES = """
CREATE TABLE IF NOT EXISTS books (
  id INTEGER PRIMARY KEY AUTOINCREMENT, code TEXT UNIQUE NOT NULL, name TEXT NOT NULL, currency TEXT NOT NULL,
  chart TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS accounts (
  id INTEGER PRIMARY KEY AUTOINCREMENT, chart TEXT NOT NULL, code TEXT NOT NULL, name TEXT NOT NULL,
  parent TEXT NOT NULL, kind TEXT NOT NULL, enabled INTEGER NOT NULL DEFAULT 1, UNIQUE (chart, code));
CREATE INDEX IF NOT EXISTS accounts_parent ON accounts (chart, parent);
CREATE TABLE IF NOT EXISTS account_dimensions (
  account INTEGER NOT NULL REFERENCES accounts (id), seq INTEGER NOT NULL, kind TEXT NOT NULL,
  required INTEGER NOT NULL, PRIMARY KEY (account, kind));
CREATE TABLE IF NOT EXISTS kinds (
  id INTEGER PRIMARY KEY AUTOINCREMENT, code TEXT UNIQUE NOT NULL, name TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS items (
  id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, code TEXT NOT NULL, name TEXT NOT NULL,
  enabled INTEGER NOT NULL DEFAULT 1, UNIQUE (kind, code));
CREATE TABLE IF NOT EXISTS words (
  id INTEGER PRIMARY KEY AUTOINCREMENT, code TEXT UNIQUE NOT NULL, name TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS currencies (
  id INTEGER PRIMARY KEY AUTOINCREMENT, code TEXT UNIQUE NOT NULL, name TEXT NOT NULL, scale INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS rates (
  id INTEGER PRIMARY KEY AUTOINCREMENT, source TEXT NOT NULL, target TEXT NOT NULL, rate TEXT NOT NULL,
  begins TEXT NOT NULL, ends TEXT NOT NULL, UNIQUE (source, target, begins));
CREATE TABLE IF NOT EXISTS periods (
  book TEXT NOT NULL, year INTEGER NOT NULL, period INTEGER NOT NULL, begins TEXT NOT NULL, ends TEXT NOT NULL,
  state TEXT NOT NULL, adjustment INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (book, year, period));
CREATE TABLE IF NOT EXISTS vouchers (
  id INTEGER PRIMARY KEY AUTOINCREMENT, book TEXT NOT NULL, word TEXT NOT NULL, year INTEGER NOT NULL,
  period INTEGER NOT NULL, number INTEGER, day TEXT NOT NULL, business_day TEXT NOT NULL, status TEXT NOT NULL,
  posted INTEGER NOT NULL DEFAULT 0, void INTEGER NOT NULL DEFAULT 0, adjustment INTEGER NOT NULL DEFAULT 0,
  attachments INTEGER NOT NULL, preparer TEXT NOT NULL, reviewer TEXT NOT NULL DEFAULT '',
  poster TEXT NOT NULL DEFAULT '', reference TEXT NOT NULL, extra TEXT NOT NULL, created_ms INTEGER NOT NULL,
  modified_ms INTEGER NOT NULL, reviewed_ms INTEGER, UNIQUE (book, year, period, word, number));
CREATE INDEX IF NOT EXISTS vouchers_day ON vouchers (book, day);
CREATE INDEX IF NOT EXISTS vouchers_reference ON vouchers (reference COLLATE NOCASE);
CREATE TABLE IF NOT EXISTS lines (
  id INTEGER PRIMARY KEY AUTOINCREMENT, voucher INTEGER NOT NULL REFERENCES vouchers (id) ON DELETE CASCADE,
  seq INTEGER NOT NULL, account TEXT NOT NULL, debit INTEGER NOT NULL, credit INTEGER NOT NULL,
  summary TEXT NOT NULL, dimensions TEXT NOT NULL, currency TEXT NOT NULL, amount_for INTEGER NOT NULL,
  rate TEXT NOT NULL, reference TEXT NOT NULL, extra TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS lines_voucher ON lines (voucher, seq);
CREATE INDEX IF NOT EXISTS lines_reference ON lines (reference COLLATE NOCASE);
CREATE TABLE IF NOT EXISTS operations (
  id INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, actor TEXT NOT NULL, operation TEXT NOT NULL,
  voucher INTEGER, detail TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS notes (
  space TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (space, key));
"""

FIRST_VOUCHER = 100000
FIRST_LINE = 500000

_DIMENSIONS: Mapping[str, tuple[tuple[str, bool], ...]] = {
    "1122": (("customer", True),),
    "1123": (("supplier", True),),
    "1221.02": (("supplier", True),),
    "1221.03": (("employee", True),),
    "2202.01": (("supplier", True),),
    "2202.02": (("supplier", True),),
    "2241.02": (("supplier", True),),
    "2241.03": (("employee", True),),
    "5301": (("department", False), ("project", False)),
}
"""As vendors' preset charts have them: True is 必录 (must be filled)."""
_EXPENSES = (("department", True), ("project", False))


@cache
def _default_accounts() -> tuple[Json, ...]:
    with CHART_CN.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return tuple(
        {
            "code": row["code"],
            "name": row["name"],
            "parent": row["parent"],
            "kind": row["type"],
            "dimensions": _DIMENSIONS.get(
                row["code"],
                _EXPENSES if row["type"] and row["code"].startswith(("6601.", "6602.")) else (),
            ),
        }
        for row in rows
    )


def defaults() -> Json:
    """The company that a ledger starts with when nobody brings another; a new dict each time."""
    return {
        "currencies": [
            ["CNY", "人民币", 2],
            ["USD", "美元", 2],
            ["EUR", "欧元", 2],
            ["JPY", "日元", 0],
            ["HKD", "港币", 2],
        ],
        "rates": [
            ["USD", "CNY", "7.1034", "2025-01-01", "2100-01-01"],
            ["EUR", "CNY", "8.2275", "2025-01-01", "2100-01-01"],
            ["JPY", "CNY", "0.0468", "2025-01-01", "2100-01-01"],
            ["HKD", "CNY", "0.9127", "2025-01-01", "2100-01-01"],
        ],
        "words": [["记", "记账凭证"]],
        "charts": {DEFAULT_CHART: [dict(account) for account in _default_accounts()]},
        "kinds": [
            ["supplier", "供应商"],
            ["department", "部门"],
            ["customer", "客户"],
            ["employee", "员工"],
            ["expense", "费用项目"],
            ["project", "项目"],
        ],
        "items": {
            "supplier": [["S001", "上海云杉信息技术有限公司"], ["S002", "苏州精机设备有限公司"]],
            "department": [["GM", "总经办"], ["ADM", "行政部"], ["FIN", "财务部"], ["RD", "研发中心"]],
            "customer": [["C001", "杭州客户有限公司"]],
            "employee": [["E0001", "王小明"], ["E0002", "李小红"]],
            "expense": [["CL", "差旅费"], ["BG", "办公费"]],
            "project": [["P001", "智能仓储平台"]],
        },
        "books": [
            {"code": "001", "name": "示例科技（上海）有限公司", "currency": "CNY", "chart": DEFAULT_CHART}
        ],
        "years": [2025, 2026],
    }


def read_seed(path: Path, base: Json | None = None) -> Json:
    """A company from a JSON file with the keys of `defaults()`; what is left out comes from `base`, or from there.

    Raises:
        ValueError: it is no JSON object of known keys, or too large.
    """
    if path.stat().st_size > MAX_SEED_BYTES:
        raise ValueError(f"{path}: 初始数据文件过大 / The seed file is larger than {MAX_SEED_BYTES} bytes.")
    given = json.loads(path.read_text(encoding="utf-8"))
    known = base or defaults()
    if not isinstance(given, dict) or not given.keys() <= known.keys():
        raise ValueError(
            f"{path}: 初始数据应为 JSON 对象，键只能是 {', '.join(known)} / It must be a JSON object of these keys."
        )
    return known | given


def create(db: sqlite3.Connection) -> None:
    """The tables, where they are missing; ids of vouchers and lines never start over."""
    for statement in TABLES.split(";\n"):
        if statement.strip():
            db.execute(statement)
    for table, first in (("vouchers", FIRST_VOUCHER), ("lines", FIRST_LINE)):
        db.execute(
            "INSERT INTO sqlite_sequence (name, seq) SELECT ?, ? "
            "WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = ?)",
            (table, first, table),
        )


def fill(db: sqlite3.Connection, seed: Mapping[str, Any]) -> None:
    """Put a company's master data into the tables; what is there already stays as it is."""
    db.executemany(
        "INSERT OR IGNORE INTO currencies (code, name, scale) VALUES (?, ?, ?)", seed["currencies"]
    )
    db.executemany(
        "INSERT OR IGNORE INTO rates (source, target, rate, begins, ends) VALUES (?, ?, ?, ?, ?)",
        seed["rates"],
    )
    db.executemany("INSERT OR IGNORE INTO words (code, name) VALUES (?, ?)", seed["words"])
    db.executemany("INSERT OR IGNORE INTO kinds (code, name) VALUES (?, ?)", seed["kinds"])
    for kind, items in seed["items"].items():
        db.executemany(
            "INSERT OR IGNORE INTO items (kind, code, name) VALUES (?, ?, ?)",
            [(kind, code, name) for code, name in items],
        )
    for chart, accounts in seed["charts"].items():
        for account in accounts:
            add_account(db, chart, account)
    for book in seed["books"]:
        db.execute(
            "INSERT OR IGNORE INTO books (code, name, currency, chart) VALUES (:code, :name, :currency, :chart)",
            book,
        )
        for year in seed["years"]:
            add_year(db, book["code"], year)


def add_account(db: sqlite3.Connection, chart: str, account: Mapping[str, Any]) -> None:
    """One account: code, name, parent, kind, dimensions [(kind, required)]. A code that exists is left alone."""
    cursor = db.execute(
        "INSERT OR IGNORE INTO accounts (chart, code, name, parent, kind) VALUES (?, ?, ?, ?, ?)",
        (chart, account["code"], account["name"], account.get("parent", ""), account.get("kind", "")),
    )
    if cursor.rowcount:
        db.executemany(
            "INSERT INTO account_dimensions (account, seq, kind, required) VALUES (?, ?, ?, ?)",
            [
                (cursor.lastrowid, seq, kind, int(required))
                for seq, (kind, required) in enumerate(account.get("dimensions", ()), start=1)
            ],
        )


def add_year(db: sqlite3.Connection, book: str, year: int, *, adjustment: bool = False) -> None:
    """Twelve calendar months, open; with `adjustment` a thirteenth on the year's last day."""
    for period in range(1, 13):
        begins = date(year, period, 1)
        ends = date(year + period // 12, period % 12 + 1, 1) - timedelta(days=1)
        db.execute(
            "INSERT OR IGNORE INTO periods (book, year, period, begins, ends, state) VALUES (?, ?, ?, ?, ?, 'open')",
            (book, year, period, begins.isoformat(), ends.isoformat()),
        )
    if adjustment:
        last = date(year, 12, 31).isoformat()
        db.execute(
            "INSERT OR IGNORE INTO periods (book, year, period, begins, ends, state, adjustment) "
            "VALUES (?, ?, 13, ?, ?, 'open', 1)",
            (book, year, last, last),
        )
