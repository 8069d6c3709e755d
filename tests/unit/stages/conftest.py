"""A book on a real store with an OA and a ledger in memory."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from include.ports import DocumentSource, LedgerGateway
from include.settings import load_settings
from include.stages.context import StageContext
from include.store.store import Store
from tests.conftest import FakeClock
from tests.documents import MASTER
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
