"""The emulated NC exchange platform through its servlet: ids, updates, codes, amounts, whole files, limits."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from include.emulators.nc import BOOK
from tests.integration.nc_client import NC6, Caller, file, item, owed, told, travel, voucher
from tests.integration.nc_fixtures import site

__all__ = ["site"]


def february(key: str, *items: str, **head: Any) -> str:
    return voucher(key, *items, **{"period": "02", "prepareddate": "2026-02-10"} | head)


# Ids and numbers


def test_a_voucher_gets_the_next_number_of_its_type_and_period(site: Caller) -> None:
    place = {"period": "03", "prepareddate": "2026-03-31 23:59:59"}
    first, second, other = site.send(
        voucher("N-1", **place), voucher("N-2", **place), voucher("N-3", pk_vouchertype="02", **place)
    )
    assert [each.content for each in (first, second, other)] == [
        "2026|03|记账凭证|1",
        "2026|03|记账凭证|2",
        "2026|03|收款凭证|1",
    ]
    assert [each.id for each in (first, second, other)] == ["N-1", "N-2", "N-3"]
    assert first.ok
    assert "处理完毕" in first.text


def test_a_number_may_be_asked_for_once(site: Caller) -> None:
    place = {"period": "04", "prepareddate": "2026-04-01", "no": "35"}
    assert site.one(voucher("A-1", **place)).content == "2026|04|记账凭证|35"
    again = site.one(voucher("A-2", **place))
    assert not again.ok
    assert "凭证号35已经存在" in again.text
    assert not site.found("A-2")


def test_an_id_is_imported_once(site: Caller) -> None:
    assert site.one(voucher("I-1")).ok
    again = site.one(voucher("I-1", travel("5"), owed("5")))
    assert not again.ok
    assert "已经导入过" in again.text
    assert [row["lines"][0]["debit"] for row in site.found("I-1")] == ["1128.10"]


def test_the_same_id_twice_in_one_file(site: Caller) -> None:
    first, second = site.send(voucher("T-1"), voucher("T-1"))
    assert (first.ok, second.ok) == (True, False)
    assert len(site.found("T-1")) == 1


def test_replace_overwrites_without_a_word(site: Caller) -> None:
    before = site.one(voucher("R-1"))
    after = site.one(voucher("R-1", travel("5"), owed("5")), replace="Y")
    assert after.ok
    assert after.content == before.content
    assert [row["lines"][0]["debit"] for row in site.found("R-1")] == ["5.00"]


def test_another_sender_has_ids_of_its_own(site: Caller) -> None:
    with site.switched(senders=["OA", "EXP"]):
        assert site.one(voucher("S-1")).ok
        assert site.one(voucher("S-1"), sender="EXP").ok
        with site.switched(id_by_sender=False):
            assert site.one(voucher("S-2")).ok
            assert not site.one(voucher("S-2"), sender="EXP").ok


def test_a_voucher_without_an_id_comes_as_often_as_it_is_sent(site: Caller) -> None:
    assert [site.one(voucher("")).ok for _ in range(2)] == [True, True]
    with site.switched(id_required=True):
        assert not site.one(voucher("")).ok


def test_many_at_once_import_an_id_once(site: Caller) -> None:
    answers: list[bool] = []

    def send() -> None:
        caller = Caller(site.url)
        answers.append(caller.one(voucher("M-1")).ok)
        caller.http.close()

    threads = [threading.Thread(target=send) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [False] * 5 + [True]
    assert len(site.found("M-1")) == 1


def test_the_id_of_a_deleted_voucher(site: Caller) -> None:
    site.send(voucher("D-1"))
    site.admin("/delete", {"voucher": site.number_of("D-1")})
    assert not site.one(voucher("D-1")).ok
    assert not site.found("D-1")
    with site.switched(deleted_id="free"):
        assert site.one(voucher("D-1")).ok
    site.admin("/delete", {"voucher": site.number_of("D-1")})
    assert site.one(voucher("D-1"), replace="Y").ok
    site.admin("/delete", {"voucher": site.number_of("D-1")})
    assert site.admin("/forget_id", {"sender": "OA", "id": "D-1"})["result"] is True
    assert site.one(voucher("D-1")).ok


# Updates


def test_a_primary_key_updates_that_voucher(site: Caller) -> None:
    site.send(voucher("U-1"))
    (row,) = site.found("U-1")
    changed = site.one(voucher("", travel("7"), owed("7"), pk_voucher=row["pk_voucher"]))
    assert changed.ok
    (now,) = site.found("U-1")
    assert (now["pk_voucher"], now["no"], now["lines"][1]["credit"]) == (row["pk_voucher"], row["no"], "7.00")


@pytest.mark.parametrize(
    "key", ["1001ZZ00000000999999", "1001A210000000001E7T", "1", "1001ZZ0000000099999九"]
)
def test_a_primary_key_that_is_not_there(site: Caller, key: str) -> None:
    refused = site.one(voucher("U-9", pk_voucher=key))
    assert not refused.ok
    assert "不存在" in refused.text
    assert not site.found("U-9")


@pytest.mark.parametrize(
    ("action", "said"),
    [("post", "已经记账"), ("status", "已审核")],
)
def test_what_people_went_on_with_is_not_overwritten(site: Caller, action: str, said: str) -> None:
    key = f"P-{action}"
    site.send(voucher(key))
    more = {"to": "已审核", "reviews": True} if action == "status" else {}
    site.admin(f"/{action}", {"voucher": site.number_of(key)} | more)
    refused = site.one(voucher(key, travel("5"), owed("5")), replace="Y")
    assert not refused.ok
    assert said in refused.text
    assert site.found(key)[0]["lines"][0]["debit"] == "1128.10"


def test_a_closed_period_takes_and_gives_nothing(site: Caller) -> None:
    june = {"period": "06", "prepareddate": "2026-06-30"}
    site.send(voucher("C-1", **june))
    closing = {"book": BOOK, "year": 2026, "period": 6}
    site.admin("/period", closing | {"state": "closed"})
    late, moved = site.one(voucher("C-2", **june)), site.one(february("C-1"), replace="Y")
    assert "2026-06已经结账" in late.text
    assert "2026-06已经结账" in moved.text
    site.admin("/period", closing | {"state": "future"})
    assert "未打开" in site.one(voucher("C-2", **june)).text
    site.admin("/period", closing | {"state": "open"})
    assert site.one(voucher("C-2", **june)).ok


# Codes and amounts


@pytest.mark.parametrize(
    ("head", "said"),
    [
        ({"pk_accountingbook": "999-0001"}, "核算账簿未匹配到，编码=999-0001"),
        ({"pk_accountingbook": ""}, "核算账簿不能为空"),
        ({"pk_org": "101006"}, "101006"),
        ({"pk_vouchertype": "77"}, "凭证类别未匹配到，编码=77"),
        ({"pk_prepared": "nobody"}, "制单人未匹配到，编码=nobody"),
        ({"pk_prepared": ""}, "制单人不能为空"),
        ({"prepareddate": "2026-13-01"}, "制单日期2026-13-01格式不正确"),
        ({"prepareddate": ""}, "制单日期不能为空"),
        ({"period": "02"}, "不在会计期间2026-02内"),
        ({"year": "2019", "prepareddate": "2019-01-02"}, "2019-01-02没有对应的会计期间"),
        ({"no": "-1"}, "凭证号-1不正确"),
        ({"attachment": "many"}, "附单据数many不正确"),
        ({"voucherkind": "1"}, "voucherkind=1"),
    ],
)
def test_a_head_that_does_not_fit(site: Caller, head: dict[str, str], said: str) -> None:
    refused = site.one(voucher("H-1", **head))
    assert not refused.ok
    assert said in refused.text
    assert refused.content == ""


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([item(1, "9999", "debit", "1"), owed("1")], "影响因素：核算账簿=101005-0001，科目编码=9999"),
        ([item(1, "", "debit", "1"), owed("1")], "第1条分录会计科目不能为空"),
        ([item(1, "2241", "debit", "1"), owed("1")], "不是末级科目"),
        ([travel("1", ass=[]), owed("1")], "会计科目6602.10的辅助核算[0001]不能为空"),
        ([travel("1", ass=[("0001", "NO")]), owed("1")], "辅助核算类型=0001，辅助核算值=NO"),
        ([travel("1", ass=[("0077", "X"), ("0001", "RD")]), owed("1")], "编码=0077"),
        ([travel("1", ass=[("0002", "E0001"), ("0001", "RD")]), owed("1")], "没有辅助核算[0002]"),
        ([travel("1", ass=[("0001", "RD"), ("0001", "FIN")]), owed("1")], "辅助核算类型0001重复"),
        ([travel("1"), owed("2")], "借贷不平衡，借方1.00，贷方2.00"),
        ([travel("0"), owed("0")], "不能同时为零"),
        ([travel("1", creditamount="1", localcreditamount="1"), owed("1")], "不能同时有金额"),
        ([travel("1e3"), owed("1e3")], "debitamount的值1e3不正确"),
        ([travel("NaN"), owed("1")], "debitamount的值NaN不正确"),
        ([travel("1,000.00"), owed("1000")], "debitamount的值1,000.00不正确"),
        ([travel("1", localdebitamount="2"), owed("2")], "原币金额与本币金额不一致"),
        ([travel("1", pk_currtype="XXX"), owed("1")], "币种未匹配到，编码=XXX"),
        ([travel("1", explanation=""), owed("1")], "第1条分录摘要不能为空"),
        ([travel("1", explanation="长" * 301), owed("1")], "摘要长度超过300"),
        ([travel("1", index=1), owed("1", index=1)], "detailindex重复"),
    ],
)
def test_an_entry_that_does_not_fit(site: Caller, entries: list[str], said: str) -> None:
    refused = site.one(voucher("E-1", *entries))
    assert not refused.ok
    assert said in refused.text


def test_a_refusal_names_all_that_is_wrong(site: Caller) -> None:
    wrong = voucher("W-1", item(1, "9999", "debit", "1", ass=[("0077", "X")]), owed("1", explanation=""))
    text = site.one(wrong).text
    assert all(part in text for part in ("9999", "0077", "第2条分录摘要不能为空"))
    with site.switched(problems="first"):
        assert "；" not in site.one(wrong).text


def test_a_sealed_account_and_a_value_out_of_use(site: Caller) -> None:
    site.admin("/account", {"chart": "CN", "code": "1001", "enabled": False})
    site.admin("/item", {"kind": "employee", "code": "E0002", "enabled": False})
    wrong = voucher("Z-1", item(1, "1001", "debit", "1"), owed("1", ass=[("0002", "E0002")]))
    text = site.one(wrong).text
    assert "已经封存" in text
    assert "已经停用" in text


def test_one_code_may_stand_for_suppliers_and_customers(site: Caller) -> None:
    bought = item(1, "2202.01", "credit", "9", ass=[("0004", "S001")])
    sold = item(2, "1122", "debit", "9", ass=[("0004", "C001")])
    assert site.one(voucher("K-1", bought, sold)).ok
    assert [line["ass"] for line in site.found("K-1")[0]["lines"]] == [
        [{"type": "0004", "value": "S001"}],
        [{"type": "0004", "value": "C001"}],
    ]


def test_a_kind_that_the_account_does_not_carry_may_be_dropped(site: Caller) -> None:
    stray = [travel("1", ass=[("0001", "RD"), ("0002", "E0001")]), owed("1")]
    with site.switched(stray_checktypes="drop"):
        assert site.one(voucher("K-2", *stray)).ok
    assert site.found("K-2")[0]["lines"][0]["ass"] == [{"type": "0001", "value": "RD"}]


def test_another_site_has_other_codes(site: Caller) -> None:
    with site.switched(checktypes={"BM": ["department"], "RY": ["employee"]}):
        assert not site.one(voucher("K-3")).ok
        other = [travel("1", ass=[("BM", "RD")]), owed("1", ass=[("RY", "E0001")])]
        assert site.one(voucher("K-3", *other)).ok


def test_a_red_entry_is_negative_on_its_own_side(site: Caller) -> None:
    assert site.one(voucher("X-1", travel("-40"), owed("-40.00"))).ok
    lines = site.found("X-1")[0]["lines"]
    assert [(line["debit"], line["localcredit"]) for line in lines] == [
        ("-40.00", "0.00"),
        ("0.00", "-40.00"),
    ]


def test_foreign_currency_and_a_local_amount_that_is_left_out(site: Caller) -> None:
    bank = item(2, "1002", "credit", "71.03")
    usd = travel("10", pk_currtype="USD", excrate2="7.1034", localdebitamount="")
    assert site.one(voucher("F-1", usd, bank)).ok
    line = site.found("F-1")[0]["lines"][0]
    assert (line["currency"], line["debit"], line["localdebit"], line["rate"]) == (
        "USD",
        "10.00",
        "71.03",
        "7.1034",
    )
    yen = travel("1000", pk_currtype="JPY", excrate2="0.0468", localdebitamount="")
    assert site.one(voucher("F-2", yen, item(2, "1002", "credit", "46.80"))).ok
    assert site.found("F-2")[0]["lines"][0]["debit"] == "1000"


def test_too_many_decimals_are_rounded_without_a_word(site: Caller) -> None:
    exact = [travel("1.005"), owed("1.01")]
    assert site.one(voucher("Q-1", *exact)).ok
    assert site.found("Q-1")[0]["lines"][0]["localdebit"] == "1.01"
    with site.switched(over_scale="refuse"):
        assert "小数位数" in site.one(voucher("Q-2", *exact)).text


def test_the_account_of_nc5_and_the_order_of_entries(site: Caller) -> None:
    first = travel("1", index=2, pk_accasoa="", accsubjcode="6602.10")
    assert site.one(voucher("O-1", first, owed("1", index=1))).ok
    lines = site.found("O-1")[0]["lines"]
    assert [(line["index"], line["account"]) for line in lines] == [(1, "2241.03"), (2, "6602.10")]


def test_a_void_voucher_keeps_its_number_and_counts_nowhere(site: Caller) -> None:
    place = {"period": "08", "prepareddate": "2026-08-08"}
    assert site.one(voucher("V-1", discardflag="Y", **place)).ok
    assert site.found("V-1")[0]["status"] == "作废"
    moved = site.view("balances", book=BOOK, period="2026-08", unposted="Y")["rows"]
    assert {(row["debit"], row["credit"]) for row in moved} <= {("0.00", "0.00")}
    assert site.one(voucher("V-1", **place), replace="Y").ok
    assert site.found("V-1")[0]["status"] == "未审核"


def test_the_date_may_win_over_the_period(site: Caller) -> None:
    with site.switched(period_mismatch="follow_date"):
        assert site.one(voucher("Y-1", period="05")).content.startswith("2026|01|")


# Whole files


def test_a_file_succeeds_in_part_or_as_a_whole(site: Caller) -> None:
    good, bad = voucher("B-1"), voucher("B-2", travel("1"), owed("2"))
    with site.switched(file_is_atomic=True):
        assert [each.ok for each in site.send(good, bad)] == [False, False]
        assert not site.found("B-1")
        assert [each.ok for each in site.send(voucher("B-3"), voucher("B-4"))] == [True, True]
    assert [each.ok for each in site.send(good, bad)] == [True, False]
    assert len(site.found("B-1")) == 1


@pytest.mark.parametrize(
    ("query", "root", "ok"),
    [
        (NC6, {}, True),
        ({"account": "develop", "receiver": "101005"}, {"groupcode": "", "account": ""}, True),
        ({}, {}, True),
        ({"account": "other", "groupcode": "GJJT"}, {}, False),
        ({"account": "develop", "groupcode": "other"}, {}, False),
        ({}, {"account": ""}, False),
        ({"account": "develop"}, {"groupcode": "", "receiver": ""}, False),
        (NC6, {"sender": "nobody"}, False),
        (NC6, {"billtype": "customer"}, False),
    ],
)
def test_who_sends_what_to_where(site: Caller, query: dict[str, str], root: dict[str, str], ok: bool) -> None:
    (only,) = told(site.post(file(voucher(""), **root), query).content)
    assert only.ok is ok


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "解析XML报文失败"),
        (b"<ufinterface", "解析XML报文失败"),
        (b"\xff\xfe\x00", "编码"),
        (b'{"voucher": 1}', "解析XML报文失败"),
        (b"<data/>", "ufinterface"),
        (b'<?xml version="1.0" encoding="latin-1"?><ufinterface/>', "latin-1"),
        (b'<!DOCTYPE r [<!ENTITY a "b">]><ufinterface>&a;</ufinterface>', "DOCTYPE"),
        (b'<!DOCTYPE r SYSTEM "http://127.0.0.1:1/x.dtd"><ufinterface/>', "DOCTYPE"),
        (b"<ufinterface>&undefined;</ufinterface>", "解析XML报文失败"),
        (b"<a>" * 100 + b"</a>" * 100, "嵌套过深"),
        (file().encode(), "没有单据"),
        (file("<voucher id='1'/>").encode(), "voucher_head"),
        (b"x" * (8 * 2**20 + 1), "报文过大"),
    ],
)
def test_files_that_are_none(site: Caller, body: bytes, said: str) -> None:
    answer = site.post(body)
    assert answer.status_code == 200
    (only,) = told(answer.content)
    assert said in only.text
    assert not only.ok


def test_the_number_of_vouchers_in_a_file_may_have_a_ceiling(site: Caller) -> None:
    with site.switched(max_vouchers=1):
        (only,) = site.send(voucher("L-1"), voucher("L-2"))
    assert "超过1" in only.text
    assert not site.found("L-1")
