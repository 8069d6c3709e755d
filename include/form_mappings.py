"""Form mappings: which field of an OA's free form is which part of the canonical document, one YAML file a form.

`mappings/<source>/<name>.yaml` belongs to the source of that id. A field is named by its code in the form; `field: je` may
be written short as `je`. Nothing is computed here and nothing is a formula: include/adapters/oa/forms reads forms by it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from include.config_files import read_model
from include.domain.document import DocumentKind
from include.domain.money import AmountError, currency_decimals

Name = Annotated[str, Field(min_length=1, max_length=128)]
Place = Annotated[str, Field(pattern=r"^[^.\s]+(\.[^.\s]+)*$", max_length=256)]
PropertyName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,40}$")]
FormName = Annotated[str, Field(min_length=1, max_length=64)]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _short(value: Any, key: str) -> Any:
    """What is written short as a bare text, written out."""
    if isinstance(value, str):
        return {key: value}
    if value is None or isinstance(value, Mapping | BaseModel):
        return value
    raise PydanticCustomError("string_type", "text is expected")


class FieldRef(_Closed):
    """A field of the form, or of the rows of a table."""

    field: Name
    by: Literal["value", "label", "ext"] = "value"
    """What is read: the value as the OA keeps it, the text that it shows, or what it keeps beside the value."""
    path: Place | None = None
    """Where in a JSON value (or JSON text) to look: keys and positions with dots between, `0.emplId`."""
    main: bool = False
    """For the rows of a table: the field stands in the form itself, and holds for all rows."""
    oa_type: str = ""
    """The type that the OA gave the field when this was written; another one means that the form was changed."""
    optional: bool = False
    """Whether there are forms of this template that do not have the field."""

    @model_validator(mode="before")
    @classmethod
    def _written_short(cls, value: Any) -> Any:
        return _short(value, "field")


class _WithDefault(FieldRef):
    """May have a value for forms that leave the field empty; without a field it is the value of all."""

    field: str = Field(default="", max_length=128)
    default: Any = None

    @model_validator(mode="after")
    def _gives_something(self) -> Self:
        if not self.field and self.default in (None, ""):
            raise ValueError(
                "field: 写明字段，或用 default 给出固定值 / name a field, or give a fixed value as default"
            )
        return self


class TextField(_WithDefault):
    enum: Mapping[Name, str] = Field(default_factory=dict)
    """The OA's value → our text; a value that is not listed is a problem."""
    default: str = ""


class Target(_Closed):
    """An entry of our master data: a code and a name for people."""

    code: Name
    name: str = ""

    @model_validator(mode="before")
    @classmethod
    def _written_short(cls, value: Any) -> Any:
        return _short(value, "code")


class ReferenceField(_WithDefault):
    """Something that the form refers to. Without `enum` the value is its id in the OA's master data, by label its name."""

    enum: Mapping[Name, Target] = Field(default_factory=dict)
    default: Target | None = None


class AmountField(FieldRef):
    """An amount in major units."""

    unit: Literal["document", "functional"] = Field(default="document", alias="in")
    """The currency that it is in: the document's (or the line's) own, or the functional one."""
    default: Decimal | None = None
    """In major units, for forms that leave the field empty."""

    @field_validator("default")
    @classmethod
    def _plain_number(cls, value: Decimal | None) -> Decimal | None:
        if value is not None and not (value.is_finite() and abs(value.adjusted()) < 18):
            raise ValueError("应为普通数字，例如 0 / a plain number is expected, e.g. 0")
        return value


class CurrencyField(_WithDefault):
    """A currency; written short, the currency of all forms."""

    enum: Mapping[Name, str] = Field(default_factory=dict)
    """The OA's value → ISO 4217 code; without it the value is the code itself."""
    default: str = ""

    @model_validator(mode="before")
    @classmethod
    def _written_short(cls, value: Any) -> Any:
        return _short(value, "default")

    @field_validator("enum")
    @classmethod
    def _known_currencies(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        for code in value.values():
            _currency(code)
        return value

    @field_validator("default")
    @classmethod
    def _known_currency(cls, value: str) -> str:
        return _currency(value) if value else value

    @property
    def is_constant(self) -> bool:
        return not self.field


class PropertyField(_WithDefault):
    """A further field that rules may use as `document.properties.<name>`."""

    type: Literal["text", "amount", "date", "number", "reference"] = "text"
    enum: Mapping[Name, str] = Field(default_factory=dict)
    default: str = ""


class LoanField(FieldRef):
    """The loan that is settled: by its id in the OA, or by the code that people type."""

    names: Literal["id", "code"] = "id"


class DocumentFields(_Closed):
    """Fields of the form itself."""

    code: TextField | None = None
    title: TextField | None = None
    legal_entity: ReferenceField | None = None
    department: ReferenceField | None = None
    project: ReferenceField | None = None
    supplier: ReferenceField | None = None
    submitter: ReferenceField | None = None
    """By default whoever the OA says has submitted it."""
    currency: CurrencyField | None = None
    """By default the source's functional currency."""
    rate: FieldRef | None = None
    """Functional per foreign unit."""
    gross: AmountField | None = None
    """By default the sum of the lines."""
    functional_gross: AmountField | None = None
    """The total in functional currency, where the form states it too."""
    written_off: AmountField | None = None
    """By default the sum of the write-offs."""
    company_paid: AmountField | None = None
    payable: AmountField | None = None
    """By default what is left of the total."""
    submitted_at: FieldRef | None = None
    approved_at: FieldRef | None = None
    paid_at: FieldRef | None = None
    payment_channel: TextField | None = None
    voucher_no: TextField | None = None
    links: Sequence[FieldRef] = ()
    """Fields with the ids of related documents."""


class LineFields(_Closed):
    """A table whose rows are cost lines; without a table the whole form is one line."""

    table: str = ""
    line_id: TextField | None = None
    """By default the OA's own id of the row."""
    fee_type: ReferenceField | None = None
    department: ReferenceField | None = None
    project: ReferenceField | None = None
    legal_entity: ReferenceField | None = None
    amount: AmountField | None = None
    """Gross; by default, without a table, the total of the form."""
    currency: CurrencyField | None = None
    rate: FieldRef | None = None
    functional_amount: AmountField | None = None
    tax: AmountField | None = None
    """Deductible tax; by default that of the line's invoices."""
    occurred_on: FieldRef | None = None
    description: TextField | None = None

    @model_validator(mode="after")
    def _rows_have_amounts(self) -> Self:
        if self.table and self.amount is None:
            raise ValueError(
                "amount: 明细表须写明金额字段 / say which field of the table is the amount of a row"
            )
        return self


class InvoiceFields(_Closed):
    """Invoices: in the rows of the lines' table, in a table of their own, or in the form where it is one line."""

    table: str = ""
    line: FieldRef | None = None
    """In a table of their own: the field with the number of the line, from 1."""
    code: TextField | None = None
    """发票代码, for invoices that have one beside their number."""
    number: TextField
    kind: TextField | None = None
    claimed: AmountField | None = None
    """By default the line's amount, shared out by totals."""
    tax: AmountField | None = None
    total: AmountField | None = None
    exempt: AmountField | None = None
    occurred_on: FieldRef | None = None
    traveller: FieldRef | None = None
    """Filled where the traveller's identity is on the ticket."""


class WriteOffFields(_Closed):
    """Loans that the document settles: rows of a table, or one in the form itself."""

    table: str = ""
    loan: LoanField
    amount: AmountField


class PaidWhen(FieldRef):
    """A field that says whether it is paid."""

    values: Sequence[Name] = Field(min_length=1)


class Approval(_Closed):
    """What the approval says about payment."""

    paid_nodes: Sequence[Name] = ()
    """Nodes, as approval steps name them: who agrees there has paid."""
    paid_when: PaidWhen | None = None
    due: Literal["approved", "paid"] = "approved"
    """When the accounting takes a document: once it is approved, or only once it is paid as well."""

    @model_validator(mode="after")
    def _can_tell(self) -> Self:
        if self.due == "paid" and not self.paid_nodes and self.paid_when is None:
            raise ValueError(
                "due: paid 需要 paid_nodes 或 paid_when 来判断已付款 / paid needs paid_nodes or paid_when to tell that it is paid"
            )
        return self


class StateField(_Closed):
    """A field that shows how the posting went: the value for each case."""

    field: Name
    posted: str
    failed: str
    cleared: str


class WriteBack(_Closed):
    """Where the accounting's answer goes in the form. What is left out is not written."""

    voucher_no: str = ""
    fiscal_period: str = ""
    error: str = ""
    state: StateField | None = None
    comment: bool = False
    """Whether it is said as a comment of the approval too."""


class FormMapping(_Closed):
    """One kind of form: its templates in the OA and where everything stands in them."""

    form: FormName
    """Our name for this kind of form: documents and counts carry it."""
    templates: Sequence[Name] = Field(min_length=1)
    """Ids of the form's templates in the OA (workflow id, process code, approval code), older versions too."""
    kind: DocumentKind
    document: DocumentFields = DocumentFields()
    lines: LineFields = LineFields()
    invoices: InvoiceFields | None = None
    write_offs: WriteOffFields | None = None
    properties: Mapping[PropertyName, PropertyField] = Field(default_factory=dict)
    approval: Approval = Approval()
    write_back: WriteBack | None = None
    file: str = Field(default="", exclude=True)

    @field_validator("kind")
    @classmethod
    def _says_something(cls, value: DocumentKind) -> DocumentKind:
        if value is DocumentKind.UNKNOWN:
            raise ValueError(
                "unknown 不能用于映射，写明单据类型 / unknown is no kind to map to, say which it is"
            )
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        document, lines = self.document, self.lines
        if document.gross is None and lines.amount is None:
            raise ValueError(
                "document: 没有金额：写明 gross，或 lines 的 amount / no amount: name gross, or amount of lines"
            )
        currencies = [found for found in (document.currency, lines.currency) if found is not None]
        if any(not found.is_constant for found in currencies) and not (document.rate or lines.rate):
            raise ValueError(
                "document: 币种是字段，须写明汇率字段 rate / the currency is a field, so name the field of the rate too"
            )
        self._check_invoices()
        return self

    def _check_invoices(self) -> None:
        invoices, lines = self.invoices, self.lines
        if invoices is None:
            return
        if invoices.table in {"", lines.table}:
            if invoices.table != lines.table:
                raise ValueError(
                    "invoices: 明细在表中，须写明发票所在的 table / the lines stand in a table, name the table of the invoices"
                )
        elif invoices.line is None and lines.table:
            raise ValueError(
                "invoices: 发票在另一张表中，须用 line 写明属于第几条明细的字段 / they stand in another table than the lines: name the "
                "field with the number of the line as line"
            )

    @cached_property
    def fields(self) -> tuple[tuple[str, FieldRef, str], ...]:
        """Every field that is named: its path in the file, how it is read, and its table ("" for the form itself)."""
        return tuple(self._fields())

    def _fields(self) -> Iterator[tuple[str, FieldRef, str]]:
        groups: list[tuple[str, BaseModel | None, str]] = [
            ("document", self.document, ""),
            ("lines", self.lines, self.lines.table),
            ("invoices", self.invoices, self.invoices.table if self.invoices else ""),
            ("write_offs", self.write_offs, self.write_offs.table if self.write_offs else ""),
            ("approval", self.approval, ""),
        ]
        for place, group, table in groups:
            for key in type(group).model_fields if group is not None else ():
                value = getattr(group, key)
                for index, item in enumerate(value if isinstance(value, tuple | list) else [value]):
                    if isinstance(item, FieldRef) and item.field:
                        at = f"{place}.{key}" + (f".{index}" if isinstance(value, tuple | list) else "")
                        yield at, item, "" if item.main else table
        for name, item in self.properties.items():
            if item.field:
                yield f"properties.{name}", item, ""


def read_mappings(folder: Path, problems: list[str]) -> tuple[FormMapping, ...]:
    """The mappings in a source's folder, by file name; what is wrong is added to `problems`."""
    found: list[FormMapping] = []
    owners: dict[str, str] = {}
    for path in sorted(folder.glob("*.yaml")) if folder.is_dir() else ():
        read = read_model(path, FormMapping, problems)
        if read is None:
            continue
        mapping, marked = read[0].model_copy(update={"file": str(path)}), read[1]
        for index, template in enumerate(mapping.templates):
            first = owners.setdefault(template, path.name)
            if first != path.name or template in mapping.templates[:index]:
                problems.append(
                    f"{path}:{marked.line_of(('templates', index))}: templates.{index}: 模板 {template!r} 已由 {first} 映射，"
                    f"删去一处 / template {template!r} is mapped by {first} already, delete one"
                )
        found.append(mapping)
    return tuple(found)


def _currency(code: str) -> str:
    try:
        currency_decimals(code)
    except AmountError:
        raise ValueError(f"没有币种 {code!r}，例如 CNY / no such ISO 4217 currency, e.g. CNY") from None
    return code
