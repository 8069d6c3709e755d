"""Generate: accepted documents become vouchers by the book's rules, whole sets at a time."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

import polars as pl

from include.domain.money import format_minor
from include.domain.problems import Problem, ProblemOwner, Stage
from include.quality import gate
from include.rules import Sources
from include.rules import generate as apply_rules
from include.rules.requirements import requirements_of
from include.stages.context import Scope, StageContext, StageResult
from include.stages.rules import InForce, rules_in_force
from include.store.generated import GeneratedSet

log = logging.getLogger(__name__)

CHUNK = 20_000
"""Documents held in memory at once, some 200 MB of work: applying the rules costs a fixed part per chunk."""


@dataclass(frozen=True, slots=True)
class GenerateResult(StageResult):
    """Counts of documents and vouchers; `debit_minor` is the total of the vouchers in the book's currency.

    `rules_refused`: why the rules of the folder are not those of `rule_version`, which stay in force.
    """

    documents: int
    vouchers: int
    no_voucher: int
    quarantined: int
    debit_minor: int
    rule_digest: str
    rule_version: int
    rules_refused: tuple[str, ...]
    causes: tuple[tuple[str, int], ...]


@dataclass(slots=True)
class Made:
    """What applying the rules came to, before the gate looked at it."""

    documents: int = 0
    vouchers: int = 0
    no_voucher: int = 0
    debit_minor: int = 0
    quarantined: set[int] = field(default_factory=set)


def generate(ctx: StageContext, scope: Scope) -> GenerateResult:
    """Make the vouchers of all accepted documents in scope that have none in the ledger yet.

    Vouchers that were generated before but never sent are made again under today's rules. What the rules or
    the voucher gate refuse is quarantined.

    Raises:
        FixConfig: the rules are wrong and none were ever in force, or the gate could not be evaluated.
        RetryLater: the ledger's chart cannot be read.
    """
    rules = rules_in_force(ctx)
    made = make_vouchers(ctx, scope, rules)
    quarantined = made.quarantined | set(_gate(ctx, scope, rules))
    causes = ctx.store.documents.quarantine_causes(ctx.book.id, scope)
    if quarantined:
        for example in causes.examples:
            log.warning("%s", example)
    log.info(
        "规则 %s：%d 份单据生成 %d 张凭证，借方合计 %s / rules %s: %d documents made %d vouchers",
        rules.digest[:12],
        made.documents,
        made.vouchers,
        format_minor(made.debit_minor, ctx.book.currency),
        rules.digest[:12],
        made.documents,
        made.vouchers,
    )
    return GenerateResult(
        documents=made.documents,
        vouchers=made.vouchers,
        no_voucher=made.no_voucher,
        quarantined=len(quarantined),
        debit_minor=made.debit_minor,
        rule_digest=rules.digest,
        rule_version=rules.version,
        rules_refused=rules.refused,
        causes=causes.counts if quarantined else (),
    )


def make_vouchers(ctx: StageContext, scope: Scope, rules: InForce) -> Made:
    """Apply rules to the documents in scope and store what comes of them, a chunk in one transaction.

    A run that breaks off leaves whole chunks, and the next one begins again without harm.
    """
    total = Made()
    for parts in ctx.store.vouchers.frames_to_generate(ctx.book.id, scope, CHUNK):
        sources = Sources(*parts)
        made = apply_rules(rules.ruleset, ctx.book, sources)
        identity = sources.documents.select(
            pl.col("id").alias("document_pk"), "source", "document_id", "revision"
        )
        problems = _problems_of(made.problems)
        ctx.store.vouchers.save_generated(
            GeneratedSet(
                book=ctx.book.id,
                pks=sources.documents["id"].to_list(),
                vouchers=made.vouchers.join(identity, on="document_pk", maintain_order="left"),
                lines=made.lines,
                no_voucher=made.no_voucher,
                problems=problems,
                rule_digest=rules.digest,
                rule_version=rules.version,
            )
        )
        total.documents += sources.documents.height
        total.vouchers += made.vouchers.height
        total.no_voucher += made.no_voucher.height
        total.debit_minor += int(made.vouchers["debit_minor"].sum())
        total.quarantined |= set(problems)
        ctx.progress(Stage.GENERATE, total.documents, None)
    return total


def _problems_of(frame: pl.DataFrame) -> dict[int, list[Problem]]:
    found: dict[int, list[Problem]] = {}
    for row in frame.iter_rows(named=True):
        pk = row.pop("document_pk")
        found.setdefault(pk, []).append(Problem(**{**row, "owner": ProblemOwner(row["owner"])}))
    return found


def _gate(ctx: StageContext, scope: Scope, rules: InForce) -> dict[int, list[Problem]]:
    """Check the generated vouchers as stored, against the ledger's own chart and the rules; withdraw those that fail."""
    report = gate.check_vouchers(
        ctx.store.engine,
        book=ctx.book.id,
        currency=ctx.book.currency,
        chart=ctx.ledger.chart(),
        date_from=scope.date_from,
        date_to=scope.date_to,
        requirements=requirements_of(rules.ruleset, ctx.book),
    )
    refused: dict[int, list[Problem]] = {}
    for failure in report.failures:
        refused.setdefault(failure.document_pk, []).append(failure.problem)
    if refused:
        ctx.store.vouchers.withdraw(list(refused))
        ctx.store.documents.quarantine(ctx.book.id, Stage.GENERATE, refused, ctx.clock.now())
    return refused
