"""Reconciliation (对账): typed differences between OA, store and ledger."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from include.domain.problems import ProblemOwner


class DiscrepancyKind(StrEnum):
    """What two sides disagree on, and who looks first (`owner`)."""

    # OA ↔ store
    NO_VOUCHER = "no_voucher"  # approved and accepted in the OA, no voucher here
    OA_WITHDRAWN = (
        "oa_withdrawn"  # withdrawn, refused or voided in the OA, and its voucher stands in the ledger
    )
    OA_CHANGED = "oa_changed"  # changed in the OA after its voucher was posted
    OA_NUMBER = "oa_number"  # the OA shows another voucher number
    # store ↔ ledger: is it there, once, as ours
    IN_DOUBT = "in_doubt"  # sent, and for too long nobody knows what became of it
    WAITING = "waiting"  # made, and for too long not in the ledger
    MISSING_IN_LEDGER = "missing_in_ledger"  # posted by our account, not in the ledger
    NOT_IN_STORE = "not_in_store"  # the ledger has a voucher under a key of ours that we do not know
    ORPHAN = (
        "orphan"  # the ledger has a voucher that is not posted by our account; posting looks and adopts it
    )
    DUPLICATE_IN_LEDGER = "duplicate_in_ledger"  # one of ours, several times there
    NOT_POSTED_IN_LEDGER = "not_posted_in_ledger"  # still a draft there
    REVERSED_IN_LEDGER = "reversed_in_ledger"  # somebody reversed it there
    REFERENCE = "reference"  # it is there, and no longer bears our key
    SPLIT = "split"  # one of ours is several there that add up to it (1:N)
    MERGED = "merged"  # several of ours are one there that is their sum (N:1)
    # store ↔ ledger: what it says
    DATE = "date"
    AMOUNT = "amount"
    ACCOUNT = "account"
    CURRENCY = "currency"  # the amount in foreign currency
    DIMENSION = "dimension"
    BALANCE = "balance"  # an account's movements differ from the ledger's trial balance

    @property
    def owner(self) -> ProblemOwner:
        return ProblemOwner.ENGINEER if self in _ENGINEER else ProblemOwner.FINANCE

    @property
    def is_information(self) -> bool:
        """Whether both sides agree all the same, so that nobody has to act."""
        return self in INFORMATION


INFORMATION = frozenset({DiscrepancyKind.SPLIT, DiscrepancyKind.MERGED})
_ENGINEER = frozenset(
    {
        DiscrepancyKind.NO_VOUCHER,
        DiscrepancyKind.IN_DOUBT,
        DiscrepancyKind.DUPLICATE_IN_LEDGER,
        DiscrepancyKind.NOT_IN_STORE,
        DiscrepancyKind.ORPHAN,
    }
)
OF_BOOK = frozenset(
    {
        DiscrepancyKind.NO_VOUCHER,
        DiscrepancyKind.OA_WITHDRAWN,
        DiscrepancyKind.OA_CHANGED,
        DiscrepancyKind.OA_NUMBER,
        DiscrepancyKind.IN_DOUBT,
        DiscrepancyKind.WAITING,
    }
)
"""Kinds that the store alone shows: a run without a period looks for them in all periods."""


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """One difference. `subject` is a voucher key, document code or account, `period` its period's code or "".

    `ours` and `theirs` are for people.
    """

    kind: DiscrepancyKind
    subject: str
    period: str
    ours: str
    theirs: str
    zh: str
    en: str

    @property
    def identity(self) -> tuple[str, str, str]:
        """What makes it the same difference in another run."""
        return self.period, self.kind.value, self.subject


@dataclass(frozen=True, slots=True)
class KeptDiscrepancy:
    """A difference that is open: since when, and who has taken it up ("" where nobody has)."""

    id: int
    found: Discrepancy
    first_seen_at: datetime
    last_seen_at: datetime
    assigned_to: str = ""
    assigned_at: datetime | None = None

    def age_days(self, now: datetime) -> int:
        """Whole days since it was first seen."""
        return max((now - self.first_seen_at).days, 0)


@dataclass(frozen=True, slots=True)
class AccountTie:
    """An account's movements in a period, debit minus credit, minor units: `ours` by the store, `others` of vouchers in
    the ledger that are not ours, `ledger` by its trial balance.
    """

    period: str
    account: str
    ours: int
    others: int
    ledger: int

    @property
    def difference(self) -> int:
        return self.ledger - self.ours - self.others
