"""Worlds from event logs: a tiny hand-made log always, the real ones where they are at hand."""

from __future__ import annotations

import csv
import gzip
import os
from collections import defaultdict
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path

import pytest

from include.emulators.hesi import EmulatorError, load_events

EVENT_HEAD = "case_id,seq,timestamp,activity,role,resource"


def write(folder: Path, name: str, cases: str, events: str) -> None:
    for kind, text in (("cases", cases), ("events", events)):
        with gzip.open(folder / f"{name}.{kind}.csv.gz", "wt", encoding="utf-8") as file:
            file.write(text.strip() + "\n")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(
        tmp_path,
        "DomesticDeclarations",
        "case_id,Amount,BudgetNumber,DeclarationNumber,id\nd1,10.125,b,n,i\nd2,0.005,b,n,i\nd3,7,b,n,i",
        f"""{EVENT_HEAD}
d1,0,2017-01-09T09:49:50.000+01:00,Declaration SUBMITTED by EMPLOYEE,EMPLOYEE,STAFF MEMBER
d1,1,2017-01-09T11:27:48.000+01:00,Declaration FINAL_APPROVED by SUPERVISOR,SUPERVISOR,STAFF MEMBER
d1,2,2017-01-10T09:34:44.000+01:00,Request Payment,UNDEFINED,SYSTEM
d1,3,2017-01-12T17:31:22.500+01:00,Payment Handled,UNDEFINED,SYSTEM
d2,0,2017-01-09T10:00:00.000+01:00,Declaration SUBMITTED by EMPLOYEE,EMPLOYEE,STAFF MEMBER
d2,1,2017-01-09T11:00:00.000+01:00,Declaration REJECTED by SUPERVISOR,SUPERVISOR,STAFF MEMBER
d3,0,2017-01-09T10:00:00.000+01:00,Declaration SAVED by EMPLOYEE,EMPLOYEE,STAFF MEMBER""",
    )
    write(
        tmp_path,
        "PrepaidTravelCost",
        "case_id,OrganizationalEntity,Project,RequestedAmount\nr1,organizational unit 65,project 7,854.579837",
        f"""{EVENT_HEAD}
r1,0,2017-01-09T14:48:43.000+01:00,Permit SUBMITTED by EMPLOYEE,EMPLOYEE,STAFF MEMBER
r1,1,2017-01-12T11:40:27.000+01:00,Request For Payment SUBMITTED by EMPLOYEE,EMPLOYEE,STAFF MEMBER
r1,2,2017-01-13T11:40:27.000+01:00,Payment Handled,UNDEFINED,SYSTEM""",
    )
    write(
        tmp_path,
        "RequestForPayment",
        "case_id,OrganizationalEntity,Project,RequestedAmount\nr1,organizational unit 65,UNKNOWN,15.182427",
        f"""{EVENT_HEAD}
r1,0,2017-01-09T09:17:18.000+01:00,Request For Payment SUBMITTED by EMPLOYEE,EMPLOYEE,STAFF MEMBER
r1,1,2017-01-10T12:42:32.000+01:00,Request For Payment FINAL_APPROVED by DIRECTOR,DIRECTOR,STAFF MEMBER""",
    )
    return tmp_path


def test_cases_become_documents_with_their_state_and_amount(folder: Path) -> None:
    world = load_events(folder)
    seen = {
        item.id: (
            item.form_type,
            item.state,
            world.truth[item.id].gross,
            world.truth[item.id].voucher_expected,
        )
        for item in world.documents.values()
    }
    assert seen == {
        "EV_B_d1": ("expense", "paid", 1012, True),  # 10.125 half-even
        "EV_B_d2": ("expense", "rejected", 0, False),  # 0.005 half-even
        "EV_B_d3": ("expense", "draft", 700, False),
        "EV_J_r1": ("loan", "paid", 85_458, True),
        "EV_Z_r1": ("payment", "approving", 1518, False),
    }


def test_the_history_is_the_cases_own(folder: Path) -> None:
    world = load_events(folder)
    shown = world.render(world.documents["EV_B_d1"], detail=True)
    assert [
        (entry["action"], entry["state"], entry["operatorId"].rpartition(":")[2]) for entry in shown["logs"]
    ] == [
        ("freeflow.submit", "approving", "EMPLOYEE"),
        ("freeflow.agree", "approving", "SUPERVISOR"),
        ("freeflow.agree", "paying", "ebot"),
        ("freeflow.pay", "paid", "ebot"),
    ]
    assert shown["form"]["payDate"] == shown["updateTime"] == 1484238682500
    assert shown["form"]["expenseMoney"]["standardStrCode"] == "EUR"
    assert shown["form"]["expenseMoney"]["standard"] == "10.12"


def test_departments_and_projects_are_in_the_lists(folder: Path) -> None:
    world = load_events(folder)
    form = world.render(world.documents["EV_J_r1"], detail=True)["form"]
    departments = {item["id"]: item["code"] for item in world.catalog.departments}
    assert departments[form["loanDepartment"]] == "OU65"
    assert form["项目"] in {item["id"] for item in world.catalog.items_of("项目")}
    entities = {item["id"]: item["code"] for item in world.catalog.items_of("法人实体")}
    assert entities[form["法人实体"]] == "EU01"
    claim = world.render(world.documents["EV_B_d1"], detail=True)["form"]
    assert departments[claim["expenseDepartment"]] == "D00"
    assert claim["submitterId"] in {item["id"] for item in world.catalog.staffs}


def test_the_submission_of_a_permit_is_not_that_of_the_request(folder: Path) -> None:
    loan = load_events(folder).documents["EV_J_r1"]
    assert loan.submit_date == 1484217627000


@pytest.mark.parametrize(
    ("cases", "events", "message"),
    [
        (
            "case_id,Amount\nd1,much",
            f"{EVENT_HEAD}\nd1,0,2017-01-09T09:49:50+01:00,x,EMPLOYEE,STAFF",
            "不是数字",
        ),
        ("case_id,Amount\nd1,1", f"{EVENT_HEAD}\nd1,0,yesterday,x,EMPLOYEE,STAFF", "unreadable event"),
        ("case_id,Amount\nd1,1", EVENT_HEAD, "no events"),
        ("case_id,Amount\nd1", f"{EVENT_HEAD}\nd1,0,2017-01-09T09:49:50+01:00,x,EMPLOYEE,STAFF", "columns"),
    ],
)
def test_a_broken_log_names_file_and_line(tmp_path: Path, cases: str, events: str, message: str) -> None:
    write(tmp_path, "DomesticDeclarations", cases, events)
    with pytest.raises(EmulatorError, match=message) as caught:
        load_events(tmp_path)
    assert "DomesticDeclarations" in str(caught.value)
    assert "第 2 行" in str(caught.value)


def test_a_folder_without_logs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EmulatorError, match="no event log"):
        load_events(tmp_path)


def real_logs() -> Path | None:
    root = Path(__file__).resolve().parents[3]
    folder = Path(os.environ.get("VOUCHERFLOW_EVENTS") or root.parent / "shared" / "data" / "bpi2020")
    return folder if (folder / "DomesticDeclarations.cases.csv.gz").is_file() else None


@pytest.mark.skipif(
    real_logs() is None, reason="the BPI 2020 logs are not here; VOUCHERFLOW_EVENTS names their folder"
)
def test_real_logs_tie_to_the_cent() -> None:
    folder = real_logs()
    assert folder is not None
    world = load_events(folder)
    expected: dict[str, Decimal] = defaultdict(Decimal)
    for log, kind, column in (
        ("DomesticDeclarations", "expense", "Amount"),
        ("PrepaidTravelCost", "loan", "RequestedAmount"),
        ("RequestForPayment", "payment", "RequestedAmount"),
    ):
        with gzip.open(folder / f"{log}.events.csv.gz", "rt", newline="") as file:
            paid = {row["case_id"] for row in csv.DictReader(file) if row["activity"] == "Payment Handled"}
        with gzip.open(folder / f"{log}.cases.csv.gz", "rt", newline="") as file:
            for row in csv.DictReader(file):
                if row["case_id"] in paid:
                    expected[kind] += Decimal(row[column]).quantize(Decimal("0.01"), ROUND_HALF_EVEN)
    actual: dict[str, Decimal] = defaultdict(Decimal)
    for document in world.documents.values():
        if document.state == "paid":
            actual[document.form_type] += Decimal(world.truth[document.id].gross) / 100
    assert actual == expected
