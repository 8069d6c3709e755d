"""Doctor: is the installation fit to run? Configuration, store, connections, rules against the ledger's chart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from include.connections import Resolver
from include.domain.errors import VoucherflowError
from include.domain.period import PeriodState
from include.ports import SystemClock
from include.rules.check import errors
from include.settings import Settings
from include.stages.context import StageContext, open_context
from include.stages.rules import check_folder
from include.store.store import Store


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at; `message` says what is well, or what is wrong and what to do."""

    subject: str
    is_well: bool
    message: str


def examine(settings: Settings, store: Store, resolve: Resolver, book_ids: list[str]) -> Iterator[Finding]:
    """Look at these books, one finding after the other; a finding that fails does not stop the next."""
    yield Finding(
        "配置 / configuration", True, f"{settings.config_dir}: {len(settings.books)} 个账簿 / books"
    )
    yield Finding("凭证库 / store", True, store.engine.url.render_as_string(hide_password=True))
    for book_id in book_ids:
        ctx = open_context(settings, book_id, store, resolve, actor="doctor")
        yield _finding(f"{book_id}: OA", lambda ctx=ctx: ctx.source.check())  # type: ignore[misc] # bound now
        yield _finding(f"{book_id}: 会计系统 / ledger", lambda ctx=ctx: ctx.ledger.check())  # type: ignore[misc]
        yield _finding(f"{book_id}: 会计期间 / period", lambda ctx=ctx: _period(ctx))  # type: ignore[misc]
        yield from _rules(ctx)


def _finding(subject: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(subject, True, look())
    except VoucherflowError as error:
        return Finding(subject, False, str(error))


def _period(ctx: StageContext) -> str:
    today = SystemClock().now().date()
    period = ctx.ledger.period_of(today)
    if period is None or period.state is not PeriodState.OPEN:
        return f"今天（{today}）所在期间未打开，新凭证将暂挂 / today's period is not open: new vouchers will be held"
    return f"{period.code} 已打开 / is open"


def _rules(ctx: StageContext) -> Iterator[Finding]:
    subject = f"{ctx.book.id}: 规则 / rules"
    try:
        found = errors(check_folder(ctx))
    except VoucherflowError as error:
        yield Finding(subject, False, str(error))
        return
    for one in found:
        yield Finding(subject, False, str(one))
    if not found:
        yield Finding(subject, True, "已证明，科目均可用 / proved, all accounts are usable")
