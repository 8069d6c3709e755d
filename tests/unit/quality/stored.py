"""Documents as the tests of rules write them, in a store: what the gate and the rules say of the same ones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from random import Random

from sqlalchemy import Engine

from include.domain.problems import Problem
from include.quality.gate import check_documents
from include.rules import RuleSet
from include.rules.requirements import requirements_of
from include.settings import Book
from tests.builders import MASTER, StoreBuilder
from tests.unit.rules.cases import DAY, Row, document, line, write_off

Case = tuple[Sequence[Row], Sequence[Row], Sequence[Row]]
KINDS = {"submitter": "staff"}


def fill(engine: Engine, book: Book, case: Case) -> None:
    """Store documents, lines and write-offs under their keys, in an empty store, with the master data they refer to."""
    documents, lines, write_offs = case
    names = ("legal_entity", "department", "submitter", "supplier", "project", "fee_type")
    referred = {
        (KINDS.get(name, name), row[f"{name}_id"])
        for row in (*documents, *lines)
        for name in names
        if row.get(f"{name}_id")
    }
    of: dict[int, list[Row]] = defaultdict(list)
    for row in lines:
        of[row["document_pk"]].append({**row, "line_id": f"L{len(of[row['document_pk']])}"})
    with engine.begin() as connection:
        builder = StoreBuilder(connection, book=book.id)
        builder.master_data([(kind, key, "") for kind, key in sorted(referred)] + list(MASTER))
        for row in documents:
            fields = {name: value for name, value in row.items() if name != "id"}
            own = [{k: v for k, v in one.items() if k != "document_pk"} for one in of[row["id"]]]
            assert builder.document(lines=own, **fields) == row["id"]
        for row in write_offs:
            builder.write_off(row["document_pk"], row["loan_document_id"], row["amount_minor"], row["seq"])


def judged(engine: Engine, book: Book, rules: RuleSet) -> Mapping[int, list[Problem]]:
    """What the gate says of all documents of a book, by their keys."""
    report = check_documents(
        engine,
        book=book.id,
        source=book.source,
        legal_entities=book.legal_entities,
        currency=book.currency,
        source_start=date(2026, 1, 1),
        now=datetime(2026, 11, 20, 8, tzinfo=UTC),
        requirements=requirements_of(rules, book),
    )
    found: dict[int, list[Problem]] = defaultdict(list)
    for failure in report.failures:
        found[failure.document_pk].append(failure.problem)
    return found


def random_documents(random: Random, book: Book, count: int) -> Case:
    """Documents of all kinds for the shipped books: most are sound, many have a flaw."""
    documents: list[Row] = []
    lines: list[Row] = []
    write_offs: list[Row] = []
    for pk in range(1, count + 1):
        currency = random.choice([book.currency] * 3 + ["USD"])
        own = [
            _line(random, book, pk, no, currency) for no in range(1, random.choice([0, 1, 1, 2, 3, 4]) + 1)
        ]
        gross = sum(row["functional_minor"] for row in own) or random.randint(1, 90_000)
        gross += random.choice([0] * 12 + [1, -1, 2, 500])
        of_loans = [random.randint(1, gross // 2 + 1) for _ in range(random.choice([0, 0, 0, 1, 2]))]
        net = gross * 100 // 113
        lines += own
        write_offs += [write_off(pk, seq, amount) for seq, amount in enumerate(of_loans, 1)]
        documents.append(
            document(
                pk,
                kind=random.choice(
                    ["expense_claim"] * 6
                    + ["loan", "payment_request", "prepayment", "receipt", "purchase_order", "goods_receipt"]
                    + ["purchase_invoice"] * 3
                ),
                functional_currency=book.currency,
                currency=currency,
                transaction_gross_minor=random.choice(
                    [sum(row["amount_minor"] for row in own)] * 9 + [7, None]
                ),
                gross_minor=gross,
                written_off_minor=sum(of_loans) + random.choice([0] * 9 + [1]),
                company_paid_minor=random.choice([0, 0, 0, gross // 3, None]),
                payment_channel=random.choice(["", "OFFLINE"]),
                business_date=random.choice([DAY] * 9 + [date(2025, 8, 1)]),
                submitter=random.choice(["W1 员工", "W1 员工", None]),
                department=random.choice(["FIN 财务", "SALES-E 销售", "RD-1 研发", "PROD 生产", None]),
                supplier=random.choice(["V1 供应商", None]),
                project=random.choice(["P1 项目", None]),
                properties=random.choice(
                    [
                        {},
                        {"material": "RAW", "net_amount": f"{net / 100:.2f}"},
                        {
                            "material": random.choice(["OFFICE", "GOODS", "NEW"]),
                            "net_amount": f"{net // 100}.{net % 100:02}",
                            "deductible_tax": f" {(gross - net) // 100}.{(gross - net) % 100:02}0 ",
                            "goods_receipt": random.choice(["", "R1"]),
                            "prepayment_applied": random.choice(["5.00", "0", "five", "1.001", "-1.5"]),
                        },
                    ]
                ),
            )
        )
    return documents, lines, write_offs


def _line(random: Random, book: Book, pk: int, no: int, currency: str) -> Row:
    functional = random.randint(1, 90_000)
    return line(
        pk,
        no,
        fee_type=random.choice(["COST11 火车", "COST30 招待", "COST92 还款", "COST90 退款", "NEW 新", None]),
        department=random.choice(["MKT 市场", "RD-2 研发", None, None]),
        project=random.choice(["P2 项目", None]),
        currency=currency,
        amount_minor=functional if currency == book.currency else functional // 7 + 1,
        functional_minor=functional,
        tax_minor=random.choice([0, 0, functional // 11, None]),
    )
