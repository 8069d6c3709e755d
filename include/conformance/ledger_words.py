"""The words of the ledger suite: what a system gives it, the accounts and values it posts, and vouchers made of them.

Cases share one ledger, so each uses keys, values and amounts of its own: where a ledger keeps no key, date and total
are all it can be asked for, and content tells one voucher from another.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import date
from itertools import count
from typing import Protocol
from uuid import uuid4

from include.conformance.sample import chosen
from include.domain.account import AuxiliaryDimension
from include.domain.money import Money
from include.domain.period import FiscalPeriod
from include.domain.voucher import (
    JournalLine,
    LedgerVoucher,
    PostingOutcome,
    Side,
    Voucher,
    VoucherKey,
    content_digest,
)
from include.ports import LedgerGateway, ProofLevel

SAMPLE = chosen[-1]
BANK, TRAVEL, INPUT_TAX = SAMPLE.bank, SAMPLE.expense, SAMPLE.input_tax
EMPLOYEE_PAYABLE, SUPPLIER_PAYABLE = SAMPLE.employee_payable, SAMPLE.supplier_payable
GROUP, UNKNOWN = SAMPLE.group, SAMPLE.unknown
DAY, YEAR = SAMPLE.day, SAMPLE.day.year
CLOSED, ADJUSTED = FiscalPeriod(YEAR - 1, 12), FiscalPeriod(YEAR - 1, 10)
EMPLOYEE = AuxiliaryDimension("employee", SAMPLE.employee.code, SAMPLE.employee.name)
DEPARTMENT = AuxiliaryDimension("department", SAMPLE.department.code, SAMPLE.department.name)
PROJECT = AuxiliaryDimension("project", SAMPLE.project.code, SAMPLE.project.name)
NAMES = ('O\'Neil "老王" 😀', "𠮷野家 & <公司>; -- \\ %", "Ünïcödé", "两\n行")

_documents = count(1)
_amounts = count(10_000)


class LedgerUnderTest(Protocol):
    """A gateway, and hands in the ledger behind it."""

    @property
    def gateway(self) -> LedgerGateway:
        """It lists few vouchers a page. Employees, suppliers, departments and projects that a case asks for can be made:
        by itself, or by somebody beside it.
        """
        ...

    @property
    def secrets(self) -> Sequence[str]:
        """What nobody may ever read in a log or a message: passwords, keys, tokens."""
        ...

    @property
    def party(self) -> frozenset[str]:
        """What the ledger calls the dimension that `EMPLOYEE_PAYABLE` requires: `party`, or a kind where it is that exact."""
        ...

    @property
    def least_pages(self) -> int:
        """How many pages seven vouchers come in, at least: 2 where its pages are made small."""
        ...

    def make(self, values: Sequence[AuxiliaryDimension]) -> None:
        """Dimension values exist from now on, whoever makes them."""
        ...

    def close(self, period: FiscalPeriod) -> None: ...

    def reopen(self, period: FiscalPeriod) -> None: ...

    def adjust(self, period: FiscalPeriod) -> None:
        """Somebody sets up an open adjustment period over the last day of a month."""
        ...

    def leave_draft(self, voucher: Voucher) -> None:
        """As a crash leaves it between creating and posting."""
        ...

    def cancel(self, ledger_id: str) -> None:
        """Somebody cancels a voucher in the ledger's own program."""
        ...

    def unreadable(self) -> AbstractContextManager[None]:
        """The ledger does not answer reads."""
        ...

    def gateway_that_creates_nothing(self) -> LedgerGateway: ...

    def with_wrong_secret(self) -> LedgerGateway:
        """The same gateway with a secret that the ledger does not know."""
        ...

    def lose_answers(self) -> AbstractContextManager[None]:
        """Calls that create are carried out, and their answers are lost."""
        ...

    def lose_requests(self) -> AbstractContextManager[None]:
        """Calls that create are lost before the ledger has seen them."""
        ...

    def break_answers(self) -> AbstractContextManager[None]:
        """Calls that create are carried out, and half of their answers arrives."""
        ...

    def refuse_calls(self) -> AbstractContextManager[None]:
        """Calls that create are refused for coming too fast, as the vendor refuses them; a few of them, then no more."""
        ...

    def expire_sessions(self) -> None:
        """No session or token that was given out so far is good any more."""
        ...


def cny(minor: int) -> Money:
    return Money(minor, "CNY")


def line(
    side: Side,
    account: str,
    minor: int,
    *dimensions: AuxiliaryDimension,
    foreign: Money | None = None,
    summary: str = "报销差旅费",
) -> JournalLine:
    return JournalLine(next(_documents), side, account, cny(minor), summary, dimensions, foreign)


def voucher(
    *lines: JournalLine, day: date = DAY, event: str = "expense_claim", document: str = ""
) -> Voucher:
    """The lines, or a claim of an amount that no other has, under a key that no other test uses."""
    key = VoucherKey("acme", "hesi", document or f"doc-{uuid4().hex[:12]}", event, 1)
    return Voucher(key, "记", day, lines or claim(minor=next(_amounts)))


def claim(
    employee: AuxiliaryDimension = EMPLOYEE, *expense: AuxiliaryDimension, minor: int = 10_000
) -> tuple[JournalLine, ...]:
    return (
        line(Side.DEBIT, TRAVEL, minor - 600, *(expense or (DEPARTMENT, PROJECT))),
        line(Side.DEBIT, INPUT_TAX, 600),
        line(Side.CREDIT, EMPLOYEE_PAYABLE, minor, employee),
    )


def red(original: Voucher) -> Voucher:
    lines = tuple(
        JournalLine(
            each.line_no,
            each.side,
            each.account,
            -each.amount,
            f"冲销 {original.key}",
            each.dimensions,
            -each.transaction if each.transaction else None,
        )
        for each in original.lines
    )
    key = original.key
    return Voucher(
        VoucherKey(key.book, key.source, key.document_id, f"{key.event}.reversal", key.revision),
        "记",
        DAY,
        lines,
    )


def post(gateway: LedgerGateway, *vouchers: Voucher) -> list[PostingOutcome]:
    gateway.ensure_dimensions(
        sorted({d for each in vouchers for item in each.lines for d in item.dimensions})
    )
    return [result.outcome for result in gateway.post(vouchers)]


def keeps_keys(gateway: LedgerGateway) -> bool:
    return gateway.proof_level is not ProofLevel.DATE_AND_AMOUNT


def is_copy(gateway: LedgerGateway, found: LedgerVoucher, ours: Voucher) -> bool:
    """Whether a voucher in the ledger is ours: by its key, or by its content where no key is kept."""
    if keeps_keys(gateway):
        return found.key == ours.key
    kinds = gateway.dimension_kinds
    return content_digest(found.date, found.lines, kinds) == content_digest(ours.date, ours.lines, kinds)


def only(gateway: LedgerGateway, ours: Voucher) -> LedgerVoucher:
    """The one copy of our voucher; where no key is kept, others of its date and total may come with it."""
    there = gateway.find([ours])[ours.key]
    (found,) = there if keeps_keys(gateway) else [each for each in there if is_copy(gateway, each, ours)]
    return found


def listed(gateway: LedgerGateway, period: FiscalPeriod) -> list[LedgerVoucher]:
    return [found for page in gateway.vouchers(period) for found in page]


def copies(gateway: LedgerGateway, ours: Voucher) -> list[LedgerVoucher]:
    """All that the ledger has of our voucher."""
    return [each for each in gateway.find([ours]).get(ours.key, ()) if is_copy(gateway, each, ours)]
