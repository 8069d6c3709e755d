"""Defects that a quality gate must catch, put into a share of the approved documents.

A defect is one thing wrong: where a broken line amount would also break the document's sums, these are drawn
after it, so that the check for the amount itself has to find it. What was done stands in `World.truth`.
"""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from include.emulators.hesi.catalog import LEGAL_ENTITY
from include.emulators.hesi.model import Document, pack, unpack
from include.emulators.hesi.world import World

Json = dict[str, Any]

TOTALS = {
    "expense": ("expenseMoney", "payMoney"),
    "loan": ("loanMoney", "payMoney"),
    "payment": ("payMoney",),
    "receipt": ("receiptMoney",),
    "SPEC_GOODS_RECEIPT": ("u_暂估金额",),
    "SPEC_PURCHASE_INVOICE": ("u_价税合计",),
}
"""Amount fields of a form by form type or, for custom forms, template; the first is the document's total."""

DATES = {"expense": "expenseDate", "loan": "loanDate", "receipt": "receiptDate"}
END_OF_TIME = 253402214400000
"""9999-12-31 in Shanghai, epoch ms."""
BEYOND_INT64 = "92233720368547758.08"
"""2**63 in minor units of a currency with two decimals: one more than a BIGINT holds."""


@dataclass(slots=True)
class Case:
    """A document under the knife."""

    document: Document
    body: Json
    rng: random.Random
    sound: list[Document]
    """Documents created before it that stay sound, for defects between two documents."""

    @property
    def form(self) -> Json:
        form: Json = self.body["form"]
        return form

    @property
    def lines(self) -> list[Json]:
        lines: list[Json] = self.form.get("details", [])
        return lines

    @property
    def totals(self) -> tuple[str, ...]:
        template = self.document.specification_id.partition(":")[0]
        return TOTALS.get(template) or TOTALS[self.document.form_type]

    @property
    def amount(self) -> Json:
        """The first line's amount, or the form's total where there are no lines."""
        found: Json = self.lines[0]["feeTypeForm"]["amount"] if self.lines else self.form[self.totals[0]]
        return found

    def set_amount(self, value: object) -> None:
        """Put a value into the amount and, where it is a number, let the totals follow."""
        self.amount["standard"] = value
        if not self.lines:
            for name in self.totals:
                self.form[name]["standard"] = value
        elif _is_number(value):
            self.retotal()

    def retotal(self) -> None:
        """Make the form's totals what its lines say."""
        total = sum(
            (Decimal(str(line["feeTypeForm"]["amount"]["standard"])) for line in self.lines), Decimal()
        )
        self.form[self.totals[0]]["standard"] = str(total)
        if self.document.form_type == "expense":
            less = sum(
                Decimal(str(self.form[name]["standard"])) for name in ("writtenOffMoney", "companyRealPay")
            )
            self.form["payMoney"]["standard"] = str(total - less)

    def shift(self, name: str, by: str) -> None:
        self.form[name]["standard"] = str(Decimal(str(self.form[name]["standard"])) + Decimal(by))


Defect = Callable[[Case], str | None]
"""Spoils the case and returns the id of the sound counterpart, if there is one."""
Fits = Callable[[Case], bool]


def _is_number(value: object) -> bool:
    return isinstance(value, str) and value.replace(".", "").lstrip("-").isdigit()


def _claims(case: Case) -> bool:
    return case.document.form_type == "expense"


def _with_lines(case: Case) -> bool:
    return bool(case.lines)


def _domestic(case: Case) -> bool:
    return "foreign" not in case.amount


def _foreign(case: Case) -> bool:
    return "foreign" in case.amount


def _two_lines(case: Case) -> bool:
    return len(case.lines) >= 2


def _dated(case: Case) -> bool:
    return case.document.form_type in DATES


def _invoices(case: Case) -> list[tuple[Json, Json]]:
    """(line, invoice entry) of the case."""
    return [
        (line, entry)
        for line in case.lines
        for entry in line["feeTypeForm"].get("invoiceForm", {}).get("invoices", [])
    ]


def _apportioned(case: Case) -> bool:
    return any("apportions" in line["feeTypeForm"] for line in case.lines)


def _one_department(case: Case) -> bool:
    """Expenses that are booked on the form's own department: nothing else says whose they are."""
    return _claims(case) and not _apportioned(case)


def _amount_null(case: Case) -> None:
    case.set_amount(None)


def _amount_negative(case: Case) -> None:
    case.set_amount(f"-{case.amount['standard']}")


def _amount_decimals(case: Case) -> None:
    whole, _, part = str(case.amount["standard"]).partition(".")
    case.set_amount(f"{whole}.{(part + '00')[:2]}5")


def _amount_overflow(case: Case) -> None:
    case.set_amount(BEYOND_INT64)


def _amount_text(case: Case) -> None:
    case.set_amount(case.rng.choice(("一百元", "1,234.50", "12O.00", "")))


def _total_mismatch(case: Case) -> None:
    for name in case.totals:
        case.shift(name, "0.01")


def _pay_mismatch(case: Case) -> None:
    case.shift("payMoney", "0.01")


def _unknown_fee_type(case: Case) -> None:
    case.lines[0] |= {"feeTypeId": "VFDEMO00corp00:ghost", "feeType": None}


def _department_key(case: Case) -> str:
    return "loanDepartment" if case.document.form_type == "loan" else "expenseDepartment"


def _unknown_department(case: Case) -> None:
    case.form[_department_key(case)] = "VFDEMO00corp00:D_GONE"


def _missing_department(case: Case) -> None:
    del case.form[_department_key(case)]


def _unknown_staff(case: Case) -> None:
    case.form["submitterId"] = "VFDEMO00corp00:S_GONE"


def _unknown_legal_entity(case: Case) -> None:
    case.form[LEGAL_ENTITY] = "ID_LE_GONE"


def _missing_legal_entity(case: Case) -> None:
    del case.form[LEGAL_ENTITY]


def _missing_amount(case: Case) -> None:
    if case.lines:
        del case.lines[0]["feeTypeForm"]["amount"]
    else:
        for name in case.totals:
            del case.form[name]


def _missing_date(case: Case) -> None:
    """No business date: neither the form's nor the lines'. Submission and payment times stay."""
    del case.form[DATES[case.document.form_type]]
    for line in case.lines:
        del line["feeTypeForm"]["feeDate"]


def _missing_submitter(case: Case) -> None:
    del case.form["submitterId"]


def _duplicate_line(case: Case) -> None:
    case.lines[1]["feeTypeForm"]["detailId"] = case.lines[0]["feeTypeForm"]["detailId"]


def _duplicate_code(case: Case) -> str:
    """Two documents under one code; the one created later is the wrong one."""
    other = case.rng.choice([item for item in case.sound if item.form_type == case.document.form_type])
    case.form["code"] = case.document.code = other.code
    return other.id


def _has_elder(case: Case) -> bool:
    return any(item.form_type == case.document.form_type for item in case.sound)


def _elder_with_invoice(case: Case) -> tuple[Document, Json] | None:
    for other in case.sound[::-1]:
        if other.form_type == "expense":
            form = unpack(other.packed)["form"]
            for _, entry in _invoices(Case(other, {"form": form}, case.rng, [])):
                return other, entry
    return None


def _has_used_invoice(case: Case) -> bool:
    return bool(_invoices(case)) and _elder_with_invoice(case) is not None


def _invoice_overused(case: Case) -> str:
    """A claim for an invoice that another claim has used up; more is claimed than the invoice has."""
    found = _elder_with_invoice(case)
    if found is None:
        raise AssertionError("checked by _has_used_invoice")
    other, entry = found
    _, own = _invoices(case)[0]
    own |= {"invoiceId": entry["invoiceId"], "itemIds": entry["itemIds"]}
    return other.id


def _tax_over_amount(case: Case) -> None:
    line, entry = _invoices(case)[0]
    amount = Decimal(str(line["feeTypeForm"]["amount"]["standard"]))
    entry["taxAmount"]["standard"] = str(amount + Decimal("0.01"))


def _rate_zero(case: Case) -> None:
    case.amount.update({"rate": "0", "sysRate": "0"})


def _rate_missing(case: Case) -> None:
    for name in ("rate", "sysRate"):
        del case.amount[name]


def _date_9999(case: Case) -> None:
    case.form[DATES[case.document.form_type]] = END_OF_TIME
    for line in case.lines:
        line["feeTypeForm"]["feeDate"] = END_OF_TIME


def _unknown_currency(case: Case) -> None:
    prefix = "foreign" if "foreign" in case.amount else "standard"
    case.amount.update({f"{prefix}StrCode": "XQQ", f"{prefix}NumCode": "000"})


def _unknown_state(case: Case) -> None:
    case.body["head"] = {"state": "frozen"}


def _unknown_form_type(case: Case) -> None:
    case.body["head"] = {"formType": "mystery"}


def _details_empty(case: Case) -> None:
    case.form["details"] = []


def _details_null(case: Case) -> None:
    case.form["details"] = None


def _apportion_mismatch(case: Case) -> None:
    line = next(line for line in case.lines if "apportions" in line["feeTypeForm"])
    share = line["feeTypeForm"]["apportions"][0]["apportionForm"]["apportionMoney"]
    share["standard"] = str(Decimal(str(share["standard"])) + Decimal("0.01"))


def _malformed(case: Case) -> None:
    """A list where an object belongs, or the other way round."""
    variant = case.rng.randrange(5)
    if variant == 0:
        case.body["form"] = []
    elif variant == 1:
        case.form["details"] = {"0": case.lines[0]}
    elif variant == 2:
        case.lines[0]["feeTypeForm"] = []
    elif variant == 3:
        case.lines[0]["feeTypeForm"]["amount"] = [case.amount]
    else:
        case.form["expenseMoney"] = [case.form["expenseMoney"]]


DEFECTS: Mapping[str, tuple[Fits | None, Defect]] = {
    "amount_null": (_domestic, _amount_null),
    "amount_negative": (_domestic, _amount_negative),
    "amount_decimals": (_domestic, _amount_decimals),
    "amount_overflow": (_domestic, _amount_overflow),
    "amount_text": (_domestic, _amount_text),
    "total_mismatch": (_with_lines, _total_mismatch),
    "pay_mismatch": (_claims, _pay_mismatch),
    "unknown_fee_type": (_with_lines, _unknown_fee_type),
    "unknown_department": (None, _unknown_department),
    "missing_department": (_one_department, _missing_department),
    "unknown_staff": (None, _unknown_staff),
    "unknown_legal_entity": (None, _unknown_legal_entity),
    "missing_legal_entity": (None, _missing_legal_entity),
    "missing_amount": (None, _missing_amount),
    "missing_date": (_dated, _missing_date),
    "missing_submitter": (None, _missing_submitter),
    "duplicate_line": (_two_lines, _duplicate_line),
    "duplicate_code": (_has_elder, _duplicate_code),
    "invoice_overused": (_has_used_invoice, _invoice_overused),
    "tax_over_amount": (lambda case: bool(_invoices(case)), _tax_over_amount),
    "rate_zero": (_foreign, _rate_zero),
    "rate_missing": (_foreign, _rate_missing),
    "date_9999": (_dated, _date_9999),
    "unknown_currency": (None, _unknown_currency),
    "unknown_state": (None, _unknown_state),
    "unknown_form_type": (None, _unknown_form_type),
    "details_empty": (_claims, _details_empty),
    "details_null": (_claims, _details_null),
    "apportion_mismatch": (_apportioned, _apportion_mismatch),
    "malformed": (_claims, _malformed),
}
"""Every kind of defect, with the documents that can have it (None: all)."""

PAIRED = frozenset({"duplicate_code", "invoice_overused"})
"""Defects between two documents, of which the elder is sound: made before, and approved before, the other."""


def spoil(world: World, rng: random.Random, dirty_share: float) -> None:
    """Give `dirty_share` of the approved documents a defect each, all kinds in turn.

    Only documents that would make a voucher are taken. Their truth then names the defect.
    """
    approved = sum(document.is_approved for document in world.documents.values())
    wanted = round(approved * dirty_share)
    pool = [document for document in world.documents.values() if world.truth[document.id].voucher_expected]
    rng.shuffle(pool)
    chosen, rest = pool[: 2 * wanted], pool[2 * wanted :]
    names = list(DEFECTS)
    rng.shuffle(names)
    kinds = itertools.cycle(names)
    misses = 0
    while wanted and misses < len(names):
        name = next(kinds)
        if _spoil_one(world, rng, name, chosen, rest) or _spoil_one(world, rng, name, rest, rest):
            wanted, misses = wanted - 1, 0
        else:
            misses += 1


def _spoil_one(
    world: World, rng: random.Random, name: str, pool: list[Document], rest: list[Document]
) -> bool:
    """Spoil the first document of the pool that can have this defect and take it out; False if none can."""
    fits, defect = DEFECTS[name]
    sound = (
        [item for item in rest[:400] if world.truth[item.id].counterpart is None] if name in PAIRED else []
    )
    for index, document in enumerate(pool):
        if world.truth[document.id].counterpart is not None:
            continue  # the sound half of another pair must stay sound
        # Elder in every respect: by which of two times the first of a pair is told is not for the truth to decide.
        elders = [
            item
            for item in sound
            if item.create_time < document.create_time and item.update_time < document.update_time
        ]
        case = Case(document, unpack(document.packed), rng, elders)
        if fits is not None and not fits(case):
            continue
        counterpart = defect(case)
        document.packed = pack(case.body)
        truth = world.truth[document.id]
        world.truth[document.id] = dataclasses.replace(
            truth, defect=name, voucher_expected=False, counterpart=counterpart
        )
        if counterpart is not None:
            world.truth[counterpart] = dataclasses.replace(world.truth[counterpart], counterpart=document.id)
        del pool[index]
        return True
    return False
