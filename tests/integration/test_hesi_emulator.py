"""The emulator over HTTP: log-in, documents, write-back and logs, each peculiarity as a client meets it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import requests

from include.emulators.hesi import (
    ADMIN_KEY,
    APP_KEY,
    APP_SECRET,
    EmulatorClock,
    Faults,
    generate_world,
    running,
)
from include.emulators.hesi.clock import text_of
from include.emulators.hesi.model import Document
from tests.integration.hesi_client import (
    DETAIL,
    LIST,
    NOW,
    TIMEOUT_S,
    TWO_HOURS_MS,
    VOUCHER,
    Client,
    Json,
    documents,
    error_of,
)


class TestAuthorisation:
    def test_a_wrong_secret_is_403_with_the_old_spelling_of_details(self, shared: Client) -> None:
        response = shared.login(secret="wrong")
        assert error_of(response) == (403, "密钥无效")
        assert response.json() == {"errorCode": 403, "errorMessage": "密钥无效", "errorDetail": None}

    def test_key_and_secret_in_the_query_do_not_count(self, shared: Client) -> None:
        response = shared.call(
            "POST", "/api/openapi/v1/auth/getAccessToken", appKey=APP_KEY, appSecurity=APP_SECRET
        )
        assert response.status_code == 403

    def test_a_token_says_when_it_expires_and_then_does(self, fresh: Client) -> None:
        value = fresh.login().json()["value"]
        assert value["expireTime"] == NOW + TWO_HOURS_MS
        assert value["corporationId"] == fresh.world.catalog.corporation_id
        fresh.token = value["accessToken"]
        fresh.world.clock.advance(TWO_HOURS_MS - 1)
        fresh.get(LIST, type="expense", start=0, count=1)
        fresh.world.clock.advance(1)
        response = fresh.call("GET", LIST, type="expense", start=0, count=1)
        assert error_of(response) == (403, "未授权")
        assert "errorDetails" in response.json()

    def test_no_token_is_403(self, shared: Client) -> None:
        assert requests.get(shared.url + LIST, timeout=TIMEOUT_S).status_code == 403

    def test_a_refresh_changes_both_tokens_for_32_days(self, fresh: Client) -> None:
        old = fresh.login().json()["value"]
        path = "/api/openapi/v2/auth/refreshToken"
        query = {
            "accessToken": old["accessToken"],
            "refreshToken": old["refreshToken"],
            "powerCode": "219904",
        }
        new = fresh.call("POST", path, **query).json()["value"]
        assert new["accessToken"] != old["accessToken"]
        assert new["refreshToken"] != old["refreshToken"]
        assert new["expireTime"] == NOW + 32 * 24 * 3_600_000
        fresh.token = old["accessToken"]
        assert fresh.call("GET", LIST, type="loan", start=0, count=1).status_code == 403
        fresh.token = new["accessToken"]
        fresh.get(LIST, type="loan", start=0, count=1)

    def test_an_expired_token_cannot_be_refreshed(self, fresh: Client) -> None:
        old = fresh.login().json()["value"]
        fresh.world.clock.advance(TWO_HOURS_MS)
        query = {
            "accessToken": old["accessToken"],
            "refreshToken": old["refreshToken"],
            "powerCode": "219904",
        }
        assert fresh.call("POST", "/api/openapi/v2/auth/refreshToken", **query).status_code == 403

    def test_the_address_is_asked_for_without_a_token(self, shared: Client) -> None:
        response = requests.get(
            f"{shared.url}/api/openapi/v2/location", params={"corpId": "x"}, timeout=TIMEOUT_S
        )
        assert response.json() == {"value": f"{shared.url}/"}

    def test_the_old_bug_refuses_a_token_right_after_issue(self) -> None:
        world = generate_world(5, seed=1, clock=EmulatorClock(NOW))
        with running(world, faults=Faults(token_unready_ms=500)) as url:
            client = Client(url, world)
            client.token = client.login().json()["value"]["accessToken"]
            assert client.call("GET", LIST, type="loan", start=0, count=1).status_code == 403
            world.clock.advance(500)
            assert client.call("GET", LIST, type="loan", start=0, count=1).status_code == 200
            client.session.close()


class TestList:
    def test_pages_join_to_the_whole_without_gap_or_repeat(self, shared: Client) -> None:
        items = shared.list_all(type="expense", orderBy="updateTime", orderByType="asc")
        wanted = {item.id for item in shared.world.documents.values() if item.form_type == "expense"}
        assert len(items) == len(wanted)
        assert {item["id"] for item in items} == wanted
        times = [item["updateTime"] for item in items]
        assert times == sorted(times)

    def test_without_order_the_newest_created_come_first(self, shared: Client) -> None:
        times = [item["createTime"] for item in shared.get(LIST, type="payment", start=0, count=50)["items"]]
        assert times == sorted(times, reverse=True)

    @pytest.mark.parametrize(
        ("params", "message"),
        [
            ({"start": 0, "count": 10}, "缺少type参数"),
            ({"type": "corpPayment", "start": 0, "count": 10}, "参数type无法识别"),
            ({"type": "expense", "count": 10}, "缺少start参数"),
            ({"type": "expense", "start": 0}, "缺少count参数"),
            ({"type": "expense", "start": 0, "count": 0}, "count"),
            ({"type": "expense", "start": 0, "count": 101}, "count"),
            ({"type": "expense", "start": -1, "count": 10}, "start"),
            ({"type": "expense", "start": "x", "count": 10}, "start"),
            ({"type": "expense", "start": 0, "count": 10, "startDate": "2026-01-01"}, "日期格式错误"),
        ],
    )
    def test_bad_parameters_are_400(self, shared: Client, params: Json, message: str) -> None:
        status, text = error_of(shared.call("GET", LIST, **params))
        assert status == 400
        assert message in text

    def test_beyond_the_end_the_page_is_empty_and_the_count_stays(self, shared: Client) -> None:
        page = shared.get(LIST, type="loan", start=100_000, count=100)
        assert page["items"] == []
        assert page["count"] == sum(item.form_type == "loan" for item in shared.world.documents.values())

    def test_nothing_found_is_an_empty_list(self, shared: Client) -> None:
        assert shared.get(LIST, type="permit", start=0, count=10) == {"count": 0, "items": []}

    def test_processing_comes_inside_paying_and_never_by_name(self, shared: Client) -> None:
        states = {item["state"] for item in shared.list_all(type="expense", state="paying", active="true")}
        assert states == {"paying", "PROCESSING"}
        assert shared.get(LIST, type="expense", state="PROCESSING", start=0, count=10) == {
            "count": 0,
            "items": [],
        }

    def test_states_are_a_comma_list(self, shared: Client) -> None:
        items = shared.list_all(type="expense", state="draft,rejected")
        assert {item["state"] for item in items} == {"draft", "rejected"}

    def test_active_has_three_ways(self, shared: Client) -> None:
        every = shared.list_all(type="expense")
        alive = shared.list_all(type="expense", active="true")
        deleted = shared.list_all(type="expense", active="whatever")
        assert {item["active"] for item in alive} == {True}
        assert {item["active"] for item in deleted} == {False}
        assert len(every) == len(alive) + len(deleted)
        assert shared.list_all(type="expense", active="") == deleted

    def test_templates_are_named_without_minor_version(self, shared: Client) -> None:
        items = shared.list_all(type="custom", specificationId="SPEC_PO,SPEC_GOODS_RECEIPT")
        assert {item["form"]["specificationId"].partition(":")[0] for item in items} == {
            "SPEC_PO",
            "SPEC_GOODS_RECEIPT",
        }
        full = items[0]["form"]["specificationId"]
        assert shared.get(LIST, type="custom", specificationId=full, start=0, count=10)["count"] == 0

    def test_one_owner(self, shared: Client) -> None:
        owner = documents(shared, "expense")[0].owner_id
        assert {item["ownerId"] for item in shared.list_all(type="expense", uid=owner)} == {owner}

    def test_dates_cut_the_order_field_to_the_second(self, shared: Client) -> None:
        document = next(item for item in documents(shared, "expense") if item.update_time % 1000)
        second = text_of(document.update_time)
        following = text_of(document.update_time + 1000)
        found = shared.list_all(type="expense", orderBy="updateTime", startDate=second, endDate=following)
        assert document.id in {item["id"] for item in found}
        # The bound is a whole second: what came milliseconds later lies outside of it.
        found = shared.list_all(type="expense", orderBy="updateTime", endDate=second)
        assert document.id not in {item["id"] for item in found}

    def test_drafts_have_no_submission_to_be_found_by(self, shared: Client) -> None:
        found = shared.list_all(type="expense", orderBy="submitDate", startDate="2000-01-01 00:00:00")
        assert found
        assert "draft" not in {item["state"] for item in found}

    def test_ordering_by_payment_needs_a_date(self, shared: Client) -> None:
        without = shared.list_all(type="expense", orderBy="payDate")
        assert without == shared.list_all(type="expense")
        found = shared.list_all(
            type="expense", orderBy="payDate", orderByType="asc", startDate="2026-01-01 00:00:00"
        )
        assert 0 < len(found) < len(without)
        assert {item["state"] for item in found} <= {"paid", "archived", "frozen"}
        times = [item["form"]["payDate"] for item in found if isinstance(item["form"], dict)]
        assert times == sorted(times)

    def test_the_list_leaves_out_what_the_detail_shows(self, shared: Client) -> None:
        document = next(
            item
            for item in documents(shared, "expense")
            if "expenseLink" in shared.get(DETAIL, flowId=item.id)["value"]["form"]
        )
        detail = shared.get(DETAIL, flowId=document.id)["value"]
        listed = next(item for item in shared.list_all(type="expense") if item["id"] == document.id)
        assert "feeType" in detail["form"]["details"][0]
        assert "expenseLink" not in listed["form"]
        assert all("feeType" not in line for line in listed["form"]["details"])
        assert "invoiceConfirm" not in str(listed)
        assert listed["form"]["expenseMoney"] == detail["form"]["expenseMoney"]

    def test_an_edit_between_pages_moves_a_document_to_the_end(self, fresh: Client) -> None:
        query = {"type": "expense", "orderBy": "updateTime", "orderByType": "asc", "count": 20}
        before = [replace(item) for item in fresh.world.documents.values() if item.form_type == "expense"]
        first = fresh.get(LIST, start=0, **query)["items"]
        fresh.world.change("edit", first[0]["id"], fields={"title": "改"})
        second = fresh.get(LIST, start=20, **query)["items"]
        # The offset has moved under the client: one document is on neither page.
        whole = [item.id for item in sorted(before, key=lambda item: (item.update_time, item.id))]
        assert whole[20] not in {item["id"] for item in first + second}
        last = fresh.list_all(type="expense", orderBy="updateTime", orderByType="asc")[-1]
        assert last["id"] == first[0]["id"]


class TestDetail:
    def test_unknown_and_deleted_documents_are_412(self, shared: Client) -> None:
        assert error_of(shared.call("GET", DETAIL, flowId="nope")) == (412, "单据不存在")
        deleted = next(item for item in shared.world.documents.values() if not item.active)
        assert error_of(shared.call("GET", DETAIL, flowId=deleted.id)) == (412, "单据已删除")
        assert error_of(shared.call("GET", f"{DETAIL}/byCode", code=deleted.code)) == (412, "单据已删除")
        assert error_of(shared.call("GET", f"{DETAIL}/byCode", code="nope")) == (412, "单据不存在")

    def test_by_code_and_by_id_are_the_same(self, shared: Client) -> None:
        document = documents(shared, "loan", "paid")[0]
        assert shared.get(f"{DETAIL}/byCode", code=document.code) == shared.get(DETAIL, flowId=document.id)

    def test_custom_and_receipt_forms_carry_no_voucher_fields(self, shared: Client) -> None:
        for form_type in ("custom", "receipt"):
            form = shared.get(DETAIL, flowId=documents(shared, form_type)[0].id)["value"]["form"]
            assert not [name for name in form if name.startswith("voucher")]
        for form_type in ("expense", "loan", "payment", "requisition"):
            form = shared.get(DETAIL, flowId=documents(shared, form_type)[0].id)["value"]["form"]
            assert (form["voucherNo"], form["voucherStatus"], form["voucherCreateTime"]) == ("", "未生成", 0)


def entry(flow_id: str, number: str = "记-0001") -> Json:
    return {
        "flowId": flow_id,
        "voucherNo": number,
        "voucherCreateTime": "1767225600000",
        "fiscalPeriod": "2026-01",
    }


class TestWriteBack:
    def form(self, client: Client, document: Document) -> Json:
        form: Json = client.get(DETAIL, flowId=document.id)["value"]["form"]
        return form

    def test_a_number_is_written_read_back_and_cleared(self, fresh: Client) -> None:
        document = documents(fresh, "expense", "paid")[0]
        before = fresh.get(DETAIL, flowId=document.id)["value"]
        response = fresh.call("PUT", VOUCHER, {"voucher": [entry(document.id)]})
        assert response.json() == {"value": True}
        after = fresh.get(DETAIL, flowId=document.id)["value"]
        form = after["form"]
        assert (form["voucherNo"], form["voucherCreateTime"]) == ("记-0001", 1767225600000)
        assert form["voucherStatus"] != "未生成"
        assert after["updateTime"] > before["updateTime"], "our own write moves updateTime like any edit"
        fresh.call("PUT", VOUCHER, {"voucher": [entry(document.id, "")]})
        form = self.form(fresh, document)
        assert (form["voucherNo"], form["voucherStatus"], form["voucherCreateTime"]) == ("", "未生成", 0)

    def test_one_bad_document_spoils_the_call(self, fresh: Client) -> None:
        good = documents(fresh, "expense", "paid")[0]
        archived = documents(fresh, "expense", "archived")[0]
        response = fresh.call("PUT", VOUCHER, {"voucher": [entry(good.id), entry(archived.id)]})
        assert error_of(response) == (
            400,
            f"单据Id:[[{archived.id}]]的单据不是已支付状态，不能回写单据凭证，请检查",
        )
        assert self.form(fresh, good)["voucherNo"] == ""
        response = fresh.call("PUT", VOUCHER, {"voucher": [entry(good.id), entry("ID_NONE")]})
        assert error_of(response) == (412, "不存在此单据[ID_NONE]")
        assert self.form(fresh, good)["voucherNo"] == ""

    def test_a_receipt_takes_a_number_but_does_not_show_it(self, fresh: Client) -> None:
        document = documents(fresh, "receipt", "paid")[0]
        assert fresh.call("PUT", VOUCHER, {"voucher": [entry(document.id)]}).status_code == 200
        assert "voucherNo" not in self.form(fresh, document)
        assert document.voucher_no == "记-0001"

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            ({"voucher": []}, 400),
            ({}, 400),
            ({"voucher": [{"flowId": "x", "voucherNo": "1"}]}, 400),
            ({"voucher": [{"flowId": "x", "voucherCreateTime": "1"}]}, 400),
            ({"voucher": ["x"]}, 412),
            ([], 412),
        ],
    )
    def test_malformed_bodies(self, fresh: Client, body: object, status: int) -> None:
        assert fresh.call("PUT", VOUCHER, body).status_code == status


class TestOutboundLogs:
    PATH = "/api/openapi/v1/outboundMessageLogs"

    def test_approval_messages_have_to_be_asked_for(self, shared: Client) -> None:
        span = {"startDate": 0, "endDate": NOW * 2}
        default = shared.get(self.PATH, **span)["items"]
        approvals = shared.get(self.PATH, messageType="message", **span)["items"]
        assert {item["messageType"] for item in default} <= {"flow"}
        assert {item["messageType"] for item in approvals} == {"message"}
        assert {item["flowId"] for item in approvals} <= shared.world.documents.keys()
        assert shared.get(self.PATH, messageType="message", startDate=0, endDate=1) == {"items": []}

    @pytest.mark.parametrize("missing", ["startDate", "endDate"])
    def test_both_dates_are_mandatory(self, shared: Client, missing: str) -> None:
        span = {"startDate": 0, "endDate": 1}
        del span[missing]
        assert error_of(shared.call("GET", self.PATH, **span)) == (400, f"输入存在错误:\n- 缺少{missing}参数")


class TestControls:
    def test_they_need_their_own_key(self, fresh: Client) -> None:
        for headers in ({}, {"X-Emulator-Key": "wrong"}):
            response = requests.get(f"{fresh.url}/__emulator__/counts", headers=headers, timeout=TIMEOUT_S)
            assert response.status_code == 403

    def test_without_a_key_they_do_not_exist(self) -> None:
        with running(generate_world(3, seed=1), admin_key=None) as url:
            response = requests.get(
                f"{url}/__emulator__/counts", headers={"X-Emulator-Key": ""}, timeout=TIMEOUT_S
            )
            assert response.status_code == 404

    def test_clock_changes_and_counts(self, fresh: Client) -> None:
        headers = {"X-Emulator-Key": ADMIN_KEY}
        base = f"{fresh.url}/__emulator__"
        stepped = requests.post(
            f"{base}/clock", json={"advance_ms": 5}, headers=headers, timeout=TIMEOUT_S
        ).json()
        assert stepped == {"now_ms": NOW + 5}
        document = documents(fresh, "expense", "approving")[0]
        path = f"{base}/documents/{document.id}/approve"
        changed = requests.post(path, json={"pay": True}, headers=headers, timeout=TIMEOUT_S).json()
        assert changed["state"] == "paid"
        assert fresh.get(DETAIL, flowId=document.id)["value"]["updateTime"] == NOW + 5
        again = requests.post(path, headers=headers, timeout=TIMEOUT_S)
        assert again.status_code == 409
        counts = requests.get(f"{base}/counts", headers=headers, timeout=TIMEOUT_S).json()
        assert sum(counts["documents"].values()) == len(fresh.world.documents)
        assert counts["requests"][DETAIL] == 1

    def test_no_documentation_pages(self, shared: Client) -> None:
        for path in ("/docs", "/redoc", "/openapi.json", "/"):
            assert requests.get(shared.url + path, timeout=TIMEOUT_S).status_code == 404
