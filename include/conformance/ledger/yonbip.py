"""An emulated YonBIP tenant as a process of its own, the accountant's way into it, and the gateway on it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from include.adapters.ledger.yonbip import YonbipGateway, YonbipOptions
from include.adapters.ledger.yonbip.client import YonbipClient
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
from include.domain.period import FiscalPeriod
from include.domain.voucher import Voucher
from include.emulators.yonbip import Credentials, company

DIMENSIONS = {"supplier": "0004", "department": "0001", "employee": "0003", "project": "0002"}
MINE = Credentials()
WRONG = "wrong-secret-7"
SAVE, LIST = "addVoucher", "queryVouchers"
VARIANT_OPTIONS: Mapping[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "key in the head": ({}, {}),
    "businessId refused": ({"business_id": "refused"}, {"repeat": "refuse"}),
    "no key": ({"key_field": ""}, {}),
}
"""Options of the book, switches of the tenant."""


def endpoint(url: str, **changes: str) -> Endpoint:
    """A connection to the platform at `url`; `changes` go to tenant_id, login or password."""
    return Endpoint(
        "yonbip_test",
        url,
        changes.get("login", MINE.app_key),
        changes.get("password", MINE.app_secret),
        {"tenant_id": changes.get("tenant_id", MINE.tenant_id)},
    )


def serving(folder: Path, seed: dict[str, Any], **options: Any) -> AbstractContextManager[Site]:
    """A tenant of its own, with the switches of `include.emulators.yonbip.options`."""
    return serving_site("yonbip", folder, seed, options)


def contract_company() -> dict[str, Any]:
    return suited(company())


class MindedGateway(YonbipGateway):
    """A gateway beside which somebody makes the master data that are missing: we make none in YonBIP."""

    tenant: Site

    def ensure_dimensions(self, values: Iterable[AuxiliaryDimension]) -> None:
        wanted = [value for value in values if value.kind in self.dimension_kinds]
        self.tenant.make(wanted)
        super().ensure_dimensions(wanted)


def options(**changes: Any) -> YonbipOptions:
    given: dict[str, Any] = {
        "book": "001",
        "words": {"记": "1", "收": "2", "付": "3", "转": "4"},
        "maker": MINE.maker,
        "dimensions": DIMENSIONS,
        "batch_size": 20,
        "page_size": 5,
        "settle_s": 0,
    }
    return YonbipOptions.model_validate(given | changes)


def connect(tenant: Site, **changes: str) -> YonbipClient:
    waited: list[float] = []
    return YonbipClient(
        endpoint(tenant.url, **changes),
        connect_timeout_s=10,
        read_timeout_s=60,
        limiter=timeless_limiter(),
        sleep=waited.append,
    )


def gateway_of(tenant: Site, **changes: Any) -> MindedGateway:
    gateway = MindedGateway(connect(tenant), options(**changes), "CNY")
    gateway.tenant = tenant
    return gateway


@dataclass
class YonbipBooks:
    tenant: Site
    gateway: MindedGateway
    changes: Mapping[str, Any]
    secrets: tuple[str, ...] = (MINE.app_secret, MINE.app_key, WRONG)
    party: frozenset[str] = frozenset()
    """The interface does not say what accounts require."""

    least_pages: int = 2

    def make(self, values: Sequence[AuxiliaryDimension]) -> None:
        self.gateway.ensure_dimensions(values)

    def close(self, period: FiscalPeriod) -> None:
        self._set(period, "closed")

    def reopen(self, period: FiscalPeriod) -> None:
        self._set(period, "open")

    def _set(self, period: FiscalPeriod, state: str) -> None:
        self.tenant.admin("period", book="001", year=period.year, period=period.month, state=state)

    def adjust(self, period: FiscalPeriod) -> None:
        unsupported(
            "期间查询不给出调整期的日期，我方凭证只写自然月 / the interface gives no days of adjustment periods, and vouchers of ours name a month"
        )

    def leave_draft(self, voucher: Voucher) -> None:
        unsupported(
            "凭证由一次调用保存，不会留下草稿；暂存的凭证没有接口可以保存 / a voucher is saved by one call, which leaves no draft, and there is no "
            "interface that saves one that was put aside"
        )

    def cancel(self, ledger_id: str) -> None:
        self.tenant.admin("void", voucher=self._number(ledger_id))

    def _number(self, ledger_id: str) -> int:
        return int(ledger_id)

    @contextmanager
    def unreadable(self) -> Iterator[None]:
        with self.tenant.fault("status", LIST, times=50):
            yield

    def gateway_that_creates_nothing(self) -> YonbipGateway:
        unsupported(
            "没有公开接口可按编码查询各类辅助核算的值，不存在的值由用友保存时拒绝 / no documented interface looks auxiliary values of every kind up; "
            "YonBIP refuses those that it lacks when a voucher is saved"
        )

    def with_wrong_secret(self) -> YonbipGateway:
        return YonbipGateway(connect(self.tenant, password=WRONG), options(**self.changes), "CNY")

    def lose_answers(self) -> AbstractContextManager[None]:
        return self.tenant.fault("drop_after", SAVE)

    def lose_requests(self) -> AbstractContextManager[None]:
        return self.tenant.fault("drop_before", SAVE)

    def break_answers(self) -> AbstractContextManager[None]:
        return self.tenant.fault("truncate", SAVE)

    def refuse_calls(self) -> AbstractContextManager[None]:
        return self.tenant.fault("vendor", SAVE, name="rate_limit", times=2)

    def expire_sessions(self) -> None:
        self.tenant.admin("tokens")


@contextmanager
def emulated(variant: str, folder: Path) -> Iterator[LedgerUnderTest]:
    """A tenant with few vouchers a page. What is found by date and amount must not meet other cases' vouchers: one each."""
    changes, switches = VARIANT_OPTIONS[variant]
    with serving(folder, contract_company(), **switches) as tenant:
        gateway = gateway_of(tenant, **changes)
        gateway.ensure_dimensions([EMPLOYEE, DEPARTMENT, PROJECT])
        yield YonbipBooks(tenant, gateway, changes)


VARIANTS = {name: partial(emulated, name) for name in VARIANT_OPTIONS}
