"""The emulated NC site beside its platform: the company's views, the controls, trouble on the way, kills."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from include.emulators.nc import ADMIN_KEY, BOOK, SERVLET, Credentials
from tests.integration.nc_client import BROKEN, Caller, file, item, owed, told, travel, voucher
from tests.integration.nc_fixtures import site

__all__ = ["site"]
ROOT = Path(__file__).parents[2]


def month(number: int) -> dict[str, str]:
    return {"period": f"{number:02d}", "prepareddate": f"2026-{number:02d}-15"}


# The company's views


def test_vouchers_come_in_pages(site: Caller) -> None:
    site.send(*(voucher(f"P-{number}", **month(3)) for number in range(5)))
    seen: list[str] = []
    after, more = "", True
    while more:
        page = site.view("vouchers", book=BOOK, period="2026-03", after=after, limit=2)
        assert len(page["rows"]) <= 2
        seen += [row["external_id"] for row in page["rows"]]
        after, more = page["rows"][-1]["pk_voucher"], page["more"]
    assert seen == [f"P-{number}" for number in range(5)]


def test_a_voucher_as_the_view_shows_it(site: Caller) -> None:
    site.send(voucher("A-1", travel("12.5"), owed("12.50"), **month(4)))
    (row,) = site.view("vouchers", book=BOOK, period="2026-04", external_id="A-1")["rows"]
    assert len(row.pop("pk_voucher")) == 20
    first, second = row.pop("lines")
    assert row == {
        "external_id": "A-1",
        "book": BOOK,
        "period": "2026-04",
        "prepareddate": "2026-04-15",
        "vouchertype": "01",
        "no": 1,
        "status": "未审核",
        "sender": "OA",
        "attachment": 2,
    }
    assert first == {
        "index": 1,
        "explanation": "报销差旅费",
        "account": "6602.10",
        "currency": "CNY",
        "debit": "12.50",
        "credit": "0.00",
        "localdebit": "12.50",
        "localcredit": "0.00",
        "rate": "1",
        "ass": [{"type": "0001", "value": "RD"}],
    }
    assert (second["localcredit"], second["ass"]) == ("12.50", [{"type": "0002", "value": "E0001"}])


def test_an_id_is_found_in_whatever_period_it_went_to(site: Caller) -> None:
    site.send(voucher("A-2", **month(5)))
    assert [row["period"] for row in site.found("A-2")] == ["2026-05"]
    assert site.view("vouchers", book=BOOK, period="2026-06", external_id="A-2")["rows"] == []
    assert site.found("a-2") == []
    site.send(voucher("", **month(5)))
    assert site.found("") == []


def test_statuses_as_people_change_them(site: Caller) -> None:
    for key in ("T-1", "T-2", "T-3", "T-4"):
        site.send(voucher(key, **month(6)))
    site.admin("/status", {"voucher": site.number_of("T-2"), "to": "已审核", "reviews": True})
    site.admin("/post", {"voucher": site.number_of("T-3")})
    site.admin("/void", {"voucher": site.number_of("T-4")})
    rows = site.view("vouchers", book=BOOK, period="2026-06")["rows"]
    assert [row["status"] for row in rows] == ["未审核", "已审核", "已记账", "作废"]


def test_balances_of_what_is_posted(site: Caller) -> None:
    site.send(voucher("B-1", **month(7)), voucher("B-2", **month(7)))
    site.admin("/post", {"voucher": site.number_of("B-1")})

    def moved(**more: str) -> dict[str, tuple[str, str]]:
        rows = site.view("balances", book=BOOK, period="2026-07", **more)["rows"]
        return {row["account"]: (row["debit"], row["credit"]) for row in rows}

    assert moved() == {"6602.10": ("1128.10", "0.00"), "2241.03": ("0.00", "1128.10")}
    assert moved(unposted="Y")["6602.10"] == ("2256.20", "0.00")


def test_a_site_that_posts_at_once(site: Caller) -> None:
    with site.switched(post_on_import=True):
        assert site.one(voucher("B-3", **month(8))).ok
        assert "已经记账" in site.one(voucher("B-3", **month(8)), replace="Y").text
    assert site.found("B-3")[0]["status"] == "已记账"


def test_master_data(site: Caller) -> None:
    accounts = {row["code"]: row for row in site.view("accounts", book=BOOK)["rows"]}
    assert accounts["6602.10"]["parent"] == "6602"
    assert (accounts["6602"]["leaf"], accounts["6602.10"]["leaf"]) == (False, True)
    assert accounts["6602.10"]["ass"] == [
        {"type": "0001", "required": True},
        {"type": "0010", "required": False},
    ]
    site.admin("/period", {"book": BOOK, "year": 2025, "period": 1, "state": "closed"})
    site.admin("/period", {"book": BOOK, "year": 2026, "period": 12, "state": "future"})
    periods = site.view("periods", book=BOOK)["rows"]
    assert periods[0] == {
        "period": "2025-01",
        "begins": "2025-01-01",
        "ends": "2025-01-31",
        "state": "closed",
    }
    assert (periods[1]["state"], periods[-1]["state"]) == ("open", "未开")
    assert [row["code"] for row in site.view("aux", type="0004")["rows"]] == ["C001", "S001", "S002"]
    assert {row["type"] for row in site.view("aux")["rows"]} == {"0001", "0002", "0004", "0010", "0011"}
    assert site.view("books")["rows"] == [
        {"code": BOOK, "name": "示例科技（上海）有限公司", "currency": "CNY", "org": "101005"}
    ]


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("vouchers", {"period": "2026-01"}),
        ("vouchers", {"book": "nothing", "period": "2026-01"}),
        ("vouchers", {"book": BOOK}),
        ("vouchers", {"book": BOOK, "period": "2026-13"}),
        ("vouchers", {"book": BOOK, "period": "2026-01", "limit": "1001"}),
        ("vouchers", {"book": BOOK, "period": "2026-01", "limit": "0"}),
        ("vouchers", {"book": BOOK, "period": "2026-01", "after": "100001"}),
        ("balances", {"book": BOOK, "period": "01"}),
        ("aux", {"type": "0099"}),
        ("accounts", {}),
    ],
)
def test_parameters_that_do_not_fit(site: Caller, name: str, query: dict[str, str]) -> None:
    assert site.view(name, **query)["error"]


def test_the_views_ask_for_a_password_and_may_be_missing(site: Caller) -> None:
    for auth in (None, ("readonly", "wrong"), ("other", Credentials().view_password)):
        answer = requests.get(f"{site.url}/views/books", auth=auth, timeout=20)
        assert answer.status_code == 401
        assert Credentials().view_password not in answer.text
    broken = requests.get(f"{site.url}/views/books", headers={"Authorization": "Basic %%%"}, timeout=20)
    assert broken.status_code == 401
    assert site.view("nothing") == 404
    with site.switched(views=False):
        assert site.view("books") == 404


def test_views_on_a_copy_show_a_voucher_later(site: Caller) -> None:
    with site.switched(view_lag_ms=60_000):
        site.send(voucher("L-1", **month(9)))
        assert site.found("L-1") == []
        site.admin("/clock", {"advance_ms": 60_000})
        assert len(site.found("L-1")) == 1


# Controls, and trouble on the way


def test_an_accountants_edit_shows(site: Caller) -> None:
    site.send(voucher("K-1"))
    site.admin("/amend", {"voucher": site.number_of("K-1"), "line": 1, "summary": "改过"})
    assert site.found("K-1")[0]["lines"][0]["explanation"] == "改过"
    exported = site.admin("/export", method="GET")
    (kept,) = [each for each in exported["vouchers"] if each["reference"] == "K-1"]
    assert [line["debit"] for line in kept["lines"]] == [112810, 0]


def test_ids_are_told_with_what_they_stand_for(site: Caller) -> None:
    site.send(voucher("K-2"))
    key = site.found("K-2")[0]["pk_voucher"]
    site.admin("/delete", {"voucher": site.number_of("K-2")})
    told_ids = {each["id"]: each for each in site.admin("/ids")["result"]}
    assert told_ids["K-2"] == {"sender": "OA", "id": "K-2", "pk_voucher": key, "stands": False}


def test_the_controls_need_their_key(site: Caller) -> None:
    answer = requests.post(f"{site.url}/__emulator__/options", json={}, timeout=20)
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("kind", "stands"),
    [
        ("drop_before", False),
        ("drop_after", True),
        ("truncate", True),
        ("status", False),
        ("late_commit", True),
    ],
)
def test_an_answer_that_is_lost(site: Caller, kind: str, stands: bool) -> None:
    key = f"F-{kind}"
    site.admin("/faults", {"kind": kind, "only": SERVLET})
    if kind == "status":
        assert site.post(file(voucher(key))).status_code == 503
    else:
        with pytest.raises(BROKEN):
            site.post(file(voucher(key)))
    if kind == "late_commit":
        assert site.found(key) == []
        assert site.admin("/release") == {"carried_out": 1}
    assert bool(site.found(key)) is stands
    assert site.one(voucher(key)).ok is not stands


@pytest.mark.parametrize(
    ("name", "said"), [("rate_limit", "繁忙"), ("locked", "加锁"), ("database", "数据库")]
)
def test_refusals_of_the_whole_file(site: Caller, name: str, said: str) -> None:
    site.admin("/faults", {"kind": "vendor", "name": name, "only": SERVLET})
    refused = site.one(voucher(f"V-{name}"))
    assert (refused.ok, refused.id) == (False, "")
    assert said in refused.text
    assert site.one(voucher(f"V-{name}")).ok


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"name": "login_page"}, "<html>"),
        ({"name": "raw", "body": "<ufinterface><result>ok</result></ufinterface>"}, "<result>ok"),
        ({"name": "raw"}, ""),
        ({"name": "soap_fault", "body": "java.lang.OutOfMemoryError"}, "OutOfMemoryError"),
    ],
)
def test_answers_that_are_none(site: Caller, fault: dict[str, Any], said: str) -> None:
    site.admin("/faults", {"kind": "vendor", "only": SERVLET} | fault)
    assert said in site.post(file(voucher("V-9"))).text
    assert site.found("V-9") == []


def test_a_view_in_trouble(site: Caller) -> None:
    site.admin("/faults", {"kind": "vendor", "name": "database", "only": "/views/"})
    assert site.view("books") == 503
    assert site.view("books")["rows"]
    assert site.admin("/counts", method="GET")["calls"]["/views/books"] >= 2


# A process of its own


@contextmanager
def own_process(data: Path) -> Iterator[Caller]:
    """A site as a process, killed at the end whatever happens."""
    command = [sys.executable, "-m", "include.emulators.nc", "--data", str(data)]
    environment = os.environ | {"VOUCHERFLOW_EMULATOR_ADMIN_KEY": ADMIN_KEY}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment) as process:
        try:
            assert process.stdout is not None
            caller = Caller(process.stdout.readline().strip())
            yield caller
            caller.http.close()
        finally:
            process.kill()


def test_a_kill_keeps_what_was_answered_and_its_ids(tmp_path: Path) -> None:
    data = tmp_path / "nc.sqlite"
    with own_process(data) as site:
        content = site.one(voucher("Z-1")).content
        site.admin("/options", {"with_billpk": True})
    with own_process(data) as site:
        assert "已经导入过" in site.one(voucher("Z-1")).text
        (row,) = site.found("Z-1")
        assert content == f"2026|01|记账凭证|{row['no']}"
        answer = site.post(
            file(voucher("Z-2", item(1, "1001", "debit", "1"), item(2, "1002", "credit", "1")))
        )
        assert told(answer.content)[0].ok
        assert b"<billpk>1001ZZ" in answer.content


def test_a_start_that_cannot_be(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "include.emulators.nc",
        "--data",
        str(tmp_path / "x"),
        "--options",
        '{"no": 1}',
    ]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)
    assert ended.returncode == 2
    assert "未知开关" in ended.stderr
