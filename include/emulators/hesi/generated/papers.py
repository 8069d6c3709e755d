"""The other documents: loans, payment requests, requisitions, receipts, and purchases from order to invoice."""

from __future__ import annotations

from typing import Any

from include.emulators.hesi.catalog import MATERIAL, SUPPLIER
from include.emulators.hesi.clock import DAY_MS
from include.emulators.hesi.generated.approvals import Course
from include.emulators.hesi.generated.builder import Builder, Purchase, Slot, project_field
from include.emulators.hesi.generated.company import FEES, FOREIGN_ACCOUNT, MATERIALS
from include.emulators.hesi.generated.invoicing import VAT_KINDS, contained_tax, vat_invoice
from include.emulators.hesi.generated.rhythm import amount
from include.emulators.hesi.model import NO_REPAYMENT_DATE, Loan, Repayment
from include.emulators.hesi.money import LINE, PLAIN, decimal_text, money, share

Json = dict[str, Any]
LEAD_TIME_MS = 6 * DAY_MS


def _minor(value: Json) -> int:
    """The minor units of an amount object that this package wrote as text."""
    whole, _, part = str(value["standard"]).partition(".")
    return int(whole) * 100 + int((part + "00")[:2])


def build_loan(builder: Builder, slot: Slot) -> None:
    """An employee's loan, paid out by the cashier; later claims and receipts set it off."""
    rng = slot.rng
    owner = builder.pick_owner(slot)
    value = builder.own_or_foreign(slot, amount(rng, 350_000, 0.6, step=50_000), 0.06)
    gross = _minor(value)
    course = builder.course(slot, owner, cashier=True)
    title = rng.choice(("差旅备用金借款", "市场活动借款", "项目现场备用金"))
    form = builder.form("loan", "SPEC_LOAN", owner, title, course)
    repayment_date = NO_REPAYMENT_DATE if rng.random() < 0.3 else builder.day(slot) + 60 * DAY_MS
    form |= {
        "loanDate": slot.time,
        "loanMoney": value,
        "payMoney": dict(value),
        "payeeId": builder.company.payee_of[owner],
        "repaymentDate": repayment_date,
        "loanDepartment": builder.company.home_of[owner],
    }
    _foreign_account(form, value)
    document = builder.add(slot, "loan", form, course, gross=gross)
    loan = Loan(builder.identity(slot, "loan"), document.id, owner, title, gross, slot.time, repayment_date)
    builder.world.loans[document.id] = loan
    if course.pay_date is not None:
        record = builder.identity(slot, "obtain")
        builder.world.repayments[record] = Repayment(
            record, document.id, document.id, "OBTAIN", gross, course.pay_date
        )
    if course.pay_date is not None and "foreign" not in value:
        builder.loan_left[document.id] = gross
        builder.open_loans.setdefault(owner, []).append(loan)


def _foreign_account(form: Json, value: Json) -> None:
    if "foreign" in value and "paymentAccountId" in form:
        form["paymentAccountId"] = FOREIGN_ACCOUNT


def build_requisition(builder: Builder, slot: Slot) -> None:
    """A request to spend; makes no voucher. Some were altered once (变更) and approved again."""
    rng = slot.rng
    owner = builder.pick_owner(slot)
    gross = amount(rng, 420_000, 0.7, step=10_000)
    course = builder.course(slot, owner, cashier=False)
    title = rng.choice(("出差申请", "活动申请", "采购申请", "培训申请"))
    form = builder.form("requisition", "SPEC_REQUISITION", owner, title, course)
    form |= {
        "requisitionDate": builder.day(slot),
        "requisitionMoney": money(gross, builder.company.catalog.home, LINE),
        "expenseDepartment": builder.company.home_of[owner],
    }
    if course.end_time is not None and rng.random() < 0.05:
        form["alterFlag"] = "0"
    document = builder.add(slot, "requisition", form, course, gross=gross)
    if document.is_approved:
        builder.requisitions.setdefault(owner, []).append(document.id)


def build_receipt(builder: Builder, slot: Slot) -> None:
    """Money that comes in: an employee returns what is left of a loan, a supplier refunds, a deposit returns."""
    rng = slot.rng
    home = builder.company.catalog.home
    owed = [
        loan
        for loans in builder.open_loans.values()
        for loan in loans
        if 0 < builder.loan_left[loan.flow_id] < loan.total and loan.loan_date < slot.time
    ]
    loan = rng.choice(owed) if owed and rng.random() < 0.6 else None
    fee = "loan_return" if loan else rng.choice(("refund", "deposit"))
    owner = loan.owner_id if loan else builder.pick_owner(slot, "D40", "D20")
    gross = builder.loan_left[loan.flow_id] if loan else amount(rng, FEES[fee].median, FEES[fee].sigma)
    course = builder.course(slot, owner, cashier=False)
    form = builder.form("receipt", "SPEC_RECEIPT", owner, FEES[fee].name, course)
    identity = builder.company.fee_ids[fee]
    form |= {
        "receiptDate": builder.day(slot),
        "receiptMoney": money(gross, home),
        "expenseDepartment": builder.company.home_of[owner],
        "details": [
            {
                "feeTypeId": identity,
                "feeTypeForm": {
                    "amount": money(gross, home, LINE),
                    "feeDate": builder.day(slot),
                    "detailId": builder.identity(slot, "line0"),
                    "attachments": [],
                    "consumptionReasons": FEES[fee].name,
                },
                "specificationId": f"{identity}:receipt:1",
                "feeType": {
                    "id": identity,
                    "name": FEES[fee].name,
                    "parentId": "",
                    "active": True,
                    "code": FEES[fee].code,
                },
            }
        ],
    }
    if loan is None and fee == "refund":
        form[SUPPLIER] = rng.choice(builder.company.suppliers).item
    if loan is not None:
        form["writtenOffRecords"] = [
            {"id": loan.id, "amount": decimal_text(gross, 2, trimmed=True), "loanId": loan.flow_id}
        ]
    document = builder.add(slot, "receipt", form, course, gross=gross)
    if loan is not None:
        record = builder.identity(slot, "repayment")
        builder.world.repayments[record] = Repayment(
            record, loan.flow_id, document.id, "MANUAL", gross, course.update_time
        )
        if document.active and course.state not in {"draft", "rejected", "nullify"}:
            builder.loan_left[loan.flow_id] = 0


def build_payment(builder: Builder, slot: Slot) -> None:
    """Money to a supplier: ahead of an order's goods, for an order's invoice, or without an order."""
    waiting = [item for item in builder.purchases if item.approved < slot.time]
    ahead = next(
        (item for item in waiting if item.wants_prepayment and not item.prepaid and item.received is None),
        None,
    )
    if ahead is not None:
        share_of_order = slot.rng.choice((30, 50, 100))
        _pay_supplier(builder, slot, ahead, share(ahead.gross, share_of_order, 100), prepayment=True)
        return
    due = next(
        (item for item in waiting if item.invoiced and not item.paid and item.invoiced < slot.time), None
    )
    if due is not None and due.gross > due.prepaid:
        _pay_supplier(builder, slot, due, due.gross - due.prepaid, prepayment=False)
        return
    _pay_supplier(builder, slot, None, amount(slot.rng, 900_000, 0.9), prepayment=False)


def _pay_supplier(
    builder: Builder, slot: Slot, purchase: Purchase | None, gross: int, *, prepayment: bool
) -> None:
    rng = slot.rng
    owner = (
        builder.pick_owner(slot, "D90") if purchase else builder.pick_owner(slot, "D20", "D70", "D80", "D90")
    )
    supplier = purchase.supplier if purchase else rng.choice(builder.company.suppliers)
    course = builder.course(slot, owner, cashier=True)
    template = "SPEC_PREPAYMENT" if prepayment else "SPEC_PAYMENT"
    title = f"{'预付' if prepayment else '支付'}{supplier.name}"
    form = builder.form("payment", template, owner, title, course)
    value = (
        money(gross, builder.company.catalog.home) if purchase else builder.own_or_foreign(slot, gross, 0.08)
    )
    form |= {
        "payeeId": supplier.payee,
        "payMoney": value,
        "expenseDepartment": purchase.department if purchase else builder.company.home_of[owner],
        SUPPLIER: supplier.item,
    }
    _foreign_account(form, value)
    if purchase:
        form |= {"u_采购订单": purchase.flow_id, "u_订单编号": purchase.order_number}
        project_field(form, purchase.project)
    document = builder.add(slot, "payment", form, course, gross=_minor(value))
    if purchase and document.active and course.state not in {"draft", "rejected", "nullify"}:
        if prepayment:
            purchase.prepaid = gross
        else:
            purchase.paid = True


def build_custom(builder: Builder, slot: Slot) -> None:
    """The next step of a purchase that waits for one, else a new order."""
    for purchase in builder.purchases:
        if purchase.received is None:
            if purchase.approved + LEAD_TIME_MS < slot.time:
                _goods_receipt(builder, slot, purchase)
                return
        elif purchase.invoiced is None and purchase.received + LEAD_TIME_MS // 2 < slot.time:
            _purchase_invoice(builder, slot, purchase)
            return
    _order(builder, slot)


def _order(builder: Builder, slot: Slot) -> None:
    rng, home = slot.rng, builder.company.catalog.home
    owner = builder.pick_owner(slot, "D90")
    supplier, material = rng.choice(builder.company.suppliers), rng.choice(MATERIALS)
    gross = amount(rng, 2_600_000, 0.8)
    course = builder.course(slot, owner, cashier=False)
    form = builder.form("custom", "SPEC_PO", owner, f"采购{material[2]}", course)
    order_number = f"PO{builder.year}{slot.number:07d}"
    project = builder.pick_project(slot, 0.3)
    department = builder.company.catalog.own(rng.choice(("D71", "D72", "D80", "D20")))
    prepaid = rng.random() < 0.4
    form |= {
        "expenseDepartment": department,
        SUPPLIER: supplier.item,
        MATERIAL: material[0],
        "u_订单编号": order_number,
        "u_订单日期": builder.day(slot),
        "u_订单金额": money(gross, home),
        "u_税率": "13",
        "u_是否预付": prepaid,
    }
    project_field(form, project)
    document = builder.add(slot, "custom", form, course, gross=gross)
    if document.is_approved and course.end_time is not None:
        builder.purchases.append(
            Purchase(
                document.id,
                order_number,
                supplier,
                department,
                project,
                material[0],
                gross,
                13,
                course.end_time,
                prepaid,
            )
        )


def _step_form(
    builder: Builder, slot: Slot, purchase: Purchase, template: str, title: str
) -> tuple[Json, Course]:
    owner = builder.pick_owner(slot, "D90")
    course = builder.course(slot, owner, cashier=False)
    form = builder.form("custom", template, owner, title, course)
    form |= {
        "expenseDepartment": purchase.department,
        SUPPLIER: purchase.supplier.item,
        MATERIAL: purchase.material,
        "u_采购订单": purchase.flow_id,
        "u_订单编号": purchase.order_number,
    }
    project_field(form, purchase.project)
    return form, course


def _goods_receipt(builder: Builder, slot: Slot, purchase: Purchase) -> None:
    """Goods came in without an invoice: their value without VAT is estimated (暂估)."""
    net = purchase.gross - contained_tax(purchase.gross, purchase.tax_rate)
    form, course = _step_form(builder, slot, purchase, "SPEC_GOODS_RECEIPT", f"入库 {purchase.order_number}")
    form |= {
        "u_入库单号": f"GR{builder.year}{slot.number:07d}",
        "u_入库日期": builder.day(slot),
        "u_暂估金额": money(net, builder.company.catalog.home),
    }
    document = builder.add(slot, "custom", form, course, gross=net)
    if document.is_approved:
        purchase.receipt_id, purchase.received = document.id, course.end_time


def _purchase_invoice(builder: Builder, slot: Slot, purchase: Purchase) -> None:
    """The supplier's invoice for what was received; a prepayment is set off against it."""
    home = builder.company.catalog.home
    tax = contained_tax(purchase.gross, purchase.tax_rate)
    form, course = _step_form(
        builder, slot, purchase, "SPEC_PURCHASE_INVOICE", f"采购发票 {purchase.order_number}"
    )
    invoice = vat_invoice(
        slot.number * 100,
        VAT_KINDS["special_13"],
        gross=purchase.gross,
        tax=tax,
        deductible=tax,
        date_ms=builder.day(slot),
        seller=purchase.supplier.name,
        item="*电子元件*货物",
    )
    builder.world.invoices[invoice.id] = invoice
    entry = {
        "itemIds": [item.id for item in invoice.items],
        "invoiceId": invoice.id,
        "taxAmount": money(tax, home, PLAIN),
        "taxRate": purchase.tax_rate,
    }
    form |= {
        "u_入库单": purchase.receipt_id,
        "u_发票日期": builder.day(slot),
        "u_价税合计": money(purchase.gross, home),
        "u_不含税金额": money(purchase.gross - tax, home),
        "u_可抵扣税额": money(tax, home),
        "u_核销预付金额": money(purchase.prepaid, home),
        "u_发票": {"type": "exist", "invoices": [entry]},
    }
    document = builder.add(slot, "custom", form, course, gross=purchase.gross, deductible=tax)
    if document.is_approved:
        purchase.invoiced = course.end_time
