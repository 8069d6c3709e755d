"""Explain: from a document to the rules that read it, the lines they made, and the voucher in the ledger."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text
from sqlalchemy import Connection, RowMapping, or_, select

from include.domain.document import BookRole
from include.domain.errors import FixData
from include.domain.money import format_minor
from include.domain.voucher import Side
from include.rules import Sources
from include.rules.explain import Words
from include.rules.explain import explain as explain_lines
from include.settings import Settings
from include.stages.rules import restore
from include.store import tables as t
from include.store.corrections import Relation
from include.store.engine import reading
from include.store.reading import frames_of
from include.store.store import Store

ROLES = {
    BookRole.HOME: "本账簿单据 / its own",
    BookRole.SHARE: "分摊 / a share",
    BookRole.LEFT: "已移出 / moved away",
}
"""What a document is to a book, for people."""


def explain(store: Store, settings: Settings, document: str) -> dict[str, Any]:
    """All that is known of a document, by its number or id, as plain values (amounts in minor units).

    Lines of vouchers carry `why`: how the rules that made them came to them, where those rules are kept.

    `documents` has an item for each of its revisions in each book that has, or had, a part in it; `write_back` stands
    in the book that wrote it.

    Raises:
        FixData: no stored document has that number or id.
    """
    d = t.source_document
    with reading(store.engine) as connection:
        rows = (
            connection.execute(
                select(d).where(or_(d.c.code == document, d.c.document_id == document)).order_by(d.c.id)
            )
            .mappings()
            .all()
        )
        if not rows:
            raise FixData(
                f"没有编号或 ID 为 {document!r} 的单据；请核对编号，或先运行 extract / no document has the number or id "
                f"{document!r}: check it, or run extract first"
            )
        found = {"documents": [_document(connection, row) for row in rows]}
    for item in found["documents"]:
        _give_reasons(store, settings, item)
    return found


def _give_reasons(store: Store, settings: Settings, document: dict[str, Any]) -> None:
    """`why` for the lines of all vouchers that rules made; a reversal has its original's reasons."""
    book = settings.books.get(document["book"])
    made = [voucher for voucher in document["vouchers"] if voucher["relation"] != Relation.REVERSAL]
    if book is None or not made:
        return
    with reading(store.engine) as connection:
        sources = Sources(*frames_of(connection, [document["id"]]))
    for voucher in made:
        ruleset = restore(store, book.id, voucher["rule_digest"])
        if ruleset is None:
            continue
        reasons = {(one.event, one.line_no): one for one in explain_lines(ruleset, book, sources)}
        for line in voucher["lines"]:
            why = reasons.get((voucher["event"].partition(".")[0], line["line_no"]))
            if why is not None:
                line["why"] = why.as_dict()


def _document(connection: Connection, row: RowMapping) -> dict[str, Any]:
    pk = row["id"]
    v, a, w = t.voucher, t.posting_attempt, t.write_back
    vouchers = []
    for voucher in connection.execute(select(v).where(v.c.document_pk == pk).order_by(v.c.id)).mappings():
        lines = _rows(connection, select(t.journal_line).where(t.journal_line.c.voucher_id == voucher["id"]))
        attempts = _rows(connection, select(a).where(a.c.voucher_id == voucher["id"]).order_by(a.c.id))
        vouchers.append({**voucher, "lines": lines, "attempts": attempts})
    written = _rows(
        connection,
        select(w).where(
            w.c.source == row["source"], w.c.document_id == row["document_id"], w.c.book == row["book"]
        ),
    )
    return {
        **row,
        "lines": _rows(
            connection,
            select(t.source_line)
            .where(t.source_line.c.document_pk == pk)
            .order_by(t.source_line.c.line_no, t.source_line.c.portion_no),
        ),
        "problems": _rows(
            connection,
            select(t.problem).where(t.problem.c.document_pk == pk, t.problem.c.resolved_at.is_(None)),
        ),
        "vouchers": vouchers,
        "write_back": written[0] if written else None,
    }


def _rows(connection: Connection, statement: Any) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(statement).mappings()]


def render(explained: dict[str, Any]) -> RenderableType:
    """For a terminal."""
    parts: list[RenderableType] = []
    for document in explained["documents"]:
        parts += _render_document(document)
    return Group(*parts)


def _render_document(d: dict[str, Any]) -> list[RenderableType]:
    currency = d["functional_currency"]
    gross = "?" if d["gross_minor"] is None else format_minor(d["gross_minor"], currency)
    head = Text.assemble(
        ("单据 / document ", "bold"),
        f"{d['code']} ({d['document_id']}) ",
        (d["title"], "italic"),
        f"\n{d['kind']}, {d['status']}, {d['disposition']}, 版本 / revision {d['revision']}, 账簿 / book {d['book']} "
        f"({ROLES[BookRole(d['role'])]}), {gross}, 日期 / date {d['business_date']}",
    )
    if not d["is_current"]:
        head.append("\n已不是当前版本 / not current any more", style="dim")
    if d["disposition_reason"]:
        head.append(f"\n{d['disposition_reason']}")
    parts: list[RenderableType] = [head]
    if d["lines"]:
        parts.append(_source_lines(d))
    parts += [
        Text(f"✗ [{p['code']}] {p['where']}: {p['zh']}\n  {p['en']}", style="red") for p in d["problems"]
    ]
    for voucher in d["vouchers"]:
        parts += _render_voucher(voucher)
    if d["write_back"]:
        w = d["write_back"]
        parts.append(
            Text(f"回写 / written back: {w['outcome']} {w['voucher_no']} {w['fiscal_period']} {w['message']}")
        )
    parts.append(Text())
    return parts


def _source_lines(d: dict[str, Any]) -> Table:
    table = Table(
        "#",
        "费用类型 / fee type",
        "部门 / department",
        "项目 / project",
        "法人实体 / legal entity",
        "金额 / amount",
        "本位币 / functional",
        "可抵扣税 / tax",
    )
    for line in d["lines"]:
        table.add_row(
            f"{line['line_no']}.{line['portion_no']}",
            escape(line["fee_type_name"] or line["fee_type_id"] or "—"),
            escape(line["department_name"] or line["department_id"] or "—"),
            escape(line["project_name"] or line["project_id"] or "—"),
            escape(line["legal_entity_name"] or line["legal_entity_id"] or "—"),
            _amount(line["amount_minor"], line["currency"]),
            _amount(line["functional_minor"], d["functional_currency"]),
            _amount(line["tax_minor"], d["functional_currency"]),
        )
    return table


def _render_voucher(v: dict[str, Any]) -> list[RenderableType]:
    head = Text.assemble(
        ("凭证 / voucher ", "bold"),
        f"{v['ledger_number'] or v['word'] + '-?'} {v['date']} {v['status']}",
        f"\n期间已关闭，由 {v['policy_date']} 改期 / moved from {v['policy_date']}"
        if v["policy_date"]
        else "",
        f"\n键 / key {v['key']}, 规则 / rules v{v['rule_version']} {v['rule_digest'][:12]}, 会计系统 / ledger id {v['ledger_id'] or '—'}",
    )
    if v["message"]:
        head.append(f"\n{v['message']}", style="red")
    table = Table(
        "#",
        "摘要 / summary",
        "科目 / account",
        "借 / debit",
        "贷 / credit",
        "辅助核算 / dimensions",
        "依据 / rule",
    )
    for line in v["lines"]:
        amount = _amount(line["amount_minor"], v["currency"])
        if line["transaction_currency"]:
            amount += f"\n({_amount(line['transaction_minor'], line['transaction_currency'])})"
        rule = f"{line['template']}:{line['template_line']} {line['entry']}"
        if line["table_name"]:
            rule += f"\n{line['table_name']} 第 {line['table_row']} 行 / row"
        if line["source_line_no"]:
            rule += f"\n单据第 {line['source_line_no']} 行 / document line"
        table.add_row(
            str(line["line_no"]),
            escape(line["summary"]),
            line["account"],
            amount if line["side"] == Side.DEBIT else "",
            amount if line["side"] == Side.CREDIT else "",
            escape(", ".join(f"{kind}={code} {name}" for kind, code, name in json.loads(line["dimensions"]))),
            escape(rule),
        )
    attempts = [
        Text(
            f"{a['at']:%Y-%m-%d %H:%M:%S} {a['step']} {a['outcome']} {a['ledger_id']} {a['message']}",
            style="dim",
        )
        for a in v["attempts"]
    ]
    return [head, table, *_reasons(v), *attempts]


def _reasons(v: dict[str, Any]) -> Iterator[Text]:
    """Each line's way from source to amount, Chinese first."""
    for line in v["lines"]:
        if "why" in line:
            told = [Words(**words) for words in _told(line["why"])]
            yield Text.assemble(
                (f"#{line['line_no']} ", "bold"),
                "\n   ".join(words.zh for words in told),
                ("\n   " + "\n   ".join(words.en for words in told), "dim"),
            )


def _amount(minor: int | None, currency: str | None) -> str:
    return "—" if minor is None or not currency else format_minor(minor, currency)


def _told(why: dict[str, Any]) -> Iterator[dict[str, str]]:
    """The sentences of an explanation in the order in which a person asks."""
    yield why["template"]
    yield from why["conditions"]
    yield why["account"]
    yield from why["dimensions"]
    yield from why["arithmetic"]
    yield from why["taxes"]
