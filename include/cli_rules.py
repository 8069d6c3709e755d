"""`./voucherflow rules …`: prove a book's rules, replay a period under others, hold them against a ledger kept by hand."""

from __future__ import annotations

import calendar
import re
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from include.cli_common import BookArgument, JsonOption, book_context, show
from include.domain.errors import FixConfig

rules_app = typer.Typer(no_args_is_help=True, help="规则：检查、重放、对照 / rules: prove, replay, compare")

MOST_SHOWN = 200
"""Findings on a terminal; JSON has all."""

FirstOption = Annotated[
    str, typer.Option("--from", metavar="PERIOD|DAY", help="起始期间或日期 / first month or day")
]
LastOption = Annotated[
    str, typer.Option("--to", metavar="PERIOD|DAY", help="截止期间或日期 / last month or day")
]
WithOption = Annotated[
    Path | None, typer.Option("--with", help="另一套规则的文件夹 / folder of another rule set")
]


@rules_app.command()
def check(
    book: BookArgument,
    other: WithOption = None,
    offline: Annotated[
        bool,
        typer.Option(
            help="不读会计系统和 OA，不核对科目和覆盖 / read neither ledger nor OA: accounts and coverage unchecked"
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """证明规则没有缺口、冲突、死行、不平的模板和不可用的科目；有错误时退出码为 1 / prove the rules; exit code 1 on errors."""
    from include.rules.proofs import Severity
    from include.stages.rules import check_folder

    with book_context(book, quiet=True) as ctx:
        found = check_folder(ctx, other, offline=offline)
    counts = {one: sum(each.severity is one for each in found) for one in Severity}
    if as_json:
        show([asdict(each) for each in found], as_json=True, rows={})
    else:
        console = Console()
        marks = {Severity.ERROR: ("✗", "red"), Severity.WARNING: ("!", "yellow"), Severity.NOTE: ("·", "dim")}
        for each in found[:MOST_SHOWN]:
            mark, style = marks[each.severity]
            console.print(f"{mark} {each}", style=style, markup=False, soft_wrap=True)
        if len(found) > MOST_SHOWN:
            more = len(found) - MOST_SHOWN
            console.print(f"… 另有 {more} 项，全部见 --json / and {more} more, all of them with --json")
        unread = "，科目与覆盖未核对" if offline else ""
        unread_en = ", accounts and coverage unchecked" if offline else ""
        console.print(
            f"{book}: {counts[Severity.ERROR]} 个错误，{counts[Severity.WARNING]} 个警告，{counts[Severity.NOTE]} 个说明{unread} / "
            f"{counts[Severity.ERROR]} errors, {counts[Severity.WARNING]} warnings, {counts[Severity.NOTE]} notes{unread_en}",
            markup=False,
            soft_wrap=True,
        )
    raise typer.Exit(1 if counts[Severity.ERROR] else 0)


@rules_app.command("list")
def list_versions(book: BookArgument, as_json: JsonOption = False) -> None:
    """曾经生效的规则版本 / the versions that were in force, the newest first."""
    with book_context(book, quiet=True) as ctx:
        versions = ctx.store.rule_sets.listed(book)
    rows = {
        f"第 {one.version} 版 / version {one.version}": f"{one.digest[:12]} {one.since:%Y-%m-%d %H:%M} UTC {one.actor}"
        for one in versions
    }
    if not versions and not as_json:
        rows = {"尚无生效的版本 / none yet": f"运行 ./voucherflow run {book} / run it once"}
    show([one.as_dict() for one in versions], as_json=as_json, rows=rows)


@rules_app.command()
def replay(
    book: BookArgument,
    other: Annotated[Path, typer.Option("--with", help="另一套规则的文件夹 / folder of the other rule set")],
    first: FirstOption,
    last: LastOption,
    apply: Annotated[
        bool,
        typer.Option("--apply", help="为未结账期间生成更正凭证 / make correcting entries for open periods"),
    ] = False,
    brute_force: Annotated[
        bool, typer.Option(help="重算全部单据，用于核对 / generate every document, to verify")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """用另一套规则重放一段期间，列出差异，不写任何数据 / what a period would look like under other rules; writes nothing."""
    from include.stages.correct import correct
    from include.stages.replay import replay as replay_period

    with book_context(book, quiet=True) as ctx:
        span = _span(first, last)
        report = replay_period(ctx, *span, other, brute_force=brute_force)
        if not apply:
            _tell(report, lambda one: one.render(), as_json=as_json)
            return
        result = correct(ctx, *span, other)
        both = {"replay": report.as_dict(), "corrections": result.as_dict()}
        show(both, as_json=as_json, rows=result.as_dict())


@rules_app.command()
def shadow(book: BookArgument, first: FirstOption, last: LastOption, as_json: JsonOption = False) -> None:
    """与账上已有（手工或其他接口录入）的凭证对照，按原因归类 / compare with what is in the ledger, differences by cause."""
    from include.stages.shadow import render as rendered
    from include.stages.shadow import shadow as compare

    with book_context(book, quiet=True) as ctx:
        _tell(compare(ctx, *_span(first, last)), rendered, as_json=as_json)


def _span(first: str, last: str) -> tuple[date, date]:
    """Both ends, each a day or a whole month: `2025-03` is from the first to the last of March."""
    start, end = _day("--from", first, is_end=False), _day("--to", last, is_end=True)
    if start > end:
        raise FixConfig(f"--from {first} 晚于 --to {last} / --from is later than --to")
    return start, end


def _day(option: str, text: str, *, is_end: bool) -> date:
    match = re.fullmatch(r"(\d{4})-(\d{2})(?:-(\d{2}))?", text)
    try:
        if match:
            year, month = int(match[1]), int(match[2])
            last = calendar.monthrange(year, month)[1] if 1 <= month <= 12 else 0
            return date(year, month, int(match[3]) if match[3] else last if is_end else 1)
    except ValueError:
        match = None
    raise FixConfig(f"{option} {text!r}: 应写作 2025-03 或 2025-03-31 / write it as 2025-03 or 2025-03-31")


def _tell(report: Any, render: Any, *, as_json: bool) -> None:
    if as_json:
        show(report.as_dict(), as_json=True, rows={})
    else:
        Console().print(render(report))
