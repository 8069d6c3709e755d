"""The cost lines (费用明细) of a payload, their apportionment (分摊) and invoices (发票)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from include.adapters.oa.directory import Directory
from include.adapters.oa.hesi.reader import Reader
from include.adapters.oa.reading import Label, shown
from include.adapters.oa.totals import share_claims, split_or_first
from include.domain.document import DocumentLine, InvoiceClaim, Reference
from include.domain.money import MAX_MINOR, format_minor

AMOUNT = Label("line.amount", "费用金额", "amount")
DATE = Label("line.date", "费用日期", "date")
LINE_ID = Label("line.id", "明细编号", "id")
FEE_TYPE = Label("line.fee_type", "费用类型", "fee type")
REFERENCES = {
    "department": Label("line.department", "部门", "department"),
    "project": Label("line.project", "项目", "project"),
    "legal_entity": Label("line.legal_entity", "法人实体", "legal entity"),
}
TAX = Label("line.tax", "可抵扣税额", "deductible tax")
INVOICE = Label("line.invoice", "发票编号", "invoice id")
PORTION = Label("line.apportion.amount", "分摊金额", "apportioned amount")


@dataclass(frozen=True, slots=True)
class InvoiceFacts:
    """What the invoice pages say of a whole invoice: its kind in the vendor's word, amounts in functional minor units.

    `tax` is printed on it, or what the OA would deduct; the other fields are those of an InvoiceClaim.
    """

    kind: str
    total: int | None
    tax: int | None = None
    exempt: int | None = None
    occurred_on: date | None = None
    is_named: bool | None = None
    is_readable: bool = True
    """Whether every amount that the pages give can be read."""


@dataclass(frozen=True, slots=True)
class LineContext:
    """What lines need of their surroundings.

    `fields` are the keys under which a line or portion names its department, project and legal entity; the references
    are the document's.
    """

    directory: Directory
    invoices: Mapping[str, InvoiceFacts]
    fields: Mapping[str, str]
    department: Reference | None
    project: Reference | None
    legal_entity: Reference | None

    def apart(self, entity: Reference | None) -> Reference | None:
        """The legal entity of a line, None where it is the document's own."""
        return None if entity == self.legal_entity else entity


def read_lines(
    reader: Reader, details: Sequence[Any], context: LineContext
) -> tuple[tuple[DocumentLine, ...], tuple[InvoiceClaim, ...]]:
    """All lines, apportioned ones in portions, and the invoices on them."""
    lines: list[DocumentLine] = []
    claims: list[InvoiceClaim] = []
    seen: dict[str, int] = {}
    for index, item in enumerate(details):
        line_no, where = index + 1, f"form.details[{index}]"
        form = item.get("feeTypeForm") if isinstance(item, dict) else None
        if not isinstance(item, dict) or not isinstance(form, dict):
            reader.note(
                "line.unreadable",
                where,
                "结构无法识别，请在合思中重新填写此明细",
                "its structure cannot be read, enter the line again",
                line_no=line_no,
            )
            lines.append(_blank(line_no, context))
            continue
        line, on_line = _read_line(reader, item, form, line_no, context)
        _note_duplicate(reader, line, seen)
        lines += _portions(reader, line, form, context)
        claims += on_line
    return tuple(lines), tuple(claims)


def _blank(line_no: int, context: LineContext) -> DocumentLine:
    return DocumentLine(
        line_no, 1, "", None, context.department, context.project, None, None, None, None, None, None
    )


def _read_line(
    reader: Reader, item: Mapping[str, Any], form: Mapping[str, Any], line_no: int, context: LineContext
) -> tuple[DocumentLine, list[InvoiceClaim]]:
    where = f"form.details[{line_no - 1}]"
    inner = f"{where}.feeTypeForm"
    money = reader.amount(form.get("amount"), f"{inner}.amount", AMOUNT, line_no)
    claims, tax = read_invoices(
        reader, form.get("invoiceForm"), f"{inner}.invoiceForm", line_no, context.invoices
    )
    fee_type = reader.identity(item.get("feeTypeId"), f"{where}.feeTypeId", FEE_TYPE, line_no)
    line = DocumentLine(
        line_no=line_no,
        portion_no=1,
        line_id=reader.key(form.get("detailId"), f"{inner}.detailId", LINE_ID, 128, line_no),
        fee_type=context.directory.reference("fee_type", fee_type) if fee_type else None,
        department=_reference(reader, form, inner, context, kind="department", line_no=line_no)
        or context.department,
        project=_reference(reader, form, inner, context, kind="project", line_no=line_no) or context.project,
        currency=money.currency,
        amount=money.amount,
        functional_amount=money.functional,
        rate=money.rate,
        deductible_tax=tax,
        occurred_on=reader.day(form.get("feeDate"), f"{inner}.feeDate", DATE, line_no),
        description=reader.text(form.get("consumptionReasons")) or reader.text(form.get("description")),
        legal_entity=context.apart(
            _reference(reader, form, inner, context, kind="legal_entity", line_no=line_no)
        ),
    )
    return line, share_claims(claims, money.functional)


def _reference(
    reader: Reader, form: Mapping[str, Any], where: str, context: LineContext, *, kind: str, line_no: int
) -> Reference | None:
    """The department, project or legal entity that a line or portion names, if it names one."""
    name = context.fields[kind]
    identity = reader.identity(form.get(name), f"{where}.{name}", REFERENCES[kind], line_no)
    return context.directory.reference(kind, identity) if identity else None


def _note_duplicate(reader: Reader, line: DocumentLine, seen: dict[str, int]) -> None:
    if not line.line_id:
        return
    first = seen.setdefault(line.line_id, line.line_no)
    if first != line.line_no:
        reader.note(
            "line.id.duplicate",
            f"form.details[{line.line_no - 1}].feeTypeForm.detailId",
            f"编号与第 {first} 条相同（{shown(line.line_id)}），可能重复报销，请删除重复的一条",
            f"it has the id of line {first} ({shown(line.line_id)}): perhaps claimed twice, delete one of them",
            line_no=line.line_no,
        )


# -- invoices ----------------------------------------------------------------------------------------


def read_invoices(
    reader: Reader, value: object, where: str, line_no: int, known: Mapping[str, InvoiceFacts]
) -> tuple[list[InvoiceClaim], int | None]:
    """The invoices in an invoice field, nothing claimed on them yet, and the deductible tax that the OA states for the
    line, None where a part of it could not be read.
    """
    if value is None or value == "":
        return [], 0
    listed = value.get("invoices", []) if isinstance(value, dict) else None
    if listed is None and isinstance(value, dict):
        return [], 0
    if not isinstance(listed, list) or not all(isinstance(item, dict) for item in listed):
        reader.note(
            "line.invoice.unreadable",
            where,
            "发票信息无法识别，请重新关联发票",
            "its invoices cannot be read, attach them again",
            line_no=line_no,
        )
        return [], None
    claims = [
        _claim(reader, item, f"{where}.invoices[{index}]", line_no) for index, item in enumerate(listed)
    ]
    stated = reader.total([claim.tax for claim in claims], where, TAX, line_no)
    for index, claim in enumerate(claims):
        facts = known.get(claim.invoice_id)
        if facts is not None and not facts.is_readable:
            reader.note(
                "line.invoice.unreadable",
                f"{where}.invoices[{index}]",
                f"发票 {shown(claim.invoice_id)} 的税额或不含税部分无法识别，请在合思中核对该发票",
                f"tax or untaxed part of invoice {shown(claim.invoice_id)} cannot be read: check the invoice in Hesi",
                line_no=line_no,
            )
    return [_with_facts(claim, known.get(claim.invoice_id)) for claim in claims], stated


def _claim(reader: Reader, item: Mapping[str, Any], where: str, line_no: int) -> InvoiceClaim:
    """As the line has it: with the tax that the OA states for it."""
    tax = item.get("taxAmount")
    return InvoiceClaim(
        line_no=line_no,
        invoice_id=reader.identity(item.get("invoiceId"), f"{where}.invoiceId", INVOICE, line_no) or "",
        kind="",
        claimed=None,
        # The vendor sends no tax amount for invoices without deductible tax.
        tax=0 if tax is None else reader.amount(tax, f"{where}.taxAmount", TAX, line_no).functional,
    )


def _with_facts(claim: InvoiceClaim, facts: InvoiceFacts | None) -> InvoiceClaim:
    """With what the invoice pages say. Their tax is that of the whole invoice, which counts where its total is known."""
    if facts is None:
        return claim
    is_whole = facts.tax is not None and facts.total is not None
    return replace(
        claim,
        kind=facts.kind,
        total=facts.total,
        tax=facts.tax if is_whole else claim.tax,
        is_tax_of_claim=not is_whole,
        exempt=facts.exempt,
        occurred_on=facts.occurred_on,
        is_named=facts.is_named,
    )


# -- apportionment -----------------------------------------------------------------------------------


def _portions(
    reader: Reader, line: DocumentLine, form: Mapping[str, Any], context: LineContext
) -> list[DocumentLine]:
    """The line, or its portions where it is apportioned; tax and foreign amount are split by them."""
    value = form.get("apportions")
    where = f"form.details[{line.line_no - 1}].feeTypeForm.apportions"
    if value is None or value in ("", []):
        return [line]
    if not isinstance(value, list):
        _note_portion(reader, where, line.line_no)
        return [replace(line, functional_amount=None)]
    portions = []
    for index, item in enumerate(value):
        inner = item.get("apportionForm") if isinstance(item, dict) else None
        at = f"{where}[{index}].apportionForm"
        if not isinstance(inner, dict):
            _note_portion(reader, f"{where}[{index}]", line.line_no)
            portions.append(replace(line, portion_no=index + 1, functional_amount=None))
            continue
        money = _portion_money(reader, inner.get("apportionMoney"), f"{at}.apportionMoney", line.line_no)
        department = _reference(reader, inner, at, context, kind="department", line_no=line.line_no)
        project = _reference(reader, inner, at, context, kind="project", line_no=line.line_no)
        entity = _reference(reader, inner, at, context, kind="legal_entity", line_no=line.line_no)
        portions.append(
            replace(
                line,
                portion_no=index + 1,
                department=department or line.department,
                project=project or line.project,
                legal_entity=context.apart(entity) if entity else line.legal_entity,
                functional_amount=money,
            )
        )
    return _shared_out(reader, line, portions, where)


def _portion_money(reader: Reader, value: object, where: str, line_no: int) -> int | None:
    """A portion's home amount. Its foreign part is not checked: portions are rounded to fit their line."""
    home = dict(value) if isinstance(value, dict) else value
    if isinstance(home, dict):
        home = {key: home[key] for key in ("standard", "standardStrCode") if key in home}
    return reader.amount(home, where, PORTION, line_no).functional


def _note_portion(reader: Reader, where: str, line_no: int) -> None:
    reader.note(
        "line.apportion.unreadable",
        where,
        "分摊无法识别，请重新填写分摊",
        "its apportionment cannot be read, enter it again",
        line_no=line_no,
    )


def _shared_out(
    reader: Reader, line: DocumentLine, portions: list[DocumentLine], where: str
) -> list[DocumentLine]:
    weights = [portion.functional_amount for portion in portions if portion.functional_amount is not None]
    if len(weights) != len(portions) or line.functional_amount is None:
        return [replace(portion, amount=None, deductible_tax=None) for portion in portions]
    if sum(weights) != line.functional_amount:
        reader.note(
            "line.apportion.sum",
            where,
            f"分摊合计 {format_minor(sum(weights), reader.functional)} 不等于明细金额 "
            f"{format_minor(line.functional_amount, reader.functional)}，请改正分摊",
            f"its portions add up to {format_minor(sum(weights), reader.functional)}, the line is "
            f"{format_minor(line.functional_amount, reader.functional)}: correct the apportionment",
            line_no=line.line_no,
        )
    taxes: Sequence[int | None] = split_or_first(line.deductible_tax, weights)
    amounts: Sequence[int | None] = weights
    if line.currency != reader.functional:
        amounts = split_or_first(line.amount, weights)
    if any(abs(part) > MAX_MINOR for part in [*taxes, *amounts] if part is not None):
        _note_portion(reader, where, line.line_no)
        taxes = amounts = [None] * len(portions)
    return [
        replace(portion, amount=amount, deductible_tax=tax)
        for portion, amount, tax in zip(portions, amounts, taxes, strict=True)
    ]
