"""A world out of real approval histories: event logs of expense processes, one document a case.

The layout is that of the BPI Challenge 2020 logs as CSV: `<log>.cases.csv.gz` (one row a case) and
`<log>.events.csv.gz` (case_id, seq, timestamp, activity, role, resource). Of each case the document has its
amount, department, project and the course of its approval; people are known by role alone.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from include.emulators.hesi.catalog import LEGAL_ENTITY, PROJECT, SUPPLIER, Catalog
from include.emulators.hesi.clock import EmulatorClock, day_of, midnight_ms
from include.emulators.hesi.logs import Step, entry
from include.emulators.hesi.model import (
    NO_REPAYMENT_DATE,
    Document,
    EmulatorError,
    Loan,
    Repayment,
    Truth,
    pack,
)
from include.emulators.hesi.money import CURRENCIES, LINE, TOTAL, money
from include.emulators.hesi.world import World

Json = dict[str, Any]
Row = dict[str, str]

CORPORATION = "VFEVENTS0corp0"
ENTITY_ITEM = "ID_LE_EU01"
HOME = CURRENCIES["EUR"]
ACCOUNT = "ID_ACC_EUR"
PAYEE = "ID_PAY_PARTNER"
PARTNER = "ID_SUP_PARTNER"
EBOT = "ebot"
UNKNOWN = {"", "UNKNOWN"}
PAID_ACTIVITY = "Payment Handled"


@dataclass(frozen=True, slots=True)
class Log:
    """How one log becomes documents: form type, template, code prefix, the column of the amount, fee type."""

    form_type: str
    template: str
    prefix: str
    amount: str
    fee: str


LOGS: Mapping[str, Log] = {
    "DomesticDeclarations": Log("expense", "SPEC_EXPENSE:1", "B", "Amount", "domestic"),
    "PrepaidTravelCost": Log("loan", "SPEC_LOAN:1", "J", "RequestedAmount", "advance"),
    "RequestForPayment": Log("payment", "SPEC_PAYMENT:1", "Z", "RequestedAmount", "request"),
}
FEES = {"domestic": "国内差旅", "advance": "差旅预支", "request": "付款申请"}

VERBS: Mapping[str, tuple[str, str]] = {
    "SUBMITTED": ("submit", "approving"),
    "APPROVED": ("agree", "approving"),
    "FINAL_APPROVED": ("agree", "approving"),
    "REJECTED": ("reject", "rejected"),
    "SAVED": ("modify", "draft"),
}
"""The verb of an activity ("Declaration REJECTED by SUPERVISOR") → action code and state after it."""


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a case's history; `time` in epoch ms."""

    time: int
    activity: str
    role: str
    resource: str


@dataclass(slots=True)
class Loader:
    """Fills a world case by case, adding departments and projects as they come up."""

    world: World
    departments: dict[str, str] = field(default_factory=dict)
    projects: dict[str, str] = field(default_factory=dict)
    staff: set[str] = field(default_factory=set)

    @property
    def catalog(self) -> Catalog:
        return self.world.catalog

    def department_of(self, case: Row) -> str:
        """The case's organisational unit as a department, the default one where it is not known."""
        unit = case.get("OrganizationalEntity", "")
        if unit in UNKNOWN:
            return self.catalog.own("D00")
        if unit not in self.departments:
            number = unit.rpartition(" ")[2]
            self.departments[unit] = self.catalog.add_department(
                f"OU{number}", unit, f"OU{number}", CORPORATION, ENTITY_ITEM
            )
        return self.departments[unit]

    def project_of(self, case: Row) -> str | None:
        name = case.get("Project", "")
        if name in UNKNOWN:
            return None
        return self.projects.setdefault(name, f"ID_PRJ_{name.rpartition(' ')[2]}")

    def operator_of(self, event: Event) -> str:
        """A staff member for a role, the vendor's robot for what the system did by itself."""
        if event.resource == "SYSTEM":
            return EBOT
        key = event.role.replace(" ", "_")
        if key not in self.staff:
            self.staff.add(key)
            self.catalog.add_staff(key, event.role, key, self.catalog.own("D00"))
        return self.catalog.own(key)

    def add(self, log: Log, case: Row, events: list[Event], where: str) -> None:
        """File one case.

        Raises:
            EmulatorError: no events, or an amount that is no number.
        """
        if not events:
            raise EmulatorError(f"{where}：案例没有事件 · the case has no events")
        cents = _cents(case.get(log.amount), where)
        steps, state = self._steps(events, self.department_of(case))
        paid = next((event.time for event in events if event.activity == PAID_ACTIVITY), None)
        document = Document(
            id=f"EV_{log.prefix}_{case['case_id']}",
            code=f"{log.prefix}{case['case_id']}",
            form_type=log.form_type,
            specification_id=log.template,
            owner_id=self.catalog.own("EMPLOYEE"),
            department_id=self.department_of(case),
            state="paid" if paid is not None else state,
            create_time=events[0].time,
            update_time=max(event.time for event in events),
            submit_date=_submitted(events),
            pay_date=paid,
            packed=b"",
            version=len(events),
        )
        form = self._form(log, case, document, cents)
        document.packed = pack({"form": form, "logs": steps})
        if document.id in self.world.documents:
            raise EmulatorError(f"{where}：案例编号重复 · case {case['case_id']} appears twice")
        self.world.documents[document.id] = document
        self.world.truth[document.id] = Truth(None, document.is_approved, cents)
        if log.form_type == "loan":
            self._loan(document, cents)

    def _steps(self, events: list[Event], department: str) -> tuple[list[Json], str]:
        """The approval history, and the state after its last event."""
        steps, state = [], "draft"
        for number, event in enumerate(events):
            action, state = _verb(event.activity)
            following = self.operator_of(events[number + 1]) if number + 1 < len(events) else None
            step = Step(
                action,
                state,
                self.operator_of(event),
                department,
                event.time,
                following,
                str(number),
                event.activity,
            )
            steps.append(entry(step))
        return steps, state

    def _form(self, log: Log, case: Row, document: Document, cents: int) -> Json:
        form: Json = {
            "code": document.code,
            "title": case["case_id"],
            "printCount": "0",
            "printState": "noPrint",
            "description": "",
            "submitterId": document.owner_id,
            "specificationId": document.specification_id,
            LEGAL_ENTITY: ENTITY_ITEM,
            "payeeId": PAYEE,
            "payMoney": money(cents, HOME, TOTAL),
        }
        if document.submit_date is not None:
            form["submitDate"] = document.submit_date
        if document.pay_date is not None:
            form |= {
                "payDate": document.pay_date,
                "flowEndTime": document.pay_date,
                "paymentChannel": "OFFLINE",
                "paymentAccountId": ACCOUNT,
            }
        project = self.project_of(case)
        if project is not None:
            form[PROJECT] = project
        day = midnight_ms(day_of(document.submit_date or document.create_time))
        fee = self.catalog.own(log.fee)
        if log.form_type == "expense":
            form |= self._claim_fields(document, fee, cents, day)
        elif log.form_type == "loan":
            form |= {
                "loanDate": day,
                "loanMoney": money(cents, HOME),
                "repaymentDate": NO_REPAYMENT_DATE,
                "loanDepartment": document.department_id,
                "u_费用类型": fee,
            }
        else:
            form |= {"expenseDepartment": document.department_id, SUPPLIER: PARTNER, "u_费用类型": fee}
        return form

    def _claim_fields(self, document: Document, fee: str, cents: int, day: int) -> Json:
        line: Json = {
            "feeTypeId": fee,
            "feeTypeForm": {
                "amount": money(cents, HOME, LINE),
                "feeDate": day,
                "detailId": f"{document.id}_1",
                "attachments": [],
                "invoiceForm": {"type": "noExist"},
                "consumptionReasons": "",
            },
            "specificationId": f"{fee}:expense:1",
            "feeType": {
                "id": fee,
                "name": FEES["domestic"],
                "parentId": "",
                "active": True,
                "code": "DOMESTIC",
            },
        }
        return {
            "details": [line],
            "expenseDate": day,
            "expenseDepartment": document.department_id,
            "expenseMoney": money(cents, HOME, TOTAL),
            "companyRealPay": money(0, HOME, TOTAL),
            "writtenOffMoney": money(0, HOME, TOTAL),
        }

    def _loan(self, document: Document, cents: int) -> None:
        loan = Loan(
            f"{document.id}_L",
            document.id,
            document.owner_id,
            document.code,
            cents,
            document.create_time,
            NO_REPAYMENT_DATE,
        )
        self.world.loans[document.id] = loan
        if document.pay_date is not None:
            record = f"{document.id}_R"
            self.world.repayments[record] = Repayment(
                record, document.id, document.id, "OBTAIN", cents, document.pay_date
            )


def load_events(directory: Path, clock: EmulatorClock | None = None) -> World:
    """A world of all logs in a folder; the home currency is the euro, the legal entity's code EU01.

    Raises:
        EmulatorError: no log there, or a row that cannot be read; the message names file and line.
    """
    found = [name for name in LOGS if (directory / f"{name}.cases.csv.gz").is_file()]
    if not found:
        wanted = ", ".join(f"{name}.cases.csv.gz" for name in LOGS)
        raise EmulatorError(f"{directory} 中没有事件日志（{wanted}）· no event log in this folder")
    catalog = Catalog(CORPORATION, HOME, midnight_ms(date(2016, 12, 1)))
    world = World("", catalog, clock or EmulatorClock())
    loader = Loader(world)
    catalog.add_department("", "示例机构 EU01", "ROOT", None, ENTITY_ITEM)
    catalog.add_department("D00", "未指定部门", "D00", CORPORATION, ENTITY_ITEM)
    catalog.add_dimension(LEGAL_ENTITY, "FRST", [(ENTITY_ITEM, "EU01", "示例机构 EU01")])
    catalog.add_dimension(SUPPLIER, "SUP", [(PARTNER, "V000", "往来单位")])
    catalog.add_account(ACCOUNT, "EUR", "EUR", "NL00000000000001")
    catalog.add_payee(PAYEE, "往来单位", "NL00000000000002")
    loader.operator_of(Event(0, "", "EMPLOYEE", ""))
    for key, name in FEES.items():
        catalog.add_fee_type(key, name, key.upper())
    for name in found:
        _load(loader, name, directory)
    catalog.add_dimension(
        PROJECT,
        "DA001",
        [(identity, identity.removeprefix("ID_PRJ_"), name) for name, identity in loader.projects.items()],
    )
    world.label = f"events {'+'.join(found)} cases={len(world.documents)}"
    return world


def _load(loader: Loader, name: str, directory: Path) -> None:
    path = directory / f"{name}.events.csv.gz"
    histories: dict[str, list[Event]] = {}
    for number, row in _rows(path):
        histories.setdefault(row["case_id"], []).append(_event(row, f"{path} 第 {number} 行"))
    path = directory / f"{name}.cases.csv.gz"
    for number, row in _rows(path):
        loader.add(LOGS[name], row, histories.get(row["case_id"], []), f"{path} 第 {number} 行")


def _rows(path: Path) -> Iterator[tuple[int, Row]]:
    """Rows of a packed CSV file with their line numbers.

    Raises:
        EmulatorError: the file is missing, is not packed, or has a row that is too short.
    """
    try:
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            for number, row in enumerate(csv.DictReader(file), start=2):
                if None in row.values() or None in row:
                    raise EmulatorError(f"{path} 第 {number} 行列数不对 · wrong number of columns")
                yield number, row
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise EmulatorError(f"无法读取 {path} · cannot read it: {error}") from error


def _event(row: Row, where: str) -> Event:
    try:
        moment = datetime.fromisoformat(row["timestamp"])
        return Event(round(moment.timestamp() * 1000), row["activity"], row["role"], row["resource"])
    except (KeyError, ValueError) as error:
        raise EmulatorError(f"{where}：事件无法读取 · unreadable event: {error}") from error


def _cents(text: str | None, where: str) -> int:
    """An amount with up to 15 decimals as the OA would hold it: rounded half-even to cents."""
    try:
        return int((Decimal(text or "") * 100).quantize(Decimal(1), ROUND_HALF_EVEN))
    except InvalidOperation as error:
        raise EmulatorError(f"{where}：金额 {text!r} 不是数字 · the amount is not a number") from error


def _verb(activity: str) -> tuple[str, str]:
    """Action code and state after an activity."""
    if activity == PAID_ACTIVITY:
        return "pay", "paid"
    if activity == "Request Payment":
        return "agree", "paying"
    for verb in activity.split():
        if verb in VERBS:
            return VERBS[verb]
    return "comment", "approving"


def _submitted(events: list[Event]) -> int | None:
    """When the document itself (not its travel permit) was last submitted, None for one that only was saved.

    A few histories lack the submission; what happened to them afterwards proves that there was one.
    """
    if all("SAVED" in event.activity for event in events):
        return None
    times = [
        event.time for event in events if "SUBMITTED" in event.activity and "Permit" not in event.activity
    ]
    return max(times, default=events[0].time)
