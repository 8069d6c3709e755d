"""One store per backend with all cases in it, and what the gates say of it: the library is slow to start."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, make_url

from include.domain.account import Account, Chart
from include.domain.requirements import EntryRequirement, EventRequirement, Requirements
from include.quality.gate import check_documents, check_vouchers
from include.quality.report import GateReport
from include.store.engine import open_engine
from include.store.tables import metadata
from tests.builders import StoreBuilder
from tests.unit.quality.cases import DOCUMENT_CASES, NUL_CASES, VOUCHER_CASES, Case

NOW = datetime(2026, 11, 20, 8, tzinfo=UTC)
ARGUMENTS: Mapping[str, Any] = {
    "book": "acme",
    "source": "hesi",
    "legal_entities": ["E01"],
    "currency": "CNY",
    "source_start": date(2026, 1, 1),
    "now": NOW,
}
CHART = Chart.of(
    [
        Account("6602", "管理费用", is_leaf=False),
        Account("6602.10", "差旅费", is_leaf=True, required_dimensions=frozenset({"department"})),
        Account("6602.11", "其他", is_leaf=True),
        Account("6699", "停用", is_leaf=True, is_active=False),
        Account("6699.01", "尾差", is_leaf=True),
        Account("2241.03", "员工往来", is_leaf=True, required_dimensions=frozenset({"party"})),
    ]
)

RULES = Requirements(
    digest="in force",
    folder="rules/test",
    decimals=2,
    legal_entities=("E01",),
    receives_unassigned=True,
    residue="account",
    residue_account="6699.01",
    tax_is_computed=False,
    events=(
        EventRequirement(
            "a.yaml#claim",
            "claim",
            ("expense_claim",),
            entries=(
                EntryRequirement(
                    "expense", "a.yaml:5 (claim.expense)", "line", "debit", 1, "gross",
                    accounts={"6602.10": frozenset({"department", "project"})},
                ),
                EntryRequirement(
                    "owed", "a.yaml:6 (claim.owed)", "document", "credit", -1, "payable",
                    accounts={"2241.03": frozenset({"employee"})},
                ),
            ),
        ),
    ),
    tables={},
)  # fmt: skip
"""What vouchers are held against that carry this digest."""


@dataclass(frozen=True)
class Judged:
    """Keys by case name, and the report on all cases together."""

    engine: Engine
    keys: Mapping[str, int]
    report: GateReport

    def codes(self, case: Case) -> set[str]:
        """What the gate said of a case; documents with recorded problems show as `extract.open`."""
        key = self.keys[case.name]
        found = {f.problem.code for f in self.report.failures if f.document_pk == key}
        return found | ({"extract.open"} if key in self.report.unreadable else set())


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def empty_store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The bare tables on each backend, shared by a module."""
    if request.param == "sqlite":
        engine = open_engine(f"sqlite:///{tmp_path_factory.mktemp('gate') / 'store.db'}")
    else:
        server = open_engine(request.getfixturevalue("postgresql_url"))
        name = "gate_" + request.module.__name__.rpartition(".")[2]
        with server.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        server.dispose()
        engine = create_engine(make_url(server.url).set(database=name))
    metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def keys(empty_store: Engine) -> dict[str, int]:
    """All cases in the store: the key of the document that each is about, by the case's name."""
    cases = (*DOCUMENT_CASES, *(NUL_CASES if empty_store.dialect.name == "sqlite" else ()), *VOUCHER_CASES)
    with empty_store.connect() as connection:
        builder = StoreBuilder(connection)
        builder.master_data()
        built = {case.name: case.build(builder) for case in cases}
        connection.commit()
    assert len(built) == len(cases), "two cases have one name"
    return built


@pytest.fixture(scope="module")
def documents(empty_store: Engine, keys: dict[str, int]) -> Judged:
    """The verdict on all document cases."""
    return Judged(empty_store, keys, check_documents(empty_store, **ARGUMENTS))


@pytest.fixture(scope="module")
def vouchers(empty_store: Engine, keys: dict[str, int]) -> Judged:
    """The verdict on all voucher cases."""
    return Judged(
        empty_store,
        keys,
        check_vouchers(empty_store, book="acme", currency="CNY", chart=CHART, requirements=RULES),
    )
