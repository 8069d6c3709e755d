"""Validate: the quality gate. What fails is quarantined with its reasons, the rest goes on."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from include.domain.document import DocumentStatus
from include.domain.problems import Problem, ProblemOwner, Stage
from include.quality import gate
from include.stages.context import Scope, StageContext, StageResult

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ValidateResult(StageResult):
    """`causes` are the most frequent reasons for quarantine in scope, with how many documents each holds back."""

    checked: int
    accepted: int
    quarantined: int
    causes: tuple[tuple[str, int], ...]


def validate(ctx: StageContext, scope: Scope) -> ValidateResult:
    """Put pending and quarantined documents through the gate.

    Raises:
        FixConfig: the gate itself could not be evaluated; nothing was let through.
    """
    report = gate.check_documents(
        ctx.store.engine,
        book=ctx.book.id,
        source=ctx.source_config.id,
        legal_entities=ctx.book.legal_entities,
        currency=ctx.book.currency,
        source_start=ctx.source_config.start,
        now=ctx.clock.now(),
        date_from=scope.date_from,
        date_to=scope.date_to,
    )
    found: dict[int, list[Problem]] = {pk: [] for pk in report.unreadable}
    for failure in report.failures:
        found.setdefault(failure.document_pk, []).append(failure.problem)
    for row in ctx.store.documents.changed_after_posting(ctx.book.id):
        found.setdefault(row["document_pk"], []).append(changed_after_posting(row))
    accepted = ctx.store.documents.file_gate(
        ctx.book.id, scope, checked_until=report.last_document_pk, failed=found, at=ctx.clock.now()
    )
    ctx.progress(Stage.VALIDATE, report.checked, report.checked)
    causes = ctx.store.documents.quarantine_causes(ctx.book.id, scope)
    for example in causes.examples:
        log.warning("%s", example)
    return ValidateResult(
        checked=report.checked,
        accepted=accepted,
        quarantined=len(found),
        causes=causes.counts,
    )


def changed_after_posting(row: dict[str, Any]) -> Problem:
    """The problem of a document that no longer agrees with what was posted for it."""
    voucher = row["ledger_number"] or row["voucher_key"]
    if DocumentStatus(row["status"]).is_due:
        return Problem(
            code="document.changed_after_posting",
            where="document",
            zh=f"单据 {row['code']} 在凭证 {voucher} 过账后又被修改；已过账凭证不会改动，请财务决定红冲重做或在 OA 中改回",
            en=f"document {row['code']} changed after its voucher {voucher} was posted; the voucher stays as it is: "
            "decide whether to reverse it, or change the document back in the OA",
            owner=ProblemOwner.FINANCE,
        )
    return Problem(
        code="document.withdrawn_after_posting",
        where="document.status",
        zh=f"单据 {row['code']} 在凭证 {voucher} 过账后变为 {row['status']}；请财务决定红冲，或在 OA 中恢复单据",
        en=f"document {row['code']} became {row['status']} after its voucher {voucher} was posted: reverse the voucher "
        "or restore the document in the OA",
        owner=ProblemOwner.FINANCE,
    )
