"""The Hesi adapter against the emulator, over real HTTP: the contract, then what only this vendor does."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from include.conformance.source.hesi import NOW_MS, HesiSystem, connected, emulated, make_world
from include.conformance.source_suite import FAR_AHEAD, LONG_AGO, SourceSuite, entry, read_all
from include.domain.errors import FixConfig
from include.emulators.hesi import World
from include.emulators.hesi.faults import Faults
from include.ports import WriteBackOutcome


@pytest.fixture
def world() -> World:
    return make_world()


@pytest.fixture
def oa(tmp_path: Path) -> Iterator[HesiSystem]:
    with emulated(tmp_path) as system:
        assert isinstance(system, HesiSystem)
        yield system


class TestHesiSource(SourceSuite):
    """The suite on a generated company, in pages of seven."""


def test_a_second_with_more_documents_than_a_page_is_read_whole_though_some_leave_it(oa: HesiSystem) -> None:
    expenses = [d for d in oa.world.documents.values() if d.form_type == "expense"]
    for number, document in enumerate(expenses[:60]):
        document.update_time = NOW_MS - 86_400_000 + number  # one second for all of them
    found: set[str] = set()
    for number, page in enumerate(oa.source.changes(LONG_AGO)):
        found |= {raw.document_id for raw in page}
        if any(raw.document_id == expenses[0].id for raw in page) and number < 60:
            for document in expenses[:3]:
                oa.touch(document.id)
    assert {d.id for d in expenses} <= found


def test_a_token_that_expires_under_way_is_replaced_without_a_gap(world: World) -> None:
    with connected(world, token_ttl_s=60, page_size=7) as source:
        found = set()
        for page in source.changes(LONG_AGO):
            world.clock.advance(45_000)  # the next but one call meets an expired token
            found |= {raw.document_id for raw in source.details(page)}
    assert found == set(world.documents)


def test_a_token_that_is_refused_for_its_first_second_is_tried_again(world: World) -> None:
    with connected(world, faults=Faults(token_unready_ms=900)) as source:
        assert "expense" in source.check()


def test_a_wrong_password_is_a_matter_of_configuration(world: World) -> None:
    with connected(world, password="wrong") as source, pytest.raises(FixConfig, match="appSecurity"):
        source.check()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_trouble_on_the_way_loses_nothing(world: World, seed: int) -> None:
    trouble = Faults(
        seed=seed, too_many=0.05, server_error=0.05, drop_before=0.04, drop_after=0.04, truncate=0.05
    )
    with connected(world, faults=trouble, page_size=25, attempts=12) as source:
        masters = list(source.master_data())
        documents = source.details(read_all(source))
        mapped = source.to_documents(documents)
        counted = sum(count.documents for count in source.counts_created_until(FAR_AHEAD))
    assert len(masters) == len({(record.kind, record.id) for record in masters}) > 100
    assert {raw.document_id for raw in documents} == set(world.documents)
    assert counted == len(world.documents)
    assert not [problem for item in mapped for problem in item.problems]


def test_write_back_through_lost_answers_ends_as_it_should(world: World) -> None:
    wanted = [d.id for d in world.documents.values() if d.active and d.state == "paid"][:40]
    trouble = Faults(seed=5, drop_after=0.3, drop_before=0.1)
    with connected(world, faults=trouble, write_batch=4, attempts=12) as source:
        results = source.write_back([entry(i, f"记-{n}") for n, i in enumerate(wanted)])
    numbers = {i: f"记-{n}" for n, i in enumerate(wanted)}
    for result in results:
        if result.outcome is WriteBackOutcome.WRITTEN:
            assert world.documents[result.document_id].voucher_no == numbers[result.document_id]
        else:
            assert result.outcome is WriteBackOutcome.UNKNOWN
            assert result.message
    assert sum(result.outcome is WriteBackOutcome.WRITTEN for result in results) > len(wanted) / 2


def test_documents_tell_what_the_generator_knows_of_them(world: World) -> None:
    with connected(world) as source:
        mapped = source.to_documents(source.details(read_all(source)))
    by_id = {item.document.document_id: item.document for item in mapped}
    for document_id, truth in world.truth.items():
        document = by_id[document_id]
        assert document.gross == truth.gross
        assert sum(line.functional_amount or 0 for line in document.lines) == truth.gross
        assert sum(line.deductible_tax or 0 for line in document.lines) == truth.deductible
        assert (document.approved_at is not None) == document.status.is_due


def test_what_cannot_be_read_is_a_problem_of_that_document_alone() -> None:
    world = make_world(dirty_share=0.5)
    unreadable = {
        "amount_null",
        "amount_decimals",
        "amount_overflow",
        "amount_text",
        "apportion_mismatch",
        "date_9999",
        "details_null",
        "duplicate_line",
        "malformed",
        "missing_amount",
        "rate_missing",
        "rate_zero",
        "unknown_currency",
        "unknown_form_type",
        "unknown_state",
    }
    with connected(world) as source:
        mapped = source.to_documents(source.details(read_all(source)))
    assert len(mapped) == len(world.documents)
    for item in mapped:
        truth = world.truth[item.document.document_id]
        if truth.defect in unreadable:
            assert item.problems, truth.defect
        elif truth.defect is None:
            assert not item.problems, item.problems


def test_the_source_start_bounds_counts_too(world: World) -> None:
    with connected(world, start=date(2026, 7, 1)) as source:
        counted = {count.form_type: count.documents for count in source.counts_created_until(FAR_AHEAD)}
    july = int((datetime(2026, 7, 1, tzinfo=UTC) - timedelta(hours=8)).timestamp() * 1000)
    expected = [d for d in world.documents.values() if d.create_time >= july and d.form_type == "expense"]
    assert counted["expense"] == len(expected)
