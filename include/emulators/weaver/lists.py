"""Lists of requests as a user sees them: to do, handled, ended, own, copied, all."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping

from include.emulators.weaver.conditions import SqlError, Where
from include.emulators.weaver.store import Store

# A request appears in the lists of those who take part in it, once each, by their latest task.
KINDS: Mapping[str, str] = {
    "ToDo": "t2.isremark IN ('0','1','5','7') AND t2.islasttimes = 1",
    "Hendled": "t2.isremark = '2' AND t2.iscomplete = 0 AND t2.islasttimes = 1",
    "Processed": "t2.isremark IN ('2','4') AND t1.currentnodetype = '3' AND t2.iscomplete = 1 AND t2.islasttimes = 1",
    "My": "t1.creater = t2.userid AND t2.islasttimes = 1",
    "CC": "t2.isremark IN ('8','9') AND t2.islasttimes = 1",
    "All": "t2.islasttimes = 1",
}
_FROM = " FROM workflow_requestbase t1, workflow_currentoperator t2 WHERE t1.requestid = t2.requestid AND "
_OF_USER = "t2.usertype = 0 AND t2.userid = ? AND "
_ORDER = " ORDER BY t2.receivedate DESC, t2.receivetime DESC, t1.requestid DESC"
NOTHING = Where("", ())


def _seen(kind: str, where: Where) -> str:
    """What a user sees. As in the product, an OR without brackets in `where` reaches beyond the user's own requests."""
    return f"({_OF_USER}{KINDS[kind]}{where.sql})"


def count(store: Store, kind: str, user: int, where: Where = NOTHING) -> int:
    """How many requests a list holds."""
    sql = f"SELECT count(*) AS n{_FROM}{_seen(kind, where)}"
    with _sql_errors():
        found = store.row(sql, (user, *where.values))
    assert found is not None
    return int(found["n"])


def rows(store: Store, kind: str, user: int, where: Where, limit: int, offset: int) -> list[sqlite3.Row]:
    """A stretch of a list, latest received first."""
    sql = f"SELECT t1.*, t2.receivedate, t2.receivetime{_FROM}{_seen(kind, where)}{_ORDER} LIMIT ? OFFSET ?"
    with _sql_errors():
        return store.rows(sql, (user, *where.values, max(0, limit), max(0, offset)))


@contextlib.contextmanager
def _sql_errors() -> Iterator[None]:
    """What the database itself refuses: a condition of a thousand terms, say.

    Raises:
        SqlError: it did.
    """
    try:
        yield
    except sqlite3.OperationalError as error:
        raise SqlError(str(error)) from error


def soap_page(database: str, page: int, size: int, record_count: int, total: int) -> tuple[int, int]:
    """(limit, offset) of a SOAP page, as the product's statements come out.

    On Oracle by row number. On SQL Server by `TOP`, which believes the caller's record count: too small a count hides
    the rest; pages past the end repeat the last rows as long as the count covers them.
    """
    page = max(page, 1)
    if size < 1:
        return 0, 0
    if database == "oracle":
        return size, (page - 1) * size
    first, last = page * size, size
    if first > record_count:
        first, last = record_count, record_count - size * (page - 1)
    if last <= 0:
        return 0, 0
    reached = min(first, total)
    return min(last, reached), max(0, reached - last)


def again(limit: int, offset: int, total: int) -> tuple[int, int]:
    """A page of a list that begins again after its end (`Options.endless_pages`)."""
    return limit, offset % total if total else 0
