"""Expense claims (报销单): trips, entertainment, office and transport, with invoices and write-offs."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from include.emulators.hesi.catalog import PROJECT
from include.emulators.hesi.clock import DAY_MS
from include.emulators.hesi.generated.builder import Builder, Slot, project_field
from include.emulators.hesi.generated.company import CITIES, FEES, PROJECTS
from include.emulators.hesi.generated.invoicing import draw_kind, issue
from include.emulators.hesi.generated.rhythm import amount
from include.emulators.hesi.model import Invoice, Loan, Repayment
from include.emulators.hesi.money import (
    CURRENCIES,
    LINE,
    NUMBER,
    PLAIN,
    converted,
    decimal_text,
    foreign_money,
    money,
    share,
)

Json = dict[str, Any]
MAX_INVOICES = 100
"""Invoices of one document at most: their serial numbers are counted in hundreds of documents."""


@dataclass(slots=True)
class Line:
    """A claim line: amounts in minor units of the home currency, tax as claimed on this line."""

    fee: str
    gross: int
    fee_date: int
    reason: str
    amount: Json
    nights: int = 0
    invoice: Invoice | None = None
    tax: int = 0
    invoice_form: str = "exist"
    apportions: list[Json] = field(default_factory=list)


@dataclass(slots=True)
class Claim:
    """A claim being put together."""

    builder: Builder
    slot: Slot
    owner: str
    lines: list[Line] = field(default_factory=list)
    invoices: int = 0

    @property
    def rng(self) -> random.Random:
        return self.slot.rng

    def add(self, fee: str, days_ago: int, reason: str, gross: int | None = None, nights: int = 0) -> Line:
        """A line in the home currency, with an invoice of one of the fee type's kinds."""
        spec = FEES[fee]
        value = amount(self.rng, spec.median, spec.sigma) if gross is None else gross
        home = self.builder.company.catalog.home
        line = Line(fee, value, self._date(days_ago), reason, money(value, home, LINE), nights)
        kind = draw_kind(self.rng, spec)
        missing = self.rng.random()
        if kind == "nowrite":
            line.invoice_form = "noWrite"
        elif missing < 0.025:
            line.invoice_form = (
                "wait" if missing < 0.015 else "unify"
            )  # the invoice comes later, or to all at once
        else:
            line.invoice = self._issue(kind, fee, value, line.fee_date)
            line.tax = line.invoice.deductible
        self.lines.append(line)
        return line

    def add_foreign(
        self, fee: str, money_of: tuple[str, str], units: int, days_ago: int, reason: str
    ) -> None:
        """A line of whole units of a foreign (currency, rate): no Chinese invoice, no input tax."""
        currency, rate = money_of
        home, foreign = self.builder.company.catalog.home, CURRENCIES[currency]
        minor = units * 10**foreign.scale
        value = foreign_money(minor, foreign, rate, home)
        gross = converted(minor, foreign, rate, home)
        self.lines.append(Line(fee, gross, self._date(days_ago), reason, value, invoice_form="noExist"))

    def split_invoice(self) -> None:
        """Spread the last line's invoice over two lines, its tax in proportion: one invoice, used twice, in full."""
        first = self.lines[-1]
        if first.invoice is None or first.gross < 1000:
            return
        home = self.builder.company.catalog.home
        part = first.gross * self.rng.randrange(30, 70) // 100
        tax = share(first.tax, part, first.gross)
        rest = Line(
            first.fee, first.gross - part, first.fee_date, first.reason, money(first.gross - part, home, LINE)
        )
        rest.invoice, rest.tax = first.invoice, first.tax - tax
        first.gross, first.tax, first.amount = part, tax, money(part, home, LINE)
        self.lines.append(rest)

    def _date(self, days_ago: int) -> int:
        return self.builder.day(self.slot) - days_ago * DAY_MS

    def _issue(self, kind: str, fee: str, gross: int, date_ms: int) -> Invoice:
        serial = self.slot.number * MAX_INVOICES + self.invoices
        self.invoices += 1
        invoice = issue(self.rng, serial, kind, FEES[fee], gross=gross, date_ms=date_ms)
        self.builder.world.invoices[invoice.id] = invoice
        return invoice

    @property
    def gross(self) -> int:
        return sum(line.gross for line in self.lines)


def build_claim(builder: Builder, slot: Slot) -> None:
    """One claim of a random purpose, paid by a cashier, left payable, or covered by a loan."""
    rng = slot.rng
    purpose = rng.choices(("trip", "abroad", "host", "office", "local", "other"), (42, 4, 14, 14, 14, 12))[0]
    owner = builder.pick_owner(slot, *(("D51", "D52", "D60") if purpose == "host" else ()))
    claim = Claim(builder, slot, owner)
    title = PURPOSES[purpose](claim)
    if rng.random() < 0.05:
        claim.split_invoice()
    loan, written_off = _write_off(claim)
    company_paid = _company_paid(claim, purpose, claim.gross - written_off)
    payable = claim.gross - written_off - company_paid
    project = builder.pick_project(slot, 0.45)
    for line in claim.lines:
        if rng.random() < 0.10 and "foreign" not in line.amount:
            line.apportions = _apportions(claim, line)
    course = builder.course(slot, owner, cashier=payable > 0 and rng.random() < 0.82)
    form = builder.form("expense", "SPEC_EXPENSE", owner, title, course)
    form |= {
        "details": [_detail(claim, line, number) for number, line in enumerate(claim.lines)],
        "payeeId": builder.company.payee_of[owner],
        "expenseDate": builder.day(slot),
        "expenseDepartment": builder.company.home_of[owner],
        "expenseMoney": builder.total(claim.gross),
        "payMoney": builder.total(payable),
        "companyRealPay": builder.total(company_paid),
        "writtenOffMoney": builder.total(written_off),
    }
    project_field(form, project)
    if loan is not None:
        text = decimal_text(written_off, 2, trimmed=True)
        form["writtenOffRecords"] = [{"id": loan.id, "amount": text, "loanId": loan.flow_id}]
    _link_requisition(builder, slot, owner, form)
    deductible = sum(line.tax for line in claim.lines)
    document = builder.add(slot, "expense", form, course, gross=claim.gross, deductible=deductible)
    if loan is not None:
        record = builder.identity(slot, "repayment")
        moment = course.end_time or course.update_time
        builder.world.repayments[record] = Repayment(
            record, loan.flow_id, document.id, "WRITEOFF", written_off, moment
        )
        if document.active and course.state not in {"draft", "rejected", "nullify"}:
            builder.loan_left[loan.flow_id] -= written_off


def _trip(claim: Claim) -> str:
    rng = claim.rng
    city, nights = rng.choice(CITIES), rng.choices((0, 1, 2, 3, 4), (15, 35, 28, 14, 8))[0]
    back = rng.randrange(2, 12)
    way = rng.choices(("train", "flight", "coach"), (60, 32, 8))[0]
    claim.add(way, back + nights, f"上海-{city}")
    if nights:
        per_night = amount(rng, FEES["hotel"].median, FEES["hotel"].sigma)
        claim.add("hotel", back, f"{city}住宿{nights}晚", per_night * nights, nights)
    for _ in range(rng.randrange(0, 3)):
        claim.add(rng.choice(("taxi", "hailing", "hailing")), back, "市内交通")
    claim.add("allowance", back, f"出差补贴{nights + 1}天", 10_000 * (nights + 1))
    claim.add(way, back, f"{city}-上海")
    return f"{city}出差报销"


def _abroad(claim: Claim) -> str:
    rng = claim.rng
    currency, place, night = rng.choice(
        (("USD", "旧金山", 180), ("EUR", "慕尼黑", 140), ("JPY", "东京", 16_000), ("HKD", "香港", 1_100))
    )
    rate = claim.builder.foreign_rate(claim.slot, currency)
    nights, back = rng.randrange(2, 6), rng.randrange(3, 15)
    claim.add_foreign("flight", (currency, rate), night * 5, back + nights, f"上海-{place}往返")
    claim.add_foreign("hotel", (currency, rate), night * nights, back, f"{place}住宿{nights}晚")
    claim.add_foreign(
        "taxi", (currency, rate), max(night * rng.randrange(10, 40) // 100, 1), back, "市内交通"
    )
    if rng.random() < 0.5:
        claim.add("hailing", back + nights, "往返机场")
    return f"{place}出差报销"


def _host(claim: Claim) -> str:
    for _ in range(claim.rng.choices((1, 2, 3), (70, 22, 8))[0]):
        claim.add("entertainment", claim.rng.randrange(1, 15), f"接待客户{claim.rng.randrange(2, 9)}人")
    if claim.rng.random() < 0.5:
        claim.add("hailing", 1, "送客户")
    return "业务招待费报销"


def _office(claim: Claim) -> str:
    for _ in range(claim.rng.choices((1, 2, 3), (55, 30, 15))[0]):
        claim.add("office", claim.rng.randrange(1, 20), "采购办公用品")
    if claim.rng.random() < 0.4:
        claim.add("courier", claim.rng.randrange(1, 20), "寄送合同")
    return "办公费报销"


def _local(claim: Claim) -> str:
    for _ in range(claim.rng.randrange(2, 9)):
        fee = claim.rng.choices(("taxi", "hailing", "toll", "fuel"), (35, 45, 12, 8))[0]
        claim.add(fee, claim.rng.randrange(1, 30), "外出办事")
    return "市内交通费报销"


def _other(claim: Claim) -> str:
    fee = claim.rng.choices(
        ("telecom", "training", "conference", "software", "welfare", "courier"), (25, 20, 12, 15, 18, 10)
    )[0]
    claim.add(fee, claim.rng.randrange(1, 25), FEES[fee].name)
    return f"{FEES[fee].name}报销"


PURPOSES = {
    "trip": _trip,
    "abroad": _abroad,
    "host": _host,
    "office": _office,
    "local": _local,
    "other": _other,
}


def _write_off(claim: Claim) -> tuple[Loan | None, int]:
    """Set the claim against a loan of its owner: all of the loan, a part, or exactly what is left."""
    builder, rng = claim.builder, claim.rng
    candidates = [
        loan
        for loan in builder.open_loans.get(claim.owner, [])
        if builder.loan_left[loan.flow_id] > 0 and loan.loan_date < claim.slot.time
    ]
    if not candidates or rng.random() < 0.15:
        return None, 0
    loan = candidates[0]
    left = builder.loan_left[loan.flow_id]
    if 0 < left - claim.gross <= 200_000 and rng.random() < 0.5:
        claim.add("allowance", 2, "出差补贴（结清借款）", left - claim.gross)
    return loan, min(left, claim.gross)


def _company_paid(claim: Claim, purpose: str, limit: int) -> int:
    """企业已付: a hotel or a flight that the company pays by itself, on some trips."""
    if purpose not in {"trip", "abroad"} or claim.rng.random() >= 0.06:
        return 0
    paid = [line.gross for line in claim.lines if line.fee in {"hotel", "flight"}]
    return paid[0] if paid and paid[0] <= limit else 0


def _apportions(claim: Claim, line: Line) -> list[Json]:
    """分摊: shares that do not divide evenly; the last takes the rest of per cent and money."""
    rng, home = claim.rng, claim.builder.company.catalog.home
    parts = rng.choice(((3333, 3333, 3334), (5000, 5000), (1429, 2857, 5714), (6667, 3333)))
    departments = rng.sample(list(claim.builder.company.members), len(parts))
    result, given = [], 0
    for number, (part, department) in enumerate(zip(parts, departments, strict=True)):
        last = number == len(parts) - 1
        value = line.gross - given if last else line.gross * part // 10_000
        given += value
        form: Json = {
            "apportionId": claim.builder.identity(
                claim.slot, f"apportion{len(claim.lines)}{number}{line.fee_date}"
            ),
            "apportionMoney": money(value, home),
            "apportionPercent": decimal_text(part, 2),
            "expenseDepartment": department,
        }
        if rng.random() < 0.6:
            form[PROJECT] = rng.choice(PROJECTS)[0]
        result.append({"apportionForm": form, "specificationId": "SPEC_APPORTION:部门项目分摊"})
    return result


def _detail(claim: Claim, line: Line, number: int) -> Json:
    builder = claim.builder
    fee, identity = FEES[line.fee], builder.company.fee_ids[line.fee]
    form: Json = {
        "amount": line.amount,
        "feeDate": line.fee_date,
        "detailId": builder.identity(claim.slot, f"line{number}"),
        "attachments": [],
        "invoiceForm": _invoice_form(builder, line),
        "consumptionReasons": line.reason,
    }
    if line.nights:
        form["feeDatePeriod"] = {"start": line.fee_date - line.nights * DAY_MS, "end": line.fee_date}
    if line.apportions:
        form["apportions"] = line.apportions
    return {
        "feeTypeId": identity,
        "feeTypeForm": form,
        "specificationId": f"{identity}:expense:1",
        "feeType": {
            "id": identity,
            "name": fee.name,
            "parentId": builder.company.catalog.own(fee.parent) if fee.parent else "",
            "active": True,
            "code": fee.code,
        },
    }


def _invoice_form(builder: Builder, line: Line) -> Json:
    if line.invoice is None:
        return {"type": line.invoice_form}
    home = builder.company.catalog.home
    entry: Json = {
        "itemIds": [item.id for item in line.invoice.items],
        "invoiceId": line.invoice.id,
        # The vendor writes a zero as a number and other amounts as text.
        "taxAmount": money(line.tax, home, PLAIN if line.tax else NUMBER),
        "taxRate": int(line.invoice.rate.removesuffix("%")),
    }
    return {"type": "exist", "invoices": [entry], "invoiceConfirm": "true"}


def _link_requisition(builder: Builder, slot: Slot, owner: str, form: Json) -> None:
    """Refer to an approved requisition of the owner, as one link or as a list of links."""
    waiting = builder.requisitions.get(owner)
    if not waiting or slot.rng.random() < 0.3:
        return
    link = waiting.pop(0)
    if slot.rng.random() < 0.5:
        form["expenseLink"] = link
    else:
        form["expenseLinks"] = [link]
