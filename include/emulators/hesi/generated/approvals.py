"""How a document goes through approval, as far as it has come by a given moment."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from include.emulators.hesi.clock import HOUR_MS
from include.emulators.hesi.generated.company import Company
from include.emulators.hesi.generated.rhythm import later
from include.emulators.hesi.logs import Step, entry

Json = dict[str, Any]

FATES = (("normal", 905), ("returned", 45), ("draft", 12), ("rejected", 22), ("nullify", 16))
"""What becomes of a document, in thousandths. `returned` is rejected once, then sent again."""


@dataclass(slots=True)
class Course:
    """State and history of a document at a moment. Times in epoch ms; None where it has not come to that."""

    state: str
    update_time: int
    submit_date: int | None = None
    pay_date: int | None = None
    end_time: int | None = None
    logs: list[Json] = field(default_factory=list)


@dataclass(slots=True)
class Route:
    """Walks a document from person to person until it is through or `until_ms` is reached."""

    rng: random.Random
    company: Company
    owner: str
    department: str
    until_ms: int
    course: Course

    def go(self, action: str, state: str, operator: str, following: str | None, median_hours: float) -> bool:
        """One more step, unless it would lie after `until_ms`; then nothing more happens and it is False."""
        course = self.course
        moment = later(self.rng, course.update_time, median_hours) if course.logs else course.update_time
        if moment > self.until_ms:
            return False
        department = self.company.home_of[operator]
        node = f"{self.department[-3:]}:{len(course.logs)}"
        step = Step(action, state, operator, department, moment, following, node)
        course.logs.append(entry(step))
        course.state, course.update_time = state, moment
        return True

    def submit(self) -> bool:
        gone = self.go("submit", "approving", self.owner, self.company.head_of(self.department), 6)
        if gone:
            self.course.submit_date = self.course.update_time
        return gone


def run_course(
    rng: random.Random,
    company: Company,
    owner: str,
    *,
    start_ms: int,
    until_ms: int,
    cashier: bool,
) -> Course:
    """The course of a document that its owner begins at `start_ms`.

    With `cashier` it is paid by one at the end (待支付, 支付中, 已支付), without it ends with the last approval.
    """
    department = company.home_of[owner]
    fate = rng.choices([name for name, _ in FATES], [weight for _, weight in FATES])[0]
    course = Course("draft", start_ms)
    if fate == "draft":
        return course
    route = Route(rng, company, owner, department, until_ms, course)
    head, accountant = company.head_of(department), rng.choice(company.accountants)
    if not route.submit():
        return course
    if fate in {"returned", "rejected"} and not (
        route.go("reject", "rejected", head, owner, 5) and fate == "returned" and route.submit()
    ):
        return course
    if not route.go("agree", "approving", head, accountant, 5):
        return course
    if fate == "nullify":
        route.go("nullify", "nullify", accountant, None, 8)
        return course
    last_state = "paying" if cashier else "paid"
    if not route.go("agree", last_state, accountant, company.cashier if cashier else None, 9):
        return course
    if cashier and not _pay(route):
        return course
    course.end_time = course.update_time
    if rng.random() < 0.06:
        archived = later(rng, course.update_time, 60)
        if archived <= until_ms:
            course.state, course.update_time = "archived", archived
    return course


def _pay(route: Route) -> bool:
    """The cashier pays; shortly before that the bank has the order and the document is 支付中."""
    course = route.course
    waiting_since = course.update_time
    if route.go("pay", "paid", route.company.cashier, None, 20):
        course.pay_date = course.update_time
        return True
    if route.until_ms - waiting_since > 20 * HOUR_MS:
        course.state = "PROCESSING"
    return False
