"""Validate: the quality gate. What fails is quarantined with its reasons, the rest goes on."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from include.domain.document import BookRole, DocumentStatus
from include.domain.problems import Problem, ProblemOwner, Stage
from include.quality import gate
from include.rules.requirements import requirements_of
from include.stages.context import Owners, Scope, StageContext, StageResult
from include.stages.rules import rules_in_force

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
        FixConfig: the gate itself could not be evaluated, or no rules were ever in force; nothing was let through.
        RetryLater: rules that are new could not be proved, since the ledger's chart cannot be read.
    """
    rules = rules_in_force(ctx)
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
        requirements=requirements_of(rules.ruleset, ctx.book),
    )
    found: dict[int, list[Problem]] = {pk: [] for pk in report.unreadable}
    for failure in report.failures:
        found.setdefault(failure.document_pk, []).append(failure.problem)
    for row in ctx.store.documents.changed_after_posting(ctx.book.id):
        found.setdefault(row["document_pk"], []).append(changed_after_posting(row))
    owners = Owners.of(ctx.settings, ctx.source_config)
    for row in ctx.store.documents.lines_of_no_book(ctx.book.id, scope, owners.by_entity):
        found.setdefault(row["document_pk"], []).append(line_of_no_book(row))
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
    decide = f"./voucherflow follow {row['book']} --document {row['code']} --action"
    if row["role"] == BookRole.LEFT:
        return Problem(
            code="document.changed_after_posting",
            where="document.legal_entity",
            zh=f"单据 {row['code']} 在凭证 {voucher} 过账后改属其他账簿；请财务红冲该凭证（{decide} reverse|keep），或在 OA 中改回法人实体",
            en=f"document {row['code']} went to another book after its voucher {voucher} was posted: reverse the voucher "
            f"({decide} reverse|keep), or change the legal entity back in the OA",
            owner=ProblemOwner.FINANCE,
        )
    if row["voucher_book"] != row["book"]:
        there = row["voucher_book"]
        return Problem(
            code="document.changed_after_posting",
            where="document.legal_entity",
            zh=f"单据 {row['code']} 已在账簿 {there} 过账（凭证 {voucher}），之后改属本账簿；为免重复入账暂不生成凭证，请财务先处理账簿 "
            f"{there} 的凭证，或在 OA 中改回法人实体",
            en=f"document {row['code']} came here after its voucher {voucher} was posted in book {there}: held, so that it is "
            f"not booked twice; settle the voucher in {there} first, or change the legal entity back in the OA",
            owner=ProblemOwner.FINANCE,
        )
    if DocumentStatus(row["status"]).is_due:
        return Problem(
            code="document.changed_after_posting",
            where="document",
            zh=f"单据 {row['code']} 在凭证 {voucher} 过账后又被修改；已过账凭证不会改动，请财务决定（{decide} replace|keep）或在 OA 中改回",
            en=f"document {row['code']} changed after its voucher {voucher} was posted; the voucher stays as it is: "
            f"decide ({decide} replace|keep), or change the document back in the OA",
            owner=ProblemOwner.FINANCE,
        )
    return Problem(
        code="document.withdrawn_after_posting",
        where="document.status",
        zh=f"单据 {row['code']} 在凭证 {voucher} 过账后变为 {row['status']}；请财务决定（{decide} reverse|keep），或在 OA 中恢复单据",
        en=f"document {row['code']} became {row['status']} after its voucher {voucher} was posted: decide ({decide} "
        "reverse|keep), or restore the document in the OA",
        owner=ProblemOwner.FINANCE,
    )


def line_of_no_book(row: dict[str, Any]) -> Problem:
    """The problem of a line whose legal entity is no book's, so that nobody would book it."""
    number, name = row["line_no"], row["entity_name"] or "—"
    entity = row["entity_code"] or row["entity_id"]
    return Problem(
        code="line.legal_entity.no_book",
        where=f"line[{number}].legal_entity",
        zh=f"第 {number} 条费用的法人实体 {name}（{entity}）不属于任何账簿；请在 OA 中改正，或在 books/*.yaml 的 legal_entities 中添加",
        en=f"line {number}: legal entity {name} ({entity}) fits no book; correct it in the OA, or add it to legal_entities "
        "in books/*.yaml",
        owner=ProblemOwner.FINANCE,
        line_no=number,
    )
