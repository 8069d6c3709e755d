"""How requests move through their nodes: created, submitted, returned, withdrawn, archived, deleted.

Log types: 0 批准, 1 保存, 2 提交, 3 退回, 7 转发, e 强制归档, w 撤回, r 强制收回. Those of the last two are ours.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from include.emulators.weaver.clock import day_text, time_text
from include.emulators.weaver.company import Company
from include.emulators.weaver.forms import ARCHIVE, START, SUBMIT, Node, Workflow
from include.emulators.weaver.store import Store

Json = dict[str, Any]


@dataclass(slots=True)
class Flow:
    """Moves requests. Every method runs inside the caller's transaction; `now` is epoch milliseconds."""

    store: Store
    company: Company
    workflows: dict[int, Workflow]

    # -- what there is ------------------------------------------------------------------------------

    def request(self, request_id: int) -> sqlite3.Row | None:
        return self.store.row("SELECT * FROM workflow_requestbase WHERE requestid = ?", (request_id,))

    def workflow_of(self, row: sqlite3.Row) -> Workflow:
        return self.workflows[row["workflowid"]]

    def task_of(self, request_id: int, user: int) -> sqlite3.Row | None:
        """The open task (待办) of a user on a request."""
        return self.store.row(
            "SELECT * FROM workflow_currentoperator WHERE requestid = ? AND userid = ? AND isremark = '0' AND islasttimes = 1",
            (request_id, user),
        )

    def takes_part(self, request_id: int, user: int) -> bool:
        sql = "SELECT 1 FROM workflow_currentoperator WHERE requestid = ? AND userid = ?"
        return self.store.row(sql, (request_id, user)) is not None

    # -- life of a request --------------------------------------------------------------------------

    def create(
        self, workflow: Workflow, creator: int, body: Mapping[str, Any], *, name: str, level: int, now: int
    ) -> int:
        """A new request at its first node, with its number (requestmark, djbh); returns its id."""
        year = day_text(now)[:4]
        number = self.store.next_number(f"mark:{workflow.mark}:{year}")
        mark = f"{workflow.mark}-{year}-{number:05d}"
        main = {item.name: "" for item in workflow.form.main} | dict(body["main"])
        if "djbh" in main and not main["djbh"]:
            main["djbh"] = mark
        details = {
            suffix: [
                {
                    "id": self.store.next_number(f"detail:{workflow.form.detail_table(suffix)}"),
                    "fields": dict(line),
                }
                for line in body["details"].get(suffix, [])
            ]
            for suffix in workflow.form.details
        }
        first = workflow.nodes[0]
        request_id = 300_000 + self.store.next_number("request")
        self.store.run(
            "INSERT INTO workflow_requestbase VALUES (?,?,?,?,?,?,?,?,0,?,0,?,?,?,0,?,?,0,?,NULL,0)",
            (
                request_id, workflow.id, name or f"{workflow.name}-{self.company.name_of(creator)}-{day_text(now)}",
                mark, level, first.name, first.id, first.kind, creator, day_text(now), time_text(now), creator,
                day_text(now), time_text(now), json.dumps({"main": main, "details": details}, ensure_ascii=False),
            ),
        )  # fmt: skip
        self._arrive(request_id, workflow, first, creator, now)
        return request_id

    def submit(self, request_id: int, user: int, remark: str, now: int, delay_ms: int) -> bool:
        """Submit or approve: done at once, but the request moves `delay_ms` later. False: no open task of this user."""
        task, row = self.task_of(request_id, user), self.request(request_id)
        if task is None or row is None:
            return False
        workflow = self.workflow_of(row)
        node = workflow.node(task["nodeid"])
        target = workflow.after(node.id)
        if target is None:
            return False
        self.store.run(
            "UPDATE workflow_currentoperator SET isremark = '2', viewtype = -2, operatedate = ?, operatetime = ? WHERE id = ?",
            (day_text(now), time_text(now), task["id"]),
        )
        kind = "2" if node.kind in {START, SUBMIT} else "0"
        self.log(request_id, node.id, kind, user, remark, now, target)
        self.store.run(
            "INSERT OR REPLACE INTO emulator_move VALUES (?, ?, ?)", (request_id, node.id, now + delay_ms)
        )
        if not delay_ms:
            self.settle(now)
        return True

    def settle(self, now: int) -> None:
        """Carry out the moves that are due."""
        for move in self.store.rows(
            "SELECT * FROM emulator_move WHERE due_ms <= ? ORDER BY due_ms, requestid", (now,)
        ):
            self.store.run("DELETE FROM emulator_move WHERE requestid = ?", (move["requestid"],))
            row = self.request(move["requestid"])
            if row is None or row["currentnodeid"] != move["nodeid"]:
                continue
            workflow = self.workflow_of(row)
            target = workflow.after(move["nodeid"])
            assert target is not None  # submit() queues no move from the last node
            status = f"{workflow.node(move['nodeid']).name} 至 {target.name}"
            self._go(row, target, status, move["due_ms"])

    def reject(self, request_id: int, user: int, remark: str, now: int, node_id: int | None = None) -> bool:
        """Return a request, to its first node unless another earlier one is named. False: no open task."""
        task, row = self.task_of(request_id, user), self.request(request_id)
        if task is None or row is None or row["currentnodetype"] == START:
            return False
        workflow = self.workflow_of(row)
        target = (
            workflow.nodes[0]
            if node_id is None
            else next((n for n in workflow.nodes if n.id == node_id), None)
        )
        if target is None or target.id >= task["nodeid"]:
            return False
        self._close_tasks(request_id, now)
        self.log(request_id, task["nodeid"], "3", user, remark, now, target)
        self._go(row, target, "退回", now)
        return True

    def withdraw(self, request_id: int, user: int, remark: str, now: int, *, archived: bool) -> bool:
        """Take a request back to the node where this user last acted; `archived`: even one that has ended.

        False: this user has not acted on it, or it is where it would go.
        """
        row = self.request(request_id)
        if row is None or (row["currentnodetype"] == ARCHIVE and not archived):
            return False
        done = self.store.row(
            "SELECT nodeid FROM workflow_requestlog WHERE requestid = ? AND operator = ? AND logtype IN ('0','2')"
            " ORDER BY id DESC LIMIT 1",
            (request_id, user),
        )
        workflow = self.workflow_of(row)
        moving = self.store.row("SELECT 1 FROM emulator_move WHERE requestid = ?", (request_id,))
        if done is None or (done["nodeid"] >= row["currentnodeid"] and not moving):
            return False
        self._take_back(row, workflow.node(done["nodeid"]), "w", user, remark, now)
        return True

    def draw_back(self, request_id: int, user: int, remark: str, now: int) -> bool:
        """强制收回: a monitor takes a request back to its first node."""
        row = self.request(request_id)
        if row is None or row["currentnodetype"] == START:
            return False
        self._take_back(row, self.workflow_of(row).nodes[0], "r", user, remark, now)
        return True

    def force_over(self, request_id: int, user: int, remark: str, now: int) -> bool:
        """强制归档: ended without the approvals that were still to come."""
        row = self.request(request_id)
        if row is None or row["currentnodetype"] == ARCHIVE:
            return False
        target = self.workflow_of(row).nodes[-1]
        self._close_tasks(request_id, now)
        self.store.run("DELETE FROM emulator_move WHERE requestid = ?", (request_id,))
        self.log(request_id, row["currentnodeid"], "e", user, remark, now, target)
        self._go(row, target, "强制归档", now)
        return True

    def delete(self, request_id: int, now: int) -> bool:
        """Remove a request from every table that a client can read; an auditor still finds it."""
        row = self.request(request_id)
        if row is None:
            return False
        snapshot = {name: row[name] for name in row.keys()}  # noqa: SIM118  (a Row iterates over its values)
        snapshot["logs"] = [dict(log) for log in self.logs(request_id)]
        self.store.run(
            "INSERT INTO emulator_deleted VALUES (?, ?, ?)",
            (request_id, now, json.dumps(snapshot, ensure_ascii=False)),
        )
        for table in (
            "workflow_requestbase",
            "workflow_currentoperator",
            "workflow_requestlog",
            "emulator_move",
        ):
            self.store.run(f"DELETE FROM {table} WHERE requestid = ?", (request_id,))  # noqa: S608  (names from above)
        return True

    def forward(self, request_id: int, user: int, receivers: Iterable[int], remark: str, now: int) -> bool:
        """转发: others get a task to read. False: this user takes no part, or there is nobody of that name."""
        row = self.request(request_id)
        people = [person for person in receivers if person in self.company.people]
        if row is None or not people or not self.takes_part(request_id, user):
            return False
        node = self.workflow_of(row).node(row["currentnodeid"])
        for person in people:
            self._give_task(request_id, self.workflow_of(row), node, person, "1", now)
        names = ",".join(self.company.name_of(person) for person in people)
        self.log(request_id, node.id, "7", user, remark, now, None, names)
        return True

    def touch(self, request_id: int, user: int, now: int) -> None:
        self.store.run(
            "UPDATE workflow_requestbase SET lastoperator = ?, lastoperatedate = ?, lastoperatetime = ? WHERE requestid = ?",
            (user, day_text(now), time_text(now), request_id),
        )

    def save_body(self, request_id: int, body: Mapping[str, Any]) -> None:
        self.store.run(
            "UPDATE workflow_requestbase SET body = ? WHERE requestid = ?",
            (json.dumps(body, ensure_ascii=False), request_id),
        )

    def logs(self, request_id: int) -> list[sqlite3.Row]:
        """The history of a request, latest first."""
        return self.store.rows(
            "SELECT * FROM workflow_requestlog WHERE requestid = ? ORDER BY id DESC", (request_id,)
        )

    def log(
        self, request_id: int, node_id: int, kind: str, user: int, remark: str, now: int, target: Node | None,
        received: str = "",
    ) -> None:  # fmt: skip
        row = self.request(request_id)
        assert row is not None
        if target is not None and not received:
            received = self.company.name_of(self.company.actor(target.role, row["creater"]))
        self.store.run(
            "INSERT INTO workflow_requestlog VALUES (NULL,?,?,?,?,?,?,?,?,?)",
            (request_id, node_id, kind, user, day_text(now), time_text(now), remark,
             target.id if target else 0, received),
        )  # fmt: skip
        self.touch(request_id, user, now)

    # -- movement -----------------------------------------------------------------------------------

    def _take_back(self, row: sqlite3.Row, target: Node, kind: str, user: int, remark: str, now: int) -> None:
        request_id = row["requestid"]
        self.store.run("DELETE FROM emulator_move WHERE requestid = ?", (request_id,))
        self._close_tasks(request_id, now)
        self.log(request_id, row["currentnodeid"], kind, user, remark, now, target)
        self._go(row, target, "撤回" if kind == "w" else "强制收回", now)

    def _close_tasks(self, request_id: int, now: int) -> None:
        self.store.run(
            "UPDATE workflow_currentoperator SET isremark = '2', operatedate = ?, operatetime = ?"
            " WHERE requestid = ? AND isremark IN ('0', '1', '4')",
            (day_text(now), time_text(now), request_id),
        )

    def _go(self, row: sqlite3.Row, target: Node, status: str, now: int) -> None:
        ended = target.kind == ARCHIVE
        self.store.run(
            "UPDATE workflow_requestbase SET lastnodeid = currentnodeid, currentnodeid = ?, currentnodetype = ?, status = ?,"
            " archived_once = max(archived_once, ?) WHERE requestid = ?",
            (target.id, target.kind, status, int(ended), row["requestid"]),
        )
        self._arrive(row["requestid"], self.workflow_of(row), target, row["creater"], now)
        self.store.run(
            "UPDATE workflow_currentoperator SET iscomplete = ? WHERE requestid = ?",
            (int(ended), row["requestid"]),
        )

    def _arrive(self, request_id: int, workflow: Workflow, node: Node, creator: int, now: int) -> None:
        actor = self.company.actor(node.role, creator)
        self._give_task(request_id, workflow, node, actor, "4" if node.kind == ARCHIVE else "0", now)

    def _give_task(
        self, request_id: int, workflow: Workflow, node: Node, user: int, remark: str, now: int
    ) -> None:
        self.store.run(
            "UPDATE workflow_currentoperator SET islasttimes = 0 WHERE requestid = ? AND userid = ?",
            (request_id, user),
        )
        self.store.run(
            "INSERT INTO workflow_currentoperator VALUES (NULL,?,?,?,0,?,?,0,?,?,'','',1,0)",
            (request_id, workflow.id, user, node.id, remark, day_text(now), time_text(now)),
        )
