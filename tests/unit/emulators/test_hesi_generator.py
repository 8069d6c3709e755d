"""The generated company: deterministic, exact in its sums, and dirty exactly where it says so.

The sums are recomputed here from the JSON that clients get, with none of the generator's own arithmetic.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.emulators.hesi import World, generate_world
from include.emulators.hesi.clock import day_of
from include.emulators.hesi.generated.company import RATES, SPECIFICATIONS
from include.emulators.hesi.generated.defects import DEFECTS
from include.emulators.hesi.generated.invoicing import contained_tax
from include.emulators.hesi.generated.oddities import ODDITIES

Json = dict[str, Any]
CENT = Decimal("0.01")


@pytest.fixture(scope="module")
def world() -> World:
    return generate_world(3000, seed=11)


@pytest.fixture(scope="module")
def dirty() -> World:
    return generate_world(1500, seed=2, dirty_share=0.06)


def dec(amount: Json, key: str = "standard") -> Decimal:
    return Decimal(str(amount[key]))


def sound(world: World, form_type: str) -> list[Json]:
    """Rendered documents of a type that carry no defect."""
    return [
        world.render(document, detail=True)
        for document in world.documents.values()
        if document.form_type == form_type and world.truth[document.id].defect is None
    ]


def invoice_entries(form: Json) -> list[tuple[Json, Json]]:
    return [
        (line["feeTypeForm"], entry)
        for line in form["details"]
        for entry in line["feeTypeForm"].get("invoiceForm", {}).get("invoices", [])
    ]


def audit_claim(document: Json) -> None:
    form = document["form"]
    lines = [line["feeTypeForm"] for line in form["details"]]
    assert lines
    assert sum(dec(line["amount"]) for line in lines) == dec(form["expenseMoney"])
    assert dec(form["payMoney"]) == (
        dec(form["expenseMoney"]) - dec(form["writtenOffMoney"]) - dec(form["companyRealPay"])
    )
    assert dec(form["payMoney"]) >= 0
    written_off = sum((Decimal(record["amount"]) for record in form.get("writtenOffRecords", [])), Decimal())
    assert written_off == dec(form["writtenOffMoney"])
    assert len({line["detailId"] for line in lines}) == len(lines)
    for line in lines:
        amount = line["amount"]
        assert dec(amount) > 0
        if "foreign" in amount:
            product = dec(amount, "foreign") * Decimal(amount["rate"])
            assert dec(amount) == product.quantize(CENT, ROUND_HALF_UP)
        if "apportions" in line:
            parts = [part["apportionForm"] for part in line["apportions"]]
            assert sum(dec(part["apportionMoney"]) for part in parts) == dec(amount)
            assert sum(Decimal(part["apportionPercent"]) for part in parts) == 100
    for line, entry in invoice_entries(form):
        assert 0 <= dec(entry["taxAmount"]) < dec(line["amount"])


class TestDeterminism:
    def test_same_arguments_give_the_same_world(self) -> None:
        assert generate_world(150, seed=3).digest() == generate_world(150, seed=3).digest()

    @pytest.mark.parametrize(
        "other",
        [
            {"documents": 150, "seed": 4},
            {"documents": 151, "seed": 3},
            {"documents": 150, "seed": 3, "year": 2025},
            {"documents": 150, "seed": 3, "as_of": date(2026, 6, 30)},
            {"documents": 150, "seed": 3, "dirty_share": 0.2},
        ],
    )
    def test_another_argument_gives_another_world(self, other: dict[str, Any]) -> None:
        assert generate_world(150, seed=3).digest() != generate_world(**other).digest()

    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            ({"documents": 0, "seed": 1}, "documents must be at least 1"),
            ({"documents": 5, "seed": 1, "dirty_share": 1.5}, "between 0 and 1"),
            ({"documents": 5, "seed": 1, "as_of": date(2025, 1, 1)}, "not in 2026"),
        ],
    )
    def test_impossible_arguments_are_refused(self, wrong: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            generate_world(**wrong)


class TestSums:
    @settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(seed=st.integers(0, 2**32), documents=st.integers(1, 120))
    def test_every_sound_document_is_exact(self, seed: int, documents: int) -> None:
        world = generate_world(documents, seed)
        assert len(world.documents) == documents
        for document in sound(world, "expense"):
            audit_claim(document)
        for form in (document["form"] for document in sound(world, "loan")):
            assert form["loanMoney"] == form["payMoney"]
        for form in (document["form"] for document in sound(world, "receipt")):
            assert sum(dec(line["feeTypeForm"]["amount"]) for line in form["details"]) == dec(
                form["receiptMoney"]
            )

    def test_purchase_invoices_split_into_net_and_tax(self, world: World) -> None:
        forms = [document["form"] for document in sound(world, "custom")]
        invoices = [form for form in forms if "u_价税合计" in form]
        assert invoices
        for form in invoices:
            assert dec(form["u_不含税金额"]) + dec(form["u_可抵扣税额"]) == dec(form["u_价税合计"])
            assert dec(form["u_核销预付金额"]) <= dec(form["u_价税合计"])

    def test_no_loan_is_written_off_beyond_its_total(self, world: World) -> None:
        for loan in world.loans.values():
            state = world.loan_state(loan)
            assert state.repaid >= 0
            assert state.reserved >= 0
            assert state.repaid + state.reserved <= loan.total

    def test_an_invoice_is_claimed_up_to_its_total_by_sound_claims(self, world: World) -> None:
        claimed: dict[str, Decimal] = defaultdict(Decimal)
        tax: dict[str, Decimal] = defaultdict(Decimal)
        uses: Counter[str] = Counter()
        for document in sound(world, "expense"):
            for line, entry in invoice_entries(document["form"]):
                claimed[entry["invoiceId"]] += dec(line["amount"])
                tax[entry["invoiceId"]] += dec(entry["taxAmount"])
                uses[entry["invoiceId"]] += 1
        for identity, total in claimed.items():
            invoice = world.invoices[identity]
            assert total == Decimal(invoice.gross) / 100
            assert tax[identity] == Decimal(invoice.deductible) / 100
        assert max(uses.values()) == 2, "some invoices are split over two lines"


class TestTax:
    """The worked examples of the tax rules."""

    @pytest.mark.parametrize(
        ("gross", "rate", "tax"),
        [(55_300, 9, 4_566), (105_000, 9, 8_670), (10_000, 3, 291), (10_600, 6, 600)],
    )
    def test_tax_inside_a_gross_amount(self, gross: int, rate: int, tax: int) -> None:
        assert contained_tax(gross, rate) == tax

    def test_air_tickets_leave_the_aviation_fund_out(self, world: World) -> None:
        tickets = [item for item in world.invoices.values() if item.kind == "flightItinerary"]
        assert tickets
        for ticket in tickets:
            fare, fuel, fund = (ticket.extra[name] for name in ("fare", "fuel", "fund"))
            assert fare + fuel + fund == ticket.gross
            assert ticket.deductible == contained_tax(fare + fuel, 9)

    def test_nothing_is_deducted_for_catering_welfare_and_taxis(self, world: World) -> None:
        seen = Counter()
        for document in sound(world, "expense"):
            for line in document["form"]["details"]:
                code = line["feeType"]["code"]
                for entry in line["feeTypeForm"]["invoiceForm"].get("invoices", []):
                    if code in {"COST30", "COST60", "COST21"}:
                        seen[code] += 1
                        assert dec(entry["taxAmount"]) == 0
        assert set(seen) == {"COST30", "COST60", "COST21"}

    def test_invoice_kinds_are_many(self, world: World) -> None:
        kinds = {item.kind for item in world.invoices.values()}
        categories = {item.category for item in world.invoices.values()}
        assert {"invoice", "train", "flightItinerary", "taxi", "passengerCar", "tolls", "fixed"} <= kinds
        assert {
            "FULL_DIGITAl_SPECIAL",
            "FULL_DIGITAl_NORMAL",
            "DIGITAL_NORMAL",
            "PAPER_SPECIAL",
            "PAPER_FEE",
        } <= (categories)


class TestShape:
    def test_the_mix_of_documents(self, world: World) -> None:
        shares = {
            form_type: count / len(world.documents)
            for form_type, count in Counter(item.form_type for item in world.documents.values()).items()
        }
        assert shares == pytest.approx(
            {
                "expense": 0.65,
                "loan": 0.06,
                "payment": 0.10,
                "requisition": 0.08,
                "custom": 0.08,
                "receipt": 0.03,
            },
            abs=0.005,
        )

    def test_every_template_and_state_occurs(self, world: World) -> None:
        templates = {item.specification_id for item in world.documents.values()}
        assert templates == set(SPECIFICATIONS.values())
        states = {item.state for item in world.documents.values()}
        assert states >= {
            "draft",
            "approving",
            "rejected",
            "paying",
            "PROCESSING",
            "paid",
            "archived",
            "nullify",
        }
        assert any(not item.active for item in world.documents.values())

    def test_paid_by_a_cashier_and_left_payable_are_told_apart(self, world: World) -> None:
        for document in sound(world, "expense"):
            form = document["form"]
            keys = {"payDate", "paymentChannel", "paymentAccountId"} & form.keys()
            assert keys in (set(), {"payDate", "paymentChannel", "paymentAccountId"})
            assert not keys or document["state"] in {"paid", "archived"}
        open_payables = [
            document
            for document in sound(world, "expense")
            if document["state"] == "paid"
            and "payDate" not in document["form"]
            and dec(document["form"]["payMoney"])
        ]
        assert open_payables

    def test_write_offs_are_full_partial_and_over(self, world: World) -> None:
        seen = set()
        for document in sound(world, "expense"):
            form = document["form"]
            for record in form.get("writtenOffRecords", []):
                loan = Decimal(world.loans[record["loanId"]].total) / 100
                amount = Decimal(record["amount"])
                if dec(form["payMoney"]) + dec(form["companyRealPay"]):
                    seen.add("claim above loan")
                elif amount < loan:
                    seen.add("claim below loan")
                else:
                    seen.add("claim equals loan")
        assert {"claim above loan", "claim below loan"} <= seen

    def test_foreign_currencies_occur(self, world: World) -> None:
        seen = {
            line["feeTypeForm"]["amount"]["foreignStrCode"]
            for document in sound(world, "expense")
            for line in document["form"]["details"]
            if "foreign" in line["feeTypeForm"]["amount"]
        }
        assert seen == set(RATES)

    def test_amounts_come_in_all_documented_shapes(self, world: World) -> None:
        values, scales = set(), set()
        for document in sound(world, "expense"):
            form = document["form"]
            for amount in [
                form["expenseMoney"],
                *(line["feeTypeForm"]["amount"] for line in form["details"]),
            ]:
                values.add(type(amount["standard"]))
                scales.add(type(amount["standardScale"]))
        assert values == {str, int, float}
        assert scales == {str, int}

    def test_lines_have_invoices_of_every_standing(self, world: World) -> None:
        seen = {
            line["feeTypeForm"]["invoiceForm"]["type"]
            for document in sound(world, "expense")
            for line in document["form"]["details"]
        }
        assert seen == {"exist", "noExist", "noWrite", "wait", "unify"}

    def test_every_oddity_occurs(self, dirty: World) -> None:
        assert {truth.oddity for truth in dirty.truth.values()} - {None} == set(ODDITIES)

    def test_shares_may_be_negative(self, dirty: World) -> None:
        negative = [key for key, truth in dirty.truth.items() if truth.oddity == "negative_share"]
        percents = [
            Decimal(part["apportionForm"]["apportionPercent"])
            for key in negative
            for line in dirty.render(dirty.documents[key], detail=True)["form"]["details"]
            for part in line["feeTypeForm"].get("apportions", [])
        ]
        assert min(percents) == -20

    def test_history_ends_in_the_documents_state(self, world: World) -> None:
        for document in world.documents.values():
            logs = world.render(document, detail=True)["logs"]
            assert [entry["time"] for entry in logs] == sorted(entry["time"] for entry in logs)
            if document.state in {"archived", "PROCESSING"}:
                continue  # these two are no approval actions
            assert (logs[-1]["state"] if logs else "draft") == document.state

    def test_nothing_happens_after_the_last_day(self) -> None:
        world = generate_world(400, seed=5, as_of=date(2026, 3, 31))
        assert max(day_of(item.update_time) for item in world.documents.values()) <= date(2026, 3, 31)
        assert any(item.state == "approving" for item in world.documents.values())

    def test_purchases_go_from_order_to_invoice_in_order_of_time(self, world: World) -> None:
        checked = 0
        for document in sound(world, "custom"):
            form = document["form"]
            if "u_入库单" in form:
                order, receipt = world.documents[form["u_采购订单"]], world.documents[form["u_入库单"]]
                assert order.update_time < receipt.create_time < document["createTime"]
                checked += 1
        assert checked


class TestTruth:
    def test_every_defect_occurs_and_the_share_is_kept(self, dirty: World) -> None:
        spoilt = {flow_id: truth for flow_id, truth in dirty.truth.items() if truth.defect}
        approved = [document for document in dirty.documents.values() if document.is_approved]
        assert {truth.defect for truth in spoilt.values()} == set(DEFECTS)
        assert len(spoilt) == round(0.06 * len(approved))
        assert all(dirty.documents[flow_id].is_approved for flow_id in spoilt)

    def test_a_clean_world_has_no_defect(self) -> None:
        world = generate_world(300, seed=2, dirty_share=0)
        assert not [truth for truth in world.truth.values() if truth.defect]

    def test_vouchers_are_expected_for_sound_approved_spending_alone(self, world: World) -> None:
        for document in world.documents.values():
            truth = world.truth[document.id]
            template = document.specification_id.partition(":")[0]
            commits_only = template in {"SPEC_REQUISITION", "SPEC_PO"}
            wanted = document.is_approved and truth.defect is None and not commits_only
            assert truth.voucher_expected == wanted

    def test_truth_never_reaches_a_client(self, world: World) -> None:
        for flow_id, truth in world.truth.items():
            if truth.defect:
                assert truth.defect not in str(world.render(world.documents[flow_id], detail=True))

    def test_the_counterpart_of_a_pair_is_older_and_sound(self, dirty: World) -> None:
        pairs = [(key, item) for key, item in dirty.truth.items() if item.defect and item.counterpart]
        assert {item.defect for _, item in pairs} == {"duplicate_code", "invoice_overused"}
        for flow_id, truth in pairs:
            elder = dirty.truth[truth.counterpart or ""]
            assert elder.defect is None
            assert elder.voucher_expected
            assert dirty.documents[truth.counterpart or ""].create_time < dirty.documents[flow_id].create_time

    def test_an_overused_invoice_is_claimed_beyond_its_total(self, dirty: World) -> None:
        overused = [key for key, item in dirty.truth.items() if item.defect == "invoice_overused"]
        assert overused
        for flow_id in overused:
            elder = dirty.truth[flow_id].counterpart
            claimed: dict[str, Decimal] = defaultdict(Decimal)
            for key in (flow_id, elder):
                for line, entry in invoice_entries(
                    dirty.render(dirty.documents[key or ""], detail=True)["form"]
                ):
                    claimed[entry["invoiceId"]] += dec(line["amount"])
            assert any(total > Decimal(dirty.invoices[key].gross) / 100 for key, total in claimed.items())
