"""An e-cology installation as a `DocumentSource`, over either of its interfaces."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from zoneinfo import ZoneInfo

from include.adapters.oa.directory import Directory
from include.adapters.oa.forms import FormContext, FormInstance, absent_fields, map_instance, mapped_records
from include.adapters.oa.reading import made_up_id
from include.adapters.oa.weaver.interface import Interface, Json, Search, usable_request_id
from include.adapters.oa.weaver.listing import Lists
from include.adapters.oa.weaver.mapping import DELETED, NODE_TYPE, instance_of
from include.adapters.oa.weaver.options import WeaverOptions
from include.adapters.oa.weaver.people import People
from include.adapters.oa.weaver.write_back import VoucherWriter
from include.domain.document import MappedDocument
from include.domain.errors import FixConfig, FixData, RetryLater
from include.ports import Clock, MasterRecord, RawDocument, SourceCount, WriteBackEntry, WriteBackResult
from include.settings import Source

log = logging.getLogger(__name__)

LOGS_SHOWN = 10
"""So much of its history a request carries; where there may be more, it is asked for."""
MAX_LOOKS = 5


class WeaverSource:
    """Reads the requests in which the interface's user takes part, and shows voucher numbers on them. Safe for use by
    one thread at a time.

    What it cannot know: requests that have not reached that user yet (no approved one, if he acts at the last approval
    or is copied in), and which of those that are gone were deleted: e-cology lists none, so a deleted one is noticed
    when it is asked for, or when the proof of completeness finds it in the store alone. There is no master data in these
    interfaces: people are those who have created or handled requests, everything else is what the mapping files define.
    """

    def __init__(self, source: Source, interface: Interface, options: WeaverOptions, clock: Clock) -> None:
        self.name = source.id
        self._source = source
        self._interface = interface
        self._options = options
        self._zone = ZoneInfo(source.timezone)
        self._clock = clock
        self._lists = Lists(interface, options, self._zone)
        self._people = People(source.mappings)
        self._node_types: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"WeaverSource({self.name!r}, {self._interface!r})"

    def close(self) -> None:
        """Give the connections back."""
        self._interface.close()

    # -- reading -------------------------------------------------------------------------------------

    def master_data(self) -> Iterator[MasterRecord]:
        """What the mapping files define, and everybody who is in a list since the source's start."""
        now = self._clock.now()
        for search in self._searches().values():
            for item in self._lists.created(search, self._source.start, now):
                self._people.learn(item)
        mapped = mapped_records(self._source.mappings)
        defined = {(record.kind, record.id) for record in mapped}
        yield from mapped
        yield from (record for record in self._people.records() if (record.kind, record.id) not in defined)

    def changes(self, since: datetime) -> Iterator[Sequence[RawDocument]]:
        """Pages per form, within one the oldest change first; see `listing` for how none is missed."""
        today = self._clock.now().astimezone(self._zone).date()
        for form_type, search in self._searches().items():
            for page in self._lists.changed(search, since, today):
                yield [self._raw(item, form_type) for item in page]

    def details(self, documents: Sequence[RawDocument]) -> Sequence[RawDocument]:
        """The documents with their forms and whole histories. One that is gone comes back marked as deleted."""
        if not documents:
            return []
        pool = ThreadPoolExecutor(max_workers=min(self._options.concurrency, len(documents)))
        try:
            return list(pool.map(self._detail, documents))
        finally:
            pool.shutdown(cancel_futures=True)

    def ids_created_until(self, form_type: str, until: datetime) -> Iterator[str]:
        """Ids by day of creation, which nothing changes."""
        search = self._searches().get(form_type)
        for item in self._lists.created(search, self._source.start, until) if search else ():
            yield usable_request_id(item.get("requestId")) or made_up_id(item)

    def counts_created_until(self, until: datetime) -> Sequence[SourceCount]:
        """The OA's own counts of what it shows; requests that were deleted are in none."""
        return [
            SourceCount(form_type, self._lists.count_created(search, self._source.start, until))
            for form_type, search in self._searches().items()
        ]

    def to_documents(self, documents: Sequence[RawDocument]) -> Sequence[MappedDocument]:
        """The canonical documents, by the source's mapping files. Reads nothing."""
        forms = [self._form(document.payload) for document in documents]
        directory = Directory([*mapped_records(self._source.mappings), *self._people.records()])
        absent = {
            template: absent_fields([form for form in forms if form.template in mapping.templates], mapping)
            for mapping in self._source.mappings
            for template in mapping.templates
        }
        return [
            map_instance(
                form,
                FormContext(
                    self._source, self._zone, directory, absent=absent.get(form.template, frozenset())
                ),
            )
            for form in forms
        ]

    def form_instance(self, instance_id: str) -> FormInstance:
        """One form, for drafting its mapping.

        Raises:
            FixData: there is no such request.
        """
        request_id = usable_request_id(instance_id)
        request = self._look(request_id) if request_id else None
        if request is None:
            raise FixData(
                f"泛微没有流程 {instance_id!r}：请核对 requestid，并让接口用户参与该流程 / e-cology has no such request: check its id, "
                "and let the interface's user take part in it"
            )
        return self._form(request)

    # -- writing -------------------------------------------------------------------------------------

    def write_back(self, entries: Sequence[WriteBackEntry]) -> Sequence[WriteBackResult]:
        """Show voucher numbers by the way that the options name."""
        writer = VoucherWriter(
            self._interface, self._look, self._source.mappings, self._options, self._zone, self._clock
        )
        return writer.write(entries)

    def check(self) -> str:
        """Log in and count what the user sees."""
        everything = self._interface.count(None)
        searches = self._searches()
        ours = sum(self._interface.count(search) for search in searches.values())
        if not ours:
            raise FixConfig(
                f"泛微已连接，但接口用户看不到任何已映射流程的单据（共可见 {everything} 份）：请让其参与这些流程，或核对映射文件的 templates / connected, but "
                f"the user sees no request of the mapped workflows ({everything} in all): let it take part in them, or "
                "check templates in the mapping files"
            )
        return f"泛微已连接（{self._interface.name}）：{'、'.join(searches)} 共 {ours} 份 / connected to e-cology: {ours} requests"

    # -- parts ---------------------------------------------------------------------------------------

    def _searches(self) -> dict[str, Search]:
        """Form type → the search for its workflows."""
        found: dict[str, list[str]] = {}
        for mapping in self._source.mappings:
            found.setdefault(mapping.form, []).extend(mapping.templates)
        if not found:
            raise FixConfig(
                f"{self._source.file}: 来源没有映射文件：请在 mappings/{self._source.id} 中添加，可用 ./voucherflow forms draft 起草 / the "
                f"source has no mapping file: add one to mappings/{self._source.id}"
            )
        return {form: Search(tuple(workflows)) for form, workflows in found.items()}

    def _raw(self, item: Json, form_type: str) -> RawDocument:
        self._people.learn(item)
        return RawDocument(
            usable_request_id(item.get("requestId")), form_type, self._lists.changed_at(item), item
        )

    def _detail(self, document: RawDocument) -> RawDocument:
        request_id = usable_request_id(document.document_id)
        if not request_id:
            return document
        found = self._look(request_id)
        if found is not None:
            return self._raw(found, document.form_type)
        search = self._searches().get(document.form_type)
        workflow = {"workflowId": search.workflows[0] if search else ""}
        known = document.payload or {"requestId": request_id, "workflowBaseInfo": workflow}
        return RawDocument(request_id, document.form_type, document.updated_at, {**known, DELETED: True})

    def _look(self, request_id: str) -> Json | None:
        """A request as it is now, with its whole history and the type of its node; None where it is gone.

        Raises:
            RetryLater: it moved on each time.
        """
        for _ in range(MAX_LOOKS):
            found = self._interface.request(request_id)
            if found is None:
                return None
            if usable_request_id(found.get("requestId")) != request_id:
                raise RetryLater(
                    f"泛微给出的流程是 {found.get('requestId')!r}，请求的是 {request_id!r} / the answer is of another request"
                )
            node = str(found.get("currentNodeId") or "")
            kind = self._node_types.get(node) or self._interface.node_type(found)
            if kind is None:
                continue
            self._node_types[node] = kind
            logs = found.get("workflowRequestLogs")
            if not isinstance(logs, list) or not 0 < len(logs) < LOGS_SHOWN:
                logs = self._interface.logs(found)
            return {**found, NODE_TYPE: kind, "workflowRequestLogs": logs}
        raise RetryLater(
            f"泛微流程 {request_id} 在读取时不断流转，稍后重试 / the request keeps moving, later"
        )

    def _form(self, payload: object) -> FormInstance:
        form = instance_of(
            payload if isinstance(payload, dict) else {}, self._zone, self._options.approved_nodes
        )
        self._people.learn_form(form)
        return form
