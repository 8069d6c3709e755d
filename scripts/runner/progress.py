"""What a person sees of `make run`: a line per step with its time, a line per task, a table at the end."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.table import Table

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)

TASK_STATES = {
    "scheduled": "排队 / scheduled",
    "queued": "排队 / queued",
    "running": "运行中 / running",
    "success": "完成 / done",
    "failed": "失败 / failed",
    "upstream_failed": "未运行，上游失败 / not run, upstream failed",
    "up_for_retry": "稍后重试 / will retry",
    "skipped": "跳过 / skipped",
    "awaiting_input": "等待人工 / waits for a person",
}

SUMMARY_ROWS = (
    ("documents", "单据 / documents"),
    ("not_due", "尚未审批或已撤回 / not approved"),
    ("accepted", "通过检查 / accepted"),
    ("quarantined", "隔离 / quarantined"),
    ("no_voucher", "无需凭证 / no voucher"),
    ("vouchers", "凭证 / vouchers"),
    ("posted", "已过账 / posted"),
    ("written_back", "已回写 / written back"),
    ("discrepancies", "差异 / discrepancies"),
    ("debit_total", "借方合计 / debit total"),
    ("credit_total", "贷方合计 / credit total"),
    ("complete", "取数完整 / complete"),
    ("rules", "规则版本 / rules"),
    ("rules_current", "规则文件已生效 / rules of the folder in force"),
)


@contextmanager
def step(text: str) -> Iterator[None]:
    """Say what begins, and with a second line that it is done and how long it took."""
    begun = time.monotonic()
    console.print(f"… {text}", soft_wrap=True)
    yield
    console.print(f"[green]✓[/] {text} ({time.monotonic() - begun:.1f} s)", soft_wrap=True)


def task_line(dag_id: str, task_id: str, state: str) -> None:
    """One change of a task's state."""
    colour = {"success": "green", "failed": "red", "up_for_retry": "yellow"}.get(state, "default")
    console.print(f"  {dag_id} · {task_id}: [{colour}]{TASK_STATES.get(state, state)}[/]", soft_wrap=True)


def summary_table(books: Mapping[str, Mapping[str, Any]]) -> None:
    """A column per book, a row per number."""
    table = Table(title="运行结果 / the run", title_style="bold")
    table.add_column("")
    for book in books:
        table.add_column(book, justify="right")
    for key, label in SUMMARY_ROWS:
        table.add_row(label, *(_cell(summary.get(key)) for summary in books.values()))
    console.print(table)


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "是 / yes" if value else "否 / no"
    if isinstance(value, int):
        return f"{value:,}"
    return "" if value is None else str(value)
