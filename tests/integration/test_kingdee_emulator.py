"""The emulated Kingdee site over HTTP: logins, bodies, saving and its switches, queries and pages, periods, faults."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from include.emulators.hesi.clock import EmulatorClock
from include.emulators.kingdee import Options, running
from tests.integration.kingdee_client import (
    BROKEN,
    MINE,
    STUB,
    TIMEOUT_S,
    Caller,
    entry,
    ids,
    messages,
    model,
    owed,
    status_of,
    travel,
)

NOW_MS = 1_770_000_000_000


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Caller]:
    with running(tmp_path / "k3.sqlite", clock=EmulatorClock(NOW_MS)) as (url, _books):
        caller = Caller(url)
        assert caller.login()["LoginResultType"] == 1
        yield caller
        caller.http.close()


def lost(body: Any) -> bool:
    return int(status_of(body)["MsgCode"]) == 1


# Logins and sessions


def sign(timestamp: str, secret: str = MINE.app_secret) -> str:
    values = sorted([MINE.acct_id, MINE.user, MINE.app_id, secret, timestamp])
    return hashlib.sha256("".join(values).encode()).hexdigest()


def test_three_logins_open_a_session(site: Caller) -> None:
    stamp = "1770000000"
    bodies = {
        "ValidateUser": [MINE.acct_id, MINE.user, MINE.password, 2052],
        "LoginByAppSecret": [MINE.acct_id, MINE.user, MINE.app_id, MINE.app_secret, 2052],
        "LoginBySign": [MINE.acct_id, MINE.user, MINE.app_id, stamp, sign(stamp), 2052],
    }
    for name, parameters in bodies.items():
        other = Caller(site.url)
        assert lost(other.query("FNumber", form="BD_Currency"))
        answer = other.post(f"AuthService.{name}", {"parameters": parameters}).json()
        assert (answer["LoginResultType"], bool(answer["KDSVCSessionId"])) == (1, True), name
        assert other.query("FNumber", form="BD_Currency")[0] == ["PRE001"]
        other.http.close()


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("ValidateUser", [MINE.acct_id, MINE.user, "wrong", 2052]),
        ("LoginByAppSecret", [MINE.acct_id, MINE.user, MINE.app_id, "wrong", 2052]),
        ("LoginBySign", [MINE.acct_id, MINE.user, MINE.app_id, "1", sign("1", "wrong"), 2052]),
        ("LoginBySign", [MINE.acct_id]),
        ("ValidateUser", []),
    ],
)
def test_a_wrong_login_opens_nothing(site: Caller, name: str, parameters: list[object]) -> None:
    other = Caller(site.url)
    answer = other.post(f"AuthService.{name}", {"parameters": parameters}).json()
    assert (answer["LoginResultType"], answer["KDSVCSessionId"]) == (0, None)
    assert lost(other.query("FNumber", form="BD_Currency"))
    other.http.close()


def test_sessions_end_by_disuse_by_a_restart_and_by_logging_out(site: Caller) -> None:
    site.admin("clock", {"advance_ms": 1_199_000})
    assert not site.query("FVOUCHERID")
    site.admin("clock", {"advance_ms": 1_201_000})
    assert lost(site.query("FVOUCHERID"))
    site.login()
    assert site.admin("sessions")["result"] == 1
    assert lost(site.query("FVOUCHERID"))
    site.login()
    site.post("AuthService.Logout", {})
    assert lost(site.query("FVOUCHERID"))


def test_a_new_session_may_need_a_while(site: Caller) -> None:
    site.options(session_unready_ms=60_000)
    site.login()
    assert lost(site.query("FVOUCHERID"))
    site.admin("clock", {"advance_ms": 60_000})
    assert site.query("FVOUCHERID") == []


# Bodies


def test_a_call_can_be_written_in_five_ways(site: Caller) -> None:
    voucher = site.saved()
    asked = {"FormId": "GL_VOUCHER", "FieldKeys": "FVOUCHERID", "FilterString": "FDEBIT>0"}
    text = json.dumps(asked)
    for body in (
        {"data": asked},
        {"data": text},
        {"formid": "GL_VOUCHER", "data": text},
        {"parameters": [text]},
        {"format": 1, "parameters": json.dumps([text]), "v": "1.0"},
    ):
        assert site.post("DynamicFormService.ExecuteBillQuery", body).json() == [[voucher]], body
    posted = site.http.post(
        f"{site.url}{STUB}DynamicFormService.ExecuteBillQuery.common.kdsvc",
        data={"data": text},
        timeout=TIMEOUT_S,
    )
    assert posted.json() == [[voucher]]
    saved = site.post(
        "DynamicFormService.Save", {"parameters": ["GL_VOUCHER", json.dumps({"Model": model()})]}
    ).json()
    assert status_of(saved)["IsSuccess"]


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b"[1]",
        b'{"data": "{"}',
        b'{"data": [1]}',
        b'{"parameters": 5}',
        b"[" * 100_000,
        b'{"data":{"a":NaN}}',
        b"\xff",
    ],
)
def test_a_body_that_is_none_is_a_parameter_error(site: Caller, raw: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    url = f"{site.url}{STUB}DynamicFormService.Save.common.kdsvc"
    answer = site.http.post(url, data=raw, headers=headers, timeout=TIMEOUT_S)
    assert (answer.status_code, status_of(answer.json())["MsgCode"]) == (200, 8)


def test_a_body_that_is_too_large_is_refused(site: Caller) -> None:
    assert status_of(site.call("Save", {"Model": "x" * (9 * 2**20)}))["MsgCode"] == 8


def test_there_is_no_posting_and_no_voiding(site: Caller) -> None:
    voucher = site.saved()
    for number in ("Post", "Cancel", "Forbid"):
        body = {"formid": "GL_VOUCHER", "opNumber": number, "data": ids([voucher])}
        answer = site.post("DynamicFormService.ExcuteOperation", body).json()
        assert status_of(answer)["MsgCode"] == 3
    assert site.post("DynamicFormService.Post", {}).json()["Result"]["ResponseStatus"]["IsSuccess"] is False
    assert requests.post(f"{site.url}/k3cloud/nothing", timeout=TIMEOUT_S).status_code == 404


# Saving


@pytest.mark.parametrize(
    ("entries", "fields", "key", "text"),
    [
        ((travel(), owed(1)), {}, "FDEBIT", "凭证借贷不平衡"),
        ((entry("6602", 1), owed(1)), {}, "FACCOUNTID", "第1行分录的科目“6602 管理费用”不是明细科目"),
        ((entry("9999", 1), owed(1)), {}, "FACCOUNTID", "第1行分录的字段“科目编码”是必填项"),
        ((entry("6602.10", 1), owed(1)), {}, "FDetailID", "第1行分录的科目“6602.10”的核算维度“部门”必录"),
        ((travel(1, FCREDIT=1), owed(0)), {}, "FDEBIT", "第1行分录的借方金额和贷方金额不能同时录入"),
        ((travel("1.x"), owed(1)), {}, "FDEBIT", "第1行分录的FDEBIT的值“1.x”不正确"),
        ((travel("NaN"), owed(1)), {}, "FDEBIT", "第1行分录的FDEBIT的值“NaN”不正确"),
        ((), {"FDate": "2026-02-30"}, "FDate", "字段FDate的值“2026-02-30”不是有效的日期"),
        ((), {"FDate": "2031-01-01"}, "FDate", "日期2031-01-01不在账簿的会计日历范围内"),
        ((), {"FAccountBookID": {"FNumber": "999"}}, "FAccountBookID", "字段“账簿”是必填项"),
        ((), {"FEntity": []}, "FEntity", "凭证至少需要一条分录"),
        ((), {"FVOUCHERID": 77}, "FVOUCHERID", "内码为“77”的凭证不存在或已被删除"),
    ],
)
def test_a_wrong_voucher_is_refused_and_not_kept(
    site: Caller, entries: tuple[dict[str, Any], ...], fields: dict[str, Any], key: str, text: str
) -> None:
    body = site.save(*entries, **fields)
    errors = status_of(body)["Errors"]
    assert (key, text) in [(error["FieldName"], error["Message"]) for error in errors]
    assert site.query("FVOUCHERID") == []


def test_wrong_base_data_is_named_only_where_that_is_asked_for(site: Caller) -> None:
    wrong = travel(FDetailID={"FDETAILID__FFLEX5": {"FNumber": "NO"}}), owed()
    assert messages(site.save(*wrong)) == ["第1行分录的科目“6602.10”的核算维度“部门”必录"]
    named = messages(site.save(*wrong, data={"IsVerifyBaseDataField": "true"}))
    assert named == ["第1行分录的核算维度“NO”不存在、未审核或已禁用"]


def test_without_validation_anything_is_kept(site: Caller) -> None:
    body = site.save(entry("9999", 5), data={"ValidateFlag": "false"})
    assert status_of(body)["IsSuccess"] is True
    assert site.query("FDEBIT,FACCOUNTID.FNumber") == [[5.0, None]]


def test_a_dimension_that_the_account_does_not_carry_is_dropped_or_refused(site: Caller) -> None:
    extra = {
        "FDETAILID__FFLEX5": {"FNumber": "RD"},
        "FDETAILID__FFLEX6": {"FNumber": "C001"},
        "FDETAILID__FF9": {"FNumber": "x"},
    }
    site.saved(travel(FDetailID=extra), owed())
    assert site.query("FDetailID.FFLEX6.FNumber", "FDEBIT>0") == [[None]]
    site.options(stray_dimensions="refuse")
    assert messages(site.save(travel(FDetailID=extra), owed())) == [
        "第1行分录的科目“6602.10”没有核算维度“客户”"
    ]


def test_another_company_has_other_flex_columns(site: Caller) -> None:
    site.options(flex={"department": "FFLEX9", "employee": "FF100005"})
    assert messages(site.save())[0].endswith("核算维度“部门”必录")
    rows = site.query(
        "FNumber,FName,FFLEXNUMBER,FVALUESOURCE", "FFLEXNUMBER is not null", form="BD_FLEXITEMPROPERTY"
    )
    assert [row[2:] for row in rows] == [["FFLEX9", "BD_Department"], ["FF100005", "BD_Empinfo"]]
    site.saved(
        travel(FDetailID={"FDETAILID__FFLEX9": {"FNumber": "RD"}}),
        owed(FDetailID={"FDETAILID__FF100005": {"FNumber": "E0001"}}),
    )


def test_amounts_come_as_numbers_and_texts_and_are_exact(site: Caller) -> None:
    voucher = site.saved(travel("0.10"), travel(0.2), owed("0.30"))
    assert site.query("FDEBIT", "FDEBIT=0.1 or FDEBIT=0.20") == [[0.1], [0.2]]
    site.options(amounts_as_text=True)
    assert site.query("FCREDIT", f"FVOUCHERID={voucher} and FCREDIT<>0") == [["0.3000000000"]]


def test_red_amounts_are_kept_on_their_side(site: Caller) -> None:
    site.saved(travel(-5), owed(-5))
    assert site.query("FDEBIT,FCREDIT,FDC") == [[-5.0, 0.0, 1], [0.0, -5.0, -1]]


def test_foreign_currency_keeps_both_amounts(site: Caller) -> None:
    usd = {"FCURRENCYID": {"FNumber": "PRE007"}, "FEXCHANGERATE": 7.1034}
    site.saved(travel("710.34", FAMOUNTFOR=100, **usd), owed("710.34", FAMOUNTFOR="100.00", **usd))
    keys = "FCURRENCYID.FNumber,FAMOUNTFOR,FDEBIT,FEXCHANGERATE"
    assert site.query(keys, "FDEBIT>0") == [["PRE007", 100.0, 710.34, 7.1034]]
    lacking = site.save(travel("710.34", **usd), owed("710.34", FAMOUNTFOR=100, **usd))
    assert messages(lacking) == ["第1行分录的字段“原币金额”是必填项"]


def test_an_update_deletes_the_entries_that_it_does_not_name_unless_told_not_to(site: Caller) -> None:
    voucher = site.saved(travel(1), travel(2), owed(3))
    first = site.query("FEntity_FEntryID", "FDEBIT=1")[0][0]
    change = {"FVOUCHERID": voucher, "FEntity": [{"FEntryID": first, "FEXPLANATION": "改"}]}
    kept = site.call("Save", {"IsDeleteEntry": "false", "Model": change})
    assert status_of(kept)["IsSuccess"] is True
    assert sorted(row[0] for row in site.query("FEXPLANATION")) == ["报销差旅费", "报销差旅费", "改"]
    gone = site.call("Save", {"Model": change})
    assert messages(gone) == ["凭证借贷不平衡"]


def test_only_the_fields_named_are_updated(site: Caller) -> None:
    voucher = site.saved()
    change = {"FVOUCHERID": voucher, "FATTACHMENTS": 3, "FDate": "2026-01-05"}
    site.call("Save", {"NeedUpDateFields": ["FATTACHMENTS"], "Model": change})
    assert site.query("FATTACHMENTS,FDate")[0] == [3, "2026-01-29T00:00:00"]


def test_vouchers_that_were_submitted_are_not_replaced_unless_the_site_lets_them(site: Caller) -> None:
    voucher = site.saved()
    site.call("Submit", ids([voucher]))
    assert status_of(site.save(travel(2), owed(2), FVOUCHERID=voucher))["MsgCode"] == 12
    site.options(replace="any")
    site.saved(travel(2), owed(2), FVOUCHERID=voucher)
    assert site.query("FDEBIT,FDocumentStatus", "FDEBIT>0") == [[2.0, "B"]]


def test_ids_in_place_of_codes(site: Caller) -> None:
    book, word, account = 1, 1, site.query("FACCTID", "FNumber='1001'", form="BD_Account")[0][0]
    other = site.query("FACCTID", "FNumber='1002'", form="BD_Account")[0][0]
    by_id = {
        "FAccountBookID": {"FBOOKID": book},
        "FVOUCHERGROUPID": {"FVCHGROUPID": word},
        "FDate": "2026-01-05",
        "FEntity": [
            {"FACCOUNTID": {"FACCTID": account}, "FDEBIT": 1},
            {"FACCOUNTID": {"FACCTID": other}, "FCREDIT": 1},
        ],
    }
    assert status_of(site.call("Save", {"NumberSearch": "false", "Model": by_id}))["IsSuccess"] is True
    assert status_of(site.call("Save", {"NumberSearch": "false", "Model": model()}))["IsSuccess"] is False


def test_the_same_body_twice_is_refused_for_a_while(site: Caller) -> None:
    repeat = {"ValidateRepeatJson": "true"}
    assert status_of(site.save(data=repeat))["IsSuccess"] is True
    assert messages(site.save(data=repeat)) == ["重复的JSON数据，请勿重复提交"]
    assert status_of(site.save())["IsSuccess"] is True
    site.admin("clock", {"advance_ms": 601_000})
    assert status_of(site.save(data=repeat))["IsSuccess"] is True


def test_a_refused_body_may_come_again(site: Caller) -> None:
    repeat = {"ValidateRepeatJson": True}
    site.admin("period", {"book": "001", "year": 2026, "period": 1, "state": "closed"})
    assert status_of(site.save(data=repeat))["IsSuccess"] is False
    site.admin("period", {"book": "001", "year": 2026, "period": 1, "state": "open"})
    assert status_of(site.save(data=repeat))["IsSuccess"] is True


def test_a_voucher_put_aside_gets_its_number_and_checks_when_it_is_submitted(site: Caller) -> None:
    aside = site.call("Draft", {"Model": model(travel(), owed(1))})["Result"]["Id"]
    good = site.call("Draft", {"Model": model()})["Result"]["Id"]
    assert site.query("FVOUCHERGROUPNO,FDocumentStatus", f"FVOUCHERID={good}")[0] == [None, "Z"]
    answer = site.call("Submit", ids([aside, good]))
    assert [(error["DIndex"], error["Message"]) for error in status_of(answer)["Errors"]] == [
        (0, "凭证借贷不平衡")
    ]
    assert site.query("FVOUCHERGROUPNO,FDocumentStatus", f"FVOUCHERID={good}")[0] == ["1", "B"]


def test_a_number_that_is_taken(site: Caller) -> None:
    site.saved(FVOUCHERGROUPNO="7")
    assert messages(site.save(FVOUCHERGROUPNO="7")) == ["凭证字“PRE001”下的凭证号7已存在"]
    assert site.query("FVOUCHERGROUPNO", f"FVOUCHERID={site.saved()}")[0] == ["8"]


def test_a_field_of_the_companys_own(site: Caller) -> None:
    site.options(custom_fields=["F_VF_KEY"])
    site.saved(F_VF_KEY="acme:EXP-1")
    assert site.query("F_VF_KEY", "F_VF_KEY='acme:EXP-1' and FDEBIT>0") == [["acme:EXP-1"]]
    site.options(custom_fields=[])
    assert status_of(site.query("F_VF_KEY"))["MsgCode"] == 9


@pytest.mark.parametrize(
    ("data", "code"),
    [({"Numbers": "1"}, 8), ({"Ids": [1]}, 8), ({}, 8), ({"Ids": "abc"}, 10), ({"Numbers": ["no"]}, 10)],
)
def test_which_vouchers_must_be_named_as_documented(site: Caller, data: dict[str, Any], code: int) -> None:
    assert status_of(site.call("Submit", data))["MsgCode"] == code


def test_answers_in_the_other_spelling(site: Caller) -> None:
    site.options(ids_as_text=True, success_as_text=True, view_as_text=True)
    body = site.save()
    assert (status_of(body)["IsSuccess"], body["Result"]["Id"]) == ("true", "100001")
    shown = site.call("View", {"Id": "100001"})["Result"]["Result"]
    assert json.loads(shown)["DocumentStatus"] == "A"
    assert status_of(site.save(travel(), owed(1)))["IsSuccess"] == "false"


# Queries


def test_pages_end_where_the_documents_say(site: Caller) -> None:
    for _ in range(5):
        site.saved()
    assert len(site.query("FVOUCHERID", Limit=3)) == 3
    assert len(site.query("FVOUCHERID", StartRow=8, Limit=5)) == 2
    assert len(site.query("FVOUCHERID", StartRow=4, TopRowCount=6, Limit=2000)) == 2  # the row to end before
    assert site.query("FVOUCHERID", StartRow=4, TopRowCount=3) == []
    assert status_of(site.query("FVOUCHERID", Limit="x"))["MsgCode"] == 8
    assert len(site.query("FVOUCHERID", Limit=5000)) == 10
    site.options(over_limit="refuse")
    assert status_of(site.query("FVOUCHERID", Limit=5000))["MsgCode"] == 8


def test_more_than_two_thousand_rows_are_cut_without_a_word(site: Caller) -> None:
    many = [model(*[travel(1) for _ in range(500)], owed(500)) for _ in range(5)]
    assert status_of(site.call("BatchSave", {"Model": many}))["IsSuccess"] is True
    assert len(site.query("FEntity_FEntryID", Limit=2000)) == 2000
    assert len(site.query("FEntity_FEntryID", Limit=0)) == 2000
    assert len(site.query("FEntity_FEntryID", StartRow=2000, Limit=2000)) == 505


def test_an_order_that_leaves_ties_loses_rows_between_pages(site: Caller) -> None:
    for _ in range(20):
        site.saved()

    def pages(order: str) -> set[int]:
        return {
            row[0]
            for start in range(0, 40, 5)
            for row in site.query("FEntity_FEntryID", OrderString=order, StartRow=start, Limit=5)
        }

    assert len(pages("FDate")) < 40
    assert len(pages("FDate,FEntity_FEntryID")) == len(pages("")) == 40


def test_a_row_per_bill_where_the_site_gives_that(site: Caller) -> None:
    site.saved()
    assert len(site.query("FBillNo")) == 2
    site.options(rows="bill")
    assert len(site.query("FBillNo")) == 1
    assert len(site.query("FBillNo", "FDEBIT>0 or FCREDIT>0")) == 2


def test_a_status_may_be_hidden_from_queries(site: Caller) -> None:
    site.options(hidden_statuses="ZA")
    voucher = site.saved()
    assert site.query("FVOUCHERID") == []
    assert site.call("View", {"Id": str(voucher)})["Result"]["Result"]["VOUCHERGROUPNO"] == "1"
    site.call("Submit", ids([voucher]))
    assert len(site.query("FVOUCHERID")) == 2


def test_numbers_of_bills_may_repeat_every_period(site: Caller) -> None:
    site.options(bill_number="word")
    first, second = site.saved(), site.saved(FDate="2026-02-03")
    assert site.query("FBillNo", "FDEBIT>0") == [["记-1"], ["记-1"]]
    done = status_of(site.call("Submit", {"Numbers": ["记-1"]}))["SuccessEntitys"]
    assert [item["Id"] for item in done] == [first, second]


def test_master_data_can_be_looked_up(site: Caller) -> None:
    dimensions = site.query(
        "FNumber,FFlEXITEMPROPERTYID.FName,FFlEXITEMPROPERTYID.FFLEXNUMBER,FInputType",
        "FNumber='6602.10'",
        form="BD_Account",
    )
    assert dimensions == [["6602.10", "部门", "FFLEX5", "1"], ["6602.10", "项目", "FF100002", "2"]]
    assert site.query("FISDETAIL,FLEVEL", "FNumber in ('6602','6602.10')", form="BD_Account") == [
        [False, 1],
        [True, 2],
    ]
    site.admin("period", {"book": "001", "year": 2025, "period": 1, "state": "closed"})
    assert site.query("FCURRENTYEAR,FCURRENTPERIOD", form="BD_AccountBook") == [[2025, 2]]
    periods = site.query(
        "FYEAR,FPERIOD,FPERIODENDDATE", "FYEAR=2026 and FPERIOD=2", form="BD_ACCOUNTCALENDAR"
    )
    assert periods == [[2026, 2, "2026-02-28T00:00:00"]]
    assert site.query("FStaffNumber,FName", "FForbidStatus='A'", form="BD_Empinfo")[0] == ["E0001", "王小明"]


def test_an_account_can_be_forbidden(site: Caller) -> None:
    body = {"formid": "BD_Account", "opNumber": "Forbid", "data": {"Numbers": ["6602.10"]}}
    assert status_of(site.post("DynamicFormService.ExcuteOperation", body).json())["IsSuccess"] is True
    assert site.query("FForbidStatus", "FNumber='6602.10'", form="BD_Account") == [["B"]]
    assert messages(site.save()) == ["第1行分录的科目“6602.10 差旅费”已禁用"]


# Periods, posting, balances


def test_a_closed_period_refuses_everything(site: Caller) -> None:
    voucher = site.saved()
    site.admin("period", {"book": "001", "year": 2026, "period": 1, "state": "closed"})
    closed = "凭证所在的会计期间2026-01已结账，不允许此操作"
    assert messages(site.save()) == [closed]
    for operation in ("Submit", "Delete"):
        assert messages(site.call(operation, ids([voucher]))) == [closed]


def test_what_is_posted_stays(site: Caller) -> None:
    voucher = site.saved()
    for operation in ("Submit", "Audit"):
        site.call(operation, ids([voucher]))
    site.admin("post", {"voucher": voucher})
    assert site.query("FPostStatus,FPOSTERID.FName", "FDEBIT>0") == [[True, "会计"]]
    assert messages(site.call("UnAudit", ids([voucher])))[0].endswith("已过账的凭证不允许反审核！")
    assert "error" in site.admin("delete", {"voucher": voucher})


def test_reviewers_and_posting_by_the_companys_rules(site: Caller) -> None:
    voucher = site.saved()
    site.call("Submit", ids([voucher]))
    site.options(separate_reviewer=True)
    assert messages(site.call("Audit", ids([voucher])))[0].endswith("制单人和审核人不能为同一人！")
    site.options(separate_reviewer=False, post_on_audit=True)
    assert status_of(site.call("Audit", ids([voucher])))["IsSuccess"] is True
    assert site.query("FDocumentStatus,FPostStatus")[0] == ["C", True]


def balance_report(site: Caller, **fields: Any) -> Any:
    asked = {
        "FACCTBOOKID": {"FNumber": "001"},
        "FCURRENCY": 1,
        "FSTARTYEAR": "2026",
        "FSTARTPERIOD": "1",
        "FENDYEAR": "2026",
        "FENDPERIOD": "1",
        "FBALANCELEVEL": "3",
        "FNOTPOSTVOUCHER": "true",
    } | fields
    data = {"FieldKeys": "FBALANCEID,FBALANCENAME,FDEBIT,FCREDIT,FENDCREDIT", "Model": asked}
    return site.call("GetSysReportData", data, form="GL_RPT_AccountBalance")


def test_the_trial_balance_as_a_report(site: Caller) -> None:
    site.saved(travel(1234.5), owed(1234.5))
    result = balance_report(site)["Result"]
    assert (result["IsSuccess"], result["RowCount"]) == (True, 5)
    assert result["Rows"][1] == ["2241.03", "员工往来", None, "1,234.50", "1,234.50"]
    assert result["Rows"][-1] == [None, "合计", "1,234.50", "1,234.50", None]
    assert balance_report(site, FNOTPOSTVOUCHER="false")["Result"]["Rows"] is None  # nothing is posted
    assert balance_report(site, FCURRENCY="")["Result"]["Rows"][1][2:] == [None, None, None]
    assert balance_report(site, FCURRENCY=7)["Result"]["Rows"] is None
    assert messages(balance_report(site, FCURRENCY="PRE001")) == ["输入字符串的格式不正确。"]


def test_balances_as_a_query_count_posted_vouchers(site: Caller) -> None:
    voucher = site.saved()
    site.saved()
    site.admin("post", {"voucher": voucher})
    keys = "FPERIOD,FACCOUNTID.FNumber,FBeginBalance,FDebit,FEndBalance,FDetailID.FFLEX5.FNumber"
    where = "FYEAR=2026 and FPERIOD<=2 and FACCOUNTID.FNumber like '6602%'"
    rows = site.query(keys, where, form="GL_BALANCE", OrderString="FPERIOD,FACCOUNTID.FNumber")
    assert rows == [[1, "6602.10", 0.0, 1128.1, 1128.1, "RD"], [2, "6602.10", 1128.1, 0.0, 1128.1, "RD"]]


# Faults and controls


def test_planned_faults_hide_or_delay_what_happened(site: Caller) -> None:
    for kind, kept in (("drop_before", 0), ("drop_after", 1), ("truncate", 2)):
        site.fault(kind, only=".Save.")
        with pytest.raises(BROKEN):
            site.save(travel(), owed())
        assert len(site.query("FVOUCHERID", "FDEBIT>0")) == kept


def test_a_request_may_be_carried_out_after_its_sender_has_looked(site: Caller) -> None:
    site.fault("late_commit", only=".Save.")
    with pytest.raises(BROKEN):
        site.save()
    assert site.query("FVOUCHERID") == []
    assert site.admin("release") == {"carried_out": 1}
    assert len(site.query("FVOUCHERID", "FDEBIT>0")) == 1


def test_the_vendors_own_refusals(site: Caller) -> None:
    site.fault("vendor", name="session_lost", only="ExecuteBillQuery")
    assert lost(site.query("FVOUCHERID"))
    assert site.query("FVOUCHERID") == []
    site.fault("vendor", name="conflict", only=".Submit.")
    assert status_of(site.call("Submit", {"Ids": "1"}))["MsgCode"] == 13
    site.fault("status", status=502, body="Bad Gateway", only=".View.", skip=1, times=2)
    url = "DynamicFormService.View"
    codes = [site.post(url, {"formid": "GL_VOUCHER", "data": {"Id": "1"}}).status_code for _ in range(4)]
    assert codes == [200, 502, 502, 200]
    assert site.admin("counts", method="GET")["befallen"] == {"vendor": 2, "status": 2}


def test_a_ceiling_of_calls(site: Caller) -> None:
    site.admin("shares", {"shares": {}, "calls_per_second": 1})
    codes = [status_of(site.call("View", {"Id": "1"}))["MsgCode"] for _ in range(5)]
    assert 14 in codes
    site.admin("faults", method="DELETE")
    assert status_of(site.call("View", {"Id": "1"}))["MsgCode"] == 10


def test_controls_need_their_key_and_known_names(site: Caller) -> None:
    url = f"{site.url}/__emulator__/export"
    assert requests.get(url, timeout=TIMEOUT_S).status_code == 403
    assert "未知开关" in site.admin("options", {"no_such": 1})["error"]
    assert "error" in site.admin("options", {"bill_number": "other"})
    assert "error" in site.admin("options", {"flex": {"x'": "y"}})
    assert "error" in site.admin("faults", {"kind": "meteor"})
    assert "error" in site.admin("period", {"book": "001", "year": 2026, "period": 1, "state": "ajar"})


def test_switches_are_kept_over_a_restart(tmp_path: Path) -> None:
    for _ in range(2):
        with running(tmp_path / "k3.sqlite", options=Options(over_limit="refuse")) as (url, _books):
            caller = Caller(url)
            caller.login()
            caller.options(ids_as_text=True)
            kept = caller.admin("options")
            caller.http.close()
            assert (kept["ids_as_text"], kept["over_limit"]) == (True, "refuse")
    with running(tmp_path / "k3.sqlite") as (url, _books):
        caller = Caller(url)
        assert caller.admin("options")["ids_as_text"] is True
        caller.http.close()


def test_callers_at_once_get_every_number_once(site: Caller) -> None:
    def work() -> None:
        other = Caller(site.url)
        other.login()
        for _ in range(5):
            other.saved()
        other.http.close()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    numbers = [int(row[0]) for row in site.query("FVOUCHERGROUPNO", "FDEBIT>0")]
    assert sorted(numbers) == list(range(1, 31))


def test_an_auditor_gets_everything(site: Caller) -> None:
    voucher = site.saved()
    site.admin("amend", {"voucher": voucher, "line": 1, "summary": "会计改过"})
    whole = site.admin("export", method="GET")
    assert [item["lines"][0]["summary"] for item in whole["vouchers"]] == ["会计改过"]
    assert [item["lines"][0]["debit"] for item in whole["vouchers"]] == [112_810]
    assert [(item["actor"], item["operation"]) for item in whole["operations"]] == [
        ("webapi", "create"),
        ("会计", "replace"),
    ]
