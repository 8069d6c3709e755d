"""What the invoice pages say of invoices: fields as the vendor's documents show them, configurable, or not there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from include.adapters.oa.hesi.invoices import InvoiceReader
from include.adapters.oa.hesi.lines import InvoiceFacts
from include.adapters.oa.hesi.options import HesiOptions
from tests.unit.adapters.hesi_parts import Json, expense, line, mapped, mapping_context, money

AIR = "E_system_航空运输电子客票行程单_"
VAT = "E_system_发票主体_"
SHANGHAI = ZoneInfo("Asia/Shanghai")

VENDOR_ITINERARY: Json = {
    "E_税额": money("0.00"),
    f"{AIR}票价": money("1120.00"),
    f"{AIR}税费": money("0.00"),
    f"{AIR}金额": money("1250.00"),
    f"{AIR}保险费": money("0.00"),
    f"{AIR}乘机时间": 1679304600000,
    f"{AIR}填开日期": 1679241600000,
    f"{AIR}身份证号": "142***********0271",
    f"{AIR}乘机人姓名": "荆*",
    f"{AIR}燃油附加费": money("80.00"),
    f"{AIR}民航发展基金": money("50.00"),
}
"""After the example of 获取发票主体信息, the traveller masked."""


class Pages:
    """Stands for the client: one invoice of a kind on each document, with these fields."""

    def __init__(self, kind: str, head: Mapping[str, Any]) -> None:
        self.kind = kind
        self.head = head

    def search(self, path: str, body: Any, check: Callable[[Any], str | None]) -> Any:
        if "/flow/" in path:
            answer: Json = {
                "value": {i: [{"invoiceId": "I1", "invoiceType": self.kind}] for i in body["codeOrIds"]}
            }
        else:
            answer = {"items": [{"id": "I1", **self.head}]}
        assert check(answer) is None
        return answer


def facts(kind: str, head: Mapping[str, Any], **options: Any) -> InvoiceFacts:
    pages: Any = Pages(kind, head)
    reader = InvoiceReader(pages, HesiOptions.model_validate(options), "CNY", SHANGHAI)
    return reader.facts(["D1"])["I1"]


def test_an_itinerary_as_the_vendor_shows_it() -> None:
    assert facts("flightItinerary", VENDOR_ITINERARY) == InvoiceFacts(
        kind="flightItinerary",
        total=125_000,
        tax=0,
        exempt=5_000,
        occurred_on=date(2023, 3, 20),
        is_named=True,
    )


def test_insurance_is_no_fare_either() -> None:
    head = VENDOR_ITINERARY | {f"{AIR}保险费": money("30.00"), f"{AIR}金额": money("1280.00")}
    assert facts("flightItinerary", head).exempt == 8_000


@pytest.mark.parametrize(
    ("kind", "head", "expected"),
    [
        (
            "invoice",
            {
                f"{VAT}发票类别": "FULL_DIGITAl_NORMAL",
                f"{VAT}价税合计": money("106.00"),
                f"{VAT}税额": money("6.00"),
                "E_税额": money("0.00"),
                f"{VAT}发票日期": 1662652800000,
            },
            InvoiceFacts("FULL_DIGITAl_NORMAL", 10_600, 600, None, date(2022, 9, 9), None),
        ),
        (
            "train",
            {
                "E_税额": money("45.66"),
                "E_system_火车票_金额": money("553.00"),
                "E_system_火车票_乘车时间": 1554628380000,
                "E_system_火车票_乘车人姓名": "李*容",
            },
            InvoiceFacts("train", 55_300, 4_566, None, date(2019, 4, 7), True),
        ),
        (
            "passengerCar",
            {"E_system_客运汽车发票_金额": money("100.00"), "E_system_客运汽车发票_姓名": " "},
            InvoiceFacts("passengerCar", 10_000, None, None, None, False),
        ),
        (
            "passengerCar",
            {"E_system_客运汽车发票_金额": money("100.00")},
            InvoiceFacts("passengerCar", 10_000, None, None, None, None),
        ),
        (
            "medical",
            {"E_system_医疗发票_金额合计": money("60.10"), "E_system_医疗发票_开票日期": 1673798400000},
            InvoiceFacts("medical", 6_010, None, None, date(2023, 1, 16), None),
        ),
    ],
)
def test_fields_by_kind(kind: str, head: Json, expected: InvoiceFacts) -> None:
    assert facts(kind, head) == expected


@pytest.mark.parametrize("broken", [None, "6.00", {"standard": "six"}, {"standard": "1.005"}, {}])
def test_an_amount_that_cannot_be_read_is_not_known(broken: Any) -> None:
    found = facts("flightItinerary", VENDOR_ITINERARY | {"E_税额": broken, f"{AIR}民航发展基金": broken})
    assert found.tax is None
    assert found.exempt == (0 if broken is None else None)


@pytest.mark.parametrize("broken", [None, "", "soon", -1, True, 10**20])
def test_a_day_that_cannot_be_read_gives_way_to_the_next_field(broken: Any) -> None:
    found = facts("flightItinerary", VENDOR_ITINERARY | {f"{AIR}乘机时间": broken})
    assert found.occurred_on == date(2023, 3, 20)
    both = {f"{AIR}乘机时间": broken, f"{AIR}填开日期": broken}
    assert facts("flightItinerary", VENDOR_ITINERARY | both).occurred_on is None


def test_a_tenant_may_name_other_fields() -> None:
    head = VENDOR_ITINERARY | {
        f"{AIR}税费": money("12.00"),
        "E_增值税税额": money("99.08"),
        "E_出票日": 1672502400000,
        "E_实名": "是",
    }
    found = facts(
        "flightItinerary",
        head,
        invoice_tax_fields=["E_增值税税额"],
        invoice_exempt_fields=[f"{AIR}民航发展基金", f"{AIR}税费"],
        invoice_date_fields=["E_出票日"],
        invoice_name_fields=["E_实名"],
    )
    assert (found.tax, found.exempt, found.occurred_on, found.is_named) == (
        9_908,
        6_200,
        date(2023, 1, 1),
        True,
    )


def claim_of(known: Mapping[str, InvoiceFacts]) -> tuple[Any, Any]:
    """The first invoice and the first line of a claim of 50.00 on I1, for which the OA states 2.00 of tax."""
    held = {"type": "exist", "invoices": [{"invoiceId": "I1", "taxAmount": money("2.00")}]}
    payload = expense(line("50.00", invoiceForm=held), total="50.00")
    document = mapped(payload, "expense", mapping_context(known)).document
    return document.invoices[0], document.lines[0]


def test_a_claim_has_the_whole_invoices_tax_and_its_line_what_the_oa_states() -> None:
    whole = InvoiceFacts("train", 10_000, 826, 10, date(2025, 9, 30), True)
    claim, of_line = claim_of({"I1": whole})
    assert (claim.claimed, claim.total, claim.tax, claim.exempt) == (5_000, 10_000, 826, 10)
    assert (claim.kind, claim.occurred_on, claim.is_named) == ("train", date(2025, 9, 30), True)
    assert of_line.deductible_tax == 200


@pytest.mark.parametrize(
    "known", [{}, {"I1": InvoiceFacts("train", None, 826)}, {"I1": InvoiceFacts("train", 10_000)}]
)
def test_what_the_oa_states_stands_in_for_a_tax_that_the_pages_do_not_give(
    known: Mapping[str, InvoiceFacts],
) -> None:
    claim, of_line = claim_of(known)
    assert claim.tax == of_line.deductible_tax == 200


def test_what_the_invoice_pages_say_makes_no_new_revision() -> None:
    """They are read apart, and may be switched off or fail: a voucher that was sent must not look changed."""
    held = {"type": "exist", "invoices": [{"invoiceId": "I1", "taxAmount": money("2.00")}]}
    digests = {
        mapped(expense(line(invoiceForm=held)), "expense", mapping_context(known)).document.content_digest
        for known in ({}, {"I1": InvoiceFacts("train", 10_000, 826, 10, date(2025, 9, 30), True)})
    }
    assert len(digests) == 1


@pytest.mark.parametrize("field", ["E_税额", f"{AIR}民航发展基金"])
def test_an_amount_that_is_given_and_cannot_be_read_is_a_problem_of_the_line(field: str) -> None:
    known = {"I1": facts("flightItinerary", VENDOR_ITINERARY | {field: {"standard": "50.005"}})}
    held = {"type": "exist", "invoices": [{"invoiceId": "I1", "taxAmount": money("2.00")}]}
    payload = expense(line("50.00", invoiceForm=held), total="50.00")
    (problem,) = mapped(payload, "expense", mapping_context(known)).problems
    assert (problem.code, problem.line_no) == ("line.invoice.unreadable", 1)
    assert "I1" in problem.zh
