"""WorkflowService by hand-written envelopes and by a SOAP library that knows nothing of us."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
import requests
from suds.client import Client as SudsClient

from include.emulators.weaver import INTEGRATION_USER, EmulatorError
from tests.integration.weaver_client import (
    OURS,
    SERVICE,
    TIMEOUT_S,
    TYPES,
    Client,
    Xml,
    answer_of,
    envelope,
    fields_of,
    info,
    main_fields,
)
from tests.integration.weaver_fixtures import fresh, installation, shared

__all__ = ["fresh", "shared"]
XSI_NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"
installed = contextmanager(installation)
FIELDS = {"pzh": "记-0042", "pzqj": "2026-10", "pzzt": "1", "bxzje": "0.01"}


class TestLists:
    def test_ended_documentsare_those_that_were_approved_or_forced_to_their_end(self, shared: Client) -> None:
        told = shared.world.truth()
        seen = shared.listed("Processed", OURS)
        assert {told[number]["verdict"] for number in seen} == {"approved", "forced"}
        approved = {number for number, item in told.items() if item["verdict"] == "approved"}
        assert approved <= set(seen)

    def test_pages_with_the_count_give_every_request_once_latest_received_first(self, shared: Client) -> None:
        total = shared.count("All", OURS)
        pages = [shared.page("All", page, 17, total, OURS) for page in range(1, total // 17 + 2)]
        numbers = [number for page in pages for number in page]
        assert len(numbers) == len(set(numbers)) == total > 60
        out = shared.soap("getAllWorkflowRequestList", 1, 17, total, INTEGRATION_USER, [OURS])
        received = [item.findtext(f"{TYPES}receiveTime", "") for item in out]
        assert received == sorted(received, reverse=True)

    def test_a_page_number_below_one_is_the_first_page(self, shared: Client) -> None:
        total = shared.count("All")
        assert shared.page("All", 0, 5, total) == shared.page("All", 1, 5, total)

    def test_a_record_count_that_is_too_small_hides_the_rest(self, shared: Client) -> None:
        assert len(shared.page("All", 1, 50, 3)) == 3
        assert shared.page("All", 2, 50, 3) == []

    def test_conditions_narrow_the_list(self, shared: Client) -> None:
        march = shared.listed(
            "All", "t1.createdate >= '2026-03-01'", "t1.createdate < '2026-04-01' and t1.workflowid = 61"
        )
        rows = shared.world.store.rows(
            "SELECT requestid FROM workflow_requestbase WHERE createdate LIKE '2026-03-%' AND workflowid = 61"
            " AND requestid IN (SELECT requestid FROM workflow_currentoperator WHERE userid = 9)"
        )
        assert sorted(march) == sorted(str(row["requestid"]) for row in rows) != []

    def test_a_list_item_has_no_form(self, shared: Client) -> None:
        item = shared.soap("getProcessedWorkflowRequestList", 1, 1, 1, INTEGRATION_USER, [])[0]
        assert item.find(f"{TYPES}workflowMainTableInfo").get(XSI_NIL) == "true"  # type: ignore[union-attr]
        assert item.findtext(f"{TYPES}currentNodeName") == "归档"
        assert item.findtext(f"{TYPES}workflowBaseInfo/{TYPES}workflowTypeName") == "财务类"

    def test_a_user_sees_only_what_he_takes_part_in(self, shared: Client) -> None:
        creator = shared.world.store.row(
            "SELECT creater FROM workflow_requestbase WHERE workflowid = 61 LIMIT 1"
        )
        assert creator is not None
        own = shared.listed("My", user=creator["creater"])
        assert set(own) == set(shared.listed("All", user=creator["creater"])) != set()
        assert shared.listed("My", user=INTEGRATION_USER) == []
        assert shared.count("All", user=987_654) == 0

    def test_a_mistaken_condition_gives_an_empty_list_and_no_word(self, shared: Client) -> None:
        """As the product: it logs the database's error and goes on with nothing."""
        assert shared.count("Processed", "t1.no_such_column = 1") == 0
        assert shared.page("Processed", 1, 10, 10, "t1.no_such_column = 1") == []
        refused = shared.admin("/counts", method="GET")["refused_conditions"]
        assert "Invalid column name 't1.no_such_column'." in refused[-1]

    def test_deleted_documentsare_gone(self, shared: Client) -> None:
        deleted = [number for number, told in shared.world.truth().items() if told["verdict"] == "deleted"]
        assert deleted
        assert not set(deleted) & set(shared.listed("All"))
        assert shared.soap("getWorkflowRequest", int(deleted[0]), INTEGRATION_USER, 0).get(XSI_NIL) == "true"


class TestARequest:
    def test_values_are_ids_and_labels_stand_beside_them(self, shared: Client) -> None:
        number = shared.one("approved")
        out = shared.soap("getWorkflowRequest", int(number), INTEGRATION_USER, 0)
        told = shared.world.truth()[number]["truth"]
        main = main_fields(out)
        assert main["sqr"] == str(told["person"])
        labels = {
            item.findtext(f"{TYPES}fieldName"): item.findtext(f"{TYPES}fieldShowValue")
            for item in out.iter(f"{TYPES}WorkflowRequestTableField")
        }
        assert labels["sqr"] == shared.world.company.name_of(told["person"])
        assert labels["dxje"].endswith(("元整", "角整", "分"))
        assert labels["bz"] in {"人民币", "美元", "欧元", "港币"}
        assert main["requestlevel"] in {"0", "1", "2"}

    def test_detail_tables_carry_their_lines_with_ids(self, shared: Client) -> None:
        number = shared.one("approved")
        out = shared.soap("getWorkflowRequest", int(number), INTEGRATION_USER, 0)
        tables = out.findall(f"{TYPES}workflowDetailTableInfos/{TYPES}WorkflowDetailTableInfo")
        assert [table.findtext(f"{TYPES}tableDBName") for table in tables] == [
            "formtable_main_71_dt1",
            "formtable_main_71_dt2",
        ]
        lines = [fields_of(record) for record in tables[0].iter(f"{TYPES}WorkflowRequestTableRecord")]
        told = shared.world.truth()[number]["truth"]["lines"]
        assert [line["fylx"] for line in lines] == [line["fee"] for line in told]
        assert [line["fybm"] for line in lines] == [str(line["department"]) for line in told]

    def test_its_history_comes_with_it_latest_first(self, shared: Client) -> None:
        out = shared.soap("getWorkflowRequest", int(shared.one("approved")), INTEGRATION_USER, 0)
        logs = out.findall(f"{TYPES}workflowRequestLogs/{TYPES}WorkflowRequestLog")
        assert [log.findtext(f"{TYPES}operateType") for log in logs] == ["批准", "批准", "提交"]
        assert [log.findtext(f"{TYPES}nodeName") for log in logs] == ["财务审核", "部门经理审批", "创建"]

    def test_the_product_asks_nobody_whether_this_user_may_read(self, shared: Client) -> None:
        stranger = shared.soap("getWorkflowRequest", int(shared.one("approved")), 1, 0)
        assert stranger.findtext(f"{TYPES}canView") == "false"
        assert main_fields(stranger)["djbh"]

    def test_people_are_found_by_their_number(self, shared: Client) -> None:
        assert shared.soap("getUserId", "workcode", "A0009").text == str(INTEGRATION_USER)
        assert not shared.soap("getUserId", "workcode", "A9999").text

    def test_an_empty_form_shows_fields_types_and_choices(self, shared: Client) -> None:
        out = shared.soap("getCreateWorkflowRequestInfo", 61, INTEGRATION_USER)
        fields = {
            item.findtext(f"{TYPES}fieldName"): item for item in out.iter(f"{TYPES}WorkflowRequestTableField")
        }
        assert fields["bxzje"].findtext(f"{TYPES}fieldDBType") == "decimal(15,2)"
        names = [item.text for item in fields["fylx"].find(f"{TYPES}selectnames")]  # type: ignore[union-attr]
        values = [item.text for item in fields["fylx"].find(f"{TYPES}selectvalues")]  # type: ignore[union-attr]
        assert dict(zip(values, names, strict=True))["0"] == "交通费"


class TestMovement:
    def test_a_submission_moves_the_request_later(self, fresh: Client) -> None:
        number = self._new(fresh)
        before = fresh.soap("getWorkflowRequest", number, 100, 0).findtext(f"{TYPES}currentNodeName")
        fresh.admin("/clock", {"advance_ms": 60_000})
        after = fresh.soap("getWorkflowRequest", number, 100, 0).findtext(f"{TYPES}currentNodeName")
        assert (before, after) == ("创建", "部门经理审批")

    def test_what_was_submitted_cannot_be_submitted_again_while_it_moves(self, fresh: Client) -> None:
        number = self._new(fresh)
        assert fresh.soap("submitWorkflowRequest", info({}), number, 100, "submit", "").text == "failed"

    def test_approval_by_everybody_leads_to_the_end(self, fresh: Client) -> None:
        number = self._new(fresh)
        manager = fresh.world.company.actor("manager", 100)
        for user in (manager, INTEGRATION_USER):
            fresh.admin("/clock", {"advance_ms": 60_000})
            assert str(number) in fresh.listed("ToDo", user=user)
            assert (
                fresh.soap("submitWorkflowRequest", info({}), number, user, "submit", "同意").text
                == "success"
            )
        fresh.admin("/clock", {"advance_ms": 60_000})
        assert str(number) in fresh.listed("Processed")
        assert fresh.world.truth()[str(number)]["verdict"] == "approved"

    def test_who_approves_may_put_a_voucher_number_on_the_form_and_change_nothing_else(
        self, fresh: Client
    ) -> None:
        number = self._new(fresh)
        fresh.admin("/clock", {"advance_ms": 60_000})
        manager = fresh.world.company.actor("manager", 100)
        out = fresh.soap("submitWorkflowRequest", info(FIELDS), number, manager, "submit", "")
        assert out.text == "success"
        main = main_fields(fresh.soap("getWorkflowRequest", number, 9, 0))
        assert (main["pzh"], main["bxzje"]) == ("记-0042", "12.50")

    def test_a_rejection_goes_back_to_the_start(self, fresh: Client) -> None:
        number = self._new(fresh)
        fresh.admin("/clock", {"advance_ms": 60_000})
        manager = fresh.world.company.actor("manager", 100)
        assert (
            fresh.soap("submitWorkflowRequest", info({}), number, manager, "reject", "请补充").text
            == "success"
        )
        assert fresh.world.truth()[str(number)]["verdict"] == "rejected"
        assert str(number) in fresh.listed("ToDo", user=100)

    def test_errors_of_a_submission_are_words_not_faults(self, fresh: Client) -> None:
        number = int(fresh.one("approved"))
        assert fresh.soap("submitWorkflowRequest", info({}), number, 100, "submit", "").text == "failed"
        assert fresh.soap("submitWorkflowRequest", info({}), number, 100, "unknown", "").text == "error"
        assert fresh.soap("submitWorkflowRequest", info({}), 1, 100, "submit", "").text == "error"

    def test_creating_twice_makes_two(self, fresh: Client) -> None:
        assert self._new(fresh) != self._new(fresh)

    def test_failures_to_create_are_negative_numbers(self, fresh: Client) -> None:
        assert fresh.soap("doCreateWorkflowRequest", info({"sqr": 100}, 99), 100).text == "-1"
        assert fresh.soap("doCreateWorkflowRequest", info({"sqr": ""}, 61), 100).text == "-4"
        assert fresh.soap("doCreateWorkflowRequest", info({"ydj": "1"}, 63), INTEGRATION_USER).text == "-2"

    def test_forwarding_gives_somebody_else_something_to_do(self, fresh: Client) -> None:
        number = int(fresh.one("approved"))
        assert (
            fresh.soap("forwardWorkflowRequest", number, "101,999999", "请看", INTEGRATION_USER, "").text
            == "success"
        )
        assert str(number) in fresh.listed("ToDo", user=101)
        assert (
            fresh.soap("forwardWorkflowRequest", number, "999999", "", INTEGRATION_USER, "").text == "failed"
        )

    def test_deleting_says_whether_there_was_something(self, fresh: Client) -> None:
        number = fresh.one("draft")
        assert fresh.soap("deleteRequest", int(number), 1).text == "true"
        assert fresh.soap("deleteRequest", int(number), 1).text == "false"
        assert fresh.world.truth()[number]["verdict"] == "deleted"

    @staticmethod
    def _new(client: Client) -> int:
        details = [("formtable_main_71_dt1", [{"fylx": "0", "je": "12.50", "fyrq": "2026-11-01"}])]
        main = {"sqr": 100, "sqbm": 11, "bxzje": "12.50", "sy": "高铁"}
        return int(client.soap("doCreateWorkflowRequest", info(main, 61, "补录", details), 100).text or 0)


class TestWriteBack:
    def test_the_accountant_saves_voucher_fields_on_an_archived_request(self, fresh: Client) -> None:
        number = fresh.one("approved")
        before = main_fields(fresh.soap("getWorkflowRequest", int(number), 9, 0))
        assert fresh.soap("submitWorkflowRequest", info(FIELDS), int(number), 9, "save", "").text == "success"
        after = main_fields(fresh.soap("getWorkflowRequest", int(number), 9, 0))
        assert (after["pzh"], after["pzqj"], after["pzzt"]) == ("记-0042", "2026-10", "1")
        assert after["bxzje"] == before["bxzje"]  # no voucher field: stays as it is
        assert fresh.world.truth()[number]["verdict"] == "approved"
        assert (
            fresh.soap("submitWorkflowRequest", info(FIELDS), int(number), 100, "save", "").text == "failed"
        )

    def test_where_a_posting_node_waits_the_number_is_submitted(self) -> None:
        with installed(write_back="voucher_node") as client:
            number = client.one("approved")
            assert number in client.listed("ToDo", OURS)
            assert number not in client.listed("Processed", OURS)
            out = client.soap("submitWorkflowRequest", info(FIELDS), int(number), 9, "submit", "已制证")
            assert out.text == "success"
            client.admin("/clock", {"advance_ms": 60_000})
            assert number in client.listed("Processed", OURS)
            told = client.world.truth()[number]
            assert (told["verdict"], told["voucher"]["pzh"]) == ("approved", "记-0042")

    def test_where_numbers_are_registered_a_request_of_its_own_carries_them(self) -> None:
        with installed(write_back="register") as client:
            number = client.one("approved")
            assert (
                client.soap("submitWorkflowRequest", info(FIELDS), int(number), 9, "save", "").text
                == "failed"
            )
            registered = {"ydj": number, "pzh": "记-0042", "pzqj": "2026-10", "pzzt": "1"}
            assert int(client.soap("doCreateWorkflowRequest", info(registered, 63), 9).text or 0) > 0
            assert client.world.truth()[number]["voucher"]["pzh"] == "记-0042"

    def test_an_installation_may_refuse_everything(self) -> None:
        with installed(write_back="refused") as client:
            number = int(client.one("approved"))
            assert client.soap("submitWorkflowRequest", info(FIELDS), number, 9, "save", "").text == "failed"


class TestEnvelopes:
    def test_the_types_namespace_is_taken_for_operations_too(self, shared: Client) -> None:
        response = shared.post(
            envelope("getUserId", "id", "9", namespace="http://webservices.workflow.weaver")
        )
        assert answer_of(response)[0].text == "9"

    def test_an_unknown_operation_is_a_fault(self, shared: Client) -> None:
        assert "Invalid operation" in shared.fault(envelope("dropEverything", 1))

    def test_what_is_no_number_is_a_fault(self, shared: Client) -> None:
        assert "Could not parse" in shared.fault(envelope("getAllWorkflowRequestCount", "nine", []))
        assert "Could not parse" in shared.fault(envelope("getAllWorkflowRequestCount", 2**40, []))

    @pytest.mark.parametrize(
        "doctype",
        [
            '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>',
            '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>',
            '<!DOCTYPE x SYSTEM "http://127.0.0.1:1/x.dtd">',
        ],
    )
    def test_a_doctype_is_refused_before_anything_is_expanded(self, shared: Client, doctype: str) -> None:
        body = doctype + envelope("getUserId", "id", Xml("&a;"))
        assert shared.fault(body) == "DOCTYPE is not allowed"

    def test_depth_size_and_encoding_are_limited(self, shared: Client) -> None:
        deep = Xml("<a>" * 100 + "</a>" * 100)
        assert "nested too deeply" in shared.fault(envelope("getUserId", "id", deep))
        assert "unsupported encoding" in shared.fault(
            envelope("getUserId", "id", "9"), "text/xml; charset=utf-7"
        )
        assert shared.post("x" * (5 * 1024 * 1024)).status_code == 413
        assert "no SOAP envelope" in shared.fault("<html/>")

    def test_a_gbk_envelope_is_read(self, shared: Client) -> None:
        condition = ["t1.requestname like '%员工借款%'"]
        text = envelope("getAllWorkflowRequestCount", INTEGRATION_USER, condition)
        wanted = shared.count("All", *condition)
        assert wanted > 0
        declared = '<?xml version="1.0" encoding="GBK"?>' + text
        for body, content_type in ((declared, "text/xml"), (text, "text/xml; charset=gbk")):
            response = shared.post(body.encode("gbk"), content_type)
            assert int(answer_of(response)[0].text or 0) == wanted


class TestSwitches:
    def test_a_patched_build_faults_on_conditions(self) -> None:
        with installed(conditions="refused") as client:
            assert client.count("All", "", " ") > 0
            assert "conditions" in client.fault(envelope("getAllWorkflowRequestCount", 9, ["1=1"]))

    def test_a_mistaken_condition_may_be_a_fault(self) -> None:
        with installed(sql_error="fault") as client:
            assert "Invalid column name" in client.fault(
                envelope("getAllWorkflowRequestCount", 9, ["t1.x=1"])
            )

    @pytest.mark.parametrize(("encoding", "declared"), [("gbk", True), ("gbk-undeclared", False)])
    def test_answers_may_be_gbk(self, encoding: str, declared: bool) -> None:
        with installed(encoding=encoding) as client:
            response = client.post(envelope("getWorkflowRequest", int(client.one("approved")), 9, 0))
            assert "费用报销" in response.content.decode("gbk")
            assert ("GBK" in response.headers["content-type"]) is declared
            assert response.content.startswith(b'<?xml version="1.0" encoding="GBK"?>') is declared

    def test_a_wsdl_may_point_elsewhere(self) -> None:
        with installed(wsdl_address="http://10.0.0.9/steal", wsdl_import="file:///etc/passwd") as client:
            text = requests.get(client.url + SERVICE, params={"wsdl": ""}, timeout=TIMEOUT_S).text
            assert 'location="http://10.0.0.9/steal"' in text
            assert 'schemaLocation="file:///etc/passwd"' in text

    def test_only_some_addresses_may_call(self) -> None:
        with installed(soap_allow_ips=["10.1.1.1"]) as client:
            assert client.post(envelope("getUserId", "id", "9")).status_code == 403

    def test_lists_may_never_end(self) -> None:
        with installed(endless_pages=True) as client:
            total = client.count("All")
            assert client.page("All", 1, total, total) == client.page("All", 200, total, total)

    def test_oracle_writes_amounts_its_own_way(self) -> None:
        with installed(database="oracle") as client:
            documents = [
                client.soap("getWorkflowRequest", int(n), 9, 0) for n in client.listed("Processed", OURS)
            ]
            fields = [item for out in documents for item in out.iter(f"{TYPES}WorkflowRequestTableField")]
            numbers = [item for item in fields if item.findtext(f"{TYPES}fieldDBType") == "number(15,2)"]
            values = [item.findtext(f"{TYPES}fieldValue") or "" for item in numbers]
            assert any("." not in value for value in values if value)
            assert not any(value.startswith("0.") or value.endswith(".00") for value in values)

    def test_what_shaped_the_documents_cannot_be_switched(self, fresh: Client) -> None:
        with pytest.raises(EmulatorError, match="另建数据文件"):
            fresh.world.set_options({"write_back": "register"})
        fresh.admin("/options", {"conditions": "refused"})
        assert "conditions" in fresh.fault(envelope("getAllWorkflowRequestCount", 9, ["1=1"]))


class TestSuds:
    """A SOAP library that only knows the WSDL."""

    @pytest.fixture
    def suds(self, fresh: Client) -> Any:
        return SudsClient(f"{fresh.url}{SERVICE}?wsdl", cache=None)

    def test_it_reads_the_days_documents(self, suds: Any, fresh: Client) -> None:
        conditions = suds.factory.create("{webservices.services.weaver.com.cn}ArrayOfString")
        conditions.string = [OURS]
        total = suds.service.getProcessedWorkflowRequestCount(9, conditions)
        found = suds.service.getProcessedWorkflowRequestList(
            1, total, total, 9, conditions
        ).WorkflowRequestInfo
        assert [item.requestId for item in found] == fresh.listed("Processed", OURS)
        whole = suds.service.getWorkflowRequest(int(found[0].requestId), 9, 0)
        record = whole.workflowMainTableInfo.requestRecords.WorkflowRequestTableRecord[0]
        names = [item.fieldName for item in record.workflowRequestTableFields.WorkflowRequestTableField]
        assert {"djbh", "sqr", "pzh"} <= set(names)

    def test_it_writes_a_number_back_with_the_whole_request_that_it_read(
        self, suds: Any, fresh: Client
    ) -> None:
        number = fresh.one("approved")
        whole = suds.service.getWorkflowRequest(int(number), 9, 0)
        record = whole.workflowMainTableInfo.requestRecords.WorkflowRequestTableRecord[0]
        for item in record.workflowRequestTableFields.WorkflowRequestTableField:
            if item.fieldName == "pzh":
                item.fieldValue = "记-7"
        assert suds.service.submitWorkflowRequest(whole, int(number), 9, "save", "") == "success"
        assert fresh.world.truth()[number]["voucher"]["pzh"] == "记-7"

    def test_it_gets_a_fault_as_a_fault(self, suds: Any, fresh: Client) -> None:
        fresh.admin("/options", {"conditions": "refused"})
        conditions = suds.factory.create("{webservices.services.weaver.com.cn}ArrayOfString")
        conditions.string = ["1=1"]
        with pytest.raises(Exception, match="conditions参数不合法"):
            suds.service.getAllWorkflowRequestCount(9, conditions)

    def test_it_gets_nothing_for_a_request_that_is_not_there(self, suds: Any) -> None:
        assert suds.service.getWorkflowRequest(1, 9, 0) is None


def test_callers_at_once_do_not_disturb_each_other(fresh: Client) -> None:
    """Twenty create at the same time: twenty requests, twenty numbers."""

    def create(_index: int) -> str:
        alone = Client(fresh.url, fresh.world)
        return alone.soap("doCreateWorkflowRequest", info({"sqr": 100, "sqbm": 11}, 61), 100).text or ""

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(create, range(20)))
    assert len(set(made)) == 20
    marks = [main_fields(fresh.soap("getWorkflowRequest", int(number), 9, 0))["djbh"] for number in made]
    assert len(set(marks)) == 20


def test_a_condition_that_is_too_much_for_the_database_is_its_error(fresh: Client) -> None:
    assert fresh.count("All", " or ".join(["1=1"] * 1_100)) == 0
    assert fresh.admin("/counts", method="GET")["refused_conditions"]
