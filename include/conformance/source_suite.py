"""The conformance suite of document sources: what every `DocumentSource` must do, whatever system is behind it.

The runner, or a subclass in the tests, gives a fixture `oa`: a running system with at least 20 documents of each of two
form types, some of them deleted where the system lets one see that, more than one page of each, and hands in it.
Where a vendor gives no way to do what a case needs, the hand says so with `unsupported` and the vendor's reason.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

import pytest

from include.domain.document import DocumentStatus
from include.domain.errors import FixConfig, RetryLater
from include.ports import DocumentSource, RawDocument, WriteBackEntry, WriteBackOutcome

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
FAR_AHEAD = datetime(2030, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Known:
    """What the system itself knows of a document.

    Attributes:
        gross: its total in minor units of the functional currency; None where the document is not to be read.
        created: when it was made; a source that tells minutes alone may drop the seconds.
        is_due: whether it is approved, and not taken back since.
    """

    gross: int | None
    created: datetime
    is_due: bool


class SourceUnderTest(Protocol):
    """A source, and hands in the system behind it."""

    @property
    def source(self) -> DocumentSource: ...

    @property
    def form_types(self) -> Sequence[str]: ...

    @property
    def secrets(self) -> Sequence[str]:
        """What nobody may ever read in a log or a message: passwords, keys, tokens."""
        ...

    @property
    def since(self) -> datetime:
        """A time before all that is to be read."""
        ...

    def ids(self, form_type: str) -> set[str]:
        """All documents, deleted ones too where the system lists them."""
        ...

    def deleted(self) -> set[str]: ...

    def known(self) -> Mapping[str, Known]:
        """Of every document without a defect."""
        ...

    def touch(self, document_id: str) -> None:
        """Edit a document now, so that it moves to the end of the changes."""
        ...

    def delete(self, document_id: str) -> None: ...

    def take_back(self, document_id: str) -> None:
        """Somebody revokes a document that was approved."""
        ...

    def approved(self) -> list[str]:
        """Documents that take a voucher number."""
        ...

    def unapproved(self) -> str:
        """A document that does not take one."""
        ...

    def shown_number(self, document_id: str) -> str: ...

    def expire_tokens(self) -> None:
        """No token or session that was given out so far is good any more."""
        ...

    def refuse_calls(self, times: int) -> None:
        """So many of the next calls are refused for coming too fast, as the vendor refuses them."""
        ...

    def break_answers(self, times: int) -> None:
        """So many of the next answers break off half-way."""
        ...

    def lose_answers(self, times: int) -> None:
        """So many of the next calls that write are carried out, and their answers are lost."""
        ...

    def with_wrong_secret(self) -> AbstractContextManager[DocumentSource]:
        """The same source with a secret that the system does not know."""
        ...


def entry(document_id: str, number: str = "记-12") -> WriteBackEntry:
    return WriteBackEntry(document_id, number, "2026-03", datetime(2026, 4, 1, 2, 30, tzinfo=UTC))


def read_all(source: DocumentSource, since: datetime = LONG_AGO) -> list[RawDocument]:
    return [raw for page in source.changes(since) for raw in page]


class SourceSuite:
    """Inherit it, give the fixture `oa`, and the source is tested."""

    def test_a_check_is_a_sentence_for_people(self, oa: SourceUnderTest) -> None:
        assert len(oa.source.check()) > 5

    def test_master_records_have_one_key_each_and_no_shared_codes(self, oa: SourceUnderTest) -> None:
        records = list(oa.source.master_data())
        keys = [(record.kind, record.id) for record in records]
        codes = [(record.kind, record.code) for record in records if record.code]
        assert records
        assert len(set(keys)) == len(keys)
        assert len(set(codes)) == len(codes)

    def test_all_documents_come_deleted_ones_too(self, oa: SourceUnderTest) -> None:
        found = read_all(oa.source, oa.since)
        for form_type in oa.form_types:
            assert {raw.document_id for raw in found if raw.form_type == form_type} == oa.ids(form_type)
        assert oa.deleted() <= {raw.document_id for raw in found}

    def test_a_quiet_source_gives_each_document_once(self, oa: SourceUnderTest) -> None:
        found = [raw.document_id for raw in read_all(oa.source, oa.since)]
        assert found
        assert len(found) == len(set(found))

    def test_oldest_change_first_within_a_form_type(self, oa: SourceUnderTest) -> None:
        found = read_all(oa.source, oa.since)
        for form_type in oa.form_types:
            times = [raw.updated_at for raw in found if raw.form_type == form_type and raw.updated_at]
            assert times == sorted(times)

    def test_since_is_a_lower_bound_and_includes_the_moment_itself(self, oa: SourceUnderTest) -> None:
        everything = read_all(oa.source, oa.since)
        moments = sorted(raw.updated_at for raw in everything if raw.updated_at)
        since = moments[len(moments) // 2]
        expected = {raw.document_id for raw in everything if raw.updated_at and raw.updated_at >= since}
        found = {raw.document_id: raw for raw in read_all(oa.source, since)}
        assert expected <= set(found)
        # A source may round `since` down to its own precision, not further.
        assert all(raw.updated_at >= since - timedelta(seconds=1) for raw in found.values() if raw.updated_at)

    def test_nothing_is_left_out_while_documents_change_under_way(self, oa: SourceUnderTest) -> None:
        form_type = oa.form_types[0]
        order = [raw.document_id for raw in read_all(oa.source, oa.since) if raw.form_type == form_type]
        found: dict[str, RawDocument] = {}
        for number, page in enumerate(oa.source.changes(oa.since)):
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

    def test_details_keep_the_order(self, oa: SourceUnderTest) -> None:
        documents = read_all(oa.source, oa.since)[:15]
        found = oa.source.details(documents)
        assert [raw.document_id for raw in found] == [raw.document_id for raw in documents]
        assert [raw.form_type for raw in found] == [raw.form_type for raw in documents]

    def test_details_of_an_id_alone(self, oa: SourceUnderTest) -> None:
        form_type = oa.form_types[0]
        wanted = sorted(oa.ids(form_type) - oa.deleted())[:3]
        found = oa.source.details([RawDocument(i, form_type, None, {}) for i in wanted])
        mapped = oa.source.to_documents(found)
        assert [item.document.document_id for item in mapped] == wanted
        assert all(item.document.gross for item in mapped)

    def test_a_document_deleted_after_it_was_listed_is_mapped_as_deleted(self, oa: SourceUnderTest) -> None:
        victim = oa.approved()[0]
        listed = [raw for raw in read_all(oa.source, oa.since) if raw.document_id == victim]
        oa.delete(victim)
        mapped = oa.source.to_documents(oa.source.details(listed))
        assert mapped[0].document.document_id == victim
        assert not mapped[0].document.status.is_due

    def test_counts_ids_and_changes_agree(self, oa: SourceUnderTest) -> None:
        for count in oa.source.counts_created_until(FAR_AHEAD):
            ids = list(oa.source.ids_created_until(count.form_type, FAR_AHEAD))
            assert len(ids) == len(set(ids)) == count.documents
            assert set(ids) == oa.ids(count.form_type)

    def test_counts_are_by_creation_and_do_not_move_with_edits(self, oa: SourceUnderTest) -> None:
        created = sorted(
            item.document.created_at
            for item in oa.source.to_documents(oa.source.details(read_all(oa.source, oa.since)))
            if item.document.created_at
        )
        until = created[len(created) // 2]
        before = oa.source.counts_created_until(until)
        for document_id in oa.approved()[:5]:
            oa.touch(document_id)
        assert oa.source.counts_created_until(until) == before
        assert 0 < sum(count.documents for count in before) < len(created)

    def test_mapping_keeps_order_and_repeats_itself(self, oa: SourceUnderTest) -> None:
        documents = oa.source.details(read_all(oa.source, oa.since)[:20])
        first, second = oa.source.to_documents(documents), oa.source.to_documents(documents)
        assert [item.document.document_id for item in first] == [raw.document_id for raw in documents]
        assert [item.document.content_digest for item in first] == [
            item.document.content_digest for item in second
        ]

    def test_an_edit_changes_the_time_of_change(self, oa: SourceUnderTest) -> None:
        chosen = oa.approved()[0]
        before = next(raw for raw in read_all(oa.source, oa.since) if raw.document_id == chosen)
        oa.touch(chosen)
        assert before.updated_at is not None
        after = next(raw for raw in read_all(oa.source, before.updated_at) if raw.document_id == chosen)
        assert after.updated_at is not None
        assert after.updated_at > before.updated_at

    def test_write_back_shows_and_clears_numbers(self, oa: SourceUnderTest) -> None:
        chosen = oa.approved()[:3]
        results = oa.source.write_back([entry(i, f"记-{n}") for n, i in enumerate(chosen)])
        assert [(r.document_id, r.outcome) for r in results] == [
            (i, WriteBackOutcome.WRITTEN) for i in chosen
        ]
        assert [oa.shown_number(i) for i in chosen] == ["记-0", "记-1", "记-2"]
        assert oa.source.write_back([entry(chosen[1], "")])[0].outcome is WriteBackOutcome.WRITTEN
        assert [oa.shown_number(i) for i in chosen] == ["记-0", "", "记-2"]

    def test_bad_documents_do_not_spoil_the_others(self, oa: SourceUnderTest) -> None:
        good = oa.approved()[:7]
        wanted = [good[0], oa.unapproved(), *good[1:4], "no-such-document", *good[4:]]
        results = oa.source.write_back([entry(i) for i in wanted])
        assert [result.document_id for result in results] == wanted
        refused = {r.document_id for r in results if r.outcome is WriteBackOutcome.REFUSED}
        assert refused == {oa.unapproved(), "no-such-document"}
        assert all(result.message for result in results if result.outcome is WriteBackOutcome.REFUSED)
        assert {oa.shown_number(i) for i in good} == {"记-12"}

    def test_writing_the_same_again_changes_nothing(self, oa: SourceUnderTest) -> None:
        chosen = oa.approved()[0]
        for _ in range(2):
            assert oa.source.write_back([entry(chosen)])[0].outcome is WriteBackOutcome.WRITTEN
        assert oa.shown_number(chosen) == "记-12"

    def test_nothing_to_write_is_no_call(self, oa: SourceUnderTest) -> None:
        assert list(oa.source.write_back([])) == []

    def test_amounts_of_every_shape_are_read_to_the_cent(self, oa: SourceUnderTest) -> None:
        known = oa.known()
        mapped = oa.source.to_documents(oa.source.details(read_all(oa.source, oa.since)))
        read = {item.document.document_id: item.document.gross for item in mapped}

        wanted = {i: each.gross for i, each in known.items() if each.gross is not None and i in read}
        assert len(wanted) > 20
        assert {i: read[i] for i in wanted} == wanted

    def test_what_is_due_is_due_and_nothing_else(self, oa: SourceUnderTest) -> None:
        known = oa.known()
        mapped = oa.source.to_documents(oa.source.details(read_all(oa.source, oa.since)))

        said = {i.document.document_id: i.document.status.is_due for i in mapped}
        wanted = {i: each.is_due for i, each in known.items() if i in said}
        assert {True, False} <= set(wanted.values())
        assert {i: said[i] for i in wanted} == wanted

    def test_moments_are_the_same_in_every_time_zone(self, oa: SourceUnderTest) -> None:
        known = oa.known()
        mapped = oa.source.to_documents(oa.source.details(read_all(oa.source, oa.since)))

        seen = 0
        for item in mapped:
            created, true = item.document.created_at, known.get(item.document.document_id)
            if created is not None and true is not None:
                assert created.utcoffset() == timedelta(0)
                assert abs(created - true.created) < timedelta(minutes=1)
                seen += 1
        assert seen > 20

    def test_what_is_taken_back_after_its_approval_is_no_longer_due(self, oa: SourceUnderTest) -> None:
        chosen = oa.approved()[0]
        before = max(raw.updated_at for raw in read_all(oa.source, oa.since) if raw.updated_at)

        oa.take_back(chosen)

        changed = [raw for raw in read_all(oa.source, before) if raw.document_id == chosen]
        assert changed, "it is among the changes"
        (mapped,) = oa.source.to_documents(oa.source.details(changed[-1:]))
        assert mapped.document.status in {DocumentStatus.NULLIFIED, DocumentStatus.DELETED}

    def test_a_token_that_expires_under_way_is_replaced_without_a_gap(self, oa: SourceUnderTest) -> None:
        found: set[str] = set()
        for page in oa.source.changes(oa.since):
            found |= {raw.document_id for raw in page}
            oa.expire_tokens()
        assert set().union(*(oa.ids(form_type) for form_type in oa.form_types)) <= found

    def test_calls_refused_for_their_speed_are_made_again(self, oa: SourceUnderTest) -> None:
        oa.refuse_calls(2)
        found = {raw.document_id for raw in read_all(oa.source, oa.since)}
        assert set().union(*(oa.ids(form_type) for form_type in oa.form_types)) <= found

    def test_half_an_answer_is_no_answer(self, oa: SourceUnderTest) -> None:
        oa.break_answers(1)
        try:
            found = {raw.document_id for raw in read_all(oa.source, oa.since)}
        except RetryLater:
            found = {raw.document_id for raw in read_all(oa.source, oa.since)}
        assert set().union(*(oa.ids(form_type) for form_type in oa.form_types)) <= found

    def test_a_number_whose_answer_was_lost_is_there_or_is_not_called_written(
        self, oa: SourceUnderTest
    ) -> None:
        chosen = oa.approved()[0]
        oa.lose_answers(1)
        (result,) = oa.source.write_back([entry(chosen)])
        assert result.outcome is not WriteBackOutcome.REFUSED
        (again,) = oa.source.write_back([entry(chosen)])
        assert again.outcome is WriteBackOutcome.WRITTEN
        assert oa.shown_number(chosen) == "记-12"

    def test_a_wrong_secret_is_a_matter_of_configuration(self, oa: SourceUnderTest) -> None:
        with oa.with_wrong_secret() as source, pytest.raises(FixConfig) as refused:
            source.check()
        assert not [secret for secret in oa.secrets if secret in str(refused.value)]

    def test_secrets_are_never_logged(self, oa: SourceUnderTest, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        said = [oa.source.check()]
        oa.expire_tokens()
        oa.break_answers(1)
        try:
            read_all(oa.source, oa.since)
        except RetryLater as error:
            said.append(str(error))
        with oa.with_wrong_secret() as source, pytest.raises(FixConfig) as refused:
            source.check()
        text = "\n".join([caplog.text, *said, str(refused.value), repr(oa.source)])
        assert oa.secrets
        assert not [number for number, secret in enumerate(oa.secrets) if secret in text]
