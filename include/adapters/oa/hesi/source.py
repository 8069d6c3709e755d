"""The Hesi tenant as a `DocumentSource`."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from include.adapters.oa.directory import Directory
from include.adapters.oa.hesi.client import DocumentGone, HesiClient
from include.adapters.oa.hesi.invoices import InvoiceReader, has_invoices
from include.adapters.oa.hesi.listing import LIST_PATH, ChangeWalk, fetch_page, raw_document
from include.adapters.oa.hesi.mapping import STATUSES, MappingContext, map_document
from include.adapters.oa.hesi.master import MasterReader
from include.adapters.oa.hesi.options import HesiOptions
from include.adapters.oa.hesi.times import query_text
from include.adapters.oa.hesi.write_back import VoucherWriter
from include.adapters.oa.reading import made_up_id
from include.domain.document import DocumentStatus, MappedDocument
from include.domain.errors import RetryLater
from include.ports import Clock, MasterRecord, RawDocument, SourceCount, WriteBackEntry, WriteBackResult
from include.settings import Source

log = logging.getLogger(__name__)

DETAIL_PATH = "/api/openapi/v1.1/flowDetails"


class HesiSource:
    """Reads one tenant's documents and shows voucher numbers on them. Safe for use by one thread at a time."""

    def __init__(
        self,
        source: Source,
        client: HesiClient,
        options: HesiOptions,
        clock: Clock,
    ) -> None:
        self.name = source.id
        self._source = source
        self._client = client
        self._options = options
        self._zone = ZoneInfo(source.timezone)
        self._clock = clock
        self._masters = MasterReader(client, options, source.fields)
        self._invoices = InvoiceReader(client, options, source.functional_currency, self._zone)
        self._directory: Directory | None = None
        self._payees_asked: set[str] = set()

    def __repr__(self) -> str:
        return f"HesiSource({self.name!r}, {self._client!r})"

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    # -- reading -------------------------------------------------------------------------------------

    def master_data(self) -> Iterator[MasterRecord]:
        """All lists of the tenant; later mappings use what was read here."""
        records = self._masters.all()
        self._directory = Directory(records)
        self._payees_asked = set()
        yield from records

    def changes(self, since: datetime) -> Iterator[Sequence[RawDocument]]:
        """Pages per form type, within one the oldest change first; see `listing` for how none is missed."""
        for form_type in self._source.form_types:
            yield from ChangeWalk(self._client, self._options, form_type).pages(since)

    def details(self, documents: Sequence[RawDocument]) -> Sequence[RawDocument]:
        """The documents with all fields; which of them are asked for is the option `details`.

        One that was deleted since the list was read comes back as the list had it, marked as deleted.
        """
        wanted = [index for index, document in enumerate(documents) if self._wants_detail(document)]
        result = list(documents)
        if not wanted:
            return result
        pool = ThreadPoolExecutor(max_workers=min(self._options.concurrency, len(wanted)))
        try:
            found = pool.map(lambda index: self._detail(documents[index]), wanted)
            for index, document in zip(wanted, found, strict=True):
                result[index] = document
        finally:
            pool.shutdown(cancel_futures=True)
        return result

    def counts_created_until(self, until: datetime) -> Sequence[SourceCount]:
        """The list's own count per form type, of documents created from the source's start to `until`.

        `until` is cut to whole seconds, as the OA takes no finer time.
        """
        return [
            SourceCount(form_type, fetch_page(self._client, LIST_PATH, query, 0, 1).total)
            for form_type in self._source.form_types
            for query in [self._created_until(form_type, until)]
        ]

    def ids_created_until(self, form_type: str, until: datetime) -> Iterator[str]:
        """Ids by time of creation, which edits do not change, so that plain paging is stable."""
        query, size = self._created_until(form_type, until), self._options.page_size
        start = 0
        for _ in range(self._options.max_pages):
            page = fetch_page(self._client, LIST_PATH, query, start, size)
            for item in page.items:
                raw = raw_document(item, form_type)
                yield raw.document_id or made_up_id(raw.payload)
            start += len(page.items)
            if len(page.items) < size or start >= page.total:
                return
        raise RetryLater(
            f"合思 {form_type} 列表超过 {self._options.max_pages} 页仍未结束，请增大 max_pages / the list of {form_type} does not "
            "end: raise max_pages"
        )

    def to_documents(self, documents: Sequence[RawDocument]) -> Sequence[MappedDocument]:
        """The canonical documents; reads master data if that was not read yet, and invoices."""
        context = MappingContext(
            source=self._source,
            options=self._options,
            zone=self._zone,
            directory=self._directory_for(documents),
            invoices=self._invoices.facts(
                [d.document_id for d in documents if d.document_id and has_invoices(d.payload)]
            )
            if self._options.invoice_totals
            else {},
        )
        return [map_document(document, context) for document in documents]

    # -- writing -------------------------------------------------------------------------------------

    def write_back(self, entries: Sequence[WriteBackEntry]) -> Sequence[WriteBackResult]:
        """Show voucher numbers; see `write_back` for what happens to lost answers and bad documents."""
        return VoucherWriter(
            self._client, self._voucher_numbers, self._options.write_batch, self._clock.sleep
        ).write(entries)

    def check(self) -> str:
        """Log in and count the documents of one form type."""
        form_type = self._source.form_types[0]
        page = fetch_page(self._client, LIST_PATH, {"type": form_type}, 0, 1)
        return f"合思已连接：{form_type} 共 {page.total} 张 / connected to Hesi: {page.total} documents of {form_type}"

    # -- parts ---------------------------------------------------------------------------------------

    def _wants_detail(self, document: RawDocument) -> bool:
        if not document.document_id:
            return False
        if not document.payload:
            return True  # asked for by id alone: the detail is all there is
        if self._options.details == "never":
            return False
        if document.payload.get("active") is False:
            return False
        state = document.payload.get("state")
        status = STATUSES.get(state, DocumentStatus.UNKNOWN) if isinstance(state, str) else None
        return self._options.details == "always" or status is None or status.is_due

    def _detail(self, document: RawDocument) -> RawDocument:
        try:
            answer = self._client.read(DETAIL_PATH, {"flowId": document.document_id}, _check_detail)
        except DocumentGone:
            known = {"id": document.document_id, "formType": document.form_type, "form": {}}
            deleted = {**(document.payload or known), "active": False}
            return RawDocument(document.document_id, document.form_type, document.updated_at, deleted)
        found = raw_document(answer["value"], document.form_type)
        if found.document_id != document.document_id:
            raise RetryLater(
                f"合思给出的单据详情是 {found.document_id!r}，请求的是 {document.document_id!r} / the detail is of another "
                "document than was asked for"
            )
        return found

    def _voucher_numbers(self, document_ids: Sequence[str]) -> Mapping[str, str | None]:
        numbers: dict[str, str | None] = {}
        for document_id in document_ids:
            try:
                answer = self._client.read(DETAIL_PATH, {"flowId": document_id}, _check_detail)
            except DocumentGone:
                continue
            form = answer["value"].get("form")
            number = form.get("voucherNo") if isinstance(form, Mapping) else None
            numbers[document_id] = number if isinstance(number, str) else None
        return numbers

    def _directory_for(self, documents: Sequence[RawDocument]) -> Directory:
        if self._directory is None:
            self._directory = Directory(self._masters.all())
        directory = self._directory
        asked = {
            payee
            for document in documents
            if isinstance(payee := _form(document).get("payeeId"), str)
            and payee
            and directory.record("payee", payee) is None
        }
        unknown = sorted(asked - self._payees_asked)
        if unknown:
            self._payees_asked |= set(unknown)
            self._directory = directory = directory.with_records(self._masters.stopped_payees(unknown))
        return directory

    def _created_until(self, form_type: str, until: datetime) -> dict[str, str]:
        start = datetime.combine(self._source.start, time.min, self._zone)
        return {
            "type": form_type,
            "orderBy": "createTime",
            "orderByType": "asc",
            "startDate": query_text(start),
            "endDate": query_text(until),
        }


def _form(document: RawDocument) -> Mapping[str, Any]:
    form = document.payload.get("form")
    return form if isinstance(form, Mapping) else {}


def _check_detail(value: Any) -> str | None:
    is_object = isinstance(value, Mapping) and isinstance(value.get("value"), Mapping)
    return None if is_object else "没有单据内容 value / no document in 'value'"
