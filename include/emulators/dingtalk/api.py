"""The vendor's calls: token, list of ids, detail, form schema, comment."""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from include.emulators.dingtalk.options import Options
from include.emulators.dingtalk.world import DAY_MS, NAMES, World

Json = dict[str, Any]
STATUSES = {"NEW", "RUNNING", "TERMINATED", "COMPLETED", "CANCELED"}
MAX_SPAN_MS, MAX_AGE_MS, MAX_RESULTS, MAX_USERS, MAX_IDS = 120 * DAY_MS, 365 * DAY_MS, 20, 10, 10_000
MAX_COMMENT = 2_000


class RefusedError(Exception):
    """An answer {"code", "message"} with an HTTP status of 4xx."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.status = code, status


def wrong(message: str) -> RefusedError:
    return RefusedError("invalidParameter", message)


def _check_window(body: Mapping[str, Any], now: int) -> None:
    """Raises RefusedError for an unknown process or a window outside the limits."""
    code, start, end = body.get("processCode"), body.get("startTime"), body.get("endTime", now)
    if not isinstance(code, str) or code not in NAMES:
        raise wrong("processCode不存在")
    if type(start) is not int or type(end) is not int or end < start:
        raise wrong("startTime、endTime须为毫秒，且startTime不大于endTime")
    if end - start > MAX_SPAN_MS:
        raise wrong("时间跨度不能超过120天")
    if now - start > MAX_AGE_MS:
        raise wrong("startTime不能早于365天前")


class Api:
    """One app's view of the tenant. Every call runs inside the caller's transaction."""

    def __init__(self, world: World, options: Options, app_key: str, app_secret: str) -> None:
        self.world, self.options = world, options
        self._key, self._secret = app_key, app_secret

    def token(self, body: Mapping[str, Any], now: int) -> Json:
        given = f"{body.get('appKey')}\n{body.get('appSecret')}".encode()
        if not secrets.compare_digest(given, f"{self._key}\n{self._secret}".encode()):
            raise RefusedError("invalidClientIdOrSecret", "无效的clientId或者clientSecret")
        token = secrets.token_hex(16)
        self.world.db.execute(
            "INSERT INTO token VALUES (?, ?)", (token, now + self.options.token_ttl_s * 1000)
        )
        return {"accessToken": token, "expireIn": self.options.token_ttl_s}

    def check(self, token: str, now: int) -> None:
        found = self.world.db.execute("SELECT expires_ms FROM token WHERE token = ?", (token,)).fetchone()
        if found is None or found[0] <= now:
            raise RefusedError("InvalidAuthentication", "不合法的access_token", 401)

    def ids(self, body: Mapping[str, Any], now: int) -> Json:
        """Ids by creation time, from startTime up to endTime, both included."""
        _check_window(body, now)
        code, start, end = body["processCode"], body["startTime"], body.get("endTime", now)
        size, token = body.get("maxResults", MAX_RESULTS), body.get("nextToken", 0)
        statuses, users = body.get("statuses") or [], body.get("userIds") or []
        if type(size) is not int or not 1 <= size <= MAX_RESULTS:
            raise wrong("maxResults须为1至20")
        if (
            not isinstance(users, list)
            or len(users) > MAX_USERS
            or not all(isinstance(u, str) for u in users)
        ):
            raise wrong("userIds最多10个")
        if not isinstance(statuses, list) or not all(isinstance(s, str) and s in STATUSES for s in statuses):
            raise wrong("statuses取值错误")
        sql = "SELECT id FROM instance WHERE process_code = ? AND create_ms BETWEEN ? AND ?"
        values: list[Any] = [code, start, end]
        for column, chosen in (("status", statuses), ("originator", users)):
            if chosen:
                sql += f" AND {column} IN ({','.join('?' * len(chosen))})"
                values += chosen
        taken, last = self._position(str(token))
        if last:
            row = self.world.find(last)
            if row is None:
                raise wrong("nextToken无效")
            sql += " AND (create_ms, id) > (?, ?)"
            values += [row["create_ms"], last]
        offset = 0 if last else taken
        sql += " ORDER BY create_ms, id LIMIT ? OFFSET ?"
        found = [row[0] for row in self.world.db.execute(sql, (*values, size + 1, offset))]
        page, answer = found[:size], Json()
        answer["list"] = page
        if len(found) > size:
            after = str(taken + size)
            answer["nextToken"] = after if self.options.paging == "offset" else f"{after}.{page[-1]}"
        return {"result": answer, "success": True}

    def _position(self, token: str) -> tuple[int, str]:
        """How many ids were given before, and with `keyset` the last of them."""
        number, _, last = token.partition(".")
        if not (number.isascii() and number.isdigit() and len(number) < 9):
            raise wrong("nextToken无效")
        if int(number) >= MAX_IDS:
            raise wrong("最多查询10000个实例，请缩小时间范围")
        return int(number), last

    def detail(self, query: Mapping[str, Any], _now: int) -> Json:
        row = self._instance(query.get("processInstanceId"))
        value = {
            "title": f"{row['originator']}提交的{NAMES[row['process_code']]}",
            "createTime": stamp(row["create_ms"]),
            "originatorUserId": row["originator"],
            "originatorDeptId": str(row["dept"]),
            "status": row["status"],
            "result": row["result"],
            "businessId": row["id"],
            "bizAction": row["biz_action"],
            "formComponentValues": [self._shown(item) for item in json.loads(row["form"])],
            "operationRecords": [
                {
                    "userId": item["user_id"],
                    "type": "ADD_REMARK",
                    "remark": item["text"],
                    "date": stamp(item["at_ms"]),
                }
                for item in self.world.db.execute(
                    "SELECT * FROM comment WHERE instance_id = ? ORDER BY id", (row["id"],)
                )
            ],
        }
        if row["finish_ms"] is not None:
            value["finishTime"] = stamp(row["finish_ms"])
        link = self.options.revoke_link
        if link == "mainProcessInstanceId" and row["main_id"]:
            value[link] = row["main_id"]
        elif link == "attachedProcessInstanceIds":
            later = "SELECT id FROM instance WHERE main_id = ? ORDER BY create_ms, id"
            value[link] = [found[0] for found in self.world.db.execute(later, (row["id"],))]
        return {"result": value, "success": True}

    def _shown(self, item: Json) -> Json:
        if item["componentType"] != "TableField" or self.options.table_shape == "grid":
            return item
        rows = [
            {"rowNumber": f"row_{number}", "rowValue": [
                {"key": cell["id"], "label": cell["name"], "value": cell["value"], "extendValue": cell["extValue"],
                 "componentType": cell["componentType"], "bizAlias": cell["bizAlias"]} for cell in row]}
            for number, row in enumerate(json.loads(item["value"]))
        ]  # fmt: skip
        return item | {"value": json.dumps(rows, ensure_ascii=False)}

    def schema(self, query: Mapping[str, Any], _now: int) -> Json:
        code = query.get("processCode")
        found = self.world.db.execute(
            "SELECT form FROM instance WHERE process_code = ? ORDER BY create_ms DESC LIMIT 1", (code,)
        ).fetchone()
        if code not in NAMES or found is None:
            raise wrong("processCode不存在")
        items = [_declared(item) for item in json.loads(found[0])]
        return {
            "result": {"name": NAMES[code], "schemaContent": {"title": NAMES[code], "items": items}},
            "success": True,
        }

    def comment(self, body: Mapping[str, Any], now: int) -> Json:
        """A comment; nothing recognises a second one like it."""
        row = self._instance(body.get("processInstanceId"))
        text, user = body.get("text"), body.get("commentUserId")
        if not isinstance(text, str) or not 0 < len(text) <= MAX_COMMENT:
            raise wrong("text不能为空且不能过长")
        if not isinstance(user, str) or not user:
            raise wrong("commentUserId不能为空")
        self.world.db.execute("INSERT INTO comment VALUES (NULL, ?, ?, ?, ?)", (row["id"], user, text, now))
        return {"result": True, "success": True}

    def _instance(self, instance_id: object) -> sqlite3.Row:
        row = self.world.find(instance_id) if isinstance(instance_id, str) else None
        if row is None:
            raise RefusedError("processInstanceNotExist", "审批实例不存在")
        return row


def _declared(item: Json) -> Json:
    declared = {"componentName": item["componentType"],
                "props": {"id": item["id"], "label": item["name"], "bizAlias": item["bizAlias"]}}  # fmt: skip
    if item["componentType"] == "TableField":
        declared["children"] = [_declared(cell) for cell in json.loads(item["value"])[0]]
    return declared


def stamp(milliseconds: int) -> str:
    """2022-08-31T11:52Z: UTC to the minute."""
    return datetime.fromtimestamp(milliseconds // 1000, UTC).strftime("%Y-%m-%dT%H:%MZ")
