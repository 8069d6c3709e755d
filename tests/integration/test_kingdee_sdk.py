"""Kingdee's own SDK against the emulated site. Nothing here knows any client of ours."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import k3cloud_webapi_sdk.main as sdk_main
import pytest
import requests

from include.emulators.http_faults import Fault, FaultPlan
from include.emulators.kingdee import SITE, Credentials, Options, running
from tests.integration.kingdee_client import MINE, model, owed, status_of, travel

ROOT = Path(__file__).resolve().parents[2]
Sdk = Any
Connect = Callable[..., Sdk]


def connect(url: str, **other: str) -> Sdk:
    given = {"acct": MINE.acct_id, "user": MINE.user, "app": MINE.app_id, "secret": MINE.app_secret} | other
    sdk = sdk_main.K3CloudApiSdk(f"{url}{SITE}/")
    sdk.InitConfig(given["acct"], given["user"], given["app"], given["secret"], f"{url}{SITE}/")
    return sdk


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    with running(tmp_path / "k3.sqlite") as (url, _books):
        yield url


@pytest.fixture
def sdk(site: str) -> Sdk:
    return connect(site)


def query(sdk: Sdk, **data: Any) -> Any:
    return json.loads(sdk.ExecuteBillQuery(data))


def test_a_voucher_is_saved_found_submitted_audited_and_deleted(sdk: Sdk) -> None:
    whole = json.loads(sdk.QueryBusinessInfo({"FormId": "GL_VOUCHER"}))["Result"]["NeedReturnData"]
    columns = {
        field["LookUpObjectFormId"]: field["Key"]
        for part in whole["Entrys"]  # codespell:ignore entrys
        for field in part["Fields"]
        if field["Key"].startswith("FDETAILID__")
    }
    department, employee = columns["BD_Department"], columns["BD_Empinfo"]
    lines = [
        travel(FDetailID={department: {"FNumber": "RD"}}, FBUSNO="EXP-1"),
        owed(FDetailID={employee: {"FNumber": "E0001"}}),
    ]
    saved = json.loads(
        sdk.Save("GL_VOUCHER", {"Model": model(*lines), "NeedReturnFields": ["FVOUCHERGROUPNO"]})
    )
    voucher = saved["Result"]["Id"]
    assert saved["Result"]["NeedReturnData"] == [{"FVOUCHERGROUPNO": "1"}]
    assert saved["Result"]["ResponseStatus"]["SuccessEntitys"][0]["Id"] == voucher

    column = department.removeprefix("FDETAILID__")
    keys = f"FVOUCHERID,FVOUCHERGROUPNO,FDate,FACCOUNTID.FNumber,FDEBIT,FDetailID.{column}.FNumber,FDocumentStatus"
    assert query(sdk, FormId="GL_VOUCHER", FieldKeys=keys, FilterString="FBUSNO='EXP-1'", Limit=2000) == [
        [voucher, "1", "2026-01-29T00:00:00", "6602.10", 1128.1, "RD", "A"]
    ]
    for operation, then in (("Submit", "B"), ("Audit", "C"), ("UnAudit", "D")):
        answer = json.loads(getattr(sdk, operation)("GL_VOUCHER", {"Ids": str(voucher)}))
        assert status_of(answer)["IsSuccess"] is True
        assert (
            json.loads(sdk.View("GL_VOUCHER", {"Id": str(voucher)}))["Result"]["Result"]["DocumentStatus"]
            == then
        )
    number = saved["Result"]["Number"]
    assert status_of(json.loads(sdk.Delete("GL_VOUCHER", {"Numbers": [number]})))["IsSuccess"] is True
    assert query(sdk, FormId="GL_VOUCHER", FieldKeys="FVOUCHERID") == []


@pytest.mark.parametrize(
    ("asked", "code", "text"),
    [
        (
            {"FormId": "NO_SUCH_FORM", "FieldKeys": "FNumber"},
            4,
            "标识为“NO_SUCH_FORM”的业务对象不存在，或者被删除。",
        ),
        ({"FormId": "GL_VOUCHER", "FieldKeys": "FNoSuchField"}, 9, "元数据中标识为FNoSuchField的字段不存在"),
        ({"FormId": "GL_VOUCHER", "FieldKeys": ""}, 8, "data数据包中的参数FieldKeys的值不能为空。"),
        (
            {"FormId": "GL_VOUCHER", "FieldKeys": "FDetailID.FFLEX5.FNo"},
            9,
            "元数据中标识为FDetailID的字段不存在",
        ),
        ({"FormId": "GL_BALANCE", "FieldKeys": "FYEAR"}, 4, "分页取数需要排序条件或者单据有设置主键"),
    ],
)
def test_a_wrong_query_is_answered_inside_two_lists(
    sdk: Sdk, asked: dict[str, str], code: int, text: str
) -> None:
    status = query(sdk, **asked)[0][0]["Result"]["ResponseStatus"]
    assert (status["IsSuccess"], status["MsgCode"], status["Errors"][0]["Message"]) == (False, code, text)


def test_a_filter_that_cannot_be_read_is_answered_in_the_vendors_words(sdk: Sdk) -> None:
    status = status_of(query(sdk, FormId="GL_VOUCHER", FieldKeys="FVOUCHERID", FilterString="FDate >= and"))
    assert status["MsgCode"] == 4
    assert status["Errors"][0]["Message"].startswith("GetRealExpress error")


def test_statuses_refuse_in_the_vendors_words(sdk: Sdk) -> None:
    saved = json.loads(sdk.Save("GL_VOUCHER", {"Model": model()}))
    voucher, number = saved["Result"]["Id"], saved["Result"]["Number"]
    which = {"Ids": str(voucher)}
    early = json.loads(sdk.Audit("GL_VOUCHER", which))
    assert (
        status_of(early)["Errors"][0]["Message"]
        == f"单据编号为“{number}”的凭证，只有审核中的数据才允许审核！"
    )
    sdk.Submit("GL_VOUCHER", which)
    twice = json.loads(sdk.Submit("GL_VOUCHER", which))
    assert status_of(twice)["Errors"][0]["Message"].endswith("只有暂存、创建和重新审核的数据才允许提交！")
    kept = json.loads(sdk.Delete("GL_VOUCHER", which))
    assert status_of(kept)["Errors"][0]["Message"].endswith("只有暂存、创建和重新审核的数据才允许删除！")
    assert status_of(json.loads(sdk.Delete("GL_VOUCHER", {"Ids": "999999"})))["MsgCode"] == 10


def test_an_id_in_the_model_replaces_that_voucher_without_a_word(sdk: Sdk) -> None:
    first = json.loads(sdk.Save("GL_VOUCHER", {"Model": model()}))["Result"]["Id"]
    other = model(travel(5), owed(5), FVOUCHERID=first)
    assert json.loads(sdk.Save("GL_VOUCHER", {"Model": other}))["Result"]["Id"] == first
    assert query(sdk, FormId="GL_VOUCHER", FieldKeys="FVOUCHERID,FDEBIT,FCREDIT") == [
        [first, 5.0, 0.0],
        [first, 0.0, 5.0],
    ]


def test_a_batch_is_saved_in_part(sdk: Sdk) -> None:
    models = [model(), model(travel(), owed(1)), model()]
    status = status_of(json.loads(sdk.BatchSave("GL_VOUCHER", {"Model": models})))
    assert [item["DIndex"] for item in status["SuccessEntitys"]] == [0, 2]
    assert [(item["DIndex"], item["FieldName"]) for item in status["Errors"]] == [(1, "FDEBIT")]
    assert status["IsSuccess"] is False


def test_an_asynchronous_batch_is_asked_for_until_it_is_done(sdk: Sdk) -> None:
    status = status_of(
        json.loads(sdk.BatchSaveQuery("GL_VOUCHER", {"Model": [model(), model(travel(), owed(1))]}))
    )
    assert [len(status["SuccessEntitys"]), len(status["Errors"])] == [1, 1]


@pytest.mark.parametrize("wrong", ["user", "secret", "app"])
def test_wrong_credentials_read_as_a_lost_session(site: str, wrong: str) -> None:
    sdk = connect(site, **{wrong: Credentials().app_id[:-1] + "x" if wrong == "app" else "wrong"})
    status = status_of(query(sdk, FormId="BD_Currency", FieldKeys="FNumber"))
    assert (status["MsgCode"], status["Errors"][0]["Message"]) == (1, "会话信息已丢失，请重新登录")
    again = status_of(
        query(sdk, FormId="BD_Currency", FieldKeys="FNumber")
    )  # the session id just given out is none
    assert again["MsgCode"] == 1


def test_a_live_session_hides_wrong_credentials(sdk: Sdk) -> None:
    assert query(sdk, FormId="BD_Currency", FieldKeys="FNumber")
    sdk.identify.AppSecret = "0" * 32
    assert query(sdk, FormId="BD_Currency", FieldKeys="FNumber")[0] == ["PRE001"]


def test_a_wrong_data_centre_is_no_answer_at_all(site: str) -> None:
    with pytest.raises(RuntimeError, match="Fail to verify thirty passport"):
        connect(site, acct="000").ExecuteBillQuery({"FormId": "BD_Currency", "FieldKeys": "FNumber"})


def test_a_gateway_answers_519_to_old_timestamps_and_unknown_paths(tmp_path: Path) -> None:
    with running(tmp_path / "k3.sqlite", options=Options(gateway=True)) as (url, books):
        sdk = connect(url)
        assert query(sdk, FormId="BD_Currency", FieldKeys="FNumber")
        books.clock.advance(600_000)
        with pytest.raises(RuntimeError) as caught:
            query(sdk, FormId="BD_Currency", FieldKeys="FNumber")
        assert json.loads(str(caught.value))["errcode"] == 4006
        unsigned = requests.post(f"{url}{SITE}/Nothing.common.kdsvc", json={}, timeout=20)
        assert (unsigned.status_code, unsigned.json()["errcode"]) == (519, 5001)


def test_signatures_are_checked_to_the_letter(site: str) -> None:
    sdk = connect(site)
    path = f"{site}{SITE}/Kingdee.BOS.WebApi.ServicesStub.DynamicFormService.BillQuery.common.kdsvc"
    body = {"data": {"FormId": "BD_Currency", "FieldKeys": "FNumber"}}
    good = sdk.BuildHeader(path)
    assert requests.post(path, json=body, headers=good, timeout=20).json()[0] == {"FNumber": "PRE001"}
    for name in ("X-Api-Signature", "X-Kd-Signature", "x-api-timestamp", "x-api-nonce", "X-Api-ClientID"):
        answer = requests.post(path, json=body, headers=good | {name: good[name] + "x"}, timeout=20).json()
        assert status_of(answer)["MsgCode"] == 1, name
    other = sdk.BuildHeader(path.replace("BillQuery", "View"))
    assert status_of(requests.post(path, json=body, headers=other, timeout=20).json())["MsgCode"] == 1


def test_a_lost_answer_hides_a_saved_voucher(tmp_path: Path) -> None:
    plan = FaultPlan()
    with running(tmp_path / "k3.sqlite", plan=plan) as (url, _books):
        sdk = connect(url)
        query(sdk, FormId="BD_Currency", FieldKeys="FNumber")
        headers = {"X-Emulator-Key": "emulator-admin"}
        fault = {"kind": "drop_after", "only": ".Save."}
        requests.post(f"{url}/__emulator__/faults", json=fault, headers=headers, timeout=20)
        with pytest.raises(requests.ConnectionError):
            sdk.Save("GL_VOUCHER", {"Model": model(travel(FBUSNO="EXP-9"), owed())})
        found = query(sdk, FormId="GL_VOUCHER", FieldKeys="FVOUCHERGROUPNO", FilterString="FBUSNO = 'EXP-9'")
        assert found == [["1"]]


def test_an_exception_of_the_server_comes_as_a_text(tmp_path: Path) -> None:
    plan = FaultPlan()
    plan.plan(Fault("vendor", name="response_error", body="未将对象引用设置到对象的实例"))
    with (
        running(tmp_path / "k3.sqlite", plan=plan) as (url, _books),
        pytest.raises(RuntimeError, match="response_error"),
    ):
        query(connect(url), FormId="BD_Currency", FieldKeys="FNumber")


@contextmanager
def own_process(data: Path) -> Iterator[str]:
    """A site as a process of its own, killed at the end whatever happens: nothing waits for it when a test fails."""
    with subprocess.Popen(
        [sys.executable, "-m", "include.emulators.kingdee", "--data", str(data)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip().removesuffix(f"{SITE}/")
        finally:
            process.kill()


def test_a_killed_site_keeps_what_it_had_answered(tmp_path: Path) -> None:
    data = tmp_path / "k3.sqlite"
    with own_process(data) as url:
        voucher = json.loads(connect(url).Save("GL_VOUCHER", {"Model": model()}))["Result"]["Id"]
    with own_process(data) as url:
        assert query(connect(url), FormId="GL_VOUCHER", FieldKeys="FVOUCHERID", FilterString="FCREDIT>0") == [
            [voucher]
        ]
