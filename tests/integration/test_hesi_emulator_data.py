"""The emulator over HTTP: master data, loans and invoices."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.integration.hesi_client import (
    DETAIL,
    Client,
    Json,
    documents,
    error_of,
)


class TestMasterData:
    def test_departments_come_in_pages_with_times_as_text(self, shared: Client) -> None:
        path = "/api/openapi/v1/departments"
        first, rest = shared.get(path, start=0, count=5), shared.get(path, start=5, count=100)
        assert first["count"] == len(first["items"]) + len(rest["items"])
        assert first["items"][0]["updateTime"] == "2025-12-01 00:00:00"
        assert error_of(shared.call("GET", path, start=0))[0] == 400

    def test_staff_by_activity(self, fresh: Client) -> None:
        staff = fresh.world.catalog.staffs[5]
        staff["active"] = False
        path = "/api/openapi/v1.1/staffs"
        assert [item["id"] for item in fresh.get(path, start=0, count=100, active="")["items"]] == [
            staff["id"]
        ]
        assert (
            fresh.get(path, start=0, count=100, active="true")["count"] == len(fresh.world.catalog.staffs) - 1
        )
        body = {"type": "STAFFID", "conditionIds": [staff["id"], fresh.world.catalog.staffs[6]["id"]]}
        found = fresh.call("POST", "/api/openapi/v1/staffs/getStaffIds", body).json()["items"]
        assert [item["id"] for item in found] == [fresh.world.catalog.staffs[6]["id"]]

    @pytest.mark.parametrize(
        ("body", "message"),
        [
            ({"type": "STAFFID", "conditionIds": []}, "查询conditionIds不能为空"),
            ({"type": "STAFFID", "conditionIds": ["x"] * 101}, "100"),
            ({"type": "NAME", "conditionIds": ["x"]}, "不支持此类型type=NAME"),
        ],
    )
    def test_staff_lookups_that_cannot_be(self, shared: Client, body: Json, message: str) -> None:
        status, text = error_of(shared.call("POST", "/api/openapi/v1/staffs/getStaffIds", body))
        assert status == 400
        assert message in text

    def test_fee_types_and_accounts_come_whole(self, shared: Client) -> None:
        assert set(shared.get("/api/openapi/v1/feeTypes", start=0, count=1)) == {"items"}
        assert len(shared.get("/api/openapi/v1/feeTypes")["items"]) > 15
        assert len(shared.get("/api/openapi/v1/paymentAccounts")["items"]) == 3

    def test_a_wrong_dimension_is_400_with_an_empty_list(self, shared: Client) -> None:
        path = "/api/openapi/v1/dimensions/items"
        response = shared.call("GET", path, start=0, count=10, dimensionId="nope")
        assert (response.status_code, response.json()) == (400, {"count": 0, "items": []})
        response = shared.call("GET", path, start=0, count=10, startDate="2026/01/01")
        assert (response.status_code, response.json()) == (400, {"count": 0, "items": []})

    def test_dimension_items_by_dimension(self, shared: Client) -> None:
        dimensions = {
            item["name"]: item["id"]
            for item in shared.get("/api/openapi/v1/dimensions", start=0, count=100)["items"]
        }
        assert set(dimensions) == {"法人实体", "项目", "供应商", "物料类别"}
        query = {"start": 0, "count": 100, "dimensionId": dimensions["法人实体"]}
        entities = shared.get("/api/openapi/v1/dimensions/items", **query)["items"]
        assert [(item["code"], item["name"]) for item in entities] == [("E01", "示例科技（上海）有限公司")]

    def test_payees_need_their_three_names_even_if_empty(self, shared: Client) -> None:
        path = "/api/openapi/v2.1/payeeInfos"
        response = shared.call("GET", path, start=0, count=10, ids="")
        assert (response.status_code, response.text) == (404, "Error 404 Not Found")
        empty = {"ids": "", "names": "", "cardNos": ""}
        page = shared.get(path, start=0, count=10, **empty)
        assert page["count"] == len(shared.world.catalog.payees)
        assert isinstance(page["items"][0]["updateTime"], int)
        two = ",".join(item["id"] for item in page["items"][:2])
        assert shared.get(path, start=0, count=10, **{**empty, "ids": two, "names": "nobody"})["count"] == 2
        assert shared.get(path, start=0, count=10, active="false", **empty)["count"] == 0

    def test_currencies(self, shared: Client) -> None:
        [group] = shared.get("/api/openapi/v2.1/currency")["items"]
        assert group["orgCode"] == "CNY"
        assert {item["strCode"]: item["scale"] for item in group["currInfos"]}["JPY"] == 0


class TestLoans:
    def test_a_loan_record_stands_behind_a_dollar_sign(self, shared: Client) -> None:
        loan = next(
            item
            for item in shared.world.loans.values()
            if shared.world.documents[item.flow_id].state == "paid" and shared.world.loan_state(item).repaid
        )
        value = shared.get(f"/api/openapi/v1/loans/getLoanInfoByFlowId/${loan.flow_id}")["value"]
        total = Decimal(str(value["total"]))
        assert total == Decimal(loan.total) / 100
        assert total - Decimal(str(value["repayment"])) == Decimal(str(value["remain"]))
        assert value["state"] == ("PAID" if value["remain"] == 0 else "REPAID")
        response = shared.call("GET", f"/api/openapi/v1/loans/getLoanInfoByFlowId/{loan.flow_id}")
        assert response.status_code == 400

    def test_a_loan_not_yet_through_has_no_record(self, shared: Client) -> None:
        loan = next(
            item
            for item in shared.world.loans.values()
            if shared.world.documents[item.flow_id].state == "rejected"
        )
        response = shared.call("GET", f"/api/openapi/v1/loans/getLoanInfoByFlowId/${loan.flow_id}")
        assert error_of(response) == (400, f"根据借款单Id:{loan.flow_id}, 获取不到对应的借款包,请核查")

    def test_repayment_records_by_a_bracketed_list(self, shared: Client) -> None:
        records = list(shared.world.repayments.values())[:2]
        path = f"/api/openapi/v1/loan/repaymentRecord/[{records[0].id},{records[1].id},nope]"
        items = shared.get(path)["items"]
        assert [item["id"] for item in items] == [record.id for record in records]
        assert Decimal(str(items[0]["amount"])) == Decimal(records[0].amount) / 100
        assert shared.get("/api/openapi/v1/loan/repaymentRecord/[nope]") == {"items": []}


class TestInvoices:
    FLOW = "/api/openapi/v2/extension/flow/INVOICE/search"
    OBJECT = "/api/openapi/v2/extension/INVOICE/object"

    def test_from_document_to_invoice_to_lines(self, shared: Client) -> None:
        document = next(
            item
            for item in documents(shared, "expense", "paid")
            if "FULL_DIGITAl_SPECIAL"
            in {
                shared.world.invoices[entry["invoiceId"]].category
                for line in shared.get(DETAIL, flowId=item.id)["value"]["form"]["details"]
                for entry in line["feeTypeForm"]["invoiceForm"].get("invoices", [])
            }
        )
        body = {"type": "code", "codeOrIds": [document.code, "nope"]}
        value = shared.call("POST", self.FLOW, body).json()["value"]
        assert list(value) == [document.code]
        vat = [item for item in value[document.code] if item["invoiceType"] == "invoice"]
        found = shared.call(
            "POST", f"{self.OBJECT}/invoice/search", {"ids": [item["invoiceId"] for item in vat]}
        ).json()
        assert found["count"] == len(vat)
        head = next(
            item for item in found["items"] if item["E_system_发票主体_发票类别"] == "FULL_DIGITAl_SPECIAL"
        )
        net, tax, gross = (
            Decimal(head[f"E_system_发票主体_{name}"]["standard"])
            for name in ("发票金额", "税额", "价税合计")
        )
        assert net + tax == gross
        lines = shared.call("POST", f"{self.OBJECT}/invoice/{head['id']}/detail").json()["items"]
        assert sum(Decimal(line["E_system_发票明细_税额"]["standard"]) for line in lines) == tax
        batch = shared.call(
            "POST", f"{self.OBJECT}/invoice/detailBatch", {"invoiceIds": [head["id"], "nope"]}
        )
        assert batch.json()["items"] == lines

    @pytest.mark.parametrize("kind", ["train", "flightItinerary", "taxi", "passengerCar"])
    def test_tickets_by_type_and_page(self, shared: Client, kind: str) -> None:
        first = shared.call("POST", f"{self.OBJECT}/{kind}/search", {"index": 1, "count": 2}).json()
        second = shared.call("POST", f"{self.OBJECT}/{kind}/search", {"index": 3, "count": 2}).json()
        assert (
            first["count"]
            == second["count"]
            == sum(item.kind == kind for item in shared.world.invoices.values())
        )
        assert not {item["id"] for item in first["items"]} & {item["id"] for item in second["items"]}

    @pytest.mark.parametrize(
        ("kind", "body", "message"),
        [
            ("bus", {"ids": ["x"]}, "不支持的业务对象「bus」"),
            ("invoice", {}, "查询参数不能为空!!!"),
            ("invoice", None, "查询参数不能为空!!!"),
            ("invoice", {"index": 0, "count": 10}, "index从1开始"),
            ("invoice", {"ids": [None]}, "ids"),
        ],
    )
    def test_searches_that_cannot_be(
        self, shared: Client, kind: str, body: Json | None, message: str
    ) -> None:
        status, text = error_of(shared.call("POST", f"{self.OBJECT}/{kind}/search", body))
        assert status == 400
        assert message in text

    def test_an_unknown_way_to_ask_for_a_documents_invoices(self, shared: Client) -> None:
        assert error_of(shared.call("POST", self.FLOW, {"type": "name", "codeOrIds": []})) == (
            400,
            "不支持此类型type=name",
        )
