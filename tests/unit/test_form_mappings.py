"""Mapping files of free forms: what they may say, and a message for everything else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from jsonschema import Draft7Validator

from include import marks, schemas
from include.domain.document import DocumentKind
from include.domain.errors import FixConfig
from include.form_mappings import read_mappings
from include.settings import DEFAULT_CONFIG_DIR, load_settings, load_source

EXAMPLES = DEFAULT_CONFIG_DIR / "examples" / "forms" / "mappings"
GOOD = """\
form: claim
templates: ["61"]
kind: expense_claim
document:
  code: djbh
  legal_entity: {default: E01}
  currency: {field: bz, enum: {"0": CNY}}
  rate: hl
  gross: {field: bxzje, in: functional, default: 0}
lines:
  table: dt1
  amount: je
  fee_type: {field: fylx, enum: {"0": TRAFFIC}}
invoices:
  table: dt1
  number: fphm
write_offs: {table: dt2, loan: jkd, amount: hxje}
properties:
  city: {field: cs, type: text}
approval: {paid_nodes: [出纳], due: paid}
write_back: {voucher_no: pzh}
"""
PLACE = "claim.yaml:"


def problems_of(folder: Path, **files: str) -> list[str]:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text, "utf-8")
    found: list[str] = []
    read_mappings(folder, found)
    return found


def test_a_good_file_is_taken_and_short_fields_are_written_out(tmp_path: Path) -> None:
    assert problems_of(tmp_path, claim=GOOD) == []
    [mapping] = read_mappings(tmp_path, [])
    assert mapping.document.code is not None
    assert mapping.document.code.field == "djbh"
    assert mapping.file == str(tmp_path / "claim.yaml")
    named = [(place, ref.field, table) for place, ref, table in mapping.fields]
    assert ("lines.amount", "je", "dt1") in named
    assert ("properties.city", "cs", "") in named
    assert not any(place == "document.legal_entity" for place, _, _ in named)  # a fixed value has no field


@pytest.mark.parametrize("vendor", ["weaver", "dingtalk", "feishu"])
def test_the_examples_are_sound(vendor: str) -> None:
    found: list[str] = []
    assert read_mappings(EXAMPLES / vendor, found)
    assert found == []


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("form: claim\n", "", ("form", "缺少此键", "missing")),
        ("form: claim", "forms: claim", ("forms", "未知的键", "templates、write_back")),
        ('templates: ["61"]', "templates: []", (":2: templates", "至少要有 1 项")),
        ('templates: ["61"]', "templates: [61]", ("templates.0", "请加引号", '"61"')),
        ('templates: ["61"]', 'templates: ["61", "61"]', ("templates.1", "'61'", "delete one")),
        ("kind: expense_claim", "kind: claim", (":3: kind", "'claim'", "expense_claim")),
        ("kind: expense_claim", "kind: unknown", ("kind", "写明单据类型")),
        ("  code: djbh", "  nr: djbh", (":5: document.nr", "legal_entity", "voucher_no")),
        ("  code: djbh", "  code: 12", ("document.code", '"12"')),
        ("  code: djbh", "  code: no", ("document.code", '"no"')),
        ("  code: djbh", "  code: {}", ("document.code", "default")),
        ("  code: djbh", "  code: {field: djbh, by: name}", ("document.code.by", "value、label、ext")),
        ("  code: djbh", "  code: {field: djbh, path: a..b}", ("document.code.path",)),
        ("  code: djbh", "  code: {name: djbh}", ("document.code.name", "oa_type", "optional")),
        ("  rate: hl\n", "", ("document", "rate", "汇率")),
        ("  rate: hl", "  rate: {field: ''}", ("document.rate.field", "不能为空")),
        ('enum: {"0": CNY}', 'enum: {"0": RMB}', ("document.currency.enum", "RMB", "CNY")),
        ("currency: {field: bz", "currency: {default: 元, field: bz", ("document.currency.default", "元")),
        ("default: 0}", "default: some}", ("document.gross.default", "应为数字")),
        ("default: 0}", "default: 1e99}", ("document.gross.default", "普通数字")),
        ("in: functional", "in: home", ("document.gross.in", "document、functional")),
        ("  amount: je\n", "", ("lines", "amount", "金额字段")),
        ('enum: {"0": TRAFFIC}', 'enum: {"0": 1001}', ("lines.fee_type.enum.0", '"1001"')),
        ('enum: {"0": TRAFFIC}', 'enum: {"0": {name: 交通}}', ("lines.fee_type.enum.0.code", "缺少此键")),
        ("  table: dt1\n  number", "  table: dt3\n  number", ("invoices", "line", "第几条明细")),
        ("  table: dt1\n  number", "  number", ("invoices", "table")),
        ("  number: fphm", "  nummer: fphm", ("invoices.nummer", "number")),
        ("loan: jkd, ", "", ("write_offs.loan", "缺少此键")),
        ("  city:", "  City:", ("properties", "City")),
        ("type: text", "type: money", ("properties.city.type", "amount")),
        ("paid_nodes: [出纳], ", "", ("approval.due", "paid_when")),
        ("due: paid", "due: later", ("approval.due", "approved、paid")),
        ("voucher_no: pzh", "number: pzh", ("write_back.number", "fiscal_period")),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_line_key_and_what_is_allowed(
    old: str, new: str, words: tuple[str, ...], tmp_path: Path
) -> None:
    assert old in GOOD
    found = problems_of(tmp_path, claim=GOOD.replace(old, new, 1))
    assert found
    for word in (PLACE, *words):
        assert any(word in line for line in found), found
    assert all(" / " in line for line in found), found  # in two languages


def test_a_form_without_any_amount_is_refused(tmp_path: Path) -> None:
    [line] = problems_of(tmp_path, claim='form: f\ntemplates: ["1"]\nkind: loan\n')
    assert "没有金额" in line
    assert "gross" in line


def test_all_mistakes_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    found = problems_of(tmp_path, claim=GOOD.replace("code: djbh", "nr: djbh"), loan="form: [", other=GOOD)
    assert len(found) == 2
    assert "claim.yaml" in found[0]
    assert "loan.yaml" in found[1]


def test_a_template_belongs_to_one_file(tmp_path: Path) -> None:
    [line] = problems_of(tmp_path, claim=GOOD, other=GOOD)
    assert "other.yaml:2: templates.0" in line
    assert "claim.yaml" in line


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("form: claim\n", ""),
        ('templates: ["61"]', "templates: []"),
        ('templates: ["61"]', "templates: [61]"),
        ("kind: expense_claim", "kind: unknown"),
        ("  code: djbh", "  nr: djbh"),
        ("  code: djbh", "  code: {name: djbh}"),
        ("  code: djbh", "  code: 12"),
        ("in: functional", "in: home"),
        ('enum: {"0": TRAFFIC}', 'enum: {"0": {name: 交通}}'),
        ("  number: fphm", "  nummer: fphm"),
        ("due: paid", "due: later"),
        ("  city:", "  City:"),
    ],
)
def test_editors_mark_mistakes_and_take_good_files(old: str, new: str) -> None:
    validator = Draft7Validator(schemas.build()["mapping"])
    assert old in GOOD
    assert list(validator.iter_errors(marks.parse(GOOD).value)) == []
    assert list(validator.iter_errors(marks.parse(GOOD.replace(old, new, 1)).value))


# -- as part of the configuration --------------------------------------------------------------------


@pytest.fixture
def config(tmp_path: Path) -> Path:
    for folder in ("books", "sources"):
        shutil.copytree(DEFAULT_CONFIG_DIR / folder, tmp_path / folder)
    (tmp_path / "mappings" / "hesi").mkdir(parents=True)
    return tmp_path


def test_a_sources_mappings_are_loaded_and_their_forms_are_its_forms(config: Path) -> None:
    (config / "mappings/hesi/claim.yaml").write_text(GOOD, "utf-8")
    source = load_settings(config).sources["hesi"]
    assert [mapping.form for mapping in source.mappings] == ["claim"]
    assert source.form_types[-1] == "claim"
    assert source.kind_of("claim", "61:7") is DocumentKind.EXPENSE_CLAIM
    assert source.kind_of("claim", "62") is DocumentKind.UNKNOWN


def test_a_bad_mapping_is_a_bad_configuration(config: Path) -> None:
    (config / "mappings/hesi/claim.yaml").write_text(GOOD.replace("code: djbh", "nr: djbh"), "utf-8")
    with pytest.raises(FixConfig, match=r"claim\.yaml:5: document\.nr"):
        load_settings(config)


def test_mappings_of_no_source_are_refused(config: Path) -> None:
    (config / "mappings/heis").mkdir()
    with pytest.raises(FixConfig, match=r"heis: 没有来源 'heis'，可选：hesi"):
        load_settings(config)


def test_a_source_needs_forms_or_mappings_but_can_be_read_alone_for_a_draft(config: Path) -> None:
    path = config / "sources/hesi.yaml"
    text = path.read_text("utf-8")
    start, end = text.index("forms:"), text.index("fields:")
    path.write_text(text[:start] + text[end:], "utf-8")
    with pytest.raises(FixConfig, match=r"hesi\.yaml: forms: 没有单据类型"):
        load_settings(config)
    assert load_source("hesi", config).system == "hesi"
    (config / "mappings/hesi/claim.yaml").write_text(GOOD, "utf-8")
    assert load_settings(config).sources["hesi"].form_types == ("claim",)


@pytest.mark.parametrize("name", ["nobody", "../sources/hesi", ""])
def test_a_source_that_is_not_there_is_told_with_those_that_are(name: str, config: Path) -> None:
    with pytest.raises(FixConfig, match="现有：hesi"):
        load_source(name, config)
