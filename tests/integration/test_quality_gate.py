"""The gate as its callers meet it: scope, messages, what happens when it breaks, and what it leaves behind."""

from __future__ import annotations

import gc
import logging
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, inspect, select

from include.domain.document import Disposition, DocumentKind
from include.domain.errors import FixConfig, RetryLater
from include.quality.check import Check, Rule, between, in_set
from include.quality.expectations import Evaluator
from include.quality.gate import check_documents, check_vouchers
from include.quality.report import GateError, GateReport
from include.quality.staging import staging
from include.store.tables import source_document
from tests.builders import BOOK, DAY, SOURCE, StoreBuilder

ARGUMENTS: Mapping[str, Any] = {
    "book": BOOK,
    "source": SOURCE,
    "legal_entities": ["E01"],
    "currency": "CNY",
    "source_start": date(2026, 1, 1),
    "now": datetime(2026, 11, 20, 8, tzinfo=UTC),
}


def _check(engine: Engine, **overrides: Any) -> GateReport:
    return check_documents(engine, **{**ARGUMENTS, **overrides})


def _codes(report: GateReport) -> dict[int, set[str]]:
    found: dict[int, set[str]] = {}
    for failure in report.failures:
        found.setdefault(failure.document_pk, set()).add(failure.problem.code)
    return found


def test_an_empty_store_passes_without_starting_the_library(engine: Engine):
    assert _check(engine) == GateReport(checked=0, failures=(), statistics=_check(engine).statistics)
    assert check_vouchers(engine, book=BOOK, currency="CNY").checked == 0


def test_only_the_book_the_days_and_the_dispositions_asked_for_are_looked_at(engine: Engine):
    with engine.begin() as connection:
        b = StoreBuilder(connection)
        b.master_data()
        broken: dict[str, Any] = {"company_paid_minor": -1}
        inside = b.document(**broken)
        quarantined = b.document(**broken, disposition=Disposition.QUARANTINED)
        for outside in (
            {"disposition": Disposition.ACCEPTED},
            {"disposition": Disposition.NOT_DUE},
            {"book": "other"},
            {"source": "other"},
            {"is_current": False},
            {"business_date": date(2026, 3, 9)},
            {"business_date": date(2026, 3, 11)},
        ):
            b.document(**broken, **outside)
        absurd = b.document(business_date=date(9999, 1, 1))
        undated = b.document(business_date=None)
    report = _check(engine, date_from=DAY, date_to=DAY)
    assert _codes(report) == {
        inside: {"company_paid.out_of_range"},
        quarantined: {"company_paid.out_of_range"},
        absurd: {"business_date.implausible"},
        undated: {"business_date.missing"},
    }
    assert report.checked == 4
    assert report.last_document_pk == undated


def test_messages_say_what_where_and_what_to_do_with_the_values_of_the_document(engine: Engine):
    name = "差旅'\"%s:x\\{line_no}😀"
    with engine.begin() as connection:
        b = StoreBuilder(connection)
        b.master_data()
        b.document(code="B-1", submitted_at=None, approved_at=datetime(2026, 3, 1, tzinfo=UTC))
        b.document(
            code="B-1",
            gross_minor=123_450,
            company_paid_minor=-123_450,
            submitted_at=datetime(2026, 3, 2, tzinfo=UTC),
            lines=[{"amount_minor": 123_450}, {"amount_minor": 0, "fee_type_name": name}],
        )
    problems = {f.problem.code: f.problem for f in _check(engine).failures}
    assert set(problems) == {"code.duplicate", "company_paid.out_of_range", "line.amount.not_positive"}
    assert "-1,234.50 CNY" in problems["company_paid.out_of_range"].zh
    assert "-1,234.50 CNY" in problems["company_paid.out_of_range"].en
    assert "doc-00001" in problems["code.duplicate"].zh
    assert "doc-00002" in problems["code.duplicate"].zh
    assert problems["code.duplicate"].cause == "code.duplicate:B-1"
    line = problems["line.amount.not_positive"]
    assert (line.line_no, line.where) == (2, "lines[2].amount")
    assert name in line.zh
    assert name in line.en


def test_amounts_are_written_in_the_currency_they_are_in(engine: Engine):
    with engine.begin() as connection:
        b = StoreBuilder(connection)
        b.master_data()
        b.document(
            lines=[{"currency": "JPY", "rate": "0.05", "amount_minor": 2**62, "functional_minor": 10_000}]
        )
    (failure,) = _check(engine).failures
    assert f"{2**62:,} JPY" in failure.problem.en


def test_all_failing_documents_are_named_however_many(engine: Engine):
    with engine.begin() as connection:
        b = StoreBuilder(connection)
        b.master_data()
        keys = {b.document(company_paid_minor=-1) for _ in range(60)}
    assert _check(engine).failed_documents == keys


def test_problems_of_the_extract_are_not_told_twice(engine: Engine):
    with engine.begin() as connection:
        b = StoreBuilder(connection)
        b.master_data()
        document = b.document(gross_minor=None, payable_minor=None, lines=[], kind=DocumentKind.UNKNOWN)
        b.problem(document)
    report = _check(engine)
    assert report.failures == ()
    assert report.unreadable == (document,)
    assert report.failed_documents == {document}


def test_hostile_arguments_are_values_and_nothing_else(engine: Engine):
    hostile = "'; DROP TABLE source_document; -- %s :x \\ \"😀"
    with engine.begin() as connection:
        b = StoreBuilder(connection, source=hostile[:60], book=hostile[:60])
        b.master_data()
        document = b.document(legal_entity_code=hostile)
    report = _check(engine, book=hostile[:60], source=hostile[:60], legal_entities=[hostile])
    assert (report.checked, report.failures, report.last_document_pk) == (1, (), document)


@pytest.mark.parametrize(
    "check",
    [
        Check("no.such.column", "nowhere", between(0, 1), "", "x", "x"),
        Check(
            "wrong.type", "document_pk", Rule("ExpectColumnValuesToMatchRegex", {"regex": "("}), "", "x", "x"
        ),
    ],
    ids=lambda check: check.code,
)
def test_a_check_that_cannot_be_evaluated_stops_the_gate(engine: Engine, check: Check):
    with engine.begin() as connection:
        b = StoreBuilder(connection)
        b.document()
    sound = Check("sound", "document_id", in_set("doc-00001"), "", "x", "x")
    d = source_document
    with staging(engine) as work:
        rows = select(d.c.id.label("document_pk"), d.c.document_id)
        table = work.fill("gate_document", rows, ["document_pk"])
        work.seal()
        evaluator = Evaluator(work.engine)
        with pytest.raises(GateError, match=check.code) as raised:
            evaluator.failed_checks(table, 1, [sound, check])
        evaluator.close()
    assert isinstance(raised.value, FixConfig)


def test_a_gate_sees_one_state_of_the_store(engine: Engine):
    with engine.begin() as connection:
        StoreBuilder(connection).document()
    rows = select(source_document.c.id)
    with staging(engine) as work:
        before = work.fill("gate_before", rows, ["id"])
        with engine.begin() as connection:
            StoreBuilder(connection).document(document_id="meanwhile")
        after = work.fill("gate_after", rows, ["id"])
        assert (work.count(before), work.count(after)) == (1, 1)


def test_a_store_that_cannot_be_read_is_tried_again_later(engine: Engine):
    broken = create_engine(
        "sqlite:////nowhere/at/all.db"
        if engine.dialect.name == "sqlite"
        else engine.url.set(database="there_is_no_such_database")
    )
    with pytest.raises(RetryLater, match="质量关"):
        _check(broken)
    broken.dispose()


def test_nothing_is_left_behind(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with engine.begin() as connection:
        b = StoreBuilder(connection)
        b.master_data()
        b.document(company_paid_minor=-1)
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.rglob("*"))
    tables = set(inspect(engine).get_table_names())
    in_pool = engine.pool.status()
    _check(engine)
    gc.collect()
    assert set(inspect(engine).get_table_names()) == tables
    with engine.connect() as connection:
        names = set(inspect(connection).get_temp_table_names()) if engine.dialect.name == "sqlite" else set()
    assert not {name for name in names if name.startswith("gate_")}
    assert {p for p in set(tmp_path.rglob("*")) - before if not p.name.endswith(("-wal", "-shm"))} == set()
    assert engine.pool.status().split("Current Overflow")[1] == in_pool.split("Current Overflow")[1]


def test_the_gate_is_quiet(
    engine: Engine, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
):
    with engine.begin() as connection:
        b = StoreBuilder(connection)
        b.master_data()
        b.document(company_paid_minor=-1)
    with caplog.at_level(logging.INFO):
        _check(engine)
    assert [record.getMessage() for record in caplog.records] == []
    assert capfd.readouterr() == ("", "")


def test_importing_the_gate_does_not_import_the_library():
    probe = "import sys, include.quality.gate; print('great_expectations' in sys.modules, 'pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
