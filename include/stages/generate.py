"""Generate: accepted documents become vouchers by the book's rules, whole sets at a time."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import polars as pl

from include.domain.money import format_minor
from include.domain.problems import Problem, ProblemOwner, Stage
from include.domain.voucher import VoucherKey
from include.quality import gate
from include.rules import Generated, Sources, load_rules
from include.rules import generate as apply_rules
from include.stages.context import Scope, StageContext, StageResult

log = logging.getLogger(__name__)

CHUNK = 5_000
"""Documents held in memory at once."""


@dataclass(frozen=True, slots=True)
class GenerateResult(StageResult):
    """Counts of documents and vouchers; `debit_minor` is the total of the vouchers in the book's currency."""

    documents: int
    vouchers: int
    no_voucher: int
    quarantined: int
    debit_minor: int
    rule_digest: str
    causes: tuple[tuple[str, int], ...]


def generate(ctx: StageContext, scope: Scope) -> GenerateResult:
    """Make the vouchers of all accepted documents in scope that have none in the ledger yet.

    Vouchers that were generated before but never sent are made again under today's rules. What the rules or
    the voucher gate refuse is quarantined.

    Raises:
        FixConfig: the rules themselves are wrong, or the gate could not be evaluated.
        RetryLater: the ledger's chart cannot be read.
    """
    ruleset = load_rules(ctx.settings.rules_dir(ctx.book), ctx.settings.tables_dir(ctx.book))
    documents = vouchers = no_voucher = 0
    quarantined: set[int] = set()
    debit_minor = 0
    for parts in ctx.store.vouchers.frames_to_generate(ctx.book.id, scope, CHUNK):
        frames = Sources(*parts)
        made = apply_rules(ruleset, ctx.book, frames)
        problems = _problems_of(made.problems)
        _save(ctx, frames.documents, made, ruleset.digest)
        ctx.store.documents.set_no_voucher(dict(made.no_voucher.select("document_pk", "reason").iter_rows()))
        outcome = {pk: problems.get(pk, []) for pk in frames.documents["id"]}
        ctx.store.documents.quarantine(ctx.book.id, Stage.GENERATE, outcome, ctx.clock.now())
        documents += frames.documents.height
        vouchers += made.vouchers.height
        no_voucher += made.no_voucher.height
        debit_minor += int(made.vouchers["debit_minor"].sum())
        quarantined |= set(problems)
        ctx.progress(Stage.GENERATE, documents, None)
    refused = _gate(ctx, scope)
    quarantined |= set(refused)
    causes = ctx.store.documents.quarantine_causes(ctx.book.id, scope)
    if quarantined:
        for example in causes.examples:
            log.warning("%s", example)
    log.info(
        "规则 %s：%d 份单据生成 %d 张凭证，借方合计 %s / rules %s: %d documents made %d vouchers",
        ruleset.digest[:12],
        documents,
        vouchers,
        format_minor(debit_minor, ctx.book.currency),
        ruleset.digest[:12],
        documents,
        vouchers,
    )
    return GenerateResult(
        documents=documents,
        vouchers=vouchers,
        no_voucher=no_voucher,
        quarantined=len(quarantined),
        debit_minor=debit_minor,
        rule_digest=ruleset.digest,
        causes=causes.counts if quarantined else (),
    )


def _save(ctx: StageContext, documents: pl.DataFrame, made: Generated, rule_digest: str) -> None:
    """Store the chunk's vouchers and lines under their keys."""
    identity = documents.select(pl.col("id").alias("document_pk"), "source", "document_id", "revision")
    rows: list[dict[str, Any]] = []
    keys: dict[tuple[int, str], str] = {}
    for row in made.vouchers.join(identity, on="document_pk").iter_rows(named=True):
        key = str(VoucherKey(ctx.book.id, row["source"], row["document_id"], row["event"], row["revision"]))
        keys[row["document_pk"], row["event"]] = key
        rows.append({**row, "key": key, "rule_digest": rule_digest})
    lines: dict[str, list[dict[str, Any]]] = {row["key"]: [] for row in rows}
    for row in made.lines.iter_rows(named=True):
        key = keys[row.pop("document_pk"), row.pop("event")]
        lines[key].append(row)
    ctx.store.vouchers.save_generated(ctx.book.id, documents["id"].to_list(), rows, lines)


def _problems_of(frame: pl.DataFrame) -> dict[int, list[Problem]]:
    found: dict[int, list[Problem]] = {}
    for row in frame.iter_rows(named=True):
        pk = row.pop("document_pk")
        found.setdefault(pk, []).append(Problem(**{**row, "owner": ProblemOwner(row["owner"])}))
    return found


def _gate(ctx: StageContext, scope: Scope) -> dict[int, list[Problem]]:
    """Check the generated vouchers as stored, against the ledger's own chart; withdraw those that fail."""
    report = gate.check_vouchers(
        ctx.store.engine,
        book=ctx.book.id,
        currency=ctx.book.currency,
        chart=ctx.ledger.chart(),
        date_from=scope.date_from,
        date_to=scope.date_to,
    )
    refused: dict[int, list[Problem]] = {}
    for failure in report.failures:
        refused.setdefault(failure.document_pk, []).append(failure.problem)
    if refused:
        ctx.store.vouchers.withdraw(list(refused))
        ctx.store.documents.quarantine(ctx.book.id, Stage.GENERATE, refused, ctx.clock.now())
    return refused
