"""`./voucherflow reconcile`, `discrepancies`, `assign`: differences between OA, store and ledger, and who takes them up."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from include.cli_common import (
    BookArgument,
    FromOption,
    JsonOption,
    ToOption,
    book_context,
    scope_of,
    show,
)
from include.domain.errors import FixConfig
from include.domain.money import format_minor
from include.domain.period import FiscalPeriod
from include.domain.reconciliation import AccountTie, Discrepancy, KeptDiscrepancy
from include.stages.context import Scope

PeriodOption = Annotated[
    str, typer.Option("--period", metavar="YYYY-MM", help="整个会计期间 / a whole period")
]


def reconcile(
    book: BookArgument,
    date_from: FromOption = None,
    date_to: ToOption = None,
    period: PeriodOption = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="只看不记 / show what would be found, write nothing")
    ] = False,
    heal: Annotated[
        bool,
        typer.Option(
            "--heal", help="账上缺失的退回，由过账重新发送 / let posting send again what the ledger has lost"
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """对账 OA ↔ 凭证库 ↔ 会计系统；不指定期间则核对可能有变动的期间 / reconcile; without a period, those that may have changed."""
    from include.stages.reconcile import examine
    from include.stages.reconcile import reconcile as run

    if dry_run and heal:
        raise FixConfig("--dry-run 与 --heal 不能同时使用 / --dry-run and --heal exclude each other")
    scope = _scope(period, date_from, date_to)
    with book_context(book, quiet=as_json or dry_run) as ctx:
        kept = {each.found.identity: each for each in ctx.store.reconciliations.open(book)}
        if dry_run:
            done = examine(ctx, scope)
            found = [kept.get(item.identity, item) for item in done.found.values()]
            result, ties = done.result(), done.ties
        else:
            result, ties = run(ctx, scope, heal=heal), []
            found = list(ctx.store.reconciliations.open(book))
        now, currency = ctx.clock.now(), ctx.book.currency
    if as_json:
        counts = result.as_dict()
        if dry_run:
            counts |= {"found": [_row(each, now) for each in found], "balances": [asdict(t) for t in ties]}
        show(counts, as_json=True, rows={})
        return
    show(result, as_json=False, rows=result)
    parts = [_table(found, now)] if found else []
    if dry_run and period:
        parts.append(_balances(ties, currency))
    Console().print(Group(*parts))


def discrepancies(book: BookArgument, as_json: JsonOption = False) -> None:
    """未解决的差异：账龄、负责方、认领人 / open differences with age, owner and who takes them up."""
    with book_context(book, quiet=True) as ctx:
        found = ctx.store.reconciliations.open(book)
        now = ctx.clock.now()
    if as_json:
        show([_row(each, now) for each in found], as_json=True, rows={})
    elif found:
        Console().print(_table(found, now))
    else:
        typer.echo(f"{book}: 没有未解决的差异 / no open difference")


def assign(
    book: BookArgument,
    ids: Annotated[list[int], typer.Argument(help="差异编号 / numbers of differences")],
    person: Annotated[str, typer.Option("--to", help="认领人，空则取消 / who; empty for nobody")],
) -> None:
    """指定谁处理差异，记入审计链 / say who takes differences up; kept in the audit chain."""
    with book_context(book, quiet=True) as ctx:
        done = ctx.store.reconciliations.assign(book, ids, person.strip(), ctx.actor)
    missing = sorted({*ids} - {*done})
    if missing:
        names = "、".join(map(str, missing))
        raise FixConfig(
            f"账簿 {book} 没有未解决的差异 {names}；编号见 discrepancies / book {book} has no open difference {names}: see discrepancies"
        )
    typer.echo(f"{len(done)} 项 → {person.strip() or '—'} / {len(done)} assigned")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(reconcile)
    app.command()(discrepancies)
    app.command()(assign)


def _scope(period: str, date_from: datetime | None, date_to: datetime | None) -> Scope:
    if not period:
        return scope_of(date_from, date_to)
    if date_from or date_to:
        raise FixConfig("--period 与 --from、--to 不能同时使用 / --period excludes --from and --to")
    try:
        whole = FiscalPeriod.parse(period)
    except ValueError as error:
        raise FixConfig(f"--period: {error}") from None
    return Scope(whole.first_day, whole.last_day)


def _row(item: Discrepancy | KeptDiscrepancy, now: datetime) -> dict[str, Any]:
    """One difference for programs; what is not kept yet has no number and no age."""
    found = item.found if isinstance(item, KeptDiscrepancy) else item
    row: dict[str, Any] = {**asdict(found), "owner": found.kind.owner}
    if isinstance(item, KeptDiscrepancy):
        row |= {
            "id": item.id,
            "first_seen_at": item.first_seen_at.isoformat(),
            "age_days": item.age_days(now),
            "assigned_to": item.assigned_to,
        }
    return row


def _table(found: list[Discrepancy | KeptDiscrepancy] | list[KeptDiscrepancy], now: datetime) -> Table:
    from include.reconciling.wording import LABELS

    table = Table(title="差异 / differences", title_justify="left")
    for column in ("#", "种类 / kind", "期间 / period", "账龄 / age", "负责 / owner", "说明 / what"):
        table.add_column(column)
    for item in found:
        each = item.found if isinstance(item, KeptDiscrepancy) else item
        kept = item if isinstance(item, KeptDiscrepancy) else None
        owner = each.kind.owner.value + (f"\n→ {kept.assigned_to}" if kept and kept.assigned_to else "")
        table.add_row(
            str(kept.id) if kept else "新 / new",
            Text("\n".join(LABELS[each.kind])),
            each.period or "–",
            f"{kept.age_days(now)} 天 / d" if kept else "–",
            Text(owner),
            Text(f"{each.zh}\n{each.en}\n{each.subject}"),
        )
    return table


def _balances(ties: list[AccountTie], currency: str) -> Table:
    """Debit minus credit by account."""
    table = Table(title="科目发生额（借减贷） / movements, debit minus credit", title_justify="left")
    table.add_column("科目 / account")
    for column in ("我方 / ours", "他方 / others", "试算平衡表 / trial balance", "差额 / difference"):
        table.add_column(column, justify="right")
    for tie in ties:
        amounts = (tie.ours, tie.others, tie.ledger, tie.difference)
        table.add_row(tie.account, *(format_minor(amount, currency) for amount in amounts))
    return table
