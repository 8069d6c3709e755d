"""The contract on an emulated YonBIP tenant, and what only YonBIP does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from include.adapters.ledger.yonbip import YonbipGateway
from include.conformance.ledger.yonbip import (
    MINE,
    SAVE,
    VARIANTS,
    MindedGateway,
    Site,
    connect,
    contract_company,
    gateway_of,
    options,
    serving,
)
from include.conformance.ledger_suite import LedgerSuite
from include.conformance.ledger_words import (
    BANK,
    DEPARTMENT,
    EMPLOYEE,
    PROJECT,
    TRAVEL,
    LedgerUnderTest,
    copies,
    line,
    only,
    post,
    voucher,
)
from include.domain.account import AuxiliaryDimension
from include.domain.errors import FixConfig, FixData, OutcomeUnknown, RetryLater
from include.domain.voucher import LedgerVoucherState, PostingOutcome, Side


@pytest.fixture(scope="module", params=VARIANTS)
def books(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LedgerUnderTest]:
    """A tenant for each way of proving that a voucher is there."""
    with VARIANTS[request.param](tmp_path_factory.mktemp("yonbip")) as ledger:
        yield ledger


class TestYonbip(LedgerSuite):
    """The contract, on YonBIP."""


@pytest.fixture(scope="module")
def tenant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One for the tests below, each of which leaves its switches as they were."""
    with serving(tmp_path_factory.mktemp("own"), contract_company()) as running:
        yield running


def ready(tenant: Site, **changes: Any) -> MindedGateway:
    gateway = gateway_of(tenant, **changes)
    gateway.ensure_dimensions([EMPLOYEE, DEPARTMENT, PROJECT])
    gateway.chart()
    return gateway


@pytest.mark.parametrize("kind", ["drop_after", "truncate"])
def test_a_save_whose_answer_is_lost_is_found_by_its_key(tenant: Site, kind: str) -> None:
    gateway, ours = ready(tenant), voucher()
    with tenant.fault(kind, SAVE), pytest.raises(OutcomeUnknown):
        gateway.post([ours])
    there = only(gateway, ours)
    assert there.state is LedgerVoucherState.POSTED
    assert list(gateway.complete([there])) == [there]


def test_a_call_that_arrives_late_does_not_make_two(tenant: Site) -> None:
    """YonBIP takes the first call only after we have looked: the businessId is what keeps the second out."""
    gateway, ours = ready(tenant), voucher()
    with tenant.fault("late_commit", SAVE), pytest.raises(OutcomeUnknown):
        gateway.post([ours])
    assert not gateway.find([ours])
    tenant.admin("release")

    (result,) = gateway.post([ours])

    assert result.ledger_id == only(gateway, ours).ledger_id
    assert len(copies(gateway, ours)) == 1


@pytest.mark.parametrize(
    "change", [{"password": "wrong-secret-7"}, {"login": "stranger"}, {"tenant_id": "nobody"}]
)
def test_a_connection_that_is_wrong_says_what_to_look_at(tenant: Site, change: dict[str, str]) -> None:
    with pytest.raises(FixConfig) as refused:
        YonbipGateway(connect(tenant, **change), options(), "CNY").check()
    named = {"password": "appSecret", "login": "appKey", "tenant_id": "tenant_id"}[next(iter(change))]
    assert named in str(refused.value)
    assert MINE.app_secret not in str(refused.value)


def test_a_value_that_yonbip_lacks_is_rejected_in_its_words(tenant: Site) -> None:
    gateway = ready(tenant)
    stranger = AuxiliaryDimension("employee", "E-nobody")
    ours = voucher(line(Side.DEBIT, TRAVEL, 3, DEPARTMENT), line(Side.CREDIT, "2241.03", 3, stranger))
    (result,) = gateway.post([ours])
    assert result.outcome is PostingOutcome.REJECTED
    assert "E-nobody" in result.message
    assert not gateway.find([ours])


def test_an_account_renamed_or_closed_meanwhile_is_said(tenant: Site) -> None:
    gateway = ready(tenant)
    ours = voucher(line(Side.DEBIT, "9999.99", 3), line(Side.CREDIT, BANK, 3))
    (result,) = gateway.post([ours])
    assert result.outcome is PostingOutcome.REJECTED
    assert "9999.99" in result.message


def test_attachments_and_source_reach_the_books(tenant: Site) -> None:
    gateway, ours = ready(tenant), voucher()
    post(gateway, ours)
    (kept,) = [each for each in tenant.vouchers() if str(ours.key) in str(each)]
    assert kept["attachments"] == ours.attachments


def test_a_voucher_that_was_put_aside_is_deleted_and_no_other(tenant: Site) -> None:
    gateway, ours, other = ready(tenant), voucher(), voucher()
    post(gateway, ours, other)
    aside, saved = only(gateway, ours), only(gateway, other)
    inner = next(each["id"] for each in tenant.vouchers() if str(ours.key) in str(each))
    tenant.admin("status", voucher=inner, to="00")

    draft = only(gateway, ours)
    assert (draft.state, draft.number) == (LedgerVoucherState.DRAFT, "")
    with pytest.raises(FixData):
        gateway.complete([draft])
    with pytest.raises(FixData):
        gateway.discard([draft, saved])
    gateway.discard([draft])

    assert not gateway.find([ours])
    assert only(gateway, other) == saved
    assert aside.ledger_id == draft.ledger_id


def test_reads_that_fail_are_no_absence(tenant: Site) -> None:
    gateway = ready(tenant)
    with tenant.fault("truncate", "queryVouchers"), pytest.raises(RetryLater):
        gateway.find([voucher()])


def test_the_key_may_stand_in_the_external_id_where_the_list_shows_it(tenant: Site) -> None:
    gateway, ours = ready(tenant, key_field="externalSourceDataId"), voucher()
    assert post(gateway, ours) == [PostingOutcome.CREATED]
    with pytest.raises(FixConfig, match="description"):
        gateway.find([ours])
    tenant.admin("options", list_shows=["externalSourceDataId"])
    try:
        assert only(gateway, ours).key == ours.key
    finally:
        tenant.admin("options", list_shows=[])
