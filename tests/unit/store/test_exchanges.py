"""Exchanges with ledgers: digests stay, texts go when their time is over, secrets never come in."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256

from sqlalchemy import func, select

from include.exchanges import HIDDEN, Exchange, is_recording, record, recording, redact
from include.store import tables as t
from include.store.engine import writing
from include.store.exchanges import save
from include.store.store import Store
from tests.conftest import FakeClock


def test_what_nobody_listens_to_is_not_kept() -> None:
    record("request", "response")
    with recording() as heard:
        assert is_recording()
        record("asked", "said")
        record("asked again", None)
    record("too late", "")
    assert heard == [Exchange("asked", "said"), Exchange("asked again", None)]
    assert not is_recording()


def test_an_inner_listener_leaves_the_outer_one_as_it_was() -> None:
    with recording() as outer:
        with recording() as inner:
            record("1", "2")
        record("3", "4")
    assert (len(inner), outer) == (1, [Exchange("3", "4")])


def test_secrets_are_hidden_however_deep() -> None:
    body = {"user": "api", "Password": "s3", "more": [{"token": "t", "lines": [1, "2"]}], "n": None}
    hidden = {"user": "api", "Password": HIDDEN, "more": [{"token": HIDDEN, "lines": [1, "2"]}], "n": None}
    assert redact(body) == hidden


def test_texts_go_and_digests_stay(store: Store, clock: FakeClock) -> None:
    with writing(store.engine) as connection:
        for days in (30, 0, 31):
            call = save(
                connection, [Exchange("请求", f"回答 {days}"), Exchange("b", None)], clock.now(), days
            )
            assert call
        assert save(connection, [], clock.now(), 30) == ""
    clock.forward(timedelta(days=30).total_seconds())
    assert store.exchanges.forget() == 0
    clock.forward(timedelta(days=1).total_seconds())
    assert store.exchanges.forget() == 2
    with store.engine.begin() as connection:
        e, b = t.posting_exchange, t.exchange_body
        rows = connection.execute(select(e).order_by(e.c.id)).all()
        bodies = connection.scalar(select(func.count()).select_from(b))
    assert bodies == 2
    assert [row.seq for row in rows] == [0, 1] * 3
    assert rows[0].request_digest == sha256("请求".encode()).hexdigest()
    assert rows[0].response_digest == sha256("回答 30".encode()).hexdigest()
    assert rows[1].response_digest == ""
