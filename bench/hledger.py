"""The same documents through hledger's CSV rules: the nearest thing to rules that accountants already use.

One CSV record is one line of a document, as hledger wants it; its rules are made of the example book's own decision
table (general rows first, since the last match wins there) and of one block for each other kind. hledger reads, applies
the rules, balances and prints. It does not merge lines, carries no dimensions or trace, and stores nothing: less work.
"""

from __future__ import annotations

import csv
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Engine

from include.rules import RuleSet
from include.rules.tables import CellKind, TableRow

HOW_TO_INSTALL = (
    "hledger is not installed: apt-get install hledger (Debian), brew install hledger, or hledger.org"
)
FIELDS = "date,code,description,kind,fee,department,project,net,tax"
CREDIT = "liabilities:2241.03"
OTHER_KINDS = {
    "loan": "assets:1221.03",
    "payment_request": "liabilities:2202.01",
    "prepayment": "assets:1123",
    "receipt": "income:6051",
    "goods_receipt": "assets:1405",
    "purchase_invoice": "assets:1405",
}


def is_installed() -> bool:
    return shutil.which("hledger") is not None


def prepare(engine: Engine, ruleset: RuleSet, folder: Path, documents: int) -> Path:
    """Write the first documents of a store and the rules as hledger reads them; returns the CSV file."""
    path = folder / "documents.csv"
    connection = engine.raw_connection()
    try:
        cursor = connection.cursor()
        cursor.execute(
            "SELECT d.business_date, d.code, d.submitter_name, d.title, d.kind, l.fee_type_code, d.department_code, "  # noqa: S608 - a number
            "COALESCE(NULLIF(l.project_code, ''), d.project_code), l.functional_minor, l.tax_minor "
            "FROM source_document d JOIN source_line l ON l.document_pk = d.id "
            f"WHERE d.id <= {documents} ORDER BY d.id, l.line_no"
        )
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            for day, code, who, title, *facts, gross, tax in cursor.fetchall():
                text = f"{who} 报销 {title}"
                writer.writerow([day, code, text, *facts, _major(gross - tax), _major(tax) if tax else ""])
    finally:
        connection.close()
    (folder / "documents.csv.rules").write_text("\n".join(_rules(ruleset)), encoding="utf-8")
    return path


def convert(documents: Path) -> float:
    """Seconds that hledger takes."""
    started = time.perf_counter()
    subprocess.run(  # noqa: S603 - our own files
        ["hledger", "-f", str(documents), "print"],  # noqa: S607 - the one on the user's path
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.perf_counter() - started


def _rules(ruleset: RuleSet) -> Iterator[str]:
    yield f"fields {FIELDS}"
    yield "date-format %Y-%m-%d"
    yield "currency ¥"
    yield "account1 expenses:unknown"
    yield "amount1 %net"
    yield f"account3 {CREDIT}"
    for row in sorted(ruleset.tables["expense_accounts"].rows, key=lambda row: row.rank):
        yield from _block(row)
    for kind, account in OTHER_KINDS.items():
        yield from ("if", f"%kind ^{kind}$", f"  account1 {account}")
    yield from ("if", "%tax [1-9]", "  account2 assets:2221.01.01", "  amount2 %tax")
    yield ""


def _block(row: TableRow) -> Iterator[str]:
    """One row of the decision table; its conditions are fee type, department and project."""
    patterns = []
    for name, cell in zip(("fee", "department", "project"), row.cells, strict=True):
        if cell.kind is CellKind.PREFIX:
            patterns.append(f"%{name} ^({'|'.join(cell.values)})")
        elif cell.kind is CellKind.VALUES:
            patterns.append(f"%{name} ^({'|'.join(cell.values)})$")
        elif cell.kind is CellKind.PRESENT:
            patterns.append(f"%{name} .")
    yield "if"
    yield from (f"& {pattern}" if number else pattern for number, pattern in enumerate(patterns))
    yield f"  account1 expenses:{row.account}"


def _major(minor: int) -> str:
    return f"{minor // 100}.{minor % 100:02d}"
