"""An emulated NC site as a process of its own, the accountant's way into it, and the gateway on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

from include.adapters.ledger.nc import NcGateway, NcOptions, connect
from include.conformance.ledger_site import Site, suited
from include.conformance.ledger_site import serving as serving_site
from include.conformance.ledger_words import DEPARTMENT, EMPLOYEE, PROJECT, YEAR, LedgerUnderTest, voucher
from include.conformance.subject import timeless_limiter, unsupported
from include.connections import Endpoint
from include.domain.account import AuxiliaryDimension
from include.domain.period import FiscalPeriod
from include.domain.voucher import Voucher
from include.emulators.nc import BOOK, Credentials, company

DIMENSIONS = {"supplier": "0004", "department": "0001", "employee": "0002", "project": "0010"}
MINE = Credentials()
WRONG = "wrong-secret-7"
SEND = {"http": "XChangeServlet", "soap": "IPfxxWs"}


def endpoint(url: str, password: str = MINE.view_password) -> Endpoint:
    extra = {"view_user": MINE.view_user, "view_password": password}
    return Endpoint("nc_test", url, extra=extra)


def serving(folder: Path, seed: dict[str, Any], **options: Any) -> AbstractContextManager[Site]:
    """A site of its own, with the switches of `include.emulators.nc.options`."""
    return serving_site("nc", folder, seed, options, VOUCHERFLOW_NC_VIEW_PASSWORD=MINE.view_password)


def contract_company() -> dict[str, Any]:
    return suited(company())


def options(**changes: Any) -> NcOptions:
    given: dict[str, Any] = {
        "book": BOOK,
        "org": "101005",
        "group": "GJJT",
        "account": "develop",
        "maker": "oa",
        "words": {"记": "01", "收": "02", "付": "03", "转": "04"},
        "dimensions": DIMENSIONS,
        "page_size": 5,
        "settle_s": 0,
    }
    return NcOptions.model_validate(given | changes)


def gateway_of(site: Site, password: str = MINE.view_password, **changes: Any) -> NcGateway:
    chosen = options(**changes)
    return NcGateway(connect(endpoint(site.url, password), chosen, timeless_limiter()), chosen, "CNY")


@dataclass
class NcBooks:
    site: Site
    gateway: NcGateway
    interface: str
    secrets: tuple[str, ...] = (MINE.view_password, WRONG)
    party: frozenset[str] = frozenset({"employee"})
    least_pages: int = 2

    def make(self, values: Sequence[AuxiliaryDimension]) -> None:
        self.site.make([value for value in values if value.kind in DIMENSIONS])

    def close(self, period: FiscalPeriod) -> None:
        self.site.admin("period", book=BOOK, year=period.year, period=period.month, state="closed")

    def reopen(self, period: FiscalPeriod) -> None:
        self.site.admin("period", book=BOOK, year=period.year, period=period.month, state="open")

    def adjust(self, period: FiscalPeriod) -> None:
        unsupported(
            "视图只有自然月，我方凭证从不标记调整期 / the views show months alone, and no voucher of ours is marked for an adjustment period"
        )

    def leave_draft(self, voucher: Voucher) -> None:
        unsupported("凭证一次导入，不会留下草稿 / a voucher is imported in one step, which leaves no draft")

    def cancel(self, ledger_id: str) -> None:
        self.site.admin("void", voucher=int(ledger_id[-10:]))

    @contextmanager
    def unreadable(self) -> Iterator[None]:
        with self.site.fault("status", "/views/", times=50):
            yield

    def gateway_that_creates_nothing(self) -> NcGateway:
        return gateway_of(self.site, interface=self.interface)

    def with_wrong_secret(self) -> NcGateway:
        return gateway_of(self.site, WRONG, interface=self.interface)

    def lose_answers(self) -> AbstractContextManager[None]:
        return self.site.fault("drop_after", SEND[self.interface])

    def lose_requests(self) -> AbstractContextManager[None]:
        return self.site.fault("drop_before", SEND[self.interface])

    def break_answers(self) -> AbstractContextManager[None]:
        return self.site.fault("truncate", SEND[self.interface])

    def refuse_calls(self) -> AbstractContextManager[None]:
        return self.site.fault("vendor", SEND[self.interface], name="rate_limit", times=2)

    def expire_sessions(self) -> None:
        unsupported("交换平台没有会话和令牌 / the exchange platform has neither sessions nor tokens")


@contextmanager
def emulated(interface: str, folder: Path) -> Iterator[LedgerUnderTest]:
    """A site with few vouchers a page. The web service's description is read, with a first voucher, before anything goes wrong."""
    with serving(folder, contract_company()) as site:
        books = NcBooks(site, gateway_of(site, interface=interface), interface)
        books.make([EMPLOYEE, DEPARTMENT, PROJECT])
        books.gateway.post([voucher(day=date(YEAR - 1, 1, 31))])
        yield books


VARIANTS = {name: partial(emulated, name) for name in ("http", "soap")}
