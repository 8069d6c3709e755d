"""The closed lists that rules may name: facts, measures, placeholders. There is nothing else to evaluate.

A *fact* is written `document.<name>`, `line.<name>` or `write_off.<name>`. Its value is text (codes, else ids, of what
the OA refers to), an amount in functional minor units, or a flag ("yes"/"no"). Missing text is the empty text.
A line without a department or project of its own has the document's.

Facts of invoices, `invoice.<name>`, may be named in the table of input VAT alone (see treatments.py).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

REFERENCES = {
    "document": ("legal_entity", "department", "submitter", "supplier", "project"),
    "line": ("fee_type", "department", "project", "legal_entity"),
    "write_off": (),
    "invoice": (),
}
"""Facts that refer to master data: they have a code (for conditions and dimensions) and a name (for summaries)."""

IS_OWN = "is_own"
"""Fact of a document or line: its legal entity belongs to the book that makes the voucher, "yes" or "no". A claim that
several legal entities share is seen by the book of each.
"""

INHERITED = ("department", "project", "legal_entity", IS_OWN)
"""What a line takes from its document where it has none of its own."""

TEXTS = {
    "document": {
        "kind": "kind",
        "status": "status",
        "code": "code",
        "title": "title",
        "form_type": "form_type",
        "template_id": "template_id",
        "currency": "currency",
        "payment_channel": "payment_channel",
    },
    "line": {"currency": "currency", "description": "description", "occurred_on": "occurred_on"},
    "write_off": {"loan": "loan_document_id"},
    "invoice": {"kind": "kind"},
}
"""Plain text facts and the column each is read from."""

FLAGS = {
    "has_write_off": "written_off_minor",
    "has_company_paid": "company_paid_minor",
    "has_payable": "payable_minor",
}
"""Document facts that say whether an amount is there and not zero: "yes" or "no"."""

INVOICE_FLAGS = ("has_tax", "is_named")
"""Facts of an invoice: whether the tax printed on it is not zero, "yes" or "no"; and whether the traveller's identity is
on it, "yes", "no", or missing where the OA does not say.
"""

AMOUNTS = {
    "document": {
        "gross": "gross_minor",
        "written_off": "written_off_minor",
        "company_paid": "company_paid_minor",
        "payable": "payable_minor",
    },
    "line": {"gross": "functional_minor", "deductible_tax": "tax_minor"},
    "write_off": {"amount": "amount_minor"},
    "invoice": {},
}
"""Facts for ranges, in functional minor units."""

PROPERTY = re.compile(r"^document\.properties\.([a-z][a-z0-9_]*)$")
"""A further field of the form, under the name that the source's config gives it: `document.properties.<name>`."""

COMPUTED = ("document.period",)
"""Further placeholders: the month of the voucher, `2026-01`."""

DIMENSION_KINDS = ("department", "employee", "project", "supplier")


class FactType(StrEnum):
    TEXT = "text"
    AMOUNT = "amount"


class Scope(StrEnum):
    """What an entry makes a line for."""

    DOCUMENT = "document"
    LINE = "line"
    WRITE_OFF = "write_off"

    @property
    def sees(self) -> tuple[str, ...]:
        """The prefixes of the facts that a line of this scope may use."""
        return ("document",) if self is Scope.DOCUMENT else ("document", self.value)


class Measure(StrEnum):
    """Which amount of a document, line or write-off a journal line takes; functional currency."""

    GROSS = "gross"
    DEDUCTIBLE_TAX = "deductible_tax"
    NET_OF_DEDUCTIBLE_TAX = "net_of_deductible_tax"
    WRITTEN_OFF = "written_off"
    COMPANY_PAID = "company_paid"
    PAYABLE = "payable"
    REFUND = "refund"


MEASURES = {
    Scope.DOCUMENT: frozenset(Measure),
    Scope.LINE: frozenset({Measure.GROSS, Measure.DEDUCTIBLE_TAX, Measure.NET_OF_DEDUCTIBLE_TAX}),
    Scope.WRITE_OFF: frozenset({Measure.WRITTEN_OFF}),
}


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact: `scope` is the prefix, `name` the rest."""

    scope: str
    name: str
    type: FactType

    @property
    def path(self) -> str:
        return f"{self.scope}.{self.name}"


def names_of(scope: str) -> tuple[str, ...]:
    """All facts of a prefix, for messages; properties are open and shown by their pattern."""
    names = [*REFERENCES[scope], *TEXTS[scope], *AMOUNTS[scope]]
    if scope in ("document", "line"):
        names.append(IS_OWN)
    if scope == "invoice":
        names += INVOICE_FLAGS
    if scope == "document":
        names += [*FLAGS, "properties.<name>"]
    return tuple(f"{scope}.{name}" for name in names)


def fact(path: str) -> Fact | None:
    """The fact of a dotted name, None where there is no such fact."""
    scope, _, name = path.partition(".")
    if scope not in TEXTS:
        return None
    if name in AMOUNTS[scope]:
        return Fact(scope, name, FactType.AMOUNT)
    is_text = name in REFERENCES[scope] or name in TEXTS[scope]
    is_text |= name == IS_OWN and scope in ("document", "line")
    is_text |= name in INVOICE_FLAGS and scope == "invoice"
    is_text |= scope == "document" and (name in FLAGS or PROPERTY.match(path) is not None)
    return Fact(scope, name, FactType.TEXT) if is_text else None


def is_reference(path: str) -> bool:
    """Whether a dotted name refers to master data, so that it can be a dimension."""
    scope, _, name = path.partition(".")
    return name in REFERENCES.get(scope, ())


def references_for(scope: Scope) -> tuple[str, ...]:
    """What a dimension of a line of this scope may take its value from."""
    return tuple(f"{prefix}.{name}" for prefix in scope.sees for name in REFERENCES[prefix])


def placeholders_for(prefixes: tuple[str, ...]) -> tuple[str, ...]:
    """What a summary may mention, given the prefixes that it may use."""
    names = [f"{p}.{name}" for p in prefixes for name in (*REFERENCES[p], *TEXTS[p])]
    return (*names, *COMPUTED)
