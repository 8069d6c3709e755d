"""What the gateway makes of a tenant's answers: repeats, keys that were cut, lists that move, periods that are closed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from include.adapters.ledger.yonbip import YonbipGateway, build_ledger
from include.connections import Endpoint
from include.domain.errors import FixConfig, FixData, OutcomeUnknown, RetryLater
from include.domain.money import Money
from include.domain.period import FiscalPeriod, PeriodState
from include.domain.voucher import PostingOutcome, PostingResult, Voucher
from include.ports import ProofLevel
from include.settings import Book, Ledger, load_settings
from tests.unit.adapters.yonbip_parts import (
    OPTIONS,
    Reply,
    Scripted,
    claim,
    client,
    done,
    line,
    options,
    refused,
    scripted,
    voucher,
)

CHART = ["1002", "222101", "2241", "6602", "660201"]


@dataclass
class Tenant:
    """As little of a tenant as these tests need: it keeps what it is told, and says what it is told to say."""

    records: list[dict[str, Any]] = field(default_factory=list)
    save: list[Reply] = field(default_factory=list)
    """Answers to the next saves; none left: they are kept."""
    keeps: int = 1000
    """Characters of the key that are kept."""
    shows_key: bool = True
    moves: int = 0
    """In how many lists a voucher moves from the page that comes to the one that is gone."""
    deleted: list[str] = field(default_factory=list)
    page_calls: int = 0

    def __call__(self, path: str, body: Mapping[str, Any]) -> Reply:
        match path.rpartition("/")[2]:
            case "accbook":
                return done(
                    [{"id": "b", "code": "001", "name": "示例", "accsubjectchart": "c", "accperiodscheme": 7}]
                )
            case "accperiod":
                codes = [f"2026-{month:02d}" for month in range(1, 14)]
                return 200, json.dumps({"success": True, "data": [{"code": code} for code in codes]})
            case "accsubjectByPager":
                return done(
                    {"recordList": [{"code": code, "name": code} for code in CHART], "recordCount": 5}
                )
            case "queryVouchers":
                return self.page(body)
            case "queryVoucherById":
                found = [each for each in self.records if each["header"]["id"] == body["voucherId"]]
                return done(found[0]["header"]) if found else refused("404", "凭证不存在！")
            case "del":
                self.deleted += body["ids"]
                self.records = [each for each in self.records if each["header"]["id"] not in body["ids"]]
                return done({})
            case _:
                return self.save.pop(0) if self.save else done(self.kept(body))

    def page(self, body: Mapping[str, Any]) -> Reply:
        self.page_calls += 1
        index, size = (int(body["pager"][name]) for name in ("pageIndex", "pageSize"))
        there = [
            each
            for each in self.records
            if body["periodStart"] <= each["header"]["period"] <= body["periodEnd"]
        ]
        if index > 1 and self.moves:
            self.moves -= 1
            there = [*there[1:], there[0]]
        return done({"recordList": there[(index - 1) * size : index * size], "recordCount": str(len(there))})

    def kept(self, body: Mapping[str, Any], status: str = "01") -> dict[str, Any]:
        """Keep a voucher as it was sent; gives what a save answers."""
        number = len(self.records) + 1
        head = {
            "id": f"v{number}",
            "billcode": number,
            "voucherstatus": status,
            "maketime": body["makeTime"],
            "period": body["period"],
            "vouchertype": {"code": body["voucherTypeCode"]},
        }
        if self.shows_key:
            head["description"] = body.get("description", "")[: self.keeps]
        lines = [
            {
                "accsubject": {"code": each["accsubjectCode"]},
                "debit_org": each.get("debitOrg", 0),
                "credit_org": each.get("creditOrg", 0),
                "clientauxiliary": [
                    {"code": value["filedCode"], "data": {"code": value["valueCode"], "name": ""}}
                    for value in each.get("clientAuxiliaryList", ())
                ],
            }
            for each in body["bodies"]
        ]
        self.records.append({"header": head, "body": lines})
        total = sum(each.get("debitOrg", 0) for each in body["bodies"])
        return {
            "voucherId": head["id"],
            "voucherStatus": status,
            "billCode": number,
            "totalDebitOrg": round(total, 2),
        }


@pytest.fixture
def tenant() -> Tenant:
    return Tenant()


@pytest.fixture
def system(tenant: Tenant) -> Iterator[Scripted]:
    with scripted(tenant) as running:
        yield running


def gateway_on(system: Scripted, **changes: Any) -> YonbipGateway:
    return YonbipGateway(client(system.url), options(**changes), "CNY")


def numbered(document: str, minor: int = 100) -> Voucher:
    ours = voucher()
    lines = (line(1, claim()[0].side, "660201", minor), line(2, claim()[2].side, "1002", minor))
    return replace(ours, key=replace(ours.key, document_id=document), lines=lines)


def only(results: Any) -> PostingResult:
    (result,) = results
    return result


def test_what_is_saved_is_created_and_numbered_as_it_is_found(system: Scripted) -> None:
    gateway, ours = gateway_on(system), voucher()
    result = only(gateway.post([ours]))
    (there,) = gateway.find([ours])[ours.key]
    assert result == PostingResult(ours.key, PostingOutcome.CREATED, there.ledger_id, there.number)
    assert there.number == "记-1"
    assert gateway.numbers(["v1", "v9"]) == {"v1": "记-1"}


@pytest.mark.parametrize("code", ["10004", "100004", 100004, "404", "999"])
def test_a_repeat_that_is_refused_exists_if_its_content_is_the_same(
    system: Scripted, tenant: Tenant, code: Any
) -> None:
    gateway, ours = gateway_on(system), voucher()
    gateway.post([ours])
    tenant.save = [refused(code, "重复提交"), refused(code, "重复提交")]

    same = only(gateway.post([ours]))
    other = only(gateway.post([replace(ours, lines=numbered("x").lines)]))

    assert (same.outcome, same.ledger_id, same.number) == (PostingOutcome.EXISTS, "v1", "记-1")
    assert (other.outcome, other.ledger_id) == (PostingOutcome.CONFLICT, "v1")
    assert len(tenant.records) == 1


def test_a_guard_that_gives_back_the_first_content_is_a_conflict(system: Scripted, tenant: Tenant) -> None:
    gateway, ours = gateway_on(system), voucher()
    first = {"voucherId": "v1", "voucherStatus": "01", "billCode": 1, "totalDebitOrg": 1000.1}
    gateway.post([ours])
    tenant.save = [done(first)]

    result = only(gateway.post([replace(ours, lines=numbered("x").lines)]))

    assert (result.outcome, result.ledger_id) == (PostingOutcome.CONFLICT, "v1")


@pytest.mark.parametrize("reply", [refused("10004"), refused("100004")])
def test_a_repeat_that_is_not_listed_stays_unknown(system: Scripted, tenant: Tenant, reply: Reply) -> None:
    tenant.save = [reply]
    assert only(gateway_on(system).post([voucher()])).outcome is PostingOutcome.UNKNOWN


def test_a_refusal_is_told_in_yonbips_words(system: Scripted, tenant: Tenant) -> None:
    tenant.save = [refused("404", "凭证保存不成功,制单人不存在！")]
    result = only(gateway_on(system).post([voucher()]))
    assert result.outcome is PostingOutcome.REJECTED
    assert "制单人不存在" in result.message


@pytest.mark.parametrize("data", [{}, None, {"voucherId": ""}, "OK"])
def test_a_success_without_an_id_is_none(system: Scripted, tenant: Tenant, data: Any) -> None:
    tenant.save = [done(data)]
    with pytest.raises(OutcomeUnknown):
        gateway_on(system).post([voucher()])


def test_one_that_was_only_put_aside_is_no_posting(system: Scripted, tenant: Tenant) -> None:
    tenant.save = [done({"voucherId": "v1", "voucherStatus": "00", "totalDebitOrg": 1000.10})]
    assert only(gateway_on(system).post([voucher()])).outcome is PostingOutcome.UNKNOWN


def test_a_key_that_is_cut_is_taken_back_at_the_first_voucher(system: Scripted, tenant: Tenant) -> None:
    tenant.keeps = 20
    result = only(gateway_on(system).post([voucher()]))
    assert result.outcome is PostingOutcome.REJECTED
    assert "20" in result.message
    assert "key_length" in result.message
    assert tenant.deleted == ["v1"]
    assert not tenant.records


def test_the_key_is_read_back_once(system: Scripted) -> None:
    gateway = gateway_on(system)
    for document in ("a", "b", "c"):
        assert only(gateway.post([numbered(document)])).outcome is PostingOutcome.CREATED
    assert system.count("queryVoucherById") == 1


def test_trouble_after_the_first_of_a_batch_is_unknown_for_all(system: Scripted, tenant: Tenant) -> None:
    gateway, batch = gateway_on(system, batch_size=3), [numbered("a"), numbered("b")]
    gateway.chart()
    tenant.save = [refused("310037")]
    with pytest.raises(FixConfig):
        gateway.post(batch)
    gateway.post([numbered("z")])

    answers = iter([None, refused("310037")])
    real = system.script

    def script(path: str, body: Mapping[str, Any]) -> Reply:
        reply = next(answers) if path.endswith("addVoucher") else None
        return reply or real(path, body)

    system.script = script
    with pytest.raises(OutcomeUnknown):
        gateway.post(batch)
    assert set(gateway.find(batch)) == {batch[0].key}


def test_a_list_without_the_key_is_a_matter_of_configuration_not_a_no(
    system: Scripted, tenant: Tenant
) -> None:
    tenant.shows_key = False
    gateway = gateway_on(system)
    tenant.kept({"makeTime": "2026-03-01", "period": "2026-03", "voucherTypeCode": "1", "bodies": []})
    with pytest.raises(FixConfig, match="description"):
        gateway.find([voucher()])


def test_a_list_that_moves_is_read_until_it_is_whole(system: Scripted, tenant: Tenant) -> None:
    gateway = gateway_on(system, page_size=2)
    for document in "abcde":
        gateway.post([numbered(document)])
    tenant.moves = 2

    pages = list(gateway.vouchers(FiscalPeriod(2026, 3)))

    assert sorted(each.ledger_id for page in pages for each in page) == ["v1", "v2", "v3", "v4", "v5"]


def test_a_list_that_never_settles_fails_and_ends(system: Scripted, tenant: Tenant) -> None:
    gateway = gateway_on(system, page_size=2)
    for document in "abcde":
        gateway.post([numbered(document)])
    tenant.moves = 10**6
    with pytest.raises(RetryLater):
        list(gateway.vouchers(FiscalPeriod(2026, 3)))
    assert tenant.page_calls < 100


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"recordList": []},
        {"recordList": {}, "recordCount": 0},
        {"recordList": [1], "recordCount": 1},
    ],
)
def test_a_list_that_is_none_is_no_absence(system: Scripted, data: Any) -> None:
    gateway = gateway_on(system)
    gateway.chart()
    system.script = lambda _path, _body: done(data)
    with pytest.raises(RetryLater):
        gateway.find([voucher()])


def test_a_period_is_known_to_be_closed_once_yonbip_has_said_so(system: Scripted, tenant: Tenant) -> None:
    gateway, ours = gateway_on(system), voucher()
    tenant.save = [refused("404", "凭证保存不成功,会计期间2026-03已结账！")]

    assert only(gateway.post([ours])).outcome is PostingOutcome.REJECTED

    assert {each.code for each in gateway.periods() if each.state is PeriodState.CLOSED} == {"2026-03"}
    found = gateway.period_of(ours.date)
    assert found is not None
    assert found.state is PeriodState.CLOSED
    assert only(gateway.post([ours])).outcome is PostingOutcome.CREATED, "reopened meanwhile"
    assert all(each.state is PeriodState.OPEN for each in gateway.periods())


def test_adjustment_periods_are_left_to_accountants(system: Scripted) -> None:
    assert [each.code for each in gateway_on(system).periods()][-1] == "2026-12"


def test_the_documented_example_of_a_period_is_a_text(system: Scripted) -> None:
    real = system.script

    def script(path: str, body: Mapping[str, Any]) -> Reply:
        if path.endswith("accperiod"):
            text = "{code: 2020-04, name: 2020-04, id: 2110181413671168}"
            return 200, json.dumps({"code": "200", "success": "true", "data": text, "total": "1"})
        return real(path, body)

    system.script = script
    assert [each.code for each in gateway_on(system).periods()] == ["2020-04"]


def test_a_book_that_is_not_there_is_named(system: Scripted) -> None:
    with pytest.raises(FixConfig, match="999"):
        gateway_on(system, book="999").check()


def test_only_what_is_put_aside_may_be_deleted_and_nothing_can_be_completed(
    system: Scripted, tenant: Tenant
) -> None:
    gateway, aside, saved = gateway_on(system), numbered("a"), numbered("b")
    gateway.post([aside])
    tenant.records[0]["header"]["voucherstatus"] = "00"
    gateway.post([saved])
    (draft,), (posted,) = gateway.find([aside])[aside.key], gateway.find([saved])[saved.key]

    with pytest.raises(FixData, match="v1"):
        gateway.complete([draft])
    with pytest.raises(FixData):
        gateway.discard([draft, posted])
    assert not tenant.deleted
    assert list(gateway.complete([posted])) == [posted]
    gateway.discard([draft])
    gateway.discard([draft])
    assert tenant.deleted == ["v1"]


def test_a_voucher_moved_into_the_next_period_is_still_found(system: Scripted, tenant: Tenant) -> None:
    gateway, ours = gateway_on(system), voucher()
    gateway.post([ours])
    tenant.records[0]["header"] |= {"period": "2026-04", "maketime": "2026-04-01"}
    assert set(gateway.find([ours])) == {ours.key}


def test_without_a_key_field_date_and_total_find_it(system: Scripted) -> None:
    gateway, ours = gateway_on(system, key_field=""), voucher()
    gateway.post([ours])
    (found,) = gateway.find([ours])[ours.key]
    assert found.key is None
    assert not gateway.find([numbered("other", 5)])


@pytest.mark.parametrize(
    ("changes", "level"),
    [
        ({}, ProofLevel.SEARCHABLE_REFERENCE),
        ({"business_id": "refused"}, ProofLevel.NATIVE_KEY),
        ({"business_id": "none"}, ProofLevel.SEARCHABLE_REFERENCE),
        ({"key_field": ""}, ProofLevel.DATE_AND_AMOUNT),
        ({"key_field": "", "business_id": "refused"}, ProofLevel.DATE_AND_AMOUNT),
    ],
)
def test_a_proof_is_no_better_than_what_the_tenant_was_tried_for(
    system: Scripted, changes: dict[str, Any], level: ProofLevel
) -> None:
    assert gateway_on(system, **changes).proof_level is level


def test_red_and_blue_cancel_in_the_balance(system: Scripted) -> None:
    gateway, blue = gateway_on(system, batch_size=2), voucher()
    red = replace(blue, key=replace(blue.key, event="expense_claim.reversal"), lines=claim(sign=-1))
    gateway.post([blue])
    before = {each.account: each for each in gateway.trial_balance(FiscalPeriod(2026, 3))}
    gateway.post([red])
    assert before["660201"].debit_minor == Money(94_000, "CNY").minor
    assert not gateway.trial_balance(FiscalPeriod(2026, 3))


def book_with(**given: Any) -> Book:
    ledger = Ledger(system="yonbip", connection="yonbip_default", **given)
    return load_settings().book("acme").model_copy(update={"ledger": ledger})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"options": {}}, "book"),
        ({"options": OPTIONS | {"words": {}}}, "words"),
        ({"options": OPTIONS | {"key_field": "businessId"}}, "key_field"),
        ({"options": OPTIONS | {"colour": "red"}}, "colour"),
        ({"options": OPTIONS, "create_missing": ("employee",)}, "create_missing"),
    ],
)
def test_wrong_options_are_named_with_the_right_ones(given: dict[str, Any], said: str) -> None:
    endpoint = Endpoint("c", "https://x", "k", "s", {"tenant_id": "t"})
    with pytest.raises(FixConfig, match=said):
        build_ledger(book_with(**given), endpoint)
