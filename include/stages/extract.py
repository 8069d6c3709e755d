"""Extract: everything that changed in the OA since the watermark, then the proof that nothing is missing.

A source may feed several books, each with runs of its own. Every run reads the whole source and files what it finds
for all of them, so it does not matter which comes first.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from include.domain.problems import Stage
from include.ports import RawDocument
from include.stages.context import Owners, StageContext, StageResult, business_date
from include.store.filing import Filed, Saved

log = logging.getLogger(__name__)

NAMED = 100
"""How many missing ids a proof names."""


@dataclass(frozen=True, slots=True)
class ExtractResult(StageResult):
    """`read` counts what the source listed, `complete` is whether its own counts agree with the store."""

    read: int
    new: int
    changed: int
    unchanged: int
    revised: int
    master_records: int
    complete: bool
    missing: int


def extract(ctx: StageContext, *, refetch_from: date | None = None) -> ExtractResult:
    """Bring the store up to the source.

    Reads from the watermark less the overlap, or from `refetch_from` (a day in the source's zone) if that is
    given. The watermark moves only after every page is stored, so a run that breaks off loses nothing.

    Raises:
        RetryLater, FixConfig: the source cannot be read.
    """
    source = ctx.source_config
    started = ctx.clock.now()
    master_records = ctx.store.documents.replace_master(source.id, ctx.source.master_data())
    _read_again(ctx, started)
    since = _since(ctx, refetch_from)
    log.info("读取 %s 自 %s 起的变更 / reading changes of %s since %s", source.id, since, source.id, since)
    read, saved, latest = 0, Saved(), since
    for page in ctx.source.changes(since):
        read += len(page)
        saved += _store_page(ctx, page, started, refetch=refetch_from is not None)
        latest = max([latest, *(raw.updated_at for raw in page if raw.updated_at)])
        ctx.progress(Stage.EXTRACT, read, None)
    ctx.store.documents.advance_watermark(source.id, min(latest, started))
    missing, healed = _prove(ctx, started.replace(microsecond=0))  # sources count in whole seconds
    saved += healed
    return ExtractResult(
        read=read,
        new=saved.new,
        changed=saved.changed,
        unchanged=saved.unchanged,
        revised=saved.revised,
        master_records=master_records,
        complete=missing == 0,
        missing=missing,
    )


def _since(ctx: StageContext, refetch_from: date | None) -> datetime:
    source = ctx.source_config
    start = _midnight(source.start, source.timezone)
    if refetch_from is not None:
        return max(start, _midnight(refetch_from, source.timezone))
    watermark = ctx.store.documents.watermark(source.id)
    return start if watermark is None else max(start, watermark - timedelta(seconds=source.overlap_s))


def _midnight(day: date, zone: str) -> datetime:
    return datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC)


def _store_page(
    ctx: StageContext, page: Sequence[RawDocument], now: datetime, *, refetch: bool = False
) -> Saved:
    known = ctx.store.documents.known(
        ctx.source_config.id, [raw.document_id for raw in page if raw.document_id]
    )
    fresh = [
        raw
        for raw in page
        if refetch or raw.updated_at is None or known.get(raw.document_id) != raw.updated_at
    ]
    if not fresh:
        return Saved(unchanged=len(page))
    return _save(ctx, ctx.source.details(fresh), now) + Saved(unchanged=len(page) - len(fresh))


def _save(ctx: StageContext, documents: Sequence[RawDocument], now: datetime) -> Saved:
    source = ctx.source_config
    owners = Owners.of(ctx.settings, source)
    filed = []
    for raw, mapped in zip(documents, ctx.source.to_documents(documents), strict=True):
        books = owners.books_of(mapped.document)
        dates = {book.id: business_date(book, source, mapped.document, now) for book in books}
        by_run = frozenset(book.id for book in books if book.voucher_date == "run")
        filed.append(Filed(raw, mapped, books[0].id, dates, by_run))
    return ctx.store.documents.save(source.id, filed, now)


def _read_again(ctx: StageContext, now: datetime) -> None:
    """Read pending and quarantined documents once more from their stored payloads: configuration or master
    data may have been repaired since.
    """
    for page in ctx.store.documents.unsettled_payloads(ctx.source_config.id):
        _save(ctx, page, now)


def _prove(ctx: StageContext, until: datetime) -> tuple[int, Saved]:
    """Compare the source's own counts with the store, fetch what is missing, and keep the proof.

    Counts are by time of creation, which never changes, so that documents edited meanwhile do not disturb it.
    Returns how many documents are still missing, and what fetching saved.
    """
    source = ctx.source_config.id
    since = _midnight(ctx.source_config.start, ctx.source_config.timezone)
    healed = Saved()
    proofs: list[dict[str, Any]] = []
    still_missing = 0
    for count in ctx.source.counts_created_until(until):
        stored = ctx.store.documents.count_created(source, count.form_type, since, until)
        difference: dict[str, Sequence[str]] = {}
        if stored != count.documents:
            log.warning(
                "%s %s: 源系统 %d 份，本地 %d 份，正在逐一核对 / the source counts %d, the store %d: comparing ids",
                source,
                count.form_type,
                count.documents,
                stored,
                count.documents,
                stored,
            )
            healed += _fetch_missing(ctx, count.form_type, since, until)
            here = ctx.store.documents.ids_created(source, count.form_type, since, until)
            there = set(ctx.source.ids_created_until(count.form_type, until))
            stored = len(here)
            difference = {"missing": sorted(there - here)[:NAMED], "unknown": sorted(here - there)[:NAMED]}
            still_missing += len(there ^ here)
        proofs.append(
            {
                "form_type": count.form_type,
                "until": until,
                "source_count": count.documents,
                "stored_count": stored,
                "difference": json.dumps(difference, ensure_ascii=False),
            }
        )
    ctx.store.documents.record_proof(source, proofs, ctx.clock.now())
    return still_missing, healed


def _fetch_missing(ctx: StageContext, form_type: str, since: datetime, until: datetime) -> Saved:
    here = ctx.store.documents.ids_created(ctx.source_config.id, form_type, since, until)
    missing = (i for i in ctx.source.ids_created_until(form_type, until) if i not in here)
    saved = Saved()
    while part := list(islice(missing, 100)):
        found = ctx.source.details([RawDocument(i, form_type, None, {}) for i in part])
        saved += _save(ctx, [raw for raw in found if raw.payload], ctx.clock.now())
    return saved
