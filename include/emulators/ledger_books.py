"""The books behind any emulated Chinese ledger: an SQLite file, safe under concurrent requests and SIGKILL.

Vendor layers name the statuses (a text of theirs) and say which of them may be changed; posted vouchers are never
changed or deleted. What was committed before a kill is there after it. Every change is in the log of operations.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from include.emulators.ledger_file import NOBODY, LedgerFile, to_text
from include.emulators.ledger_rules import Draft, Line, Period, Reason, Refusal, RefusedError, Voucher, check

Json = dict[str, Any]
PERIOD_STATES = ("open", "closed", "future")


@dataclass(frozen=True, slots=True)
class Balance:
    """One account with one set of dimensions in one currency. Minor units; opening and closing are debit less
    credit; `_for` in the original currency.
    """

    account: str
    dimensions: Mapping[str, str]
    currency: str
    opening: int
    debit: int
    credit: int
    year_debit: int
    year_credit: int
    opening_for: int
    debit_for: int
    credit_for: int

    @property
    def closing(self) -> int:
        return self.opening + self.debit - self.credit

    @property
    def closing_for(self) -> int:
        return self.opening_for + self.debit_for - self.credit_for


class Books(LedgerFile):
    """All books in one file. Every method is one transaction, or joins the one that is open in this thread."""

    # Periods

    def periods(self, book: str) -> list[Period]:
        self.book(book)
        with self.transaction() as db:
            rows = db.execute(
                "SELECT * FROM periods WHERE book = ? ORDER BY year, adjustment, period", (book,)
            ).fetchall()
        return [
            Period(
                row["year"],
                row["period"],
                date.fromisoformat(row["begins"]),
                date.fromisoformat(row["ends"]),
                row["state"],
                bool(row["adjustment"]),
            )
            for row in rows
        ]

    def set_period(self, book: str, year: int, period: int, state: str) -> None:
        """Close, reopen or postpone a period, whatever is in it.

        Raises:
            RefusedError: no such period.
            ValueError: no such state.
        """
        if state not in PERIOD_STATES:
            raise ValueError(f"期间状态须为 {', '.join(PERIOD_STATES)} / not a state of a period: {state}")
        with self.transaction() as db:
            cursor = db.execute(
                "UPDATE periods SET state = ? WHERE book = ? AND year = ? AND period = ?",
                (state, book, year, period),
            )
            if not cursor.rowcount:
                raise RefusedError(Refusal(Reason.PERIOD_UNKNOWN, value=f"{year}-{period:02d}", detail=book))
            self.record(
                NOBODY, "set_period", None, {"book": book, "year": year, "period": period, "state": state}
            )

    def period_for(self, draft: Draft) -> Period:
        """The period that a voucher belongs to, in whatever state it is.

        Raises:
            RefusedError: the book has none for that day, or no such adjustment period.
        """
        for period in self.periods(draft.book):
            wanted = (
                (period.year, period.period) == draft.adjustment and period.adjustment
                if draft.adjustment
                else not period.adjustment and period.begins <= draft.day <= period.ends
            )
            if wanted:
                return period
        raise RefusedError(Refusal(Reason.PERIOD_UNKNOWN, value=draft.day.isoformat(), detail=draft.book))

    # Vouchers

    def save(
        self,
        draft: Draft,
        *,
        status: str,
        voucher_id: int | None = None,
        editable: Collection[str] = (),
        waive: Collection[Reason] = (),
        numbered: bool = True,
        unique_reference: bool = False,
        actor: str = NOBODY,
    ) -> Voucher:
        """Make a voucher, or replace one whole; its lines keep their ids where the draft names them.

        Args:
            draft: what to keep.
            status: its status afterwards.
            voucher_id: the voucher to replace; None makes a new one.
            editable: statuses in which a voucher may be replaced.
            waive: reasons that are let pass this time.
            numbered: False puts it aside without a number.
            unique_reference: refuse a reference that another voucher of the book carries.
            actor: who, for the log.

        Raises:
            RefusedError: with all objections; nothing has changed.
        """
        with self.transaction() as db:
            old = None if voucher_id is None else self._changeable(voucher_id, editable)
            period, refusals = self._place(draft, waive)
            refusals += check(draft, self, waive=waive)
            if unique_reference and draft.reference and self._has_reference(draft, voucher_id):
                refusals.append(Refusal(Reason.REFERENCE_TAKEN, value=draft.reference))
            if refusals or period is None:
                raise RefusedError(*refusals)
            number = self._number(draft, period, old) if numbered else None
            now = self.clock.now_ms()
            values = {
                "book": draft.book,
                "word": draft.word,
                "year": period.year,
                "period": period.period,
                "number": number,
                "day": draft.day.isoformat(),
                "business_day": (draft.business_day or draft.day).isoformat(),
                "status": status,
                "adjustment": int(period.adjustment),
                "attachments": draft.attachments,
                "preparer": draft.preparer,
                "reference": draft.reference,
                "extra": to_text(draft.extra),
                "modified_ms": now,
            }
            if old is None:
                values["created_ms"] = now
                saved = int(db.execute(_insert("vouchers", values), values).lastrowid or 0)
            else:
                saved = old.id
                names = ", ".join(f"{name} = :{name}" for name in values)
                db.execute(f"UPDATE vouchers SET {names} WHERE id = :id", values | {"id": saved})  # noqa: S608
            self._write_lines(saved, draft)
            self.record(actor, "create" if old is None else "replace", saved, {"status": status})
            return self.voucher(saved)

    def _place(self, draft: Draft, waive: Collection[Reason]) -> tuple[Period | None, list[Refusal]]:
        """The period for a draft, and what its head is refused for."""
        refusals: list[Refusal] = []
        try:
            period = self.period_for(draft)
        except RefusedError as error:
            return None, list(error.refusals)
        name = f"{period.year}-{period.period:02d}"
        if period.state == "closed":
            refusals.append(Refusal(Reason.PERIOD_CLOSED, value=name, detail=draft.book))
        if period.state == "future":
            refusals.append(Refusal(Reason.PERIOD_NOT_OPEN, value=name, detail=draft.book))
        with self.transaction() as db:
            if db.execute("SELECT 1 FROM words WHERE code = ?", (draft.word,)).fetchone() is None:
                refusals.append(Refusal(Reason.WORD_UNKNOWN, value=draft.word))
        return period, [refusal for refusal in refusals if refusal.reason not in waive]

    def _number(self, draft: Draft, period: Period, old: Voucher | None) -> int:
        """The number asked for, the one it has, or the next one."""
        place = (draft.book, period.year, period.period, draft.word)
        stays = old is not None and place == (old.book, old.year, old.period, old.word)
        if draft.number is None and stays and old is not None and old.number is not None:
            return old.number
        with self.transaction() as db:
            where = "book = ? AND year = ? AND period = ? AND word = ?"
            if draft.number is None:
                row = db.execute(f"SELECT max(number) FROM vouchers WHERE {where}", place).fetchone()  # noqa: S608
                return int(row[0] or 0) + 1
            row = db.execute(
                f"SELECT id FROM vouchers WHERE {where} AND number = ?",  # noqa: S608
                (*place, draft.number),
            ).fetchone()
        if row is not None and (old is None or row["id"] != old.id):
            raise RefusedError(Refusal(Reason.NUMBER_TAKEN, value=str(draft.number), detail=draft.word))
        return draft.number

    def _has_reference(self, draft: Draft, but: int | None) -> bool:
        with self.transaction() as db:
            row = db.execute(
                "SELECT 1 FROM vouchers WHERE book = ? AND reference = ? AND id IS NOT ?",
                (draft.book, draft.reference, but),
            ).fetchone()
        return row is not None

    def _write_lines(self, voucher_id: int, draft: Draft) -> None:
        own = self.book(draft.book)["currency"]
        with self.transaction() as db:
            mine = {row[0] for row in db.execute("SELECT id FROM lines WHERE voucher = ?", (voucher_id,))}
            db.execute("DELETE FROM lines WHERE voucher = ?", (voucher_id,))
            for seq, line in enumerate(draft.lines, start=1):
                values: Json = {
                    "id": line.id if line.id in mine else None,
                    "voucher": voucher_id,
                    "seq": seq,
                    "account": line.account,
                    "debit": line.debit,
                    "credit": line.credit,
                    "summary": line.summary,
                    "dimensions": to_text(line.dimensions),
                    "currency": line.currency or own,
                    "amount_for": line.debit + line.credit if line.amount_for is None else line.amount_for,
                    "rate": line.rate,
                    "reference": line.reference,
                    "extra": to_text(line.extra),
                }
                db.execute(_insert("lines", values), values)

    def voucher(self, voucher_id: int) -> Voucher:
        """Raises RefusedError where there is none of that id."""
        found = self.find("v.id = ?", (voucher_id,))
        if not found:
            raise RefusedError(Refusal(Reason.VOUCHER_UNKNOWN, value=str(voucher_id)))
        return found[0]

    def find(self, where: str = "1", parameters: Sequence[object] = (), *, limit: int = -1) -> list[Voucher]:
        """Vouchers that meet an SQL condition on `vouchers v`, by id. The condition is the caller's own text, values
        go into `parameters`.
        """
        with self.transaction() as db:
            heads = db.execute(
                f"SELECT * FROM vouchers v WHERE {where} ORDER BY v.id LIMIT ?",  # noqa: S608
                (*parameters, limit),
            ).fetchall()
            return [
                _voucher(
                    head,
                    db.execute(
                        "SELECT * FROM lines WHERE voucher = ? ORDER BY seq", (head["id"],)
                    ).fetchall(),
                )
                for head in heads
            ]

    def _changeable(self, voucher_id: int, allowed: Collection[str]) -> Voucher:
        voucher = self.voucher(voucher_id)
        if voucher.posted:
            raise RefusedError(Refusal(Reason.POSTED, value=voucher.status, detail=str(voucher_id)))
        if voucher.status not in allowed:
            raise RefusedError(Refusal(Reason.STATUS_FORBIDS, value=voucher.status, detail=str(voucher_id)))
        return voucher

    def set_status(
        self,
        voucher_id: int,
        status: str,
        *,
        allowed: Collection[str],
        actor: str = NOBODY,
        reviews: bool = False,
    ) -> Voucher:
        """Move a voucher to another status, from one of `allowed`. `reviews`: the actor becomes its reviewer; else
        it has none any more.

        Raises:
            RefusedError: unknown, posted, in another status, or in a period that is closed.
        """
        with self.transaction() as db:
            voucher = self._changeable(voucher_id, allowed)
            self._in_open_period(voucher)
            now = self.clock.now_ms()
            db.execute(
                "UPDATE vouchers SET status = ?, reviewer = ?, reviewed_ms = ?, modified_ms = ? WHERE id = ?",
                (status, actor if reviews else "", now if reviews else None, now, voucher_id),
            )
            self.record(actor, f"status {voucher.status}→{status}", voucher_id, {})
            return self.voucher(voucher_id)

    def post(
        self, voucher_id: int, *, allowed: Collection[str], status: str | None = None, actor: str = NOBODY
    ) -> None:
        """记账: final, but for `unpost`. `status` where the vendor has one of its own for it."""
        with self.transaction() as db:
            voucher = self._changeable(voucher_id, allowed)
            db.execute(
                "UPDATE vouchers SET posted = 1, poster = ?, status = ?, modified_ms = ? WHERE id = ?",
                (actor, status or voucher.status, self.clock.now_ms(), voucher_id),
            )
            self.record(actor, "post", voucher_id, {})

    def unpost(self, voucher_id: int, *, status: str | None = None, actor: str = NOBODY) -> None:
        """反记账, a person's doing."""
        with self.transaction() as db:
            voucher = self.voucher(voucher_id)
            db.execute(
                "UPDATE vouchers SET posted = 0, poster = '', status = ?, modified_ms = ? WHERE id = ?",
                (status or voucher.status, self.clock.now_ms(), voucher_id),
            )
            self.record(actor, "unpost", voucher_id, {})

    def set_void(self, voucher_id: int, *, void: bool, allowed: Collection[str], actor: str = NOBODY) -> None:
        """作废: it keeps its number and counts in no balance."""
        with self.transaction() as db:
            self._in_open_period(self._changeable(voucher_id, allowed))
            db.execute(
                "UPDATE vouchers SET void = ?, modified_ms = ? WHERE id = ?",
                (int(void), self.clock.now_ms(), voucher_id),
            )
            self.record(actor, "void" if void else "unvoid", voucher_id, {})

    def delete(self, voucher_id: int, *, allowed: Collection[str], actor: str = NOBODY) -> Voucher:
        """Delete for good; its number is free again. The log keeps what it was."""
        with self.transaction() as db:
            voucher = self._changeable(voucher_id, allowed)
            self._in_open_period(voucher)
            db.execute("DELETE FROM vouchers WHERE id = ?", (voucher_id,))
            self.record(actor, "delete", voucher_id, _public(voucher))
            return voucher

    def renumber(
        self, book: str, year: int, period: int, word: str, *, actor: str = NOBODY
    ) -> dict[int, int]:
        """整理断号: number a period's vouchers anew without gaps, by day and id; returns id → new number."""
        with self.transaction() as db:
            where = "book = ? AND year = ? AND period = ? AND word = ? AND number IS NOT NULL"
            place = (book, year, period, word)
            ids = [
                row["id"]
                for row in db.execute(f"SELECT id FROM vouchers WHERE {where} ORDER BY day, id", place)  # noqa: S608
            ]
            db.execute(f"UPDATE vouchers SET number = -number WHERE {where}", place)  # noqa: S608
            numbers = {voucher_id: number for number, voucher_id in enumerate(ids, start=1)}
            db.executemany(
                "UPDATE vouchers SET number = ? WHERE id = ?",
                [(number, voucher_id) for voucher_id, number in numbers.items()],
            )
            self.record(actor, "renumber", None, {"book": book, "year": year, "period": period, "word": word})
            return numbers

    def amend_line(self, voucher_id: int, seq: int, *, actor: str = NOBODY, **changes: Any) -> Voucher:
        """An accountant's edit in the client: one line of a voucher in any status, checked as always.

        Args:
            voucher_id: which voucher.
            seq: which line, from 1.
            actor: who.
            changes: fields of `Line`.
        """
        with self.transaction():
            voucher = self.voucher(voucher_id)
            lines = tuple(
                replace(line, **changes) if number == seq else line
                for number, line in enumerate(voucher.lines, start=1)
            )
            draft = replace(as_draft(voucher), lines=lines)
            return self.save(
                draft, status=voucher.status, voucher_id=voucher_id, editable={voucher.status}, actor=actor
            )

    def _in_open_period(self, voucher: Voucher) -> None:
        for period in self.periods(voucher.book):
            if (period.year, period.period) == (voucher.year, voucher.period) and period.state == "closed":
                name = f"{period.year}-{period.period:02d}"
                raise RefusedError(Refusal(Reason.PERIOD_CLOSED, value=name, detail=voucher.book))

    # Reading it all

    def balances(self, book: str, year: int, period: int, *, posted_only: bool = False) -> list[Balance]:
        """Opening, movements and year to date, by account, dimensions and currency; only what is not all zero.

        Vouchers that were voided or only put aside (without a number) do not count.
        """
        self.book(book)
        now, before = "(v.year = :year AND v.period = :period)", "(v.year, v.period) < (:year, :period)"
        year_to_date = "(v.year = :year AND v.period <= :period)"
        sums = ", ".join(
            f"coalesce(sum(CASE WHEN {when} THEN {what} END), 0) AS {name}"
            for name, when, what in (
                ("opening", before, "l.debit - l.credit"),
                ("debit", now, "l.debit"),
                ("credit", now, "l.credit"),
                ("year_debit", year_to_date, "l.debit"),
                ("year_credit", year_to_date, "l.credit"),
                ("opening_for", before, "CASE WHEN l.debit THEN l.amount_for ELSE -l.amount_for END"),
                ("debit_for", now, "CASE WHEN l.debit THEN l.amount_for ELSE 0 END"),
                ("credit_for", now, "CASE WHEN l.credit THEN l.amount_for ELSE 0 END"),
            )
        )
        query = (
            f"SELECT l.account, l.dimensions, l.currency, {sums} FROM lines l JOIN vouchers v ON v.id = l.voucher "  # noqa: S608
            "WHERE v.book = :book AND NOT v.void AND v.number IS NOT NULL AND (v.posted OR NOT :posted_only) "
            "AND (v.year, v.period) <= (:year, :period) "
            "GROUP BY l.account, l.dimensions, l.currency ORDER BY l.account, l.dimensions, l.currency"
        )
        parameters = {"book": book, "year": year, "period": period, "posted_only": posted_only}
        with self.transaction() as db:
            rows = db.execute(query, parameters).fetchall()
        return [Balance(row[0], json.loads(row[1]), row[2], *row[3:]) for row in rows if any(row[3:])]

    def export(self) -> Json:
        """Everything, for an auditor of one's own: tables as lists of rows, vouchers with their lines."""
        tables = (
            "books",
            "accounts",
            "account_dimensions",
            "kinds",
            "items",
            "words",
            "currencies",
            "periods",
        )
        with self.transaction() as db:
            whole: Json = {
                table: [dict(row) for row in db.execute(f"SELECT * FROM {table}")]  # noqa: S608
                for table in tables
            }
            whole["vouchers"] = [_public(voucher) for voucher in self.find()]
            whole["operations"] = [
                dict(row) | {"detail": json.loads(row["detail"])}
                for row in db.execute("SELECT * FROM operations ORDER BY id")
            ]
        return whole


def as_draft(voucher: Voucher) -> Draft:
    """What would have to be handed in to get this voucher again; lines keep their ids."""
    return Draft(
        book=voucher.book,
        word=voucher.word,
        day=voucher.day,
        lines=voucher.lines,
        number=voucher.number,
        attachments=voucher.attachments,
        preparer=voucher.preparer,
        reference=voucher.reference,
        adjustment=(voucher.year, voucher.period) if voucher.adjustment else None,
        business_day=voucher.business_day,
        extra=voucher.extra,
    )


def _insert(table: str, values: Mapping[str, object]) -> str:
    names = ", ".join(values)
    return f"INSERT INTO {table} ({names}) VALUES ({', '.join(f':{name}' for name in values)})"  # noqa: S608


def _voucher(head: sqlite3.Row, lines: Sequence[sqlite3.Row]) -> Voucher:
    values = dict(head)
    for name in ("posted", "void", "adjustment"):
        values[name] = bool(values[name])
    for name in ("day", "business_day"):
        values[name] = date.fromisoformat(values[name])
    values["extra"] = json.loads(values["extra"])
    return Voucher(**values, lines=tuple(_line(line) for line in lines))


def _line(row: sqlite3.Row) -> Line:
    values = {name: row[name] for name in row.keys() if name not in ("voucher", "seq")}  # noqa: SIM118 (a Row)
    return Line(**values | {name: json.loads(values[name]) for name in ("dimensions", "extra")})


def _public(voucher: Voucher) -> Json:
    """A voucher as JSON, amounts in minor units."""
    names = [name for name in Voucher.__slots__ if name != "lines"]
    whole: Json = {name: getattr(voucher, name) for name in names}
    for name in ("day", "business_day"):
        whole[name] = whole[name].isoformat()
    whole["lines"] = [{name: getattr(line, name) for name in Line.__slots__} for line in voucher.lines]
    return whole
