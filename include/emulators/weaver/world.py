"""One emulated installation: its store, company, workflows and switches, and the independent verdict on its documents."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from include.emulators.weaver.company import Company, make_company
from include.emulators.weaver.flow import Flow
from include.emulators.weaver.forms import (
    ARCHIVE,
    EXPENSE,
    LOAN,
    START,
    SUBMIT,
    Workflow,
    designed,
    workflow_from_json,
)
from include.emulators.weaver.generate import Generator, Plan
from include.emulators.weaver.options import FIXED, Options
from include.emulators.weaver.problems import EmulatorError
from include.emulators.weaver.store import FORMAT, Store

Json = dict[str, Any]
VERDICTS = ("approved", "forced", "pending", "rejected", "withdrawn", "draft", "revoked", "deleted")


class World:
    """What the protocol sides read and change. Open one with `open_world`."""

    def __init__(self, store: Store, plan: Plan, options: Options, company: Company) -> None:
        self.store = store
        self.plan = plan
        self.options = options
        self.company = company
        self.workflows: dict[int, Workflow] = {}
        self.flow = Flow(store, company, self.workflows)
        self.refused_conditions: list[str] = []
        """SQL fragments that the database would not take, with the reason, for whoever looks for an empty list."""

    @contextlib.contextmanager
    def call(self) -> Iterator[int]:
        """A transaction for one call, with the due moves made; gives the OA's time in epoch milliseconds."""
        with self.store.transaction():
            now = self.store.now_ms()
            self.flow.settle(now)
            yield now

    def load_workflows(self) -> None:
        self.workflows.clear()
        for value in self.store.meta("workflows"):
            workflow = workflow_from_json(value)
            self.workflows[workflow.id] = workflow

    def save_workflows(self, workflows: Mapping[int, Workflow]) -> None:
        self.store.set_meta("workflows", [workflow.as_json() for workflow in workflows.values()])
        self.load_workflows()

    def set_options(self, values: Mapping[str, Any]) -> None:
        """Change switches, and keep them over restarts.

        Raises:
            EmulatorError: an unknown one, a wrong value, or one that the documents were made for.
        """
        fixed = [name for name in FIXED if name in values and values[name] != getattr(self.options, name)]
        if fixed:
            raise EmulatorError(
                f"选项 {', '.join(fixed)} 决定了已生成的单据，请另建数据文件 / the documents were made for another "
                f"{', '.join(fixed)}; start with a new data file"
            )
        self.options = self.options.changed(values)
        self.store.set_meta("options", self.options.as_json())

    # -- what is true -------------------------------------------------------------------------------

    def verdict(self, row: sqlite3.Row) -> str:
        """What has become of a request, from its history alone; one of VERDICTS."""
        kind, logs = row["currentnodetype"], self.flow.logs(row["requestid"])
        if kind in {ARCHIVE, SUBMIT}:
            # Forced if the last way to the end was: a request may have been taken back and approved again.
            last = next((log for log in logs if log["logtype"] in {"e", "0", "2"}), None)
            if last is None or last["logtype"] != "e":
                return "approved"
            # Past the last approval there is nothing left to force.
            return "approved" if self.flow.workflow_of(row).node(last["nodeid"]).kind == SUBMIT else "forced"
        if row["archived_once"]:
            return "revoked"
        if kind != START or self.store.row(
            "SELECT 1 FROM emulator_move WHERE requestid = ?", (row["requestid"],)
        ):
            return "pending"
        latest = str(logs[0]["logtype"]) if logs else ""
        return {"3": "rejected", "w": "withdrawn", "r": "withdrawn"}.get(latest, "draft")

    def truth(self) -> dict[str, Json]:
        """By request id, what each expense and loan is; deleted ones too.

        `verdict`, `archived_once` (it has been at its end, whatever came then), `voucher_expected` (approved, and without a defect), `truth` (see papers.Truth; None for a document
        that a client has made), `voucher` (what was written back).
        """
        found: dict[str, Json] = {}
        with self.call():
            for row in self.store.rows("SELECT * FROM workflow_requestbase ORDER BY requestid"):
                if row["workflowid"] in self.ledger_workflows:
                    found[str(row["requestid"])] = self._told(dict(row), self.verdict(row))
            for gone in self.store.rows("SELECT * FROM emulator_deleted ORDER BY requestid"):
                snapshot = json.loads(gone["snapshot"])
                if snapshot["workflowid"] in self.ledger_workflows:
                    found[str(gone["requestid"])] = self._told(snapshot, "deleted")
        return found

    @property
    def ledger_workflows(self) -> set[int]:
        """Workflows whose documents lead to vouchers, new versions of them too."""
        marks = {self.workflows[EXPENSE].mark, self.workflows[LOAN].mark}
        return {workflow.id for workflow in self.workflows.values() if workflow.mark in marks}

    @staticmethod
    def _told(row: Json, verdict: str) -> Json:
        known = json.loads(row["truth"]) if row["truth"] else None
        main = json.loads(row["body"])["main"]
        return {
            "verdict": verdict,
            "archived_once": bool(row["archived_once"]),
            "voucher_expected": verdict == "approved" and known is not None and not known["defect"],
            "truth": known,
            "voucher": {name: main.get(name, "") for name in ("pzh", "pzqj", "pzzt", "pzcw")},
        }


def open_world(plan: Plan | None = None, options: Options | None = None, path: Path | None = None) -> World:
    """The installation in a data file, or a newly generated one (in memory without `path`).

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
            return (
                _reopened(store, plan, options, path) if kept else _generated(store, plan or Plan(), options)
            )
    except BaseException:
        store.close()
        raise


def _generated(store: Store, plan: Plan, options: Options | None) -> World:
    options = options or Options()
    world = World(store, plan, options, make_company(plan.staff, plan.seed))
    world.save_workflows({item.id: item for item in designed(options.database, options.write_back)})
    Generator(world.flow, options, plan).run()
    store.set_meta("plan", [plan.documents, plan.seed, str(plan.start), str(plan.as_of), plan.dirty_share])
    store.set_meta("options", options.as_json())
    store.set_meta("format", FORMAT)
    return world


def _reopened(store: Store, plan: Plan | None, options: Options | None, path: Path | None) -> World:
    documents, seed, start, as_of, dirty_share = store.meta("plan")
    kept = Plan(
        documents,
        seed,
        type(Plan().start).fromisoformat(start),
        type(Plan().as_of).fromisoformat(as_of),
        dirty_share,
    )
    if plan is not None and plan.label != kept.label:
        raise EmulatorError(
            f"{path} 属于另一套数据（{kept.label}），现在是 {plan.label}；请换文件或删除它 / "
            "the data file was made for other documents; use another file or delete it"
        )
    world = World(store, kept, Options().changed(store.meta("options")), make_company(kept.staff, kept.seed))
    world.load_workflows()
    if options is not None:
        world.set_options(options.as_json())
    return world
