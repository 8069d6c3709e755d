"""The e-cology adapter in trouble: lost answers, hostile ones, WSDLs that lead elsewhere, other builds, wrong log-ins."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from include.conformance.source.weaver import INTERFACES, WeaverSystem, connected
from include.conformance.source_suite import FAR_AHEAD, LONG_AGO, entry, read_all
from include.domain.document import DocumentStatus
from include.domain.errors import FixConfig, RetryLater
from include.emulators.weaver import APP_ID
from include.ports import WriteBackOutcome


@pytest.fixture(params=INTERFACES)
def small(request: pytest.FixtureRequest) -> Iterator[WeaverSystem]:
    with connected(request.param) as system:
        yield system


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
