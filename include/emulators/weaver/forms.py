"""Workflows (流程路径) with their nodes, forms and fields, as an administrator has designed them.

A form is data: it lies in the emulator's database and can be changed while clients read (`changes.py`).
Field names are the initials of their labels, as customers' forms have them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

EXPENSE = 61
LOAN = 62
REGISTER = 63
"""Workflow ids: 费用报销, 员工借款, 凭证登记."""

START, APPROVE, SUBMIT, ARCHIVE = "0", "1", "2", "3"
"""Node types: 创建, 批准, 提交, 归档."""


@dataclass(frozen=True, slots=True)
class Node:
    """A node of a workflow. `kind` is a node type; `role` says who acts there (see `Company.actor`)."""

    id: int
    name: str
    kind: str
    role: str


@dataclass(frozen=True, slots=True)
class Field:
    """A form field. `html` and `type` are e-cology's fieldHtmlType and fieldType:

    html 1 single line (type 1 text, 2 integer, 3 decimal, 4 amount in capitals, 5 amount with separators), 2 several
    lines, 3 browser (type 1 person, 2 date, 4 department, 8 project, 16 request, 164 branch), 5 selection,
    6 attachment. `options` are a selection's (value, label); values count from 0. `archived_edit`: may still be saved
    once the request is archived, where the installation lets anybody do that.
    """

    id: int
    name: str
    label: str
    html: str
    type: str
    db_type: str
    options: tuple[tuple[str, str], ...] = ()
    mandatory: bool = False
    archived_edit: bool = False


@dataclass(frozen=True, slots=True)
class Form:
    """Main table `table` and detail tables by their suffix, dt1, dt2 …"""

    table: str
    main: tuple[Field, ...]
    details: Mapping[str, tuple[Field, ...]] = field(default_factory=dict)
    titles: Mapping[str, str] = field(default_factory=dict)

    def detail_table(self, suffix: str) -> str:
        return f"{self.table}_{suffix}"


@dataclass(frozen=True, slots=True)
class Workflow:
    """A workflow and its form; `form_id` is negative, as for every form that a customer has designed."""

    id: int
    name: str
    type_id: int
    type_name: str
    form_id: int
    mark: str
    nodes: tuple[Node, ...]
    form: Form

    def node(self, node_id: int) -> Node:
        return next(node for node in self.nodes if node.id == node_id)

    def after(self, node_id: int) -> Node | None:
        """The node that a submission leads to; None at the end."""
        index = [node.id for node in self.nodes].index(node_id) + 1
        return self.nodes[index] if index < len(self.nodes) else None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


CURRENCIES = (("0", "人民币"), ("1", "美元"), ("2", "欧元"), ("3", "港币"))
CURRENCY_CODES = {"0": "CNY", "1": "USD", "2": "EUR", "3": "HKD"}
FEES = (
    ("0", "交通费"),
    ("1", "住宿费"),
    ("2", "餐饮费"),
    ("3", "办公费"),
    ("4", "业务招待费"),
    ("5", "通讯费"),
    ("6", "会议费"),
    ("7", "培训费"),
)
RATES = (("0", "0%"), ("1", "1%"), ("2", "3%"), ("3", "6%"), ("4", "9%"), ("5", "13%"))
RATE_PERCENT = {"0": 0, "1": 1, "2": 3, "3": 6, "4": 9, "5": 13}
INVOICES = (
    ("0", "增值税专用发票"),
    ("1", "增值税普通发票"),
    ("2", "铁路电子客票"),
    ("3", "定额发票"),
    ("4", "无发票"),
)
VOUCHER_STATES = (("0", "未生成"), ("1", "已生成"), ("2", "生成失败"), ("3", "已冲销"))


class _Columns:
    """Column types of a database, and running field ids."""

    def __init__(self, database: str, first_id: int) -> None:
        self.oracle = database == "oracle"
        self.next_id = first_id

    def _field(self, name: str, label: str, html: str, kind: str, db_type: str, **more: Any) -> Field:
        self.next_id += 1
        return Field(self.next_id, name, label, html, kind, db_type, **more)

    def text(self, name: str, label: str, **more: Any) -> Field:
        return self._field(name, label, "1", "1", "varchar2(300)" if self.oracle else "varchar(300)", **more)

    def long_text(self, name: str, label: str, **more: Any) -> Field:
        return self._field(name, label, "2", "1", "clob" if self.oracle else "text", **more)

    def amount(self, name: str, label: str) -> Field:
        return self._field(name, label, "1", "3", "number(15,2)" if self.oracle else "decimal(15,2)")

    def rate(self, name: str, label: str) -> Field:
        return self._field(name, label, "1", "3", "number(15,6)" if self.oracle else "decimal(15,6)")

    def separated(self, name: str, label: str) -> Field:
        return self._field(name, label, "1", "5", "varchar2(30)" if self.oracle else "varchar(30)")

    def capitals(self, name: str, label: str) -> Field:
        return self._field(name, label, "1", "4", "number(15,2)" if self.oracle else "decimal(15,2)")

    def date(self, name: str, label: str) -> Field:
        return self._field(name, label, "3", "2", "char(10)")

    def browser(self, name: str, label: str, kind: str, **more: Any) -> Field:
        return self._field(name, label, "3", kind, "integer" if self.oracle else "int", **more)

    def choice(self, name: str, label: str, options: Sequence[tuple[str, str]], **more: Any) -> Field:
        db_type = "integer" if self.oracle else "int"
        return self._field(name, label, "5", "1", db_type, options=tuple(options), **more)

    def attachment(self, name: str, label: str) -> Field:
        return self._field(name, label, "6", "1", "varchar2(4000)" if self.oracle else "text")

    def head(self, person_label: str) -> tuple[Field, ...]:
        return (
            self.text("djbh", "单据编号"),
            self.browser("sqr", person_label, "1", mandatory=True),
            self.browser("sqbm", "申请部门", "4", mandatory=True),
            self.browser("gs", "公司", "164"),
            self.date("sqrq", "申请日期"),
        )

    def voucher(self) -> tuple[Field, ...]:
        """Where the accounting system's answer goes."""
        return (
            self.text("pzh", "凭证号", archived_edit=True),
            self.text("pzqj", "会计期间", archived_edit=True),
            self.choice("pzzt", "凭证状态", VOUCHER_STATES, archived_edit=True),
            self.long_text("pzcw", "凭证错误信息", archived_edit=True),
        )


def _expense_form(columns: _Columns) -> Form:
    main = (
        *columns.head("报销人"),
        columns.browser("xm", "项目", "8"),
        columns.choice("bxlx", "报销类型", (("0", "日常费用"), ("1", "差旅费用"))),
        columns.choice("bz", "币种", CURRENCIES),
        columns.rate("hl", "汇率"),
        columns.amount("bxzje", "报销总金额"),
        columns.separated("bbje", "本币金额"),
        columns.separated("hxje", "核销借款金额"),
        columns.amount("sfje", "实付金额"),
        columns.capitals("dxje", "大写金额"),
        columns.long_text("sy", "事由"),
        columns.attachment("fj", "附件"),
        *columns.voucher(),
    )
    fees = (
        columns.choice("fylx", "费用类型", FEES, mandatory=True),
        columns.date("fyrq", "费用日期"),
        columns.browser("fybm", "承担部门", "4"),
        columns.browser("fyxm", "承担项目", "8"),
        columns.separated("je", "金额"),
        columns.choice("sl", "税率", RATES),
        columns.amount("se", "税额"),
        columns.choice("fpzl", "发票种类", INVOICES),
        columns.text("fphm", "发票号码"),
        columns.text("zy", "摘要"),
    )
    offsets = (
        columns.browser("jkdh", "借款单", "16", mandatory=True),
        columns.amount("hxje", "本次核销金额"),
    )
    titles = {"dt1": "费用明细", "dt2": "核销明细"}
    return Form("formtable_main_71", main, {"dt1": fees, "dt2": offsets}, titles)


def _loan_form(columns: _Columns) -> Form:
    main = (
        *columns.head("借款人"),
        columns.amount("jkje", "借款金额"),
        columns.capitals("dxje", "大写金额"),
        columns.date("yjhkrq", "预计还款日期"),
        columns.long_text("jkyt", "借款用途"),
        *columns.voucher(),
    )
    return Form("formtable_main_72", main)


def _register_form(columns: _Columns) -> Form:
    main = (
        columns.browser("ydj", "原单据", "16", mandatory=True),
        columns.text("ydjbh", "原单据编号"),
        *(replace(item, archived_edit=False) for item in columns.voucher()),
    )
    return Form("formtable_main_73", main)


def designed(database: str, write_back: str) -> tuple[Workflow, ...]:
    """The three workflows for a database and a way of writing back (see `Options`)."""
    columns = _Columns(database, 8100)
    posting = write_back == "voucher_node"

    def nodes(first: int) -> tuple[Node, ...]:
        steps = [
            Node(first, "创建", START, "creator"),
            Node(first + 1, "部门经理审批", APPROVE, "manager"),
            Node(first + 2, "财务审核", APPROVE, "accountant"),
        ]
        if posting:
            steps.append(Node(first + 3, "财务制证", SUBMIT, "accountant"))
        return (*steps, Node(first + 4, "归档", ARCHIVE, "creator"))

    register = (Node(631, "创建", START, "creator"), Node(635, "归档", ARCHIVE, "creator"))
    return (
        Workflow(EXPENSE, "费用报销", 12, "财务类", -71, "BX", nodes(611), _expense_form(columns)),
        Workflow(LOAN, "员工借款", 12, "财务类", -72, "JK", nodes(621), _loan_form(columns)),
        Workflow(REGISTER, "凭证登记", 12, "财务类", -73, "PZ", register, _register_form(columns)),
    )


def workflow_from_json(value: Mapping[str, Any]) -> Workflow:
    """The inverse of `Workflow.as_json`."""

    def read_field(item: Mapping[str, Any]) -> Field:
        options = tuple((str(key), str(label)) for key, label in item["options"])
        return Field(**{**item, "options": options})

    form = value["form"]
    return Workflow(
        **{
            **value,
            "nodes": tuple(Node(**node) for node in value["nodes"]),
            "form": Form(
                form["table"],
                tuple(read_field(item) for item in form["main"]),
                {name: tuple(read_field(item) for item in items) for name, items in form["details"].items()},
                dict(form["titles"]),
            ),
        }
    )
