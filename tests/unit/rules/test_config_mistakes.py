"""Every mistake in a rule file has its message: file, line, key, and what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.domain.errors import FixConfig
from include.rules import load_rules
from tests.unit.rules.cases import write_rules

TEMPLATE = """\
templates:
  - id: claim
    event: expense_claim
    title: {zh: 报销, en: Claim}
    kinds: [expense_claim]
    summary: "报销 {document.code}"
    lines:
      - name: expense
        for_each: line
        side: debit
        measure: gross
        account: {table: expense_accounts}
        dimensions: {department: line.department}
      - name: paid
        side: credit
        measure: payable
        account: {key: bank}
"""
ACCOUNTS = "key,account,note\nbank,1002,银行存款\n"
TABLE = "line.fee_type,line.department,priority,valid_from,valid_to,account,note\nA,*,,,,6602.01,\n"
GOOD = {"a.yaml": TEMPLATE, "accounts.csv": ACCOUNTS, "expense_accounts.csv": TABLE}


def refusal(tmp_path: Path, **changed: str | bytes) -> str:
    """The message for the good files with some changed; keys are file names with `_` for the dot."""
    files = dict(GOOD)
    raw = {}
    for name, text in changed.items():
        stem, _, suffix = name.rpartition("_")
        if isinstance(text, bytes):
            raw[f"{stem}.{suffix}"] = text
        else:
            files[f"{stem}.{suffix}"] = text
    rules, tables = write_rules(tmp_path, files)
    for name, content in raw.items():
        (rules if name.endswith(".yaml") else tables).joinpath(name).write_bytes(content)
    with pytest.raises(FixConfig) as refused:
        load_rules(rules, tables)
    return str(refused.value)


def test_the_good_files_load(tmp_path: Path) -> None:
    rules = load_rules(*write_rules(tmp_path, GOOD))
    assert [template.trace_name for template in rules.templates] == ["a.yaml#claim"]
    assert rules.templates[0].line == 2
    assert rules.templates[0].entry_lines == (8, 14)


TEMPLATE_MISTAKES = {
    "unknown key": ("side: credit", "sides: credit", ["a.yaml:15", "templates.0.lines.1.sides", "未知的键", "side、"]),
    "missing key": ("        side: credit\n", "", ["a.yaml:14", "lines.1.side", "缺少此键"]),
    "unknown measure": ("measure: payable", "measure: brutto", ["a.yaml:16", "unknown measure", "net_of_deductible_tax"]),
    "measure of another scope": ("measure: gross", "measure: payable", ["a.yaml:8", "for_each: line", "deductible_tax、gross"]),
    "unknown kind": ("kinds: [expense_claim]", "kinds: [claim]", ["a.yaml:5", "kinds.0", "expense_claim"]),
    "unknown side": ("side: credit", "side: left", ["a.yaml:15", "debit"]),
    "unknown fact": (
        "    summary:", "    when: {document.colour: not_missing}\n    summary:",
        ["document.colour", "没有这个事实", "document.payment_channel"],
    ),
    "line fact in a template's condition": (
        "    summary:", "    when: {line.fee_type: not_missing}\n    summary:", ["line.fee_type", "no such fact here"],
    ),
    "two predicates": (
        "    summary:", "    when: {document.status: {equals: a, prefix: b}}\n    summary:",
        ["a.yaml:6", "exactly one condition"],
    ),
    "unknown predicate": (
        "    summary:", "    when: {document.status: {like: a}}\n    summary:", ["未知的键", "equals、in、is_missing"],
    ),
    "predicate as text": ("    summary:", "    when: {document.status: paid}\n    summary:", ["{equals: …}", "is_missing"]),
    "number where text is expected": (
        "    summary:", "    when: {document.template_id: {equals: 12}}\n    summary:", ["put 12 in quotes"],
    ),
    "range on text": (
        "    summary:", "    when: {document.status: {range: {from: 1}}}\n    summary:", ["amounts take range"],
    ),
    "text on an amount": (
        "    summary:", "    when: {document.gross: {equals: '1'}}\n    summary:", ["金额用 range"],
    ),
    "range upside down": (
        "    summary:", "    when: {document.gross: {range: {from: 2, to: 1}}}\n    summary:", ["from is greater than to"],
    ),
    "empty range": ("    summary:", "    when: {document.gross: {range: {}}}\n    summary:", ["a range needs from or to"]),
    "unknown placeholder": ("{document.code}", "{document.cod}", ["{document.cod}", "document.title"]),
    "line placeholder in a document's summary": ("{document.code}", "{line.fee_type}", ["unknown placeholder"]),
    "open brace": ("{document.code}", "{document.code", ["a brace in the summary has no partner"]),
    "no summary": ('    summary: "报销 {document.code}"\n', "", ["no summary", "expense"]),
    "key not in accounts.csv": ("{key: bank}", "{key: cash}", ["a.yaml:14", "'cash'", "accounts.csv", "bank"]),
    "no such table": ("expense_accounts}", "costs}", ["a.yaml:8", "costs.csv", "expense_accounts"]),
    "key and table": ("{key: bank}", "{key: bank, table: x}", ["either key or table"]),
    "table asks for what the line lacks": ("{key: bank}", "{table: expense_accounts}", ["a.yaml:14", "line.fee_type", "for each document"]),
    "unknown dimension": ("{department: line", "{dept: line", ["lines.0.dimensions.dept", "department"]),
    "dimension from nowhere": ("line.department}", "line.city}", ["'line.city'", "line.department"]),
    "dimension twice": (
        "line.department}\n", "line.department}\n        optional_dimensions: {department: document.department}\n",
        ["写了两次", "department"],
    ),
    "one side only": ("side: credit", "side: debit", ["a.yaml:2", "a debit and a credit"]),
    "name twice": ("name: paid", "name: expense", ["two lines have the same name"]),
    "wrong date": ("    summary:", "    valid_from: 2026-02-30\n    summary:", ["a.yaml:6", "valid_from"]),
    "dates upside down": (
        "    summary:", "    valid_from: 2026-02-01\n    valid_to: 2026-01-01\n    summary:", ["later than valid_to"],
    ),
    "lines and no_voucher": ("    lines:", "    no_voucher: {zh: 无, en: none}\n    lines:", ["not both"]),
    "key twice": ("    event: expense_claim\n", "    event: a\n    event: b\n", ["a.yaml:4", "appears twice"]),
    "not YAML": ("[expense_claim]", "[expense_claim", ["a.yaml:", "not valid YAML"]),
    "python tag": ("event: expense_claim", "event: !!python/name:os.system x", ["a.yaml:3"]),
    "event with a slash": ("event: expense_claim", "event: a/b", ["a.yaml:3", "event"]),
    "nothing": (TEMPLATE, "", ["a.yaml:1"]),
}  # fmt: skip


@pytest.mark.parametrize("name", TEMPLATE_MISTAKES)
def test_mistake_in_a_template(tmp_path: Path, name: str) -> None:
    old, new, expected = TEMPLATE_MISTAKES[name]
    assert TEMPLATE.count(old) >= 1
    message = refusal(tmp_path, a_yaml=TEMPLATE.replace(old, new, 1))
    assert [part for part in expected if part not in message] == [], message


HEADER = TABLE.splitlines()[0]
TABLE_MISTAKES: dict[str, tuple[str | bytes, list[str]]] = {
    "unknown column": ("line.fee_typ,account\nA,1\n", ["未知的列 'line.fee_typ'", "line.fee_type"]),
    "no account column": ("line.fee_type,konto\nA,1\n", ["'konto'", "the column account is missing"]),
    "empty account": (f"{HEADER}\nA,*,,,,,\n", ["第 2 行: account: ", "the cell is empty, fill it in"]),
    "empty condition": (f"{HEADER}\nA,,,,,1,\n", ["第 2 行", "line.department", "write * for anything"]),
    "wrong priority": (f"{HEADER}\nA,*,high,,,1,\n", ["第 2 行", "'high'", "a whole number"]),
    "wrong date": (f"{HEADER}\nA,*,,2026-02-30,,1,\n", ["第 2 行", "valid_from", "2026-01-31"]),
    "dates upside down": (f"{HEADER}\nA,*,,2026-02-02,2026-01-01,1,\n", ["valid_from is later"]),
    "same conditions twice": (f"{HEADER}\nA,*,,,,1,\n\nA,*,,,,2,\n", ["第 4 行", "row 4", "row 2"]),
    "formula": (f"{HEADER}\nA,*,,,,=B2,\n", ["第 2 行", "'=B2'", "paste it as a value"]),
    "Excel's error": (f"{HEADER}\nA,*,,,,#REF!,\n", ["'#REF!'"]),
    "too many cells": (f"{HEADER}\nA,*,,,,1,note,more\n", ["第 2 行", "more cells than the header"]),
    "column twice": ("line.fee_type,line.fee_type,account\nA,B,1\n", ["a repeated column"]),
    "semicolons": ("line.fee_type;account\nA;1\n", ["with commas, not semicolons"]),
    "GBK": ("line.fee_type,account,note\nA,1,差旅费\n".encode("gbk"), ["CSV UTF-8"]),
    "wildcard inside": (f"{HEADER}\nA*B,*,,,,1,\n", ["'A*B'", "write A, A|B, A* or *"]),
    "alternatives with a gap": (f"{HEADER}\nA||B,*,,,,1,\n", ["'A||B'"]),
    "open quote": (f'{HEADER}\n"A,*,,,,1,\n', ["not valid CSV"]),
    "no rows": (f"{HEADER}\n,,,,,,\n", ["the table has no rows"]),
    "unknown dimension": ("line.fee_type,account,dimensions\nA,1,city\n", ["unknown dimension", "city", "department"]),
    "dimension that the line cannot fill": (
        "line.fee_type,account,dimensions\nA,1,supplier\n", ["a.yaml:8", "supplier", "does not say how to fill"]
    ),
    "amount without a range": ("line.gross,account\n100,1\n", ["'100'", "write 100..500"]),
    "range upside down": ("line.gross,account\n5..1,1\n", ["ends before it starts"]),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLE_MISTAKES)
def test_mistake_in_a_table(tmp_path: Path, name: str) -> None:
    text, expected = TABLE_MISTAKES[name]
    message = refusal(tmp_path, expense_accounts_csv=text)
    assert "expense_accounts.csv" in message
    assert [part for part in expected if part not in message] == [], message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("key,konto\nbank,1\n", "key,account,note"),
        ("key,account\nbank,\n", "row 2: both are needed"),
        ("key,account\nbank,1\nbank,2\n", "row 3 repeats row 2"),
    ],
)
def test_mistake_in_accounts(tmp_path: Path, text: str, expected: str) -> None:
    message = refusal(tmp_path, accounts_csv=text)
    assert "accounts.csv" in message
    assert expected in message


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    message = refusal(
        tmp_path,
        a_yaml=TEMPLATE.replace("payable", "brutto").replace("side: debit", "side: left"),
        b_yaml="templates: []\n",
        expense_accounts_csv=f"{HEADER}\nA,*,x,,,1,\nB,*,,,,,\n",
    )
    assert len(message.splitlines()) >= 5
    assert "b.yaml:1: templates" in message


def test_template_id_taken(tmp_path: Path) -> None:
    assert "已用于 a.yaml:2" in refusal(tmp_path, b_yaml=TEMPLATE)


def test_empty_folders(tmp_path: Path) -> None:
    with pytest.raises(FixConfig, match=r"no \*\.yaml template here") as refused:
        load_rules(tmp_path / "rules", tmp_path / "tables")
    assert "accounts.csv" in str(refused.value)


def test_byte_order_marks_and_windows_lines_are_fine(tmp_path: Path) -> None:
    rules, tables = write_rules(tmp_path, GOOD)
    plain = load_rules(rules, tables).digest
    for path in [*rules.iterdir(), *tables.iterdir()]:
        path.write_bytes(b"\xef\xbb\xbf" + path.read_text("utf-8").replace("\n", "\r\n").encode())
    assert load_rules(rules, tables).digest == plain


def test_digest_is_of_what_rules_say(tmp_path: Path) -> None:
    plain = load_rules(*write_rules(tmp_path / "1", GOOD)).digest
    same = {
        "a.yaml": "# a comment\n" + TEMPLATE,
        "accounts.csv": ACCOUNTS.replace("银行存款", "另一条备注"),
        "expense_accounts.csv": TABLE + "\n",
    }
    assert load_rules(*write_rules(tmp_path / "2", same)).digest == plain
    for name, old, new in (
        ("a.yaml", "side: debit", "side: debit\n        red: true"),
        ("accounts.csv", "1002", "1001"),
        ("expense_accounts.csv", "6602.01", "6602.02"),
        ("expense_accounts.csv", "A,*,,", "A,*,1,"),
    ):
        changed = {**GOOD, name: GOOD[name].replace(old, new)}
        assert load_rules(*write_rules(tmp_path / f"{name}{new[:3]}", changed)).digest != plain
