"""The approvals of a DingTalk organisation as a `DocumentSource`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, time, timedelta
from typing import TypeVar
from zoneinfo import ZoneInfo

from include.adapters.oa.dingtalk.client import Client, Gone, Json
from include.adapters.oa.dingtalk.listing import Lists
from include.adapters.oa.dingtalk.mapping import (
    ATTACHED,
    ID,
    INSTANCE,
    IS_GONE,
    MODIFY,
    PROCESS,
    REVOKE,
    action_of,
    changed_at,
    has_ended,
    instance_of,
    is_approved,
    main_of,
    object_of,
    originator_of,
)
from include.adapters.oa.dingtalk.options import DingTalkOptions
from include.adapters.oa.dingtalk.write_back import CommentWriter
from include.adapters.oa.directory import Directory
from include.adapters.oa.forms import FormContext, FormInstance, absent_fields, map_instance, mapped_records
from include.adapters.oa.reading import usable_id
from include.domain.document import MappedDocument
from include.domain.errors import FixConfig, FixData, RetryLater
from include.ports import Clock, MasterRecord, RawDocument, SourceCount, WriteBackEntry, WriteBackResult
from include.settings import Source

DETAIL = "/v1.0/workflow/processInstances"
PAGE = 100
MAX_ATTACHED = 50
T = TypeVar("T")
S = TypeVar("S")
_MINUTE = timedelta(minutes=1)
"""How exact DingTalk's times are."""


class DingTalkSource:
    """Reads approval instances, and says voucher numbers as comments. Safe for use by one thread at a time.

    The list goes by time of creation and gives ids alone. So all instances created within `open_days` before the
    watermark are read again by every run: what took longer to be approved is not noticed. Instances that cancel
    (REVOKE) or change (MODIFY) another are filed as void documents, and take effect on the one that they name.
    """

    def __init__(self, source: Source, client: Client, options: DingTalkOptions, clock: Clock) -> None:
        self.name = source.id
        self._source = source
        self._client = client
        self._options = options
        self._clock = clock
        self._zone = ZoneInfo(source.timezone)
        self._start = datetime.combine(source.start, time(), self._zone).astimezone(UTC)
        self._lists = Lists(client, options, clock)
        self._process_of: dict[str, str] = {}
        self._attached: dict[str, dict[str, Json]] = {}
        self._ended: dict[str, datetime] = {}
        self._people: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"DingTalkSource({self.name!r}, {self._client!r})"

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    # -- reading -------------------------------------------------------------------------------------

    def master_data(self) -> Iterator[MasterRecord]:
        """What the mapping files define, and whoever has begun an instance since the source's start."""
        for form_type, process in self._processes():
            for ids in self._lists.slices(process, self._start, self._clock.now() + _MINUTE):
                self._process_of.update(dict.fromkeys(ids, process))
                self._standing(ids, form_type, process)
        yield from self._master()

    def _master(self) -> list[MasterRecord]:
        mapped = mapped_records(self._source.mappings)
        defined = {(record.kind, record.id) for record in mapped}
        people = [MasterRecord("staff", identity, "", name) for identity, name in self._people.items()]
        return [*mapped, *(record for record in people if (record.kind, record.id) not in defined)]

    def changes(self, since: datetime) -> Iterator[Sequence[RawDocument]]:
        """Pages per form, within one the oldest change first; their forms are left to `details`.

        The list says nothing of changes, so each instance is looked at first. What is kept of it is its time of change,
        so that a year of them does not fill the memory.
        """
        earliest = max(self._start, since - timedelta(days=self._options.open_days))
        forms: dict[str, list[str]] = {}
        for form_type, process in self._processes():
            forms.setdefault(form_type, []).append(process)
        for form_type, processes in forms.items():
            moments: dict[str, datetime | None] = {}
            for process in processes:
                for ids in self._lists.slices(process, earliest, self._clock.now() + _MINUTE):
                    self._process_of.update(dict.fromkeys(ids, process))
                    standing = self._standing(ids, form_type, process)
                    moments |= {
                        i: moment for i, moment in standing.items() if moment is None or moment >= since
                    }
            ordered = sorted(moments.items(), key=lambda item: (item[1] or since, item[0]))
            for at in range(0, len(ordered), PAGE):
                yield [
                    RawDocument(
                        identity, form_type, moment, {ID: identity, PROCESS: self._process_of[identity]}
                    )
                    for identity, moment in ordered[at : at + PAGE]
                ]

    def _standing(self, ids: Sequence[str], form_type: str, process: str) -> dict[str, datetime | None]:
        """When listed instances, and those that one of them cancels or changes, last changed.

        Lists come newest first: what cancels an instance was created after it, so it is known before. One that has
        ended is not read again by this process.
        """
        found = self._documents([(identity, form_type) for identity in ids if identity not in self._ended])
        read = {raw.document_id for raw in found}
        mains = {main for raw in found if (main := self._learn(raw.payload)) and main not in read}
        for main in mains:
            self._process_of.setdefault(main, process)
        found += self._documents([(main, form_type) for main in sorted(mains)])
        moments: dict[str, datetime | None] = {
            identity: self._ended[identity] for identity in ids if identity in self._ended
        }
        for raw in map(self._complete, found):
            moments[raw.document_id] = raw.updated_at
            if has_ended(object_of(raw.payload.get(INSTANCE))) and raw.updated_at is not None:
                self._ended[raw.document_id] = raw.updated_at
        return moments

    def details(self, documents: Sequence[RawDocument]) -> Sequence[RawDocument]:
        """The documents as they are now, with what cancels or changes them. One that is gone comes back as deleted."""
        read = self._documents([(raw.document_id, raw.form_type) for raw in documents])
        found = []
        for raw, now in zip(documents, read, strict=True):
            is_gone = bool(now.payload.get(IS_GONE))
            if is_gone and not raw.payload:
                found.append(raw)
            elif is_gone:
                found.append(
                    RawDocument(
                        raw.document_id, raw.form_type, raw.updated_at, {**raw.payload, IS_GONE: True}
                    )
                )
            else:
                found.append(self._complete(now))
        return found

    def ids_created_until(self, form_type: str, until: datetime) -> Iterator[str]:
        """Ids by time of creation. Documents show it to the minute, so the minute of `until` counts as a whole."""
        end = until.replace(second=0, microsecond=0) + _MINUTE
        for form, process in self._processes():
            if form == form_type:
                for ids in self._lists.slices(process, self._start, end):
                    self._process_of.update(dict.fromkeys(ids, process))
                    yield from ids

    def counts_created_until(self, until: datetime) -> Sequence[SourceCount]:
        """What DingTalk lists, counted; it has no counts of its own, and nothing of what was deleted."""
        forms = dict.fromkeys(form for form, _ in self._processes())
        return [SourceCount(form, sum(1 for _ in self.ids_created_until(form, until))) for form in forms]

    def to_documents(self, documents: Sequence[RawDocument]) -> Sequence[MappedDocument]:
        """The canonical documents, by the source's mapping files. Reads nothing."""
        forms = [self._form(raw.payload) for raw in documents]
        directory = Directory(self._master())
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
        """One form, for drafting its mapping. Its template is not part of DingTalk's answer where nothing is mapped yet.

        Raises:
            FixData: there is no such instance.
        """
        identity = usable_id(instance_id)
        detail = self._look(identity) if identity else None
        if detail is None:
            raise FixData(
                f"钉钉没有审批实例 {instance_id!r}：请核对 processInstanceId / DingTalk has no such instance: check its id"
            )
        return self._form({ID: identity, PROCESS: self._process_of.get(identity, ""), INSTANCE: detail})

    # -- writing -------------------------------------------------------------------------------------

    def write_back(self, entries: Sequence[WriteBackEntry]) -> Sequence[WriteBackResult]:
        """Say voucher numbers as comments, if the options want it."""
        return CommentWriter(self._client, self._look, self._source.mappings, self._options).write(entries)

    def check(self) -> str:
        """Log in and list what was begun during the last day, for each mapped template."""
        now = self._clock.now()
        processes = self._processes()
        count = 0
        for _, process in processes:
            count += sum(map(len, self._lists.slices(process, now - timedelta(days=1), now)))
        return (
            f"钉钉已连接：{len(processes)} 个模板，近一天发起 {count} 份 / connected to DingTalk: {len(processes)} templates, "
            f"{count} instances of the last day"
        )

    # -- parts ---------------------------------------------------------------------------------------

    def _processes(self) -> list[tuple[str, str]]:
        """(form type, processCode) of all mapped templates."""
        found = [
            (mapping.form, template) for mapping in self._source.mappings for template in mapping.templates
        ]
        if not found:
            raise FixConfig(
                f"{self._source.file}: 来源没有映射文件：请在 mappings/{self._source.id} 中添加，可用 ./voucherflow forms draft 起草 / the "
                f"source has no mapping file: add one to mappings/{self._source.id}"
            )
        return found

    def _documents(self, wanted: Sequence[tuple[str, str]]) -> list[RawDocument]:
        """Each as it is now, without what is attached; marked where it is gone."""
        return self._side_by_side(lambda item: self._document(*item), wanted)

    def _document(self, identity: str, form_type: str) -> RawDocument:
        detail = self._look(identity) if usable_id(identity) else None
        process = self._process_of.get(identity) or next(
            (code for form, code in self._processes() if form == form_type), ""
        )
        payload: Json = {ID: identity, PROCESS: process}
        payload |= {IS_GONE: True} if detail is None else {INSTANCE: detail}
        who, name = originator_of(detail or {})
        if who:
            self._people[who] = name
        return RawDocument(identity, form_type, changed_at(payload, self._zone), payload)

    def _learn(self, payload: object) -> str:
        """Remember an approved instance that cancels or changes another; gives that one's id, else ""."""
        found = object_of(payload)
        detail = object_of(found.get(INSTANCE))
        main = main_of(detail, self._options.main_key)
        if action_of(detail) not in {REVOKE, MODIFY} or not main or not is_approved(detail):
            return ""
        self._attached.setdefault(main, {})[str(found.get(ID))] = detail
        return main

    def _complete(self, raw: RawDocument) -> RawDocument:
        """With what cancels or changes it: known from the list, or named by the instance itself."""
        detail = object_of(raw.payload.get(INSTANCE))
        named = detail.get(self._options.attached_key)
        known = self._attached.get(raw.document_id, {})
        if isinstance(named, list) and action_of(detail) == "":
            for identity in [one for one in named[:MAX_ATTACHED] if usable_id(one) and one not in known]:
                other = self._look(identity)
                if other is not None:
                    # The original names it: what it says of its main instance adds nothing.
                    self._learn({ID: identity, INSTANCE: {**other, self._options.main_key: raw.document_id}})
            known = self._attached.get(raw.document_id, {})
        if not known:
            return raw
        attached = [{ID: identity, INSTANCE: known[identity]} for identity in sorted(known)]
        payload = {**raw.payload, ATTACHED: attached}
        return RawDocument(raw.document_id, raw.form_type, changed_at(payload, self._zone), payload)

    def _look(self, identity: str) -> Json | None:
        """An instance as it is now; None where there is none."""
        try:
            answer = self._client.read("GET", DETAIL, params={ID: identity})
        except Gone:
            return None
        result = answer.get("result")
        if isinstance(result, dict) and isinstance(result.get("status"), str):
            return result
        raise RetryLater(f"钉钉 {DETAIL} 的应答没有审批实例 / the answer holds no instance, try again later")

    def _form(self, payload: object) -> FormInstance:
        return instance_of(object_of(payload), self._zone, self._options.main_key)

    def _side_by_side(self, work: Callable[[S], T], items: Iterable[S]) -> list[T]:
        pool = ThreadPoolExecutor(max_workers=self._options.concurrency)
        try:
            return list(pool.map(work, items))
        finally:
            pool.shutdown(cancel_futures=True)
