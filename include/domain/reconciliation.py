"""Reconciliation (对账): typed differences between OA, store and ledger."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from include.domain.problems import ProblemOwner


class DiscrepancyKind(StrEnum):
    """What two sides disagree on, and who looks first (`owner`)."""

    NO_VOUCHER = "no_voucher"  # approved and accepted in the OA, no voucher here
    MISSING_IN_LEDGER = "missing_in_ledger"  # posted by our account, not in the ledger
    NOT_IN_STORE = "not_in_store"  # the ledger has a voucher under a key of ours that we do not know
    DUPLICATE_IN_LEDGER = "duplicate_in_ledger"  # one key, several vouchers
    NOT_POSTED_IN_LEDGER = "not_posted_in_ledger"  # still a draft there
    REVERSED_IN_LEDGER = "reversed_in_ledger"  # somebody reversed it there
    DATE = "date"
    AMOUNT = "amount"
    ACCOUNT = "account"
    DIMENSION = "dimension"
    BALANCE = "balance"  # an account's movements differ from the ledger's trial balance
    OA_NUMBER = "oa_number"  # the OA shows another voucher number

    @property
    def owner(self) -> ProblemOwner:
        return ProblemOwner.ENGINEER if self in _ENGINEER else ProblemOwner.FINANCE


_ENGINEER = {DiscrepancyKind.NO_VOUCHER, DiscrepancyKind.DUPLICATE_IN_LEDGER, DiscrepancyKind.NOT_IN_STORE}


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """One difference. `subject` is a voucher key, document id or account; `ours` and `theirs` are for people."""

    kind: DiscrepancyKind
    subject: str
    ours: str
    theirs: str
    zh: str
    en: str
