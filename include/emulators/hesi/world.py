"""The emulated company's state: what the HTTP side reads, and the changes that tests and people make."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from include.emulators.hesi import changes
from include.emulators.hesi.catalog import Catalog
from include.emulators.hesi.clock import EmulatorClock
from include.emulators.hesi.model import (
    APPROVED,
    IN_FLIGHT,
    VOUCHER_FORMS,
    Document,
    EmulatorError,
    Invoice,
    Loan,
    Repayment,
    Truth,
    unpack,
)

Json = dict[str, Any]
Listener = Callable[[changes.Change], None]


@dataclass(frozen=True, slots=True)
class LoanState:
    """Where a loan stands; amounts in minor units. `reserved` waits for a document in approval."""

    reserved: int
    repaid: int


@dataclass(slots=True)
class World:
    """One company. `label` names how it was made; a state file made for another label is refused.

    Reads and changes may come from the server's thread and a test's: `lock` guards both.
    """

    label: str
    catalog: Catalog
    clock: EmulatorClock = field(default_factory=EmulatorClock)
    documents: dict[str, Document] = field(default_factory=dict)
    invoices: dict[str, Invoice] = field(default_factory=dict)
    loans: dict[str, Loan] = field(default_factory=dict)
    """By the id of the loan document."""
    repayments: dict[str, Repayment] = field(default_factory=dict)
    outbound_logs: list[Json] = field(default_factory=list)
    truth: dict[str, Truth] = field(default_factory=dict)
    revision: int = 0
    """Grows with every change; what was derived at another revision is stale."""
    lock: threading.RLock = field(default_factory=threading.RLock)
    listeners: list[Listener] = field(default_factory=list)

    # -- what documents look like -------------------------------------------------------------------

    def render(self, document: Document, *, detail: bool) -> Json:
        """A document as the API shows it. The list leaves out what only the detail page carries."""
        body = unpack(document.packed)
        form = body["form"]
        if isinstance(form, dict):
            if document.form_type in VOUCHER_FORMS:
                form["voucherNo"] = document.voucher_no
                # The vendor documents 未生成 alone; the word for the other state is ours.
                form["voucherStatus"] = "已生成" if document.voucher_no else "未生成"
                form["voucherCreateTime"] = document.voucher_time
            if not detail:
                _strip_for_list(form)
        rendered: Json = {
            "pipeline": 1,
            "grayver": "",
            "version": document.version,
            "active": document.active,
            "createTime": document.create_time,
            "updateTime": document.update_time,
            "corporationId": self.catalog.corporation_id,
            "sourceCorporationId": None,
            "dataCorporationId": None,
            "form": form,
            "ownerId": document.owner_id,
            "ownerDefaultDepartment": document.department_id,
            "state": document.state,
            "flowType": "freeflow",
            "formType": document.form_type,
            "logs": body["logs"],
            "actions": _actions(document),
            "invoiceRemind": False,
            "id": document.id,
        }
        rendered.update(body.get("head", {}))
        return rendered

    def digest(self) -> str:
        """SHA-256 over everything that clients can read, in a fixed order."""
        seen = hashlib.sha256()

        def take(value: object) -> None:
            seen.update(json.dumps(value, ensure_ascii=False, sort_keys=True).encode())

        catalog = self.catalog
        take([catalog.departments, catalog.staffs, catalog.fee_types, catalog.dimensions, catalog.items])
        take([catalog.payees, catalog.accounts, catalog.currency_list(), self.outbound_logs])
        for document in self.documents.values():
            take(self.render(document, detail=True))
        for thing in (*self.invoices.values(), *self.loans.values(), *self.repayments.values()):
            seen.update(repr(thing).encode())
        return seen.hexdigest()

    # -- what may be asked --------------------------------------------------------------------------

    def document(self, flow_id: str) -> Document:
        """A document by id.

        Raises:
            EmulatorError: there is none.
        """
        try:
            return self.documents[flow_id]
        except KeyError:
            raise EmulatorError(f"没有单据 {flow_id} · no document {flow_id} in this world") from None

    def by_code(self, code: str) -> Document | None:
        """The first created document with a code, an undeleted one if there is any."""
        found = [document for document in self.documents.values() if document.code == code]
        return next((document for document in found if document.active), found[0] if found else None)

    def loan_state(self, loan: Loan) -> LoanState:
        """What has been repaid and what is reserved, from the state of the documents that do it."""
        reserved = repaid = 0
        for repayment in self.repayments.values():
            if repayment.loan_flow_id != loan.flow_id or repayment.kind == "OBTAIN":
                continue
            document = self.documents[repayment.flow_id]
            if document.is_approved:
                repaid += repayment.amount
            elif document.active and document.state in IN_FLIGHT:
                reserved += repayment.amount
        return LoanState(reserved=reserved, repaid=repaid)

    def has_loan_record(self, loan: Loan) -> bool:
        """A 借款包 exists once its loan document is through."""
        return self.documents[loan.flow_id].state in APPROVED

    def counts(self) -> dict[str, int]:
        """How many documents there are, by form type and state, deleted ones apart."""
        result: dict[str, int] = {}
        for document in self.documents.values():
            key = f"{document.form_type}/{document.state}" if document.active else "deleted"
            result[key] = result.get(key, 0) + 1
        return result

    # -- what may be changed ------------------------------------------------------------------------

    def apply(self, change: changes.Change) -> None:
        """Make a change and tell the listeners (the state file).

        Raises:
            EmulatorError: the change does not fit the document's state; nothing was changed.
        """
        with self.lock:
            changes.apply(self, change)
            self.revision += 1
            for listener in self.listeners:
                listener(change)

    def change(self, operation: str, flow_id: str, **data: object) -> None:
        """Make a change now, by the world's clock: `world.change("approve", flow_id)`; see `changes`."""
        self.apply(changes.Change(operation, (flow_id,), self.clock.now_ms(), data))

    def write_back(self, items: Iterable[Json]) -> None:
        """Store voucher numbers; the caller has checked that every document may take one."""
        entries = list(items)
        flow_ids = tuple(str(item["flowId"]) for item in entries)
        self.apply(changes.Change("write_back", flow_ids, self.clock.now_ms(), {"items": entries}))


def _strip_for_list(form: Json) -> None:
    """Leave out what the vendor's samples show on the detail page only."""
    form.pop("expenseLink", None)
    form.pop("expenseLinks", None)
    details = form.get("details")
    for line in details if isinstance(details, list) else []:
        if not isinstance(line, dict):
            continue
        line.pop("feeType", None)
        fee_form = line.get("feeTypeForm")
        invoice_form = fee_form.get("invoiceForm") if isinstance(fee_form, dict) else None
        if isinstance(invoice_form, dict):
            invoice_form.pop("invoiceConfirm", None)


def _actions(document: Document) -> Json:
    """What the owner may do with the document in its state."""
    if not document.active:
        return {}
    if document.state in {"draft", "rejected"}:
        return {document.owner_id: ["freeflow.delete", "freeflow.edit", "freeflow.submit"]}
    if document.state == "paid":
        return {document.owner_id: ["freeflow.archive", "freeflow.copy"]}
    return {}
