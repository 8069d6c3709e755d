"""The store's own promises: its schema, what may never change, the audit chain, and one writer per book."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Barrier

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, Engine, delete, insert, select, text, update
from sqlalchemy.exc import DatabaseError

from include.domain.errors import FixConfig, LeaseLost, RetryLater
from include.store import audit, leases, migrate
from include.store import tables as t
from include.store.engine import open_engine, reading, writing
from include.store.leases import LEASE_S, Leases
from include.store.migrate import ensure_current, upgrade
from include.store.store import Store
from tests.builders import StoreBuilder
from tests.conftest import FakeClock


def test_the_migrations_make_exactly_the_tables_of_the_code(engine: Engine) -> None:
    with reading(engine) as connection:
        context = MigrationContext.configure(connection, opts={"version_table": "store_version"})
        assert compare_metadata(context, t.metadata) == []


def test_migrating_again_changes_nothing(engine: Engine) -> None:
    assert upgrade(engine) == upgrade(engine)


def test_a_store_of_another_version_is_refused_with_the_command_to_run(engine: Engine) -> None:
    with writing(engine) as connection:
        connection.execute(text("UPDATE store_version SET version_num = '0000'"))
    with pytest.raises(FixConfig, match="store migrate"):
        ensure_current(engine)


@pytest.mark.parametrize(
    "table", [t.source_snapshot, t.posting_attempt, t.audit_event, t.rule_set], ids=lambda table: table.name
)
@pytest.mark.parametrize("change", ["update", "delete"])
def test_evidence_cannot_be_changed(table: object, change: str, store: Store, clock: FakeClock) -> None:
    with writing(store.engine) as connection:
        builder = StoreBuilder(connection)
        voucher = builder.voucher(builder.document())
        connection.execute(
            insert(t.posting_attempt).values(
                voucher_id=voucher, fence=1, step="intent", content_digest="", at=clock.now()
            )
        )
        audit.append(connection, [audit.AuditEvent("test", "acme", "x", "y", {})], clock.now())
    store.rule_sets.put_in_force("acme", "digest", {}, "test", 0)
    statement = update(table).values(id=999) if change == "update" else delete(table)  # type: ignore[arg-type]
    with pytest.raises(DatabaseError, match="append-only"), store.engine.begin() as connection:
        connection.execute(statement)


def test_the_audit_chain_holds_until_somebody_alters_an_event(store: Store, clock: FakeClock) -> None:
    events = [
        audit.AuditEvent("test", "acme", "voucher.posted", f"VF/{n}", {"number": n, "名": "值"})
        for n in range(5)
    ]
    with writing(store.engine) as connection:
        audit.append(connection, events[:3], clock.now())
        audit.append(connection, events[3:], clock.now())
        assert audit.verify(connection) is None
    with writing(store.engine) as connection:
        _unlock(connection)
        connection.execute(update(t.audit_event).where(t.audit_event.c.id == 3).values(subject="VF/other"))
        assert audit.verify(connection) == 3


def test_a_missing_event_breaks_the_chain_at_the_next(store: Store, clock: FakeClock) -> None:
    with writing(store.engine) as connection:
        audit.append(connection, [audit.AuditEvent("t", "b", "a", str(n), {}) for n in range(3)], clock.now())
        _unlock(connection)
        connection.execute(delete(t.audit_event).where(t.audit_event.c.id == 2))
        assert audit.verify(connection) == 3


def test_a_book_has_one_holder_until_its_lease_runs_out(store: Store, clock: FakeClock) -> None:
    mine = store.leases.acquire("acme")
    with pytest.raises(LeaseLost, match="acme"):
        Leases(store.engine, clock).acquire("acme")
    assert Leases(store.engine, clock).acquire("other").fence == 1
    clock.forward(LEASE_S + 1)
    theirs = Leases(store.engine, clock).acquire("acme")
    assert theirs.fence == mine.fence + 1
    with pytest.raises(LeaseLost):
        store.leases.renew(mine)
    store.leases.release(mine)  # must not free what another holds
    with writing(store.engine) as connection:
        leases.check(connection, theirs, clock.now())


def test_of_two_first_runs_at_the_same_instant_one_holds_the_book_and_one_is_told(
    store: Store, clock: FakeClock
) -> None:
    start = Barrier(2)

    def take(book: str) -> int | str:
        start.wait(30)
        try:
            return Leases(store.engine, clock).acquire(book).fence
        except LeaseLost as error:
            return str(error)

    with ThreadPoolExecutor(2) as pool:
        for book in (f"book{n}" for n in range(25)):
            fences, messages = [], []
            for found in pool.map(take, [book, book]):
                (fences if isinstance(found, int) else messages).append(found)
            assert (fences, len(messages)) == ([1], 1)
            assert book in str(messages[0])


def test_a_lease_lives_as_long_as_it_is_renewed(store: Store, clock: FakeClock) -> None:
    lease = store.leases.acquire("acme")
    for _ in range(5):
        clock.forward(LEASE_S - 1)
        store.leases.renew(lease)
    store.leases.release(lease)
    assert store.leases.acquire("acme").fence == lease.fence + 1


def test_a_holder_that_died_here_is_replaced_at_once(store: Store, clock: FakeClock) -> None:
    dead = subprocess.run(
        [sys.executable, "-c", "from include.store.leases import _this_process; print(_this_process())"],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(Path.cwd()), "PATH": os.environ["PATH"]},
    ).stdout.strip()
    with writing(store.engine) as connection:
        connection.execute(
            insert(t.book_lease).values(
                book="acme", fence=4, holder=dead, expires_at=clock.now() + timedelta(seconds=LEASE_S)
            )
        )
    assert store.leases.acquire("acme").fence == 5


def test_a_store_that_cannot_be_reached_is_worth_another_try() -> None:
    engine = open_engine("postgresql://nobody@127.0.0.1:9/nothing")
    with pytest.raises(RetryLater, match="凭证库"), reading(engine):
        raise AssertionError("the connection should not open")


def test_a_watermark_never_moves_backwards(store: Store, clock: FakeClock) -> None:
    first = clock.now()
    store.documents.advance_watermark("hesi", first)
    store.documents.advance_watermark("hesi", first - timedelta(days=1))
    assert store.documents.watermark("hesi") == first
    store.documents.advance_watermark("hesi", first + timedelta(days=1))
    assert store.documents.watermark("hesi") == first + timedelta(days=1)


def test_master_data_that_is_gone_stays_as_inactive(store: Store) -> None:
    from include.ports import MasterRecord

    both = [
        MasterRecord("department", "D1", "01", "研发部"),
        MasterRecord("department", "D2", "02", "销售'部%"),
    ]
    store.documents.replace_master("hesi", both)
    store.documents.replace_master("hesi", both[1:])
    m = t.master_record.c
    with reading(store.engine) as connection:
        rows = connection.execute(select(m.id, m.name, m.is_active).order_by(m.id)).all()
    assert [tuple(row) for row in rows] == [("D1", "研发部", False), ("D2", "销售'部%", True)]


def _unlock(connection: object) -> None:
    """Take the guard off the audit events, as somebody with the database's password could."""
    if connection.dialect.name == "postgresql":  # type: ignore[attr-defined]
        connection.execute(text("DROP TRIGGER audit_event_append_only ON audit_event"))  # type: ignore[attr-defined]
    else:
        for action in ("update", "delete"):
            connection.execute(text(f"DROP TRIGGER audit_event_no_{action}"))  # type: ignore[attr-defined]


def test_a_store_of_the_first_schema_is_brought_up_with_its_rows(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'old.db'}")
    config = migrate._config()
    with writing(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        _insert_old(connection, "source_snapshot", id=1)
        _insert_old(connection, "source_document", id=1, code="B0001", snapshot_id=1)
        _insert_old(connection, "source_write_off", document_pk=1, seq=1, amount_minor=100)
    with pytest.raises(FixConfig, match="store migrate"):
        ensure_current(engine)

    upgrade(engine)
    ensure_current(engine)

    with reading(engine) as connection:
        assert connection.scalar(select(t.source_document.c.code)) == "B0001"
        assert connection.scalar(select(t.source_write_off.c.amount_minor)) == 100
        context = MigrationContext.configure(connection, opts={"version_table": "store_version"})
        assert compare_metadata(context, t.metadata) == []
    with pytest.raises(DatabaseError, match="append-only"), writing(engine) as connection:
        connection.execute(text("DELETE FROM source_snapshot"))


def _insert_old(connection: Connection, table: str, **values: object) -> None:
    """A row of an earlier schema; what must not be NULL and is not given is the empty text."""
    needed = connection.exec_driver_sql(f"PRAGMA table_info({table})").all()
    row = {name: "" for _, name, _, not_null, default, _ in needed if not_null and default is None} | values
    marks = ", ".join(f":{name}" for name in row)
    connection.execute(text(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})"), row)  # noqa: S608


def test_a_file_that_is_no_database_is_refused_in_words(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("no database, only words\n" * 100, "utf-8")
    with pytest.raises(FixConfig, match=r"notes\.txt: 不是凭证库文件"):
        ensure_current(open_engine(f"sqlite:///{file}"))
