"""What every `DocumentSource` must do, whatever system is behind it.

A subclass gives a fixture `oa`: a running system with at least 20 documents of each of two form types, some
of them deleted, more than one page of each, and a handle to change it from outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

from include.ports import DocumentSource, RawDocument, WriteBackEntry, WriteBackOutcome

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
FAR_AHEAD = datetime(2030, 1, 1, tzinfo=UTC)


class SystemUnderTest(Protocol):
    """A source and a back door into the system behind it."""

    source: DocumentSource
    form_types: Sequence[str]

    def ids(self, form_type: str) -> set[str]:
        """All documents, deleted ones too."""
        ...

    def deleted(self) -> set[str]: ...

    def touch(self, document_id: str) -> None:
        """Edit a document now, so that it moves to the end of the changes."""
        ...

    def delete(self, document_id: str) -> None: ...

    def approved(self) -> list[str]:
        """Documents that take a voucher number."""
        ...

    def unapproved(self) -> str:
        """A document that does not take one."""
        ...

    def shown_number(self, document_id: str) -> str: ...


def entry(document_id: str, number: str = "记-12") -> WriteBackEntry:
    return WriteBackEntry(document_id, number, "2026-03", datetime(2026, 4, 1, 2, 30, tzinfo=UTC))


def read_all(source: DocumentSource, since: datetime = LONG_AGO) -> list[RawDocument]:
    return [raw for page in source.changes(since) for raw in page]


class SourceContract:
    """Inherit it, give the fixture `oa`, and the source is tested."""

    def test_a_check_is_a_sentence_for_people(self, oa: SystemUnderTest) -> None:
        assert len(oa.source.check()) > 5

    def test_master_records_have_one_key_each_and_no_shared_codes(self, oa: SystemUnderTest) -> None:
        records = list(oa.source.master_data())
        keys = [(record.kind, record.id) for record in records]
        codes = [(record.kind, record.code) for record in records if record.code]
        assert records
        assert len(set(keys)) == len(keys)
        assert len(set(codes)) == len(codes)

    def test_all_documents_come_deleted_ones_too(self, oa: SystemUnderTest) -> None:
        found = read_all(oa.source)
        for form_type in oa.form_types:
            assert {raw.document_id for raw in found if raw.form_type == form_type} == oa.ids(form_type)
        assert oa.deleted() <= {raw.document_id for raw in found}

    def test_a_quiet_source_gives_each_document_once(self, oa: SystemUnderTest) -> None:
        found = [raw.document_id for raw in read_all(oa.source)]
        assert len(found) == len(set(found))

    def test_oldest_change_first_within_a_form_type(self, oa: SystemUnderTest) -> None:
        found = read_all(oa.source)
        for form_type in oa.form_types:
            times = [raw.updated_at for raw in found if raw.form_type == form_type and raw.updated_at]
            assert times == sorted(times)

    def test_since_is_a_lower_bound_and_includes_the_moment_itself(self, oa: SystemUnderTest) -> None:
        everything = read_all(oa.source)
        moments = sorted(raw.updated_at for raw in everything if raw.updated_at)
        since = moments[len(moments) // 2]
        expected = {raw.document_id for raw in everything if raw.updated_at and raw.updated_at >= since}
        found = {raw.document_id: raw for raw in read_all(oa.source, since)}
        assert expected <= set(found)
        # A source may round `since` down to its own precision, not further.
        assert all(raw.updated_at >= since - timedelta(seconds=1) for raw in found.values() if raw.updated_at)

    def test_nothing_is_left_out_while_documents_change_under_way(self, oa: SystemUnderTest) -> None:
        form_type = oa.form_types[0]
        order = [raw.document_id for raw in read_all(oa.source) if raw.form_type == form_type]
        found: dict[str, RawDocument] = {}
        for number, page in enumerate(oa.source.changes(LONG_AGO)):
            found |= {raw.document_id: raw for raw in page}
            if number < 4:
                # One that was read moves to the end, which shifts all behind it; one that is to come moves too.
                oa.touch(order[number])
                oa.touch(order[-1 - number])
        assert oa.ids(form_type) <= set(found)
        last_seen = max(raw.updated_at for raw in found.values() if raw.updated_at)
        assert found[order[0]].updated_at is not None
        assert {order[0], order[-1]} <= {
            raw.document_id
            for raw in found.values()
            if raw.updated_at and raw.updated_at > last_seen - timedelta(days=1)
        }

    def test_details_keep_the_order(self, oa: SystemUnderTest) -> None:
        documents = read_all(oa.source)[:15]
        found = oa.source.details(documents)
        assert [raw.document_id for raw in found] == [raw.document_id for raw in documents]
        assert [raw.form_type for raw in found] == [raw.form_type for raw in documents]

    def test_details_of_an_id_alone(self, oa: SystemUnderTest) -> None:
        form_type = oa.form_types[0]
        wanted = sorted(oa.ids(form_type) - oa.deleted())[:3]
        found = oa.source.details([RawDocument(i, form_type, None, {}) for i in wanted])
        mapped = oa.source.to_documents(found)
        assert [item.document.document_id for item in mapped] == wanted
        assert all(item.document.gross for item in mapped)

    def test_a_document_deleted_after_it_was_listed_is_mapped_as_deleted(self, oa: SystemUnderTest) -> None:
        victim = oa.approved()[0]
        listed = [raw for raw in read_all(oa.source) if raw.document_id == victim]
        oa.delete(victim)
        mapped = oa.source.to_documents(oa.source.details(listed))
        assert mapped[0].document.document_id == victim
        assert not mapped[0].document.status.is_due

    def test_counts_ids_and_changes_agree(self, oa: SystemUnderTest) -> None:
        for count in oa.source.counts_created_until(FAR_AHEAD):
            ids = list(oa.source.ids_created_until(count.form_type, FAR_AHEAD))
            assert len(ids) == len(set(ids)) == count.documents
            assert set(ids) == oa.ids(count.form_type)

    def test_counts_are_by_creation_and_do_not_move_with_edits(self, oa: SystemUnderTest) -> None:
        created = sorted(
            item.document.created_at
            for item in oa.source.to_documents(read_all(oa.source))
            if item.document.created_at
        )
        until = created[len(created) // 2]
        before = oa.source.counts_created_until(until)
        for document_id in oa.approved()[:5]:
            oa.touch(document_id)
        assert oa.source.counts_created_until(until) == before
        assert 0 < sum(count.documents for count in before) < len(created)

    def test_mapping_keeps_order_and_repeats_itself(self, oa: SystemUnderTest) -> None:
        documents = oa.source.details(read_all(oa.source)[:20])
        first, second = oa.source.to_documents(documents), oa.source.to_documents(documents)
        assert [item.document.document_id for item in first] == [raw.document_id for raw in documents]
        assert [item.document.content_digest for item in first] == [
            item.document.content_digest for item in second
        ]

    def test_an_edit_changes_the_time_of_change(self, oa: SystemUnderTest) -> None:
        chosen = oa.approved()[0]
        before = next(raw for raw in read_all(oa.source) if raw.document_id == chosen)
        oa.touch(chosen)
        assert before.updated_at is not None
        after = next(raw for raw in read_all(oa.source, before.updated_at) if raw.document_id == chosen)
        assert after.updated_at is not None
        assert after.updated_at > before.updated_at

    def test_write_back_shows_and_clears_numbers(self, oa: SystemUnderTest) -> None:
        chosen = oa.approved()[:3]
        results = oa.source.write_back([entry(i, f"记-{n}") for n, i in enumerate(chosen)])
        assert [(r.document_id, r.outcome) for r in results] == [
            (i, WriteBackOutcome.WRITTEN) for i in chosen
        ]
        assert [oa.shown_number(i) for i in chosen] == ["记-0", "记-1", "记-2"]
        assert oa.source.write_back([entry(chosen[1], "")])[0].outcome is WriteBackOutcome.WRITTEN
        assert [oa.shown_number(i) for i in chosen] == ["记-0", "", "记-2"]

    def test_bad_documents_do_not_spoil_the_others(self, oa: SystemUnderTest) -> None:
        good = oa.approved()[:7]
        wanted = [good[0], oa.unapproved(), *good[1:4], "no-such-document", *good[4:]]
        results = oa.source.write_back([entry(i) for i in wanted])
        assert [result.document_id for result in results] == wanted
        refused = {r.document_id for r in results if r.outcome is WriteBackOutcome.REFUSED}
        assert refused == {oa.unapproved(), "no-such-document"}
        assert all(result.message for result in results if result.outcome is WriteBackOutcome.REFUSED)
        assert {oa.shown_number(i) for i in good} == {"记-12"}

    def test_writing_the_same_again_changes_nothing(self, oa: SystemUnderTest) -> None:
        chosen = oa.approved()[0]
        for _ in range(2):
            assert oa.source.write_back([entry(chosen)])[0].outcome is WriteBackOutcome.WRITTEN
        assert oa.shown_number(chosen) == "记-12"

    def test_nothing_to_write_is_no_call(self, oa: SystemUnderTest) -> None:
        assert list(oa.source.write_back([])) == []
