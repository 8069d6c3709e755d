"""An emulated Kingdee site as a process of its own, the accountant's way into it, and the gateway on it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from include.adapters.ledger.kingdee import KingdeeGateway, KingdeeOptions
from include.adapters.ledger.kingdee.client import KingdeeClient
from include.adapters.ledger.kingdee.mapping import KeyField
from include.conformance.ledger_site import Site, suited
from include.conformance.ledger_site import serving as serving_site
from include.conformance.ledger_words import (
    DEPARTMENT,
    EMPLOYEE,
    PROJECT,
    LedgerUnderTest,
)
from include.conformance.subject import timeless_limiter, unsupported
from include.connections import Endpoint
from include.domain.account import AuxiliaryDimension
from include.domain.errors import OutcomeUnknown
from include.domain.period import FiscalPeriod
from include.domain.voucher import Voucher
from include.emulators.kingdee import SITE, Credentials, company

MINE = Credentials()
WRONG = "wrong-secret-7"
SAVE = ".BatchSave."
DIMENSIONS = {
    "supplier": "BD_Supplier",
    "department": "BD_Department",
    "employee": "BD_Empinfo",
    "project": "项目",
}
KEY_FIELDS = {"key in FBUSNO": "FEntity.FBUSNO", "key in a head field": "F_VF_KEY", "no key": ""}


def endpoint(url: str, **changes: str) -> Endpoint:
    """A connection to the site at `url` (without its path); `changes` go to acct_id, app_id, login or password."""
    extra = {"acct_id": MINE.acct_id, "app_id": MINE.app_id} | {
        name: value for name, value in changes.items() if name in ("acct_id", "app_id")
    }
    return Endpoint(
        "kingdee_test",
        f"{url}{SITE}",
        changes.get("login", MINE.user),
        changes.get("password", MINE.app_secret),
        extra,
    )


def serving(folder: Path, seed: dict[str, Any], **options: Any) -> AbstractContextManager[Site]:
    """A site of its own, with the switches of `include.emulators.kingdee.options`."""
    return serving_site("kingdee", folder, seed, options, path=SITE)


def contract_company() -> dict[str, Any]:
    return suited(company())


def contract_chart() -> str:
    return str(next(iter(company()["charts"])))


class MindedGateway(KingdeeGateway):
    """A gateway beside which somebody makes the master data that are missing: we make none in Kingdee."""

    site: Site

    def ensure_dimensions(self, values: Iterable[AuxiliaryDimension]) -> None:
        wanted = [value for value in values if value.kind in self.dimension_kinds]
        self.site.make(wanted)
        super().ensure_dimensions(wanted)


def options(**changes: Any) -> dict[str, Any]:
    given = KingdeeOptions.model_validate(
        {"book": "001", "dimensions": DIMENSIONS, "page_size": 5, "settle_s": 0} | changes
    )
    others = {"organisation", "key_field", "key_length", "connect_timeout_s", "read_timeout_s"}
    return {name: getattr(given, name) for name in KingdeeOptions.model_fields if name not in others} | {
        "key": KeyField.of(given.key_field, given.key_length)
    }


def connect(site: Site, **changes: Any) -> KingdeeClient:
    return KingdeeClient(
        endpoint(site.url, **changes),
        connect_timeout_s=10,
        read_timeout_s=60,
        limiter=timeless_limiter(),
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
    secrets: tuple[str, ...] = (MINE.app_secret, MINE.app_id, WRONG)
    party: frozenset[str] = frozenset({"employee"})
    """Kingdee says exactly which dimension an account requires."""
    least_pages: int = 2

    def make(self, values: Sequence[AuxiliaryDimension]) -> None:
        self.gateway.ensure_dimensions(values)

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
        unsupported(
            "会计日历不列调整期，我方凭证从不标记调整期 / its calendar lists no adjustment periods, and no voucher of ours is marked for one"
        )

    def leave_draft(self, voucher: Voucher) -> None:
        with self.site.fault("drop_after", SAVE), pytest.raises(OutcomeUnknown):
            self.gateway.post([voucher])

    def cancel(self, ledger_id: str) -> None:
        self.site.admin("void", voucher=int(ledger_id))

    @contextmanager
    def unreadable(self) -> Iterator[None]:
        with self.site.fault("status", ".ExecuteBillQuery.", times=50):
            yield

    def gateway_that_creates_nothing(self) -> KingdeeGateway:
        return KingdeeGateway(connect(self.site), currency="CNY", **options())

    def with_wrong_secret(self) -> KingdeeGateway:
        return KingdeeGateway(connect(self.site, password=WRONG), currency="CNY", **options())

    def lose_answers(self) -> AbstractContextManager[None]:
        return self.site.fault("drop_after", SAVE)

    def lose_requests(self) -> AbstractContextManager[None]:
        return self.site.fault("drop_before", SAVE)

    def break_answers(self) -> AbstractContextManager[None]:
        return self.site.fault("truncate", SAVE)

    def refuse_calls(self) -> AbstractContextManager[None]:
        return self.site.fault("vendor", SAVE, name="rate_limit", times=2)

    def expire_sessions(self) -> None:
        self.site.admin("sessions")


@contextmanager
def emulated(key_field: str, folder: Path) -> Iterator[LedgerUnderTest]:
    """A site with few rows a page. What is found by date and amount must not meet other cases' vouchers: one site each."""
    with serving(folder, contract_company(), custom_fields=["F_VF_KEY"]) as site:
        gateway = gateway_of(site, key_field=key_field)
        gateway.ensure_dimensions([EMPLOYEE, DEPARTMENT, PROJECT])
        yield KingdeeBooks(site, gateway)


VARIANTS = {name: partial(emulated, key_field) for name, key_field in KEY_FIELDS.items()}
