"""The two approval definitions with their widgets, and how a document becomes the JSON text in `form`.

Amounts are held as "#number:1234.56" and become JSON numbers or strings when a form is read (`render`).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from include.emulators.weaver.amounts import plain
from include.emulators.weaver.clock import day_text
from include.emulators.weaver.company import DEPARTMENTS, PROJECTS
from include.emulators.weaver.forms import FEES, INVOICES, RATES
from include.emulators.weaver.papers import Truth

Json = dict[str, Any]
EXPENSE = "7C468A54-8745-2245-9675-08B7C63E7A85"
LOAN = "EB828003-9FFE-4B3F-AA50-2E199E2ED942"
NAMES: Mapping[str, str] = {EXPENSE: "费用报销", LOAN: "员工借款"}

# (custom_id, label, type, required): the widget's id follows from its place.
EXPENSE_WIDGETS = (
    ("applicant", "报销人", "contact", True),
    ("department", "承担部门", "department", True),
    ("project", "项目", "radioV2", False),
    ("category", "报销类型", "radioV2", True),
    ("date", "申请日期", "date", True),
    ("total", "报销总额", "formula", True),
    ("amount", "报销金额", "amount", True),
    ("loan", "关联借款", "connect", False),
    ("offset", "冲销金额", "amount", False),
    ("paid", "实付金额", "amount", True),
    ("reason", "事由", "textarea", True),
    ("tags", "附带材料", "checkboxV2", False),
    ("lines", "费用明细", "fieldList", True),
)
LINE_WIDGETS = (
    ("fee", "费用类型", "radioV2", True),
    ("day", "发生日期", "date", True),
    ("line_department", "费用部门", "department", False),
    ("line_project", "费用项目", "radioV2", False),
    ("line_amount", "金额", "amount", True),
    ("rate", "税率", "radioV2", False),
    ("tax", "税额", "number", False),
    ("invoice_kind", "发票类型", "radioV2", False),
    ("invoice", "发票号码", "input", False),
    ("note", "摘要", "input", False),
)
LOAN_WIDGETS = (
    ("applicant", "借款人", "contact", True),
    ("department", "借款部门", "department", True),
    ("date", "申请日期", "date", True),
    ("amount", "借款金额", "amount", True),
    ("due", "预计还款日期", "date", False),
    ("purpose", "借款用途", "textarea", True),
)
CATEGORIES = {"0": "日常费用", "1": "差旅费用"}
TAGS = ("发票原件", "行程单", "审批邮件")
_OPTIONS: Mapping[str, Sequence[str]] = {
    "project": [name for name, _ in PROJECTS.values()],
    "line_project": [name for name, _ in PROJECTS.values()],
    "category": list(CATEGORIES.values()),
    "tags": TAGS,
    "fee": [name for _, name in FEES],
    "rate": [name for _, name in RATES],
    "invoice_kind": [name for _, name in INVOICES],
}
_NUMBER = re.compile(r'"#number:(-?[0-9.]+)"')


def _digest(text: str, length: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def open_id(person: int) -> str:
    return "ou_" + _digest(f"open:{person}", 32)


def user_id(person: int) -> str:
    return _digest(f"user:{person}", 8)


def department_id(department: int) -> str:
    return "od-" + _digest(f"department:{department}", 32)


DEPARTMENT_NAMES = {department_id(number): name for number, (name, _) in DEPARTMENTS.items()}


def number(minor: int) -> str:
    return f"#number:{plain(minor)}"


def instant(day: str) -> str:
    """A day as a date widget has it: RFC 3339, Shanghai."""
    return f"{day}T00:00:00+08:00"


def render(form: str, amounts: str) -> str:
    """The text of `form` as the API gives it."""
    return _NUMBER.sub(r"\1" if amounts == "number" else r'"\1"', form)


def widget_id(custom_id: str) -> str:
    return "widget" + str(int(_digest(f"widget:{custom_id}", 13), 16))[:17]


def _widget(spec: tuple[str, str, str, bool], value: Any, currency: str) -> Json:
    custom_id, name, kind, _ = spec
    widget: Json = {
        "id": widget_id(custom_id), "custom_id": custom_id, "name": name, "type": kind, "ext": None, "value": value
    }  # fmt: skip
    if kind == "contact" and value:
        widget |= {"value": [user_id(value)], "open_ids": [open_id(value)]}
    elif kind == "department" and value:
        widget["value"] = [{"name": DEPARTMENTS[value][0], "open_id": department_id(value)}]
    elif kind == "amount":
        widget["ext"] = {"currency": currency}
    return widget


def _filled(specs: Sequence[tuple[str, str, str, bool]], values: Json, currency: str) -> list[Json]:
    """Widgets that nobody has filled are left out, as a form does with optional ones."""
    return [_widget(s, values[s[0]], currency) for s in specs if values.get(s[0]) not in (None, "", [])]


def expense_form(body: Json, truth: Truth, loan_code: str, at: int, tags: list[str]) -> str:
    """What stands on an expense claim. `body` and `truth` are those of `weaver.papers`: what a person has claimed."""
    main, projects = body["main"], {str(key): name for key, (name, _) in PROJECTS.items()}
    fees, rates, invoices = dict(FEES), dict(RATES), dict(INVOICES)
    rows = []
    for row, line in zip(body["details"]["dt1"], truth.lines, strict=False):
        values = {
            "fee": fees[row["fylx"]],
            "day": instant(row["fyrq"]),
            "line_department": int(row["fybm"]) if row["fybm"] else None,
            "line_project": projects.get(row["fyxm"]),
            "line_amount": number(line.amount),
            "rate": rates[row["sl"]],
            "tax": number(line.tax),
            "invoice_kind": invoices[row["fpzl"]],
            "invoice": row["fphm"],
            "note": row["zy"],
        }
        rows.append(_filled(LINE_WIDGETS, values, truth.currency))
    claimed = truth.gross + (1000 if truth.defect == "total_mismatch" else 0)
    offset = sum(truth.offset.values())
    values = {
        "applicant": truth.person,
        "department": int(main["sqbm"]) if main["sqbm"] else None,
        "project": projects.get(main["xm"]),
        "category": CATEGORIES[main["bxlx"]],
        "date": instant(day_text(at)),
        "total": number(claimed),
        "amount": number(claimed),
        "loan": [loan_code] if loan_code else None,
        "offset": number(offset) if offset else None,
        "paid": number(truth.paid),
        "reason": main["sy"].replace("<br>", "\n").replace("&nbsp;", " "),
        "tags": tags,
    }
    widgets = _filled(EXPENSE_WIDGETS, values, truth.currency)
    widgets.append(_widget(EXPENSE_WIDGETS[-1], rows, truth.currency))
    return json.dumps(widgets, ensure_ascii=False)


def loan_form(body: Json, truth: Truth, at: int) -> str:
    """What stands on a loan."""
    due = body["main"]["yjhkrq"]
    values = {
        "applicant": truth.person,
        "department": truth.department,
        "date": instant(day_text(at)),
        "amount": number(truth.gross),
        "due": instant(due) if due else None,
        "purpose": body["main"]["jkyt"],
    }
    return json.dumps(_filled(LOAN_WIDGETS, values, "CNY"), ensure_ascii=False)


def definition_form(approval_code: str) -> str:
    """The widgets of a definition as JSON text, with the options of choices; a table's columns are its `children`."""

    def described(spec: tuple[str, str, str, bool]) -> Json:
        custom_id, name, kind, required = spec
        widget: Json = {
            "id": widget_id(custom_id), "custom_id": custom_id, "name": name, "type": kind, "required": required,
            "printable": True, "enable_default_value": False,
        }  # fmt: skip
        if custom_id in _OPTIONS:
            texts = _OPTIONS[custom_id]
            widget["option"] = [{"value": f"{custom_id}-{i}", "text": text} for i, text in enumerate(texts)]
        if kind == "fieldList":
            widget["children"] = [described(child) for child in LINE_WIDGETS]
        return widget

    specs = EXPENSE_WIDGETS if approval_code == EXPENSE else LOAN_WIDGETS
    return json.dumps([described(spec) for spec in specs], ensure_ascii=False)
