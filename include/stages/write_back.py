"""Write back: the OA shows each document's voucher number and period."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from include.domain.problems import Stage
from include.ports import WriteBackEntry, WriteBackOutcome, WriteBackResult
from include.stages.context import Scope, StageContext, StageResult
from include.store.reconciliations import SEPARATOR, Due

log = logging.getLogger(__name__)

SIZE = 100


@dataclass(frozen=True, slots=True)
class WriteBackStageResult(StageResult):
    """`refused`: the OA does not take it in the document's present state. `gone`: not in the ledger any more."""

    written: int
    refused: int
    unknown: int
    gone: int


def write_back(ctx: StageContext, scope: Scope) -> WriteBackStageResult:
    """Tell the OA the numbers it does not have from us yet. The numbers are read again from the ledger first,
    which may have renumbered.

    Raises:
        RetryLater: OA or ledger out of reach; what was written is recorded.
    """
    written = refused = unknown = gone = 0
    examples: list[WriteBackResult] = []
    source, after = ctx.source_config.id, ""
    while due := ctx.store.reconciliations.write_backs_due(ctx.book.id, source, scope, after, SIZE):
        after = due[-1].document_id
        vouchers = [voucher for item in due for voucher in item.vouchers]
        numbers = ctx.ledger.numbers([voucher.ledger_id for voucher in vouchers])
        ctx.store.vouchers.renumber(
            {v.id: numbers[v.ledger_id] for v in vouchers if numbers.get(v.ledger_id, v.number) != v.number}
        )
        entries = [
            _entry(ctx, item, numbers) for item in due if all(v.ledger_id in numbers for v in item.vouchers)
        ]
        gone += len(due) - len(entries)
        if not entries:
            continue
        results = ctx.source.write_back(entries)
        ctx.store.reconciliations.record_write_backs(ctx.book.id, source, entries, results, ctx.actor)
        written += _count(results, WriteBackOutcome.WRITTEN)
        refused += _count(results, WriteBackOutcome.REFUSED)
        unknown += _count(results, WriteBackOutcome.UNKNOWN)
        examples = examples or [r for r in results if r.outcome is not WriteBackOutcome.WRITTEN][:1]
        ctx.progress(Stage.WRITE_BACK, written + refused + unknown + gone, None)
    if examples:
        log.warning(
            "%d 份单据未回写，例如 %s：%s / %d documents do not show their number, for one",
            refused + unknown,
            examples[0].document_id,
            examples[0].message,
            refused + unknown,
        )
    return WriteBackStageResult(written=written, refused=refused, unknown=unknown, gone=gone)


def _entry(ctx: StageContext, due: Due, numbers: Mapping[str, str]) -> WriteBackEntry:
    """The OA holds one number a document, so those of several vouchers are joined; the period is the first's. Without a
    voucher, since all were reversed, it is cleared.
    """
    joined = SEPARATOR.join(numbers[voucher.ledger_id] for voucher in due.vouchers)
    return WriteBackEntry(due.document_id, joined, due.period, ctx.clock.now())


def _count(results: Sequence[WriteBackResult], outcome: WriteBackOutcome) -> int:
    return sum(result.outcome is outcome for result in results)
