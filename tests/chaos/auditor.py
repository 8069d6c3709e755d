"""The independent auditor of a chaos run. It imports nothing of the product.

It knows three things: the company's own documents with the emulator's verdict on each, a rule of a few lines for what a
document's voucher must say, and the ledger's raw tables. It reads the store with SQL of its own, only to see what is
still open. A voucher is recognised by the document's code in its summary.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

SHANGHAI = timezone(timedelta(hours=8))
WITH_VOUCHER = ("expense", "loan", "payment")
Line = tuple[str, str]
"""Account and auxiliary value (`department RD-1`), "" where there is none."""
CODE = re.compile(r"\b[A-Z]\d{8}\b")
SHOWN = 40


@dataclass(frozen=True)
class Posted:
    """A voucher: its document's code, its day, and debit less credit in minor units by account and auxiliary value."""

    code: str
    day: str
    lines: Mapping[Line, int]
    number: str = ""
    is_posted: bool = True

    def same_as(self, other: Posted) -> bool:
        return (self.day, dict(self.lines)) == (other.day, dict(other.lines))


@dataclass
class Verdict:
    """What the auditor found; each finding is a sentence."""

    documents: int
    vouchers: int
    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    altered: list[str] = field(default_factory=list)
    unresolved: list[str] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        found = {name: len(getattr(self, name)) for name in ("lost", "duplicated", "altered", "unresolved")}
        return {"documents": self.documents, "vouchers": self.vouchers, **found}

    def findings(self) -> list[str]:
        """The first of each kind."""
        return [
            f"{name}: {text}"
            for name in ("lost", "duplicated", "altered", "unresolved")
            for text in getattr(self, name)[:SHOWN]
        ]


# -- what must be there ----------------------------------------------------------------------------------


def expected_vouchers(world: Any) -> dict[str, Posted]:
    """The voucher of each document that must have one, by the document's id. `world` is the emulator's."""
    codes = _codes(world.catalog)
    return {
        flow_id: _expected(world.render(world.documents[flow_id], detail=True), codes)
        for flow_id, truth in world.truth.items()
        if _needs_voucher(world.documents[flow_id], truth)
    }


def _needs_voucher(document: Any, truth: Any) -> bool:
    return (
        truth.defect is None
        and document.is_approved
        and document.form_type in WITH_VOUCHER
        and document.active
    )


def _codes(catalog: Any) -> dict[str, str]:
    """What the ledger calls a department, a person, a supplier: the code, or the id where that says too little."""
    codes: dict[str, str] = {}
    for known in (catalog.departments, catalog.staffs, catalog.items):
        used = Counter(each["code"] for each in known)
        codes |= {
            each["id"]: each["code"] if each["code"] and used[each["code"]] == 1 else each["id"]
            for each in known
        }
    return codes


def _expected(document: Mapping[str, Any], codes: Mapping[str, str]) -> Posted:
    form = document["form"]
    lines: Counter[Line] = Counter()
    match document["formType"]:
        case "expense":
            total = _minor(form["expenseMoney"])
            for detail in form["details"]:
                account = _expense_account(detail["feeType"]["code"])
                for department, amount in _departments(detail["feeTypeForm"], form["expenseDepartment"]):
                    lines[account, f"department {codes[department]}"] += amount
            is_paid = bool(form.get("paymentChannel"))
            owed = ("1002", "") if is_paid else ("2241.03", f"employee {codes[form['submitterId']]}")
        case "loan":
            total = _minor(form["loanMoney"])
            lines["1221.03", f"employee {codes[form['submitterId']]}"] += total
            owed = ("1002", "")
        case _:
            total = _minor(form["payMoney"])
            lines["2202.01", f"supplier {codes[form['供应商']]}"] += total
            owed = ("1002", "")
    lines[owed] -= total
    day = datetime.fromtimestamp(form["flowEndTime"] / 1000, SHANGHAI).date().isoformat()
    return Posted(form["code"], day, _without_zeros(lines))


def _expense_account(fee_type: str) -> str:
    return {"COST1": "6602.10", "COST2": "6602.04"}.get(fee_type[:5], "6602.99")


def _departments(line: Mapping[str, Any], department: str) -> Iterable[tuple[str, int]]:
    """A line's amount, or its shares with theirs."""
    shares = [each["apportionForm"] for each in line.get("apportions") or ()]
    if not shares:
        return [(department, _minor(line["amount"]))]
    return [(share["expenseDepartment"], _minor(share["apportionMoney"])) for share in shares]


def _minor(amount: Mapping[str, Any]) -> int:
    return _cents(str(amount["standard"]))


def _cents(text: str) -> int:
    value = Decimal(text) * 100
    if value != value.to_integral_value():
        raise ValueError(f"{text} has a part of a cent")
    return int(value)


def _without_zeros(lines: Mapping[Line, int]) -> dict[Line, int]:
    return {line: amount for line, amount in lines.items() if amount}


# -- what is there ---------------------------------------------------------------------------------------


def read_server(tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Posted]:
    """The vouchers in the accounting server's raw tables."""
    entries: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
    for entry in tables["entry"]:
        entries[entry["voucher"]].append(entry)
    return [
        _voucher(
            (
                (
                    entry["account"],
                    " ".join(f"{kind} {code}" for kind, code in json.loads(entry["auxiliary"]).items()),
                    entry["amount"] if entry["side"] == "D" else -entry["amount"],
                    entry["summary"],
                )
                for entry in entries[row["id"]]
            ),
            day=row["date"],
            number=f"{row['word']}-{row['number']}" if row["number"] else "",
            is_posted=row["status"] == "audited",
        )
        for row in tables["voucher"]
    ]


TRYTON = """
SELECT move.id, move.date, move.number, move.state, journal.code AS word, account.code AS account,
       line.debit, line.credit, line.description, party.code AS party,
       (SELECT group_concat(root.code || ' ' || analytic.code, ' ')
        FROM analytic_account_line AS al
        JOIN analytic_account_account AS analytic ON analytic.id = al.account
        JOIN analytic_account_account AS root ON root.id = analytic.root
        WHERE al.move_line = line.id) AS analytic
FROM account_move AS move
JOIN account_journal AS journal ON journal.id = move.journal
LEFT JOIN account_move_line AS line ON line.move = move.id
LEFT JOIN account_account AS account ON account.id = line.account
LEFT JOIN party_party AS party ON party.id = line.party
ORDER BY move.id, line.id
"""


def read_tryton(file: Path) -> list[Posted]:
    """The moves in Tryton's own database."""
    moves: dict[int, list[sqlite3.Row]] = defaultdict(list)
    with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=60)) as database:
        database.row_factory = sqlite3.Row
        for row in database.execute(TRYTON):
            moves[row["id"]].append(row)
    found = []
    for rows in moves.values():
        first = rows[0]
        lines = (
            (
                row["account"],
                row["analytic"] or (row["party"] or "").replace(":", " ", 1),
                _cents(row["debit"].decode("ascii")) - _cents(row["credit"].decode("ascii")),
                row["description"] or "",
            )
            for row in rows
            if row["account"] is not None
        )
        number = f"{first['word']}-{first['number']}" if first["number"] else ""
        found.append(_voucher(lines, day=first["date"], number=number, is_posted=first["state"] == "posted"))
    return found


def _voucher(rows: Iterable[tuple[str, str, int, str]], *, day: str, number: str, is_posted: bool) -> Posted:
    """A voucher of rows (account, auxiliary value, debit less credit, summary)."""
    lines: Counter[Line] = Counter()
    codes = set()
    for account, auxiliary, amount, summary in rows:
        lines[account, auxiliary] += amount
        found = CODE.search(summary)
        codes.add(found[0] if found else summary)
    return Posted("/".join(sorted(codes)), day, _without_zeros(lines), number, is_posted)


# -- the comparison --------------------------------------------------------------------------------------


def audit(world: Any, there: Sequence[Posted]) -> Verdict:
    """Compare what must be in the ledger with what is, and the numbers that the OA shows with the ledger's."""
    expected = expected_vouchers(world)
    verdict = Verdict(len(world.documents), len(expected))
    by_code: dict[str, list[Posted]] = defaultdict(list)
    for voucher in there:
        by_code[voucher.code].append(voucher)
    for flow_id, wanted in expected.items():
        found = by_code.pop(wanted.code, [])
        if not found:
            verdict.lost.append(f"{wanted.code} ({flow_id}) is not in the ledger")
            continue
        if len(found) > 1:
            verdict.duplicated.append(f"{wanted.code} is {len(found)} times in the ledger")
        verdict.altered += [
            f"{wanted.code} should be {wanted.day} {dict(wanted.lines)}, the ledger has {each.day} {dict(each.lines)}"
            for each in found
            if not each.same_as(wanted)
        ]
        verdict.unresolved += [f"{wanted.code} is a draft" for each in found if not each.is_posted]
        document = world.documents[flow_id]
        numbers = {each.number for each in found}
        if document.state == "paid" and document.voucher_no not in numbers:
            verdict.unresolved.append(
                f"{wanted.code} shows number {document.voucher_no!r}, the ledger has {numbers}"
            )
    for code, surplus in by_code.items():
        if not _cancel_out(surplus):
            verdict.duplicated.append(
                f"{code!r} is {len(surplus)} times in the ledger and has no business there"
            )
    return verdict


def _cancel_out(vouchers: Sequence[Posted]) -> bool:
    """Whether they are a voucher and its reversal, and nothing else."""
    total: Counter[Line] = Counter()
    for voucher in vouchers:
        total.update(voucher.lines)
    return len(vouchers) == 2 and not _without_zeros(total) and all(each.is_posted for each in vouchers)


OPEN = {
    "vouchers that are {0}": (
        "SELECT status, count(*) FROM voucher WHERE status NOT IN ('posted', 'cancelled') GROUP BY status"
    ),
    "open discrepancies {0}": (
        "SELECT kind || ' ' || subject, 1 FROM discrepancy WHERE resolved_at IS NULL ORDER BY 1"
    ),
    "documents that are {0}": (
        "SELECT disposition, count(*) FROM source_document WHERE is_current AND disposition = 'pending' "
        "GROUP BY disposition"
    ),
}
QUARANTINED = "SELECT document_id, code FROM source_document WHERE is_current AND disposition = 'quarantined'"


def still_open(rows_of: Any, world: Any) -> list[str]:
    """What the store says is not finished. `rows_of` runs a query and gives its rows.

    A document in quarantine is finished if the emulator knows a defect of it.
    """
    found = [
        f"{count} {words.format(what)}" for words, query in OPEN.items() for what, count in rows_of(query)
    ]
    found += [
        f"{code} ({flow_id}) is quarantined and sound"
        for flow_id, code in rows_of(QUARANTINED)
        if flow_id in world.truth and world.truth[flow_id].defect is None
    ]
    return found
