"""The emulated YonBIP tenant by plain requests."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from include.emulators.hesi.clock import EmulatorClock
from include.emulators.yonbip import ADMIN_KEY, Credentials, Options, running

NOW_MS = 1_770_000_000_000  # 2026-02-02 in Shanghai
MINE = Credentials()
SAVE = "/yonbip/fi/ficloud/openapi/voucher/addVoucher"
LIST = "/yonbip/fi/ficloud/openapi/voucher/queryVouchers"
DETAIL = "/yonbip/EFI/openapi/voucher/queryVoucherById"
DELETE = "/yonbip/fi/voucher/del"
BOOKS = "/yonbip/fi/fipub/basedoc/querybd/accbook"
PERIODS = "/yonbip/fi/fipub/basedoc/querybd/accperiod"
ACCOUNTS = "/yonbip/AMP/fipub/basedoc/querybd/accsubjectByPager"
FEBRUARY = {"accbookCode": "001", "periodStart": "2026-02", "periodEnd": "2026-02"}
_ids = itertools.count(1)


class Caller:
    def __init__(self, url: str) -> None:
        self.url, self.token = url, ""
        self.addresses = self.get("/open-auth/dataCenter/getGatewayAddress", tenantId=MINE.tenant_id)["data"]
        self.login()

    def get(self, path: str, base: str = "", **query: str) -> Any:
        return requests.get((base or self.url) + path, params=query, timeout=20).json()

    def ask_token(self, secret: str = MINE.app_secret, key: str = MINE.app_key) -> Any:
        stamp = str(NOW_MS)
        digest = hmac.new(secret.encode(), f"appKey{key}timestamp{stamp}".encode(), hashlib.sha256).digest()
        return self.get(
            "/open-auth/selfAppAuth/base/v1/getAccessToken",
            self.addresses["tokenUrl"],
            appKey=key,
            timestamp=stamp,
            signature=base64.b64encode(digest).decode(),
        )

    def login(self) -> None:
        self.token = self.ask_token()["data"]["access_token"]

    def raw(self, path: str, body: Any = None, token: str | None = None) -> requests.Response:
        return requests.post(
            self.addresses["gatewayUrl"] + path,
            params={"access_token": self.token if token is None else token},
            json=body,
            timeout=20,
        )

    def call(self, path: str, body: Any) -> Any:
        return self.raw(path, body).json()

    def admin(self, name: str, /, method: str = "POST", **body: Any) -> Any:
        answer = requests.request(
            method,
            f"{self.url}/__emulator__/{name}",
            json=body,
            headers={"X-Emulator-Key": ADMIN_KEY},
            timeout=20,
        )
        assert answer.ok, answer.text
        return answer.json()

    def vouchers(self) -> list[Any]:
        return list(self.admin("export", "GET")["vouchers"])


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    path = tmp_path_factory.mktemp("yonbip") / "books.sqlite"
    with running(path, clock=EmulatorClock(NOW_MS)) as (url, _books):
        yield Caller(url)


@pytest.fixture
def tenant(served: Caller) -> Iterator[Caller]:
    """The tenant, whose faults and switches are put back and whose token is fresh."""
    served.login()
    yield served
    served.admin("faults", "DELETE")
    served.admin("options", **Options().as_json())


def entry(side: str, account: str, amount: Any, **rest: Any) -> dict[str, Any]:
    amounts = {f"{side}Original": amount, f"{side}Org": amount}
    return {"description": "差旅", "accsubjectCode": account} | amounts | rest


def voucher(amount: Any = 12.3, **changes: Any) -> dict[str, Any]:
    return {
        "accbookCode": "001",
        "voucherTypeCode": "1",
        "period": "2026-02",
        "makerMobile": MINE.maker,
        "makeTime": "2026-02-02",
        "description": "报销",
        "businessId": f"B-{next(_ids)}",
        "bodies": [
            entry(
                "debit", "2241.03", amount, clientAuxiliaryList=[{"filedCode": "0003", "valueCode": "E0001"}]
            ),
            entry(
                "credit", "2241.03", amount, clientAuxiliaryList=[{"filedCode": "0003", "valueCode": "E0002"}]
            ),
        ],
    } | changes


def test_a_voucher_is_saved_listed_shown_and_deleted(tenant: Caller) -> None:
    sent = voucher(13.10)
    saved = tenant.call(SAVE, sent)
    assert (saved["code"], saved["data"]["voucherStatus"], saved["data"]["totalDebitOrg"]) == (
        "200",
        "01",
        13.1,
    )
    identity = saved["data"]["voucherId"]
    listed = tenant.call(LIST, FEBRUARY | {"pager": {"pageIndex": 1, "pageSize": 1000}})["data"]
    (record,) = [each for each in listed["recordList"] if each["header"]["id"] == identity]
    assert record["header"]["displayname"] == f"记-{saved['data']['billCode']}"
    assert record["body"][0]["clientauxiliary"][0]["data"]["code"] == "E0001"
    assert tenant.call(DETAIL, {"voucherId": identity})["data"]["billCode"] == saved["data"]["billCode"]
    assert tenant.call(DELETE, {"ids": [identity]})["code"] == "200"
    assert tenant.call(DELETE, {"ids": [identity]})["message"] == "凭证删除异常，未找到相应凭证！"
    assert tenant.call(DETAIL, {"voucherId": identity})["message"] == "凭证不存在！"


def test_the_gateway_looks_at_path_then_token_then_grant(tenant: Caller) -> None:
    nowhere = tenant.raw("/yonsuite/fi/fipub/basedoc/querybd/accperiod", {}, token="x")
    assert (nowhere.status_code, nowhere.json()["code"]) == (404, "310404")
    for path in ("/yonbip/fi/voucher/audit", "/yonbip/fi/voucher/tally"):
        assert tenant.raw(path, {}).status_code == 404
    assert tenant.raw(LIST, {}, token="").json()["code"] == "310001"
    assert tenant.raw(LIST, {}, token="x").json() == {"code": "310036", "message": "非法token"}
    plain = tenant.raw(PERIODS, {}, token="x")
    assert (plain.status_code, plain.text) == (200, "非法token")
    tenant.admin("options", denied=["queryVouchers"])
    assert tenant.call(LIST, FEBRUARY)["code"] == "310037"


def test_tokens_end_with_their_time_or_at_once(tenant: Caller) -> None:
    assert tenant.ask_token()["data"]["expire"] == 7200
    assert tenant.ask_token(key="stranger")["code"] == "10018"
    assert tenant.ask_token(secret="wrong")["code"] != "00000"
    assert tenant.get("/open-auth/dataCenter/getGatewayAddress", tenantId="x")["code"] == "500"
    tenant.admin("clock", advance_ms=7_200_000)
    assert tenant.call(LIST, FEBRUARY)["code"] == "310036"
    tenant.admin("clock", advance_ms=-7_200_000)
    tenant.admin("tokens")
    assert tenant.call(LIST, FEBRUARY)["code"] == "310036"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"accbookCode": ""}, "账簿code不能为空！"),
        ({"accbookCode": "999"}, "999"),
        ({"voucherTypeCode": "8"}, "凭证类型8"),
        ({"makerMobile": ""}, "不能都为空"),
        ({"period": "2026-03"}, "不在会计期间"),
        ({"bodies": []}, "分录不能为空"),
        ({"bodies": [entry("debit", "9999", 1), entry("credit", "9999", 1)]}, "9999"),
        ({"bodies": [entry("debit", "2241.03", "NaN")]}, "NaN"),
        ({"bodies": [entry("debit", "2241.03", 1.234)]}, "小数位数"),
        ({"bodies": [{"description": "x", "accsubjectCode": "1", "debitOrg": 1}]}, "原币和本币"),
        ({"bodies": [entry("debit", "2241.03", 1, creditOrg=1, creditOriginal=1)]}, "借贷不能同时填写"),
    ],
)
def test_what_is_wrong_is_refused_with_http_200_and_code_404(
    tenant: Caller, change: dict[str, Any], said: str
) -> None:
    before = len(tenant.vouchers())
    answer = tenant.raw(SAVE, voucher(**change))
    assert (answer.status_code, answer.json()["code"]) == (200, "404")
    assert answer.json()["message"].startswith("凭证保存不成功,")
    assert said in answer.json()["message"]
    assert len(tenant.vouchers()) == before


def test_a_closed_period_takes_nothing(tenant: Caller) -> None:
    tenant.admin("period", book="001", year=2026, period=2, state="closed")
    refused = tenant.call(SAVE, voucher())
    tenant.admin("period", book="001", year=2026, period=2, state="open")
    assert "已结账" in refused["message"]


def test_a_repeated_business_id_does_what_the_switch_says(tenant: Caller) -> None:
    sent = voucher()
    first = tenant.call(SAVE, sent)
    assert tenant.call(SAVE, sent) == first
    tenant.admin("options", repeat="refuse", repeat_code="100004")
    again = tenant.call(SAVE, sent)
    assert (again["code"], again["data"]) == ("100004", {"id": first["data"]["voucherId"]})
    tenant.admin("options", repeat="create")
    assert tenant.call(SAVE, sent)["data"]["voucherId"] != first["data"]["voucherId"]


def test_a_resubmit_key_is_kept_for_an_hour(tenant: Caller) -> None:
    tenant.admin("options", resubmit="on", repeat="create")
    sent = voucher(resubmitCheckKey="k" * 32)
    first = tenant.call(SAVE, sent)
    assert tenant.call(SAVE, sent) == first
    tenant.admin("clock", advance_ms=3_600_000)
    assert tenant.call(SAVE, sent)["code"] == "10004"
    tenant.admin("clock", advance_ms=-3_600_000)
    assert tenant.call(SAVE, voucher(resubmitCheckKey="k" * 33))["code"] == "404"


def test_lists_want_periods_and_small_pages(tenant: Caller) -> None:
    tenant.call(SAVE, voucher())
    assert tenant.call(LIST, {"accbookCode": "001"})["data"]["recordCount"] == 0
    assert tenant.call(LIST, FEBRUARY | {"pager": {"pageSize": 1001}})["code"] == "404"
    for index in (0, -1, "x", "9" * 5000):
        assert tenant.call(LIST, FEBRUARY | {"pager": {"pageIndex": index}})["code"] == "404"
    whole = tenant.call(LIST, FEBRUARY)["data"]["recordCount"]
    last = tenant.call(LIST, FEBRUARY | {"pager": {"pageIndex": whole + 1, "pageSize": 1}})["data"]
    assert (last["recordCount"], last["recordList"]) == (whole, [])
    assert tenant.call(LIST, FEBRUARY | {"voucherStatusList": ["04"]})["data"]["recordCount"] == 0


def test_base_documents_come_in_three_shapes(tenant: Caller) -> None:
    (book,) = tenant.call(BOOKS, {"fields": ["id", "code", "accsubjectchart"]})["data"]
    assert book["code"] == "001"
    assert tenant.call(BOOKS, {"fields": "id,code"})["code"] == 999
    periods = tenant.call(PERIODS, {"pageIndex": 1, "pageSize": 1000})
    assert periods["success"] is True
    assert "2026-02" in {each["code"] for each in periods["data"]}
    tenant.admin("options", periods_as="text")
    assert tenant.call(PERIODS, {})["success"] == "true"
    page = tenant.call(ACCOUNTS, {"pageIndex": 2, "pageSize": 5})["data"]
    assert len(page["recordList"]) == 5 < page["recordCount"]


def test_quotas_count_by_the_minute(tenant: Caller) -> None:
    tenant.admin("clock", advance_ms=60_000)
    tenant.admin("options", quota_per_minute=2)
    codes = [str(tenant.call(BOOKS, {})["code"]) for _ in range(3)]
    assert codes == ["200", "200", "310046"]


@pytest.mark.parametrize(("kind", "count"), [("drop_before", 0), ("drop_after", 1), ("truncate", 1)])
def test_a_lost_answer_is_carried_out_or_not(tenant: Caller, kind: str, count: int) -> None:
    sent = voucher()
    tenant.admin("faults", kind=kind, only="addVoucher")
    with pytest.raises(requests.RequestException):
        tenant.raw(SAVE, sent)
    assert sum(each["reference"] == sent["businessId"] for each in tenant.vouchers()) == count


@pytest.mark.parametrize(("name", "code"), [("rate_limit", "310046"), ("processing", "202")])
def test_refusals_can_be_planned(tenant: Caller, name: str, code: str) -> None:
    tenant.admin("faults", kind="vendor", only="addVoucher", name=name)
    assert tenant.call(SAVE, voucher())["code"] == code


def test_calls_at_once_make_one_voucher_for_one_business_id(tenant: Caller) -> None:
    sent = voucher()
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: tenant.call(SAVE, sent), range(8)))
    assert len({each["data"]["voucherId"] for each in answers}) == 1


@pytest.mark.parametrize("raw", [b"[1]", b"{", b'{"a": NaN}', b"[" * 100_000, b'{"a": "\\u00001"}', b"\xff"])
def test_bodies_that_are_no_json_object_are_refused(tenant: Caller, raw: bytes) -> None:
    url = f"{tenant.addresses['gatewayUrl']}{SAVE}?access_token={tenant.token}"
    assert requests.post(url, data=raw, timeout=20).json()["code"] == "310002"


def test_a_killed_tenant_has_what_it_answered(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "include.emulators.yonbip", "--data", str(tmp_path / "books.sqlite")]
    env = os.environ | {"VOUCHERFLOW_EMULATOR_ADMIN_KEY": ADMIN_KEY}
    identities: list[str] = []
    for _ in range(2):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
            assert process.stdout is not None
            tenant = Caller(process.stdout.readline().strip())
            for identity in identities:
                assert tenant.call(DETAIL, {"voucherId": identity})["code"] == "200"
            identities.append(tenant.call(SAVE, voucher())["data"]["voucherId"])
            process.send_signal(signal.SIGKILL)
    assert len(set(identities)) == 2
