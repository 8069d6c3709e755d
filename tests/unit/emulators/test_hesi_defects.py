"""Each defect can be seen in what a client gets, and none of it in a sound document.

EVIDENCE looks at rendered JSON and the lists alone, as a reader of the vendor's documents would.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

import pytest

from include.emulators.hesi import World, generate_world
from include.emulators.hesi.generated.defects import DEFECTS

Json = dict[str, Any]
DATE_FIELDS = {"expense": "expenseDate", "loan": "loanDate", "receipt": "receiptDate"}
STATES = {"draft", "approving", "rejected", "paying", "PROCESSING", "paid", "archived", "nullify"}
FORM_TYPES = {"expense", "loan", "payment", "requisition", "custom", "receipt"}
CURRENCIES = {"CNY", "USD", "EUR", "JPY", "HKD"}


@dataclass
class Lists:
    """What has to be looked up elsewhere: known ids, uses of codes and invoices."""

    fees: set[str]
    departments: set[str]
    staff: set[str]
    entities: set[str]
    invoices: dict[str, Decimal]
    codes: Counter[str] = field(default_factory=Counter)
    claimed: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))


def number(value: object) -> Decimal | None:
    try:
        return Decimal(str(value))
    except InvalidOperation:
        return None


def lines(document: Json) -> list[Json]:
    form = document["form"]
    found = form.get("details") if isinstance(form, dict) else None
    return [
        line["feeTypeForm"]
        for line in (found if isinstance(found, list) else [])
        if isinstance(line["feeTypeForm"], dict)
    ]


def amounts(value: object) -> Iterator[Json]:
    """All amount objects in a form."""
    if isinstance(value, dict):
        if "standardStrCode" in value:
            yield value
        else:
            for item in value.values():
                yield from amounts(item)
    elif isinstance(value, list):
        for item in value:
            yield from amounts(item)


def values(document: Json) -> list[Decimal]:
    found = (number(amount["standard"]) for amount in amounts(document["form"]))
    return [value for value in found if value is not None]


def totals(document: Json) -> tuple[Decimal | None, Decimal | None]:
    """(sum of the lines, the form's total), None where one of them cannot be had."""
    form = document["form"]
    name = {"expense": "expenseMoney", "receipt": "receiptMoney"}.get(document["formType"])
    if (
        not isinstance(form, dict)
        or name is None
        or not isinstance(form.get(name), dict)
        or not lines(document)
    ):
        return None, None
    parts = [
        number(line["amount"]["standard"]) for line in lines(document) if isinstance(line.get("amount"), dict)
    ]
    if None in parts or len(parts) != len(form["details"]):
        return None, None
    return sum((part for part in parts if part is not None), Decimal()), number(form[name]["standard"])


def pay_differs(document: Json) -> bool:
    form = document["form"]
    if document["formType"] != "expense" or not isinstance(form["expenseMoney"], dict):
        return False
    total, pay, less, company = (
        number(form[name]["standard"])
        for name in ("expenseMoney", "payMoney", "writtenOffMoney", "companyRealPay")
    )
    return None not in {total, pay, less, company} and pay != total - less - company  # type: ignore[operator]


def invoice_entries(document: Json) -> Iterator[tuple[Json, Json]]:
    for line in lines(document):
        for entry in (line.get("invoiceForm") or {}).get("invoices", []):
            yield line, entry


def tax_exceeds(document: Json) -> bool:
    for line, entry in invoice_entries(document):
        amount = number(line["amount"]["standard"]) if isinstance(line.get("amount"), dict) else None
        tax = number(entry["taxAmount"]["standard"])
        if amount is not None and tax is not None and amount > 0 and tax > amount:
            return True
    return False


def department(form: Json, form_type: str) -> str | None:
    value: str | None = form.get("loanDepartment" if form_type == "loan" else "expenseDepartment")
    return value


def dates(document: Json) -> list[object]:
    name = DATE_FIELDS.get(document["formType"])
    return [document["form"].get(name)] if name else []


def apportions_differ(document: Json) -> bool:
    for line in lines(document):
        parts = [part["apportionForm"]["apportionMoney"]["standard"] for part in line.get("apportions", [])]
        whole = number(line["amount"]["standard"]) if parts and isinstance(line.get("amount"), dict) else None
        if whole is not None and sum(Decimal(str(part)) for part in parts) != whole:
            return True
    return False


def malformed(document: Json) -> bool:
    form = document["form"]
    if not isinstance(form, dict) or isinstance(form.get("details"), dict):
        return True
    if isinstance(form.get("expenseMoney"), list):
        return True
    return any(
        isinstance(line["feeTypeForm"], list) or isinstance(line["feeTypeForm"].get("amount"), list)
        for line in form.get("details") or []
    )


def main_amounts(document: Json) -> list[Json | None]:
    """Line amounts, or the form's own where there are no lines; None where one is missing."""
    if document["form"].get("details"):
        return [line.get("amount") for line in lines(document)]
    names = ("expenseMoney", "loanMoney", "payMoney", "receiptMoney", "requisitionMoney")
    found = [
        document["form"][name]
        for name in (*names, "u_订单金额", "u_暂估金额", "u_价税合计")
        if name in document["form"]
    ]
    return found or [None]


Evidence = Callable[[Json, Lists], bool]
EVIDENCE: dict[str, Evidence] = {
    "amount_null": lambda d, _: any(
        item is not None and item["standard"] is None for item in main_amounts(d)
    ),
    "amount_negative": lambda d, _: any(
        item is not None and (number(item["standard"]) or 0) < 0 for item in main_amounts(d)
    ),
    "amount_decimals": lambda d, _: any(value.normalize().as_tuple().exponent < -2 for value in values(d)),
    "amount_overflow": lambda d, _: any(abs(value) * 100 > 2**63 - 1 for value in values(d)),
    "amount_text": lambda d, _: any(
        item["standard"] is not None and number(item["standard"]) is None for item in amounts(d["form"])
    ),
    "total_mismatch": lambda d, _: totals(d)[0] is not None and totals(d)[0] != totals(d)[1],
    "pay_mismatch": lambda d, _: pay_differs(d),
    "unknown_fee_type": lambda d, k: any(
        line["feeTypeId"] not in k.fees for line in d["form"].get("details") or []
    ),
    "unknown_department": lambda d, k: department(d["form"], d["formType"]) not in {None, *k.departments},
    "missing_department": lambda d, _: department(d["form"], d["formType"]) is None,
    "unknown_staff": lambda d, k: d["form"].get("submitterId") not in {None, *k.staff},
    "unknown_legal_entity": lambda d, k: d["form"].get("法人实体") not in {None, *k.entities},
    "missing_legal_entity": lambda d, _: d["form"].get("法人实体") is None,
    "missing_amount": lambda d, _: any(item is None for item in main_amounts(d)),
    "missing_date": lambda d, _: None in dates(d),
    "missing_submitter": lambda d, _: d["form"].get("submitterId") is None,
    "duplicate_line": lambda d, _: len({line["detailId"] for line in lines(d)}) < len(lines(d)),
    "duplicate_code": lambda d, k: k.codes[d["form"]["code"]] > 1,
    "invoice_overused": lambda d, k: any(
        k.claimed[entry["invoiceId"]] > k.invoices[entry["invoiceId"]] for _, entry in invoice_entries(d)
    ),
    "tax_over_amount": lambda d, _: tax_exceeds(d),
    "rate_zero": lambda d, _: any(number(item.get("rate", 1)) == 0 for item in amounts(d["form"])),
    "rate_missing": lambda d, _: any("foreign" in item and "rate" not in item for item in amounts(d["form"])),
    "date_9999": lambda d, _: any(isinstance(item, int) and item > 253_000_000_000_000 for item in dates(d)),
    "unknown_currency": lambda d, _: any(
        item.get(f"{side}StrCode", "CNY") not in CURRENCIES
        for item in amounts(d["form"])
        for side in ("standard", "foreign")
    ),
    "unknown_state": lambda d, _: d["state"] not in STATES,
    "unknown_form_type": lambda d, _: d["formType"] not in FORM_TYPES,
    "details_empty": lambda d, _: d["form"].get("details") == [],
    "details_null": lambda d, _: "details" in d["form"] and d["form"]["details"] is None,
    "apportion_mismatch": lambda d, _: apportions_differ(d),
    "malformed": lambda d, _: malformed(d),
}


@pytest.fixture(scope="module")
def world() -> World:
    return generate_world(1200, seed=77, dirty_share=0.08)


def rendered(world: World, *, with_defect: bool) -> Iterator[tuple[Json, str | None]]:
    for document in world.documents.values():
        truth = world.truth[document.id]
        if (truth.defect is not None) == with_defect:
            yield world.render(document, detail=True), truth.defect


@pytest.fixture(scope="module")
def lists(world: World) -> Lists:
    """Codes and invoice uses of all documents; of a pair the later one alone counts as wrong below."""
    catalog = world.catalog
    known = Lists(
        fees={item["id"] for item in catalog.fee_types},
        departments={item["id"] for item in catalog.departments},
        staff={item["id"] for item in catalog.staffs},
        entities={item["id"] for item in catalog.items_of("法人实体")},
        invoices={item.id: Decimal(item.gross) / 100 for item in world.invoices.values()},
    )
    for document in world.documents.values():
        shown = world.render(document, detail=True)
        if isinstance(shown["form"], dict):
            known.codes[shown["form"]["code"]] += 1
            for line, entry in invoice_entries(shown):
                amount = number(line["amount"]["standard"]) if isinstance(line.get("amount"), dict) else None
                known.claimed[entry["invoiceId"]] += amount if amount is not None and amount < 10**9 else 0
    return known


def test_there_is_evidence_for_every_defect() -> None:
    assert set(EVIDENCE) == set(DEFECTS)


def test_every_defect_shows(world: World, lists: Lists) -> None:
    unseen = [
        (defect, document["id"])
        for document, defect in rendered(world, with_defect=True)
        if defect is not None and not EVIDENCE[defect](document, lists)
    ]
    assert unseen == []


def test_sound_documents_show_none(world: World, lists: Lists) -> None:
    """The sound half of a pair shares its code or invoice with the wrong half, and nothing else."""
    shown = [
        (name, document["id"])
        for document, _ in rendered(world, with_defect=False)
        for name, seen in EVIDENCE.items()
        if seen(document, lists) and not (name in PAIRED and world.truth[document["id"]].counterpart)
    ]
    assert shown == []


PAIRED = {"duplicate_code", "invoice_overused"}
