"""The rows of a form: cost lines, invoices, settled loans."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from include.adapters.oa.forms import labels
from include.adapters.oa.forms.instance import FormInstance
from include.adapters.oa.forms.reader import FormReader, Spot
from include.adapters.oa.reading import Label, clean_text, shown
from include.adapters.oa.totals import share_claims, sum_known
from include.domain.document import DocumentLine, InvoiceClaim, Reference, WriteOff
from include.domain.problems import ProblemOwner
from include.form_mappings import AmountField, FormMapping, InvoiceFields


@dataclass(frozen=True, slots=True)
class LineMoney:
    """`amount` in `currency`, `functional` in the functional one; minor units."""

    currency: str | None
    rate: Decimal | None
    amount: int | None
    functional: int | None


NO_MONEY = LineMoney(None, None, None, None)


@dataclass(frozen=True, slots=True)
class Whole:
    """What lines take from their document. `currency` None where it could not be read, `rate` None where none is known."""

    currency: str | None
    rate: Decimal | None
    department: Reference | None
    project: Reference | None
    legal_entity: Reference | None
    total: LineMoney | None = None
    """What the one line amounts to where the whole form is one."""

    def apart(self, entity: Reference | None) -> Reference | None:
        """The legal entity of a line, None where it is the document's own."""
        return None if entity == self.legal_entity else entity


class RowReader:
    """Reads the tables of one form by its mapping."""

    def __init__(self, reader: FormReader, mapping: FormMapping, instance: FormInstance) -> None:
        self._reader = reader
        self._mapping = mapping
        self._instance = instance

    # -- rows ----------------------------------------------------------------------------------------

    def _spots(self, group: str, table: str) -> Iterator[Spot]:
        """The rows of a table that have anything in the fields mapped, or the form itself."""
        form = self._instance.fields
        if not table:
            yield Spot(form, form)
            return
        if table not in self._instance.tables and self._instance.lists_empty:
            self._reader.gone(table, labels.TABLES[group])
        names = [
            ref.field
            for place, ref, of in self._mapping.fields
            if of == table and place.startswith(f"{group}.")
        ]
        for index, row in enumerate(self._instance.tables.get(table, ())):
            spot = Spot(row.fields, form, table, index)
            if any(not self._is_blank(spot, name) for name in names):
                yield spot

    @staticmethod
    def _is_blank(spot: Spot, name: str) -> bool:
        found = spot.fields.get(name)
        return found is None or found.value in (None, "", [], {}) or not str(found.value).strip()

    # -- lines ---------------------------------------------------------------------------------------

    def lines(self, whole: Whole) -> tuple[tuple[DocumentLine, ...], tuple[InvoiceClaim, ...]]:
        """The cost lines in the order of the form, and the invoices on them; row n is line n + 1."""
        found: list[DocumentLine] = []
        seen: dict[str, int] = {}
        for spot in self._spots("lines", self._mapping.lines.table):
            at = replace(spot, line_no=spot.index + 1 if spot.table else None)
            line = self._line(at, spot.index + 1, whole)
            self._note_duplicate(line, at, seen)
            found.append(line)
        return self._with_invoices(found, whole)

    def _line(self, spot: Spot, line_no: int, whole: Whole) -> DocumentLine:
        reader, fields = self._reader, self._mapping.lines
        money = self._line_money(spot, whole)
        department = reader.refer(fields.department, "department", spot, labels.LINE_DEPARTMENT)
        project = reader.refer(fields.project, "project", spot, labels.LINE_PROJECT)
        entity = reader.refer(fields.legal_entity, "legal_entity", spot, labels.LINE_LEGAL_ENTITY)
        return DocumentLine(
            line_no=line_no,
            portion_no=1,
            line_id=self._line_id(spot),
            fee_type=reader.refer(fields.fee_type, "fee_type", spot, labels.FEE_TYPE),
            department=department or whole.department,
            project=project or whole.project,
            currency=money.currency,
            amount=money.amount,
            functional_amount=money.functional,
            rate=money.rate,
            deductible_tax=self._line_tax(spot, money),
            occurred_on=reader.on(fields.occurred_on, spot, labels.DATE),
            description=reader.words(fields.description, spot, labels.DESCRIPTION),
            legal_entity=whole.apart(entity),
        )

    def _line_id(self, spot: Spot) -> str:
        if self._mapping.lines.line_id is not None:
            return self._reader.code(self._mapping.lines.line_id, spot, labels.LINE_ID)
        rows = self._instance.tables.get(spot.table, ()) if spot.table else ()
        return clean_text(rows[spot.index].id)[:128] if rows else ""

    def _note_duplicate(self, line: DocumentLine, spot: Spot, seen: dict[str, int]) -> None:
        first = seen.setdefault(line.line_id, line.line_no) if line.line_id else line.line_no
        if first != line.line_no:
            self._reader.note(
                "line.id.duplicate",
                f"{spot.table}[{spot.index}]",
                f"编号与第 {first} 条相同（{shown(line.line_id)}），可能重复报销，请删除重复的一条",
                f"it has the id of line {first} ({shown(line.line_id)}): perhaps claimed twice, delete one of them",
                line_no=line.line_no,
            )

    def _line_money(self, spot: Spot, whole: Whole) -> LineMoney:
        """What a line amounts to. One whose amount is in functional currency is a line of that currency."""
        reader, fields = self._reader, self._mapping.lines
        functional = reader.functional
        amount = fields.amount
        if amount is None:
            return whole.total or NO_MONEY
        currency = reader.currency_of(fields.currency, spot, labels.LINE_CURRENCY, whole.currency or "")
        if amount.unit == "functional" or currency == functional:
            value = reader.money(amount, functional, spot, labels.AMOUNT, needed=True)
            return LineMoney(functional, Decimal(1), value, value)
        if not currency:
            return NO_MONEY
        rate = self._rate(amount, spot, currency, whole)
        value = reader.money(amount, currency, spot, labels.AMOUNT, needed=True)
        where = spot.where(amount)
        stated = self._stated(fields.functional_amount, spot)
        if stated is None:
            stated = reader.converted(value, currency, rate, spot, labels.AMOUNT, where)
        elif value is not None and rate is not None:
            reader.conversion(value, currency, rate, stated, where, labels.AMOUNT, spot.line_no)
        return LineMoney(currency, rate, value, stated)

    def _stated(self, ref: AmountField | None, spot: Spot) -> int | None:
        """An amount that the form states in functional currency, None where it does not."""
        if ref is None:
            return None
        return self._reader.money(ref, self._reader.functional, spot, labels.FUNCTIONAL_AMOUNT)

    def _rate(self, amount: AmountField, spot: Spot, currency: str, whole: Whole) -> Decimal | None:
        fields = self._mapping.lines
        if fields.rate is not None:
            return self._reader.exchange_rate(fields.rate, spot, labels.LINE_RATE)
        if currency == whole.currency:
            return whole.rate  # where there is none, that was noted for the document
        note_no_rate(self._reader, spot.where(amount), currency)
        return None

    def _line_tax(self, spot: Spot, money: LineMoney) -> int | None:
        """Deductible tax; an empty field means none. Where no field is mapped, that of the line's invoices comes later."""
        ref = self._mapping.lines.tax
        if ref is None:
            return 0
        found = self._reader.find(ref, spot, labels.TAX)
        if found.is_there and found.is_empty and ref.default is None:
            return 0
        return self.functional(ref, money.currency, money.rate, spot, labels.TAX)

    def functional(
        self,
        ref: AmountField | None,
        currency: str | None,
        rate: Decimal | None,
        spot: Spot,
        label: Label,
        *,
        needed: bool = False,
    ) -> int | None:
        """An amount in functional currency, converted where it is in another; None where there is none."""
        if ref is None:
            return None
        own = self._reader.functional if ref.unit == "functional" else currency
        amount = self._reader.money(ref, own, spot, label, needed=needed)
        return self._reader.converted(amount, own or "", rate, spot, label, spot.where(ref))

    # -- invoices ------------------------------------------------------------------------------------

    def _with_invoices(
        self, lines: Sequence[DocumentLine], whole: Whole
    ) -> tuple[tuple[DocumentLine, ...], tuple[InvoiceClaim, ...]]:
        fields = self._mapping.invoices
        if fields is None:
            return tuple(lines), ()
        by_line: dict[int, list[InvoiceClaim]] = {}
        known = {line.line_no: line for line in lines}
        for spot in self._spots("invoices", fields.table):
            line_no = self._line_of(fields, spot, known)
            line = known.get(line_no)
            claim = self._claim(fields, replace(spot, line_no=line_no), line, whole)
            if claim is not None:
                by_line.setdefault(line_no, []).append(claim)
        result, claims = [], []
        for line in lines:
            on_line = by_line.get(line.line_no, [])
            shared = share_claims(on_line, line.functional_amount)
            claims += [
                was if was.claimed is not None else now for was, now in zip(on_line, shared, strict=True)
            ]
            is_stated = self._mapping.lines.tax is not None or fields.tax is None or not on_line
            tax = line.deductible_tax if is_stated else sum_known([claim.tax for claim in on_line])
            result.append(replace(line, deductible_tax=tax))
        return tuple(result), tuple(claims)

    def _line_of(self, fields: InvoiceFields, spot: Spot, known: Mapping[int, DocumentLine]) -> int:
        """The line that an invoice is on; one that names none is put on the first, with a problem."""
        if not fields.table or fields.table == self._mapping.lines.table:
            return spot.index + 1
        first = min(known, default=1)
        if fields.line is None:
            return first
        found = self._reader.find(fields.line, spot, labels.INVOICE_LINE, needed=True)
        text = "" if not found.is_there else str(found.value).strip().removesuffix(".0")
        if text.isascii() and text.isdigit() and len(text) < 6 and int(text) in known:
            return int(text)
        if found.is_there:
            self._reader.note(
                f"{labels.INVOICE_LINE.code}.unknown",
                found.where,
                f"发票所属的明细 {shown(found.value)} 不存在，请填写明细的序号（从 1 起）",
                f"the invoice is of line {shown(found.value)}, which is not there: enter the number of a line, from 1",
            )
        return first

    def _claim(
        self, fields: InvoiceFields, spot: Spot, line: DocumentLine | None, whole: Whole
    ) -> InvoiceClaim | None:
        """The invoice of a row, None where the row names none."""
        reader = self._reader
        number = reader.code(fields.number, spot, labels.INVOICE)
        if not number:
            return None
        code = reader.code(fields.code, spot, labels.INVOICE, 24)
        currency, rate = (line.currency, line.rate) if line is not None else (whole.currency, whole.rate)

        def amount(ref: AmountField | None, label: Label) -> int | None:
            return self.functional(ref, currency, rate, spot, label)

        total, tax = amount(fields.total, labels.INVOICE_TOTAL), self._claim_tax(fields, spot, currency, rate)
        traveller = fields.traveller
        return InvoiceClaim(
            line_no=spot.line_no or 1,
            invoice_id=f"{code}:{number}" if code else number,
            kind=reader.words(fields.kind, spot, labels.INVOICE_KIND)[:64],
            claimed=amount(fields.claimed, labels.CLAIMED),
            tax=tax,
            total=total,
            exempt=amount(fields.exempt, labels.EXEMPT),
            occurred_on=reader.on(fields.occurred_on, spot, labels.INVOICE_DATE),
            is_named=None
            if traveller is None
            else not reader.find(traveller, spot, labels.TRAVELLER).is_empty,
            is_tax_of_claim=total is None,
        )

    def _claim_tax(
        self, fields: InvoiceFields, spot: Spot, currency: str | None, rate: Decimal | None
    ) -> int | None:
        """The invoice's tax: 0 where its field is empty, None where there is no such field or it cannot be read."""
        if fields.tax is None:
            return None
        found = self._reader.find(fields.tax, spot, labels.INVOICE_TAX)
        if found.is_there and found.is_empty:
            return 0
        return self.functional(fields.tax, currency, rate, spot, labels.INVOICE_TAX)

    # -- loans ---------------------------------------------------------------------------------------

    def write_offs(self, whole: Whole, loan_ids: Mapping[str, str]) -> tuple[WriteOff, ...]:
        """The loans that are settled; rows without loan and amount say nothing."""
        fields = self._mapping.write_offs
        if fields is None:
            return ()
        found = []
        for spot in self._spots("write_offs", fields.table):
            loan = self._reader.find(fields.loan, spot, labels.LOAN)
            amount = self._reader.find(fields.amount, spot, labels.WRITE_OFF)
            if not fields.table and loan.is_empty and amount.is_empty:
                continue
            identity = None if loan.is_empty else self._reader.one_id(fields.loan, loan, labels.LOAN)
            if identity and fields.loan.names == "code":
                identity = self._loan_of(identity, loan.where, loan_ids)
            minor = self.functional(
                fields.amount, whole.currency, whole.rate, spot, labels.WRITE_OFF, needed=True
            )
            found.append(WriteOff(identity or "", minor))
        return tuple(found)

    def _loan_of(self, code: str, where: str, loan_ids: Mapping[str, str]) -> str | None:
        identity = loan_ids.get(code)
        if identity is None:
            self._reader.note(
                f"{labels.LOAN.code}.unknown",
                where,
                f"没有读到编号为 {shown(code)} 的借款单，请核对借款单编号",
                f"no loan with code {shown(code)} was read, check the code of the loan",
                owner=ProblemOwner.FINANCE,
            )
        return identity


def note_no_rate(reader: FormReader, where: str, currency: str) -> None:
    """A foreign currency for which the mapping names no rate."""
    reader.note(
        "form.rate.unmapped",
        where,
        f"币种为 {currency}，但 {reader.file} 没有写明汇率字段：请补上 document.rate 或 lines.rate",
        f"the currency is {currency}, and {reader.file} names no field of the rate: add document.rate or lines.rate",
        owner=ProblemOwner.ENGINEER,
        cause=f"form.rate.unmapped:{reader.file}",
    )
