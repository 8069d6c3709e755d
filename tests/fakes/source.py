"""A document source in memory that does what it is told, faults included. For tests of stages and of the contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from include.domain.document import DocumentStatus, MappedDocument, SourceDocument
from include.domain.errors import VoucherflowError
from include.domain.problems import Problem
from include.ports import (
    MasterRecord,
    RawDocument,
    SourceCount,
    WriteBackEntry,
    WriteBackOutcome,
    WriteBackResult,
)


@dataclass(slots=True)
class Kept:
    """A document in one of its versions."""

    document: SourceDocument
    problems: tuple[Problem, ...]
    version: int
    created_at: datetime
    updated_at: datetime


@dataclass(slots=True)
class FakeSource:
    """An OA whose documents are put in as canonical ones.

    Attributes:
        between_pages: called after each page of `changes`, to change documents under way.
        unmentioned: ids that `changes` and `details` keep to themselves though they are counted: a lossy source.
        refused: ids whose write-back is refused; `lost`: ids whose next write-back happens but is answered UNKNOWN.
    """

    name: str = "fake"
    form_types: tuple[str, ...] = ("expense", "loan")
    page_size: int = 3
    records: list[MasterRecord] = field(default_factory=list)
    between_pages: Callable[[], None] | None = None
    unmentioned: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    written: dict[str, WriteBackEntry] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    _kept: dict[str, Kept] = field(default_factory=dict)
    _versions: dict[tuple[str, int], Kept] = field(default_factory=dict)
    _failures: dict[str, list[VoucherflowError | None]] = field(default_factory=dict)

    # -- what tests do -------------------------------------------------------------------------------

    def put(
        self, document: SourceDocument, *, at: datetime | None = None, problems: Sequence[Problem] = ()
    ) -> None:
        """File a document, new or changed. `at` is the time of the change, by default its `updated_at`."""
        moment = at or document.updated_at
        assert moment is not None, "a document without updated_at needs `at`"
        before = self._kept.get(document.document_id)
        created = before.created_at if before else document.created_at or moment
        version = before.version + 1 if before else 1
        filed = replace(document, source=self.name, created_at=created, updated_at=moment)
        kept = Kept(filed, tuple(problems), version, created, moment)
        self._kept[document.document_id] = self._versions[document.document_id, version] = kept

    def change(self, document_id: str, at: datetime, **fields: object) -> None:
        """Change fields of a document."""
        kept = self._kept[document_id]
        self.put(replace(kept.document, **fields), at=at, problems=kept.problems)  # type: ignore[arg-type]

    def delete(self, document_id: str, at: datetime) -> None:
        self.change(document_id, at, status=DocumentStatus.DELETED)

    def document(self, document_id: str) -> SourceDocument:
        return self._kept[document_id].document

    def fail(self, operation: str, error: VoucherflowError, *, after: int = 0, times: int = 1) -> None:
        """Let calls of an operation (`changes` counts per page) fail: `times` of them, after `after` good ones."""
        self._failures.setdefault(operation, []).extend([None] * after + [error] * times)

    def _meet_fate(self, operation: str) -> None:
        self.calls.append(operation)
        waiting = self._failures.get(operation)
        error = waiting.pop(0) if waiting else None
        if error is not None:
            raise error

    # -- the port ------------------------------------------------------------------------------------

    def master_data(self) -> Iterator[MasterRecord]:
        self._meet_fate("master_data")
        yield from self.records

    def changes(self, since: datetime) -> Iterator[Sequence[RawDocument]]:
        for form_type in self.form_types:
            last = (since, "")
            while page := self._page(form_type, last):
                self._meet_fate("changes")
                last = (page[-1].updated_at, page[-1].document.document_id)
                yield [self._raw(kept) for kept in page]
                if self.between_pages is not None:
                    self.between_pages()

    def _page(self, form_type: str, after: tuple[datetime, str]) -> list[Kept]:
        waiting = [
            kept
            for document_id, kept in self._kept.items()
            if kept.document.form_type == form_type
            and document_id not in self.unmentioned
            and (kept.updated_at, document_id) > after
        ]
        waiting.sort(key=lambda kept: (kept.updated_at, kept.document.document_id))
        return waiting[: self.page_size]

    def details(self, documents: Sequence[RawDocument]) -> Sequence[RawDocument]:
        self._meet_fate("details")
        return [
            self._raw(self._kept[raw.document_id])
            if raw.document_id in self._kept and raw.document_id not in self.unmentioned
            else raw
            for raw in documents
        ]

    def ids_created_until(self, form_type: str, until: datetime) -> Iterator[str]:
        self._meet_fate("ids_created_until")
        return iter([kept.document.document_id for kept in self._created(form_type, until)])

    def counts_created_until(self, until: datetime) -> Sequence[SourceCount]:
        self._meet_fate("counts_created_until")
        return [SourceCount(name, len(self._created(name, until))) for name in self.form_types]

    def _created(self, form_type: str, until: datetime) -> list[Kept]:
        return [
            kept
            for kept in self._kept.values()
            if kept.document.form_type == form_type and kept.created_at <= until
        ]

    def to_documents(self, documents: Sequence[RawDocument]) -> Sequence[MappedDocument]:
        self._meet_fate("to_documents")
        found = [self._versions[raw.document_id, raw.payload["version"]] for raw in documents]
        return [MappedDocument(kept.document, kept.problems) for kept in found]

    def write_back(self, entries: Sequence[WriteBackEntry]) -> Sequence[WriteBackResult]:
        self._meet_fate("write_back")
        return [self._write(entry) for entry in entries]

    def _write(self, entry: WriteBackEntry) -> WriteBackResult:
        kept = self._kept.get(entry.document_id)
        if (
            kept is None
            or entry.document_id in self.refused
            or kept.document.status is DocumentStatus.DELETED
        ):
            message = "单据不接受凭证号 / the document takes no number"
            return WriteBackResult(entry.document_id, WriteBackOutcome.REFUSED, message)
        self.written[entry.document_id] = entry
        kept.document = replace(kept.document, voucher_no=entry.voucher_no)
        if entry.document_id in self.lost:
            self.lost.discard(entry.document_id)
            return WriteBackResult(entry.document_id, WriteBackOutcome.UNKNOWN, "应答丢失 / answer lost")
        return WriteBackResult(entry.document_id, WriteBackOutcome.WRITTEN)

    def check(self) -> str:
        self._meet_fate("check")
        return f"{len(self._kept)} 份单据 / documents"

    def _raw(self, kept: Kept) -> RawDocument:
        document = kept.document
        payload = {"id": document.document_id, "version": kept.version, "code": document.code}
        return RawDocument(document.document_id, document.form_type, kept.updated_at, payload)
