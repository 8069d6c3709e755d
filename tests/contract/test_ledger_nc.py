"""The contract on an emulated NC site, over both interfaces, and what only NC does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from include.conformance.ledger.nc import SEND, VARIANTS, Site, contract_company, gateway_of, serving
from include.conformance.ledger_suite import LedgerSuite
from include.conformance.ledger_words import (
    DEPARTMENT,
    EMPLOYEE,
    PROJECT,
    TRAVEL,
    LedgerUnderTest,
    copies,
    line,
    only,
    voucher,
)
from include.domain.account import AuxiliaryDimension
from include.domain.errors import FixConfig, FixData, OutcomeUnknown
from include.domain.voucher import PostingOutcome, Side


@pytest.fixture(scope="module", params=VARIANTS)
def books(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LedgerUnderTest]:
    """A site for each interface."""
    with VARIANTS[request.param](tmp_path_factory.mktemp("nc")) as ledger:
        yield ledger


class TestNc(LedgerSuite):
    """The contract, on NC."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One for the tests below, each of which leaves its switches as they were."""
    with serving(tmp_path_factory.mktemp("own"), contract_company()) as running:
        running.make([EMPLOYEE, DEPARTMENT, PROJECT])
        yield running


def test_a_call_that_arrives_late_does_not_make_two(site: Site) -> None:
    """NC takes the first call only after we have looked: the id is what keeps the second out."""
    gateway, ours = gateway_of(site), voucher()
    gateway.chart()
    with site.fault("late_commit", SEND["http"]), pytest.raises(OutcomeUnknown):
        gateway.post([ours])
    assert not gateway.find([ours])
    site.admin("release")

    (result,) = gateway.post([ours])

    assert result.outcome is PostingOutcome.EXISTS
    assert len(copies(gateway, ours)) == 1


@pytest.mark.parametrize(
    "switches",
    [
        {"answer": "attributes", "answer_order": "reversed", "success_flag": ""},
        {"answer_encoding": "GBK", "declared_in": "header", "content": "empty", "with_billpk": True},
    ],
)
def test_variants_of_the_answer_are_read(site: Site, switches: dict[str, object]) -> None:
    usual = {name: site.admin("options")[name] for name in switches}
    site.admin("options", **switches)
    try:
        gateway, first, second = gateway_of(site), voucher(), voucher()
        stranger = AuxiliaryDimension("employee", "E-nobody")
        bad = voucher(line(Side.DEBIT, TRAVEL, 3, DEPARTMENT), line(Side.CREDIT, "2241.03", 3, stranger))
        results = gateway.post([first, bad, second])
    finally:
        site.admin("options", **usual)
    created, rejected = PostingOutcome.CREATED, PostingOutcome.REJECTED
    assert [each.outcome for each in results] == [created, rejected, created]
    assert "E-nobody" in results[1].message
    assert results[0].number == only(gateway, first).number


@pytest.mark.parametrize(
    "fault",
    [{"name": "login_page"}, {"name": "database"}, {"name": "raw", "body": "<!DOCTYPE a><ufinterface/>"}],
)
def test_an_answer_that_says_nothing_is_no_refusal(site: Site, fault: dict[str, str]) -> None:
    gateway = gateway_of(site)
    gateway.chart()
    with site.fault("vendor", SEND["http"], **fault), pytest.raises(OutcomeUnknown):
        gateway.post([voucher()])


def test_an_id_whose_voucher_was_deleted_in_nc_is_in_doubt(site: Site) -> None:
    gateway, ours = gateway_of(site), voucher()
    (first,) = gateway.post([ours])
    site.admin("delete", voucher=int(first.ledger_id[-10:]))
    assert gateway.post([ours])[0].outcome is PostingOutcome.UNKNOWN


def test_what_was_imported_is_not_deleted_by_us(site: Site) -> None:
    gateway, ours = gateway_of(site), voucher()
    gateway.post([ours])
    with pytest.raises(FixData, match="reverse"):
        gateway.discard([only(gateway, ours)])


def test_a_sender_that_is_not_registered_is_a_matter_of_settings(site: Site) -> None:
    with pytest.raises(FixConfig, match="sender"):
        gateway_of(site, sender="STRANGER").post([voucher()])
