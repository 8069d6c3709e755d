"""Canonical documents for tests, with what a reader of the test cares about and defaults for the rest."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

from include.domain.document import (
    DocumentKind,
    DocumentLine,
    DocumentStatus,
    Reference,
    SourceDocument,
    WriteOff,
)
from include.ports import MasterRecord

ENTITY = Reference("LE1", "E01", "示例科技（上海）有限公司")
DEPARTMENT = Reference("D1", "D01", "研发部")
EMPLOYEE = Reference("S1", "E0001", "员工一")
PROJECT = Reference("P1", "P001", "项目一")
SUPPLIER = Reference("V1", "V001", "供应商一")
HOTEL = Reference("F1", "COST12", "住宿费")
DAY = datetime(2026, 3, 10, 2, 0, tzinfo=UTC)

MASTER = [
    MasterRecord("legal_entity", ENTITY.id, ENTITY.code, ENTITY.name),
    MasterRecord("department", DEPARTMENT.id, DEPARTMENT.code, DEPARTMENT.name),
    MasterRecord("staff", EMPLOYEE.id, EMPLOYEE.code, EMPLOYEE.name),
    MasterRecord("project", PROJECT.id, PROJECT.code, PROJECT.name),
    MasterRecord("supplier", SUPPLIER.id, SUPPLIER.code, SUPPLIER.name),
    MasterRecord("fee_type", HOTEL.id, HOTEL.code, HOTEL.name),
]


def line(no: int = 1, amount: int = 10600, tax: int = 600, **more: object) -> DocumentLine:
    """A hotel line in CNY."""
    base = DocumentLine(
        line_no=no,
        portion_no=1,
        line_id=f"L{no}",
        fee_type=HOTEL,
        department=DEPARTMENT,
        project=PROJECT,
        currency="CNY",
        amount=amount,
        functional_amount=amount,
        rate=Decimal(1),
        deductible_tax=tax,
        occurred_on=date(2026, 3, 8),
        description="住宿",
    )
    return replace(base, **more)  # type: ignore[arg-type]


def claim(number: int = 1, *lines: DocumentLine, **more: object) -> SourceDocument:
    """An approved expense claim, paid by the cashier."""
    rows = lines or (line(),)
    gross = sum(row.functional_amount or 0 for row in rows)
    base = SourceDocument(
        source="hesi",
        document_id=f"ID_{number}",
        code=f"B26{number:06d}",
        kind=DocumentKind.EXPENSE_CLAIM,
        form_type="expense",
        template_id="SPEC_EXPENSE",
        title="差旅报销",
        status=DocumentStatus.APPROVED,
        functional_currency="CNY",
        currency="CNY",
        gross=gross,
        transaction_gross=gross,
        written_off=0,
        company_paid=0,
        payable=gross,
        legal_entity=ENTITY,
        department=DEPARTMENT,
        submitter=EMPLOYEE,
        supplier=None,
        project=PROJECT,
        created_at=datetime(2026, 3, 9, 1, 0, tzinfo=UTC),
        updated_at=DAY,
        submitted_at=datetime(2026, 3, 9, 2, 0, tzinfo=UTC),
        approved_at=DAY,
        paid_at=DAY,
        payment_channel="OFFLINE",
        lines=rows,
    )
    return replace(base, **more)  # type: ignore[arg-type]


def loan(number: int, amount: int, **more: object) -> SourceDocument:
    """A paid loan."""
    row = line(1, amount, 0, fee_type=None, description="")
    return claim(
        number, row, kind=DocumentKind.LOAN, form_type="loan", template_id="SPEC_LOAN", title="借款", **more
    )


def settling(
    number: int, loan_document: SourceDocument, written_off: int, *lines: DocumentLine
) -> SourceDocument:
    """A claim that writes a loan off in part or whole."""
    document = claim(number, *lines)
    assert document.gross is not None
    return replace(
        document,
        written_off=written_off,
        payable=document.gross - written_off,
        write_offs=(WriteOff(loan_document.document_id, written_off),),
    )
