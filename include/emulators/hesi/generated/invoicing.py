"""Invoices and tickets of the generated company, with the input tax that may be deducted from each.

Tax rules (2026): special VAT invoices as printed; rail fare / 1.09 × 9 %; air (fare + fuel) / 1.09 × 9 %
without the 民航发展基金; coach with a named passenger / 1.03 × 3 %; ride hailing and electronic tolls as
printed; taxi, quota and paper toll tickets none. Nothing for catering and welfare, whatever the invoice.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

from include.emulators.hesi.generated.company import CITIES, CORPORATION, ENTITY_NAME, ENTITY_TAX_ID, FeeSpec
from include.emulators.hesi.model import Invoice, InvoiceItem
from include.emulators.hesi.money import share


@dataclass(frozen=True, slots=True)
class VatKind:
    """A VAT invoice: category as the vendor spells it (with its lowercase l), rate in percent."""

    category: str
    rate: int
    deductible: bool
    paper: bool = False


VAT_KINDS: Mapping[str, VatKind] = {
    "special_6": VatKind("FULL_DIGITAl_SPECIAL", 6, True),
    "special_9": VatKind("FULL_DIGITAl_SPECIAL", 9, True),
    "special_13": VatKind("FULL_DIGITAl_SPECIAL", 13, True),
    "digital_special_13": VatKind("DIGITAL_SPECIAL", 13, True, paper=True),
    "paper_special_6": VatKind("PAPER_SPECIAL", 6, True, paper=True),
    "normal_1": VatKind("FULL_DIGITAl_NORMAL", 1, False),
    "normal_6": VatKind("FULL_DIGITAl_NORMAL", 6, False),
    "normal_9": VatKind("FULL_DIGITAl_NORMAL", 9, False),
    "normal_13": VatKind("FULL_DIGITAl_NORMAL", 13, False),
    "digital_normal_6": VatKind("DIGITAL_NORMAL", 6, False, paper=True),
    "ride": VatKind("FULL_DIGITAl_NORMAL", 3, True),
    "etoll": VatKind("PAPER_FEE", 3, True, paper=True),
}

TICKETS = {"taxi": 0, "fixed": 0, "tolls": 0, "coach": 3, "train": 9}
"""Tickets and the rate in percent at which their gross amount contains deductible tax."""

OBJECT_OF_TICKET = {"coach": "passengerCar"}
AVIATION_FUND = 5_000


def contained_tax(gross: int, rate: int) -> int:
    """The tax inside a gross amount: gross / (1 + rate) × rate, rounded half up to minor units."""
    return share(gross, rate, 100 + rate)


def draw_kind(rng: random.Random, fee: FeeSpec) -> str:
    """One of the fee type's invoice kinds, by weight; "none" and "nowrite" are no invoice at all."""
    kinds = [kind for kind, _ in fee.invoices]
    return rng.choices(kinds, [weight for _, weight in fee.invoices])[0]


def issue(rng: random.Random, serial: int, kind: str, fee: FeeSpec, *, gross: int, date_ms: int) -> Invoice:
    """An invoice of a kind over `gross` minor units; `serial` is unique in the world."""
    if kind == "flight":
        return _flight(rng, serial, gross, date_ms)
    if kind in TICKETS:
        return _ticket(rng, serial, kind, gross, date_ms)
    vat = VAT_KINDS[kind]
    tax = contained_tax(gross, vat.rate)
    return vat_invoice(
        serial,
        vat,
        gross=gross,
        tax=tax,
        deductible=tax if vat.deductible and fee.creditable else 0,
        date_ms=date_ms,
        seller=f"{rng.choice(CITIES)}示例服务有限公司",
        item=fee.item,
    )


def vat_invoice(
    serial: int, vat: VatKind, *, gross: int, tax: int, deductible: int, date_ms: int, seller: str, item: str
) -> Invoice:
    """A VAT invoice with one line. Fully digital ones have a number of 20 digits and no code."""
    code, number = (
        (f"31002{serial // 10**8:07d}", f"{serial % 10**8:08d}") if vat.paper else ("", f"26{serial:018d}")
    )
    rate = f"{vat.rate}%"
    return Invoice(
        id=f"{CORPORATION}:{code}:{number}",
        kind="invoice",
        category=vat.category,
        code=code,
        number=number,
        date=date_ms,
        gross=gross,
        tax=tax,
        deductible=deductible,
        rate=rate,
        seller=seller,
        items=(InvoiceItem(f"ID_ITEM_{serial:08d}", item, rate, gross - tax, tax),),
        extra={"seller_tax_id": "91310000MA0SELLER1", "buyer": ENTITY_NAME, "buyer_tax_id": ENTITY_TAX_ID},
    )


def _ticket(rng: random.Random, serial: int, kind: str, gross: int, date_ms: int) -> Invoice:
    rate = TICKETS[kind]
    tax = contained_tax(gross, rate)
    number = f"{serial % 10**8:08d}"
    trip = {"trip": f"G{rng.randrange(1, 9999)}", "origin": "上海虹桥", "target": rng.choice(CITIES)}
    return Invoice(
        id=f"ID_INV_{serial:08d}",
        kind=OBJECT_OF_TICKET.get(kind, kind),
        category="",
        code="" if kind == "train" else f"131{number[:7]}",
        number=number,
        date=date_ms,
        gross=gross,
        tax=tax,
        deductible=tax,
        rate=f"{rate}%",
        seller="",
        extra=trip if kind in {"train", "coach"} else {},
    )


def _flight(rng: random.Random, serial: int, gross: int, date_ms: int) -> Invoice:
    """An itinerary: fare, fuel surcharge and 50 yuan for the aviation fund, which carries no tax."""
    fuel = min(rng.choice((2_000, 4_000, 7_000)), gross // 4)
    fund = min(AVIATION_FUND, gross // 4)
    tax = contained_tax(gross - fund, 9)
    return Invoice(
        id=f"ID_INV_{serial:08d}",
        kind="flightItinerary",
        category="",
        code="",
        number=f"781{serial % 10**10:010d}",
        date=date_ms,
        gross=gross,
        tax=tax,
        deductible=tax,
        rate="9%",
        seller="示例航空",
        extra={
            "fare": gross - fund - fuel,
            "fuel": fuel,
            "fund": fund,
            "trip": f"MU{rng.randrange(1000, 9999)}",
            "origin": "上海虹桥",
            "target": rng.choice(CITIES),
        },
    )
