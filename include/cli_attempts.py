"""`./voucherflow attempts`: every attempt to post the vouchers of a document, and what was said to the ledger."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from include.cli_common import BookArgument, JsonOption
from include.domain.errors import FixData
from include.settings import load_settings, store_url
from include.store.attempts import Attempt, of_document
from include.store.engine import reading
from include.store.store import using_store


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("attempts")
    def attempts_command(
        book: BookArgument,
        document: Annotated[str, typer.Argument(help="单据号或单据 id / code or id of the document")],
        texts: Annotated[
            bool,
            typer.Option(
                "--texts", help="显示（已脱敏的）请求与回答 / show the redacted requests and answers"
            ),
        ] = False,
        as_json: JsonOption = False,
    ) -> None:
        """一份单据的每次过账尝试 / every attempt to post a document's vouchers."""
        load_settings().book(book)
        with using_store(store_url()) as store, reading(store.engine) as connection:
            found = of_document(connection, book, document)
        if not found:
            raise FixData(
                f"账簿 {book} 没有单据 {document!r} 的过账记录：请核对单据号，或单据尚未过账 / nothing was ever sent for {document!r} in "
                f"book {book}: check the code, or it has not been posted yet"
            )
        if as_json:
            typer.echo(
                json.dumps([asdict(each) for each in found], ensure_ascii=False, indent=2, default=str)
            )
            return
        Console().print(_table(found))
        if texts:
            _print_texts(found)


def _table(found: list[Attempt]) -> Table:
    table = Table()
    headings = (
        "时间 / at (UTC)",
        "凭证 / voucher",
        "步骤 / step",
        "结果 / outcome",
        "会计系统内部号 / ledger id",
    )
    for heading in (*headings, "租约 / lease", "说明 / message"):
        table.add_column(heading)
    for each in found:
        cells = (f"{each.at:%Y-%m-%d %H:%M:%S}", each.key, each.step, each.outcome, each.ledger_id)
        table.add_row(*map(Text, (*cells, str(each.fence), each.message)))
    return table


def _print_texts(found: list[Attempt]) -> None:
    console = Console()
    shown = set()
    for each in found:
        for said in each.exchanges:
            if (said.at, said.request_digest, said.response_digest) in shown:
                continue
            shown.add((said.at, said.request_digest, said.response_digest))
            gone = "（已过保存期 / no longer kept）"
            console.print(Text(f"→ {said.request_digest[:12]} {said.request or gone}"))
            answer = "（没有回答 / no answer）" if not said.response_digest else said.response or gone
            console.print(Text(f"← {said.response_digest[:12]} {answer}"))
