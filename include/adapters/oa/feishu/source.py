"""A Feishu tenant's approvals as a `DocumentSource`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, time
from itertools import islice
from urllib.parse import quote
from zoneinfo import ZoneInfo

from include.adapters.oa.directory import Directory
from include.adapters.oa.feishu.client import FeishuClient, Json
from include.adapters.oa.feishu.listing import AHEAD, Lists
from include.adapters.oa.feishu.mapping import (
    DELETED,
    REVERTED,
    changed_at,
    code_of,
    instance_of,
    options_of,
    person_of,
    read_form,
)
from include.adapters.oa.feishu.options import FeishuOptions
from include.adapters.oa.feishu.write_back import CommentWriter
from include.adapters.oa.forms import FormContext, FormInstance, absent_fields, map_instance, mapped_records
from include.adapters.oa.forms.master import KINDS
from include.adapters.oa.reading import usable_id
from include.domain.document import MappedDocument
from include.domain.errors import FixConfig, FixData, RetryLater
from include.form_mappings import FormMapping, ReferenceField
from include.ports import Clock, MasterRecord, RawDocument, SourceCount, WriteBackEntry, WriteBackResult
from include.settings import Source

_HEAVY = ("form", "timeline", "task_list", "comment_list")
_PART = 500


class FeishuSource:
    """Reads the instances of the mapped approvals, and comments voucher numbers on them. Safe for one thread at a time.

    Feishu lists ids by time of creation alone and tells no time of change, so a run reads the detail of every instance
    that was created since the source's start. What it cannot know: a revocation after the approval (REVERTED) comes as
    an event, and this product receives none; see the option `reverted`. There is no list of people or departments among
    approvals: people are those who have submitted one, everything else is what mapping files and definitions say.
    """

    def __init__(self, source: Source, client: FeishuClient, options: FeishuOptions, clock: Clock) -> None:
        self.name = source.id
        self._source = source
        self._client = client
        self._options = options
        self._clock = clock
        self._zone = ZoneInfo(source.timezone)
        start = datetime.combine(source.start, time(), self._zone).astimezone(UTC)
        self._lists = Lists(client, options, clock, start)
        self._people: set[str] = set()
        self._read: dict[str, list[RawDocument]] = {}
        """Form type → what `master_data` has read, for the `changes` that follow it."""

    def __repr__(self) -> str:
        return f"FeishuSource({self.name!r}, {self._client!r})"

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    # -- reading -------------------------------------------------------------------------------------

    def master_data(self) -> Iterator[MasterRecord]:
        """What the mapping files and the definitions' selections say, and everybody who has submitted an instance."""
        self._read = {form_type: self._heads(codes) for form_type, codes in self._codes().items()}
        records = [*mapped_records(self._source.mappings)]
        records += [record for mapping in self._source.mappings for record in self._selections(mapping)]
        records += [MasterRecord("staff", identity, "", identity) for identity in sorted(self._people)]
        seen: set[tuple[str, str]] = set()
        for record in records:
            if (record.kind, record.id) not in seen:
                seen.add((record.kind, record.id))
                yield record

    def changes(self, since: datetime) -> Iterator[Sequence[RawDocument]]:
        """Pages per form, within one the oldest change first, those without a time last."""
        since = since.replace(microsecond=0)
        for form_type, codes in self._codes().items():
            heads = self._read.pop(form_type, None) or self._heads(codes)
            timed = [
                (head.updated_at, head) for head in heads if head.updated_at and head.updated_at >= since
            ]
            timed.sort(key=lambda pair: (pair[0], pair[1].document_id))
            found = [head for _, head in timed] + [head for head in heads if head.updated_at is None]
            for index in range(0, len(found), self._options.page_size):
                yield found[index : index + self._options.page_size]

    def details(self, documents: Sequence[RawDocument]) -> Sequence[RawDocument]:
        """The documents as they are now. One that is gone comes back marked as deleted, or without a payload."""
        return self._parallel(documents)

    def ids_created_until(self, form_type: str, until: datetime) -> Iterator[str]:
        """Ids by time of creation, which nothing changes."""
        for code in self._codes().get(form_type, ()):
            yield from self._lists.created(code, until)

    def counts_created_until(self, until: datetime) -> Sequence[SourceCount]:
        """Counted from the lists: Feishu has no count of its own."""
        return [
            SourceCount(form_type, sum(1 for _ in self.ids_created_until(form_type, until)))
            for form_type in self._codes()
        ]

    def to_documents(self, documents: Sequence[RawDocument]) -> Sequence[MappedDocument]:
        """The canonical documents, by the source's mapping files. Reads nothing."""
        forms = [self._form(document) for document in documents]
        directory = Directory(mapped_records(self._source.mappings))
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
        """One form, for drafting its mapping, with the options of its selections.

        Raises:
            FixData: there is no such instance.
        """
        payload = self._look(instance_id) if usable_id(instance_id) else None
        if payload is None:
            raise FixData(
                f"飞书没有审批实例 {instance_id!r}：请核对 instance_code / Feishu has no such instance: check its instance_code"
            )
        form = instance_of(payload, self._options)
        choices = self._choices(form.template)
        fields = {
            name: replace(value, options={**choices.get(name, {}), **value.options})
            for name, value in form.fields.items()
        }
        return replace(form, fields=fields)

    # -- writing -------------------------------------------------------------------------------------

    def write_back(self, entries: Sequence[WriteBackEntry]) -> Sequence[WriteBackResult]:
        """Comment voucher numbers."""

        def look(instance_code: str) -> Json | None:
            return self._look(instance_code) if usable_id(instance_code) else None

        return CommentWriter(self._client, look, self._source.mappings, self._options).write(entries)

    def check(self) -> str:
        """Log in and read the definition of every mapped approval."""
        codes = [code for found in self._codes().values() for code in found]
        missing = [code for code in codes if self._definition(code) is None]
        if missing:
            raise FixConfig(
                f"飞书没有审批 {'、'.join(missing)}：请核对映射文件的 templates（approval_code）/ no such approval: check templates in the "
                "mapping files"
            )
        warning = ""
        if self._options.reverted == "detail":
            warning = (
                "；通过后撤销（REVERTED）只有在详情给出 reverted 时才能发现，见 docs/connectors.md / revocations after approval show "
                "only if details say so"
            )
        return f"飞书已连接，{len(codes)} 个审批可读 / connected to Feishu: {len(codes)} approvals can be read{warning}"

    # -- parts ---------------------------------------------------------------------------------------

    def _codes(self) -> dict[str, list[str]]:
        """Form type → its approval codes."""
        found: dict[str, list[str]] = {}
        for mapping in self._source.mappings:
            found.setdefault(mapping.form, []).extend(mapping.templates)
        if not found:
            raise FixConfig(
                f"{self._source.file}: 来源没有映射文件：请在 mappings/{self._source.id} 中添加，可用 ./voucherflow forms draft 起草 / the "
                f"source has no mapping file: add one to mappings/{self._source.id}"
            )
        return found

    def _heads(self, codes: Sequence[str]) -> list[RawDocument]:
        """Every instance of some approvals created since the start, as it is now, without its form."""
        heads: list[RawDocument] = []
        form_of = {code: form for form, found in self._codes().items() for code in found}
        for code in codes:
            reverted = set(self._lists.reverted(code)) if self._options.reverted == "query" else set()
            ids = self._lists.created(code, self._clock.now() + AHEAD)
            while part := list(islice(ids, _PART)):
                # An id without an instance behind it is kept, so that nothing that is listed gets lost.
                known = [
                    RawDocument(
                        i,
                        form_of[code],
                        None,
                        {"instance_code": i, "approval_code": code, REVERTED: i in reverted},
                    )
                    for i in part
                ]
                for raw in self._parallel(known, ask_reverted=False):
                    light = {name: raw.payload[name] for name in raw.payload if name not in _HEAVY}
                    heads.append(replace(raw, payload=light))
        return heads

    def _parallel(self, documents: Sequence[RawDocument], *, ask_reverted: bool = True) -> list[RawDocument]:
        if not documents:
            return []
        pool = ThreadPoolExecutor(max_workers=min(self._options.concurrency, len(documents)))
        try:
            return list(pool.map(lambda raw: self._detail(raw, ask_reverted=ask_reverted), documents))
        finally:
            pool.shutdown(cancel_futures=True)

    def _detail(self, document: RawDocument, *, ask_reverted: bool) -> RawDocument:
        if not usable_id(document.document_id):
            return document
        known = document.payload.get(REVERTED) is True
        found = self._look(document.document_id, is_reverted=known, ask_reverted=ask_reverted)
        if found is None:
            gone = {**document.payload, DELETED: True} if document.payload else {}
            return replace(document, payload=gone)
        person = usable_id(person_of(found, self._options))
        if person:
            self._people.add(person)
        return replace(document, updated_at=changed_at(found), payload=found)

    def _look(
        self, instance_code: str, *, is_reverted: bool = False, ask_reverted: bool = True
    ) -> Json | None:
        """An instance as it is now; None where it is gone."""
        params = {"user_id_type": self._options.user_id_type}
        found = self._client.detail(f"instances/{quote(instance_code, safe='')}", params)
        if found is None:
            return None
        # Some answers name the instance differently or not at all; another one's detail must never be taken for it.
        if found.setdefault("instance_code", instance_code) != instance_code:
            raise RetryLater(
                f"飞书给出的审批是 {str(found['instance_code'])[:80]!r}，请求的是 {instance_code!r}，稍后重试 / the answer is of another "
                "instance, later"
            )
        is_approved = found.get("status") == "APPROVED"
        if is_approved and ask_reverted and not is_reverted and self._options.reverted == "query":
            is_reverted = self._lists.is_reverted(str(found.get("approval_code")), instance_code)
        return {**found, REVERTED: True} if is_approved and is_reverted else found

    def _form(self, document: RawDocument) -> FormInstance:
        payload = document.payload or {"instance_code": document.document_id, DELETED: True}
        return instance_of(payload, self._options)

    # -- definitions ---------------------------------------------------------------------------------

    def _definition(self, approval_code: str) -> Json | None:
        return self._client.detail(f"approvals/{quote(approval_code, safe='')}", {})

    def _choices(self, approval_code: str) -> dict[str, dict[str, str]]:
        """Field → value → label, of the selections in a definition, those in tables too."""
        waiting = read_form((self._definition(approval_code) or {}).get("form")) or []
        found: dict[str, dict[str, str]] = {}
        while waiting:
            widget = waiting.pop()
            children = widget.get("children")
            waiting += (
                [child for child in children if isinstance(child, dict)] if isinstance(children, list) else []
            )
            if options_of(widget):
                found[code_of(widget, self._options)] = options_of(widget)
        return found

    def _selections(self, mapping: FormMapping) -> Iterator[MasterRecord]:
        """Entries for mapped fields that refer to a selection of the definition, without an enum of ours."""
        wanted = [
            (KINDS[path.rpartition(".")[2]], ref.field)
            for path, ref, _ in mapping.fields
            if path.rpartition(".")[2] in KINDS
            and isinstance(ref, ReferenceField)
            and ref.field
            and not ref.enum
        ]
        for template in mapping.templates if wanted else ():
            choices = self._choices(template)
            for kind, field in wanted:
                for value, label in choices.get(field, {}).items():
                    if usable_id(value):
                        yield MasterRecord(kind, value, "", label or value)
