"""Problems in the store: opened when found, resolved when the stage no longer finds them, never deleted."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, exists, insert, select, update

from include.domain.problems import Problem, Stage
from include.domain.voucher import VoucherStatus
from include.store import tables as t

CHUNK = 500


def sync(
    connection: Connection,
    book: str,
    stage: Stage,
    found: Mapping[int, Sequence[Problem]],
    at: datetime,
    places: Collection[str] | None = None,
) -> None:
    """Make the open problems of these documents in this stage exactly those found now.

    A problem found again keeps its row and so its age. `found` maps a document's row id to its problems. With `places`
    (values of `where`), problems of other places stay as they are.
    """
    p = t.problem
    open_rows: dict[int, dict[tuple[Any, ...], int]] = {}
    pks = list(found)
    for start in range(0, len(pks), CHUNK):
        for row in connection.execute(
            select(p.c.id, p.c.document_pk, p.c.code, p.c.where, p.c.line_no, p.c.zh).where(
                p.c.document_pk.in_(pks[start : start + CHUNK]), p.c.stage == stage, p.c.resolved_at.is_(None)
            )
        ):
            if places is None or row.where in places:
                open_rows.setdefault(row.document_pk, {})[row.code, row.where, row.line_no, row.zh] = row.id
    fresh: list[dict[str, Any]] = []
    for pk, problems in found.items():
        before = open_rows.get(pk, {})
        fresh += [
            _row(pk, book, stage, problem, at)
            for problem in dict.fromkeys(problems)
            if before.pop((problem.code, problem.where, problem.line_no, problem.zh), None) is None
        ]
    gone = [row_id for rows in open_rows.values() for row_id in rows.values()]
    for start in range(0, len(gone), CHUNK):
        connection.execute(update(p).where(p.c.id.in_(gone[start : start + CHUNK])).values(resolved_at=at))
    if fresh:
        connection.execute(insert(p), fresh)


def forget_cancelled(connection: Connection, document_pks: Sequence[int], at: datetime) -> None:
    """Resolve what posting said of vouchers that are cancelled now: nobody need mend them any more."""
    p, v = t.problem, t.voucher
    cancelled = exists().where(v.c.key == p.c.where, v.c.status == VoucherStatus.CANCELLED)
    for start in range(0, len(document_pks), CHUNK):
        its = p.c.document_pk.in_(document_pks[start : start + CHUNK])
        still_open = (p.c.stage == Stage.POST, p.c.resolved_at.is_(None))
        connection.execute(update(p).where(its, *still_open, cancelled).values(resolved_at=at))


def _row(pk: int, book: str, stage: Stage, problem: Problem, at: datetime) -> dict[str, Any]:
    return {
        "document_pk": pk,
        "book": book,
        "stage": stage,
        "code": problem.code,
        "cause": problem.cause,
        "where": problem.where,
        "line_no": problem.line_no,
        "zh": problem.zh,
        "en": problem.en,
        "owner": problem.owner,
        "found_at": at,
    }
