"""A filled-in form → canonical document. Pure: everything it knows comes in, and it never raises on user data.

It reports what it cannot read or represent. What can be read but is wrong (totals that do not add up, unknown
departments) it passes on for the quality gate to judge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from include.adapters.oa.directory import Directory
from include.adapters.oa.forms import labels
from include.adapters.oa.forms.instance import (
    AGREE,
    PAY,
    REJECT,
    RETRACT,
    SUBMIT,
    FormInstance,
    dump_instance,
)
from include.adapters.oa.forms.lines import LineMoney, RowReader, Whole, note_no_rate
from include.adapters.oa.forms.reader import FormReader, Spot
from include.adapters.oa.reading import ID_LENGTH, Label, clean_text, made_up_id, shown, usable_id
from include.adapters.oa.totals import common_currency, sum_known
from include.domain.document import (
    ApprovalStep,
    DocumentKind,
    DocumentLine,
    DocumentStatus,
    MappedDocument,
    Reference,
    SourceDocument,
)
from include.domain.problems import ProblemOwner
from include.form_mappings import FormMapping, TextField
from include.settings import Source

MANY = 20
"""So many forms without a field, and none with it, are no accident any more."""
_AGREEING = frozenset({AGREE, SUBMIT, PAY})
_UNDOING = frozenset({REJECT, RETRACT})


@dataclass(frozen=True, slots=True)
class FormContext:
    """All that a mapping needs beside the form.

    Attributes:
        directory: the OA's master data, with `mapped_records`.
        loan_ids: code of a loan → its id in the OA, for mappings whose loans are named by code.
        absent: fields that no form of the template has, from `absent_fields`.
    """

    source: Source
    zone: ZoneInfo
    directory: Directory = field(default_factory=lambda: Directory(()))
    loan_ids: Mapping[str, str] = field(default_factory=dict)
    absent: frozenset[str] = frozenset()


def absent_fields(instances: Sequence[FormInstance], mapping: FormMapping) -> frozenset[str]:
    """Mapped fields (`je`, `dt1.je`) that none of many forms has; none where there are too few forms or rows to tell."""
    found = set()
    for _, ref, table in mapping.fields:
        rows = [fields for instance in instances for fields in instance.fields_of(table)]
        if len(rows) >= MANY and not any(ref.field in fields for fields in rows):
            found.add(f"{table}.{ref.field}" if table else ref.field)
    return frozenset(found)


def map_instance(instance: FormInstance, context: FormContext) -> MappedDocument:
    """The canonical document of a form, by the mapping that its template has in the source."""
    for mapping in context.source.mappings:
        if instance.template in mapping.templates:
            return map_form(instance, mapping, context)
    return _without_mapping(instance, context)


def map_form(instance: FormInstance, mapping: FormMapping, context: FormContext) -> MappedDocument:
    """The canonical document of a form, as far as it can be read, and everything that is wrong with it."""
    reader = FormReader(
        functional=context.source.functional_currency,
        zone=context.zone,
        directory=context.directory,
        file=mapping.file or f"mappings/{context.source.id}/{mapping.form}.yaml",
        lists_empty=instance.lists_empty,
        absent=context.absent,
    )
    document = _Mapper(instance, mapping, context, reader).document()
    return MappedDocument(document, (*instance.problems, *reader.problems))


def _without_mapping(instance: FormInstance, context: FormContext) -> MappedDocument:
    """A form of a template that nobody has mapped: a document without contents."""
    reader = FormReader(context.source.functional_currency, context.zone)
    folder = f"mappings/{context.source.id}"
    reader.note(
        "document.template.unmapped",
        "template",
        f"表单模板 {shown(instance.template)} 没有映射文件：用 ./voucherflow forms draft {context.source.id} 起草，放入 {folder}",
        f"form template {shown(instance.template)} has no mapping file: draft one with ./voucherflow forms draft "
        f"{context.source.id}, and put it into {folder}",
        owner=ProblemOwner.ENGINEER,
        cause=f"template:{instance.template[:64]}",
    )
    mapping = FormMapping.model_construct(
        form=clean_text(instance.template)[:64] or "-", templates=(), kind=DocumentKind.UNKNOWN
    )
    document = _Mapper(instance, mapping, context, reader).head()
    return MappedDocument(document, (*instance.problems, *reader.problems))


@dataclass(frozen=True, slots=True)
class _Money:
    """The document's total: `gross` in functional currency, `transaction` in `currency`; minor units."""

    currency: str | None
    rate: Decimal | None
    gross: int | None
    transaction: int | None


class _Mapper:
    def __init__(
        self, instance: FormInstance, mapping: FormMapping, context: FormContext, reader: FormReader
    ) -> None:
        self._instance = instance
        self._mapping = mapping
        self._context = context
        self._reader = reader
        self._form = Spot(instance.fields, instance.fields)
        self._rows = RowReader(reader, mapping, instance)

    def document(self) -> SourceDocument:
        """The whole document."""
        fields, reader = self._mapping.document, self._reader
        head = self.head()
        money = self._total()
        whole = Whole(
            currency=money.currency,
            rate=money.rate,
            department=self._reference("department", "department", labels.DEPARTMENT),
            project=self._reference("project", "project", labels.PROJECT),
            legal_entity=self._reference("legal_entity", "legal_entity", labels.LEGAL_ENTITY),
            total=LineMoney(money.currency, money.rate, money.transaction, money.gross),
        )
        lines, claims = self._rows.lines(whole)
        write_offs = self._rows.write_offs(whole, self._context.loan_ids)
        by_records = sum_known([each.amount for each in write_offs])
        money = self._with_lines(money, lines)
        written_off = self._amount("written_off", money, labels.WRITTEN_OFF, by_records)
        company_paid = self._amount("company_paid", money, labels.COMPANY_PAID, 0)
        settled = [-part if part is not None else None for part in (written_off, company_paid)]
        left = reader.total([money.gross, *settled], "payable", labels.PAYABLE)
        paid_at, status = self._payment()
        currency = common_currency(lines) or reader.functional
        return replace(
            head,
            status=status,
            currency=currency,
            gross=money.gross,
            transaction_gross=self._transaction(money, lines, currency),
            written_off=written_off,
            company_paid=company_paid,
            payable=self._amount("payable", money, labels.PAYABLE, left),
            legal_entity=whole.legal_entity,
            department=whole.department,
            supplier=self._reference("supplier", "supplier", labels.SUPPLIER),
            project=whole.project,
            submitted_at=reader.at(fields.submitted_at, self._form, labels.SUBMITTED_AT) or head.submitted_at,
            approved_at=self._approved_at(status),
            paid_at=paid_at,
            payment_channel=reader.words(fields.payment_channel, self._form, labels.CHANNEL)[:64],
            lines=lines,
            invoices=claims,
            write_offs=write_offs,
            links=self._links(),
            voucher_no=self._voucher_no(),
            properties=self._properties(money),
        )

    def head(self) -> SourceDocument:
        """What needs no field of the form, and what names the document."""
        fields, reader, instance = self._mapping.document, self._reader, self._instance
        version = instance.template_version
        return SourceDocument(
            source=self._context.source.id,
            document_id=self._identity(),
            code=reader.code(fields.code, self._form, labels.CODE)
            or reader.key(instance.code, "code", labels.CODE, ID_LENGTH),
            kind=self._mapping.kind,
            form_type=self._mapping.form,
            template_id=clean_text(instance.template + (f":{version}" if version else ""))[:160],
            title=reader.words(fields.title, self._form, labels.TITLE) or clean_text(instance.title),
            status=instance.status,
            functional_currency=reader.functional,
            currency=reader.functional,
            gross=None,
            transaction_gross=None,
            written_off=None,
            company_paid=None,
            payable=None,
            legal_entity=None,
            department=None,
            submitter=self._submitter(),
            supplier=None,
            project=None,
            created_at=reader.utc(instance.created_at, "created_at", labels.CREATED_AT),
            updated_at=reader.utc(instance.updated_at, "updated_at", labels.UPDATED_AT),
            submitted_at=reader.utc(instance.submitted_at, "submitted_at", labels.SUBMITTED_AT),
            approved_at=None,
            paid_at=None,
            attachments=max(instance.attachments, 0),
            approvals=self._steps(),
        )

    def _identity(self) -> str:
        identity = usable_id(self._instance.id)
        if identity:
            return identity
        made_up = made_up_id(dump_instance(replace(self._instance, problems=())))
        self._reader.note(
            "document.id.missing",
            "id",
            f"OA 给出的单据没有可用的 ID，暂记为 {made_up}；请联系 OA 厂商",
            f"the OA sent a document without a usable id, kept as {made_up}: ask the vendor",
            owner=ProblemOwner.VENDOR,
        )
        return made_up

    # -- references ----------------------------------------------------------------------------------

    def _reference(self, name: str, kind: str, label: Label) -> Reference | None:
        return self._reader.refer(getattr(self._mapping.document, name), kind, self._form, label)

    def _submitter(self) -> Reference | None:
        chosen = self._reference("submitter", "staff", labels.SUBMITTER)
        if chosen is not None:
            return chosen
        identity = self._reader.key(self._instance.submitter, "submitter", labels.SUBMITTER, ID_LENGTH)
        return self._context.directory.reference("staff", identity) if identity else None

    def _links(self) -> tuple[str, ...]:
        """Ids of related documents."""
        found: list[str] = []
        for ref in self._mapping.document.links:
            cell = self._reader.find(ref, self._form, labels.LINK)
            values = cell.value if isinstance(cell.value, list) else [cell.value]
            for value in () if cell.is_empty else values:
                identity = self._reader.one_id(ref, replace(cell, value=value), labels.LINK)
                found += [identity] if identity else []
        return tuple(dict.fromkeys(found))

    # -- money ---------------------------------------------------------------------------------------

    def _total(self) -> _Money:
        """Currency, rate and total as the form states them; lines may add to it."""
        reader, fields, form = self._reader, self._mapping.document, self._form
        functional = reader.functional
        currency = reader.currency_of(fields.currency, form, labels.CURRENCY, functional)
        rate = self._rate(currency)
        stated = None
        if fields.functional_gross is not None:
            stated = reader.money(fields.functional_gross, functional, form, labels.FUNCTIONAL_GROSS)
        if fields.gross is None or currency is None:
            return _Money(currency, rate, stated, None)
        own = functional if fields.gross.unit == "functional" else currency
        amount = reader.money(fields.gross, own, form, labels.GROSS, needed=True)
        where = form.where(fields.gross)
        if stated is None:
            stated = reader.converted(amount, own, rate, form, labels.GROSS, where)
        elif amount is not None and own == functional and amount != stated:
            reader.conversion(amount, own, Decimal(1), stated, where, labels.GROSS)
        elif amount is not None and own != functional and rate is not None:
            reader.conversion(amount, own, rate, stated, where, labels.GROSS)
        if own != currency and not self._mapping.lines.table:
            return _Money(functional, Decimal(1), stated, stated)  # one line, and that in functional currency
        return _Money(currency, rate, stated, amount if own == currency else None)

    def _rate(self, currency: str | None) -> Decimal | None:
        """Functional per unit of the document's currency; None where it is not known."""
        fields = self._mapping.document
        if currency == self._reader.functional:
            return Decimal(1)
        if currency is None:
            return None
        if fields.rate is not None:
            return self._reader.exchange_rate(fields.rate, self._form, labels.RATE)
        if self._mapping.lines.rate is None:
            note_no_rate(self._reader, "currency", currency)
        return None

    def _with_lines(self, money: _Money, lines: Sequence[DocumentLine]) -> _Money:
        """The total with what only the lines say."""
        if money.gross is not None:
            return money
        fields = self._mapping.document
        is_stated = fields.gross is not None and (self._mapping.lines.rate is None or money.rate is not None)
        if is_stated or fields.functional_gross is not None:
            return money  # the form has a field for it, which says nothing usable: that was noted
        parts = [line.functional_amount for line in lines]
        return replace(money, gross=self._reader.total(parts, "lines", labels.GROSS) if lines else None)

    def _transaction(self, money: _Money, lines: Sequence[DocumentLine], currency: str) -> int | None:
        if currency == self._reader.functional:
            return money.gross
        if money.currency == currency and money.transaction is not None:
            return money.transaction
        return sum_known([line.amount for line in lines])

    def _amount(self, name: str, money: _Money, label: Label, default: int | None) -> int | None:
        """An amount in functional currency; `default` where the form has no field for it or leaves it empty."""
        ref = getattr(self._mapping.document, name)
        if ref is None:
            return default
        found = self._reader.find(ref, self._form, label)
        if found.is_there and found.is_empty and ref.default is None:
            return default
        return self._rows.functional(ref, money.currency, money.rate, self._form, label)

    # -- approval ------------------------------------------------------------------------------------

    def _payment(self) -> tuple[datetime | None, DocumentStatus]:
        """When it was paid, and the status by the mapping's policy: one that waits for payment is not due."""
        reader, approval = self._reader, self._mapping.approval
        at = reader.at(self._mapping.document.paid_at, self._form, labels.PAID_AT)
        for step in () if at else self._steps():
            if step.action in _UNDOING:
                at = None
            elif step.node in approval.paid_nodes and step.action in _AGREEING:
                at = step.at
        is_paid = at is not None
        if approval.paid_when is not None:
            found = reader.find(approval.paid_when, self._form, labels.PAID)
            value = "" if found.is_empty else reader.one_id(approval.paid_when, found, labels.PAID)
            is_paid = is_paid or value in approval.paid_when.values
        status = self._instance.status
        if status is DocumentStatus.APPROVED and approval.due == "paid" and not is_paid:
            return at, DocumentStatus.AWAITING_PAYMENT
        return at, status

    def _steps(self) -> tuple[ApprovalStep, ...]:
        """The approval history as columns take it; steps without a usable time are left out."""
        found = []
        for index, step in enumerate(self._instance.steps):
            at = self._reader.utc(step.at, f"steps[{index}].at", labels.STEP_AT)
            if at is not None:
                found.append(
                    ApprovalStep(
                        action=clean_text(step.action)[:64],
                        operator_id=clean_text(step.operator_id)[:ID_LENGTH],
                        at=at,
                        node=clean_text(step.node),
                        next_operator_id=clean_text(step.next_operator_id)[:ID_LENGTH],
                        comment=clean_text(step.comment),
                    )
                )
        return tuple(found)

    def _approved_at(self, status: DocumentStatus) -> datetime | None:
        """When the approval ended: by the form, the OA, or the last who agreed; None while it is not approved."""
        given = self._reader.at(self._mapping.document.approved_at, self._form, labels.APPROVED_AT)
        if not status.is_due:
            return None
        ended = self._instance.approved_at or self._instance.finished_at
        if given is not None or ended is not None:
            return given or self._reader.utc(ended, "approved_at", labels.APPROVED_AT)
        return max((step.at for step in self._steps() if step.action in _AGREEING), default=None)

    # -- the rest ------------------------------------------------------------------------------------

    def _voucher_no(self) -> str:
        ref = self._mapping.document.voucher_no
        back = self._mapping.write_back
        if ref is None and back is not None and back.voucher_no:
            ref = TextField(field=back.voucher_no)
        return self._reader.words(ref, self._form, labels.VOUCHER_NO)

    def _properties(self, money: _Money) -> Mapping[str, str]:
        """Further fields as text; those without a value are left out."""
        texts = {
            name: self._reader.property_text(
                ref,
                self._form,
                Label(f"document.properties.{name}"[:60], f"字段 {name}", name),
                money.currency,
            )
            for name, ref in self._mapping.properties.items()
        }
        return {name: text for name, text in texts.items() if text}
