"""A customer's test tenant as the system of a suite: no hands in it, and what needs one says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from include.conformance.source_suite import Known
from include.conformance.subject import unsupported
from include.connections import Endpoint
from include.domain.account import AuxiliaryDimension
from include.domain.errors import FixData
from include.domain.period import FiscalPeriod
from include.domain.voucher import Voucher
from include.ports import DocumentSource, LedgerGateway


def _no_hand() -> NoReturn:
    unsupported(
        "需要在该系统中动手或制造故障，仅在仿真系统上运行 / needs somebody's hand, or trouble, in the system: runs on the emulator alone"
    )


@dataclass
class TenantSource:
    """Reads only: no document of the tenant is changed, nor shown a number."""

    source: DocumentSource
    form_types: Sequence[str]
    since: datetime
    secrets: Sequence[str]

    def ids(self, form_type: str) -> set[str]:
        return set(self.source.ids_created_until(form_type, datetime.now(UTC)))

    def deleted(self) -> set[str]:
        """None is known to be."""
        return set()

    def known(self) -> Mapping[str, Known]:
        _no_hand()

    def touch(self, document_id: str) -> None:
        _no_hand()

    def delete(self, document_id: str) -> None:
        _no_hand()

    def take_back(self, document_id: str) -> None:
        _no_hand()

    def approved(self) -> list[str]:
        _no_hand()

    def unapproved(self) -> str:
        _no_hand()

    def shown_number(self, document_id: str) -> str:
        _no_hand()

    def expire_tokens(self) -> None:
        _no_hand()

    def refuse_calls(self, times: int) -> None:
        _no_hand()

    def break_answers(self, times: int) -> None:
        _no_hand()

    def lose_answers(self, times: int) -> None:
        _no_hand()

    def with_wrong_secret(self) -> AbstractContextManager[DocumentSource]:
        unsupported("多次输错会锁定接口用户 / wrong passwords may lock the interface's user")


@dataclass
class TenantBooks:
    """Posts the sample's vouchers; whoever runs it deletes them afterwards, or keeps a book for it."""

    gateway: LedgerGateway
    secrets: Sequence[str]
    party: frozenset[str]
    least_pages: int = 1

    def make(self, values: Sequence[AuxiliaryDimension]) -> None:
        try:
            self.gateway.ensure_dimensions(values)
        except FixData:
            unsupported(
                "基础资料不由接口建立，请先在该系统中建好 / master data are made in the system, not by us"
            )

    def close(self, period: FiscalPeriod) -> None:
        _no_hand()

    def reopen(self, period: FiscalPeriod) -> None:
        _no_hand()

    def adjust(self, period: FiscalPeriod) -> None:
        _no_hand()

    def leave_draft(self, voucher: Voucher) -> None:
        _no_hand()

    def cancel(self, ledger_id: str) -> None:
        _no_hand()

    def unreadable(self) -> AbstractContextManager[None]:
        _no_hand()

    def gateway_that_creates_nothing(self) -> LedgerGateway:
        _no_hand()

    def with_wrong_secret(self) -> LedgerGateway:
        unsupported("多次输错会锁定接口用户 / wrong passwords may lock the interface's user")

    def lose_answers(self) -> AbstractContextManager[None]:
        _no_hand()

    def lose_requests(self) -> AbstractContextManager[None]:
        _no_hand()

    def break_answers(self) -> AbstractContextManager[None]:
        _no_hand()

    def refuse_calls(self) -> AbstractContextManager[None]:
        _no_hand()

    def expire_sessions(self) -> None:
        _no_hand()


def source_tenant(
    build: Callable[[], DocumentSource], form_types: Sequence[str], since: datetime, endpoint: Endpoint
) -> Callable[[Path], AbstractContextManager[TenantSource]]:
    """The variant of a source on a customer's system; what changed before `since` is not read."""

    @contextmanager
    def opened(_folder: Path) -> Iterator[TenantSource]:
        yield TenantSource(build(), form_types, since, _secrets(endpoint))

    return opened


def ledger_tenant(
    build: Callable[[], LedgerGateway], account: str, endpoint: Endpoint
) -> Callable[[Path], AbstractContextManager[TenantBooks]]:
    """The variant of a ledger on a customer's system; `account` is the sample's that requires an employee."""

    @contextmanager
    def opened(_folder: Path) -> Iterator[TenantBooks]:
        gateway = build()
        found = gateway.chart().accounts.get(account)
        yield TenantBooks(
            gateway, _secrets(endpoint), frozenset(found.required_dimensions if found else {"party"})
        )

    return opened


def _secrets(endpoint: Endpoint) -> Sequence[str]:
    """The password, and the extra fields that look like one."""
    words = ("secret", "password", "token", "key", "app_id")
    extra = [value for name, value in endpoint.extra.items() if any(word in name.lower() for word in words)]
    return [value for value in (endpoint.password, *extra) if len(value) >= 6]
