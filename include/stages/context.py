"""What every stage works with, and the results they give back."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from include.adapters.registry import build_ledger, build_source
from include.connections import Resolver
from include.domain.document import Reference, SourceDocument
from include.domain.problems import Stage
from include.ports import Clock, DocumentSource, LedgerGateway, SystemClock
from include.settings import Book, Settings, Source
from include.store.documents import Scope
from include.store.store import Store

__all__ = ["Progress", "Scope", "StageContext", "StageResult", "open_context"]

log = logging.getLogger("voucherflow")


class Progress(Protocol):
    """Told how far a stage is; `total` None where nobody knows."""

    def __call__(self, stage: Stage, done: int, total: int | None) -> None: ...


def silent(stage: Stage, done: int, total: int | None) -> None:
    """Progress for nobody."""


@dataclass(frozen=True)
class StageContext:
    """One book and all that its stages need. Source and ledger are reached when a stage first asks for them."""

    settings: Settings
    book: Book
    store: Store
    connect_source: Callable[[], DocumentSource]
    connect_ledger: Callable[[], LedgerGateway]
    clock: Clock
    actor: str
    progress: Progress = silent

    @cached_property
    def source(self) -> DocumentSource:
        return self.connect_source()

    @cached_property
    def ledger(self) -> LedgerGateway:
        return self.connect_ledger()

    @property
    def source_config(self) -> Source:
        return self.settings.source_of(self.book)


def open_context(
    settings: Settings,
    book_id: str,
    store: Store,
    resolve: Resolver,
    *,
    clock: Clock | None = None,
    actor: str,
    progress: Progress = silent,
) -> StageContext:
    """The context of a configured book, its connections looked up by `resolve` when they are needed."""
    book = settings.book(book_id)
    source = settings.source_of(book)
    used_clock = clock or SystemClock()
    return StageContext(
        settings=settings,
        book=book,
        store=store,
        connect_source=lambda: build_source(source, resolve(source.connection), used_clock),
        connect_ledger=lambda: build_ledger(book, resolve(book.ledger.connection)),
        clock=used_clock,
        actor=actor,
        progress=progress,
    )


@dataclass(frozen=True, slots=True)
class StageResult:
    """Base of the stages' results: counts and money only."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON and XCom."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Owners:
    """The books of a source, by the codes or ids of the legal entities that are theirs."""

    by_entity: Mapping[str, Book]
    receiving: Book

    @classmethod
    def of(cls, settings: Settings, source: Source) -> Owners:
        books = settings.books_of(source.id)
        return cls(
            {entity: book for book in books for entity in book.legal_entities},
            next(book for book in books if book.receives_unassigned),
        )

    def book_of(self, entity: Reference | None) -> Book | None:
        """The book of a legal entity, None where it is none's."""
        if entity is None:
            return None
        return self.by_entity.get(entity.id) or self.by_entity.get(entity.code)

    def books_of(self, document: SourceDocument) -> tuple[Book, ...]:
        """The books that have a part in a document, its home first.

        Home is the book of the document's own legal entity, or the one that receives what fits none (where the gate
        stops it); the others are those of its lines' legal entities.
        """
        home = self.book_of(document.legal_entity) or self.receiving
        sharing = (self.book_of(line.legal_entity) for line in document.lines)
        by_id = {book.id: book for book in (home, *sharing) if book is not None}
        return tuple(by_id.values())


def business_date(book: Book, source: Source, document: SourceDocument, now: datetime) -> date | None:
    """The voucher date of a document by its book's policy; for one that is not due, the day it was submitted.

    `paid` falls back to the approval for documents that nobody had to pay; `run` is `now`, and filing keeps the first.
    None where the time is missing or implausible (two years before the source's start, or more than a year ahead): the
    gate says so.
    """
    if not document.status.is_due:
        moment = document.submitted_at or document.created_at
    else:
        moment = {
            "approved": document.approved_at,
            "paid": document.paid_at or document.approved_at,
            "submitted": document.submitted_at,
            "run": now,
        }[book.voucher_date]
    if moment is None or not _plausible(moment, source, now):
        return None
    return moment.astimezone(ZoneInfo(book.timezone)).date()


def _plausible(moment: datetime, source: Source, now: datetime) -> bool:
    earliest = datetime(source.start.year - 2, source.start.month, 1, tzinfo=UTC)
    return earliest <= moment <= now + timedelta(days=366)
