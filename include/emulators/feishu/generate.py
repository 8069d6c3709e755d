"""A year of approvals from a seed: the same plan gives the same instances."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date

from include.emulators.feishu.forms import EXPENSE, LOAN, TAGS, expense_form, loan_form
from include.emulators.weaver.clock import moment
from include.emulators.weaver.company import Company
from include.emulators.weaver.papers import OpenLoan, Truth, expense, loan_paper

FATES = (("APPROVED", 76), ("PENDING", 7), ("REJECTED", 6), ("CANCELED", 5), ("DELETED", 3), ("REVERTED", 3))
DEFECTS = ("total_mismatch", "no_department", "no_lines", "duplicate_invoice")


@dataclass(frozen=True, slots=True)
class Plan:
    """What to generate. `as_of` is the last day on which anything has happened."""

    documents: int = 300
    seed: int = 1
    start: date = date(2026, 1, 1)
    as_of: date = date(2026, 10, 31)
    dirty_share: float = 0.04

    @property
    def label(self) -> str:
        return f"{self.documents}/{self.seed}/{self.start}/{self.as_of}/{self.dirty_share}"

    @property
    def staff(self) -> int:
        return max(6, min(400, self.documents // 8))


@dataclass(frozen=True, slots=True)
class Paper:
    """A document that is about to be submitted, and what is to become of it."""

    number: int
    instance_code: str
    approval_code: str
    form: str
    truth: Truth
    loan_code: str
    at: int
    fate: str
    gap_ms: int


@dataclass(slots=True)
class Generator:
    """Draws documents from the seed and their number; remembers loans that may still be settled."""

    company: Company
    plan: Plan
    loans: dict[int, tuple[OpenLoan, str]] = field(default_factory=dict)
    invoice: str = ""

    def run(self, submit: Callable[[Paper], None]) -> None:
        """All documents of the plan, in the order of their creation."""
        rng = random.Random(f"feishu-days:{self.plan.seed}")
        days = (self.plan.as_of - self.plan.start).days
        moments = sorted(
            moment(date.fromordinal(self.plan.start.toordinal() + rng.randrange(days + 1)), rng.randrange(86_400))
            for _ in range(self.plan.documents)
        )  # fmt: skip
        for index, at in enumerate(moments):
            submit(self.paper(index + 1, at))

    def paper(self, number: int, at: int, *, fate: str | None = None, kind: str | None = None) -> Paper:
        """The document of a number, created at `at`."""
        rng = random.Random(f"feishu:{self.plan.seed}:{number}")
        code = str(uuid.UUID(int=rng.getrandbits(128), version=4)).upper()
        person = rng.choice(self.company.claimants)
        fate = fate or rng.choices([name for name, _ in FATES], [weight for _, weight in FATES])[0]
        is_loan = rng.random() < 0.14 if kind is None else kind == "loan"
        gap = rng.randrange(60_000, 30 * 3_600_000)
        if is_loan:
            body, truth = loan_paper(rng, person, at, "sqlserver")
            if fate == "APPROVED":
                self.loans[person.id] = (OpenLoan(number, truth.gross), code)
            return Paper(number, code, LOAN, loan_form(body, truth, at), truth, "", at, fate, gap)
        defect = rng.choice(DEFECTS) if rng.random() < self.plan.dirty_share else None
        if defect == "duplicate_invoice" and not self.invoice:
            defect = "total_mismatch"
        settles = fate == "APPROVED" and not defect
        loan, loan_code = self.loans.pop(person.id, (None, "")) if settles else (None, "")
        body, truth = expense(rng, person, at, "sqlserver", loan, defect, self.invoice)
        if settles:
            numbers = (row["fphm"] for row in body["details"]["dt1"])
            self.invoice = next((each for each in numbers if each), self.invoice)
        tags = [tag for tag in TAGS if rng.random() < 0.3]
        form = expense_form(body, truth, loan_code, at, tags)
        # A widget for amounts takes numbers only, so the odd spellings of text fields do not occur here.
        return Paper(number, code, EXPENSE, form, replace(truth, oddity=None), loan_code, at, fate, gap)
