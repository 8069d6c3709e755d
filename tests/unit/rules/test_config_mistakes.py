"""Every mistake in a rule file has its message: file, line, key, and what is allowed."""

from __future__ import annotations

import csv
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from openpyxl import Workbook

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
    "measure of another scope": ("measure: gross", "measure: payable", ["a.yaml:9", "for_each: line", "deductible_tax、gross"]),
    "unknown kind": ("kinds: [expense_claim]", "kinds: [claim]", ["a.yaml:5", "kinds.0", "expense_claim"]),
    "unknown side": ("side: credit", "side: left", ["a.yaml:15", "debit"]),
    "unknown fact": (
        "    summary:", "    when: {document.colour: not_missing}\n    summary:",
        ["a.yaml:6: templates.0.when.document.colour", "没有这个事实", "document.payment_channel"],
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
        "    summary:", "    when: {document.status: {range: {from: 1}}}\n    summary:", ["a.yaml:6", "amounts take range"],
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
    "dimension from nowhere": ("line.department}", "line.city}", ["a.yaml:13", "'line.city'", "line.department"]),
    "dimension twice": (
        "line.department}\n", "line.department}\n        optional_dimensions: {department: document.department}\n",
        ["写了两次", "department"],
    ),
    "one side only": ("side: credit", "side: debit", ["a.yaml:2", "a debit and a credit"]),
    "name twice": ("name: paid", "name: expense", ["two lines have the same name"]),
    "no such day": (
        "    summary:", "    valid_from: 2026-02-30\n    summary:", ["a.yaml:6", "valid_from", "there is no such day"],
    ),
    "no such month": (
        "    summary:", "    valid_from: 2026/13/01\n    summary:", ["a.yaml:6", "'2026/13/01'", "write 2026-01-31"],
    ),
    "serial number of a day": (
        "    summary:", "    valid_to: 45000\n    summary:", ["a.yaml:6", "valid_to", "'45000'", "2023-03-15"],
    ),
    "number that is no day": ("    summary:", "    valid_to: 86400\n    summary:", ["a.yaml:6", "valid_to", "write"]),
    "day with a time": (
        "    summary:", "    valid_to: 2026-01-01 08:00:00\n    summary:", ["a.yaml:6", "write a date as 2026-01-31"],
    ),
    "yes for text": (
        "    summary:", "    when: {document.has_payable: {equals: yes}}\n    summary:", ["a.yaml:6", 'put yes in quotes: "yes"'],
    ),
    "zeros in front": (
        "    summary:", "    when: {document.department: {equals: 0012}}\n    summary:", ['put 0012 in quotes: "0012"'],
    ),
    "decimal for text": (
        "        account: {key: bank}", "        account: {key: 6602.10}", ["a.yaml:17", 'put 6602.10 in quotes: "6602.10"'],
    ),
    "list for text": ("event: expense_claim", "event: [a]", ["a.yaml:3", "event", "text is expected"]),
    "nothing for text": ("event: expense_claim", "event:", ["a.yaml:3", "event", "text is expected"]),
    "text for a list": ("kinds: [expense_claim]", "kinds: expense_claim", ["a.yaml:5", "应为列表", "a list is expected"]),
    "nothing in a list": ("kinds: [expense_claim]", "kinds: []", ["a.yaml:5", "kinds", "至少要有 1 项"]),
    "text for keys": ("title: {zh: 报销, en: Claim}", "title: 报销", ["a.yaml:4", "title", "keys and values are expected"]),
    "list for keys": ("account: {key: bank}", "account: [bank]", ["a.yaml:17", "account", "应为“键: 值”"]),
    "text for yes or no": ("side: credit", "side: credit\n        red: maybe", ["a.yaml:16", "red", "true or false"]),
    "text for a number": ("side: credit", "side: credit\n        fraction: half", ["a.yaml:16", "fraction", "应为数字"]),
    "too large a fraction": ("side: credit", "side: credit\n        fraction: 1.5", ["fraction", "应小于 1", "less than 1"]),
    "too long a word": ("    summary:", "    word: 记账凭证记账凭证记\n    summary:", ["a.yaml:6", "word", "最多 8 个字符"]),
    "empty text": ("en: Claim", "en: ''", ["a.yaml:4", "title.en", "不能为空", "may not be empty"]),
    "merge": ("side: credit", "side: credit\n        merge: all", ["a.yaml:16", "可选：none、account_and_dimensions、day"]),
    "tab": ("    event: expense_claim", "\tevent: expense_claim", ["a.yaml:3", "缩进用了制表符", "use spaces"]),
    "colon in a value": ("event: expense_claim", "event: expense: claim", ["a.yaml:3", "冒号的位置不对"]),
    "value that needs quotes": ("event: expense_claim", "event: @x", ["a.yaml:3", "put it in quotes"]),
    "quote never closed": ('"报销 {document.code}"', '"报销', ["a.yaml:6", "引号没有结束"]),
    "indentation": ("    event: expense_claim", "   event: expense_claim", ["a.yaml:3", "缩进与上文不一致"]),
    "no such alias": ("event: expense_claim", "event: *x", ["a.yaml:3", "没有定义这个别名"]),
    "two documents": (TEMPLATE, "templates: []\n---\ntemplates: []\n", ["a.yaml:2", "delete the further ---"]),
    "control character": ("event: expense_claim", "event: \x01", ["a.yaml:3", "不可见的控制字符"]),
    "impossible number": ("event: expense_claim", "event: 190:20:30.15", ["a.yaml:3", "'190:20:30.15'", "put it in quotes"]),
    "alias of itself": ("kinds: [expense_claim]", "kinds: &k [*k]", ["a.yaml:5", "an alias holds itself"]),
    "deep": ("event: expense_claim", f"event: {'[' * 40_000}", ["a.yaml:3", "nested more than 32 deep"]),
    "merge key": ("    event: expense_claim", "    <<: {event: expense_claim}", ["templates.0.<<", "未知的键"]),
    "dates upside down": (
        "    summary:", "    valid_from: 2026-02-01\n    valid_to: 2026-01-01\n    summary:", ["later than valid_to"],
    ),
    "lines and no_voucher": ("    lines:", "    no_voucher: {zh: 无, en: none}\n    lines:", ["not both"]),
    "key twice": ("    event: expense_claim\n", "    event: a\n    event: b\n", ["a.yaml:4", "appears twice"]),
    "not YAML": ("[expense_claim]", "[expense_claim", ["a.yaml:", "not valid YAML"]),
    "python tag": ("event: expense_claim", "event: !!python/name:os.system x", ["a.yaml:3", "tags are not read"]),
    "event with a slash": ("event: expense_claim", "event: a/b", ["a.yaml:3", "event", "lower-case letters"]),
    "nothing": (TEMPLATE, "", ["a.yaml:1", "文件是空的", "it should have: templates"]),
    "comments alone": (TEMPLATE, "# nothing\n", ["a.yaml:1", "the file is empty"]),
    "a list": (TEMPLATE, "- id: claim\n", ["a.yaml:1", "keys and values are expected"]),
    "text": (TEMPLATE, "templates\n", ["a.yaml:1", "应为“键: 值”"]),
}  # fmt: skip


@pytest.mark.parametrize("name", TEMPLATE_MISTAKES)
def test_mistake_in_a_template(tmp_path: Path, name: str) -> None:
    old, new, expected = TEMPLATE_MISTAKES[name]
    assert TEMPLATE.count(old) >= 1
    message = refusal(tmp_path, a_yaml=TEMPLATE.replace(old, new, 1))
    assert "Traceback" not in message
    for line in message.splitlines():
        assert re.search(r"[\u4e00-\u9fff].*/ .*[a-z]", line), line
    assert [part for part in expected if part not in message] == [], message


def alias_bomb() -> str:
    """A few lines that stand for 10^9 values."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (alias_bomb(), ["a.yaml:", "aliases count in full", "split the file"]),
        ("差旅: 1\n报销: 1\n".encode("gbk"), ["a.yaml:1", "不是 UTF-8（第 1 字节）", "save it as UTF-8"]),
        (b"\xef\xbb\xbfa: 1\nb: \xff\n", ["a.yaml:2", "byte 12"]),
        (b"# " + b"x" * 3_000_000, ["larger than 2 MB"]),
    ],
    ids=["aliases", "GBK", "one byte", "3 MB"],
)
def test_a_template_file_that_cannot_be_read(
    tmp_path: Path, content: str | bytes, expected: list[str]
) -> None:
    message = refusal(tmp_path, a_yaml=content)
    assert [part for part in expected if part not in message] == [], message


def test_a_hundred_mistakes_and_how_many_more(tmp_path: Path) -> None:
    message = refusal(tmp_path, a_yaml=TEMPLATE + "".join(f"x{n}: 1\n" for n in range(150)))
    assert message.count("unknown key") == 100
    assert "另有 50 处 / … and 50 more" in message


def test_folders_where_files_are_expected(tmp_path: Path) -> None:
    rules, tables = write_rules(tmp_path, {"accounts.csv": ACCOUNTS})
    (rules / "a.yaml").mkdir()
    (tables / "expense_accounts.csv").mkdir()
    with pytest.raises(FixConfig) as refused:
        load_rules(rules, tables)
    lines = str(refused.value).splitlines()
    assert len(lines) == 2
    assert all("a file is expected" in line for line in lines)


@pytest.fixture
def not_root() -> Iterator[None]:
    """Permissions mean nothing to root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_files_that_may_not_be_read(not_root: None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        rules, tables = write_rules(Path(folder), GOOD)
        for path in (rules / "a.yaml", tables / "accounts.csv", tables / "expense_accounts.csv"):
            path.chmod(0)
        with pytest.raises(FixConfig) as refused:
            load_rules(rules, tables)
    lines = str(refused.value).splitlines()
    assert [name for name in GOOD if sum(f"/{name}" in line for line in lines) != 1] == []
    assert all("check who may read it: Permission denied" in line for line in lines)


def test_one_table_in_two_files(tmp_path: Path) -> None:
    rules, tables = write_rules(tmp_path, GOOD)
    (tables / "accounts.xlsx").touch()
    (tables / "costs.xls").touch()
    with pytest.raises(FixConfig) as refused:
        load_rules(rules, tables)
    assert "the same table as accounts.csv, keep one" in str(refused.value)
    assert ".xls files are not read, save it as .xlsx" in str(refused.value)


def test_tables_as_workbooks_are_the_same_rules(tmp_path: Path) -> None:
    plain = load_rules(*write_rules(tmp_path / "csv", GOOD))
    rules, tables = write_rules(tmp_path / "xlsx", GOOD)
    for path in tables.glob("*.csv"):
        book = Workbook()
        assert book.active is not None
        for row in csv.reader(path.read_text("utf-8").splitlines()):
            book.active.append(row)
        book.save(path.with_suffix(".xlsx"))
        path.unlink()
    loaded = load_rules(rules, tables)
    assert loaded.digest == plain.digest
    assert (plain.accounts_file, loaded.accounts_file) == ("accounts.csv", "accounts.xlsx")
    (rules / "a.yaml").write_text(TEMPLATE.replace("{key: bank}", "{key: cash}"), "utf-8")
    with pytest.raises(FixConfig, match=r"'cash' 不在 .*accounts\.xlsx 中，可选：bank"):
        load_rules(rules, tables)


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
    message = refusal(tmp_path, b_yaml=TEMPLATE)
    assert "b.yaml:2: 模板 id 'claim' 已用于 a.yaml:2，换一个" in message
    assert "choose another" in message


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
