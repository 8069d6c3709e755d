"""What every generated document needs: ids, codes, common form fields, its course, its truth."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, field
from typing import Any

from include.emulators.hesi.catalog import LEGAL_ENTITY, PROJECT
from include.emulators.hesi.clock import day_of, midnight_ms
from include.emulators.hesi.generated.approvals import Course, run_course
from include.emulators.hesi.generated.company import (
    BASIC_ACCOUNT,
    CORPORATION,
    ENTITY_ITEM,
    PROJECTS,
    RATES,
    SPECIFICATIONS,
    Company,
    Supplier,
)
from include.emulators.hesi.model import Document, Loan, Truth, pack
from include.emulators.hesi.money import CURRENCIES, TOTAL, foreign_money, money
from include.emulators.hesi.world import World

Json = dict[str, Any]

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
CODE_PREFIXES = {
    "expense": "B",
    "loan": "J",
    "payment": "Z",
    "requisition": "S",
    "custom": "F",
    "receipt": "A",
}
NO_VOUCHER = frozenset({"SPEC_REQUISITION", "SPEC_PO"})
"""Templates that commit money without spending it: no voucher, however sound and approved."""


@dataclass(slots=True)
class Slot:
    """A document to be made: its place in the order of creation, its moment, its own source of chance."""

    number: int
    kind: str
    time: int
    rng: random.Random


@dataclass(slots=True)
class Purchase:
    """A purchase order on its way. Amounts in minor units; times are when the step was approved, or None."""

    flow_id: str
    order_number: str
    supplier: Supplier
    department: str
    project: str | None
    material: str
    gross: int
    tax_rate: int
    approved: int
    wants_prepayment: bool
    prepaid: int = 0
    receipt_id: str | None = None
    received: int | None = None
    invoiced: int | None = None
    paid: bool = False


@dataclass(slots=True)
class Builder:
    """Makes documents into a world, one after another in order of time."""

    world: World
    company: Company
    seed: int
    year: int
    until_ms: int
    codes: dict[str, int] = field(default_factory=dict)
    open_loans: dict[str, list[Loan]] = field(default_factory=dict)
    """Paid loans with something left, by owner."""
    loan_left: dict[str, int] = field(default_factory=dict)
    requisitions: dict[str, list[str]] = field(default_factory=dict)
    """Approved requisitions that no claim refers to yet, by owner."""
    purchases: list[Purchase] = field(default_factory=list)

    def identity(self, slot: Slot, part: str = "") -> str:
        """An id as the vendor makes them, fixed by seed, document and part."""
        digest = hashlib.blake2b(f"{self.seed}/{slot.number}/{part}".encode(), digest_size=8).digest()
        value, text = int.from_bytes(digest, "big"), ""
        for _ in range(10):
            value, rest = divmod(value, 62)
            text += BASE62[rest]
        return f"ID01{text}"

    def code(self, form_type: str) -> str:
        number = self.codes[form_type] = self.codes.get(form_type, 0) + 1
        return f"{CODE_PREFIXES[form_type]}{self.year % 100:02d}{number:06d}"

    def pick_owner(self, slot: Slot, *departments: str) -> str:
        """Somebody, of one of the departments if any are named (by key)."""
        if departments:
            return slot.rng.choice(self.company.members[CORPORATION + ":" + slot.rng.choice(departments)])
        return slot.rng.choice(list(self.company.home_of))

    def pick_project(self, slot: Slot, chance: float) -> str | None:
        return slot.rng.choice(PROJECTS)[0] if slot.rng.random() < chance else None

    def foreign_rate(self, slot: Slot, currency: str) -> str:
        """The rate of the day: the current one, within two per cent, four decimals."""
        scaled = int(RATES[currency].replace(".", "")) * slot.rng.randrange(980, 1021) // 1000
        return f"{scaled // 10_000}.{scaled % 10_000:04d}"

    def course(self, slot: Slot, owner: str, *, cashier: bool) -> Course:
        return run_course(
            slot.rng, self.company, owner, start_ms=slot.time, until_ms=self.until_ms, cashier=cashier
        )

    def total(self, minor: int) -> Json:
        return money(minor, self.company.catalog.home, TOTAL)

    def own_or_foreign(self, slot: Slot, minor: int, chance: float) -> Json:
        """An amount of about `minor`, now and then in a foreign currency."""
        home = self.company.catalog.home
        if slot.rng.random() >= chance:
            return money(minor, home)
        currency = CURRENCIES[slot.rng.choice(("USD", "USD", "EUR", "HKD", "JPY"))]
        rate = self.foreign_rate(slot, currency.code)
        per_unit = int(rate.replace(".", ""))
        whole_units = max(minor * 100 // per_unit, 1)
        return foreign_money(whole_units * 10**currency.scale, currency, rate, home)

    def form(self, form_type: str, template: str, owner: str, title: str, course: Course) -> Json:
        """The fields that all forms share."""
        form: Json = {
            "code": self.code(form_type),
            "title": title,
            "printCount": "0",
            "printState": "noPrint",
            "description": "",
            "submitterId": owner,
            "specificationId": SPECIFICATIONS[template],
            LEGAL_ENTITY: ENTITY_ITEM,
        }
        if course.submit_date is not None:
            form["submitDate"] = course.submit_date
        if course.end_time is not None:
            form |= {"flowEndTime": course.end_time, "preNodeApprovedTime": course.end_time}
        if course.pay_date is not None:
            # Present on paid documents alone: without them a document was approved and never paid here.
            form |= {
                "payDate": course.pay_date,
                "paymentChannel": "OFFLINE",
                "paymentAccountId": BASIC_ACCOUNT,
            }
        return form

    def add(
        self, slot: Slot, form_type: str, form: Json, course: Course, *, gross: int, deductible: int = 0
    ) -> Document:
        """File a finished document with what is true of it."""
        owner = form["submitterId"]
        document = Document(
            id=self.identity(slot),
            code=form["code"],
            form_type=form_type,
            specification_id=form["specificationId"],
            owner_id=owner,
            department_id=self.company.home_of[owner],
            state=course.state,
            create_time=slot.time,
            update_time=course.update_time,
            submit_date=course.submit_date,
            pay_date=course.pay_date,
            packed=pack({"form": form, "logs": course.logs}),
            version=max(len(course.logs), 1),
            # Somebody may delete what never went through.
            active=course.state not in {"draft", "rejected"} or slot.rng.random() < 0.75,
        )
        template = document.specification_id.partition(":")[0]
        expected = document.is_approved and template not in NO_VOUCHER
        self.world.documents[document.id] = document
        self.world.truth[document.id] = Truth(None, expected, gross, deductible)
        return document

    def day(self, slot: Slot) -> int:
        """Midnight of the slot's day, as date fields hold it."""
        return midnight_ms(day_of(slot.time))


def project_field(form: Json, project: str | None) -> None:
    """Set the project on a form that has one."""
    if project is not None:
        form[PROJECT] = project
