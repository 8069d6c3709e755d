"""Random rule sets and random documents for them, from a seed: most vouchers balance, many documents have a flaw."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

from include.rules import RuleSet
from include.rules.facts import fact
from include.rules.ruleset import Template
from include.rules.schema import VoucherTemplate
from include.rules.tables import Cell, CellKind, DecisionTable, KeyedAccount, TableRow
from include.settings import Book, ResidueAccount
from tests.unit.rules.cases import DAY, Row, book, document, line, write_off

FEES = ("A1", "A10", "A11", "B2", "B20", "C")
DEPARTMENTS = ("D1", "D10", "D2", None)
PROJECTS = ("P1", "P2", None)
ENTITIES = ("E01", "E02", None)
KEYS = ("bank", "tax", "loans", "payables", "rounding", "expense")
KINDS = ("expense_claim", "loan", "receipt", "requisition")
TABLE_FACTS = (
    "line.fee_type",
    "line.department",
    "line.project",
    "line.gross",
    "document.department",
    "document.payment_channel",
    "document.properties.material",
    "line.is_own",
)


def random_book(random: Random) -> Book:
    residue: Any = random.choice(["largest_line", "last_line", ResidueAccount(account="rounding")])
    return book(random.choice(["CNY", "JPY", "KWD"])).model_copy(update={"residue": residue})


def random_rules(random: Random) -> RuleSet:
    """One to four templates over one or two tables."""
    tables = {name: _table(random, name) for name in ("expenses", "others")}
    accounts = {key: KeyedAccount(f"10{number:02}", number + 2) for number, key in enumerate(KEYS)}
    specs = [_template(random, number, sorted(tables)) for number in range(random.randint(1, 3))]
    templates = tuple(
        Template(spec, "any.yaml", 10 * n, tuple(range(10 * n + 1, 10 * n + 1 + len(spec.lines))))
        for n, spec in enumerate(specs, 1)
    )
    return RuleSet(templates, tables, accounts, Path("rules/test"), Path("tables/test"), digest="")


def _template(random: Random, number: int, tables: list[str]) -> VoucherTemplate:
    content: dict[str, Any] = {
        "id": f"t{number}",
        "event": random.choice(["claim", f"event{number}", f"event{number}"]),
        "title": {"zh": "任意", "en": "any"},
        "kinds": random.sample(KINDS, random.randint(2, 4)),
        "summary": random.choice(
            ["{document.code}", "{document.submitter} {document.title} {document.period}"]
        ),
        "word": random.choice(["记", "付"]),
    }
    if random.random() < 0.25:
        content["when"] = _when(random, "document")
    if random.random() < 0.15:
        content["valid_from"] = DAY + timedelta(days=random.randint(-2, 2))
    if random.random() < 0.15:
        content["valid_to"] = DAY + timedelta(days=random.randint(3, 5))
    if random.random() < 0.1:
        content["no_voucher"] = {"zh": "不做", "en": "none"}
    else:
        content["lines"] = _entries(random, tables)
    return VoucherTemplate.model_validate(content)


def _entries(random: Random, tables: list[str]) -> list[dict[str, Any]]:
    """Costs by line on the debit side, and what settles them on the credit side; then perhaps one thing is spoilt."""
    costs = [
        {"for_each": "line", "side": "debit", "measure": measure}
        for measure in random.choice([["gross"], ["net_of_deductible_tax", "deductible_tax"]])
    ]
    settlements = random.choice(
        [
            [{"side": "credit", "measure": "gross"}],
            [{"for_each": "line", "side": "credit", "measure": "gross"}],
            [
                {"for_each": "write_off", "side": "credit", "measure": "written_off"},
                {"side": "credit", "measure": "company_paid"},
                {"side": "credit", "measure": "payable"},
                {"side": "debit", "measure": "refund"},
            ],
        ]
    )
    entries: list[dict[str, Any]] = []
    for entry in [*costs, *settlements]:
        entries += _split(random, entry) if random.random() < 0.3 else [entry]
    for number, entry in enumerate(entries):
        entry.setdefault("name", f"e{number}")
        is_line = entry.get("for_each") == "line"
        if is_line and random.random() < 0.6:
            entry["account"] = {"table": random.choice(tables)}
        else:
            entry["account"] = {"key": random.choice(KEYS)}
        entry["merge"] = random.choice(["none", "account_and_dimensions", *(["day"] if is_line else [])])
        if entry["merge"] == "none" and is_line:
            entry["summary"] = "{line.fee_type} {line.department} {line.description} {document.code}"
        kinds = {"employee": "document.submitter", "department": "document.department"}
        if is_line:
            kinds |= {"department": "line.department", "project": "line.project"}
        entry["optional_dimensions"] = {k: v for k, v in kinds.items() if random.random() < 0.6}
        if random.random() < 0.1:
            entry["dimensions"] = {
                k: entry["optional_dimensions"].pop(k) for k in list(entry["optional_dimensions"])[:1]
            }
        if random.random() < 0.1:
            entry["fixed_dimensions"] = {"supplier": {"code": 'S"1', "name": "平台"}}
    if random.random() < 0.15:
        _spoil(random, entries)
    return entries


def _split(random: Random, entry: dict[str, Any]) -> list[dict[str, Any]]:
    """The entry as a share and its rest, with or without a condition on the share."""
    name = f"share_of_{entry['measure']}_{random.randint(0, 10**6)}"
    share = {**entry, "name": name, "fraction": random.choice(["0.5", "0.06", "0.333", "0.99"])}
    if random.random() < 0.4:
        share["when"] = _when(random, entry.get("for_each", "document"))
    return [share, {**entry, "less": [name]}]


def _spoil(random: Random, entries: list[dict[str, Any]]) -> None:
    entry = random.choice(entries)
    match random.randint(0, 2):
        case 0:
            entry["red"] = True
        case 1:
            entry["when"] = _when(random, entry.get("for_each", "document"))
        case 2 if not entry.get("less") and "fraction" not in entry and entry.get("for_each") == "line":
            entry["fraction"] = "0.5"


def _when(random: Random, scope: str) -> dict[str, Any]:
    choices: list[tuple[str, Any]] = [
        ("document.payment_channel", random.choice(["is_missing", "not_missing", {"equals": "OFFLINE"}])),
        ("document.supplier", random.choice(["is_missing", "not_missing"])),
        ("document.has_write_off", {"equals": random.choice(["yes", "no"])}),
        ("document.gross", {"range": {"from": random.choice([1, 5]), "to": random.choice([50, 500])}}),
        ("document.is_own", {"equals": "yes"}),
    ]
    if scope == "line":
        choices += [
            ("line.fee_type", random.choice([{"prefix": "A1"}, {"in": ["B2", "C"]}, "not_missing"])),
            ("line.project", random.choice(["is_missing", "not_missing"])),
            ("line.gross", {"range": {"to": random.choice([3, 30])}}),
            ("line.is_own", {"equals": random.choice(["yes", "no"])}),
        ]
    return dict(random.sample(choices, random.choice([1, 1, 2])))


def _table(random: Random, name: str) -> DecisionTable:
    paths = sorted(random.sample(TABLE_FACTS, random.randint(1, 3)))
    conditions = tuple(found for found in map(fact, paths) if found is not None)
    rows = []
    for number in range(2, random.randint(4, 14)):
        start = random.choice([None, None, DAY + timedelta(days=random.randint(-3, 2))])
        rows.append(
            TableRow(
                number,
                tuple(_cell(random, path) for path in paths),
                f"66{random.randint(1, 9):02}",
                random.choice([0, 0, 0, 5, -5]),
                start,
                random.choice([None, None, (start or DAY) + timedelta(days=random.randint(0, 3))]),
                random.choice([None, None, frozenset(), frozenset({"department"})]),
            )
        )
    if random.random() < 0.9:
        rows.append(TableRow(99, tuple(Cell(CellKind.ANY) for _ in paths), "6699", -9))
    return DecisionTable(name, f"tables/test/{name}.csv", conditions, tuple(rows))


def _cell(random: Random, path: str) -> Cell:
    if random.random() < 0.35:
        return Cell(CellKind.ANY)
    if path.endswith("gross"):
        start, end = sorted(random.sample(range(60), 2))
        return Cell(
            CellKind.RANGE,
            (),
            random.choice([None, Decimal(start)]),
            Decimal(end) + random.choice([0, Decimal("0.5"), Decimal("0.005")]),
        )
    pool = {
        "line.fee_type": FEES,
        "line.project": PROJECTS,
        "document.payment_channel": ("OFFLINE", None),
        "document.properties.material": ("RAW", "GOODS", None),
        "line.is_own": ("yes", "no"),
    }.get(path, DEPARTMENTS)
    kind = random.choice([CellKind.VALUES, CellKind.VALUES, CellKind.PREFIX, CellKind.PRESENT])
    if kind is CellKind.PRESENT:
        return Cell(kind)
    if kind is CellKind.PREFIX:
        return Cell(kind, (random.choice(["A", "A1", "B", "D", "D1", "O", "y"]),))
    values = random.sample(pool, random.randint(1, 2))
    return Cell(kind, tuple(sorted("" if value is None else value for value in values)))


def random_case(random: Random, of: Book, count: int) -> tuple[list[Row], list[Row], list[Row]]:
    """Documents with their lines and write-offs."""
    documents: list[Row] = []
    lines: list[Row] = []
    write_offs: list[Row] = []
    for pk in range(1, count + 1):
        own = _lines(random, of, pk)
        lines += own
        written_off = [random.randint(1, 500) for _ in range(random.choice([0, 0, 0, 1, 2]))]
        write_offs += [write_off(pk, seq, amount) for seq, amount in enumerate(written_off, 1)]
        documents.append(_document(random, of, pk, own, sum(written_off)))
    return documents, lines, write_offs


def _lines(random: Random, of: Book, pk: int) -> list[Row]:
    result = []
    currency = random.choice([of.currency, of.currency, "USD"])
    for no in range(1, random.randint(0, 4) + 1):
        own_currency = random.choice([currency] * 5 + ["EUR"])
        functional = random.choice(
            [random.randint(1, 60), random.randint(1, 9000), -random.randint(1, 500), 0]
        )
        foreign = functional if own_currency == of.currency else functional // 7 + random.choice([0, 1])
        result.append(
            line(
                pk,
                no,
                portion_no=random.choice([1, 1, 2]),
                fee_type=_named(random.choice([*FEES, None])),
                department=_named(random.choice(DEPARTMENTS)),
                project=_named(random.choice(PROJECTS)),
                legal_entity=_named(random.choice(ENTITIES)),
                currency=own_currency,
                amount_minor=random.choice([foreign] * 60 + [None]),
                functional_minor=random.choice([functional] * 60 + [None]),
                tax_minor=random.choice([0, 0, functional // 11, None if random.random() < 0.03 else 0]),
                occurred_on=random.choice([DAY, DAY - timedelta(days=1), None]),
                description=random.choice(["", "客户\n拜访"]),
            )
        )
    return result


def _document(random: Random, of: Book, pk: int, own: list[Row], written_off: int) -> Row:
    known = [row["functional_minor"] or 0 for row in own]
    has_foreign = any(row["currency"] != of.currency for row in own)
    gross = sum(known) + (random.choice([0, 0, 1, -1, 2]) if has_foreign else 0)
    currencies = {row["currency"] for row in own}
    company_paid = random.choice([0, 0, 0, gross // 3])
    return document(
        pk,
        kind=random.choice([*KINDS, KINDS[0], KINDS[0]]),
        business_date=random.choice([DAY + timedelta(days=n) for n in range(-2, 3)] * 5 + [None]),
        functional_currency=random.choice([of.currency] * 40 + ["GBP"]),
        currency=currencies.pop() if len(currencies) == 1 else of.currency,
        gross_minor=random.choice([gross] * 20 + [gross + 100, None]),
        transaction_gross_minor=sum(row["amount_minor"] or 0 for row in own),
        written_off_minor=written_off,
        company_paid_minor=company_paid,
        payment_channel=random.choice(["", "OFFLINE"]),
        legal_entity=_named(random.choice(ENTITIES)),
        department=_named(random.choice(DEPARTMENTS)),
        submitter=_named(random.choice(["W1", "W2", None])),
        supplier=_named(random.choice(["S1", None])),
        properties=random.choice([{}, {"material": "RAW"}, {"material": "GOODS"}]),
    )


def _named(code: str | None) -> str | None:
    """A reference with a name; now and then only an id, as for what has no code."""
    return None if code is None else f"{code} 名称{code}"
