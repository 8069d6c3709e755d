"""Read a chart of accounts from CSV: code, name, parent, type, party_required.

An account without a type groups others and takes no postings; its children name it as their parent.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from include.embedded.tryton.errors import LedgerSetupError

COLUMNS = ("code", "name", "parent", "type", "party_required")


@dataclass(frozen=True, slots=True)
class AccountType:
    """One line of the statements in Tryton: where the accounts of a kind are reported, and what they may do there."""

    name: str
    statement: str
    """`balance` or `income`. Only accounts of the balance sheet may require a party: a rule of Tryton."""
    flags: tuple[str, ...] = ()


ACCOUNT_TYPES = {
    "asset": AccountType("资产", "balance", ("assets",)),
    "receivable": AccountType("往来债权", "balance", ("assets", "receivable")),
    "stock": AccountType("存货", "balance", ("assets", "stock")),
    "cost": AccountType("成本", "balance", ("assets",)),
    "liability": AccountType("负债", "balance"),
    "payable": AccountType("往来债务", "balance", ("payable",)),
    "equity": AccountType("所有者权益", "balance"),
    "revenue": AccountType("收入", "income", ("revenue",)),
    "expense": AccountType("费用", "income", ("expense",)),
}


@dataclass(frozen=True, slots=True)
class ChartAccount:
    """One row of the chart; `type` is empty for an account that only groups others."""

    code: str
    name: str
    parent: str
    type: str
    party_required: bool


def read_chart(path: Path) -> tuple[ChartAccount, ...]:
    """The accounts of a chart in the order of the file, parents before children.

    Raises:
        LedgerSetupError: the file is missing or a row is wrong; all wrong rows are named.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) != COLUMNS:
                raise LedgerSetupError(
                    f"{path}: 表头应为 {','.join(COLUMNS)} / The header must be exactly these columns."
                )
            rows = [{name: (row[name] or "").strip() for name in COLUMNS} for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise LedgerSetupError(f"{path}: 科目表无法读取 / The chart cannot be read: {error}") from error
    seen: dict[str, str] = {}
    problems = [
        f"{path} line {line}: {problem}"
        for line, row in enumerate(rows, start=2)
        for problem in _row_problems(row, seen)
    ]
    problems += [
        f"{path}: {code}: 没有下级也没有类型 / It has neither a type nor children, so nothing can use it."
        for code in _empty_groups(rows)
    ]
    if problems or not rows:
        raise LedgerSetupError("\n".join(problems) or f"{path}: 科目表是空的 / The chart has no accounts.")
    return tuple(
        ChartAccount(row["code"], row["name"], row["parent"], row["type"], row["party_required"] == "yes")
        for row in rows
    )


def _row_problems(row: dict[str, str], seen: dict[str, str]) -> list[str]:
    """What is wrong with one row, given the types of the accounts above it; adds the row to `seen`."""
    code, kind, parent = row["code"], row["type"], row["parent"]
    problems = []
    if not code or not row["name"]:
        problems.append("科目编号和名称不能为空 / Code and name are required.")
    if code in seen:
        problems.append(f"科目编号重复 {code} / The code appears twice.")
    if kind and kind not in ACCOUNT_TYPES:
        problems.append(f"未知类型 {kind} / Unknown type; use one of {', '.join(ACCOUNT_TYPES)}.")
    if parent and parent not in seen:
        problems.append(f"上级科目 {parent} 不在前面的行里 / The parent must be on an earlier line.")
    if parent and seen.get(parent):
        problems.append(
            f"上级科目 {parent} 带有类型，是末级科目 / The parent has a type, so it takes postings itself."
        )
    if row["party_required"] not in ("", "yes"):
        problems.append("party_required 只能是 yes 或空 / It is either yes or empty.")
    if row["party_required"] == "yes" and (
        kind not in ACCOUNT_TYPES or ACCOUNT_TYPES[kind].statement != "balance"
    ):
        problems.append(
            "只有资产负债类末级科目可以要求往来单位 / Only a balance sheet account can require a party."
        )
    seen[code] = kind
    return problems


def _empty_groups(rows: list[dict[str, str]]) -> list[str]:
    parents = {row["parent"] for row in rows}
    return [row["code"] for row in rows if not row["type"] and row["code"] not in parents]
