"""The e-cology adapter against the emulator, over real HTTP and both interfaces: the contract, then what only this vendor does."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from include.adapters.oa.weaver import WeaverSource, build_source
from include.connections import Endpoint
from include.domain.document import DocumentStatus
from include.domain.errors import FixConfig, RetryLater, VoucherflowError
from include.emulators.weaver import (
    ADMIN_KEY,
    APP_ID,
    INTEGRATION_USER,
    Options,
    Plan,
    World,
    open_world,
    running,
)
from include.emulators.weaver.changes import add, apply
from include.emulators.weaver.forms import EXPENSE, LOAN
from include.form_mappings import read_mappings
from include.ports import RawDocument, SystemClock, WriteBackOutcome
from include.settings import Source
from tests.contract.source_contract import FAR_AHEAD, LONG_AGO, SourceContract, entry, read_all

MAPPINGS = Path("include/config/examples/weaver/mappings/weaver")
WORKFLOWS = {"expense": EXPENSE, "loan": LOAN}
INTERFACES = ("soap", "rest")


class HastyClock(SystemClock):
    """Waits a hundredth of what it is told; how long in all is remembered."""

    def __init__(self) -> None:
        self.asked_s = 0.0

    def sleep(self, seconds: float) -> None:
        self.asked_s += seconds
        SystemClock.sleep(self, seconds / 100)


@dataclass
class WeaverSystem:
    source: WeaverSource
    world: World
    url: str
    form_types: tuple[str, ...] = ("expense", "loan")

    def ids(self, form_type: str) -> set[str]:
        """What the interface's user takes part in: e-cology shows him nothing else."""
        sql = (
            "SELECT DISTINCT t1.requestid FROM workflow_requestbase t1 JOIN workflow_currentoperator t2 USING (requestid)"
            " WHERE t2.userid = ? AND t1.workflowid = ?"
        )
        rows = self.world.store.rows(sql, (INTEGRATION_USER, WORKFLOWS[form_type]))
        return {str(row["requestid"]) for row in rows}

    def deleted(self) -> set[str]:
        """None that could be listed: what is deleted is gone from every list."""
        return set()

    def touch(self, document_id: str) -> None:
        self.later(2)
        self.do(document_id, "edit", main={"sy": f"第 {self.offset_ms} 次修改", "jkyt": str(self.offset_ms)})

    def delete(self, document_id: str) -> None:
        self.later(2)
        self.do(document_id, "delete")

    def do(self, document_id: str, operation: str, **data: Any) -> None:
        apply(self.world, int(document_id), operation, data)

    @property
    def offset_ms(self) -> int:
        return int(self.world.store.meta("clock_offset_ms") or 0)

    def later(self, seconds: float) -> None:
        self.world.store.set_meta("clock_offset_ms", self.offset_ms + int(seconds * 1000))

    def having(self, verdict: str, form_type: str = "expense") -> list[str]:
        truth = self.world.truth()
        return [i for i in sorted(self.ids(form_type)) if truth[i]["verdict"] == verdict]

    def approved(self) -> list[str]:
        return self.having("approved")

    def unapproved(self) -> str:
        return self.having("pending")[0]

    def shown_number(self, document_id: str) -> str:
        return self.shown(document_id)["pzh"]

    def shown(self, document_id: str) -> dict[str, str]:
        return dict(self.world.truth()[document_id]["voucher"])

    def trouble(self, *faults: dict[str, Any]) -> None:
        answer = requests.post(
            f"{self.url}/__emulator__/faults",
            json=list(faults),
            headers={"X-Emulator-Key": ADMIN_KEY},
            timeout=10,
        )
        assert answer.status_code == 200, answer.text

    def status(self, document_id: str) -> DocumentStatus:
        found = self.source.details([RawDocument(document_id, "expense", None, {})])
        return self.source.to_documents(found)[0].document.status


@contextlib.contextmanager
def connected(
    interface: str,
    *,
    documents: int = 60,
    seed: int = 3,
    dirty_share: float = 0.0,
    emulated: dict[str, Any] | None = None,
    login: str = str(INTEGRATION_USER),
    password: str = APP_ID,
    start: date = date(2026, 1, 1),
    clock_h: int = 0,
    **options: Any,
) -> Iterator[WeaverSystem]:
    """The adapter on an emulator of its own, with three requests under way at the accountant's."""
    problems: list[str] = []
    mappings = read_mappings(MAPPINGS, problems)
    assert not problems
    world = open_world(
        Plan(documents=documents, seed=seed, dirty_share=dirty_share), Options().changed(emulated or {})
    )
    world.store.set_meta("clock_offset_ms", clock_h * 3_600_000)
    for request_id in add(world, {"count": 3, "fate": "draft", "kind": "expense"}):
        apply(world, request_id, "resubmit", {})
        apply(world, request_id, "approve", {"to": 613})
    source = Source(
        id="weaver",
        system="weaver",
        connection="weaver_default",
        start=start,
        mappings=mappings,
        options={"interface": interface} | options,
    )
    with running(world) as url:
        endpoint = Endpoint("weaver_default", url, login, password)
        with contextlib.closing(build_source(source, endpoint, HastyClock())) as adapter:
            yield WeaverSystem(adapter, world, url)
    world.store.close()


@pytest.fixture(params=INTERFACES)
def oa(request: pytest.FixtureRequest) -> Iterator[WeaverSystem]:
    with connected(request.param, documents=190, page_size=7, window_pages=3) as system:
        yield system


@pytest.fixture(params=INTERFACES)
def small(request: pytest.FixtureRequest) -> Iterator[WeaverSystem]:
    with connected(request.param) as system:
        yield system


class TestWeaverSource(SourceContract):
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


# -- trouble --------------------------------------------------------------------------------------------


def test_trouble_on_the_way_loses_nothing(small: WeaverSystem) -> None:
    kinds = ("drop_before", "drop_after", "truncate", "status", "login_page", "session_loss")
    small.trouble(*({"kind": k, "times": 0, "share": 0.03, "seed": n} for n, k in enumerate(kinds)))
    documents = small.source.details(read_all(small.source))
    counted = sum(count.documents for count in small.source.counts_created_until(FAR_AHEAD))
    everything = small.ids("expense") | small.ids("loan")
    assert {raw.document_id for raw in documents} == everything
    assert counted == len(everything)
    mapped = small.source.to_documents(documents)
    assert not [problem for item in mapped for problem in item.problems]
    assert DocumentStatus.DELETED not in {item.document.status for item in mapped}


def test_sessions_that_end_under_way_are_opened_again() -> None:
    with connected("rest", emulated={"token_ttl_s": 60}, page_size=5, window_pages=1) as oa:
        found = set()
        for number, page in enumerate(oa.source.changes(LONG_AGO)):
            if number % 2:
                oa.world.store.run("DELETE FROM emulator_token")
            found |= {raw.document_id for raw in oa.source.details(page)}
        assert found == oa.ids("expense") | oa.ids("loan")


def test_write_back_through_lost_answers_ends_as_it_says(small: WeaverSystem) -> None:
    wanted = small.approved()[:15]
    match = {"match": "ubmit", "times": 0}
    small.trouble(
        {"kind": "drop_after", "share": 0.3, "seed": 5, **match},
        {"kind": "drop_before", "share": 0.2, "seed": 6, **match},
    )
    results = small.source.write_back([entry(i, f"记-{n}") for n, i in enumerate(wanted)])
    numbers = {i: f"记-{n}" for n, i in enumerate(wanted)}
    written = [result for result in results if result.outcome is WriteBackOutcome.WRITTEN]
    assert len(written) > 10
    assert all(small.shown_number(result.document_id) == numbers[result.document_id] for result in written)
    assert all(result.message for result in results if result not in written)


@pytest.mark.parametrize("kind", ["entity_bomb", "external_entity", "deep_xml", "gzip_bomb", "login_page"])
def test_hostile_answers_are_refused_and_read_again_later(small: WeaverSystem, kind: str) -> None:
    small.trouble({"kind": kind, "times": 0, "match": "RequestCount"})
    with pytest.raises(RetryLater) as refused:
        small.source.check()
    assert " / " in str(refused.value)
    assert len(str(refused.value)) < 500
    small.trouble()
    assert "expense" in small.source.check()


@pytest.mark.parametrize("interface", INTERFACES)
def test_lists_that_begin_again_after_their_end_come_to_one(interface: str) -> None:
    with connected(interface, emulated={"endless_pages": True}, page_size=5, window_pages=200) as oa:
        found = [raw.document_id for raw in read_all(oa.source)]
        assert sorted(found) == sorted(oa.ids("expense") | oa.ids("loan"))


@pytest.mark.parametrize("encoding", ["gbk", "gbk-undeclared"])
@pytest.mark.parametrize("interface", INTERFACES)
def test_chinese_in_gbk_is_read_as_what_it_is(interface: str, encoding: str) -> None:
    with connected(interface, emulated={"encoding": encoding}) as oa:
        documents = oa.source.details(read_all(oa.source)[:5])
        titles = {item.document.title for item in oa.source.to_documents(documents)}
    assert titles
    assert all("费用报销" in title or "员工借款" in title for title in titles)


@pytest.mark.parametrize(
    ("emulated", "said"),
    [
        ({"wsdl_address": "http://203.0.113.9/services/WorkflowService"}, "soap_address: connection"),
        ({"wsdl_import": "http://203.0.113.9/evil.xsd"}, "evil.xsd"),
        ({"wsdl_import": "file:///etc/passwd"}, "passwd"),
        ({"soap_allow_ips": ["203.0.113.9"]}, "白名单"),
        ({"conditions": "refused"}, "interface: rest"),
    ],
)
def test_soap_that_leads_elsewhere_or_lets_nobody_in_is_refused_with_what_to_do(
    emulated: dict[str, Any], said: str
) -> None:
    with connected("soap", emulated=emulated) as oa, pytest.raises(FixConfig, match=said):
        read_all(oa.source)


def test_a_server_that_does_not_know_its_outer_name_can_be_called_all_the_same() -> None:
    address = {"wsdl_address": "http://127.0.0.1:9/services/WorkflowService"}
    with connected("soap", emulated=address, soap_address="connection") as oa:
        assert "SOAP" in oa.source.check()


@pytest.mark.parametrize("emulated", [{"secret_field": "secret"}, {"code_shape": "object"}])
def test_other_builds_spell_things_otherwise(emulated: dict[str, Any]) -> None:
    with connected("rest", emulated=emulated) as oa:
        chosen = oa.approved()[0]
        assert oa.status(chosen) is DocumentStatus.APPROVED
        assert oa.source.write_back([entry(chosen)])[0].outcome is WriteBackOutcome.WRITTEN


def test_a_wsdl_with_one_namespace_is_understood_too() -> None:
    with connected("soap", emulated={"single_namespace": True}) as oa:
        assert oa.status(oa.approved()[0]) is DocumentStatus.APPROVED


@pytest.mark.parametrize(
    ("interface", "login", "password"),
    [
        ("rest", "9", "wrong-app"),
        ("rest", "77777", APP_ID),
        ("rest", "", APP_ID),
        ("rest", "9", ""),
        ("soap", "x", ""),
    ],
)
def test_a_wrong_login_is_a_matter_of_configuration_and_shown_to_nobody(
    interface: str, login: str, password: str
) -> None:
    with connected(interface, login=login, password=password) as oa, pytest.raises(FixConfig) as refused:
        oa.source.check()
    assert "weaver_default" in str(refused.value)
    assert not password or password not in str(refused.value)


@pytest.mark.parametrize("interface", INTERFACES)
def test_a_user_who_takes_part_in_nothing_is_told_so(interface: str) -> None:
    with connected(interface, login="1") as oa, pytest.raises(FixConfig, match="参与"):
        oa.source.check()


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
