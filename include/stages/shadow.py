"""Shadow (试算对比): what we would generate against what the ledger has already. Writes nothing, anywhere.

For a company that moves to Voucherflow: the rules run on the documents of a period that was booked by hand or by another
interface, and the report says what would have come out otherwise, and which row of which table makes it so.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import polars as pl
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from include.domain.errors import FixConfig
from include.domain.money import format_minor
from include.domain.period import Calendar, FiscalPeriod
from include.domain.problems import Stage
from include.domain.voucher import LedgerLine, LedgerVoucher, LedgerVoucherState
from include.rules import Generated, RuleSet, Sources, load_rules
from include.rules import generate as apply_rules
from include.rules.facts import Measure
from include.rules.frames import VOUCHER_LINES, VOUCHERS
from include.rules.parity import (
    HEADS,
    LINES,
    MENTIONS,
    PARITY,
    SEPARATOR,
    ParityReport,
    Span,
    Vouchers,
    compare,
)
from include.stages.context import StageContext
from include.store.reading import accepted_frames

CHUNK = 5_000
"""Documents held in memory at once, with all that they are made of; their vouchers are kept for the comparison."""
NEAR_DAYS = 3
"""How far apart a document's day and that of a voucher made by hand may be, where only content tells."""
MOST_PATTERNS = 20
MOST_PAIRS = 20

REVERSAL = ".reversal"
"""The end of the event of a red-letter copy of ours."""
DRAFT = "（草稿 / draft）"
PARTY = "party"
PARTY_KINDS = frozenset({"employee", "supplier", "customer"})
_DOCUMENTS = {
    "id": pl.Int64,
    "source": pl.String,
    "document_id": pl.String,
    "code": pl.String,
    "business_date": pl.Date,
}


def shadow(ctx: StageContext, date_from: date, date_to: date) -> ParityReport:
    """Compare a span of days, both included.

    Whole fiscal periods around the span are read, so that a voucher booked on another day is found; only what lies in
    the span on either side is reported. All vouchers of these periods are held in memory.

    Raises:
        FixConfig: the rules are wrong, or the span ends before it begins.
        RetryLater: the ledger or the store cannot be read; nothing is concluded from a partial reading.
    """
    if date_from > date_to:
        raise FixConfig(
            f"起始日 {date_from} 晚于截止日 {date_to}，请对调 / {date_from} is after {date_to}: swap the two days"
        )
    ruleset = load_rules(ctx.settings.rules_dir(ctx.book), ctx.settings.tables_dir(ctx.book))
    margin = timedelta(days=NEAR_DAYS)
    periods = [
        period
        for period in Calendar(ctx.ledger.periods()).periods
        if period.last_day >= date_from - margin and period.first_day <= date_to + margin
    ]
    first = min([date_from, *(period.first_day for period in periods)])
    last = max([date_to, *(period.last_day for period in periods)])
    values = _Values(ctx.ledger.dimension_kinds)
    made = [
        _make(ctx, ruleset, Sources(*frames))
        for frames in accepted_frames(ctx.store.engine, ctx.book.id, first, last, CHUNK)
    ]
    ours = _ours(ctx, values, made)
    theirs = _theirs(ctx, values, [FiscalPeriod.parse(period.code) for period in periods])
    in_span = [piece.within(date_from, date_to) for piece in made]
    return compare(
        ours,
        theirs,
        Span(date_from, date_to),
        book=ctx.book.id,
        currency=ctx.book.currency,
        rule_digest=ruleset.digest,
        tax_accounts=sorted(_tax_accounts(ruleset)),
        silent={code: reason for piece in made for code, reason in piece.silent.items()},
        near_days=NEAR_DAYS,
        no_voucher=sum(no_voucher for no_voucher, _ in in_span),
        unmade=sum(unmade for _, unmade in in_span),
    )


@dataclass(frozen=True, slots=True)
class _Made:
    """What the rules make of a chunk: documents (id, source, document_id, code, business_date) and the rest."""

    documents: pl.DataFrame
    generated: Generated

    @property
    def silent(self) -> dict[str, str]:
        """Why documents have no voucher, by code."""
        codes = self.documents.select("code", document_pk="id")
        refused = self.generated.problems.group_by("document_pk").agg(
            pl.col("code").unique().sort().str.join(", ").alias("reason")
        )
        both = pl.concat([refused, self.generated.no_voucher.select("document_pk", "reason")])
        return dict(codes.join(both, on="document_pk").select("code", "reason").sort("code").iter_rows())

    def within(self, first: date, last: date) -> tuple[int, int]:
        """How many documents of these days make no voucher by rule, and how many the rules refuse."""
        days = self.documents.filter(pl.col("business_date").is_between(first, last)).select(document_pk="id")
        refused = self.generated.problems.select("document_pk").unique()
        return (
            days.join(self.generated.no_voucher, on="document_pk", how="semi").height,
            days.join(refused, on="document_pk", how="semi").height,
        )


def _make(ctx: StageContext, ruleset: RuleSet, sources: Sources) -> _Made:
    documents = sources.documents.select("id", "source", "document_id", "code", "business_date")
    return _Made(documents, apply_rules(ruleset, ctx.book, sources))


@dataclass(frozen=True, slots=True)
class _Values:
    """Dimension values as text, the same for both sides: only the kinds that the ledger keeps.

    A ledger that knows parties only (`party`) does not say whether one is an employee or a supplier.
    """

    kinds: frozenset[str]

    def text(self, values: Iterable[tuple[str, str]]) -> str:
        named = ((self._kind(kind), code) for kind, code in values if kind in self.kinds)
        return SEPARATOR.join(sorted(f"{kind}={code}" for kind, code in named))

    def _kind(self, kind: str) -> str:
        return PARTY if PARTY in self.kinds and kind in PARTY_KINDS else kind


def _ours(ctx: StageContext, values: _Values, made: Sequence[_Made]) -> Vouchers:
    """Our vouchers in one set of frames."""
    documents = _stacked([piece.documents for piece in made], _DOCUMENTS)
    heads = (
        _stacked([piece.generated.vouchers for piece in made], VOUCHERS)
        .join(documents.rename({"id": "document_pk"}), on="document_pk")
        .sort("document_pk", "event")
        .with_row_index("voucher")
        .with_columns(
            pl.col("code").alias("name"),
            pl.concat_str("source", "document_id", "event", separator="/").alias("key"),
            pl.lit(False).alias("is_reversed"),
        )
    )
    lines = _stacked([piece.generated.lines for piece in made], VOUCHER_LINES)
    texts = lines["dimensions"].unique()
    canonical = pl.DataFrame(
        {
            "dimensions": texts,
            "text": [values.text((kind, code) for kind, code, _ in json.loads(text)) for text in texts],
        },
        schema={"dimensions": pl.String, "text": pl.String},
    )
    folder = f"{ctx.settings.tables_dir(ctx.book).name}"
    rule = (
        pl.when(pl.col("table_row") > 0)
        .then(pl.format(f"tables/{folder}/{{}}:{{}}", "table_name", "table_row"))
        .otherwise(pl.format(f"rules/{folder}/{{}}:{{}}", "template", "template_line"))
    )
    return Vouchers(
        _shaped(heads, HEADS),
        _shaped(
            lines.join(heads.select("document_pk", "event", "voucher"), on=["document_pk", "event"])
            .join(canonical, on="dimensions")
            .with_columns(
                pl.col("text").alias("dimensions"),
                pl.col("amount_minor").alias("amount"),
                pl.col("transaction_currency").alias("currency"),
                pl.col("transaction_minor").alias("foreign"),
                rule.alias("rule"),
            ),
            LINES,
        ),
        pl.DataFrame(schema=MENTIONS),
    )


def _theirs(ctx: StageContext, values: _Values, periods: Sequence[FiscalPeriod]) -> Vouchers:
    """The ledger's vouchers of these periods, drafts too."""
    heads: list[tuple[Any, ...]] = []
    lines: list[tuple[Any, ...]] = []
    mentions: list[tuple[int, str]] = []
    for done, period in enumerate(periods, 1):
        for page in ctx.ledger.vouchers(period):
            for there in page:
                number = len(heads)
                heads.append(_head(ctx.book.id, number, there))
                lines += (_line(values, number, line) for line in there.lines)
                mentions += ((number, text) for text in {there.reference, *(x.summary for x in there.lines)})
        ctx.progress(Stage.RECONCILE, done, len(periods))
    return Vouchers(
        pl.DataFrame(heads, schema=HEADS, orient="row"),
        pl.DataFrame(lines, schema=LINES, orient="row"),
        pl.DataFrame(mentions, schema=MENTIONS, orient="row"),
    )


def _head(book: str, number: int, there: LedgerVoucher) -> tuple[Any, ...]:
    """A row of HEADS. All of one document's revisions, and our reversals of them, come under one key."""
    key, is_reversed = there.key, there.state is LedgerVoucherState.REVERSED
    is_ours = key is not None and key.book == book and not is_reversed
    identity = (
        f"{key.source}/{key.document_id}/{key.event.removesuffix(REVERSAL)}"
        if key is not None and is_ours
        else ""
    )
    name = there.number or there.ledger_id
    if there.state is LedgerVoucherState.DRAFT:
        name += DRAFT
    return number, name, identity, "", "", there.date, there.period, is_reversed


def _line(values: _Values, number: int, line: LedgerLine) -> tuple[Any, ...]:
    """A row of LINES."""
    foreign = line.transaction
    return (
        number,
        line.side.value,
        line.account,
        line.amount.minor,
        foreign.currency if foreign else "",
        foreign.minor if foreign else 0,
        values.text((value.kind, value.code) for value in line.dimensions),
        "",
    )


def _tax_accounts(ruleset: RuleSet) -> Iterator[str]:
    """The accounts on which the rules put deductible input tax."""
    for template in ruleset.templates:
        for entry in template.spec.lines:
            if entry.measure == Measure.DEDUCTIBLE_TAX:
                if entry.account.key:
                    yield ruleset.accounts[entry.account.key].account
                if entry.account.table:
                    yield from (row.account for row in ruleset.tables[entry.account.table].rows)


def _stacked(frames: Sequence[pl.DataFrame], schema: Any) -> pl.DataFrame:
    return pl.concat([pl.DataFrame(schema=schema), *frames])


def _shaped(frame: pl.DataFrame, schema: Any) -> pl.DataFrame:
    return frame.select(pl.col(name).cast(dtype) for name, dtype in schema.items())


def render(report: ParityReport) -> RenderableType:
    """The report for a terminal: the rates, the causes, the patterns, and the largest single differences."""
    return Group(_summary(report), _cause_table(report), *_pattern_table(report), *_pair_table(report))


def _summary(report: ParityReport) -> Text:
    vouchers, amounts = (
        "–" if rate is None else f"{rate} %" for rate in (report.voucher_rate, report.amount_rate)
    )
    span = f"{report.span.first} … {report.span.last}"
    return Text(
        f"账簿 {report.book} {span}：按规则生成 {report.ours} 张凭证，账簿中有 {report.theirs} 张；一致率 {vouchers}（按张数）、"
        f"{amounts}（按金额）。未生成：{report.unmade} 份单据规则拒绝，{report.no_voucher} 份按规则不做凭证；"
        f"账簿中 {report.reversed_there} 张互相冲销，不参与比较。\n"
        f"Book {report.book}: the rules make {report.ours} vouchers, the ledger has {report.theirs}; parity {vouchers} by "
        f"number, {amounts} by amount. {report.unmade} documents refused by the rules, {report.no_voucher} without a "
        f"voucher by rule; {report.reversed_there} ledger vouchers cancel each other and are set aside."
    )


def _cause_table(report: ParityReport) -> Table:
    table = _table(
        "差异原因 / causes",
        "原因 / cause",
        "#组 / groups",
        "#我方 / ours",
        "#账簿 / ledger",
        "#金额 / amount",
    )
    for row in report.causes:
        amount = format_minor(row.amount_minor, report.currency)
        table.add_row(row.cause.label, str(row.pairs), str(row.ours), str(row.theirs), amount)
    return table


def _pattern_table(report: ParityReport) -> Iterator[Table]:
    listed = [p for p in report.patterns if p.cause not in PARITY]
    if listed:
        table = _table(
            _titled("差异模式（我方 → 账簿） / patterns (ours → ledger)", len(listed), MOST_PATTERNS),
            "原因 / cause", "模式 / pattern", "#组 / groups", "#金额 / amount", "规则 / rule",
        )  # fmt: skip
        for row in listed[:MOST_PATTERNS]:
            amount = format_minor(row.amount_minor, report.currency)
            table.add_row(row.cause.label, Text(row.text), str(row.pairs), amount, Text(row.rules))
        yield table


def _pair_table(report: ParityReport) -> Iterator[Table]:
    listed = [pair for pair in report.pairs if not pair.is_parity]
    if listed:
        table = _table(
            _titled("逐张差异 / single differences", len(listed), MOST_PAIRS),
            "原因 / cause", "我方 / ours", "账簿 / ledger", "#金额 / amount", "#差额 / difference", "依据 / evidence",
        )  # fmt: skip
        for pair in listed[:MOST_PAIRS]:
            causes = "\n".join(cause.label for cause in (pair.cause, *pair.also))
            evidence = f"{pair.evidence.label}：{pair.detail}" if pair.detail else pair.evidence.label
            amounts = (format_minor(n, report.currency) for n in (pair.amount_minor, pair.difference_minor))
            table.add_row(
                causes, Text("\n".join(pair.ours)), Text("\n".join(pair.theirs)), *amounts, Text(evidence)
            )
        yield table


def _titled(title: str, count: int, most: int) -> str:
    return title if count <= most else f"{title}: {most} / {count}"


def _table(title: str, *columns: str) -> Table:
    """A column whose name begins with # is a number."""
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column.removeprefix("#"), justify="right" if column.startswith("#") else "left")
    return table
