"""The contract on an emulated Kingdee site, and what only Kingdee does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from include.adapters.ledger.kingdee import KingdeeGateway, KingdeeOptions
from include.adapters.ledger.kingdee.client import KingdeeClient
from include.adapters.ledger.kingdee.mapping import KeyField
from include.domain.account import AuxiliaryDimension
from include.domain.errors import OutcomeUnknown
from include.domain.period import FiscalPeriod
from include.domain.voucher import PostingOutcome, Voucher
from include.emulators.kingdee import company
from include.pace import Limiter
from tests.contract.kingdee_site import Site, endpoint, serving
from tests.contract.ledger_contract import (
    ADJUSTED,
    DEPARTMENT,
    EMPLOYEE,
    EMPLOYEE_PAYABLE,
    GROUP,
    PROJECT,
    TRAVEL,
    UNKNOWN,
    LedgerContract,
    LedgerUnderTest,
    only,
    post,
    voucher,
)

DIMENSIONS = {
    "supplier": "BD_Supplier",
    "department": "BD_Department",
    "employee": "BD_Empinfo",
    "project": "项目",
}
KEY_FIELDS = ("FEntity.FBUSNO", "F_VF_KEY", "")
MAY_BE_EMPTY = (("department", False), ("project", False))


def contract_company() -> dict[str, Any]:
    """The emulator's company with what the contract asks for: expenses without a required dimension, the dinar."""
    seed = company()
    for account in next(iter(seed["charts"].values())):
        if account["code"].startswith(("6601.", "6602.")) and account["dimensions"]:
            account["dimensions"] = MAY_BE_EMPTY
    seed["currencies"].append(["KWD", "科威特第纳尔", 3])
    return seed


class MindedGateway(KingdeeGateway):
    """A gateway beside which somebody makes the master data that are missing: we make none in Kingdee."""

    site: Site

    def ensure_dimensions(self, values: Iterable[AuxiliaryDimension]) -> None:
        wanted = [value for value in values if value.kind in self.dimension_kinds]
        items: dict[str, list[list[str]]] = {}
        for value in wanted:
            items.setdefault(value.kind, []).append([value.code, value.name.replace("\n", " ") or value.code])
        self.site.admin("seed", items=items)
        super().ensure_dimensions(wanted)


def options(**changes: Any) -> dict[str, Any]:
    given = KingdeeOptions.model_validate(
        {"book": "001", "dimensions": DIMENSIONS, "page_size": 5, "settle_s": 0} | changes
    )
    names = ("book", "dimensions", "words", "finish", "rate_type", "current_period", "batch_size")
    names += ("settle_s", "page_size", "view_hidden")
    return {name: getattr(given, name) for name in names} | {
        "key": KeyField.of(given.key_field, given.key_length)
    }


def connect(site: Site, **changes: Any) -> KingdeeClient:
    return KingdeeClient(
        endpoint(site.url, **changes),
        connect_timeout_s=10,
        read_timeout_s=60,
        limiter=Limiter(sleep=lambda _seconds: None),
    )


def gateway_of(site: Site, **changes: Any) -> MindedGateway:
    gateway = MindedGateway(connect(site), currency="CNY", **options(**changes))
    gateway.site = site
    return gateway


@dataclass
class KingdeeBooks:
    site: Site
    gateway: MindedGateway
    closed: list[tuple[int, int]] = field(default_factory=list)

    def close(self, period: FiscalPeriod) -> None:
        """As Kingdee closes: every period before it too."""
        self.closed = [
            (year, month)
            for year in range(2025, period.year + 1)
            for month in range(1, 13)
            if (year, month) <= (period.year, period.month)
        ]
        self._set_closed("closed")

    def reopen(self, period: FiscalPeriod) -> None:
        assert (period.year, period.month) in self.closed
        self._set_closed("open")

    def _set_closed(self, state: str) -> None:
        for year, month in self.closed:
            self.site.admin("period", book="001", year=year, period=month, state=state)

    def adjust(self, period: FiscalPeriod) -> None:
        raise NotImplementedError("the site's calendar shows none")

    def leave_draft(self, voucher: Voucher) -> None:
        with self.site.fault("drop_after", ".BatchSave."), pytest.raises(OutcomeUnknown):
            self.gateway.post([voucher])

    def cancel(self, ledger_id: str) -> None:
        self.site.admin("void", voucher=int(ledger_id))

    @contextmanager
    def unreadable(self) -> Iterator[None]:
        with self.site.fault("status", ".ExecuteBillQuery.", times=50):
            yield

    def gateway_that_creates_nothing(self) -> KingdeeGateway:
        return KingdeeGateway(self.gateway._client, currency="CNY", **options())


@pytest.fixture(scope="module", params=KEY_FIELDS, ids=["key in FBUSNO", "key in a head field", "no key"])
def keyed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Site, str]]:
    """A site for each way of keeping our key: what is found by date and amount must not meet the others' vouchers."""
    folder = tmp_path_factory.mktemp("kingdee")
    with serving(folder, contract_company(), custom_fields=["F_VF_KEY"]) as running:
        yield running, request.param


@pytest.fixture
def books(keyed: tuple[Site, str]) -> KingdeeBooks:
    site, key_field = keyed
    gateway = gateway_of(site, key_field=key_field)
    gateway.ensure_dimensions([EMPLOYEE, DEPARTMENT, PROJECT])
    return KingdeeBooks(site, gateway)


class TestKingdee(LedgerContract):
    """The contract, on Kingdee, with the key in a field and without one."""

    def test_the_chart_tells_leaves_from_groups_and_who_needs_a_party(self, books: LedgerUnderTest) -> None:
        """Kingdee says exactly which dimension an account requires."""
        accounts = books.gateway.chart().accounts

        assert (accounts[TRAVEL].name, accounts[TRAVEL].is_leaf, accounts[TRAVEL].is_active) == (
            "差旅费",
            True,
            True,
        )
        assert not accounts[GROUP].is_leaf
        assert accounts[EMPLOYEE_PAYABLE].required_dimensions == {"employee"}
        assert accounts["2202.01"].required_dimensions == {"supplier"}
        assert accounts[TRAVEL].required_dimensions == frozenset()
        assert UNKNOWN not in accounts

    def test_an_adjustment_period_never_takes_a_voucher_of_ours(self, books: LedgerUnderTest) -> None:
        """Kingdee's calendar lists none; what we send is never marked for one."""
        ours = voucher(day=ADJUSTED.last_day)

        assert post(books.gateway, ours) == [PostingOutcome.CREATED]

        assert only(books.gateway, ours).period == ADJUSTED.code
        assert not any(period.is_adjustment for period in books.gateway.periods())
