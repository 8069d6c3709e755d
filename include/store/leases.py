"""One writer per book: a lease with a fencing token (fence) that grows with every holder."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, select, update
from sqlalchemy.dialects import postgresql, sqlite

from include.domain.errors import LeaseLost
from include.ports import Clock
from include.store import tables as t
from include.store.engine import writing

LEASE_S = 300
"""How long a silent holder keeps a book. Renewed before every call, and far longer than one call may take."""


@dataclass(frozen=True, slots=True)
class Lease:
    """Permission to write for a book, until it expires or another takes it over."""

    book: str
    fence: int
    holder: str
    is_predecessor_gone: bool = True
    """Whether the holder before gave it back or is known to have ended; else it only ran out of time, and may wake up."""


class Leases:
    """Taking, renewing and giving back leases."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self.engine = engine
        self.clock = clock

    def acquire(self, book: str) -> Lease:
        """Take the book.

        A holder that gave the book back, or whose process has ended on this machine, is replaced at once, any other
        only after its lease has run out.

        Raises:
            LeaseLost: somebody else holds it; says who and until when.
        """
        b = t.book_lease
        now = self.clock.now()
        holder = _this_process()
        with writing(self.engine) as connection:
            # A book has a row before anybody holds it, so that of two first runs one waits for the other at this lock.
            unheld = {"fence": 0, "holder": "", "expires_at": now, "is_released": True}
            connection.execute(_insert(self.engine)(b).values(book=book, **unheld).on_conflict_do_nothing())
            row = connection.execute(select(b).where(b.c.book == book).with_for_update()).one()
            is_predecessor_gone = row.is_released or _has_ended(row.holder)
            if row.expires_at > now and not is_predecessor_gone:
                raise LeaseLost(
                    f"账簿 {book} 正由 {row.holder} 写入，租约至 {row.expires_at:%Y-%m-%d %H:%M:%S} UTC；请等它结束后再运行 / book {book} "
                    f"is being written by {row.holder}, lease until {row.expires_at:%H:%M:%S} UTC: run again when it has ended"
                )
            fence = row.fence + 1
            expires_at = now + timedelta(seconds=LEASE_S)
            connection.execute(
                update(b)
                .where(b.c.book == book)
                .values(fence=fence, holder=holder, expires_at=expires_at, is_released=False)
            )
        return Lease(book, fence, holder, is_predecessor_gone)

    def renew(self, lease: Lease) -> None:
        """Put the expiry forward; raises LeaseLost as `check`."""
        with writing(self.engine) as connection:
            check(connection, lease, self.clock.now())
            connection.execute(
                update(t.book_lease)
                .where(t.book_lease.c.book == lease.book)
                .values(expires_at=self.clock.now() + timedelta(seconds=LEASE_S))
            )

    def release(self, lease: Lease) -> None:
        """Give the book back; harmless if another holds it by now."""
        b = t.book_lease
        with writing(self.engine) as connection:
            connection.execute(
                update(b)
                .where(b.c.book == lease.book, b.c.fence == lease.fence)
                .values(expires_at=self.clock.now(), is_released=True)
            )


def check(connection: Connection, lease: Lease, now: datetime) -> None:
    """Inside a writing transaction: go on only if the lease still is ours.

    Raises:
        LeaseLost: it ran out or was taken over; nothing of this transaction is kept.
    """
    b = t.book_lease
    row = connection.execute(
        select(b.c.fence, b.c.holder, b.c.expires_at).where(b.c.book == lease.book).with_for_update()
    ).one()
    if row.fence != lease.fence or row.expires_at <= now:
        raise LeaseLost(
            f"账簿 {lease.book} 的写入权已过期或已由 {row.holder} 接管，本次运行停止，未再写入 / the lease on book {lease.book} ran out "
            f"or was taken over by {row.holder}: this run stops and writes nothing more"
        )


def _insert(engine: Engine) -> Any:
    """The database's own insert, which can leave a row that is there as it is."""
    return postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert


def _this_process() -> str:
    return f"{socket.gethostname()}:{os.getpid()}:{_started(os.getpid())}"


def _has_ended(holder: str) -> bool:
    """Whether the holder was a process of this machine that is gone (its id may be in use again)."""
    host, _, rest = holder.partition(":")
    pid, _, started = rest.partition(":")
    if host != socket.gethostname() or not pid.isdecimal() or not started:
        return False
    return _started(int(pid)) != started


def _started(pid: int) -> str:
    """When a process began, in the kernel's ticks since boot; "" where it is gone or the system cannot tell."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] == "Z" else fields[19]
