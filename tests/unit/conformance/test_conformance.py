"""What the conformance command says, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner

from include.cli import app
from include.conformance import report
from include.conformance.ledger_suite import LedgerSuite
from include.conformance.runner import CaseResult, Conformance, Kind, Outcome, connectors, kind_of
from include.conformance.sample import Sample, read_sample
from include.conformance.source_suite import SourceSuite
from include.conformance.titles import TITLES
from include.domain.errors import FixConfig

LOST = "a_lost_answer_is_unknown_and_the_voucher_is_there_once"
DRAFT = "a_draft_of_ours_is_found_and_completed"


def results() -> list[Conformance]:
    cases = [
        CaseResult(LOST, Outcome.PASSED),
        CaseResult(DRAFT, Outcome.UNSUPPORTED, "没有草稿 | no drafts"),
    ]
    failed = [CaseResult(LOST, Outcome.FAILED, "AssertionError: two of them")]
    return [
        Conformance("kingdee", "no key", Kind.LEDGER, "emulator", cases),
        Conformance("nc", "", Kind.LEDGER, "https://nc.example.com", failed),
    ]


def cases_of(suite: type) -> Iterator[str]:
    return (name.removeprefix("test_") for name in dir(suite) if name.startswith("test_"))


def test_every_case_has_a_chinese_title_and_every_title_a_case() -> None:
    assert {*cases_of(SourceSuite), *cases_of(LedgerSuite)} == set(TITLES)


def test_every_adapter_has_a_system_to_run_on() -> None:
    from include.adapters.registry import LEDGERS, SOURCES

    assert set(connectors(Kind.SOURCE)) == set(SOURCES)
    assert set(connectors(Kind.LEDGER)) == set(LEDGERS)
    assert kind_of("kingdee") is Kind.LEDGER


def test_data_have_totals_and_every_case_with_its_reason() -> None:
    data = report.as_data(results())
    assert (data["passed"], data["unsupported"], data["failed"]) == (1, 1, 1)
    assert data["connectors"][0]["cases"][1] == {
        "case": DRAFT,
        "outcome": "unsupported",
        "reason": "没有草稿 | no drafts",
        "title": "我方草稿查得到并能完成 / a draft of ours is found and completed",
    }
    assert data["connectors"][1]["system"] == "https://nc.example.com"


def test_a_badge_counts_what_the_vendor_lets_one_do() -> None:
    assert [report.badge(each) for each in results()] == ["✓ 1/1", "✗ 0/1"]


def test_markdown_has_a_column_each_and_the_reasons() -> None:
    text = report.markdown(results())
    assert "| 用例 / case | kingdee (no key) | nc |" in text
    assert (
        "| 应答丢失即结果未知，凭证只有一张 / a lost answer is unknown and the voucher is there once | ✓ | ✗ |"
        in text
    )
    assert "- kingdee (no key) · 我方草稿查得到并能完成" in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nobody"], "kingdee"),
        ([], "--all"),
        (["--all", "--url", "https://test.example.com"], "emulators"),
        (["kingdee", "--url", "https://test.example.com"], "--sample"),
    ],
)
def test_what_cannot_be_run_is_said(arguments: list[str], said: str) -> None:
    done = CliRunner().invoke(app, ["conformance", *arguments])
    assert isinstance(done.exception, FixConfig)
    assert said in str(done.exception)


def test_a_sample_names_a_customers_accounts(tmp_path: Path) -> None:
    file = tmp_path / "sample.yaml"
    file.write_text("day: 2027-01-05\nbank: '1002.01'\nemployee: {code: E7, name: 王}\n", "utf-8")
    found = read_sample(file)
    assert (found.day, found.bank, found.employee.code) == (date(2027, 1, 5), "1002.01", "E7")
    assert found.expense == Sample().expense


@pytest.mark.parametrize(
    "text", ["account: 1", "day: soon", "[1, 2]", "bank: ''\nday: 2026-01-01\nx: y", "a: [", "- \x00"]
)
def test_a_wrong_sample_says_which_keys_there_are(tmp_path: Path, text: str) -> None:
    file = tmp_path / "sample.yaml"
    file.write_text(text, "utf-8")
    with pytest.raises(FixConfig, match="sample"):
        read_sample(file)
