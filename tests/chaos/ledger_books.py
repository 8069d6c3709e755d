"""The books of an accounting system with an HTTP interface: its own model and rules, on one SQLite file.

It stands for products that we have no copy of, and imports nothing of ours. A voucher is there whole or not at all,
whenever the process is killed. Amounts go in and out as decimal text in columns debit and credit; a period is `202603`.
"""

from __future__ import annotations

import csv
import json
import sqlite3
import threading
import time
from calendar import monthrange
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import date
from pathlib import Path
from typing import Any

from tests.chaos.ledger_terms import KeyTaken, Refused, digest, head, minor, numeric, one_line, text

LEVELS = ("native_key", "searchable_reference", "date_and_amount")
BATCH_MODES = ("each", "whole_named", "whole_silent")
"""What a bad voucher does to the others of its call: nothing; refuses all and is named; refuses all without a word."""
KINDS = ("employee", "supplier", "customer", "department", "project")
PARTIES = ("employee", "supplier", "customer")
WORDS = ("记", "收", "付", "转")
SHORT_SUMMARY = 20
PAGE = 200

SCHEMA = """
CREATE TABLE IF NOT EXISTS account (
    code TEXT PRIMARY KEY, name TEXT NOT NULL, is_leaf INTEGER NOT NULL, required TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS period (
    code TEXT PRIMARY KEY, first_day TEXT NOT NULL, last_day TEXT NOT NULL, is_closed INTEGER NOT NULL DEFAULT 0,
    is_future INTEGER NOT NULL DEFAULT 0, is_adjustment INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS value (
    kind TEXT NOT NULL, code TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY (kind, code));
CREATE TABLE IF NOT EXISTS voucher (
    id INTEGER PRIMARY KEY AUTOINCREMENT, word TEXT NOT NULL, number INTEGER, period TEXT NOT NULL,
    date TEXT NOT NULL, total INTEGER NOT NULL, status TEXT NOT NULL, idempotency_key TEXT UNIQUE,
    memo TEXT NOT NULL DEFAULT '', digest TEXT NOT NULL, offset_of INTEGER, made_at REAL NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS voucher_number ON voucher (period, word, number);
CREATE INDEX IF NOT EXISTS voucher_memo ON voucher (memo);
CREATE INDEX IF NOT EXISTS voucher_day ON voucher (date, total);
CREATE TABLE IF NOT EXISTS entry (
    voucher INTEGER NOT NULL, row INTEGER NOT NULL, account TEXT NOT NULL, side TEXT NOT NULL,
    amount INTEGER NOT NULL, currency TEXT NOT NULL, original INTEGER, summary TEXT NOT NULL,
    auxiliary TEXT NOT NULL, PRIMARY KEY (voucher, row));
CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


class Books:
    """One company's books. Safe to share between threads; every method is one transaction.

    Attributes:
        lag_s: how long searches and lists do not show a new voucher yet; reading by id does.
        before_commit: called inside each writing transaction just before it is committed.
    """

    def __init__(
        self, file: Path, *, level: str, batch: str = "each", currency: str = "CNY", chart: Path | None = None
    ) -> None:
        self.level = level
        self.batch = batch
        self.currency = currency
        self.lag_s = 0.0
        self.before_commit: Callable[[], None] = lambda: None
        self._lock = threading.RLock()
        self._db = sqlite3.connect(file, check_same_thread=False, isolation_level=None, timeout=30)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(SCHEMA)
        if chart is not None:
            with self._writing():
                self._set_up(chart)

    def close(self) -> None:
        with self._lock:
            self._db.close()

    # -- what an accountant sets up ------------------------------------------------------------------

    def _set_up(self, chart: Path) -> None:
        with chart.open(encoding="utf-8-sig", newline="") as file:
            accounts = [
                (row["code"], row["name"], bool(row["type"]), "party" if row["party_required"] else "")
                for row in csv.DictReader(file)
            ]
        self._db.executemany("INSERT OR IGNORE INTO account VALUES (?, ?, ?, ?)", accounts)
        months = [(year, month) for year in (2025, 2026) for month in range(1, 13)]
        self._db.executemany(
            "INSERT OR IGNORE INTO period (code, first_day, last_day) VALUES (?, ?, ?)",
            [(f"{y}{m:02}", f"{y}-{m:02}-01", f"{y}-{m:02}-{monthrange(y, m)[1]:02}") for y, m in months],
        )

    def accounts(self, after: str, limit: int) -> dict[str, Any]:
        rows = self._rows("SELECT * FROM account WHERE code > ? ORDER BY code LIMIT ?", after, limit + 1)
        items = [
            {
                "code": row["code"],
                "name": row["name"],
                "detail": bool(row["is_leaf"]),
                "auxiliaryRequired": [list(PARTIES)] if row["required"] else [],
            }
            for row in rows[:limit]
        ]
        return {"items": items, "more": len(rows) > limit}

    def periods(self) -> list[dict[str, Any]]:
        return [
            {
                "code": row["code"],
                "start": row["first_day"],
                "end": row["last_day"],
                "closed": bool(row["is_closed"]),
                "future": bool(row["is_future"]),
                "adjustment": bool(row["is_adjustment"]),
            }
            for row in self._rows("SELECT * FROM period ORDER BY first_day, code")
        ]

    def set_closed(self, period: str, *, closed: bool) -> None:
        with self._writing():
            drafts = self._rows("SELECT id FROM voucher WHERE period = ? AND status = 'draft'", period)
            if closed and drafts:
                raise Refused("E2003", f"期间 {period} 还有 {len(drafts)} 张未审核凭证，不能结账")
            if not self._db.execute(
                "UPDATE period SET is_closed = ?, is_future = 0 WHERE code = ?", (closed, period)
            ).rowcount:
                raise Refused("E2001", f"会计期间 {period} 不存在")

    def defer(self, period: str) -> None:
        """Take a period back into the future: it is not open yet."""
        with self._writing():
            self._db.execute("UPDATE period SET is_future = 1 WHERE code = ?", (period,))

    def adjust(self, period: str, day: str) -> None:
        """An adjustment period over one day, of a code that no month has: `202513`. Entries by date never go there."""
        with self._writing():
            self._db.execute(
                "INSERT OR IGNORE INTO period (code, first_day, last_day, is_adjustment) VALUES (?, ?, ?, 1)",
                (period, day, day),
            )

    def values(self, kind: str, codes: Sequence[str]) -> list[dict[str, str]]:
        """The known ones of these auxiliary values."""
        rows = self._rows(
            "SELECT * FROM value WHERE kind = ? AND code IN (SELECT value FROM json_each(?)) ORDER BY code",
            kind,
            json.dumps(list(codes)),
        )
        return [{"code": row["code"], "name": row["name"]} for row in rows]

    def add_value(self, kind: str, code: str, name: str) -> None:
        if kind not in KINDS:
            raise Refused("E1010", f"没有辅助核算类别 {kind}")
        with self._writing():
            if self._rows("SELECT 1 FROM value WHERE kind = ? AND code = ?", kind, code):
                raise Refused("E1011", f"{kind} {code} 已存在")
            self._db.execute("INSERT INTO value VALUES (?, ?, ?)", (kind, code, one_line(name)))

    # -- vouchers ------------------------------------------------------------------------------------

    def create(self, vouchers: Sequence[Mapping[str, Any]], *, audit: bool) -> list[dict[str, Any]]:
        """Save vouchers, as drafts or audited at once; one answer per voucher, in the same order.

        Raises:
            KeyTaken: nothing of the call was saved.
            Refused: nothing of the call was saved (only where the books take a batch whole or not at all).
        """
        with self._writing():
            self._refuse_taken_keys(vouchers)
            answers = []
            for index, voucher in enumerate(vouchers):
                try:
                    answers.append({"index": index, "ok": True} | self._create_one(voucher, audit=audit))
                except Refused as refusal:
                    answers.append(
                        {"index": index, "ok": False, "code": refusal.code, "message": refusal.message}
                    )
            bad = [answer for answer in answers if not answer["ok"]]
            if bad and self.batch != "each":
                if len(vouchers) == 1:
                    raise Refused(bad[0]["code"], bad[0]["message"])
                errors = bad if self.batch == "whole_named" else []
                raise Refused("B0002", "批量保存失败，单据数据有误", errors=errors)
            return answers

    def audit(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        """Audit drafts: they get their numbers, and can no longer be changed. All of them or none."""
        with self._writing():
            for each in ids:
                row = self._row(each)
                if row["status"] != "draft":
                    raise Refused("E3002", f"凭证 {each} 已审核", id=each)
                self._refuse_period(row["period"])
                self._number(row["id"], row["period"], row["word"])
            return self.read(ids)

    def delete(self, ids: Sequence[str]) -> None:
        """Delete drafts, all of them or none."""
        with self._writing():
            for each in ids:
                if self._row(each)["status"] != "draft":
                    raise Refused("E3003", f"凭证 {each} 已审核，不能删除", id=each)
                self._db.execute("DELETE FROM entry WHERE voucher = ?", (int(each),))
                self._db.execute("DELETE FROM voucher WHERE id = ?", (int(each),))

    def offset(self, voucher_id: str) -> dict[str, Any]:
        """Reverse an audited voucher by a red-letter copy of the same day, made and numbered by these books."""
        with self._writing():
            row = self._row(voucher_id)
            if row["status"] != "audited":
                raise Refused("E3004", f"凭证 {voucher_id} 不能冲销")
            self._refuse_period(row["period"])
            copy = self._db.execute(
                "INSERT INTO voucher (word, period, date, total, status, digest, offset_of, made_at) "
                "SELECT word, period, date, -total, 'draft', '', id, ? FROM voucher WHERE id = ?",
                (time.time(), row["id"]),
            ).lastrowid
            self._db.execute(
                "INSERT INTO entry SELECT ?, row, account, side, -amount, currency, -original, '冲销', auxiliary "
                "FROM entry WHERE voucher = ?",
                (copy, row["id"]),
            )
            self._number(copy, row["period"], row["word"])
            self._db.execute("UPDATE voucher SET status = 'offset' WHERE id = ?", (row["id"],))
            return self.read([str(copy)])[0]

    def renumber(self, period: str) -> None:
        """Number a period's audited vouchers again from 1 for each word, by date, as accountants do before closing."""
        with self._writing():
            rows = self._rows(
                "SELECT id, ROW_NUMBER() OVER (PARTITION BY word ORDER BY date, id) AS position FROM voucher "
                "WHERE period = ? AND number IS NOT NULL",
                period,
            )
            self._db.execute("UPDATE voucher SET number = -number WHERE period = ?", (period,))
            self._db.executemany(
                "UPDATE voucher SET number = ? WHERE id = ?", [(row["position"], row["id"]) for row in rows]
            )

    def read(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        """Vouchers by id in rising order; unknown ids are left out."""
        return self._vouchers("id IN (SELECT value FROM json_each(?))", json.dumps(numeric(ids)))

    def numbers(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        rows = self._rows(
            "SELECT id, word, number FROM voucher WHERE id IN (SELECT value FROM json_each(?))",
            json.dumps(numeric(ids)),
        )
        return [{"id": str(row["id"]), "word": row["word"], "number": row["number"]} for row in rows]

    def search(
        self,
        *,
        keys: Sequence[str] | None,
        memos: Sequence[str] | None,
        days: Sequence[tuple[str, str]] | None,
        after: int,
    ) -> dict[str, Any]:
        """A page of vouchers with one of these keys, or memos, or dates and totals, in rising order of id.

        Raises:
            Refused: these books cannot search that way.
        """
        if keys is not None and self.level == "native_key":
            return self._page(
                "idempotency_key IN (SELECT value FROM json_each(?))", after, PAGE, json.dumps(keys)
            )
        if memos is not None and self.level == "searchable_reference":
            return self._page("memo IN (SELECT value FROM json_each(?))", after, PAGE, json.dumps(memos))
        if days is None:
            raise Refused("E5001", "不支持该查询条件")
        pairs = json.dumps([[day, minor(total, self.currency)] for day, total in days])
        condition = "(date, total) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?))"
        return self._page(condition, after, PAGE, pairs)

    def listed(self, period: str, after: int, limit: int) -> dict[str, Any]:
        """A page of a period's vouchers, in rising order of id."""
        return self._page("period = ?", after, min(limit, PAGE), period)

    def balances(self, period: str) -> list[dict[str, str]]:
        rows = self._rows(
            "SELECT account, SUM(CASE side WHEN 'D' THEN amount ELSE 0 END) AS debit, "
            "SUM(CASE side WHEN 'C' THEN amount ELSE 0 END) AS credit FROM entry JOIN voucher ON voucher.id = voucher "
            "WHERE period = ? AND status <> 'draft' GROUP BY account ORDER BY account",
            period,
        )
        return [
            {
                "account": row["account"],
                "debit": text(row["debit"], self.currency),
                "credit": text(row["credit"], self.currency),
            }
            for row in rows
        ]

    # -- for auditors and the server's own settings ----------------------------------------------------

    def export(self) -> dict[str, list[dict[str, Any]]]:
        """The raw tables, for an auditor who trusts no reading of ours."""
        with self._lock:
            return {
                table: [dict(row) for row in self._rows(f"SELECT * FROM {table} ORDER BY 1, 2")]  # noqa: S608
                for table in ("voucher", "entry", "period")
            }

    def setting(self, name: str) -> Any:
        rows = self._rows("SELECT value FROM setting WHERE name = ?", name)
        return json.loads(rows[0]["value"]) if rows else None

    def keep_setting(self, name: str, value: Any) -> None:
        with self._lock:
            self._db.execute("INSERT OR REPLACE INTO setting VALUES (?, ?)", (name, json.dumps(value)))

    # -- the rules -------------------------------------------------------------------------------------

    def _refuse_taken_keys(self, vouchers: Sequence[Mapping[str, Any]]) -> None:
        if self.level != "native_key":
            return
        taken: list[str] = []
        seen: dict[str, str] = {}
        for voucher in vouchers:
            key = voucher.get("idempotencyKey") or ""
            rows = self._rows("SELECT digest FROM voucher WHERE idempotency_key = ?", key)
            content = digest(voucher)
            if key and content != (rows[0]["digest"] if rows else seen.setdefault(key, content)):
                taken.append(key)
        if taken:
            raise KeyTaken("E4009", f"幂等键已用于内容不同的凭证：{'、'.join(taken)}", conflicts=taken)

    def _create_one(self, voucher: Mapping[str, Any], *, audit: bool) -> dict[str, Any]:
        key = str(voucher.get("idempotencyKey") or "") if self.level == "native_key" else ""
        if key:
            rows = self._rows("SELECT id FROM voucher WHERE idempotency_key = ?", key)
            if rows:
                return {"existed": True} | head(self.read([str(rows[0]["id"])])[0])
        day, word = str(voucher.get("date", "")), str(voucher.get("word", ""))
        period = day[:7].replace("-", "")
        try:
            date.fromisoformat(day)
        except ValueError as error:
            raise Refused("E1006", f"日期 {day!r} 格式有误") from error
        self._refuse_period(period)
        if word not in WORDS:
            raise Refused("E1007", f"凭证字 {word} 不存在")
        entries = [self._entry(row, entry) for row, entry in enumerate(voucher.get("entries", []), 1)]
        debit, credit = (sum(e["amount"] for e in entries if e["side"] == side) for side in "DC")
        if len(entries) < 2 or debit != credit:
            raise Refused("E1005", f"借贷不平或分录不足：借 {debit}，贷 {credit}")
        made = self._db.execute(
            "INSERT INTO voucher (word, period, date, total, status, idempotency_key, memo, digest, made_at) "
            "VALUES (?, ?, ?, ?, 'draft', ?, ?, ?, ?)",
            (word, period, day, debit, key or None, self._memo(voucher), digest(voucher), time.time()),
        ).lastrowid
        self._db.executemany(
            "INSERT INTO entry VALUES (:voucher, :row, :account, :side, :amount, :currency, :original, :summary, "
            ":auxiliary)",
            [entry | {"voucher": made} for entry in entries],
        )
        if audit:
            self._number(made, period, word)
        return {"existed": False} | head(self.read([str(made)])[0])

    def _memo(self, voucher: Mapping[str, Any]) -> str:
        memo = str(voucher.get("memo") or "")
        if self.level != "searchable_reference":
            return ""
        if len(memo) > 255:
            raise Refused("E1012", "备注不能超过 255 个字符")
        return memo

    def _entry(self, row: int, entry: Mapping[str, Any]) -> dict[str, Any]:
        code = str(entry.get("account", ""))
        accounts = self._rows("SELECT * FROM account WHERE code = ?", code)
        if not accounts:
            raise Refused("E1001", f"第 {row} 条分录：科目 {code} 不存在")
        if not accounts[0]["is_leaf"]:
            raise Refused("E1002", f"第 {row} 条分录：科目 {code} 不是末级科目")
        auxiliary = {str(kind): str(value) for kind, value in dict(entry.get("auxiliary") or {}).items()}
        if accounts[0]["required"] and not set(auxiliary) & set(PARTIES):
            raise Refused("E1003", f"第 {row} 条分录：科目 {code} 必须录入往来单位")
        for kind, value in auxiliary.items():
            if not self.values(kind, [value]):
                raise Refused("E1004", f"第 {row} 条分录：{kind} {value} 不存在")
        debit, credit = (minor(entry.get(column) or "0", self.currency) for column in ("debit", "credit"))
        if bool(debit) == bool(credit):
            raise Refused("E1006", f"第 {row} 条分录：借方和贷方应有且只有一个金额")
        currency = str(entry.get("currency") or self.currency)
        original = entry.get("original")
        summary = one_line(str(entry.get("summary") or ""))
        return {
            "row": row,
            "account": code,
            "side": "D" if debit else "C",
            "amount": debit or credit,
            "currency": currency,
            "original": None if original is None else minor(original, currency),
            "summary": summary[:SHORT_SUMMARY] if self.level == "date_and_amount" else summary,
            "auxiliary": json.dumps(auxiliary, ensure_ascii=False, sort_keys=True),
        }

    def _refuse_period(self, code: str) -> None:
        rows = self._rows("SELECT is_closed, is_future FROM period WHERE code = ?", code)
        if not rows:
            raise Refused("E2001", f"会计期间 {code} 不存在")
        if rows[0]["is_closed"]:
            raise Refused("E2002", f"会计期间 {code} 已结账")
        if rows[0]["is_future"]:
            raise Refused("E2004", f"会计期间 {code} 尚未启用")

    def _number(self, voucher: int | None, period: str, word: str) -> None:
        self._db.execute(
            "UPDATE voucher SET status = 'audited', number = (SELECT COALESCE(MAX(number), 0) + 1 FROM voucher "
            "WHERE period = ? AND word = ?) WHERE id = ?",
            (period, word, voucher),
        )

    # -- reading ---------------------------------------------------------------------------------------

    def _page(self, condition: str, after: int, limit: int, *arguments: Any) -> dict[str, Any]:
        shown = f"{condition} AND id > ? AND made_at <= ? ORDER BY id LIMIT ?"
        items = self._vouchers(shown, *arguments, after, time.time() - self.lag_s, limit + 1)
        return {"items": items[:limit], "more": len(items) > limit}

    def _vouchers(self, condition: str, *arguments: Any) -> list[dict[str, Any]]:
        with self._lock:
            order = "" if "ORDER BY" in condition else " ORDER BY id"
            heads = self._rows(f"SELECT * FROM voucher WHERE {condition}{order}", *arguments)  # noqa: S608
            ids = json.dumps([row["id"] for row in heads])
            entries: dict[int, list[dict[str, Any]]] = {row["id"]: [] for row in heads}
            names: dict[tuple[str, str], str] = {}
            for row in self._rows(
                "SELECT * FROM entry WHERE voucher IN (SELECT value FROM json_each(?)) ORDER BY voucher, row",
                ids,
            ):
                entries[row["voucher"]].append(self._shown(row, names))
        return [self._shown_head(row) | {"entries": entries[row["id"]]} for row in heads]

    def _shown_head(self, row: sqlite3.Row) -> dict[str, Any]:
        head = {name: row[name] for name in ("word", "number", "period", "date", "status")}
        if self.level == "native_key":
            head["idempotencyKey"] = row["idempotency_key"] or ""
        if self.level == "searchable_reference":
            head["memo"] = row["memo"]
        return {"id": str(row["id"]), **head, "total": text(row["total"], self.currency)}

    def _shown(self, row: sqlite3.Row, names: dict[tuple[str, str], str]) -> dict[str, Any]:
        auxiliary = []
        for kind, code in json.loads(row["auxiliary"]).items():
            if (kind, code) not in names:
                names[kind, code] = self.values(kind, [code])[0]["name"]
            auxiliary.append({"kind": kind, "code": code, "name": names[kind, code]})
        amount = text(row["amount"], self.currency)
        original = row["original"]
        return {
            "account": row["account"],
            "debit": amount if row["side"] == "D" else "",
            "credit": amount if row["side"] == "C" else "",
            "currency": row["currency"],
            "original": None if original is None else text(original, row["currency"]),
            "summary": row["summary"],
            "auxiliary": auxiliary,
        }

    def _row(self, voucher_id: str) -> sqlite3.Row:
        rows = self._rows("SELECT * FROM voucher WHERE id = ?", *(numeric([voucher_id]) or [-1]))
        if not rows:
            raise Refused("E3001", f"凭证 {voucher_id} 不存在", id=voucher_id)
        return rows[0]

    def _rows(self, sql: str, *arguments: Any) -> list[sqlite3.Row]:
        with self._lock, closing(self._db.execute(sql, arguments)) as cursor:
            return cursor.fetchall()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.before_commit()
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
