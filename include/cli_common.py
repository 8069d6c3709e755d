"""What all commands share: options, the context of a book, progress, and how results are printed."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

from include.connections import Resolver
from include.domain.errors import FixConfig
from include.domain.problems import Stage
from include.settings import load_settings, store_url
from include.stages.context import Progress as ProgressPort
from include.stages.context import Scope, StageContext, open_context, silent

resolver: list[Resolver] = []
"""The way to look connections up, given once by `main`."""

errors = Console(stderr=True)

BookArgument = Annotated[str, typer.Argument(help="账簿 / book id")]
FromOption = Annotated[
    datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="业务日期起 / first business day")
]
ToOption = Annotated[
    datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="业务日期止 / last business day")
]
JsonOption = Annotated[bool, typer.Option("--json", help="以 JSON 输出 / print JSON")]


@contextmanager
def book_context(book: str, *, quiet: bool) -> Iterator[StageContext]:
    """A book's context, with progress on a terminal and a log on standard error."""
    from include.store.store import using_store

    logging.basicConfig(
        level=logging.WARNING if quiet else logging.INFO, stream=sys.stderr, format="%(asctime)s %(message)s"
    )
    settings = load_settings()
    settings.book(book)
    with progress_bars() as progress, using_store(store_url()) as store:
        yield open_context(settings, book, store, resolver[0], actor=f"cli:{_user()}", progress=progress)


@contextmanager
def progress_bars() -> Iterator[ProgressPort]:
    """Bars on a terminal, nothing elsewhere."""
    if not errors.is_terminal:
        yield silent
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=errors, transient=True) as bars:
        tasks: dict[Stage, Any] = {}

        def show(stage: Stage, done: int, total: int | None) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage.value, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield show


def scope_of(date_from: datetime | None, date_to: datetime | None) -> Scope:
    """The span of business days of --from and --to.

    Raises:
        FixConfig: it ends before it starts.
    """
    scope = Scope(date_from.date() if date_from else None, date_to.date() if date_to else None)
    if scope.date_from and scope.date_to and scope.date_from > scope.date_to:
        raise FixConfig(f"--from {scope.date_from} 晚于 --to {scope.date_to} / --from is later than --to")
    return scope


def show(value: Any, *, as_json: bool, rows: Any) -> None:
    """Print a result: as JSON, or as a table of `rows`."""
    if as_json:
        typer.echo(json.dumps(value, ensure_ascii=False, indent=2, default=_plain))
        return
    table = Table(show_header=False)
    for name, item in (rows if isinstance(rows, dict) else rows.as_dict()).items():
        table.add_row(Text(name), Text(str(item)))
    Console().print(table)


def _plain(value: Any) -> Any:
    return value.as_dict() if hasattr(value, "as_dict") else str(value)


def _user() -> str:
    return os.environ.get("USER") or str(os.getuid())
