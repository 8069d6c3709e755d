"""What stands on a generated document, and the truth about it that no client is told."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from include.emulators.weaver import amounts
from include.emulators.weaver.clock import day_of, day_text
from include.emulators.weaver.company import BRANCH, DEPARTMENTS, PROJECTS, Person
from include.emulators.weaver.forms import CURRENCY_CODES, RATE_PERCENT

Json = dict[str, Any]

DAY_MS = 86_400_000
DEFECTS = ("total_mismatch", "no_department", "unreadable_amount", "no_lines", "duplicate_invoice")
ODDITIES = ("yen_sign", "padded", "one_decimal", "full_width")
"""Spellings that people type into text fields for amounts; legal, and the same amount."""

_EXCHANGE = {"CNY": "1", "USD": "7.1034", "EUR": "8.2275", "HKD": "0.9127"}
_FEES: Mapping[str, tuple[int, str, str, str]] = {
    # fee type: (typical amount in 分, VAT rate, kind of invoice, what the line says)
    "0": (18_000, "4", "2", "高铁票"),
    "1": (52_000, "3", "0", "酒店住宿"),
    "2": (23_000, "3", "1", "工作餐"),
    "3": (34_000, "5", "0", "办公用品"),
    "4": (88_000, "3", "1", "客户接待"),
    "5": (20_000, "4", "0", "手机费"),
    "6": (150_000, "3", "0", "会议场地"),
    "7": (260_000, "3", "0", "培训"),
}
CREDITABLE = {"0", "1", "3", "5", "6", "7"}
"""Fee types whose input tax may be deducted; catering and entertainment never."""


@dataclass(frozen=True, slots=True)
class TrueLine:
    """A fee line as it really is; amounts in minor units of the document's currency."""

    fee: str
    department: int
    project: int
    amount: int
    tax: int


@dataclass(frozen=True, slots=True)
class Truth:
    """What a test may know of a document.

    Attributes:
        kind: expense or loan.
        person: who claims or borrows; `department` is the document's own.
        currency: of `gross`, the document's total in minor units before any defect.
        home: the total in CNY minor units.
        deductible: input tax that may be deducted, in minor units of `currency`.
        offset: loans that are settled by it, by request id, in minor units.
        paid: what is paid out: gross less offset.
        defect: why it must be quarantined, or None; `oddity`: an unusual but legal spelling in it.
    """

    kind: str
    person: int
    department: int
    currency: str
    gross: int
    home: int
    deductible: int = 0
    offset: Mapping[str, int] = field(default_factory=dict)
    paid: int = 0
    lines: tuple[TrueLine, ...] = ()
    defect: str | None = None
    oddity: str | None = None

    def as_json(self) -> Json:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class OpenLoan:
    """A loan that may still be settled; `remaining` in minor units."""

    request_id: int
    remaining: int


def column_writer(database: str) -> Callable[[int], str]:
    """How an amount column of the database reads."""
    return amounts.oracle if database == "oracle" else amounts.plain


def home_amount(minor: int, currency: str) -> int:
    """Minor units in CNY, rounded half up."""
    value = Decimal(minor) * Decimal(_EXCHANGE[currency])
    return int(value.quantize(Decimal(1), ROUND_HALF_UP))


def typed(minor: int, oddity: str | None) -> str:
    """An amount as somebody has typed it into a text field."""
    if oddity == "yen_sign":
        return "￥" + amounts.thousands(minor)
    if oddity == "padded":
        return f" {amounts.plain(minor)} "
    if oddity == "one_decimal":
        return f"{amounts.plain(minor)}0"
    if oddity == "full_width":
        return amounts.plain(minor).translate(
            {ord(c): ord(c) - 0x30 + 0xFF10 for c in "0123456789"} | {0x2E: 0xFF0E}
        )
    return amounts.thousands(minor)


def expense(
    rng: random.Random, person: Person, at: int, database: str, loan: OpenLoan | None, defect: str | None,
    earlier_invoice: str,
) -> tuple[Json, Truth]:  # fmt: skip
    """An expense claim: its body, as `Flow.create` takes it, and the truth about it."""
    write = column_writer(database)
    foreign = loan is None and defect is None and rng.random() < 0.04
    currency_id = rng.choice(("1", "2", "3")) if foreign else "0"
    currency = CURRENCY_CODES[currency_id]
    oddity = rng.choice(ODDITIES) if rng.random() < 0.08 else None
    lines, rows = [], []
    for _ in range(rng.choice((1, 1, 2, 2, 3, 4, 6))):
        line, row = _line(rng, person, at, write)
        lines.append(line)
        rows.append(row)
    if oddity:
        rows[0]["je"] = typed(lines[0].amount, oddity)
    gross = sum(line.amount for line in lines)
    offset = min(loan.remaining, gross) if loan else 0
    main: Json = {
        "sqr": str(person.id),
        "sqbm": str(person.department),
        "gs": str(BRANCH),
        "sqrq": day_text(at),
        "xm": str(lines[0].project or ""),
        "bxlx": "1" if any(line.fee in {"0", "1"} for line in lines) else "0",
        "bz": currency_id,
        "hl": _EXCHANGE[currency] if database == "oracle" else f"{Decimal(_EXCHANGE[currency]):.6f}",
        "bxzje": write(gross),
        "bbje": typed(home_amount(gross, currency), oddity),
        "hxje": typed(offset, oddity) if offset else "",
        "sfje": write(gross - offset),
        "dxje": write(gross),
        "sy": rng.choice(("客户拜访", "项目现场支持<br>含往返交通", "部门采购&nbsp;日常", "季度会议")),
        "fj": ",".join(str(rng.randrange(10_000, 99_999)) for _ in range(rng.randrange(3))),
        "pzzt": "0",
    }
    details: Json = {"dt1": rows}
    if loan:
        details["dt2"] = [{"jkdh": str(loan.request_id), "hxje": write(offset)}]
    _spoil(defect, main, details, write, gross, earlier_invoice)
    truth = Truth(
        "expense", person.id, person.department, currency, gross, home_amount(gross, currency),
        sum(line.tax for line in lines if line.fee in CREDITABLE),
        {str(loan.request_id): offset} if loan else {}, gross - offset, tuple(lines), defect, oddity,
    )  # fmt: skip
    return {"main": main, "details": details}, truth


def _line(rng: random.Random, person: Person, at: int, write: Callable[[int], str]) -> tuple[TrueLine, Json]:
    fee = rng.choice(list(_FEES))
    typical, rate, invoice, text = _FEES[fee]
    amount = max(50, int(typical * rng.lognormvariate(0, 0.6)))
    if rng.random() < 0.03:
        amount = rng.randrange(1, 100)  # less than one yuan: Oracle writes it without a leading zero
    if rng.random() < 0.1:
        rate, invoice = "0", "4"
    percent = RATE_PERCENT[rate]
    # VAT is contained in the amount: amount × rate / (1 + rate), rounded half up.
    tax = (2 * amount * percent + 100 + percent) // (2 * (100 + percent)) if percent else 0
    department = person.department if rng.random() < 0.9 else rng.choice(list(DEPARTMENTS))
    project = rng.choice(list(PROJECTS)) if rng.random() < 0.3 else 0
    day = day_text(at - rng.randrange(0, 20) * DAY_MS)
    row = {
        "fylx": fee,
        "fyrq": day,
        "fybm": str(department),
        "fyxm": str(project or ""),
        "je": amounts.thousands(amount),
        "sl": rate,
        "se": write(tax),
        "fpzl": invoice,
        "fphm": "" if invoice == "4" else f"{rng.randrange(10**19, 10**20)}",
        "zy": text,
    }
    return TrueLine(fee, department, project, amount, tax), row


def _spoil(
    defect: str | None,
    main: Json,
    details: Json,
    write: Callable[[int], str],
    gross: int,
    earlier_invoice: str,
) -> None:
    """Put a defect into a body."""
    rows = details["dt1"]
    if defect == "total_mismatch":
        main["bxzje"] = write(gross + 1000)
    elif defect == "no_department":
        main["sqbm"] = ""
        for row in rows:
            row["fybm"] = ""
    elif defect == "unreadable_amount":
        rows[0]["je"] = "约" + amounts.capital(gross)
    elif defect == "no_lines":
        rows.clear()
    elif defect == "duplicate_invoice":
        rows[0] |= {"fpzl": "0", "fphm": earlier_invoice}


def loan_paper(rng: random.Random, person: Person, at: int, database: str) -> tuple[Json, Truth]:
    """A loan: its body and the truth about it."""
    write = column_writer(database)
    amount = rng.randrange(10, 200) * 5_000
    main = {
        "sqr": str(person.id),
        "sqbm": str(person.department),
        "gs": str(BRANCH),
        "sqrq": day_text(at),
        "jkje": write(amount),
        "dxje": write(amount),
        "yjhkrq": day_of(at + 60 * DAY_MS).isoformat() if rng.random() < 0.8 else "",
        "jkyt": rng.choice(("出差备用金", "展会备用金", "零星采购")),
        "pzzt": "0",
    }
    truth = Truth("loan", person.id, person.department, "CNY", amount, amount, paid=amount)
    return {"main": main, "details": {}}, truth
