"""The Toy OA as a `DocumentSource`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from include.adapters.oa.directory import Directory
from include.adapters.oa.forms import FormContext, map_instance, mapped_records
from include.adapters.oa.times import to_ms
from include.adapters.oa.toy.client import ToyClient
from include.adapters.oa.toy.mapping import instance_of, moment
from include.domain.document import MappedDocument
from include.domain.errors import OutcomeUnknown, RetryLater
from include.ports import (
    MasterRecord,
    RawDocument,
    SourceCount,
    WriteBackEntry,
    WriteBackOutcome,
    WriteBackResult,
)
from include.settings import Source

MAX_PAGES = 100_000


class ToySource:
    """Reads claims and shows voucher numbers on them."""

    def __init__(self, source: Source, client: ToyClient, page_size: int) -> None:
        self.name = source.id
        self._source = source
        self._client = client
        self._page_size = page_size
        self._people: dict[str, MasterRecord] = {}

    def __repr__(self) -> str:
        return f"ToySource({self.name!r}, {self._client!r})"

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    def master_data(self) -> Iterator[MasterRecord]:
        """People, and what the mapping files define."""
        for person in self._client.get("/people")["items"]:
            record = MasterRecord("staff", str(person["id"]), str(person["id"]), str(person["name"]))
            self._people[record.id] = record
        yield from self._people.values()
        yield from mapped_records(self._source.mappings)

    def changes(self, since: datetime) -> Iterator[Sequence[RawDocument]]:
        """By key, so that nothing moves between pages: a claim that changes comes again at the end."""
        for form in self._forms():
            updated, after = to_ms(since) - 1, "\uffff"
            for _ in range(MAX_PAGES):
                page = self._client.get(
                    "/claims", kind=form, since=updated, after=after, limit=self._page_size
                )
                items = page["items"]
                if items:
                    yield [self._raw(item, form) for item in items]
                    updated, after = items[-1]["updated"], items[-1]["id"]
                if not page["more"]:
                    break
            else:
                raise RetryLater(f"{self.name}: {form} 的列表没有尽头 / the list of {form} never ends")

    def details(self, documents: Sequence[RawDocument]) -> Sequence[RawDocument]:
        """The claims as they are now; one that is gone comes back marked as deleted."""
        return [self._detail(document) for document in documents]

    def ids_created_until(self, form_type: str, until: datetime) -> Iterator[str]:
        """Deleted ones too."""
        yield from self._client.get("/ids", kind=form_type, until=to_ms(until))["ids"]

    def counts_created_until(self, until: datetime) -> Sequence[SourceCount]:
        """The OA counts by listing ids: it has no other count."""
        return [
            SourceCount(form, sum(1 for _ in self.ids_created_until(form, until))) for form in self._forms()
        ]

    def to_documents(self, documents: Sequence[RawDocument]) -> Sequence[MappedDocument]:
        """The canonical documents, by the mapping files."""
        if not self._people:
            list(self.master_data())
        directory = Directory([*self._people.values(), *mapped_records(self._source.mappings)])
        context = FormContext(self._source, ZoneInfo(self._source.timezone), directory)
        return [map_instance(instance_of(document.payload), context) for document in documents]

    def write_back(self, entries: Sequence[WriteBackEntry]) -> Sequence[WriteBackResult]:
        """One call a claim: a claim that is not approved is refused alone."""
        return [self._write(entry) for entry in entries]

    def check(self) -> str:
        """Log in and count the people."""
        people = len(self._client.get("/people")["items"])
        return f"Toy OA 已连接，{people} 人 / connected to the Toy OA, {people} people"

    def _forms(self) -> Sequence[str]:
        return list(dict.fromkeys(mapping.form for mapping in self._source.mappings))

    def _raw(self, item: Any, form_type: str) -> RawDocument:
        return RawDocument(str(item["id"]), form_type, moment(item.get("updated")), item)

    def _detail(self, document: RawDocument) -> RawDocument:
        found = self._client.get(f"/claims/{document.document_id}")
        if found is not None:
            return self._raw(found, document.form_type)
        gone = {
            "id": document.document_id,
            "kind": document.form_type,
            **document.payload,
            "state": "deleted",
        }
        return RawDocument(document.document_id, document.form_type, document.updated_at, gone)

    def _write(self, entry: WriteBackEntry) -> WriteBackResult:
        try:
            code = self._client.put(f"/claims/{entry.document_id}/voucher", {"no": entry.voucher_no})
        except OutcomeUnknown as error:
            return WriteBackResult(entry.document_id, WriteBackOutcome.UNKNOWN, str(error))
        if not code:
            return WriteBackResult(entry.document_id, WriteBackOutcome.WRITTEN)
        return WriteBackResult(
            entry.document_id,
            WriteBackOutcome.REFUSED,
            f"Toy OA 不收此号：{code} / it does not take the number",
        )
