"""What Airflow does after an error: the product's errors are typed by recovery, this table says what that means here."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

_ERRORS = "include.domain.errors"
_BUGS = (
    "ArithmeticError",
    "AssertionError",
    "AttributeError",
    "ImportError",
    "LookupError",
    "NameError",
    "TypeError",
    "ValueError",
)

RETRY_POLICY = ExceptionRetryPolicy(
    rules=[
        RetryRule(
            exception=[f"{_ERRORS}.RetryLater", f"{_ERRORS}.OutcomeUnknown"],
            action=RetryAction.RETRY,
            reason="网络或对方系统暂不可用，稍后重试；过账前会先查重 / the network or the other side is down; "
            "a retry looks before it sends",
        ),
        RetryRule(
            exception=f"{_ERRORS}.LeaseLost",
            action=RetryAction.RETRY,
            retry_delay=timedelta(minutes=5),
            reason="另一个运行正在写这个账簿，等它结束 / another run writes this book; wait for it",
        ),
        RetryRule(
            exception=f"{_ERRORS}.FixConfig",
            action=RetryAction.FAIL,
            reason="需要工程师修正配置，重试无用 / an engineer must mend the configuration",
        ),
        RetryRule(
            exception=f"{_ERRORS}.FixData",
            action=RetryAction.FAIL,
            reason="需要修正数据，重试无用 / the data must be mended",
        ),
        RetryRule(
            exception=f"{_ERRORS}.AskPerson",
            action=RetryAction.FAIL,
            reason="需要人工决定 / a person must decide",
        ),
        RetryRule(
            exception=[f"builtins.{name}" for name in _BUGS],
            action=RetryAction.FAIL,
            reason="程序错误，重试无用，请工程师查看 / a bug: a retry would meet it again, an engineer must look",
        ),
    ],
)
"""For any other exception (memory, disk, a killed process) Airflow's usual retries apply."""
