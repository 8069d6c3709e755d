"""`./voucherflow follow` and `./voucherflow chain` as a person types them."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner, Result

from include.cli import app
from include.domain.errors import FixConfig, FixData
from include.domain.voucher import VoucherStatus
from include.store.corrections import Relation
from tests.builders import StoreBuilder

COMMANDS = CliRunner()


@pytest.fixture
def chain(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A document whose voucher was reversed and replaced, in the store that commands use."""
    with engine.begin() as connection:
        store = StoreBuilder(connection)
        first = store.document(document_id="ID_1", code="B26000001", is_current=False)
        second = store.document(document_id="ID_1", code="B26000001", revision=2)
        posted = {"document_id": "ID_1", "status": VoucherStatus.POSTED}
        original = store.voucher(first, ledger_number="记-1", **posted)
        store.voucher(
            first,
            event="expense_claim.reversal",
            relation=Relation.REVERSAL,
            original_id=original,
            ledger_number="记-2",
            **posted,
        )
        store.voucher(
            second,
            key="VF/acme/hesi/ID_1/expense_claim/2",
            revision=2,
            relation=Relation.REPLACEMENT,
            original_id=original,
            ledger_number="记-3",
            **posted,
        )
    monkeypatch.setenv("VOUCHERFLOW_STORE", engine.url.render_as_string(hide_password=False))


def run(*arguments: str) -> Result:
    return COMMANDS.invoke(app, list(arguments))


def test_the_chain_is_shown_both_ways(chain: None) -> None:
    result = run("chain", "acme", "B26000001", "--json")
    found = json.loads(result.output)
    assert [(one["ledger_number"], one["relation"], one["revision"]) for one in found] == [
        ("记-1", "", 1),
        ("记-2", "reversal", 1),
        ("记-3", "replacement", 2),
    ]
    original = found[0]["id"]
    assert found[0]["followed_by"] == [found[1]["id"], found[2]["id"]]
    assert [one["original_id"] for one in found] == [None, original, original]


def test_the_chain_is_shown_for_people(chain: None) -> None:
    result = run("chain", "acme", "ID_1")
    assert result.exit_code == 0
    for word in ("记-1", "冲销", "重做"):
        assert word in result.output


def test_a_document_without_vouchers_is_said_to_have_none(chain: None) -> None:
    assert isinstance(run("chain", "acme", "B99").exception, FixData)


def test_a_decision_names_both_document_and_action(chain: None) -> None:
    for arguments in (["--document", "B26000001"], ["--action", "keep"]):
        assert isinstance(run("follow", "acme", *arguments).exception, FixConfig)


def test_only_decisions_that_exist_are_taken(chain: None) -> None:
    result = run("follow", "acme", "--document", "B26000001", "--action", "delete")
    assert result.exit_code == 2
