"""`./voucherflow periods` and `./voucherflow preclose`: where vouchers wait, moving them on, and the list before a close."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from include.cli_common import BookArgument, JsonOption, book_context, show
from include.domain.errors import FixConfig
from include.domain.money import format_minor, to_decimal
from include.domain.period import FiscalPeriod

if TYPE_CHECKING:
    from include.stages.periods import MoveResult
    from include.stages.preclose import PreClose

MOST_SHOWN = 200
"""Items on a terminal; JSON and the spreadsheet have all."""
_ITEM = (
    "状态 / state",
    "单据 / document",
    "日期 / day",
    "金额 / amount",
    "自 / since",
    "处理人 / who",
    "原因 / why",
)
_STATES = {"open": "开放", "closed": "已关闭", "not_yet_open": "尚未开放", "missing": "不存在"}


def register(app: typer.Typer) -> None:
    """Add both commands."""
    app.command()(periods)
    app.command()(preclose)


def periods(
    book: BookArgument,
    move: Annotated[
        str | None,
        typer.Option(
            metavar="PERIOD",
            help="把该已关闭期间的暂挂凭证移到下一个开放期间 / move the held vouchers of this closed period to the next open one",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="只显示，不改动 / show what --move would do, change nothing")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """会计期间的状态和各期间未过账的凭证 / the ledger's periods and the vouchers that wait in each."""
    from include.stages.periods import move_held, overview

    if dry_run and move is None:
        raise FixConfig("--dry-run 须与 --move 同用 / --dry-run goes with --move")
    with book_context(book, quiet=True) as ctx:
        if move is not None:
            result = move_held(ctx, move, dry_run=dry_run)
            if as_json:
                show(result.as_dict(), as_json=True, rows={})
            else:
                _console().print(_told(result, ctx.book.currency), markup=False, soft_wrap=True)
            return
        rows = overview(ctx)
        if as_json:
            show([row.as_dict() for row in rows], as_json=True, rows={})
            return
        table = _table(
            "期间 / period",
            "起止 / days",
            "状态 / state",
            "待过账 / ready",
            "暂挂 / held",
            "被拒 / rejected",
            "未知 / in doubt",
            "冲突 / conflict",
            "金额 / amount",
        )
        for row in rows:
            state = f"{_STATES[row.state]} / {row.state}" + (
                " 调整期 / adjustment" if row.is_adjustment else ""
            )
            counts = (row.ready, row.held, row.rejected, row.in_doubt, row.conflict)
            amount = format_minor(row.debit_minor, ctx.book.currency) if any(counts) else ""
            table.add_row(
                *_texts(
                    [
                        row.code,
                        f"{row.first_day} – {row.last_day}",
                        state,
                        *(str(count or "") for count in counts),
                        amount,
                    ]
                )
            )
        _console().print(table)


def preclose(
    book: BookArgument,
    period: Annotated[
        str,
        typer.Option("--period", metavar="PERIOD", help="会计期间，如 2025-06 / the period, e.g. 2025-06"),
    ],
    xlsx: Annotated[
        Path | None, typer.Option("--xlsx", help="另存为 Excel 文件 / also write an Excel file")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """结账前清单：该期间尚未过账的单据、原因和责任人；有阻碍时退出码为 1 / what of a period is not posted yet; exit code 1 if that blocks."""
    from include.stages.preclose import preclose as look

    try:
        wanted = FiscalPeriod.parse(period)
    except ValueError as error:
        raise FixConfig(f"--period {error}") from error
    with book_context(book, quiet=True) as ctx:
        found = look(ctx, wanted)
    if xlsx is not None:
        _write(found, xlsx)
    if as_json:
        show(found.as_dict(), as_json=True, rows={})
    else:
        _render(found)
    raise typer.Exit(1 if found.is_blocked else 0)


def _told(result: MoveResult, currency: str) -> str:
    amount = format_minor(result.debit_minor, currency)
    some = "、".join(result.documents[:20]) + ("…" if len(result.documents) > 20 else "")
    zh, en = ("将移动", "would be") if result.is_dry_run else ("已移动", "were")
    return (
        f"{result.period} → {result.to}：{zh} {result.vouchers} 张暂挂凭证，{amount} / {result.vouchers} held vouchers {en} moved"
        + (f"\n{some}" if some else "")
    )


def _render(found: PreClose) -> None:
    from include.stages.preclose import KINDS

    console = _console()
    if found.items.height:
        table = _table(*_ITEM)
        for row in found.items.head(MOST_SHOWN).iter_rows(named=True):
            minor = row["amount_minor"]
            state, code, day, *rest = _cells(found, row)
            amount = "" if minor is None else format_minor(minor, found.currency)
            table.add_row(*_texts([state, code, day, amount, *rest]))
        console.print(table)
    if found.items.height > MOST_SHOWN:
        more = found.items.height - MOST_SHOWN
        console.print(
            f"… 另有 {more} 项，全部见 --json 或 --xlsx / and {more} more, all of them with --json or --xlsx"
        )
    for state, number, total in found.totals():
        mark = "✗" if KINDS[state].blocks else "·"
        console.print(
            f"{mark} {KINDS[state].name}: {number}，{format_minor(total, found.currency)}", markup=False
        )
    for each in found.discrepancies:
        console.print(
            f"✗ 对账差异 / discrepancy {each['kind']}: {each['zh']} / {each['en']}",
            markup=False,
            soft_wrap=True,
        )
    console.print(_on_reading(found), markup=False, soft_wrap=True)
    if found.earlier:
        console.print(
            f"· 更早的期间还有 {found.earlier} 项未过账，请对其运行 preclose / {found.earlier} more wait in earlier periods: run preclose for "
            "those",
            markup=False,
            soft_wrap=True,
        )
    verdict = (
        f"✗ {found.period} 还不能结账 / is not ready to be closed"
        if found.is_blocked
        else f"✓ {found.period} 可以结账 / may be closed"
    )
    console.print(verdict, markup=False)


def _on_reading(found: PreClose) -> str:
    """Whether the OA was read after the period's end."""
    read = found.reading
    zone = ZoneInfo(found.timezone)
    if read.until is None:
        return "✗ 还没有完整读取过 OA，请先运行 extract / the OA was never read whole: run extract first"
    until = f"{read.until.astimezone(zone):%Y-%m-%d %H:%M}"
    if read.until < read.must_reach:
        ends = f"{read.must_reach.astimezone(zone):%Y-%m-%d %H:%M}"
        return (
            f"✗ OA 只读到 {until}，早于期间结束 {ends}，其后批准的单据不在此表：请在期间结束后运行 extract / the OA was read until {until}, "
            f"before the period's end {ends}: run extract after that, or documents approved since are forgotten"
        )
    if not read.is_complete:
        return (
            f"✗ OA 读到 {until}，但单据数与 OA 不符，请运行 extract 并查看日志 / the OA was read until {until} but its counts differ from "
            "ours: run extract and look at its log"
        )
    return f"✓ OA 已完整读到 {until} / the OA was read whole until {until}"


def _cells(found: PreClose, row: dict[str, Any]) -> list[str]:
    """The texts of an item, as `_ITEM` names them, without the amount."""
    from include.stages.preclose import KINDS

    kind = KINDS.get(row["state"])
    since: datetime | None = row["since"]
    return [
        kind.name if kind else row["state"],
        row["code"] or row["document_id"],
        str(row["day"] or ""),
        f"{since.astimezone(ZoneInfo(found.timezone)):%Y-%m-%d}" if since else "",
        row["who"] or "",
        f"{row['zh']} / {row['en']}",
    ]


def _write(found: PreClose, path: Path) -> None:
    """One sheet, a row an item. Texts of the OA stay texts, whatever they begin with; amounts are numbers."""
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

    book = Workbook(write_only=True)
    sheet = book.create_sheet(found.period)
    sheet.freeze_panes = "A2"
    for letter, width in zip("ABCDEFG", (24, 18, 12, 14, 12, 22, 100), strict=True):
        sheet.column_dimensions[letter].width = width
    sheet.append(list(_ITEM))
    for row in found.items.iter_rows(named=True):
        cells = [WriteOnlyCell(sheet, ILLEGAL_CHARACTERS_RE.sub("", text)) for text in _cells(found, row)]
        for cell in cells:
            cell.data_type = "s"
        minor = row["amount_minor"]
        amount = WriteOnlyCell(sheet)
        amount.value = None if minor is None else to_decimal(minor, found.currency)
        amount.number_format = "#,##0.00"
        sheet.append([*cells[:3], amount, *cells[3:]])
    try:
        book.save(path)
    except OSError as error:
        raise FixConfig(f"无法写入 {path} / cannot be written: {error.strerror}") from error


def _table(*names: str) -> Table:
    table = Table()
    for name in names:
        table.add_column(name)
    return table


def _texts(cells: Iterable[str]) -> list[Text]:
    return [Text(cell) for cell in cells]


def _console() -> Console:
    return Console()
