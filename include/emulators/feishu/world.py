"""One emulated tenant: its instances and what happens to them, the events of it, and the verdict on each instance."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import uuid
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from include.emulators.feishu.forms import NAMES, department_id, open_id, user_id
from include.emulators.feishu.generate import FATES, Generator, Paper, Plan
from include.emulators.feishu.options import EmulatorError, Options
from include.emulators.feishu.store import Store
from include.emulators.weaver.clock import day_text, moment
from include.emulators.weaver.company import Company, make_company

Json = dict[str, Any]
FORMAT = "voucherflow-feishu-1"
TENANT_KEY = "emulated-tenant"
MOVES: Mapping[str, tuple[str, str, str]] = {
    # operation: (status before, status after, step of the timeline)
    "approve": ("PENDING", "APPROVED", "PASS"),
    "reject": ("PENDING", "REJECTED", "REJECT"),
    "cancel": ("PENDING", "CANCELED", "CANCEL"),
    "delete": ("PENDING", "DELETED", "DELETE"),
    "delete_approved": ("APPROVED", "DELETED", "DELETE"),
    "cancel_approved": ("APPROVED", "CANCELED", "CANCEL"),
    "revert": ("APPROVED", "REVERTED", "REVERT"),
}
_FATES = {"APPROVED": "approve", "REJECTED": "reject", "CANCELED": "cancel", "DELETED": "delete"}


class World:
    """What the interface reads and changes. Open one with `open_world`."""

    def __init__(self, store: Store, plan: Plan, options: Options, company: Company) -> None:
        self.store = store
        self.plan = plan
        self.options = options
        self.company = company
        self.generator = Generator(company, plan)
        self.persons = {open_id(p): p for p in company.people} | {user_id(p): p for p in company.people}

    @contextlib.contextmanager
    def call(self) -> Iterator[int]:
        """A transaction for one call; gives the platform's time in epoch milliseconds."""
        with self.store.transaction():
            yield self.store.now_ms()

    def set_options(self, values: Mapping[str, Any]) -> None:
        """Change switches, and keep them over restarts. Raises EmulatorError for an unknown one or a wrong value."""
        self.options = self.options.changed(values)
        self.store.set_meta("options", self.options.as_json())

    def instance(self, code: str) -> sqlite3.Row | None:
        return self.store.row("SELECT * FROM instance WHERE instance_code = ?", (code,))

    # -- life of an instance, inside the caller's transaction ------------------------------------------

    def submit(self, paper: Paper) -> None:
        """A new instance, PENDING."""
        truth = paper.truth
        told = truth.as_json() | {
            "person": user_id(truth.person),
            "department": department_id(truth.department),
            "offset": {paper.loan_code: sum(truth.offset.values())} if truth.offset else {},
            "lines": [
                {"fee": line.fee, "department": department_id(line.department), "project": line.project,
                 "amount": line.amount, "tax": line.tax}
                for line in truth.lines
            ],
        }  # fmt: skip
        serial = f"{day_text(paper.at).replace('-', '')}{paper.number:06d}"
        self.store.run(
            "INSERT INTO instance VALUES (?,?,?,?,?,'PENDING',0,0,?,0,?,?)",
            (paper.number, paper.instance_code, paper.approval_code, serial, truth.person, paper.at, paper.form,
             json.dumps(told, ensure_ascii=False)),
        )  # fmt: skip
        self._step(paper.instance_code, paper.approval_code, "START", "PENDING", truth.person, paper.at)

    def move(self, code: str, operation: str, at: int) -> None:
        """One of MOVES. A revocation leaves the status that the detail gives as it was.

        Raises:
            EmulatorError: no such instance or operation, or its status does not allow it.
        """
        row, move = self.instance(code), MOVES.get(operation)
        if row is None or move is None:
            raise EmulatorError(
                f"没有实例 {code} 或操作 {operation} / no such instance or operation: {', '.join(MOVES)}"
            )
        before, after, step = move
        if row["status"] != before or row["reverted"]:
            raise EmulatorError(
                f"实例 {code} 现为 {row['status']}，不能 {operation} / an instance that is {row['status']} "
                f"(reverted: {bool(row['reverted'])}) does not allow {operation}"
            )
        self.store.run(
            "UPDATE instance SET status = ?, reverted = ?, approved_once = max(approved_once, ?), end_ms = ? WHERE number = ?",
            (before if after == "REVERTED" else after, int(after == "REVERTED"), int(after == "APPROVED"),
             row["end_ms"] if after == "REVERTED" else at, row["number"]),
        )  # fmt: skip
        approver = self.company.actor("manager", row["person"])
        actor = approver if operation in {"approve", "reject"} else row["person"]
        self._step(code, row["approval_code"], step, after, actor, at)

    def live(self, paper: Paper, until: int) -> None:
        """Submit a generated document and carry out its fate as far as there is time."""
        self.submit(paper)
        at = paper.at + paper.gap_ms
        operation = _FATES.get("APPROVED" if paper.fate == "REVERTED" else paper.fate)
        if operation is None or at > until:
            return
        self.move(paper.instance_code, operation, at)
        if paper.fate == "REVERTED" and at + paper.gap_ms <= until:
            self.move(paper.instance_code, "revert", at + paper.gap_ms)

    def add(self, count: int, fate: str | None, kind: str | None) -> list[str]:
        """New documents, created now; a `fate` happens at once. Returns their codes."""
        known = {name for name, _ in FATES}
        if (fate is not None and fate not in known) or kind not in {None, "expense", "loan"}:
            raise EmulatorError(
                f"fate 可用 {', '.join(sorted(known))}，kind 可用 expense、loan / "
                f"fate {fate!r} or kind {kind!r} is unknown"
            )
        found = self.store.row("SELECT max(number) AS last FROM instance")
        first, codes, now = int((found and found["last"]) or 0) + 1, [], self.store.now_ms()
        for number in range(first, first + count):
            paper = self.generator.paper(number, now, fate=fate or "APPROVED", kind=kind)
            self.submit(paper)
            if fate in {"APPROVED", "REVERTED"}:
                self.move(paper.instance_code, "approve", now)
            if fate == "REVERTED":
                self.move(paper.instance_code, "revert", now)
            elif fate in {"REJECTED", "CANCELED", "DELETED"}:
                self.move(paper.instance_code, _FATES[fate], now)
            codes.append(paper.instance_code)
        return codes

    def _step(self, code: str, approval: str, kind: str, status: str, person: int, at: int) -> None:
        self.store.run("INSERT INTO step VALUES (NULL,?,?,?,?)", (code, kind, person, at))
        subscribed = self.store.row("SELECT 1 FROM subscription WHERE approval_code = ?", (approval,))
        self.store.run(
            "INSERT INTO event VALUES (NULL,?,?,?,?,?,?,NULL,0)",
            (uuid.uuid5(uuid.NAMESPACE_OID, f"{code}:{status}:{at}").hex, approval, code, status, at, int(subscribed is not None)),
        )  # fmt: skip

    # -- what is true ----------------------------------------------------------------------------------

    def truth(self) -> dict[str, Json]:
        """By instance code: `verdict` (a status, REVERTED too), `approved_once`, `voucher_expected` (approved and
        sound), `truth` (minor units), `comments` written through the interface.
        """
        found: dict[str, Json] = {}
        with self.call():
            for row in self.store.rows("SELECT * FROM instance ORDER BY number"):
                verdict = "REVERTED" if row["reverted"] else row["status"]
                truth = json.loads(row["truth"])
                comments = self.store.rows(
                    "SELECT text FROM comment WHERE instance_code = ? ORDER BY number",
                    (row["instance_code"],),
                )
                found[row["instance_code"]] = {
                    "verdict": verdict,
                    "approval_name": NAMES[row["approval_code"]],
                    "approved_once": bool(row["approved_once"]),
                    "voucher_expected": verdict == "APPROVED" and not truth["defect"],
                    "truth": truth,
                    "comments": [comment["text"] for comment in comments],
                }
        return found

    def event_body(self, row: sqlite3.Row, app_id: str) -> Json:
        """An event as it is pushed, without ts and token."""
        shape, at = self.options.operate_time, row["at_ms"]
        is_number = shape == "int64" or (shape == "documented" and row["status"] == "REVERTED")
        return {
            "uuid": row["uuid"],
            "type": "event_callback",
            "event": {
                "app_id": app_id,
                "tenant_key": TENANT_KEY,
                "type": "approval_instance",
                "approval_code": row["approval_code"],
                "instance_code": row["instance_code"],
                "status": row["status"],
                "operate_time": at if is_number else str(at),
                "instance_operate_time": str(at),
            },
        }


def open_world(plan: Plan | None = None, options: Options | None = None, path: Path | None = None) -> World:
    """The tenant in a data file, or a newly generated one (in memory without `path`).

    Without `plan` an existing file is taken as it is; without `options` it keeps its own.

    Raises:
        EmulatorError: the file is none of ours, or was made for another plan.
    """
    store = Store(path)
    try:
        with store.transaction():
            kept = store.meta("format")
            if kept not in {None, FORMAT}:
                raise EmulatorError(f"{path} 的格式是 {kept} / {path} has another format; use another file")
            return _reopened(store, plan, options, path) if kept else _made(store, plan or Plan(), options)
    except BaseException:
        store.close()
        raise


def _made(store: Store, plan: Plan, options: Options | None) -> World:
    world = World(store, plan, options or Options(), make_company(plan.staff, plan.seed))
    until = moment(plan.as_of, 86_399)
    world.generator.run(lambda paper: world.live(paper, until))
    store.set_meta("plan", [plan.documents, plan.seed, str(plan.start), str(plan.as_of), plan.dirty_share])
    store.set_meta("options", world.options.as_json())
    store.set_meta("format", FORMAT)
    return world


def _reopened(store: Store, plan: Plan | None, options: Options | None, path: Path | None) -> World:
    documents, seed, start, as_of, dirty = store.meta("plan")
    kept = Plan(documents, seed, date.fromisoformat(start), date.fromisoformat(as_of), dirty)
    if plan is not None and plan.label != kept.label:
        raise EmulatorError(
            f"{path} 属于另一套数据（{kept.label}），现在是 {plan.label}；请换文件或删除它 / "
            "the data file was made for other documents; use another file or delete it"
        )
    world = World(store, kept, Options().changed(store.meta("options")), make_company(kept.staff, kept.seed))
    if options is not None:
        world.set_options(options.as_json())
    return world
