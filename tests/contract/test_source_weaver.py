"""The e-cology adapter against the emulator, over real HTTP and both interfaces: the contract, then what only this vendor does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import requests

from include.adapters.oa.weaver import build_source
from include.conformance.source.weaver import INTERFACES, MAPPINGS, HastyClock, WeaverSystem, connected
from include.conformance.source_suite import SourceSuite, entry, read_all
from include.connections import Endpoint
from include.domain.document import DocumentStatus
from include.domain.errors import FixConfig, VoucherflowError
from include.emulators.weaver import ADMIN_KEY, APP_ID, INTEGRATION_USER
from include.emulators.weaver.changes import add
from include.emulators.weaver.forms import EXPENSE
from include.form_mappings import read_mappings
from include.ports import RawDocument, WriteBackOutcome
from include.settings import Source


@pytest.fixture(params=INTERFACES)
def oa(request: pytest.FixtureRequest) -> Iterator[WeaverSystem]:
    with connected(request.param, documents=190, page_size=7, window_pages=3) as system:
        yield system


@pytest.fixture(params=INTERFACES)
def small(request: pytest.FixtureRequest) -> Iterator[WeaverSystem]:
    with connected(request.param) as system:
        yield system


class TestWeaverSource(SourceSuite):
    """The suite on a generated company, in pages of seven, over both interfaces."""


def test_both_interfaces_and_databases_give_the_same_documents() -> None:
    found = []
    for interface in INTERFACES:
        for database in ("sqlserver", "oracle"):
            with connected(interface, emulated={"database": database}, page_size=9) as oa:
                documents = oa.source.details(read_all(oa.source))
                mapped = oa.source.to_documents(documents)
                # The three under way at the accountant's were made just now, in each installation at another time.
                made = [
                    item.document for item in mapped if item.document.status is not DocumentStatus.IN_APPROVAL
                ]
                found.append({document.document_id: document for document in made})
                assert not [problem for item in mapped for problem in item.problems]
    assert len(found[0]) > 40
    assert all(documents == found[0] for documents in found)


@pytest.mark.parametrize("interface", INTERFACES)
def test_documents_tell_what_the_generator_knows_of_them(interface: str) -> None:
    statuses = {
        "approved": DocumentStatus.APPROVED,
        "forced": DocumentStatus.NULLIFIED,
        "revoked": DocumentStatus.NULLIFIED,
        "pending": DocumentStatus.IN_APPROVAL,
    }
    with connected(interface, documents=200, seed=21) as oa:
        mapped = oa.source.to_documents(oa.source.details(read_all(oa.source)))
        truth = oa.world.truth()
        seen = set()
        for item in mapped:
            document, known = item.document, truth[item.document.document_id]
            assert document.status is statuses[known["verdict"]], known["verdict"]
            seen.add(known["verdict"])
            true = known["truth"]
            assert document.gross == true["home"]
            assert document.payable == true["paid"] or true["currency"] != "CNY"
            assert {w.loan_document_id: w.amount for w in document.write_offs} == true["offset"]
            assert (document.approved_at is not None) == document.status.is_due
        assert seen == set(statuses)


def test_many_changes_of_one_day_are_read_whole_though_requests_move_to_the_front(
    small: WeaverSystem,
) -> None:
    chosen = small.approved()[:12]
    for document_id in chosen:
        small.touch(document_id)
    since = datetime.now(UTC) - timedelta(minutes=1)
    add(small.world, {"count": 15, "fate": "approved", "kind": "expense"})
    found = {raw.document_id for raw in read_all(small.source, since)}
    assert set(chosen) <= found
    assert len(found) >= 27
    assert len(found) < len(small.ids("expense"))


def test_a_request_that_moves_after_its_answer_is_a_change_though_its_time_stays(small: WeaverSystem) -> None:
    pending = small.unapproved()
    with small.world.call() as now:
        small.world.flow.submit(int(pending), INTEGRATION_USER, "", now, 60_000)
    before = next(raw for raw in read_all(small.source) if raw.document_id == pending)
    assert small.status(pending) is DocumentStatus.IN_APPROVAL
    small.later(61)
    after = next(raw for raw in read_all(small.source) if raw.document_id == pending)
    assert before.payload["lastOperateTime"] == after.payload["lastOperateTime"]
    assert before.updated_at != after.updated_at
    assert small.status(pending) is DocumentStatus.APPROVED


@pytest.mark.parametrize("operation", ["draw_back", "withdraw"])
def test_what_is_taken_back_after_its_approval_is_void_until_it_is_approved_again(
    small: WeaverSystem, operation: str
) -> None:
    chosen = small.approved()[0]
    assert small.status(chosen) is DocumentStatus.APPROVED
    small.later(5)
    small.do(chosen, operation)
    assert small.status(chosen) is DocumentStatus.NULLIFIED
    small.later(5)
    small.do(chosen, "resubmit")
    assert small.status(chosen) is DocumentStatus.IN_APPROVAL
    small.do(chosen, "approve")
    assert small.status(chosen) is DocumentStatus.APPROVED


def test_a_forced_end_is_no_approval_however_often_it_was_saved_since(small: WeaverSystem) -> None:
    pending = small.unapproved()
    small.do(pending, "force_over")
    with small.world.call() as now:
        for _ in range(25):
            small.world.flow.log(int(pending), 615, "1", INTEGRATION_USER, "", now, None)
    assert small.status(pending) is DocumentStatus.NULLIFIED


def test_our_own_write_back_does_not_look_like_a_changed_document(small: WeaverSystem) -> None:
    chosen = small.approved()[0]

    def digest() -> str:
        found = small.source.details([RawDocument(chosen, "expense", None, {})])
        return small.source.to_documents(found)[0].document.content_digest

    before = digest()
    small.later(3600)
    assert small.source.write_back([entry(chosen)])[0].outcome is WriteBackOutcome.WRITTEN
    assert small.shown(chosen) == {"pzh": "记-12", "pzqj": "2026-03", "pzzt": "1", "pzcw": ""}
    assert digest() == before


@pytest.mark.parametrize("hours", [-9, 11])
@pytest.mark.parametrize("interface", INTERFACES)
def test_a_clock_that_is_off_by_hours_hides_no_change(interface: str, hours: int) -> None:
    with connected(interface, page_size=9, clock_h=hours) as oa:
        known = {raw.document_id: raw.updated_at for raw in read_all(oa.source)}
        latest = max(at for at in known.values() if at)
        chosen = oa.approved()[0]
        oa.touch(chosen)
        since = min(latest, datetime.now(UTC)) - timedelta(seconds=600)
        assert chosen in {raw.document_id for raw in read_all(oa.source, since)}


def test_a_newer_version_of_a_workflow_is_read_once_it_is_mapped(small: WeaverSystem) -> None:
    found = small.source.details(read_all(small.source)[:1])
    other = {**found[0].payload, "workflowBaseInfo": {"workflowId": "999"}}
    mapped = small.source.to_documents([replace(found[0], payload=other)])[0]
    assert "document.template.unmapped" in {problem.code for problem in mapped.problems}


# -- the ways of writing back ---------------------------------------------------------------------------


def write_back_of(way: str) -> dict[str, Any]:
    return {
        "archived_save": {},
        "voucher_node": {"approved_nodes": ["财务制证"]},
        "register": {"register_in": {"workflow": "63", "document": "ydj", "code": "ydjbh"}},
    }[way] | {"write_back": way}


@pytest.mark.parametrize("way", ["archived_save", "voucher_node", "register"])
@pytest.mark.parametrize("interface", INTERFACES)
def test_each_way_shows_number_period_and_state(interface: str, way: str) -> None:
    with connected(interface, emulated={"write_back": way, "move_delay_ms": 50}, **write_back_of(way)) as oa:
        chosen = oa.approved()[:3]
        assert [oa.status(i) for i in chosen] == [DocumentStatus.APPROVED] * 3
        for _ in range(2):
            results = oa.source.write_back([entry(i) for i in [*chosen, oa.unapproved()]])
            assert [r.outcome for r in results] == [WriteBackOutcome.WRITTEN] * 3 + [WriteBackOutcome.REFUSED]
        shown = {"pzh": "记-12", "pzqj": "2026-03", "pzzt": "1", "pzcw": ""}
        assert [oa.shown(i) for i in chosen] == [shown] * 3
        with oa.world.call():
            ended = [oa.world.flow.request(int(i)) for i in chosen]
        assert [row["status"] if row else "" for row in ended if row and row["currentnodetype"] != "3"] == []
        assert [oa.status(i) for i in chosen] == [DocumentStatus.APPROVED] * 3


@pytest.mark.parametrize("interface", INTERFACES)
def test_an_installation_that_takes_no_number_says_so(interface: str) -> None:
    with connected(interface, emulated={"write_back": "refused"}) as oa:
        result = oa.source.write_back([entry(oa.approved()[0])])[0]
    assert result.outcome is WriteBackOutcome.REFUSED
    assert "不接受回写" in result.message


@pytest.mark.parametrize("interface", INTERFACES)
def test_a_number_that_the_form_drops_silently_is_not_taken_for_written(interface: str) -> None:
    with connected(interface) as oa:
        chosen = oa.approved()[0]
        requests.post(
            f"{oa.url}/__emulator__/workflows/{EXPENSE}/form",
            json={"drop": "pzh"},
            headers={"X-Emulator-Key": ADMIN_KEY},
            timeout=10,
        ).raise_for_status()
        result = oa.source.write_back([entry(chosen)])[0]
    assert result.outcome is WriteBackOutcome.REFUSED
    assert "pzh" in result.message


def test_a_lost_registration_is_looked_for_and_not_made_twice() -> None:
    with connected("rest", emulated={"write_back": "register"}, **write_back_of("register")) as oa:
        chosen = oa.approved()[0]
        oa.trouble({"kind": "drop_after", "match": "doCreateRequest"})
        assert oa.source.write_back([entry(chosen)])[0].outcome is WriteBackOutcome.WRITTEN
        made = oa.world.store.rows("SELECT requestid FROM workflow_requestbase WHERE workflowid = 63")
        assert len(made) == 1


# -- options --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"interface": "xml"}, "options.interface"),
        ({"colour": 1}, "page_size"),
        ({"write_back": "register"}, "register_in"),
        ({"write_back": "voucher_node"}, "approved_nodes"),
        ({"register_in": {"workflow": "63", "document": "ydj", "row": "x"}}, "document"),
    ],
)
def test_wrong_options_name_the_key_and_what_is_possible(options: dict[str, Any], said: str) -> None:
    with pytest.raises(FixConfig, match=said), connected(**({"interface": "rest"} | options)):
        raise AssertionError("the options were taken")


def test_no_source_without_a_mapping_and_no_template_that_is_no_workflow(small: WeaverSystem) -> None:
    bare = Source(id="weaver", system="weaver", connection="c", start=date(2026, 1, 1))
    endpoint = Endpoint("c", small.url, "9", APP_ID)
    with pytest.raises(FixConfig, match="forms draft"):
        read_all(build_source(bare, endpoint, HastyClock()))
    mapping = read_mappings(MAPPINGS, [])[0].model_copy(update={"templates": ("61 or 1=1",)})
    with pytest.raises(FixConfig, match="workflowId"):
        build_source(bare.model_copy(update={"mappings": (mapping,)}), endpoint, HastyClock())


def test_one_form_can_be_read_for_drafting_its_mapping(small: WeaverSystem) -> None:
    form = small.source.form_instance(small.approved()[0])
    assert form.fields["bxzje"].type == "1/3"
    assert form.tables["formtable_main_71_dt1"][0].fields["fylx"].options["1"] == "住宿费"
    with pytest.raises(VoucherflowError, match="requestid"):
        small.source.form_instance("12345")
