"""The tenant: instances in one SQLite file, made from a seed and changed as people would."""

from __future__ import annotations

import contextlib
import json
import random
import sqlite3
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from include.emulators.weaver.amounts import plain, thousands
from include.emulators.weaver.company import DEPARTMENTS, make_company

Json = dict[str, Any]
EXPENSE, LOAN = "PROC-EMULATOR-EXPENSE", "PROC-EMULATOR-LOAN"
NAMES = {EXPENSE: "费用报销", LOAN: "员工借款"}
FEES = ("差旅费", "交通费", "办公费", "招待费")
DAY_MS = 86_400_000
FATES = {"approved": 70, "refused": 8, "running": 9, "terminated": 6, "new": 3, "revoked": 4}
SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS instance (
  id TEXT PRIMARY KEY, process_code TEXT NOT NULL, create_ms INTEGER NOT NULL, finish_ms INTEGER,
  status TEXT NOT NULL, result TEXT NOT NULL, originator TEXT NOT NULL, dept INTEGER NOT NULL,
  biz_action TEXT NOT NULL, main_id TEXT NOT NULL, form TEXT NOT NULL, truth TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS by_creation ON instance (process_code, create_ms, id);
CREATE TABLE IF NOT EXISTS comment (
  id INTEGER PRIMARY KEY, instance_id TEXT NOT NULL, user_id TEXT NOT NULL, text TEXT NOT NULL, at_ms INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS token (token TEXT PRIMARY KEY, expires_ms INTEGER NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to generate: so many documents over the `days` before `end_ms` (0: the moment of making)."""

    documents: int = 100
    seed: int = 1
    days: int = 90
    end_ms: int = 0


class World:
    """One connection behind one lock: calls are carried out one after the other, each in a transaction."""

    def __init__(self, path: Path | None = None, plan: Plan | None = None) -> None:
        """Open `path` (None: memory), filling it by `plan` when it is new.

        Raises:
            sqlite3.DatabaseError: the file holds something else.
        """
        self.lock = threading.RLock()
        self.db = sqlite3.connect(
            path or ":memory:", isolation_level=None, check_same_thread=False, timeout=30
        )
        self.db.row_factory = sqlite3.Row
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.executescript(SCHEMA)
        with self.transaction():
            if self.meta("plan") is None:
                chosen = plan or Plan()
                self.set_meta("plan", asdict(chosen))
                self._generate(chosen)

    def close(self) -> None:
        with self.lock:
            self.db.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[int]:
        """All or nothing; gives the tenant's time in epoch milliseconds."""
        with self.lock:
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield self.now_ms()
            except BaseException:
                self.db.execute("ROLLBACK")
                raise
            self.db.execute("COMMIT")

    def meta(self, name: str) -> Any:
        found = self.db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return json.loads(found[0]) if found else None

    def set_meta(self, name: str, value: object) -> None:
        self.db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, json.dumps(value)))

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + int(self.meta("offset_ms") or 0)

    def find(self, instance_id: str) -> sqlite3.Row | None:
        found: sqlite3.Row | None = self.db.execute(
            "SELECT * FROM instance WHERE id = ?", (instance_id,)
        ).fetchone()
        return found

    # -- making ---------------------------------------------------------------------------------------

    def _generate(self, plan: Plan) -> None:
        end = plan.end_ms or self.now_ms()
        for index in range(plan.documents):
            rng = random.Random(f"dingtalk:{plan.seed}:{index}")
            at = end - rng.randrange(DAY_MS // 24, plan.days * DAY_MS)
            self.add(index, at, rng.choices(list(FATES), list(FATES.values()))[0], plan.seed)

    def add(self, index: int, at: int, fate: str, seed: int, code: str = "") -> str:
        """One document created at `at`, with its fate; returns its id."""
        rng = random.Random(f"dingtalk-paper:{seed}:{index}")
        person = rng.choice(make_company(12, seed).claimants)
        code = code or (LOAN if rng.random() < 0.15 else EXPENSE)
        amounts = [rng.randrange(100, 900_000) for _ in range(rng.randrange(1, 5) if code == EXPENSE else 1)]
        lines = [{"fee": rng.choice(FEES), "amount": amount} for amount in amounts]
        truth = {"kind": "expense" if code == EXPENSE else "loan", "gross": sum(amounts), "lines": lines}
        status, result = {
            "refused": ("COMPLETED", "refuse"),
            "running": ("RUNNING", ""),
            "terminated": ("TERMINATED", ""),
            "new": ("NEW", ""),
        }.get(fate, ("COMPLETED", "agree"))
        name = f"e{seed}-{index:06d}"
        form = paper(rng, code, at, lines, person.id, person.department)
        finish = None if status in {"RUNNING", "NEW"} else at + 1_800_000
        self.db.execute(
            "INSERT INTO instance VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
            (name, code, at, finish, status, result, f"u{person.id}", person.department, "NONE", "",
             json.dumps(form, ensure_ascii=False), json.dumps(truth, ensure_ascii=False)),
        )  # fmt: skip
        if fate == "revoked":
            self.follow(name, "REVOKE", at + 2_700_000)
        return name

    def follow(self, instance_id: str, action: str, at: int) -> str:
        """An agreed REVOKE or MODIFY instance for an approved one; returns its id. Raises ValueError if none is."""
        row = self.find(instance_id)
        if row is None or (row["status"], row["result"]) != ("COMPLETED", "agree"):
            raise ValueError(f"没有已同意的实例 {instance_id} / no agreed instance {instance_id}")
        count = self.db.execute("SELECT COUNT(*) FROM instance WHERE main_id = ?", (instance_id,)).fetchone()[
            0
        ]
        name = f"{instance_id}-{action.lower()}{count}"
        self.db.execute(
            "INSERT INTO instance VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
            (name, row["process_code"], at, at + 60_000, "COMPLETED", "agree", row["originator"], row["dept"],
             action, instance_id, row["form"], row["truth"]),
        )  # fmt: skip
        return name

    def act(self, instance_id: str, action: str) -> str:
        """approve, refuse or terminate a running instance, or revoke or modify an agreed one; returns the id touched.

        Raises:
            ValueError: an unknown action or instance, or a state in which it cannot be done.
        """
        if action in {"revoke", "modify"}:
            return self.follow(instance_id, action.upper(), self.now_ms())
        ends = {
            "approve": ("COMPLETED", "agree"),
            "refuse": ("COMPLETED", "refuse"),
            "terminate": ("TERMINATED", ""),
        }
        row = self.find(instance_id)
        if action not in ends or row is None or row["status"] not in {"RUNNING", "NEW"}:
            raise ValueError(f"实例 {instance_id} 不能 {action} / {action} cannot be done to {instance_id}")
        self.db.execute(
            "UPDATE instance SET status = ?, result = ?, finish_ms = ? WHERE id = ?",
            (*ends[action], self.now_ms(), instance_id),
        )
        return instance_id

    def truth(self) -> dict[str, Json]:
        """Instance id to what is true of it: `verdict` is approved, revoked, replaced, or the state of one without effect."""
        later = {
            row["main_id"]: "revoked" if row["biz_action"] == "REVOKE" else "replaced"
            for row in self.db.execute(
                "SELECT * FROM instance WHERE main_id != '' AND result = 'agree' ORDER BY create_ms"
            )
        }
        told = {}
        for row in self.db.execute("SELECT * FROM instance ORDER BY create_ms, id"):
            agreed = (row["status"], row["result"]) == ("COMPLETED", "agree")
            verdict = later.get(row["id"], "approved") if agreed else (row["result"] or row["status"].lower())
            if row["biz_action"] == "REVOKE":
                verdict = "revocation"
            told[row["id"]] = json.loads(row["truth"]) | {"verdict": verdict, "main": row["main_id"]}
        return told

    def export(self) -> Json:
        """Every instance and comment, for an independent auditor."""
        tables = {
            "instance": [dict(row) for row in self.db.execute("SELECT * FROM instance")],
            "comment": [dict(row) for row in self.db.execute("SELECT * FROM comment")],
        }
        return {"tables": tables, "truth": self.truth()}


def component(kind: str, key: str, name: str, value: str, extra: object = None) -> Json:
    """A form component's value; always text, as is extValue."""
    ext = "" if extra is None else json.dumps(extra, ensure_ascii=False)
    return {"id": f"{kind}-{key.upper()}", "name": name, "value": value, "extValue": ext,
            "componentType": kind, "bizAlias": key}  # fmt: skip


def paper(
    rng: random.Random, code: str, at: int, lines: list[Json], person: int, department: int
) -> list[Json]:
    """A filled form. Amounts come as "1234.50", "1,234.50" or without needless zeros."""

    def write(minor: int) -> str:
        return rng.choice((plain(minor), thousands(minor), plain(minor).rstrip("0").rstrip(".")))

    day = datetime.fromtimestamp(at // 1000 + 28_800, UTC).strftime("%Y-%m-%d")
    total = sum(line["amount"] for line in lines)
    form = [
        component("InnerContactField", "person", "申请人", f"u{person}", [{"emplId": f"u{person}"}]),
        component(
            "DepartmentField", "department", "部门", DEPARTMENTS[department][0], [{"id": str(department)}]
        ),
        component("DDDateField", "date", "日期", day),
        component("TextareaField", "reason", "事由", rng.choice(("拜访客户", "展会", "出差备用金"))),
        component("MoneyField", "total", "总金额", write(total)),
    ]
    if code == LOAN:
        return form
    rows = [
        [
            component(
                "DDSelectField",
                "fee",
                "费用类型",
                line["fee"],
                {"label": line["fee"], "key": f"option_{FEES.index(line['fee'])}"},
            ),
            component("MoneyField", "amount", "金额", write(line["amount"])),
            component("NumberField", "invoices", "发票张数", str(rng.randrange(1, 4))),
        ]
        for line in lines
    ]
    return [*form, component("TableField", "lines", "费用明细", json.dumps(rows, ensure_ascii=False)),
            component("RelateField", "relate", "关联审批单", "")]  # fmt: skip
