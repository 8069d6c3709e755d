"""`./voucherflow follow` and `./voucherflow chain`: vouchers of documents that changed, and how they hang together."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from include.cli_common import (
    BookArgument,
    FromOption,
    JsonOption,
    ToOption,
    book_context,
    scope_of,
    show,
)
from include.domain.errors import FixConfig, FixData
from include.domain.money import format_minor
from include.settings import load_settings, store_url
from include.store.chains import Link, chains_of
from include.store.corrections import Relation
from include.store.engine import reading
from include.store.store import using_store

_RELATIONS = {
    Relation.NONE: "原始 / original",
    Relation.REVERSAL: "冲销 / reverses",
    Relation.REPLACEMENT: "重做 / replaces",
    Relation.CORRECTION: "订正 / corrects",
}


class DecisionOption(StrEnum):
    """What a person may decide about a document that changed after its voucher was posted."""

    REVERSE = "reverse"
    REPLACE = "replace"
    BLUE = "blue"
    KEEP = "keep"


def register(app: typer.Typer) -> None:
    """Add both commands."""
    app.command("follow")(follow_command)
    app.command("chain")(chain_command)


def follow_command(
    book: BookArgument,
    document: Annotated[
        str | None, typer.Option(help="要决定的单据号或 ID / number or id of the document to decide on")
    ] = None,
    action: Annotated[
        DecisionOption | None,
        typer.Option(
            help="红冲、红冲重做、蓝字订正或保持现状 / reverse, replace, correct by a blue voucher, or keep"
        ),
    ] = None,
    date_from: FromOption = None,
    date_to: ToOption = None,
    as_json: JsonOption = False,
) -> None:
    """过账后变更的单据：按账簿设置或你的决定处理 / documents that changed after posting, by policy or your decision."""
    from include.domain.changes import Action
    from include.stages.follow import Decision, follow

    if (document is None) != (action is None):
        raise FixConfig("--document 与 --action 须同时给出 / give both --document and --action, or neither")
    with book_context(book, quiet=as_json) as ctx:
        decision = Decision(document, Action(action)) if document and action else None
        result = follow(ctx, scope_of(date_from, date_to), decision)
        show(result, as_json=as_json, rows=result)


def chain_command(
    book: BookArgument,
    document: Annotated[str, typer.Argument(help="单据号或 ID / number or id of the document")],
    as_json: JsonOption = False,
) -> None:
    """一份单据的凭证链：原始 ↔ 冲销 ↔ 重做 / a document's vouchers: original, reversal, replacement."""
    load_settings().book(book)
    with using_store(store_url()) as store, reading(store.engine) as connection:
        found = chains_of(connection, book, document)
    if not found:
        raise FixData(
            f"账簿 {book} 没有单据 {document!r} 的凭证；请核对编号 / book {book} has no voucher of a document {document!r}: check the "
            "number"
        )
    if as_json:
        show([asdict(link) for link in found], as_json=True, rows={})
    else:
        Console().print(_table(found))


def _table(found: list[Link]) -> Table:
    table = Table()
    for heading in (
        "#",
        "凭证号 / number",
        "关系 / relation",
        "日期 / date",
        "借方合计 / debit",
        "状态 / status",
        "其后 / followed by",
        "版本 / revision",
        "键 / key",
    ):
        table.add_column(heading, overflow="fold")
    for link in found:
        relation = _RELATIONS[link.relation]
        table.add_row(
            str(link.id),
            link.ledger_number or "—",
            f"{relation} #{link.original_id}" if link.original_id else relation,
            str(link.date),
            format_minor(link.debit_minor, link.currency),
            str(link.status),
            "、".join(f"#{each}" for each in link.followed_by) or "—",
            str(link.revision),
            link.key,
        )
    return table
