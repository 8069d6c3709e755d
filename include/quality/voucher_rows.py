"""What the gate looks at in generated vouchers: everything that can be recomputed is, from the lines as stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Integer,
    Select,
    String,
    Table,
    and_,
    case,
    cast,
    func,
    literal,
    null,
    or_,
    select,
)

from include.domain.account import Chart
from include.domain.requirements import Requirements
from include.domain.voucher import Side, VoucherStatus
from include.quality.staging import flag, present, within_limit
from include.store.tables import journal_line, source_document, voucher

ACCOUNT_COLUMNS = ("code", "name", "is_leaf", "is_active", "requires")


@dataclass(frozen=True, slots=True)
class JournalParts:
    """Staged tables that `journal_rows` holds lines against: the chart, with the dimension kinds that some account
    requires, and what the rules of a digest let entries book; None where that is not to be checked.
    """

    chosen: Table
    accounts: Table | None = None
    kinds: Sequence[str] = ()
    entries: Table | None = None
    digest: str = ""


@dataclass(frozen=True, slots=True)
class VoucherScope:
    """Generated vouchers of a book by voucher date, or the date before a move; both ends included, None for open."""

    book: str
    date_from: date | None = None
    date_to: date | None = None

    def vouchers(self) -> Select[Any]:
        """Keys of the vouchers in scope; key `id`."""
        query = select(voucher.c.id).where(
            voucher.c.book == self.book, voucher.c.status == VoucherStatus.GENERATED
        )
        day = func.coalesce(
            voucher.c.policy_date, voucher.c.date
        )  # a moved one belongs where its document does
        if self.date_from:
            query = query.where(day >= self.date_from)
        if self.date_to:
            query = query.where(day <= self.date_to)
        return query


def account_columns() -> list[Column[Any]]:
    """A chart as a temporary table; `requires` lists dimension kinds between commas: `,department,party,`."""
    return [
        Column("code", String(64), primary_key=True),
        Column("name", String, nullable=False),
        Column("is_leaf", Boolean, nullable=False),
        Column("is_active", Boolean, nullable=False),
        Column("requires", String, nullable=False),
    ]


def account_rows(chart: Chart) -> list[dict[str, Any]]:
    """The rows for `account_columns`."""
    return [
        {
            "code": account.code,
            "name": account.name,
            "is_leaf": account.is_leaf,
            "is_active": account.is_active,
            "requires": "".join(["," + kind for kind in sorted(account.required_dimensions)] + [","]),
        }
        for account in chart.accounts.values()
    ]


def entry_columns() -> list[Column[Any]]:
    """What entries of templates may book on, as a temporary table; `side` is empty where it may be either."""
    names = ("template", "entry", "account")
    return [
        *(Column(name, String, primary_key=True) for name in names),
        Column("side", String, nullable=False),
        Column("requires", String, nullable=False),
    ]


def entry_rows(requirements: Requirements) -> list[dict[str, Any]]:
    """The rows for `entry_columns`; the last cents may stand on an account of their own, in any voucher."""
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    for event in requirements.events:
        for entry in event.entries:
            for account, kinds in entry.accounts.items():
                requires = "".join(f",{kind}" for kind in sorted(kinds)) + ","
                rows[event.name, entry.name, account] = {"side": entry.side, "requires": requires}
        if requirements.residue_account:
            for name, side in [*((entry.name, entry.side) for entry in event.entries), ("residue", "")]:
                key = (event.name, name, requirements.residue_account)
                rows[key] = {"side": side, "requires": ","}
    return [
        {"template": template, "entry": entry, "account": account, **rest}
        for (template, entry, account), rest in rows.items()
    ]


def key_counts(scope: VoucherScope) -> Select[Any]:
    """Per voucher of the book: how many there are of its document, event and revision; key `id`."""
    v = voucher
    same = (v.c.source, v.c.document_id, v.c.event, v.c.revision)
    counted = select(v.c.id, v.c.status, func.count().over(partition_by=same).label("vouchers"))
    counted = counted.where(v.c.book == scope.book, v.c.status != VoucherStatus.CANCELLED)
    one = counted.subquery("counted")
    return select(one.c.id, one.c.vouchers).where(one.c.vouchers > 1)


def voucher_rows(chosen: Table, lines: Table, same_key: Table, dialect: str) -> Select[Any]:
    """One row a voucher; key `voucher_id`. The tables are the staged results of the queries around this one."""
    v, d = voucher, source_document
    key = (
        literal("VF/")
        + v.c.book
        + "/"
        + v.c.source
        + "/"
        + v.c.document_id
        + "/"
        + v.c.event
        + "/"
        + cast(v.c.revision, String)
    )
    return (
        select(
            v.c.id.label("voucher_id"),
            v.c.document_pk,
            v.c.key,
            v.c.event,
            v.c.date,
            v.c.period,
            v.c.currency,
            v.c.currency.label("functional_currency"),
            d.c.code,
            lines.c.debit.label("lines_debit_minor"),
            lines.c.credit.label("lines_credit_minor"),
            v.c.debit_minor,
            # From here on: what checks read.
            func.coalesce(lines.c.line_count, 0).label("line_count"),
            (func.coalesce(lines.c.debit, 0) - func.coalesce(lines.c.credit, 0)).label("difference_minor"),
            (within_limit(v.c.debit_minor) - func.coalesce(lines.c.debit, 0)).label("total_difference_minor"),
            flag(within_limit(v.c.debit_minor).is_not(None)).label("total_plausible"),
            flag(v.c.period == _month(dialect, v.c.date)).label("date_in_period"),
            flag(v.c.key == key).label("key_fits"),
            same_key.c.vouchers.label("vouchers_of_key"),
        )
        .select_from(v)
        .join(chosen, chosen.c.id == v.c.id)
        .join(d, d.c.id == v.c.document_pk)
        .outerjoin(same_key, same_key.c.id == v.c.id)
        .outerjoin(lines, lines.c.voucher_id == v.c.id)
    )


def journal_rows(parts: JournalParts) -> Select[Any]:
    """One row a journal line; key `voucher_id, line_no`.

    Corrections and vouchers of other rules than those of the digest are not held against these.
    """
    v, x, d = voucher, journal_line, source_document
    foreign = x.c.transaction_currency != ""
    signs_differ = or_(
        and_(x.c.amount_minor > 0, x.c.transaction_minor < 0),
        and_(x.c.amount_minor < 0, x.c.transaction_minor > 0),
        and_(~foreign, x.c.transaction_minor != 0),
    )
    query = (
        select(
            x.c.voucher_id,
            x.c.line_no,
            v.c.document_pk,
            v.c.event,
            d.c.code,
            v.c.currency.label("functional_currency"),
            x.c.account,
            x.c.amount_minor,
            x.c.transaction_currency.label("currency"),
            x.c.transaction_minor.label("foreign_transaction_minor"),
            x.c.template,
            x.c.entry,
            *_account_facts(parts.accounts, parts.kinds),
            *_entry_facts(parts),
            # From here on: what checks read.
            flag(within_limit(x.c.amount_minor).is_not(None)).label("amount_plausible"),
            flag(x.c.amount_minor == 0).label("is_zero"),
            flag(signs_differ).label("signs_differ"),
            case((foreign, x.c.transaction_currency)).label("currency_read"),
            present(x.c.summary).label("has_summary"),
        )
        .select_from(x)
        .join(parts.chosen, parts.chosen.c.id == x.c.voucher_id)
        .join(v, v.c.id == x.c.voucher_id)
        .join(d, d.c.id == v.c.document_pk)
    )
    if parts.accounts is not None:
        query = query.outerjoin(parts.accounts, parts.accounts.c.code == x.c.account)
    if parts.entries is not None:
        e = parts.entries.c
        same = and_(e.template == x.c.template, e.entry == x.c.entry, e.account == x.c.account)
        query = query.outerjoin(parts.entries, same)
    return query


def _entry_facts(parts: JournalParts) -> list[ColumnElement[Any]]:
    if parts.entries is None:
        return [literal(1).label("entry_known"), cast(null(), String).label("entry_lacks")]
    e, v = parts.entries.c, voucher.c
    is_judged = and_(v.rule_digest == parts.digest, v.relation == "")
    fits = and_(e.account.is_not(None), or_(e.side == "", e.side == journal_line.c.side))
    lacks = _lacking(e.requires, ("department", "employee", "project", "supplier"))
    return [
        flag(or_(~is_judged, fits)).label("entry_known"),
        case((is_judged, lacks)).label("entry_lacks"),
    ]


def _account_facts(accounts: Table | None, kinds: Sequence[str]) -> list[ColumnElement[Any]]:
    if accounts is None:
        empty = cast(null(), Integer)
        return [
            cast(null(), String).label("account_name"),
            literal(1).label("account_known"),
            empty.label("account_not_leaf"),
            empty.label("account_inactive"),
            cast(null(), String).label("missing_dimensions"),
        ]
    return [
        accounts.c.name.label("account_name"),
        flag(accounts.c.code.is_not(None)).label("account_known"),
        flag(~accounts.c.is_leaf).label("account_not_leaf"),
        flag(~accounts.c.is_active).label("account_inactive"),
        _lacking(accounts.c.requires, kinds).label("missing_dimensions"),
    ]


def _lacking(requires: ColumnElement[Any], kinds: Sequence[str]) -> ColumnElement[Any]:
    """Those of the kinds that are required and that a line does not carry, NULL for none."""
    joined: ColumnElement[Any] = literal("")
    for kind in kinds:
        is_missing = and_(requires.contains(f",{kind},", autoescape=True), ~_carries(kind))
        joined = joined + case((is_missing, f" {kind}"), else_="")
    return func.nullif(func.trim(joined), "", type_=String())


def _carries(kind: str) -> ColumnElement[bool]:
    """Whether a line has a dimension of a kind with a code. `party` is an employee or a supplier.

    The text is canonical JSON; `["kind",` cannot stand inside a JSON string, where quotes are escaped.
    """
    dimensions = journal_line.c.dimensions
    wanted = ("employee", "supplier", "party") if kind == "party" else (kind,)
    return or_(
        *(
            and_(
                dimensions.contains(f'["{each}",', autoescape=True),
                ~dimensions.contains(f'["{each}","",', autoescape=True),
            )
            for each in wanted
        )
    )


def journal_sums(chosen: Table) -> Select[Any]:
    """Per voucher: its lines and their totals by side; key `voucher_id`."""
    x = journal_line
    amount = within_limit(x.c.amount_minor)
    return (
        select(
            x.c.voucher_id,
            func.count().label("line_count"),
            func.sum(case((x.c.side == Side.DEBIT, amount), else_=0)).label("debit"),
            func.sum(case((x.c.side == Side.CREDIT, amount), else_=0)).label("credit"),
        )
        .join(chosen, chosen.c.id == x.c.voucher_id)
        .group_by(x.c.voucher_id)
    )


def _month(dialect: str, day: ColumnElement[Any]) -> ColumnElement[Any]:
    """A date's month as `2026-01`."""
    return func.strftime("%Y-%m", day) if dialect == "sqlite" else func.to_char(day, "YYYY-MM")
