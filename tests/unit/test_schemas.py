"""The published schemas: current, closed, true of all that ships, and refusing what the loader refuses."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from include import marks, schemas
from include.settings import DEFAULT_CONFIG_DIR

SHIPPED = sorted(DEFAULT_CONFIG_DIR.rglob("*.yaml"))
HEAD = "# yaml-language-server: $schema="
TEMPLATE = """\
templates:
  - id: claim
    event: expense_claim
    title: {zh: 报销, en: Claim}
    kinds: [expense_claim]
    valid_from: 2026-01-01
    summary: "报销 {document.code}"
    when: {document.payment_channel: not_missing, document.properties.city: {equals: 上海}}
    lines:
      - name: expense
        for_each: line
        side: debit
        measure: gross
        account: {table: expense_accounts}
        dimensions: {department: line.department}
        when: {line.gross: {range: {from: 1, to: 99.50}}}
      - name: paid
        side: credit
        measure: document.properties.paid
        account: {key: bank}
        fixed_dimensions: {supplier: {code: X, name: 商旅}}
"""


def plain(value: Any) -> Any:
    """As JSON has it: the loader's decimals are numbers."""
    match value:
        case dict():
            return {key: plain(item) for key, item in value.items()}
        case list():
            return [plain(item) for item in value]
        case Decimal():
            return float(value)
    return value


def mistakes(kind: str, text: str) -> list[str]:
    """What a schema says against a YAML file."""
    validator = Draft7Validator(schemas.build()[kind])
    return [error.message for error in validator.iter_errors(plain(marks.parse(text).value))]


def test_the_files_are_those_that_the_models_give() -> None:
    for name, schema in schemas.build().items():
        assert schemas.path_of(name).read_text("utf-8") == schemas.text_of(schema), (
            "run python -m include.schemas"
        )
        Draft7Validator.check_schema(schema)


@pytest.mark.parametrize("path", SHIPPED, ids=str)
def test_shipped_files_name_their_schema_and_fit_it(path: Path) -> None:
    text = path.read_text("utf-8")
    head, _, named = text.splitlines()[0].partition("=")
    assert head + "=" == HEAD
    schema = json.loads((path.parent / named).read_text("utf-8"))
    assert list(Draft7Validator(schema).iter_errors(plain(marks.parse(text).value))) == []


def test_every_key_is_explained_in_two_languages() -> None:
    for schema in schemas.build().values():
        for definition in [schema, *schema["$defs"].values()]:
            for key, value in definition.get("properties", {}).items():
                zh, _, en = value["description"].rpartition("/ ")
                assert not zh.isascii(), key
                assert en.isascii(), key


def test_a_template_that_uses_everything_fits() -> None:
    assert mistakes("template", TEMPLATE) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("side: credit", "sides: credit"),
        ("side: credit", "side: left"),
        ("        side: credit\n", ""),
        ("kinds: [expense_claim]", "kinds: [claim]"),
        ("kinds: [expense_claim]", "kinds: []"),
        ("measure: gross", "measure: brutto"),
        ("measure: gross", "measure: payable"),
        ("measure: gross", "measure: document.properties.paid"),
        ("for_each: line", "for_each: invoice_line"),
        ("        for_each: line\n", ""),
        ("document.payment_channel: not_missing", "document.colour: not_missing"),
        ("document.payment_channel: not_missing", "line.fee_type: not_missing"),
        ("document.payment_channel: not_missing", "document.payment_channel: missing"),
        ("{equals: 上海}", "{equals: 上海, prefix: 上}"),
        ("{equals: 上海}", "{like: 上海}"),
        ("{equals: 上海}", "{equals: 12}"),
        ("{equals: 上海}", "{range: {from: 1}}"),
        ("{range: {from: 1, to: 99.50}}", "{equals: '1'}"),
        ("{from: 1, to: 99.50}", "{}"),
        ("{department: line.department}", "{dept: line.department}"),
        ("{department: line.department}", "{department: line.city}"),
        ("{document.code}", "{document.cod}"),
        ("{document.code}", "{line.fee_type}"),
        ("{document.code}", "{document.code"),
        ("{key: bank}", "{key: bank, table: x}"),
        ("{key: bank}", "{}"),
        ("id: claim", "id: Claim"),
        ("    lines:", "    no_voucher: {zh: 无, en: none}\n    lines:"),
        (TEMPLATE, "templates: []\n"),
        ("    valid_from: 2026-01-01", "    valid_from: 45000"),
        ("code: X", "code: 0012"),
    ],
)
def test_a_mistake_in_a_template_is_marked(old: str, new: str) -> None:
    assert TEMPLATE.count(old) >= 1
    assert mistakes("template", TEMPLATE.replace(old, new, 1))


@pytest.mark.parametrize(
    ("kind", "file", "old", "new"),
    [
        ("book", "books/acme.yaml", "owner: finance", "ownr: finance"),
        ("book", "books/acme.yaml", "system: tryton", "system: sap"),
        ("book", "books/acme.yaml", "currency: CNY", "currency: 人民币"),
        ("book", "books/acme.yaml", "voucher_date: approved", "voucher_date: yesterday"),
        ("book", "books/acme.yaml", "legal_entities: [E01]", "legal_entities: []"),
        ("book", "books/acme.yaml", "owner: finance", "residue: first_line"),
        ("book", "books/acme.yaml", "owner: finance", "file: x"),
        ("source", "sources/hesi.yaml", "kind: loan", "kind: lend"),
        ("source", "sources/hesi.yaml", "overlap_s: 600", "overlap_s: -1"),
        ("source", "sources/hesi.yaml", "system: hesi", "system: sap"),
        ("source", "sources/hesi.yaml", "  project: 项目", "  projekt: 项目"),
    ],
)
def test_a_mistake_in_a_book_or_source_is_marked(kind: str, file: str, old: str, new: str) -> None:
    text = (DEFAULT_CONFIG_DIR / file).read_text("utf-8")
    assert old in text
    assert mistakes(kind, text) == []
    assert mistakes(kind, text.replace(old, new, 1))


def test_a_residue_account_fits() -> None:
    text = (DEFAULT_CONFIG_DIR / "books/acme.yaml").read_text("utf-8")
    assert mistakes("book", text + "residue: {account: rounding}\n") == []
