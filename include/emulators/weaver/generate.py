"""A year of documents from a seed: the same arguments give the same database rows."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from datetime import date

from include.emulators.weaver.clock import moment
from include.emulators.weaver.company import SYSTEM_ADMIN, Person
from include.emulators.weaver.flow import Flow
from include.emulators.weaver.forms import EXPENSE, LOAN, SUBMIT
from include.emulators.weaver.options import Options
from include.emulators.weaver.papers import DEFECTS, OpenLoan, expense, loan_paper

FATES = (
    ("approved", 74),
    ("pending", 7),
    ("rejected", 5),
    ("withdrawn", 3),
    ("draft", 3),
    ("revoked", 3),
    ("forced", 2),
    ("deleted", 3),
)
_HOUR = 3600


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


@dataclass(slots=True)
class Generator:
    """Writes documents into a flow's store, each drawn from the seed and its index."""

    flow: Flow
    options: Options
    plan: Plan
    loans: dict[int, OpenLoan] = field(default_factory=dict)
    """Person to a loan that may still be settled."""
    invoice: str = ""
    """An invoice number on a sound, approved claim."""

    def run(self) -> None:
        """All documents of the plan, in the order of their creation. The caller holds a transaction."""
        days = (self.plan.as_of - self.plan.start).days
        rng = random.Random(f"weaver-days:{self.plan.seed}")
        when = sorted(
            (rng.randrange(days + 1), rng.randrange(8 * _HOUR, 18 * _HOUR))
            for _ in range(self.plan.documents)
        )
        for index, (day, seconds) in enumerate(when):
            at = moment(date.fromordinal(self.plan.start.toordinal() + day), seconds)
            self.document(index, at, until=moment(self.plan.as_of, 86_399))

    def document(
        self,
        index: int,
        at: int,
        *,
        until: int,
        fate: str | None = None,
        kind: str | None = None,
        pace: float = 1,
    ) -> int:
        """One document, created at `at` and lived up to `until` (`pace` 0: all of it at once); returns its id."""
        rng = random.Random(f"weaver:{self.plan.seed}:{index}")
        person = rng.choice(self.flow.company.claimants)
        fate = fate or rng.choices([name for name, _ in FATES], [weight for _, weight in FATES])[0]
        is_loan = rng.random() < 0.14 if kind is None else kind == "loan"
        defect = rng.choice(DEFECTS) if rng.random() < self.plan.dirty_share else None
        if defect == "duplicate_invoice" and not self.invoice:
            defect = "total_mismatch"
        if is_loan:
            body, truth = loan_paper(rng, person, at, self.options.database)
        else:
            loan = self._loan_of(person, fate, defect)
            body, truth = expense(rng, person, at, self.options.database, loan, defect, self.invoice)
        workflow = self.flow.workflows[LOAN if is_loan else EXPENSE]
        level = rng.choice((0, 0, 0, 1, 2))
        request_id = self.flow.create(workflow, person.id, body, name="", level=level, now=at)
        self.flow.store.run(
            "UPDATE workflow_requestbase SET truth = ? WHERE requestid = ?",
            (json.dumps(truth.as_json(), ensure_ascii=False), request_id),
        )
        _Life(self.flow, request_id, person.id, rng, at, until, pace).live(fate)
        if fate == "approved" and not defect and self._ended(request_id):
            if is_loan:
                self.loans[person.id] = OpenLoan(request_id, truth.gross)
            else:
                numbers = (row["fphm"] for row in body["details"]["dt1"])
                self.invoice = next((number for number in numbers if number), self.invoice)
        return request_id

    def _loan_of(self, person: Person, fate: str, defect: str | None) -> OpenLoan | None:
        """A loan that this claim settles; each loan once, by a sound claim that is approved."""
        if fate != "approved" or defect:
            return None
        return self.loans.pop(person.id, None)

    def _ended(self, request_id: int) -> bool:
        row = self.flow.request(request_id)
        assert row is not None
        return row["currentnodetype"] in {SUBMIT, "3"}


@dataclass(slots=True)
class _Life:
    """What happens to one request after its creation, as long as there is time."""

    flow: Flow
    request_id: int
    person: int
    rng: random.Random
    clock: int
    until: int
    pace: float

    def live(self, fate: str) -> None:
        if fate == "draft" or not self._later(1):
            return
        self.flow.submit(self.request_id, self.person, "", self.clock, 0)
        if fate == "withdrawn":
            if self._later(3):
                self.flow.withdraw(self.request_id, self.person, "填写有误", self.clock, archived=False)
        elif fate == "forced" and self.rng.random() < 0.5:
            if self._later(20):
                self.flow.force_over(self.request_id, SYSTEM_ADMIN, "离职清理", self.clock)
        elif not (fate == "pending" and self.rng.random() < 0.5) and self._later(30):
            self._at_the_manager(fate)

    def _at_the_manager(self, fate: str) -> None:
        manager = self.flow.company.actor("manager", self.person)
        if fate == "rejected":
            self.flow.reject(self.request_id, manager, "请补充发票", self.clock)
            return
        self.flow.submit(self.request_id, manager, "同意", self.clock, 0)
        if fate == "pending" or not self._later(40):
            return
        if fate == "forced":
            self.flow.force_over(self.request_id, SYSTEM_ADMIN, "离职清理", self.clock)
            return
        accountant = self.flow.company.actor("accountant", self.person)
        self.flow.submit(self.request_id, accountant, "", self.clock, 0)
        if fate == "revoked" and self._later(200):
            self.flow.draw_back(self.request_id, SYSTEM_ADMIN, "重复报销", self.clock)
        elif fate == "deleted" and self._later(100):
            self.flow.delete(self.request_id, self.clock)

    def _later(self, hours: float) -> bool:
        """Up to so many hours go by; False once that is after the last day."""
        self.clock += int(self.rng.random() * hours * self.pace * 3_600_000)
        return self.clock <= self.until
