"""Exchanges with ledgers in the store: digests for ever, texts for as long as the book says."""

from __future__ import annotations

import json
import zlib
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from hashlib import sha256
from uuid import uuid4

from sqlalchemy import Connection, Engine, delete, insert, select

from include.exchanges import Exchange
from include.ports import Clock
from include.store import tables as t
from include.store.engine import writing
from include.store.filing import chunks


@dataclass(frozen=True, slots=True)
class KeptExchange:
    """An exchange as stored; the texts are None once their time is over."""

    at: datetime
    request_digest: str
    response_digest: str
    request: str | None
    response: str | None


class Exchanges:
    """Tidying; `save` below writes within the transaction that records the outcome."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self.engine = engine
        self.clock = clock

    def forget(self) -> int:
        """Delete the texts whose time is over; returns how many."""
        b = t.exchange_body
        with writing(self.engine) as connection:
            return connection.execute(delete(b).where(b.c.kept_until < self.clock.now().date())).rowcount


def of_calls(connection: Connection, calls: Collection[str]) -> dict[str, list[KeptExchange]]:
    """The exchanges of some calls, by call, in order."""
    e, b = t.posting_exchange, t.exchange_body
    found: dict[str, list[KeptExchange]] = defaultdict(list)
    for part in chunks(sorted(calls)):
        for row in connection.execute(
            select(e.c.call, e.c.at, e.c.request_digest, e.c.response_digest, b.c.body)
            .outerjoin(b, b.c.exchange_id == e.c.id)
            .where(e.c.call.in_(part))
            .order_by(e.c.id)
        ):
            found[row.call].append(
                KeptExchange(row.at, row.request_digest, row.response_digest, *_texts(row.body))
            )
    return found


def save(connection: Connection, exchanges: Sequence[Exchange], at: datetime, keep_days: int) -> str:
    """Store the exchanges of one call, in the caller's writing transaction; returns the call's id, "" for none."""
    if not exchanges:
        return ""
    call = str(uuid4())
    rows = [
        {
            "call": call,
            "seq": seq,
            "request_digest": _digest(each.request),
            "response_digest": _digest(each.response),
            "at": at,
        }
        for seq, each in enumerate(exchanges)
    ]
    e = t.posting_exchange
    ids = connection.scalars(insert(e).returning(e.c.id, sort_by_parameter_order=True), rows).all()
    if keep_days:
        until = _day_after(at.date(), keep_days)
        connection.execute(
            insert(t.exchange_body),
            [
                {"exchange_id": pk, "body": _body(each), "kept_until": until}
                for pk, each in zip(ids, exchanges, strict=True)
            ],
        )
    return call


def _day_after(day: date, days: int) -> date:
    return min(day, date.max - timedelta(days=days)) + timedelta(days=days)


def _digest(text: str | None) -> str:
    return "" if text is None else sha256(text.encode()).hexdigest()


def _body(exchange: Exchange) -> bytes:
    return zlib.compress(
        json.dumps([exchange.request, exchange.response], ensure_ascii=False).encode(), level=1
    )


def _texts(body: bytes | None) -> tuple[str | None, str | None]:
    if body is None:
        return None, None
    request, response = json.loads(zlib.decompress(body))
    return request, response
