"""Replay: what other rules would have made of the documents of a span, against what stands in the store.

Writes nothing. A document counts as changed where the rules that made its vouchers and the other rules treat it
differently; what is shown is then the difference to what stands, corrections included. Only documents that the change
can concern are generated again: see `include.rules.difference`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import polars as pl
from sqlalchemy import ColumnElement, and_, false, or_

from include.domain.document import Disposition
from include.domain.errors import FixConfig
from include.domain.money import currency_decimals
from include.domain.problems import Stage
from include.domain.voucher import UNSENT_STATUSES
from include.rules import Generated, RuleSet, Sources, load_rules
from include.rules import generate as apply_rules
from include.rules.difference import difference, tax_accounts
from include.rules.replay import (
    DIFFERENCES,
    LISTED,
    OUTCOMES,
    ReplayReport,
    differences,
    differing,
    effects,
    outcomes,
)
from include.rules.residue import residue_account
from include.stages.affected import concerned
from include.stages.context import StageContext
from include.stages.rules import RuleFolders, restore
from include.store import standing
from include.store.corrections import Relation
from include.store.engine import reading
from include.store.reading import frames_of

log = logging.getLogger(__name__)

CHUNK = 10_000
"""Documents held in memory at once."""

NUMBERED = {**LISTED, "numbers": pl.String}


@dataclass(frozen=True, slots=True)
class Changes:
    """Some documents that come out differently, with all that is needed to say so or to correct them.

    `documents` are rows of source_document, `vouchers` of voucher in any state, `journal` the lines of those that stand;
    `generated` is what the new rules make. `lines` has DIFFERENCES, `outcomes` OUTCOMES.
    """

    documents: pl.DataFrame
    vouchers: pl.DataFrame
    journal: pl.DataFrame
    generated: Generated
    lines: pl.DataFrame
    outcomes: pl.DataFrame


@dataclass
class Comparison:
    """The new rules against those that made what stands, over a span of business days."""

    ctx: StageContext
    date_from: date
    date_to: date
    new: RuleSet
    old: dict[str, RuleSet] = field(default_factory=dict)
    """By digest: the rule sets of vouchers that could be restored."""
    lost: list[str] = field(default_factory=list)
    """Digests of vouchers whose rule sets were never kept, or cannot be read any more."""
    default: str = ""
    """The digest in force: it decided on documents that make no voucher. Empty where none is."""
    unlocalised: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, ctx: StageContext, date_from: date, date_to: date, new: RuleSet) -> Comparison:
        """With all rule sets that vouchers of these documents were made under, as far as they are kept.

        Raises:
            FixConfig: the span ends before it begins.
        """
        if date_from > date_to:
            raise FixConfig(
                f"起始日 {date_from} 晚于截止日 {date_to}，请对调 / {date_from} is after {date_to}: swap the two days"
            )
        found = cls(ctx, date_from, date_to, new)
        in_force = ctx.store.rule_sets.in_force(ctx.book.id)
        found.default = in_force.digest if in_force else ""
        with reading(ctx.store.engine) as connection:
            digests = standing.rule_digests(connection, ctx.book.id, found.span)
        for digest in sorted({*digests, found.default} - {""}):
            ruleset = _kept(ctx, digest)
            if ruleset is None:
                found.lost.append(digest)
            else:
                found.old[digest] = ruleset
        return found

    @property
    def span(self) -> ColumnElement[bool]:
        return standing.in_span(self.ctx.book.id, self.date_from, self.date_to)

    def candidates(self, *, brute_force: bool) -> pl.Series:
        """The documents of the span that may come out differently, by row id."""
        wanted = None if brute_force else self._concerned()
        with reading(self.ctx.store.engine) as connection:
            if wanted is None:
                return standing.document_ids(connection, self.span)
            concerned_ids = standing.document_ids(connection, self.span, or_(false(), *wanted))
            return pl.concat([concerned_ids, standing.unmade(connection, self.span)]).unique().sort()

    def _concerned(self) -> list[ColumnElement[bool]] | None:
        """Conditions one of which holds for all with a voucher, or without one by rule, that may come out differently;
        None: every document may.
        """
        book = self.ctx.book
        conditions: list[ColumnElement[bool]] = []
        for digest, ruleset in self.old.items():
            found = difference(ruleset, self.new, book)
            if found.everywhere:
                self.unlocalised.append(found.everywhere)
            if not found.regions:
                continue
            condition = concerned(found.regions, currency_decimals(book.currency), book.currency)
            if len(self.old) > 1:
                of_digest = [standing.of_digests([digest])] + [standing.silent()] * (digest == self.default)
                condition = and_(condition, or_(*of_digest))
            conditions.append(condition)
        if self.unlocalised:
            return None
        if self.lost:
            conditions.append(standing.of_digests(self.lost))
        if self.default not in self.old:
            conditions.append(standing.silent())
        return conditions

    def changes(self, pks: pl.Series) -> Iterator[Changes]:
        """What changes, some documents at a time in the order of their ids."""
        for start in range(0, len(pks), CHUNK):
            some = pks[start : start + CHUNK]
            yield self._changes(some)
            self.ctx.progress(Stage.GENERATE, start + len(some), len(pks))

    def _changes(self, pks: pl.Series) -> Changes:
        with reading(self.ctx.store.engine) as connection:
            documents, *parts = frames_of(connection, pks, "disposition")
            vouchers = standing.vouchers_of(connection, pks)
            stands = _standing(vouchers)
            journal = standing.journal_of(connection, stands["id"])
        made = apply_rules(self.new, self.ctx.book, Sources(documents, *parts))
        its = stands.select("document_pk", base_event(), pl.col("id").alias("voucher_id"))
        now = effects(journal.join(its, on="voucher_id"))
        before = self._before(documents, stands, now)
        changed = self._changed(documents, parts, made, before)
        states = (
            before.join(outcomes(made, pks), on="document_pk")
            .filter(pl.col("document_pk").is_in(changed.implode()) & (pl.col("before") != pl.col("after")))
            .select(pl.col(name).cast(dtype) for name, dtype in OUTCOMES.items())
            .sort("document_pk")
        )
        refused = made.problems["document_pk"].unique()
        shown = pl.col("document_pk").is_in(changed.implode()) & ~pl.col("document_pk").is_in(
            refused.implode()
        )
        lines = differences(now.filter(shown), effects(made.lines).filter(shown))
        return Changes(documents, vouchers, journal, made, lines, states)

    def _before(self, documents: pl.DataFrame, stands: pl.DataFrame, now: pl.DataFrame) -> pl.DataFrame:
        """document_pk, before (as in OUTCOMES), and `digest` of the rules that decided so, null where not known."""
        newest = _deciding(stands)
        is_silent = pl.col("disposition") == Disposition.NO_VOUCHER.value
        is_refused = pl.col("disposition") == Disposition.QUARANTINED.value
        default = pl.lit(self.default or None, pl.String)
        return (
            documents.select(pl.col("id").alias("document_pk"), "disposition")
            .join(newest, on="document_pk", how="left")
            .select(
                "document_pk",
                pl.when(pl.col("document_pk").is_in(now["document_pk"].unique().implode()))
                .then(pl.lit("voucher"))
                .when(is_silent | pl.col("has_stood").fill_null(False))
                .then(pl.lit("no_voucher"))
                .when(is_refused)
                .then(pl.lit("problem"))
                .otherwise(pl.lit("none"))
                .alias("before"),
                pl.when(pl.col("has_stood").fill_null(False))
                .then("rule_digest")
                .otherwise(pl.when(is_silent).then(default))
                .alias("digest"),
            )
        )

    def _changed(
        self, documents: pl.DataFrame, parts: Sequence[pl.DataFrame], made: Generated, before: pl.DataFrame
    ) -> pl.Series:
        """The documents that the rules that made their vouchers and the new ones treat differently.

        Where those rules are not known, all of them: then only what stands can be compared.
        """
        known = pl.col("digest").is_in(list(self.old)).fill_null(False)
        changed = [before.filter(~known)["document_pk"]]
        for (digest,), of_digest in before.filter(known).group_by("digest", maintain_order=True):
            if self.old[str(digest)].digest == self.new.digest:
                continue
            pks = of_digest["document_pk"]
            sources = Sources(
                documents.filter(pl.col("id").is_in(pks.implode())),
                *(part.filter(pl.col("document_pk").is_in(pks.implode())) for part in parts),
            )
            once = apply_rules(self.old[str(digest)], self.ctx.book, sources)
            changed.append(differing(once, _of(made, pks), pks))
        return pl.concat(changed)


def replay(
    ctx: StageContext, date_from: date, date_to: date, rules: Path, *, brute_force: bool = False
) -> ReplayReport:
    """What the rules in a folder would change in the documents of a span of business days, both included.

    `rules` is a configuration with rules of this book (`rules/<book>`, `tables/<book>`), a folder with `rules` and
    `tables`, or one with all files. `brute_force` generates every document again, which finds the same.

    Raises:
        FixConfig: the folder or the rules in it are wrong, or the span ends before it begins.
        RetryLater: the store cannot be read.
    """
    folders = RuleFolders.below(rules, ctx.book.id)
    comparison = Comparison.of(ctx, date_from, date_to, load_rules(folders.rules, folders.tables))
    return report(comparison, brute_force=brute_force)


def report(comparison: Comparison, *, brute_force: bool = False) -> ReplayReport:
    """Everything that a comparison finds, as one report."""
    ctx = comparison.ctx
    pks = comparison.candidates(brute_force=brute_force)
    lines, states = (
        [pl.DataFrame(schema={**DIFFERENCES, **NUMBERED})],
        [pl.DataFrame(schema={**OUTCOMES, **LISTED})],
    )
    for changes in comparison.changes(pks):
        lines.append(_listed(changes, changes.lines, NUMBERED))
        states.append(_listed(changes, changes.outcomes, LISTED))
    with reading(ctx.store.engine) as connection:
        documents = standing.count(connection, comparison.span)
    return ReplayReport(
        book=ctx.book.id,
        currency=ctx.book.currency,
        date_from=comparison.date_from,
        date_to=comparison.date_to,
        digest=comparison.new.digest,
        compared_with=tuple(sorted(comparison.old)),
        documents=documents,
        examined=len(pks),
        lines=pl.concat(lines),
        outcomes=pl.concat(states),
        lost=tuple(comparison.lost),
        tax_accounts=tuple(sorted(tax_accounts([comparison.new, *comparison.old.values()]))),
        unlocalised=tuple(dict.fromkeys(comparison.unlocalised)),
    )


def _listed(changes: Changes, frame: pl.DataFrame, columns: Mapping[str, object]) -> pl.DataFrame:
    """Rows with the code, legal entity and date of their documents, and the numbers of their vouchers if asked for."""
    documents = changes.documents.select(
        pl.col("id").alias("document_pk"),
        "code",
        pl.coalesce(pl.col("legal_entity_code").replace("", None), "legal_entity_id", pl.lit("")).alias(
            "legal_entity"
        ),
        pl.col("business_date").alias("date"),
    )
    listed = frame.join(documents, on="document_pk", how="left", maintain_order="left")
    if "numbers" in columns:
        stands = _standing(changes.vouchers).with_columns(base_event())
        numbers = (
            stands.sort("id")
            .group_by("document_pk", "event")
            .agg(
                pl.col("ledger_number").filter(pl.col("ledger_number") != "").str.join("、").alias("numbers"),
                pl.col("date").first().alias("posted_on"),
            )
        )
        listed = listed.join(
            numbers, on=["document_pk", "event"], how="left", maintain_order="left"
        ).with_columns(pl.col("numbers").fill_null(""), pl.coalesce("posted_on", "date").alias("date"))
    return listed.select(*frame.columns, *(name for name in columns if name not in frame.columns))


def _standing(vouchers: pl.DataFrame) -> pl.DataFrame:
    """The vouchers that count. A replacement counts only with the reversal that goes before it."""
    stands = vouchers.filter(~pl.col("status").is_in([status.value for status in standing.NOT_STANDING]))
    is_reversal = pl.col("relation") == Relation.REVERSAL.value
    originals = vouchers.filter(is_reversal)["original_id"]
    reversed_ = stands.filter(is_reversal)["original_id"]
    waits = pl.col("original_id").is_in(originals.implode()) & ~pl.col("original_id").is_in(
        reversed_.implode()
    )
    return stands.filter((pl.col("relation") != Relation.REPLACEMENT.value) | ~waits)


def _deciding(stands: pl.DataFrame) -> pl.DataFrame:
    """document_pk, has_stood, and the `rule_digest` of the rules that made it stand so.

    A reversal that waits to be sent was decided on last. Where all that stood is reversed, it is null: no rules say
    what is there now, and it is compared as it stands.
    """
    is_reversal = pl.col("relation") == Relation.REVERSAL.value
    waiting = is_reversal & pl.col("status").is_in([status.value for status in UNSENT_STATUSES])
    undone = stands.filter(is_reversal)["original_id"]
    lives = ~is_reversal & ~pl.col("id").is_in(undone.implode())
    digest = pl.col("rule_digest")
    return (
        stands.sort("id")
        .group_by("document_pk")
        .agg(
            pl.lit(True).alias("has_stood"),
            pl.coalesce(
                digest.filter(waiting).last(), pl.when(lives.any()).then(digest.filter(~is_reversal).last())
            ).alias("rule_digest"),
        )
    )


def _of(made: Generated, pks: pl.Series) -> Generated:
    """What was made of some of the documents."""
    its = pl.col("document_pk").is_in(pks.implode())
    return Generated(
        made.vouchers.filter(its),
        made.lines.filter(its),
        made.no_voucher.filter(its),
        made.problems.filter(its),
    )


def base_event() -> pl.Expr:
    """The accounting event, without what corrections add to it: `expense_claim.2.reversal`."""
    return pl.col("event").str.replace(r"\..*$", "")


def _kept(ctx: StageContext, digest: str) -> RuleSet | None:
    """The rules of a digest, None where they were never kept, or cannot be used with today's program and book."""
    try:
        ruleset = restore(ctx.store, ctx.book.id, digest, RuleFolders.of(ctx))
        if ruleset is not None:
            residue_account(ruleset, ctx.book)
    except FixConfig as error:
        log.warning(
            "规则 %s 已无法使用 / rules %s cannot be used any more: %s", digest[:12], digest[:12], error
        )
        return None
    return ruleset
