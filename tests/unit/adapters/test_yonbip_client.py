"""What YonBIP's gateway can answer and what it means, by a server that says one thing; nothing of YonBIP's is behind it."""

from __future__ import annotations

import json
import logging
import traceback

import pytest

from include.adapters.ledger.yonbip.answers import NotAnAnswer, answer_of
from include.adapters.ledger.yonbip.auth import signature_of
from include.domain.errors import FixConfig, FixData, OutcomeUnknown, RetryLater
from include.exchanges import recording
from include.pace import Refused
from tests.unit.adapters.yonbip_parts import SECRET, Reply, client, done, refused, scripted

PATH = "/yonbip/fi/x"


@pytest.mark.parametrize(
    ("reply", "read", "write"),
    [
        (refused("310032"), Refused, Refused),
        (refused(310039), Refused, Refused),
        (refused("310042"), Refused, Refused),
        (refused("310046"), Refused, Refused),
        (refused("310037"), FixConfig, FixConfig),
        (refused("310404", status=404), FixConfig, FixConfig),
        (refused("310008"), FixConfig, FixConfig),
        (refused("310036"), FixConfig, FixConfig),
        ((200, "非法token"), FixConfig, FixConfig),
        (refused("310504"), RetryLater, OutcomeUnknown),
        (refused("310071"), RetryLater, OutcomeUnknown),
        (refused("202"), RetryLater, OutcomeUnknown),
        ((200, '{"code": "200", "da'), RetryLater, OutcomeUnknown),
        ((200, "<html>busy</html>"), RetryLater, OutcomeUnknown),
        ((200, "[]"), RetryLater, OutcomeUnknown),
        ((200, ""), RetryLater, OutcomeUnknown),
        ((503, "busy"), RetryLater, OutcomeUnknown),
        ((429, ""), Refused, Refused),
        ((404, "not here"), FixConfig, FixConfig),
        ((302, ""), FixConfig, FixConfig),
        ((401, ""), FixConfig, FixConfig),
        ((200, "[" * 100_000), RetryLater, OutcomeUnknown),
    ],
)
def test_each_failure_has_its_error(reply: Reply, read: type[Exception], write: type[Exception]) -> None:
    with scripted(lambda _path, _body: reply) as system:
        with pytest.raises(read) as of_read:
            client(system.url).read(PATH, {})
        with pytest.raises(write) as of_write:
            client(system.url).write(PATH, {}, is_keyed=False)
    assert type(of_read.value) is read
    assert type(of_write.value) is write


@pytest.mark.parametrize("code", ["404", 404, "0", 0, "999", "10004", 100004])
def test_what_the_service_refuses_is_an_answer_to_a_write_and_an_error_of_a_read(code: object) -> None:
    with scripted(lambda _path, _body: refused(code, "凭证保存不成功")) as system:
        answer = client(system.url).write(PATH, {}, is_keyed=True)
        with pytest.raises(FixData, match="凭证保存不成功"):
            client(system.url).read(PATH, {})
    assert (answer.code, answer.is_done) == (str(code), False)
    assert answer.is_repeated is (str(code) in ("10004", "100004"))


@pytest.mark.parametrize(
    "text", ['{"code": 200}', '{"code": "200", "success": "true"}', '{"success": true, "message": null}']
)
def test_all_ways_of_saying_that_it_went_well(text: str) -> None:
    assert answer_of(text).is_done


@pytest.mark.parametrize("text", ['{"code": "200", "success": "false"}', '{"code": 0, "success": false}'])
def test_a_code_of_success_beside_a_refusal_is_a_refusal(text: str) -> None:
    assert not answer_of(text).is_done


@pytest.mark.parametrize(
    ("message", "is_closed"),
    [
        ("凭证保存不成功,会计期间2026-03已结账！", True),
        ("总账已关账，不能保存", True),
        ("上一期间未结账，不能保存", False),
        ("科目已关闭", False),
        ("", False),
    ],
)
def test_a_period_is_closed_where_the_words_say_so(message: str, is_closed: bool) -> None:
    text = json.dumps({"code": "404", "message": message, "data": {}})
    assert answer_of(text).says_closed is is_closed


def test_an_answer_without_a_code_is_none() -> None:
    with pytest.raises(NotAnAnswer):
        answer_of('{"data": {}}')


def test_the_signature_is_the_vendors() -> None:
    """HMAC-SHA256 over `appKey<v>timestamp<v>`, base64, not yet encoded for the query."""
    signed = signature_of({"timestamp": "1568098531823", "appKey": "41832a3d2df94989b500da6a22268747"}, "s")
    assert signed == "ZyP8nl4yBcPcyw5UlvtQ8h3P9I5+Xux5122hihgxf2A="


def test_the_query_is_encoded_once() -> None:
    with scripted(lambda _path, _body: done({})) as system:
        client(system.url).read(PATH, {})
    (query,) = system.queries
    signed = {name: query[name] for name in ("appKey", "timestamp")}
    assert query["signature"] == signature_of(signed, SECRET)
    assert len(query["timestamp"]) == 13
    assert system.tokens == ["token+1/="]


def test_a_token_that_ends_under_way_is_replaced_once_and_kept() -> None:
    def script(_path: str, _body: object) -> Reply:
        return refused("310036", "非法token") if system.tokens[-1] == "token+1/=" else done({})

    with scripted(script) as system:
        ours = client(system.url)
        assert ours.write(PATH, {}, is_keyed=True).is_done
        assert ours.read(PATH, {}).is_done
    assert system.tokens == ["token+1/=", "token+2/=", "token+2/="]


def test_a_call_that_is_being_worked_on_is_asked_for_again_with_the_same_body() -> None:
    replies = [refused("202", "处理中"), refused(202, "处理中"), done({"voucherId": "v1"})]
    pauses: list[float] = []
    with scripted(lambda _path, _body: replies.pop(0)) as system:
        answer = client(system.url, pauses=pauses).write(PATH, {"businessId": "k"}, is_keyed=True)
    assert answer.data == {"voucherId": "v1"}
    assert [body for _, body in system.heard] == [{"businessId": "k"}] * 3
    assert pauses == [5.0, 5.0]


@pytest.mark.parametrize("then", [refused("202"), refused("310046"), refused("310037")])
def test_one_that_never_ends_is_unknown_whatever_the_later_calls_meet(then: Reply) -> None:
    replies = [refused("202")]
    script = lambda _path, _body: replies.pop(0) if replies else then  # noqa: E731
    with scripted(script) as system, pytest.raises(OutcomeUnknown):
        client(system.url).write(PATH, {}, is_keyed=True)


def test_without_a_key_a_call_that_is_being_worked_on_is_not_sent_twice() -> None:
    with scripted(lambda _path, _body: refused("202")) as system, pytest.raises(OutcomeUnknown):
        client(system.url).write(PATH, {}, is_keyed=False)
    assert len(system.heard) == 1


def test_calls_that_are_refused_for_their_speed_are_made_again() -> None:
    replies = [refused("310046")] * 3
    with scripted(lambda _path, _body: replies.pop() if replies else done({"n": 1})) as system:
        assert client(system.url).write(PATH, {}, is_keyed=False).data == {"n": 1}
    assert len(system.heard) == 4


def test_nothing_listens_is_never_an_unknown_outcome() -> None:
    with scripted(lambda _path, _body: done({})) as system:
        ours = client(system.url)
        ours.read(PATH, {})
    with pytest.raises(RetryLater) as failed:
        ours.write(PATH, {}, is_keyed=True)
    assert not isinstance(failed.value, Refused)


@pytest.mark.parametrize(
    "addresses",
    [
        {},
        {"gatewayUrl": "ftp://x", "tokenUrl": "https://x"},
        {"gatewayUrl": 7, "tokenUrl": None},
        {"gatewayUrl": "https://x?y=1", "tokenUrl": "https://x"},
    ],
)
def test_a_look_up_without_sound_addresses_is_a_matter_of_configuration(addresses: object) -> None:
    with scripted(lambda _path, _body: done({})) as system:
        system.answer = lambda _target, _body: done(addresses, "00000")  # type: ignore[method-assign]
        with pytest.raises(FixConfig, match="tenant_id"):
            client(system.url).read(PATH, {})


def test_an_own_gateway_needs_no_look_up() -> None:
    with scripted(lambda _path, _body: done({})) as system:
        ours = client(f"{system.url}/gw", token_url=f"{system.url}/auth")
        assert ours.read(PATH, {}).is_done


@pytest.mark.parametrize("missing", ["login", "password", "tenant"])
def test_a_connection_names_what_it_lacks(missing: str) -> None:
    from include.adapters.ledger.yonbip.auth import Credentials
    from include.connections import Endpoint

    endpoint = Endpoint(
        "conn",
        "https://x",
        "" if missing == "login" else "key",
        "" if missing == "password" else SECRET,
        {} if missing == "tenant" else {"tenant_id": "t"},
    )
    with pytest.raises(FixConfig, match=missing) as refusal:
        Credentials.of(endpoint)
    assert SECRET not in str(refusal.value)


def test_secrets_are_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    """Not in logs, nor records, nor errors with all that they are chained to: the URL holds the token."""
    caplog.set_level(logging.DEBUG)
    said = []
    with (
        scripted(lambda _path, body: (500, "") if body.get("bad") else done({})) as system,
        recording() as heard,
    ):
        ours = client(system.url)
        ours.write(PATH, {"makerMobile": "13800000000"}, is_keyed=True)
        try:
            ours.write(PATH, {"bad": 1}, is_keyed=True)
        except OutcomeUnknown as error:
            said += traceback.format_exception(error)
    try:
        ours.write(PATH, {}, is_keyed=True)
    except RetryLater as error:
        said += traceback.format_exception(error)
    assert len(said) > 2
    text = "\n".join([caplog.text, *said, repr(ours), *(f"{each.request}{each.response}" for each in heard)])
    for secret in (SECRET, "app-key-7", "token+1", "token%2B1", "13800000000"):
        assert secret not in text
