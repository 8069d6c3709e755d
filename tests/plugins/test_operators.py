"""Operators: one call into the product, what a person reads in the log, and which errors are tried again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from airflow.sdk import RetryAction
from airflow.sdk.definitions.retry_policy import ExceptionRetryPolicy

from include.domain import errors
from include.emulators.hesi import APP_KEY, APP_SECRET, generate_world, running
from include.stages.extract import ExtractResult
from include.stages.generate import GenerateResult
from include.stages.post import PostResult
from include.stages.reconcile import ReconcileResult
from include.stages.validate import ValidateResult
from include.stages.write_back import WriteBackStageResult
from voucherflow.operators.stages import ExtractDocuments, StageOperator, ValidateDocuments
from voucherflow.operators.wording import LABELS, lines
from voucherflow.recovery import RETRY_POLICY

RUN: Any = {"run_id": "manual__test"}
RESULTS = (ExtractResult, ValidateResult, GenerateResult, PostResult, ReconcileResult, WriteBackStageResult)


@pytest.fixture
def hesi(monkeypatch: pytest.MonkeyPatch, make_store_url: Callable[[str], str]) -> Iterator[None]:
    """An emulated Hesi with 40 documents behind the default connection, and an empty store."""
    monkeypatch.setenv("VOUCHERFLOW_STORE", make_store_url("sqlite"))
    with running(generate_world(40, 3)) as url:
        connection = {"conn_type": "hesi", "host": url, "login": APP_KEY, "password": APP_SECRET}
        monkeypatch.setenv("AIRFLOW_CONN_HESI_DEFAULT", json.dumps(connection))
        yield


def _run(operator: StageOperator) -> dict[str, Any]:
    """Execute as a task does, with parameters as they are rendered for a run without a period."""
    operator.date_from = operator.date_to = ""
    if isinstance(operator, ExtractDocuments):
        operator.refetch = "False"
    return operator.execute(RUN)


def test_extract_over_an_airflow_connection(hesi: None, capsys: pytest.CaptureFixture[str]) -> None:
    extracted = _run(ExtractDocuments(task_id="extract", book_id="acme"))
    assert extracted["new"] == 40
    assert extracted["complete"]
    log = capsys.readouterr().out
    assert "新增 / new: 40" in log
    assert "取数完整 / complete: 是 / yes" in log
    assert APP_SECRET not in log


def test_validating_under_new_rules_needs_the_ledger_and_says_which_connection(hesi: None) -> None:
    _run(ExtractDocuments(task_id="extract", book_id="acme"))
    with pytest.raises(errors.FixConfig, match="tryton_default"):
        _run(ValidateDocuments(task_id="validate", book_id="acme"))


def test_what_goes_to_xcom_are_counts(hesi: None) -> None:
    pushed = json.dumps(_run(ExtractDocuments(task_id="extract", book_id="acme")))
    assert len(pushed) < 1000


def test_clearing_a_task_brings_nothing_twice(hesi: None) -> None:
    operator = ExtractDocuments(task_id="extract", book_id="acme")
    assert _run(operator)["new"] == 40
    assert _run(operator)["new"] == 0


def test_a_wrong_date_names_the_parameter() -> None:
    operator = ValidateDocuments(task_id="validate", book_id="acme", date_from="01.03.2026", date_to="")
    with pytest.raises(errors.FixConfig, match=r"date_from='01\.03\.2026'.*YYYY-MM-DD"):
        operator.execute(RUN)


def test_reading_again_needs_a_day(hesi: None) -> None:
    operator = ExtractDocuments(task_id="extract", book_id="acme", date_from="", date_to="", refetch="True")
    with pytest.raises(errors.FixConfig, match="重新读取"):
        operator.execute(RUN)


def test_a_source_that_is_down_is_tried_again(hesi: None, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = {"conn_type": "hesi", "host": "http://127.0.0.1:9", "login": APP_KEY, "password": APP_SECRET}
    monkeypatch.setenv("AIRFLOW_CONN_HESI_DEFAULT", json.dumps(gone))
    with pytest.raises(errors.RetryLater) as caught:
        _run(ExtractDocuments(task_id="extract", book_id="acme"))
    assert _decision(caught.value) is RetryAction.RETRY


def _decision(error: BaseException) -> RetryAction:
    return RETRY_POLICY.evaluate(error, try_number=1, max_tries=3).action


def _all_kinds(kind: type[errors.VoucherflowError]) -> Iterator[type[errors.VoucherflowError]]:
    for below in kind.__subclasses__():
        yield below
        yield from _all_kinds(below)


@pytest.mark.parametrize(
    "kind", sorted(set(_all_kinds(errors.VoucherflowError)), key=lambda kind: kind.__name__)
)
def test_every_error_of_the_product_is_decided(kind: type[errors.VoucherflowError]) -> None:
    tried_again = (errors.RetryLater, errors.OutcomeUnknown, errors.LeaseLost)
    expected = RetryAction.RETRY if issubclass(kind, tried_again) else RetryAction.FAIL
    assert _decision(kind.__new__(kind)) is expected


@pytest.mark.parametrize(
    "bug", [KeyError("x"), TypeError("x"), ZeroDivisionError(), UnicodeDecodeError("u", b"", 0, 1, "")]
)
def test_a_bug_is_not_tried_again(bug: Exception) -> None:
    assert _decision(bug) is RetryAction.FAIL


@pytest.mark.parametrize("trouble", [MemoryError(), OSError("disk full")])
def test_trouble_of_the_machine_is_left_to_airflow(trouble: Exception) -> None:
    assert _decision(trouble) is RetryAction.DEFAULT


def test_the_policy_survives_the_way_to_the_scheduler() -> None:
    stored = json.loads(json.dumps(RETRY_POLICY.serialize()))
    again = ExceptionRetryPolicy.deserialize(stored)
    assert again.evaluate(errors.FixConfig("x"), 1, 3).action is RetryAction.FAIL


@pytest.mark.parametrize("result", RESULTS, ids=lambda result: result.__name__)
def test_every_figure_of_a_result_has_words(result: type) -> None:
    assert set(result.__dataclass_fields__) <= set(LABELS)


def test_money_and_causes_read_well() -> None:
    told = list(lines({"posted": 2, "posted_minor": 123450, "causes": (("line.amount.negative", 3),)}, "CNY"))
    assert told == [
        "过账 / posted: 2",
        "过账金额 / amount posted: 1,234.50 CNY",
        "         3 × line.amount.negative",
    ]
