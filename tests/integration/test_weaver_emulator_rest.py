"""E9's REST interface by plain requests: tokens, lists, requests, write-back, each peculiarity as a client meets it."""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import date

import pytest

from include.emulators.weaver import APP_ID, INTEGRATION_USER
from tests.integration.weaver_client import PA, Client, rest_fields
from tests.integration.weaver_fixtures import fresh, installation, shared

__all__ = ["fresh", "shared"]
installed = contextmanager(installation)
EXPIRED = "token不存在或者超时"
MAIN = [{"fieldName": "sqr", "fieldValue": "100"}, {"fieldName": "sqbm", "fieldValue": "11"}]


class TestTokens:
    def test_a_registered_application_gets_secret_and_key(self, shared: Client) -> None:
        answer = shared.regist()
        assert answer["status"] is True
        assert answer["code"] == 0
        assert answer["secrit"]  # the product's spelling
        assert "secret" not in answer

    def test_an_unknown_application_is_refused_with_http_200(self, shared: Client) -> None:
        answer = shared.call("POST", "/api/ec/dev/auth/regist", headers={"appid": "nobody"})
        assert (answer["code"], answer["status"]) == (-1, False)

    @pytest.mark.parametrize("secret", ["", "no base64 !", "QUJD", None])
    def test_a_secret_that_is_not_encrypted_for_the_system_is_refused(
        self, shared: Client, secret: str | None
    ) -> None:
        shared.regist()
        headers = {"appid": APP_ID} | ({} if secret is None else {"secret": secret})
        answer = shared.call("POST", "/api/ec/dev/auth/applytoken", headers=headers)
        assert answer == {
            "msg": "secret解密失败,请检查加密内容.",
            "code": -1,
            "msgShowType": "none",
            "status": False,
        }

    def test_a_wrong_secret_is_refused(self, shared: Client) -> None:
        shared.regist()
        headers = {"appid": APP_ID, "secret": shared.encrypted("wrong")}
        answer = shared.call("POST", "/api/ec/dev/auth/applytoken", headers=headers)
        assert answer["msg"].startswith("认证信息错误")

    def test_a_token_lives_as_long_as_was_asked_for(self, fresh: Client) -> None:
        assert fresh.login(seconds=60)["msg"] == "获取成功!"
        assert fresh.rest("getToDoWorkflowRequestCount") >= 0
        fresh.admin("/clock", {"advance_ms": 60_000})
        answer = fresh.rest("getToDoWorkflowRequestCount")
        assert answer["msg"] == f"{EXPIRED}：{fresh.token}"
        assert (answer["code"], answer["status"]) == (-1, False)

    def test_all_sessions_may_end_at_once(self, fresh: Client) -> None:
        fresh.login()
        assert fresh.admin("/sessions/end")["ended"] == 1
        assert EXPIRED in fresh.rest("getToDoWorkflowRequestCount")["msg"]

    def test_a_call_without_a_token_is_told_that_its_session_ran_out(self, shared: Client) -> None:
        answer = shared.call("POST", PA + "getToDoWorkflowRequestCount")
        assert answer == {"msg": "登录信息超时", "errorCode": "002", "status": False}

    def test_the_user_is_encrypted_and_must_exist(self, shared: Client) -> None:
        shared.login()
        headers = {"appid": APP_ID, "token": shared.token, "userid": "9"}
        assert "解密失败" in shared.call("POST", PA + "getToDoWorkflowRequestCount", headers=headers)["msg"]
        assert "账号存在异常" in shared.rest("getToDoWorkflowRequestCount", user=123_456)["msg"]

    def test_the_other_spelling_of_the_secret_is_a_switch(self) -> None:
        with installed(secret_field="secret") as client:
            assert client.regist()["secret"]


class TestLists:
    def test_a_list_is_bare_and_so_is_its_count(self, shared: Client) -> None:
        total = shared.rest("getProcessedWorkflowRequestCount")
        found = shared.rest("getProcessedWorkflowRequestList", pageNo=1, pageSize=total)
        assert isinstance(total, int)
        assert [item["requestId"] for item in found] == shared.listed("Processed")

    def test_a_page_holds_ten_unless_somebody_asks(self, shared: Client) -> None:
        first = shared.rest("getAllWorkflowRequestList")
        assert first == shared.rest("getAllWorkflowRequestList", pageNo=1, pageSize=10)
        assert len(first) == 10
        assert shared.rest("getAllWorkflowRequestList", pageNo=999) == []

    def test_conditions_are_search_fields_to_the_day(self, shared: Client) -> None:
        march = {"createdateselect": "6", "createdatefrom": "2026-03-01", "createdateto": "2026-03-31"}
        found = shared.rest(
            "getAllWorkflowRequestList", pageSize=500, conditions=march | {"workflowIds": "61"}
        )
        assert sorted(item["requestId"] for item in found) == sorted(
            shared.listed("All", "t1.createdate between '2026-03-01' and '2026-03-31'", "t1.workflowid=61")
        )
        assert found

    def test_who_when_and_where_narrow_a_list(self, shared: Client) -> None:
        everything = shared.rest("getAllWorkflowRequestCount")
        ended = shared.rest("getAllWorkflowRequestCount", conditions={"archivestatus": "1"})
        running = shared.rest("getAllWorkflowRequestCount", conditions={"archivestatus": "2"})
        assert ended + running == everything
        person = next(iter(shared.world.company.claimants))
        found = shared.rest(
            "getAllWorkflowRequestList", pageSize=500, conditions={"workcode": person.workcode}
        )
        assert {item["creatorId"] for item in found} == {str(person.id)}
        assert shared.rest("getAllWorkflowRequestCount", conditions={"workcode": "A9999"}) == 0

    def test_this_year_counts_from_the_systems_own_day(self, fresh: Client) -> None:
        offset = int((date(2028, 2, 1) - date.today()).days) * 86_400_000  # noqa: DTZ011  (a day more or less is the same year)
        fresh.admin("/clock", {"offset_ms": offset})
        fresh.token = ""
        assert fresh.rest("getAllWorkflowRequestCount", conditions={"createdateselect": "5"}) == 0
        assert fresh.rest("getAllWorkflowRequestCount", conditions={"createdateselect": "0"}) > 0

    @pytest.mark.parametrize(
        "conditions", ["no json", "[1]", json.dumps({"createdateselect": "6", "createdatefrom": "31.3."})]
    )
    def test_conditions_of_another_form_are_a_parameter_error(self, shared: Client, conditions: str) -> None:
        answer = shared.rest("getAllWorkflowRequestList", conditions=conditions)
        assert answer["code"] == "PARAM_ERROR"
        assert "conditions" in answer["errMsg"]

    def test_unknown_conditions_count_for_nothing(self, shared: Client) -> None:
        assert shared.rest("getAllWorkflowRequestCount", conditions={"shape": "round"}) == shared.count("All")


class TestARequest:
    def test_both_interfaces_tell_the_same(self, shared: Client) -> None:
        number = shared.one("approved")
        data = shared.rest("getWorkflowRequest", requestId=number)["data"]
        told = shared.world.truth()[number]["truth"]
        assert rest_fields(data)["sqr"] == str(told["person"])
        lines = data["workflowDetailTableInfos"][0]["workflowRequestTableRecords"]
        assert len(lines) == len(told["lines"])
        assert data["workflowRequestLogs"][0]["nodeName"] == "财务审核"

    def test_only_those_who_take_part_may_read(self, shared: Client) -> None:
        number = shared.one("approved")
        assert shared.rest("getWorkflowRequest", user=1, requestId=number)["code"] == "NO_PERMISSION"
        assert shared.rest("getWorkflowRequest", requestId="1")["code"] == "PARAM_ERROR"

    def test_the_status_has_a_node_id_and_no_node_name(self, shared: Client) -> None:
        data = shared.rest("getRequestStatus", requestId=shared.one("approved"))["data"]
        assert (data["currentNodeId"], data["currentNodeType"]) == ("615", "3")
        assert "currentNodeName" not in data

    def test_the_log_comes_in_pages_and_says_who_forced_an_end(self, fresh: Client) -> None:
        number = fresh.one("approved")
        kinds = [item["logtype"] for item in fresh.rest("getRequestLog", requestId=number)["data"]]
        assert kinds == ["0", "0", "2"]
        second = fresh.rest("getRequestLog", requestId=number, otherParams={"pageSize": 1, "pageNumber": 2})[
            "data"
        ]
        assert [item["nodename"] for item in second] == ["部门经理审批"]
        added = fresh.admin("/documents/new", {"fate": "pending"})["requestIds"][0]
        fresh.admin(f"/documents/{added}/force_over")
        log = fresh.world.flow.logs(added)[0]
        assert (log["logtype"], log["operator"]) == ("e", 1)

    def test_operators_show_who_has_had_it(self, shared: Client) -> None:
        data = shared.rest("getRequestOperatorInfo", requestId=shared.one("approved"))["data"]
        assert [item["nodeName"] for item in data] == ["创建", "部门经理审批", "财务审核", "归档"]
        assert [item["isremark"] for item in data] == [2, 2, 2, 4]

    def test_the_form_and_the_workflows_can_be_read(self, shared: Client) -> None:
        data = shared.rest("getCreateWorkflowRequestInfo", workflowId=61)["data"]
        assert {"djbh", "bxzje"} <= set(rest_fields(data))
        assert {item["workflowName"] for item in shared.rest("getCreateWorkflowList")} >= {
            "费用报销",
            "员工借款",
        }

    def test_the_code_may_be_an_object(self) -> None:
        with installed(code_shape="object") as client:
            answer = client.rest("getRequestStatus", requestId=client.one("approved"))
            assert answer["code"] == {"name": "SUCCESS", "statusCode": 1}

    def test_answers_may_be_gbk(self) -> None:
        with installed(encoding="gbk-undeclared") as client:
            number = client.one("approved")
            client.login()
            headers = {"appid": APP_ID, "token": client.token, "userid": client.encrypted("9")}
            url = f"{client.url}{PA}getWorkflowRequest"
            content = client.session.get(
                url, params={"requestId": number}, headers=headers, timeout=20
            ).content
            assert json.loads(content.decode("gbk"))["data"]["currentNodeName"] == "归档"


class TestChanges:
    def create(self, client: Client, **more: object) -> dict[str, object]:
        params: dict[str, object] = {"workflowId": 61, "requestName": "补录", "mainData": MAIN} | more
        answer: dict[str, object] = client.rest("doCreateRequest", user=100, **params)
        return answer

    def test_a_created_request_is_submitted_unless_it_says_otherwise(self, fresh: Client) -> None:
        waiting = self.create(fresh, otherParams={"isnextflow": "0"})["data"]["requestid"]  # type: ignore[index]
        gone = self.create(fresh)["data"]["requestid"]  # type: ignore[index]
        fresh.admin("/clock", {"advance_ms": 60_000})
        nodes = [
            fresh.rest("getRequestStatus", user=100, requestId=n)["data"]["currentNodeId"]
            for n in (waiting, gone)
        ]
        assert nodes == ["611", "612"]

    @pytest.mark.parametrize(
        ("change", "wrong"),
        [
            ({"mainData": []}, "mainData"),
            ({"mainData": "[{"}, "workflowId"),
            ({"mainData": [{"fieldName": "sqr", "fieldValue": ""}]}, "sqr"),
            ({"mainData": [*MAIN, {"fieldName": "colour", "fieldValue": "1"}]}, "error_param_colour"),
            ({"detailData": [{"tableDBName": "formtable_main_1_dt1"}]}, "error_param_formtable_main_1_dt1"),
            ({"workflowId": 999}, "workflowId"),
            ({"requestName": ""}, "requestName"),
        ],
    )
    def test_a_wrong_parameter_is_named(self, fresh: Client, change: dict[str, object], wrong: str) -> None:
        before = fresh.count("All", user=100)
        answer = self.create(fresh, **change)
        assert answer["code"] == "PARAM_ERROR"
        assert wrong in answer["errMsg"]  # type: ignore[operator]
        assert fresh.count("All", user=100) == before

    def test_what_no_database_can_keep_is_an_inner_error_and_leaves_nothing(self, fresh: Client) -> None:
        before = fresh.count("All", user=100)
        half = r'[{"fieldName": "sqr", "fieldValue": "100"}, {"fieldName": "sqbm", "fieldValue": "\ud800"}]'
        assert self.create(fresh, mainData=half)["code"] == "SYSTEM_INNER_ERROR"
        assert fresh.count("All", user=100) == before

    def test_a_json_body_is_taken_as_well(self, fresh: Client) -> None:
        fresh.login()
        headers = {"appid": APP_ID, "token": fresh.token, "userid": fresh.encrypted("100")}
        body = {
            "workflowId": 61,
            "requestName": "补录",
            "mainData": MAIN,
            "otherParams": {"isnextflow": "1"},
        }
        assert fresh.call("POST", PA + "doCreateRequest", json=body, headers=headers)["code"] == "SUCCESS"

    def test_detail_rows_without_an_id_are_added_and_with_one_changed(self, fresh: Client) -> None:
        number = self.create(fresh, otherParams={"isnextflow": "0"})["data"]["requestid"]  # type: ignore[index]

        def save(*rows: dict[str, object], **more: object) -> None:
            table = {"tableDBName": "formtable_main_71_dt1", "workflowRequestTableRecords": list(rows)} | more
            save_only = {"src": "save"}
            answer = fresh.rest(
                "submitRequest", user=100, requestId=number, detailData=[table], otherParams=save_only
            )
            assert answer["code"] == "SUCCESS"

        def row(amount: str, order: int = 0) -> dict[str, object]:
            return {
                "recordOrder": order,
                "workflowRequestTableFields": [{"fieldName": "je", "fieldValue": amount}],
            }

        def amounts() -> dict[int, str]:
            data = fresh.rest("getWorkflowRequest", user=100, requestId=number)["data"]
            found = {}
            for record in data["workflowDetailTableInfos"][0]["workflowRequestTableRecords"]:
                fields = {
                    item["fieldName"]: item["fieldValue"] for item in record["workflowRequestTableFields"]
                }
                found[record["recordOrder"]] = fields["je"]
            return found

        save(row("1"), row("2"))
        first, second = amounts()
        save(row("9", first))
        assert amounts() == {first: "9", second: "2"}
        save(deleteKeys=str(first))
        assert amounts() == {second: "2"}
        save(row("5"), deleteAll="1")
        assert list(amounts().values()) == ["5"]

    def test_a_number_is_saved_on_an_archived_request_by_the_accountant_alone(self, fresh: Client) -> None:
        number = fresh.one("approved")
        data = [{"fieldName": "pzh", "fieldValue": "记-9"}, {"fieldName": "pzcw", "fieldValue": "科目不存在"}]
        save = {"requestId": number, "mainData": data, "otherParams": {"src": "save"}}
        assert fresh.rest("submitRequest", **save)["code"] == "SUCCESS"
        assert fresh.world.truth()[number]["voucher"] == {
            "pzh": "记-9",
            "pzqj": "",
            "pzzt": "0",
            "pzcw": "科目不存在",
        }
        creator = int(fresh.world.truth()[number]["truth"]["person"])
        refused = fresh.rest("submitRequest", user=creator, **save)
        assert refused["code"] == "NO_PERMISSION"
        assert refused["reqFailMsg"]["msgType"] == "NO_REQUEST_SUBMIT_PERMISSION"
        assert fresh.rest("submitRequest", requestId=number)["code"] == "NO_PERMISSION"

    def test_some_builds_want_the_workflow_too_and_blame_the_request(self) -> None:
        with installed(submit_needs_workflow_id=True) as client:
            number = client.one("approved")
            save = {"requestId": number, "otherParams": {"src": "save"}}
            assert client.rest("submitRequest", **save)["errMsg"] == {"errorParam_requestid": 0}
            assert client.rest("submitRequest", workflowId=61, **save)["code"] == "SUCCESS"

    def test_withdrawing_after_the_end_takes_the_request_out_of_the_ended(self, fresh: Client) -> None:
        number = fresh.one("approved")
        creator = int(fresh.world.truth()[number]["truth"]["person"])
        assert fresh.rest("withdrawRequest", user=creator, requestId=number)["code"] == "SUCCESS"
        assert number not in fresh.listed("Processed")
        assert number in fresh.listed("All")
        assert fresh.world.truth()[number]["verdict"] == "revoked"

    def test_some_installations_do_not_withdraw_what_has_ended(self) -> None:
        with installed(withdraw_archived=False) as client:
            number = client.one("approved")
            creator = int(client.world.truth()[number]["truth"]["person"])
            assert client.rest("withdrawRequest", user=creator, requestId=number)["code"] == "NO_PERMISSION"
            monitor = {"requestId": number, "otherParams": {"ismonitor": "1"}}
            assert client.rest("doForceDrawBack", user=creator, **monitor)["code"] == "NO_PERMISSION"
            assert client.rest("doForceDrawBack", user=INTEGRATION_USER, **monitor)["code"] == "SUCCESS"
            assert client.world.truth()[number]["verdict"] == "revoked"

    def test_a_revoked_request_may_be_approved_again(self, fresh: Client) -> None:
        number = fresh.one("revoked")
        assert fresh.admin(f"/documents/{number}/approve")["verdict"] == "approved"
        assert number in fresh.listed("Processed")

    def test_only_a_draft_of_ones_own_can_be_deleted_without_monitoring(self, fresh: Client) -> None:
        number = fresh.one("approved")
        assert fresh.rest("deleteRequest", requestId=number)["code"] == "NO_PERMISSION"
        monitor = {"ismonitor": "1"}
        assert fresh.rest("deleteRequest", requestId=number, otherParams=monitor)["code"] == "SUCCESS"
        assert fresh.rest("getWorkflowRequest", requestId=number)["code"] == "PARAM_ERROR"


class TestControls:
    def test_they_need_their_key(self, shared: Client) -> None:
        response = shared.session.get(
            f"{shared.url}/__emulator__/truth", headers={"X-Emulator-Key": "no"}, timeout=20
        )
        assert response.status_code == 403

    def test_an_edit_of_amounts_changes_document_and_truth_together(self, fresh: Client) -> None:
        number = next(
            n for n, t in fresh.world.truth().items()
            if t["voucher_expected"] and t["truth"]["kind"] == "expense" and not t["truth"]["offset"]
            and t["truth"]["currency"] == "CNY"
        )  # fmt: skip
        rest = (
            fresh.world.truth()[number]["truth"]["gross"]
            - fresh.world.truth()[number]["truth"]["lines"][0]["amount"]
        )
        fresh.admin(f"/documents/{number}/reprice", {"amount": 77_77})
        assert fresh.world.truth()[number]["truth"]["gross"] == rest + 77_77
        data = fresh.rest("getWorkflowRequest", requestId=number)["data"]
        assert rest_fields(data)["bxzje"] == f"{(rest + 77_77) / 100:.2f}"

    def test_new_documents_appear_and_are_known(self, fresh: Client) -> None:
        made = fresh.admin("/documents/new", {"count": 3, "fate": "approved", "kind": "expense"})[
            "requestIds"
        ]
        seen = fresh.listed("Processed", "t1.workflowid=61")
        assert {str(number) for number in made} <= set(seen)
        assert all(fresh.world.truth()[str(number)]["truth"]["kind"] == "expense" for number in made)

    def test_a_form_changes_under_way(self, fresh: Client) -> None:
        fresh.admin("/workflows/61/form", {"table": "dt1", "drop": "je"})
        new = {
            "id": 9999,
            "name": "jine",
            "label": "金额",
            "html": "1",
            "type": "5",
            "db_type": "varchar(30)",
        }
        fresh.admin("/workflows/61/form", {"table": "dt1", "add": new})
        data = fresh.rest("getWorkflowRequest", requestId=fresh.one("approved"))["data"]
        names = data["workflowDetailTableInfos"][0]["tableFieldName"]
        record = data["workflowDetailTableInfos"][0]["workflowRequestTableRecords"][0]
        fields = {item["fieldName"] for item in record["workflowRequestTableFields"]}
        assert ("je" in fields, "jine" in fields, len(names)) == (False, True, 10)

    def test_a_new_version_of_a_workflow_has_another_id(self, fresh: Client) -> None:
        version = fresh.admin("/workflows/61/form", {"new_version": True})["workflowId"]
        params = {"workflowId": version, "requestName": "新版", "mainData": MAIN}
        number = fresh.rest("doCreateRequest", user=100, **params)["data"]["requestid"]
        assert fresh.listed("My", "t1.workflowid=61", user=100).count(str(number)) == 0
        assert str(number) in fresh.world.truth()

    def test_the_export_holds_every_row(self, fresh: Client) -> None:
        exported = fresh.admin("/export", method="GET")
        deleted = sum(told["verdict"] == "deleted" for told in exported["truth"].values())
        assert len(exported["tables"]["workflow_requestbase"]) + deleted == 40
        assert len(exported["tables"]["emulator_deleted"]) == deleted > 0

    @pytest.mark.parametrize(
        ("path", "body"),
        [
            ("/options", {"colour": "red"}),
            ("/faults", [{"kind": "flood"}]),
            ("/faults", [{"kind": "status", "times": -1}]),
            ("/clock", {"offset_ms": "soon"}),
            ("/documents/1/approve", {}),
            ("/documents/300001/dance", {}),
            ("/documents/new", {"fate": "happy"}),
            ("/workflows/61/form", {"drop": "colour"}),
        ],
    )
    def test_a_mistake_is_explained(self, fresh: Client, path: str, body: object) -> None:
        response = fresh.session.post(
            f"{fresh.url}/__emulator__{path}",
            json=body,
            headers={"X-Emulator-Key": "emulator-admin"},
            timeout=20,
        )
        assert response.status_code == 409
        assert " / " in response.json()["error"]
