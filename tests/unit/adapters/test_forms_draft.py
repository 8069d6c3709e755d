"""Drafts of mapping files: what is guessed from a sample, what is left to the engineer, and the command."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from include import cli, cli_forms, marks
from include.adapters import registry
from include.adapters.oa.forms import FieldValue, FormInstance, Row, map_form
from include.adapters.oa.forms.draft import NO_FIELD, draft_mapping
from include.adapters.oa.forms.instance import load_instance
from include.connections import Endpoint
from include.domain.document import DocumentStatus
from include.domain.errors import FixConfig, FixData
from include.form_mappings import FormMapping, read_mappings
from tests.unit.adapters.form_parts import form_context
from tests.unit.adapters.test_forms_golden import FOLDER


def sample(name: str) -> FormInstance:
    return load_instance(json.loads((FOLDER / f"{name}.json").read_text("utf-8"))["instance"])


def drafted(instance: FormInstance) -> FormMapping:
    return FormMapping.model_validate(marks.parse(draft_mapping(instance)).value)


def named(mapping: FormMapping) -> dict[str, str]:
    return {place: ref.field for place, ref, _ in mapping.fields}


def test_a_weaver_form_is_guessed_whole() -> None:
    mapping = drafted(sample("weaver_expense"))
    assert named(mapping) == {
        "document.code": "djbh",
        "document.legal_entity": "gs",
        "document.department": "sqbm",
        "document.project": "xm",
        "document.submitter": "sqr",
        "document.currency": "bz",
        "document.rate": "hl",
        "document.gross": "bxzje",
        "document.functional_gross": "bbje",
        "document.written_off": "hxje",
        "document.payable": "sfje",
        "lines.fee_type": "fylx",
        "lines.department": "fybm",
        "lines.project": "fyxm",
        "lines.amount": "je",
        "lines.tax": "se",
        "lines.occurred_on": "fyrq",
        "lines.description": "zy",
        "invoices.number": "fphm",
        "invoices.kind": "fpzl",
        "write_offs.loan": "jkdh",
        "write_offs.amount": "hxje",
    }
    assert mapping.invoices is not None
    assert mapping.lines.table == mapping.invoices.table == "formtable_main_71_dt1"
    assert mapping.document.currency is not None
    assert mapping.document.currency.enum == {"0": "CNY", "1": "USD"}
    assert mapping.write_back is not None
    assert (mapping.write_back.voucher_no, mapping.write_back.error) == ("pzh", "pzcw")


@pytest.mark.parametrize("name", ["weaver_expense", "dingtalk_expense_broken", "feishu_travel_dollars"])
def test_a_draft_reads_the_total_and_the_lines_of_its_sample(name: str) -> None:
    expected = json.loads((FOLDER / f"{name}.expected.json").read_text("utf-8"))["document"]
    mapping = drafted(sample(name))
    document = map_form(sample(name), mapping, form_context(mapping)).document
    assert document.kind == expected["kind"]
    if expected["currency"] == "CNY":
        assert document.gross == expected["gross"]
        assert [line.functional_amount for line in document.lines] == [
            line["functional_amount"] for line in expected["lines"]
        ]
    assert [line.line_no for line in document.lines] == [line["line_no"] for line in expected["lines"]]


def test_each_guess_shows_the_samples_value_and_the_rest_is_listed() -> None:
    text = draft_mapping(sample("weaver_expense"))
    assert '  gross: {field: bxzje, oa_type: "1/3"}  # 报销总金额（1/3） “1568.50”' in text
    assert '      "1": {code: "1", name: "住宿费"}' in text
    rest = text.partition("未映射的字段")[2]
    assert "#   dxje: 大写金额（1/4） “1568.50” 壹仟伍佰陆拾捌元伍角整" in rest
    assert "#   formtable_main_71_dt1.sl: 税率" in rest
    assert "bxzje" not in rest


def test_a_loan_is_one_line_and_a_form_without_amount_says_what_to_fill_in() -> None:
    fields = {"w1": FieldValue("1000", "借款金额"), "w2": FieldValue("展会", "用途")}
    loan = FormInstance("1", "L", DocumentStatus.APPROVED, title="员工借款", fields=fields)
    mapping = drafted(loan)
    assert (mapping.kind, mapping.lines.table, named(mapping)) == (
        "loan",
        "",
        {"document.gross": "w1", "lines.description": "w2"},
    )
    empty = drafted(replace(loan, fields={}))
    assert named(empty) == {"document.gross": NO_FIELD}


def test_odd_names_neither_break_the_file_nor_get_into_it(tmp_path: Path) -> None:
    fields = {
        'a"b: {x} #': FieldValue("5", "总金额\n第二行"),
        "c\u2028d": FieldValue("2026-01-01", "申请日期"),
        "yes": FieldValue("12", "部门", type="t\x00"),
        "7": FieldValue(["x"], "项目"),
    }
    rows = [Row({"金 额": FieldValue("1", "金额")})]
    instance = FormInstance("1", "T", DocumentStatus.APPROVED, fields=fields, tables={"表 1": rows, "": rows})
    (tmp_path / "odd.yaml").write_text(draft_mapping(instance), "utf-8")
    problems: list[str] = []
    [mapping] = read_mappings(tmp_path, problems)
    assert problems == []
    assert named(mapping) == {
        "document.gross": 'a"b: {x} #',
        "document.department": "yes",
        "document.project": "7",
        "lines.amount": "金 额",
    }
    assert mapping.lines.table == "表 1"


# -- the command -------------------------------------------------------------------------------------


def draft_command(*arguments: str) -> str:
    result = CliRunner().invoke(
        cli.app, ["forms", "draft", *arguments], catch_exceptions=False, standalone_mode=False
    )
    if result.exception is not None:
        raise result.exception
    return result.stdout


def test_the_command_prints_the_draft_alone(tmp_path: Path) -> None:
    path = tmp_path / "sample.json"
    case = json.loads((FOLDER / "weaver_expense.json").read_text("utf-8"))
    path.write_text(json.dumps(case["instance"], ensure_ascii=False), "utf-8-sig")
    assert draft_command("weaver", "--sample", str(path)) == draft_mapping(sample("weaver_expense"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is no JSON in UTF-8"),
        (b"\xff\xfe", "is no JSON in UTF-8"),
        (b"[" * 100_000, "is no JSON in UTF-8"),
        (b"[]", "not the JSON of a form"),
        (b'{"id": "1", "template": "T"}', "status"),
        (
            b'{"id": "1", "template": "T", "status": "approved", "created_at": "2026-01-01T00:00:00"}',
            "created_at",
        ),
    ],
)
def test_a_sample_that_is_none_is_refused_with_its_file(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "sample.json"
    path.write_bytes(content)
    with pytest.raises(FixData) as caught:
        draft_command("weaver", "--sample", str(path))
    assert str(path) in str(caught.value)
    assert words in str(caught.value)


def test_the_command_needs_one_sample(tmp_path: Path) -> None:
    for arguments in ([], ["--sample", "x", "--instance", "1"]):
        with pytest.raises(FixConfig, match="--sample"):
            draft_command("weaver", *arguments)
    with pytest.raises(FixConfig, match="无法读取"):
        draft_command("weaver", "--sample", str(tmp_path / "none.json"))


class OneForm:
    """An adapter that has one form."""

    def form_instance(self, instance_id: str) -> FormInstance:
        assert instance_id == "104213"
        return sample("weaver_expense")


def build_one_form(*_: object) -> OneForm:
    """What the registry calls."""
    return OneForm()


@pytest.fixture
def tenant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration folder with sources of a free-form system and of Hesi, and no mapping yet."""
    monkeypatch.setenv("VOUCHERFLOW_CONFIG_DIR", str(tmp_path))
    monkeypatch.setitem(registry.SOURCES, "toy", f"{__name__}:build_one_form")
    monkeypatch.setattr(
        cli_forms, "resolver", [lambda name: Endpoint(name, "http://127.0.0.1:9", "key", "secret")]
    )
    (tmp_path / "sources").mkdir()
    for system in ("toy", "hesi"):
        text = f"id: {system}\nsystem: {system}\nconnection: c\nstart: 2026-01-01\n"
        (tmp_path / "sources" / f"{system}.yaml").write_text(text, "utf-8")
    return tmp_path


@pytest.mark.usefixtures("tenant")
def test_the_first_mapping_is_drafted_from_a_form_in_the_oa() -> None:
    assert draft_command("toy", "--instance", "104213") == draft_mapping(sample("weaver_expense"))


@pytest.mark.usefixtures("tenant")
def test_a_system_whose_forms_are_fixed_has_nothing_to_draft() -> None:
    with pytest.raises(FixConfig, match="不需要映射文件"):
        draft_command("hesi", "--instance", "1")
    with pytest.raises(FixConfig, match="现有：hesi、toy"):
        draft_command("nobody", "--instance", "1")
