"""The open platform's calls: token, definitions, subscriptions, instances, comments. Each answers (HTTP status, body)."""

from __future__ import annotations

import base64
import binascii
import json
import secrets
import sqlite3
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from include.emulators.feishu.forms import NAMES, definition_form, department_id, open_id, render, user_id
from include.emulators.feishu.options import Options
from include.emulators.feishu.world import World

Json = dict[str, Any]
Answer = tuple[int, Json]
WINDOW_MS = 10 * 3_600_000
QUERY_WINDOW_MS = 30 * 86_400_000
MAX_COMMENT = 10_000
_QUERY_STATUS = {"PENDING": "PENDING", "RECALL": "CANCELED", "REJECT": "REJECTED", "DELETED": "DELETED", "APPROVED": "APPROVED"}  # fmt: skip
_TASK_STATUS = {"PENDING": "PENDING", "APPROVED": "APPROVED", "REJECTED": "REJECTED"}
_ERRORS: Mapping[str, tuple[int, int, str]] = {
    # name: (short code, long code, message)
    "approval": (60002, 1390002, "approval code not found"),
    "instance": (60003, 1390003, "instance code not found"),
    "subscribed": (60007, 1390007, "subscription existed"),
    "permission": (60009, 1390009, "no operation permission"),
    "user": (60012, 1390004, "user_id or open_id not found"),
}


class ApiError(Exception):
    """A refusal, as (HTTP status, code, message)."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.answer: Answer = (status, {"code": code, "msg": message, "data": {}})


def invalid(why: str) -> ApiError:
    return ApiError(400, 1390001, f"param is invalid, {why}")


def refused(options: Options, name: str) -> ApiError:
    short, long, message = _ERRORS[name]
    code = short if options.codes == "short" else long
    return ApiError(403 if name == "permission" else 400, code, message)


@dataclass(slots=True)
class Limits:
    """Calls of the last minute by kind. Limits count by the platform's clock."""

    calls: dict[str, deque[int]] = field(default_factory=dict)

    def take(self, options: Options, kind: str, now: int) -> None:
        """Raises ApiError above a limit."""
        per_minute = options.list_per_minute if kind in {"list", "subscribe"} else options.calls_per_minute
        recent = self.calls.setdefault(kind, deque())
        while recent and recent[0] <= now - 60_000:
            recent.popleft()
        in_second = sum(1 for at in recent if at > now - 1000)
        per_second = 0 if kind in {"list", "subscribe"} else options.calls_per_second
        if (per_minute and len(recent) >= per_minute) or (per_second and in_second >= per_second):
            raise ApiError(options.rate_status, options.rate_code, "request trigger frequency limit")
        recent.append(now)


@dataclass(slots=True)
class Api:
    """The calls over one tenant; every method runs inside the caller's transaction."""

    world: World
    app_id: str
    app_secret: str
    limits: Limits = field(default_factory=Limits)

    def token(self, body: Json, now: int) -> Answer:
        """POST auth/v3/tenant_access_token/internal: not wrapped in `data`, as the vendor has it."""
        given = (str(body.get("app_id", "")), str(body.get("app_secret", "")))
        if not secrets.compare_digest(given[0].encode(), self.app_id.encode()):
            return 400, {"code": 10003, "msg": "invalid param"}
        if not secrets.compare_digest(given[1].encode(), self.app_secret.encode()):
            return 400, {"code": 10014, "msg": "app secret invalid"}
        ttl, text = self.world.options.token_ttl_s, "t-" + secrets.token_hex(16)
        self.world.store.run("DELETE FROM token WHERE expires_ms <= ?", (now,))
        self.world.store.run("INSERT INTO token VALUES (?, ?)", (text, now + ttl * 1000))
        return 200, {"code": 0, "msg": "ok", "tenant_access_token": text, "expire": ttl}

    def authorize(self, header: str, now: int) -> None:
        """Raises ApiError for a token that is missing, unknown or out of date."""
        scheme, _, token = header.partition(" ")
        if scheme != "Bearer" or not token:
            raise ApiError(
                400,
                99991661,
                "Missing access token for authorization. Please make a request with token attached.",
            )
        found = self.world.store.row("SELECT 1 FROM token WHERE token = ? AND expires_ms > ?", (token, now))
        if found is None:
            options = self.world.options
            raise ApiError(options.token_status, options.token_code, "Invalid access token for authorization. Please make a test attempt with the correct access token.")  # fmt: skip

    def definition(self, code: str) -> Answer:
        """GET approvals/:code."""
        self._known(code)
        nodes = [{"name": "部门经理审批", "need_approver": False, "node_id": "46e6d96cfa756980907209209ec03b64", "node_type": "AND"}]  # fmt: skip
        return done(
            {"approval_name": NAMES[code], "status": "ACTIVE", "form": definition_form(code), "node_list": nodes,
             "viewers": [{"type": "TENANT", "id": "", "user_id": ""}]}
        )  # fmt: skip

    def subscribe(self, code: str, now: int) -> Answer:
        """POST approvals/:code/subscribe: events from now on are pushed."""
        self._known(code)
        if self.world.store.row("SELECT 1 FROM subscription WHERE approval_code = ?", (code,)):
            raise refused(self.world.options, "subscribed")
        self.world.store.run("INSERT INTO subscription VALUES (?, ?)", (code, now))
        return done({})

    def instances(self, query: Mapping[str, str]) -> Answer:
        """GET instances: codes of instances created in a window of at most ten hours, oldest first."""
        code = query.get("approval_code", "")
        start, end = _number(query, "start_time"), _number(query, "end_time")
        if not code or end < start or end - start > WINDOW_MS:
            raise invalid("approval_code is required and the time range must not exceed 10 hours")
        self._known(code)
        size = _size(query, 100, 1, 100)
        at, last = _cursor(query.get("page_token", ""), start)
        rows = self.world.store.rows(
            "SELECT instance_code, start_ms, number FROM instance WHERE approval_code = ? AND start_ms <= ?"
            " AND (start_ms, number) > (?, ?) ORDER BY start_ms, number LIMIT ?",
            (code, end, at, last, size + 1),
        )
        data: Json = {
            "instance_code_list": [r["instance_code"] for r in rows[:size]],
            "has_more": len(rows) > size,
        }
        return done(data | _next(rows, size))

    def query(self, query: Mapping[str, str], body: Json, now: int) -> Answer:
        """POST instances/query: a page may hold fewer than page_size, as revoked instances are taken out of it."""
        code, one, user = (str(body.get(k) or "") for k in ("approval_code", "instance_code", "user_id"))
        if not (code or one or user):
            raise invalid("user_id, approval_code, instance_code must not all be empty")
        asked = str(body.get("instance_status") or "ALL")
        if asked != "ALL" and asked not in _QUERY_STATUS:
            raise invalid("instance_status")
        times = ("instance_start_time_from", "instance_start_time_to")
        given = [name for name in times if body.get(name)]
        if len(given) == 1:
            raise invalid("instance_start_time_from and instance_start_time_to go together")
        start, end = (_number(body, name) for name in times) if given else (0, now)
        if end < start or (given and end - start > QUERY_WINDOW_MS):
            raise invalid("the time range must not exceed 30 days")
        size = _size(query, 10, 5, 200)
        at, last = _cursor(query.get("page_token", ""), start)
        where = "start_ms <= ? AND (?='' OR approval_code=?) AND (?='' OR instance_code=?) AND (?='ALL' OR status=?)"
        values: list[Any] = [min(end, now - self.world.options.query_delay_ms), code, code, one, one, asked, _QUERY_STATUS.get(asked)]  # fmt: skip
        if user:
            where += " AND person = ?"
            values.append(self._person(user))
        count = self.world.store.row(f"SELECT count(*) AS n FROM instance WHERE start_ms >= ? AND reverted = 0 AND {where}", [start, *values])  # noqa: S608  # fmt: skip
        rows = self.world.store.rows(
            f"SELECT * FROM instance WHERE (start_ms, number) > (?, ?) AND {where} ORDER BY start_ms, number LIMIT ?",  # noqa: S608
            [at, last, *values, size + 1],
        )
        items = [self._found(row) for row in rows[:size] if not row["reverted"]]
        data: Json = {
            "count": count["n"] if count else 0,
            "instance_list": items,
            "has_more": len(rows) > size,
        }
        return done(data | _next(rows, size))

    def detail(self, code: str) -> Answer:
        """GET instances/:code. Of a revocation after approval the status says nothing."""
        row, options = self._instance(code), self.world.options
        store, person = self.world.store, row["person"]
        steps = store.rows("SELECT * FROM step WHERE instance_code = ? ORDER BY number", (code,))
        comments = store.rows("SELECT * FROM comment WHERE instance_code = ? ORDER BY number", (code,))
        approver = self.world.company.actor("manager", person)
        data: Json = {
            "approval_name": NAMES[row["approval_code"]],
            "start_time": str(row["start_ms"]),
            "end_time": str(row["end_ms"]),
            "user_id": user_id(person),
            "open_id": open_id(person),
            "serial_number": row["serial_number"],
            "department_id": department_id(self.world.company.department_of(person)),
            "status": row["status"],
            "uuid": "",
            "form": render(row["form"], options.amounts),
            "task_list": [
                {"id": str(7_000_000 + row["number"]), "user_id": user_id(approver), "open_id": open_id(approver),
                 "status": _TASK_STATUS.get(row["status"], "DONE"), "node_id": "46e6d96cfa756980907209209ec03b64",
                 "node_name": "部门经理审批", "type": "AND", "start_time": str(row["start_ms"]),
                 "end_time": str(row["end_ms"])}
            ],
            "comment_list": [
                {"id": str(c["number"]), "user_id": user_id(c["person"]), "open_id": open_id(c["person"]),
                 "comment": c["text"], "create_time": str(c["at_ms"]), "files": []}
                for c in comments
            ],
            "timeline": [
                {"type": s["kind"], "create_time": str(s["at_ms"]), "user_id": user_id(s["person"]),
                 "open_id": open_id(s["person"]), "ext": "{}"}
                for s in steps if s["kind"] != "REVERT"
            ],
            "approval_code": row["approval_code"],
            "instance_code": code,
        }  # fmt: skip
        if options.reverted == "flag":
            data["reverted"] = bool(row["reverted"])
        return done(data)

    def comment(self, code: str, query: Mapping[str, str], body: Json, now: int) -> Answer:
        """POST instances/:code/comments: a new comment, or another text for an old one (`comment_id`)."""
        if self.world.options.comments != "taken":
            raise refused(self.world.options, "permission")
        self._instance(code)
        person = self._person(query.get("user_id", ""))
        try:
            content = json.loads(body.get("content", ""))
        except (TypeError, ValueError, RecursionError):
            raise invalid("content is a JSON text") from None
        text = content.get("text") if isinstance(content, dict) else None
        if not isinstance(text, str) or not 0 < len(text) <= MAX_COMMENT:
            raise invalid(f"content.text has 1 to {MAX_COMMENT} characters")
        store, old = self.world.store, str(body.get("comment_id") or "")
        if old:
            found = store.row(
                "SELECT person FROM comment WHERE CAST(number AS TEXT) = ? AND instance_code = ?", (old, code)
            )
            if found is None or found["person"] != person:
                raise invalid("comment_id")
            store.run("UPDATE comment SET text = ? WHERE CAST(number AS TEXT) = ?", (text, old))
            return done({"comment_id": old})
        last = store.row("SELECT max(number) AS n FROM comment")
        number = ((last["n"] if last else None) or 7_081_516_627_711_000_000) + 1
        parent = str(body.get("parent_comment_id") or "")
        store.run("INSERT INTO comment VALUES (?,?,?,?,?,?)", (number, code, person, text, now, parent))
        return done({"comment_id": str(number)})

    def _known(self, code: str) -> None:
        if code not in NAMES:
            raise refused(self.world.options, "approval")

    def _instance(self, code: str) -> sqlite3.Row:
        row = self.world.instance(code)
        if row is None:
            raise refused(self.world.options, "instance")
        return row

    def _person(self, text: str) -> int:
        person = self.world.persons.get(text)
        if person is None:
            raise refused(self.world.options, "user")
        return person

    @staticmethod
    def _found(row: sqlite3.Row) -> Json:
        names = {"CANCELED": "recall", "REJECTED": "reject"}
        status = names.get(row["status"], row["status"].lower())
        return {
            "approval": {"code": row["approval_code"], "name": NAMES[row["approval_code"]], "is_external": False},
            "group": {"external_id": "", "name": "财务"},
            "instance": {
                "code": row["instance_code"], "external_id": "", "user_id": open_id(row["person"]),
                "start_time": str(row["start_ms"]), "end_time": str(row["end_ms"]), "status": status, "title": "",
                "serial_id": row["serial_number"],
            },
        }  # fmt: skip


def done(data: Json) -> Answer:
    return 200, {"code": 0, "msg": "success", "data": data}


def _number(values: Mapping[str, Any], name: str) -> int:
    text = str(values.get(name, ""))
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise invalid(f"{name} is a time in milliseconds")
    return int(text)


def _size(query: Mapping[str, str], default: int, least: int, most: int) -> int:
    size = _number(query, "page_size") if "page_size" in query else default
    if not least <= size <= most:
        raise invalid(f"page_size is {least} to {most}")
    return size


def _cursor(token: str, start: int) -> tuple[int, int]:
    """Where to go on: after (start time, number)."""
    if not token:
        return start - 1, 2**62
    try:
        at, number = base64.urlsafe_b64decode(token.encode()).decode().split(":")
        return int(at), int(number)
    except (ValueError, binascii.Error):
        raise invalid("page_token") from None


def _next(rows: list[sqlite3.Row], size: int) -> Json:
    if len(rows) <= size:
        return {}
    last = rows[size - 1]
    return {"page_token": base64.urlsafe_b64encode(f"{last['start_ms']}:{last['number']}".encode()).decode()}
