"""The two gates: over staged documents, and over the vouchers made of them.

A gate reads the store and reports; quarantine is the stage's decision. It either says of every document in
scope whether it passes, or raises: an unevaluated check is never a pass.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import date, datetime
from typing import Any

from sqlalchemy import Engine, Table, func, select

from include.domain.account import Chart
from include.domain.document import Disposition
from include.domain.requirements import Requirements
from include.quality.check import Check
from include.quality.claims import invoice_rows, same_codes
from include.quality.derived import (
    choice_checks,
    document_requirement_checks,
    line_requirement_checks,
    write_off_requirement_checks,
)
from include.quality.derived_rows import stage_derived
from include.quality.document_checks import document_checks
from include.quality.document_rows import (
    DocumentParts,
    document_rows,
    extract_problem_counts,
    line_sums,
    write_off_sums,
)
from include.quality.expectations import Evaluator
from include.quality.line_checks import INVOICE_CHECKS, LINE_CHECKS, WRITE_OFF_CHECKS
from include.quality.line_rows import LineParts, line_rows, repeated_lines, shared_lines, write_off_rows
from include.quality.report import CheckStatistics, GateFailure, GateReport
from include.quality.scope import DocumentScope
from include.quality.staging import Staging, staging
from include.quality.voucher_checks import JOURNAL_CHECKS, voucher_checks
from include.quality.voucher_rows import (
    JournalParts,
    VoucherScope,
    account_columns,
    account_rows,
    entry_columns,
    entry_rows,
    journal_rows,
    journal_sums,
    key_counts,
    voucher_rows,
)


def check_documents(
    engine: Engine,
    *,
    book: str,
    source: str,
    legal_entities: Collection[str],
    currency: str,
    source_start: date,
    now: datetime,
    date_from: date | None = None,
    date_to: date | None = None,
    dispositions: Collection[str] = (Disposition.PENDING, Disposition.QUARANTINED),
    requirements: Requirements | None = None,
) -> GateReport:
    """Check the current documents of a book by business date (both ends included, None for open).

    Documents whose business date is absent or absurd are always in scope. `legal_entities` are the codes or
    ids that belong to the book, `currency` is the book's. Without `requirements` nothing is asked that only
    follows from the book's rules.

    Raises:
        GateError: a check could not be evaluated; nothing may pass.
    """
    scope = DocumentScope(
        book=book,
        source=source,
        legal_entities=legal_entities,
        currency=currency,
        source_start=source_start,
        now=now,
        date_from=date_from,
        date_to=date_to,
        dispositions=dispositions,
    )
    dialect = engine.dialect.name
    with staging(engine) as work, closing(Evaluator(work.engine)) as evaluator:
        chosen = work.fill("gate_scope", scope.documents(), ["id"])
        key = ["document_pk"]
        parts = DocumentParts(
            chosen=chosen,
            lines=work.fill("gate_line_sum", line_sums(scope, chosen), key),
            write_offs=work.fill("gate_write_off_sum", write_off_sums(chosen), key),
            extract_problems=work.fill("gate_extract_problem", extract_problem_counts(chosen), key),
            same_code=work.fill("gate_same_code", same_codes(scope, chosen), key),
        )
        documents = work.fill("gate_document", document_rows(scope, parts, dialect), key)
        line_parts = LineParts(
            chosen=chosen,
            shared=work.fill("gate_shared_line", shared_lines(chosen), [*key, "line_no"]),
            repeated=work.fill("gate_repeated_line", repeated_lines(chosen), [*key, "line_id"]),
        )
        lines = work.fill("gate_line", line_rows(scope, line_parts, dialect), [*key, "line_no", "portion_no"])
        invoices = work.fill("gate_invoice", invoice_rows(scope, chosen), [*key, "invoice_id"])
        write_offs = work.fill("gate_write_off", write_off_rows(chosen), [*key, "seq"])
        required = requirements and stage_derived(work, requirements, currency, parts)
        work.seal()
        run = _Run(work, evaluator)
        run.check(documents, document_checks(currency))
        run.check(lines, LINE_CHECKS)
        run.check(invoices, INVOICE_CHECKS)
        run.check(write_offs, WRITE_OFF_CHECKS)
        if required and requirements:
            run.check(required.choice, choice_checks(requirements))
            run.check(required.events, document_requirement_checks(requirements))
            run.check(required.lines, line_requirement_checks(requirements))
            run.check(required.write_offs, write_off_requirement_checks(requirements))
        return run.report(documents)


def check_vouchers(
    engine: Engine,
    *,
    book: str,
    currency: str,
    chart: Chart | None = None,
    date_from: date | None = None,
    date_to: date | None = None,
    requirements: Requirements | None = None,
) -> GateReport:
    """Check the generated vouchers of a book by voucher date (both ends included, None for open).

    Without a chart, accounts and their dimensions are not checked; without `requirements`, lines are not held against
    the rules. `checked` counts vouchers.

    Raises:
        GateError: a check could not be evaluated; nothing may pass.
    """
    scope = VoucherScope(book=book, date_from=date_from, date_to=date_to)
    with staging(engine) as work, closing(Evaluator(work.engine)) as evaluator:
        chosen = work.fill("gate_scope", scope.vouchers(), ["id"])
        sums = work.fill("gate_journal_sum", journal_sums(chosen), ["voucher_id"])
        keys = work.fill("gate_voucher_key", key_counts(scope), ["id"])
        vouchers = work.fill(
            "gate_voucher", voucher_rows(chosen, sums, keys, engine.dialect.name), ["voucher_id"]
        )
        held = _journal_parts(work, chosen, chart, requirements)
        lines = work.fill("gate_journal", journal_rows(held), ["voucher_id", "line_no"])
        work.seal()
        run = _Run(work, evaluator)
        run.check(vouchers, voucher_checks(currency))
        run.check(lines, JOURNAL_CHECKS)
        return run.report(vouchers)


def _journal_parts(
    work: Staging, chosen: Table, chart: Chart | None, requirements: Requirements | None
) -> JournalParts:
    accounts = entries = None
    kinds: set[str] = set()
    if chart is not None:
        accounts = work.load("gate_account", account_columns(), account_rows(chart))
        kinds = {kind for account in chart.accounts.values() for kind in account.required_dimensions}
    if requirements is not None:
        entries = work.load("gate_entry", entry_columns(), entry_rows(requirements))
    digest = requirements.digest if requirements else ""
    return JournalParts(chosen, accounts, sorted(kinds), entries, digest)


class _Run:
    """Collects what the checks of several tables say."""

    def __init__(self, work: Staging, evaluator: Evaluator) -> None:
        self.work = work
        self.evaluator = evaluator
        self.failures: dict[GateFailure, None] = {}
        self.statistics: list[CheckStatistics] = []
        self.unreadable: set[int] = set()

    def check(self, table: Table, checks: Sequence[Check]) -> None:
        """Put checks to a staged table; an empty one needs none, and no Great Expectations."""
        count = self.work.count(table)
        failed = self.evaluator.failed_checks(table, count, checks) if count else []
        keys = [column.name for column in table.primary_key]
        rows = self._rows(table, keys, [key for each in failed for key in _keys(each.rows, keys)])
        for each in failed:
            for key in _keys(each.rows, keys):
                row = rows[key]
                if each.check.is_recorded:
                    self.unreadable.add(row["document_pk"])
                else:
                    self.failures[GateFailure(row["document_pk"], each.check.problem(row))] = None
        failed_rows = {each.check.code: len(each.rows) for each in failed}
        self.statistics += [CheckStatistics(c.code, count, failed_rows.get(c.code, 0)) for c in checks]

    def report(self, table: Table) -> GateReport:
        ordered = sorted(
            self.failures,
            key=lambda f: (f.document_pk, f.problem.line_no or 0, f.problem.code, f.problem.where),
        )
        last = self.work.connection.scalar(select(func.max(table.c.document_pk)))
        return GateReport(
            checked=self.work.count(table),
            failures=tuple(ordered),
            statistics=tuple(self.statistics),
            unreadable=tuple(sorted(self.unreadable)),
            last_document_pk=last or 0,
        )

    def _rows(
        self, table: Table, keys: Sequence[str], wanted: Sequence[tuple[Any, ...]]
    ) -> Mapping[tuple[Any, ...], Mapping[str, Any]]:
        """Whole rows by key, for the messages; they are read by the first key column, a number."""
        first = (key[0] for key in wanted)
        return {tuple(row[k] for k in keys): row for row in self.work.rows(table, keys[0], first)}


def _keys(rows: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    return (tuple(row[key] for key in keys) for row in rows)
