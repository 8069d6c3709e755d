"""Hesi payload → canonical document. Pure: everything it knows comes in, and it never raises on user data.

It reports what it cannot read or represent. What can be read but is wrong (totals that do not add up, unknown
departments, missing fields) it passes on for the quality gate to judge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from include.adapters.oa.directory import Directory
from include.adapters.oa.hesi.history import History, read_history
from include.adapters.oa.hesi.lines import (
    InvoiceFacts,
    LineContext,
    read_invoices,
    read_lines,
)
from include.adapters.oa.hesi.options import HesiOptions
from include.adapters.oa.hesi.reader import NOTHING, Amount, Reader
from include.adapters.oa.reading import ID_LENGTH, Label, as_text, made_up_id, shown, usable_id
from include.adapters.oa.totals import common_currency, share_claims, sum_known
from include.domain.document import (
    DocumentKind,
    DocumentLine,
    DocumentStatus,
    InvoiceClaim,
    MappedDocument,
    Reference,
    SourceDocument,
    WriteOff,
)
from include.domain.problems import ProblemOwner
from include.ports import RawDocument
from include.settings import Source

STATUSES = {
    "draft": DocumentStatus.DRAFT,
    "pending": DocumentStatus.IN_APPROVAL,
    "approving": DocumentStatus.IN_APPROVAL,
    "sending": DocumentStatus.IN_APPROVAL,
    "receiving": DocumentStatus.IN_APPROVAL,
    "rejected": DocumentStatus.REJECTED,
    "paying": DocumentStatus.AWAITING_PAYMENT,
    "PROCESSING": DocumentStatus.AWAITING_PAYMENT,
    "paid": DocumentStatus.APPROVED,
    "archived": DocumentStatus.ARCHIVED,
    "nullify": DocumentStatus.NULLIFIED,
}
"""The vendor's states. PROCESSING (支付中) is a business state inside paying."""

GROSS_FIELDS = {
    "expense": "expenseMoney",
    "loan": "loanMoney",
    "payment": "payMoney",
    "requisition": "requisitionMoney",
    "receipt": "receiptMoney",
}
"""Where each form keeps its total."""
FORMS_WITH_PAY_MONEY = frozenset({"expense"})
"""Forms that state what is left to pay beside their total; on others it follows from the total."""
FORMS_WITH_DETAILS = frozenset({"expense"})
"""Forms that have a list of lines by nature; on others it may be absent, and the total is the one line."""
DATE_FIELDS = {"loan": "loanDate", "requisition": "requisitionDate", "receipt": "receiptDate"}
"""Where forms that may have no lines keep their day; the others have none but the submission."""

GROSS = Label("document.gross", "单据总金额", "the document's total")
PAYABLE = Label("document.payable", "支付金额", "the amount to pay")
WRITTEN_OFF = Label("document.written_off", "核销金额", "the amount written off against loans")
COMPANY_PAID = Label("document.company_paid", "企业已付金额", "the amount that the company paid already")
LOAN = Label("document.write_off.loan", "被核销的借款单", "the loan written off")
CODE = Label("document.code", "单据编号", "the document's code")
TEMPLATE = Label("document.template", "单据模板", "the document's template")
LINK = Label("document.link", "关联单据", "the related document")
CHANNEL = Label("document.payment_channel", "支付方式", "the payment channel")
DATES = {
    "createTime": Label("document.created_at", "创建时间", "the time of creation"),
    "updateTime": Label("document.updated_at", "更新时间", "the time of the last change"),
    "submitDate": Label("document.submitted_at", "提交时间", "the time of submission"),
    "flowEndTime": Label("document.approved_at", "审批完成时间", "the time of approval"),
    "payDate": Label("document.paid_at", "支付时间", "the time of payment"),
}
LINE_DATE = Label("line.date", "单据日期", "the document's date")


@dataclass(frozen=True, slots=True)
class MappingContext:
    """All that a mapping needs beside the payload."""

    source: Source
    options: HesiOptions
    zone: ZoneInfo
    directory: Directory = field(default_factory=lambda: Directory(()))
    invoices: Mapping[str, InvoiceFacts] = field(default_factory=dict)


def map_document(raw: RawDocument, context: MappingContext) -> MappedDocument:
    """The canonical document of one payload, as far as it can be read, and everything that is wrong with it."""
    reader = Reader(context.source.functional_currency, context.zone)
    mapper = _Mapper(raw, context, reader)
    document = mapper.document()
    return MappedDocument(document, tuple(reader.problems))


@dataclass(slots=True)
class _Totals:
    gross: Amount
    written_off: int | None
    company_paid: int | None
    payable: int | None


class _Mapper:
    def __init__(self, raw: RawDocument, context: MappingContext, reader: Reader) -> None:
        self._raw = raw
        self._payload = raw.payload
        self._context = context
        self._reader = reader
        form = raw.payload.get("form")
        self._form: Mapping[str, Any] = form if isinstance(form, dict) else {}
        self._has_form = isinstance(form, dict)

    def document(self) -> SourceDocument:
        reader, form, source = self._reader, self._form, self._context.source
        identity = self._identity()
        if not self._has_form:
            self._reader.unreadable("form", "document.form.unreadable", "单据内容", "the document's form")
        template = reader.key(form.get("specificationId"), "form.specificationId", TEMPLATE, 160)
        kind = self._kind(template)
        status = self._status()
        department, project = self._department(), self._dimension(source.fields.project, "project", "项目")
        legal_entity = self._dimension(source.fields.legal_entity, "legal_entity", "法人实体")
        lines, claims = self._lines(department, project, legal_entity)
        write_offs = self._write_offs()
        totals = self._totals(template, lines, write_offs)
        if not lines:
            lines, claims = self._whole_as_line(totals.gross, template, department, project)
        currency = common_currency(lines) or reader.functional
        history = read_history(reader, self._payload.get("logs"))
        return SourceDocument(
            source=source.id,
            document_id=identity,
            code=reader.key(form.get("code"), "form.code", CODE, ID_LENGTH),
            kind=kind,
            form_type=self._raw.form_type,
            template_id=template,
            title=reader.text(form.get("title")),
            status=status,
            functional_currency=reader.functional,
            currency=currency,
            gross=totals.gross.functional,
            transaction_gross=_transaction_gross(totals.gross, lines, currency, reader.functional),
            written_off=totals.written_off,
            company_paid=totals.company_paid,
            payable=totals.payable,
            legal_entity=legal_entity,
            department=department,
            submitter=self._reference("submitterId", "staff", "提交人", "the submitter"),
            supplier=self._supplier(),
            project=project,
            created_at=self._moment(self._payload, "createTime", ""),
            updated_at=self._moment(self._payload, "updateTime", ""),
            submitted_at=self._moment(form, "submitDate", "form."),
            approved_at=self._approved_at(status, history),
            paid_at=self._moment(form, "payDate", "form."),
            payment_channel=reader.key(form.get("paymentChannel"), "form.paymentChannel", CHANNEL, 64),
            attachments=_attachments(form),
            lines=lines,
            invoices=claims,
            write_offs=write_offs,
            links=self._links(),
            approvals=history.steps,
            voucher_no=reader.text(form.get("voucherNo")),
            properties=self._properties(),
        )

    # -- what it is ----------------------------------------------------------------------------------

    def _identity(self) -> str:
        identity = usable_id(self._payload.get("id"))
        if identity:
            return identity
        made_up = made_up_id(self._payload)
        self._reader.note(
            "document.id.missing",
            "id",
            f"合思给出的单据没有可用的单据 ID，暂记为 {made_up}；请联系合思",
            f"Hesi sent a document without a usable id, kept as {made_up}: ask the vendor",
            owner=ProblemOwner.VENDOR,
        )
        return made_up

    def _kind(self, template: str) -> DocumentKind:
        form_type = self._payload.get("formType")
        if form_type != self._raw.form_type:
            self._reader.note(
                "document.form_type.unknown",
                "formType",
                f"单据类型 {shown(form_type)} 与所在列表 {shown(self._raw.form_type)} 不一致，无法判断如何记账，请核对单据模板",
                f"form type {shown(form_type)} came in the list of {shown(self._raw.form_type)}: it cannot be told what it "
                "is, check the template",
                owner=ProblemOwner.ENGINEER,
                cause=f"form_type:{as_text(form_type)[:64]}",
            )
            return DocumentKind.UNKNOWN
        kind = self._context.source.kind_of(self._raw.form_type, template)
        if kind is DocumentKind.UNKNOWN:
            file = self._context.source.file or f"sources/{self._context.source.id}.yaml"
            self._reader.note(
                "document.kind.unknown",
                "form.specificationId",
                f"模板 {shown(template)}（{self._raw.form_type}）没有对应的单据种类，请在 {file} 的 forms 中添加一行",
                f"template {shown(template)} of {self._raw.form_type} is no known kind of document: add a line to forms in "
                f"{file}",
                owner=ProblemOwner.ENGINEER,
                cause=f"template:{template.partition(':')[0]}",
            )
        return kind

    def _status(self) -> DocumentStatus:
        if self._payload.get("active") is False:
            return DocumentStatus.DELETED
        state = self._payload.get("state")
        if isinstance(state, str) and state in STATUSES:
            return STATUSES[state]
        self._reader.note(
            "document.status.unknown",
            "state",
            f"单据状态 {shown(state)} 未知，请在合思中核对该单据，并联系工程师",
            f"state {shown(state)} is not known: look at the document in Hesi and tell an engineer",
            owner=ProblemOwner.ENGINEER,
            cause=f"state:{as_text(state)[:64]}",
        )
        return DocumentStatus.UNKNOWN

    # -- references ----------------------------------------------------------------------------------

    def _reference(self, name: str, kind: str, zh: str, en: str) -> Reference | None:
        label = Label(f"document.{kind}", zh, en)
        identity = self._reader.identity(self._form.get(name), f"form.{name}", label)
        return self._context.directory.reference(kind, identity) if identity else None

    def _dimension(self, name: str, kind: str, zh: str) -> Reference | None:
        return self._reference(name, kind, zh, kind.replace("_", " "))

    def _department(self) -> Reference | None:
        for name in self._context.options.department_fields:
            found = self._reference(name, "department", "部门", "department")
            if found is not None:
                return found
        return None

    def _supplier(self) -> Reference | None:
        """The supplier field, else the payee where it is a company's account (对公账户)."""
        chosen = self._dimension(self._context.source.fields.supplier, "supplier", "供应商")
        if chosen is not None:
            return chosen
        payee = self._reference("payeeId", "payee", "收款账户", "the payee")
        record = self._context.directory.record("payee", payee.id) if payee else None
        is_company = record is not None and (
            record.extra.get("owner") == "CORPORATION" or record.extra.get("type") == "对公账户"
        )
        return payee if is_company else None

    # -- money ---------------------------------------------------------------------------------------

    def _lines(
        self, department: Reference | None, project: Reference | None, legal_entity: Reference | None
    ) -> tuple[tuple[DocumentLine, ...], tuple[InvoiceClaim, ...]]:
        details = self._form.get("details")
        if isinstance(details, list):
            fields = self._context.source.fields
            context = LineContext(
                directory=self._context.directory,
                invoices=self._context.invoices,
                fields={
                    "department": "expenseDepartment",
                    "project": fields.project,
                    "legal_entity": fields.legal_entity,
                },
                department=department,
                project=project,
                legal_entity=legal_entity,
            )
            return read_lines(self._reader, details, context)
        if self._has_form and (details is not None or self._raw.form_type in FORMS_WITH_DETAILS):
            self._reader.unreadable(
                "form.details", "document.details.unreadable", "费用明细", "the list of lines"
            )
        return (), ()

    def _write_offs(self) -> tuple[WriteOff, ...]:
        records = self._form.get("writtenOffRecords")
        if records is None or records == "":
            return ()
        where = "form.writtenOffRecords"
        if not isinstance(records, list):
            self._reader.unreadable(
                where, "document.write_off.unreadable", "核销记录", "the loans written off"
            )
            return ()
        found = []
        for index, record in enumerate(records):
            at = f"{where}[{index}]"
            if not isinstance(record, dict):
                self._reader.unreadable(at, "document.write_off.unreadable", "核销记录", "a loan written off")
                continue
            loan = self._reader.identity(record.get("loanId"), f"{at}.loanId", LOAN)
            amount = self._reader.amount(record.get("amount"), f"{at}.amount", WRITTEN_OFF)
            found.append(WriteOff(loan or "", amount.functional))
        return tuple(found)

    def _totals(
        self, template: str, lines: Sequence[DocumentLine], write_offs: Sequence[WriteOff]
    ) -> _Totals:
        if not self._has_form:
            return _Totals(NOTHING, None, None, None)
        gross = self._gross(template, lines)
        records = [write_off.amount for write_off in write_offs]
        by_records = self._reader.total(records, "form.writtenOffRecords", WRITTEN_OFF)
        written_off = self._optional("writtenOffMoney", WRITTEN_OFF, by_records)
        company_paid = self._optional("companyRealPay", COMPANY_PAID, 0)
        settled = [-part if part is not None else None for part in (written_off, company_paid)]
        if self._raw.form_type in FORMS_WITH_PAY_MONEY:
            payable = self._reader.amount(self._form.get("payMoney"), "form.payMoney", PAYABLE).functional
        else:
            payable = self._reader.total([gross.functional, *settled], "form", PAYABLE)
        return _Totals(gross, written_off, company_paid, payable)

    def _gross(self, template: str, lines: Sequence[DocumentLine]) -> Amount:
        name = GROSS_FIELDS.get(self._raw.form_type) or self._context.options.amount_fields.get(
            template.partition(":")[0]
        )
        if name is None and lines:
            # 通用审批单 has no standard total: the lines are all that it says.
            parts = [line.functional_amount for line in lines]
            total = self._reader.total(parts, "form.details", GROSS)
            return Amount(total, self._reader.functional, total, None)
        if name is None:
            self._note_no_total(template)
            return NOTHING
        return self._reader.amount(self._form.get(name), f"form.{name}", GROSS)

    def _note_no_total(self, template: str) -> None:
        bare = template.partition(":")[0]
        file = self._context.source.file or f"sources/{self._context.source.id}.yaml"
        self._reader.note(
            "document.gross.no_field",
            "form",
            f"{self._raw.form_type} 模板 {shown(bare)} 的总金额在哪个字段未知，请在 {file} 的 options.amount_fields 中写明",
            f"which field of {self._raw.form_type} template {shown(bare)} holds the total is not known: name it in "
            f"options.amount_fields of {file}",
            owner=ProblemOwner.ENGINEER,
            cause=f"amount_field:{bare}",
        )

    def _optional(self, name: str, label: Label, default: int | None) -> int | None:
        value = self._form.get(name)
        if value is None or value == "":
            return default
        return self._reader.amount(value, f"form.{name}", label).functional

    def _whole_as_line(
        self, gross: Amount, template: str, department: Reference | None, project: Reference | None
    ) -> tuple[tuple[DocumentLine, ...], tuple[InvoiceClaim, ...]]:
        """Forms without lines are one line of their whole amount; forms that should have lines stay without."""
        if self._raw.form_type in FORMS_WITH_DETAILS or not self._has_form:
            return (), ()
        reader, form = self._reader, self._form
        date_field = DATE_FIELDS.get(self._raw.form_type, "submitDate")
        invoices = self._context.options.invoice_fields.get(template.partition(":")[0], "invoiceForm")
        claims, tax = read_invoices(reader, form.get(invoices), f"form.{invoices}", 1, self._context.invoices)
        line = DocumentLine(
            line_no=1,
            portion_no=1,
            line_id="",
            fee_type=None,
            department=department,
            project=project,
            currency=gross.currency,
            amount=gross.amount,
            functional_amount=gross.functional,
            rate=gross.rate,
            deductible_tax=tax,
            occurred_on=reader.day(form.get(date_field), f"form.{date_field}", LINE_DATE),
            description=reader.text(form.get("description")),
        )
        return (line,), tuple(share_claims(claims, gross.functional))

    # -- when and how --------------------------------------------------------------------------------

    def _moment(self, holder: Mapping[str, Any], name: str, prefix: str) -> datetime | None:
        return self._reader.moment(holder.get(name), prefix + name, DATES[name])

    def _approved_at(self, status: DocumentStatus, history: History) -> datetime | None:
        """The last approval by the history, else flowEndTime, else the payment; None while not approved."""
        ended = self._moment(self._form, "flowEndTime", "form.")
        paid = self._moment(self._form, "payDate", "form.")
        return (history.approved_at or ended or paid) if status.is_due else None

    # -- the rest ------------------------------------------------------------------------------------

    def _links(self) -> tuple[str, ...]:
        """Ids of related documents: requisitions that were claimed, and fields that the options name."""
        found: list[str] = []
        names = ("expenseLink", "expenseLinks", "linkRequisitionInfo", *self._context.options.link_fields)
        for name in names:
            value = self._form.get(name)
            many = value if isinstance(value, list) else [value]
            for item in many:
                identity = self._reader.identity(item, f"form.{name}", LINK)
                found += [identity] if identity else []
        return tuple(dict.fromkeys(found))

    def _properties(self) -> Mapping[str, str]:
        """The fields that the source's config names, as text; those without a value are left out."""
        wanted = self._context.source.fields.properties
        texts = {ours: self._property(self._form.get(theirs)) for ours, theirs in wanted.items()}
        return {ours: text for ours, text in texts.items() if text}

    def _property(self, value: object) -> str:
        """A field as text: an amount by its number, an item of a dimension by its code, a list joined."""
        if isinstance(value, dict):
            value = value.get("standard", value.get("id"))
        if isinstance(value, list):
            return ",".join(
                filter(None, (self._property(item) for item in value if not isinstance(item, list)))
            )
        if isinstance(value, bool):
            return "true" if value else "false"
        text = self._reader.text(value)
        return self._context.directory.reference("dimension", text).key if text else ""


def _transaction_gross(
    gross: Amount, lines: Sequence[DocumentLine], currency: str, functional: str
) -> int | None:
    if currency == functional:
        return gross.functional
    if gross.currency == currency and gross.amount is not None:
        return gross.amount
    return sum_known([line.amount for line in lines])


def _attachments(form: Mapping[str, Any]) -> int:
    details = form.get("details")
    inner = [
        line["feeTypeForm"]
        for line in (details if isinstance(details, list) else [])
        if isinstance(line, dict) and isinstance(line.get("feeTypeForm"), dict)
    ]
    lists = [holder.get("attachments") for holder in (form, *inner)]
    return sum(len(value) for value in lists if isinstance(value, list))
