"""What the OA knows of invoices beyond the line that claims them: kind, total, printed tax, day, traveller.

Two calls for a page of documents: which invoices of which type are on them, then the heads of each type.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import date
from itertools import chain
from typing import Any
from zoneinfo import ZoneInfo

from include.adapters.oa.hesi.client import HesiClient
from include.adapters.oa.hesi.lines import InvoiceFacts
from include.adapters.oa.hesi.options import HesiOptions
from include.adapters.oa.times import epoch_ms, to_moment
from include.domain.money import AmountError, parse_minor

log = logging.getLogger(__name__)

FLOW_PATH = "/api/openapi/v2/extension/flow/INVOICE/search"
OBJECT_PATH = "/api/openapi/v2/extension/INVOICE/object/{kind}/search"
KINDS = frozenset(
    {
        "invoice",
        "other",
        "taxi",
        "fixed",
        "passengerCar",
        "machinePrint",
        "shopping",
        "train",
        "flightItinerary",
        "tolls",
        "medical",
        "noTaxIncome",
    }
)
CATEGORY = "E_system_发票主体_发票类别"
TOTAL_SUFFIXES = ("_价税合计", "_金额合计", "_金额")
"""How the total's field ends: VAT invoices, medical and fiscal receipts, tickets. All begin with E_system_."""
BATCH = 100


class InvoiceReader:
    """Reads the invoice pages; which fields of theirs count is for the options to say."""

    def __init__(self, client: HesiClient, options: HesiOptions, functional: str, zone: ZoneInfo) -> None:
        self._client = client
        self._options = options
        self._functional = functional
        self._zone = zone

    def facts(self, document_ids: Sequence[str]) -> dict[str, InvoiceFacts]:
        """What is known of the invoices on these documents, by invoice id; unknown ones are left out."""
        by_kind: dict[str, dict[str, None]] = {}
        for batch in _batches(document_ids):
            answer = self._client.search(FLOW_PATH, {"type": "id", "codeOrIds": batch}, _check_flows)
            for item in chain.from_iterable(answer["value"].values()):
                kind, identity = _kind_and_id(item)
                if kind in KINDS and identity:
                    by_kind.setdefault(kind, {})[identity] = None
                elif identity:
                    log.warning("发票类型 %s 未知，无法取得价税合计 / unknown invoice type, no total", kind)
        found: dict[str, InvoiceFacts] = {}
        for kind, ids in by_kind.items():
            for batch in _batches(list(ids)):
                answer = self._client.search(OBJECT_PATH.format(kind=kind), {"ids": batch}, _check_items)
                for item in answer["items"]:
                    found |= self._read(kind, item)
        return found

    def _read(self, kind: str, item: Any) -> dict[str, InvoiceFacts]:
        if not isinstance(item, dict) or not isinstance(item.get("id"), str):
            return {}
        category = item.get(CATEGORY)
        exact = category if kind == "invoice" and isinstance(category, str) else kind
        taxes = [item[name] for name in self._options.invoice_tax_fields if item.get(name) is not None]
        return {
            item["id"]: InvoiceFacts(
                kind=exact[:64],
                total=self._total(item),
                tax=self._amount(taxes[0]) if taxes else None,
                exempt=self._exempt(item),
                occurred_on=self._day(item),
                is_named=self._is_named(item),
                is_readable=self._is_readable(item),
            )
        }

    def _total(self, item: Mapping[str, Any]) -> int | None:
        """The total, None where the head does not give one that can be read: the gate then counts uses."""
        names = [name for name in item if name.endswith(TOTAL_SUFFIXES) and name.startswith("E_system_")]
        for suffix in TOTAL_SUFFIXES:
            for name in names:
                if name.endswith(suffix) and isinstance(item[name], dict):
                    return self._amount(item[name])
        return None

    def _amount(self, value: Any) -> int | None:
        """Minor units of a money object, None where it is none."""
        try:
            return parse_minor(value.get("standard"), self._functional) if isinstance(value, dict) else None
        except AmountError:
            return None

    def _exempt(self, item: Mapping[str, Any]) -> int | None:
        """What bears no VAT together; None where the invoice has no such part, or one that cannot be read (a problem)."""
        parts = [item[name] for name in self._options.invoice_exempt_fields if item.get(name) is not None]
        amounts = [self._amount(part) for part in parts]
        known = [amount for amount in amounts if amount is not None]
        return sum(known) if known and len(known) == len(amounts) else None

    def _is_readable(self, item: Mapping[str, Any]) -> bool:
        names = (*self._options.invoice_tax_fields, *self._options.invoice_exempt_fields)
        return all(self._amount(item[name]) is not None for name in names if item.get(name) is not None)

    def _day(self, item: Mapping[str, Any]) -> date | None:
        moments = (epoch_ms(item.get(name)) for name in self._options.invoice_date_fields)
        first = next((moment for moment in moments if moment), None)
        return to_moment(first).astimezone(self._zone).date() if first else None

    def _is_named(self, item: Mapping[str, Any]) -> bool | None:
        names = [item[name] for name in self._options.invoice_name_fields if name in item]
        return any(isinstance(name, str) and name.strip() for name in names) if names else None


def has_invoices(payload: Mapping[str, Any]) -> bool:
    """Whether a payload carries any invoice, on a line or in a field of the form, so that asking is worth it."""
    form = payload.get("form")
    if not isinstance(form, dict):
        return False
    details = form.get("details")
    lines = [line.get("feeTypeForm") for line in _objects(details if isinstance(details, list) else [])]
    fields = [value for holder in (form, *_objects(lines)) for value in holder.values()]
    return any(value.get("invoices") for value in _objects(fields))


def _objects(values: Sequence[Any]) -> list[Mapping[str, Any]]:
    return [value for value in values if isinstance(value, dict)]


def _kind_and_id(item: Any) -> tuple[str, str]:
    if not isinstance(item, dict):
        return "", ""
    kind, identity = item.get("invoiceType"), item.get("invoiceId")
    return (
        kind if isinstance(kind, str) else "",
        identity if isinstance(identity, str) else "",
    )


def _batches(ids: Sequence[str]) -> list[list[str]]:
    return [list(ids[at : at + BATCH]) for at in range(0, len(ids), BATCH)]


def _check_flows(value: Any) -> str | None:
    flows = value.get("value") if isinstance(value, dict) else None
    is_good = isinstance(flows, dict) and all(isinstance(items, list) for items in flows.values())
    return None if is_good else "没有按单据分组的发票 / no invoices by document"


def _check_items(value: Any) -> str | None:
    has_items = isinstance(value, dict) and isinstance(value.get("items"), list)
    return None if has_items else "没有 items 列表 / no list 'items'"
