"""The emulator's memory: one SQLite file in the shape of e-cology's own tables, so that a kill keeps what was committed.

The tables named workflow_… carry e-cology's columns, since clients' SQL fragments name them; those named emulator_…
are ours. Dates are `yyyy-MM-dd`, times of day `HH:mm:ss`, Shanghai.
"""

from __future__ import annotations

from include.emulators.oa_store import OaStore
from include.emulators.weaver.problems import EmulatorError

FORMAT = "voucherflow-weaver-1"

SCHEMA = """
CREATE TABLE IF NOT EXISTS workflow_requestbase (
  requestid INTEGER PRIMARY KEY, workflowid INTEGER NOT NULL, requestname TEXT NOT NULL, requestmark TEXT NOT NULL,
  requestlevel INTEGER NOT NULL, status TEXT NOT NULL, currentnodeid INTEGER NOT NULL, currentnodetype TEXT NOT NULL,
  lastnodeid INTEGER NOT NULL, creater INTEGER NOT NULL, creatertype INTEGER NOT NULL, createdate TEXT NOT NULL,
  createtime TEXT NOT NULL, lastoperator INTEGER NOT NULL, lastoperatortype INTEGER NOT NULL,
  lastoperatedate TEXT NOT NULL, lastoperatetime TEXT NOT NULL, deleted INTEGER NOT NULL,
  body TEXT NOT NULL, truth TEXT, archived_once INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS workflow_currentoperator (
  id INTEGER PRIMARY KEY, requestid INTEGER NOT NULL, workflowid INTEGER NOT NULL, userid INTEGER NOT NULL,
  usertype INTEGER NOT NULL, nodeid INTEGER NOT NULL, isremark TEXT NOT NULL, viewtype INTEGER NOT NULL,
  receivedate TEXT NOT NULL, receivetime TEXT NOT NULL, operatedate TEXT NOT NULL, operatetime TEXT NOT NULL,
  islasttimes INTEGER NOT NULL, iscomplete INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS operator_of_request ON workflow_currentoperator (requestid, userid);
CREATE INDEX IF NOT EXISTS operator_of_user
  ON workflow_currentoperator (userid, islasttimes, receivedate DESC, receivetime DESC, requestid DESC);
CREATE TABLE IF NOT EXISTS workflow_requestlog (
  id INTEGER PRIMARY KEY, requestid INTEGER NOT NULL, nodeid INTEGER NOT NULL, logtype TEXT NOT NULL,
  operator INTEGER NOT NULL, operatedate TEXT NOT NULL, operatetime TEXT NOT NULL, remark TEXT NOT NULL,
  destnodeid INTEGER NOT NULL, receivedpersons TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS log_of_request ON workflow_requestlog (requestid);
CREATE TABLE IF NOT EXISTS emulator_move (requestid INTEGER PRIMARY KEY, nodeid INTEGER NOT NULL, due_ms INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS emulator_deleted (requestid INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, snapshot TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS emulator_sequence (name TEXT PRIMARY KEY, last INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS emulator_token (token TEXT PRIMARY KEY, expires_ms INTEGER NOT NULL);
"""


class Store(OaStore):
    """E-cology's tables, and numbers by name."""

    schema = SCHEMA
    error = EmulatorError

    def next_number(self, name: str) -> int:
        """1, 2, 3 … by name."""
        self.run(
            "INSERT INTO emulator_sequence VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET last = last + 1",
            (name,),
        )
        found = self.row("SELECT last FROM emulator_sequence WHERE name = ?", (name,))
        assert found is not None
        return int(found["last"])
