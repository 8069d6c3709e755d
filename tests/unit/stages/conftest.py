"""A book on a real store with an OA and a ledger in memory."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from include.ports import DocumentSource, LedgerGateway, ProofLevel
from include.settings import load_settings
from include.stages.context import StageContext
from include.store.store import Store
from tests.conftest import FakeClock
from tests.documents import MASTER
from tests.fakes.ledger import FakeLedger
from tests.fakes.source import FakeSource

MakeContext = Callable[..., StageContext]


@pytest.fixture
def oa() -> FakeSource:
    return FakeSource(name="hesi", form_types=("expense", "loan", "payment"), records=list(MASTER))


@pytest.fixture
def make_context(store: Store, clock: FakeClock) -> MakeContext:
    """A context of book acme over this test's store; a ledger only where the test needs one."""

    def make(source: DocumentSource, ledger: LedgerGateway | None = None) -> StageContext:
        settings = load_settings()

        def connect_ledger() -> LedgerGateway:
            assert ledger is not None, "this stage should not need the ledger"
            return ledger

        return StageContext(
            settings=settings,
            book=settings.book("acme"),
            store=store,
            connect_source=lambda: source,
            connect_ledger=connect_ledger,
            clock=clock,
            actor="test",
        )

    return make


@pytest.fixture(params=[ProofLevel.SEARCHABLE_REFERENCE, ProofLevel.DATE_AND_AMOUNT])
def ledger(request: pytest.FixtureRequest) -> FakeLedger:
    """A ledger with keys, and one without."""
    return FakeLedger(batch_size=4, proof_level=request.param)


@pytest.fixture
def keyed() -> FakeLedger:
    """A ledger that keeps our keys."""
    return FakeLedger(batch_size=4)


@pytest.fixture
def keyless() -> FakeLedger:
    """A ledger that can be searched by date and amount only."""
    return FakeLedger(batch_size=4, proof_level=ProofLevel.DATE_AND_AMOUNT)
