"""The state of a book, or of some days of it, as one row of figures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, func, select

from include.domain.document import Disposition
from include.domain.money import to_decimal
from include.domain.voucher import VoucherStatus
from include.ports import WriteBackOutcome
from include.stages.context import Scope, StageContext, StageResult
from include.stages.rules import is_current
from include.store import tables as t
from include.store.documents import in_scope, within
from include.store.engine import reading
from include.store.moved import day_by_policy
from include.store.standing import NOT_STANDING


@dataclass(frozen=True, slots=True)
class Summary(StageResult):
    """documents = not_due + pending + accepted + quarantined; accepted = no_voucher + documents with vouchers.

    `vouchers` are all that stand (not cancelled, refused or taken back by hand), `posted` those in the ledger,
    `debit_total` and `credit_total` the posted ones' totals in major units of `currency`. `complete` is the completeness proof
    of the book's source. `discrepancies` are the book's open ones. `rules` are version and digest of those in
    force; `rules_current` is false where the folder says something else: refused, or not generated with yet.
    """

    book: str
    currency: str
    documents: int
    not_due: int
    pending: int
    accepted: int
    quarantined: int
    no_voucher: int
    vouchers: int
    posted: int
    held: int
    rejected: int
    conflict: int
    in_doubt: int
    written_back: int
    write_back_refused: int
    discrepancies: int
    debit_total: str
    credit_total: str
    complete: bool
    rules: str
    rules_current: bool


def summarise(ctx: StageContext, scope: Scope | None = None) -> Summary:
    """Count what is stored; asks neither OA nor ledger."""
    scope = scope or Scope()
    d, v, w = t.source_document, t.voucher, t.write_back
    book = ctx.book.id
    with reading(ctx.store.engine) as connection:
        dispositions: dict[str, int] = _counts(
            connection.execute(
                select(d.c.disposition, func.count())
                .where(d.c.book == book, d.c.is_current, in_scope(scope))
                .group_by(d.c.disposition)
            ).all()
        )
        statuses = {
            row.status: row
            for row in connection.execute(
                select(
                    v.c.status,
                    func.count().label("number"),
                    func.sum(v.c.debit_minor).label("debit"),
                    func.sum(v.c.credit_minor).label("credit"),
                )
                .where(v.c.book == book, within(day_by_policy(v), scope))
                .group_by(v.c.status)
            )
        }
        outcomes: dict[str, int] = _counts(
            connection.execute(
                select(w.c.outcome, func.count())
                .join(d, and_(d.c.source == w.c.source, d.c.document_id == w.c.document_id, d.c.is_current))
                .where(w.c.book == book, d.c.book == book, w.c.voucher_no != "", in_scope(scope))
                .group_by(w.c.outcome)
            ).all()
        )
    posted = statuses.get(VoucherStatus.POSTED)
    count = {status: statuses[status].number if status in statuses else 0 for status in VoucherStatus}
    proofs = ctx.store.documents.latest_proofs(ctx.source_config.id)
    in_force = ctx.store.rule_sets.in_force(book)
    return Summary(
        book=book,
        currency=ctx.book.currency,
        documents=sum(dispositions.values()),
        not_due=dispositions.get(Disposition.NOT_DUE, 0) + dispositions.get(Disposition.SETTLED, 0),
        pending=dispositions.get(Disposition.PENDING, 0),
        accepted=dispositions.get(Disposition.ACCEPTED, 0) + dispositions.get(Disposition.NO_VOUCHER, 0),
        quarantined=dispositions.get(Disposition.QUARANTINED, 0),
        no_voucher=dispositions.get(Disposition.NO_VOUCHER, 0),
        vouchers=sum(number for status, number in count.items() if status not in NOT_STANDING),
        posted=count[VoucherStatus.POSTED],
        held=count[VoucherStatus.HELD],
        rejected=count[VoucherStatus.REJECTED],
        conflict=count[VoucherStatus.CONFLICT],
        in_doubt=count[VoucherStatus.SENDING] + count[VoucherStatus.UNKNOWN],
        written_back=outcomes.get(WriteBackOutcome.WRITTEN, 0),
        write_back_refused=outcomes.get(WriteBackOutcome.REFUSED, 0),
        discrepancies=ctx.store.reconciliations.open_discrepancies(book),
        debit_total=str(to_decimal(int(posted.debit), ctx.book.currency)) if posted else "0",
        credit_total=str(to_decimal(int(posted.credit), ctx.book.currency)) if posted else "0",
        complete=bool(proofs) and all(p["source_count"] == p["stored_count"] for p in proofs),
        rules=f"{in_force.version} {in_force.digest[:12]}" if in_force else "",
        rules_current=is_current(ctx),
    )


def _counts(rows: Iterable[Any]) -> dict[str, int]:
    """Rows of a name and a count."""
    return dict(rows)
