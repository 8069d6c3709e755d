"""The Feishu adapter on a small site of the test's own: windows, the token, codes, forms, states and comments."""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from include.adapters.oa.feishu import FeishuSource, build_source
from include.adapters.oa.feishu.mapping import instance_of, read_form
from include.adapters.oa.feishu.options import FeishuOptions
from include.connections import Endpoint
from include.domain.document import DocumentStatus
from include.domain.errors import FixConfig, FixData, RetryLater
from include.form_mappings import read_mappings
from include.ports import RawDocument, SystemClock, WriteBackEntry, WriteBackOutcome
from include.settings import DEFAULT_CONFIG_DIR, Source
from tests.unit.adapters.feishu_site import EXPENSE, SECRET, Site, code, ok, running

MAPPINGS = DEFAULT_CONFIG_DIR / "examples" / "feishu" / "mappings" / "feishu"
NOW = datetime(2026, 2, 1, tzinfo=UTC)
START_MS = 1_767_225_600_000  # 2026-01-01 UTC
HOUR_MS = 3_600_000


class FixedClock(SystemClock):
    """The first of February; waits are not waited for."""

    def now(self) -> datetime:
        return NOW

    def sleep(self, seconds: float) -> None:
        assert seconds < 200


@pytest.fixture(scope="module")
def server() -> Iterator[Site]:
    with running() as site:
        yield site


@pytest.fixture
def site(server: Site) -> Site:
    server.instances.clear()
    server.reverted.clear()
    server.next_answers.clear()
    server.calls.clear()
    server.good.clear()
    return server


def source_at(site: Site, password: str = SECRET, **options: Any) -> FeishuSource:
    problems: list[str] = []
    mappings = read_mappings(MAPPINGS, problems)
    assert not problems
    fast = {"lists_per_min": 100_000, "details_per_min": 100_000}
    config = Source(
        id="feishu",
        system="feishu",
        connection="feishu_default",
        start=date(2026, 1, 1),
        mappings=mappings,
        options=fast | options,
    )
    return build_source(config, Endpoint("feishu_default", site.url, "cli_1", password), FixedClock())


def form(total: str = "310.05") -> str:
    """As Feishu writes it: the number unquoted, JSON in a text."""
    row = (
        '[{"id":"widget_type","type":"radioV2","value":"住宿费","option":{"key":"k2","text":"住宿费"}},'
        f'{{"id":"widget_amount","type":"amount","value":{total}}},'
        '{"id":"widget_day","type":"date","value":"2026-01-05T00:00:00+08:00"}]'
    )
    return (
        '[{"id":"widget_department","custom_id":"bm","name":"部门","type":"department",'
        '"value":[{"open_id":"od-31","name":"研发一部"}]},'
        f'{{"id":"widget_total","custom_id":"","name":"总金额","type":"amount","value":{total},"ext":{{"currency":"CNY"}}}},'
        f'{{"id":"widget_list","type":"fieldList","value":[{row}]}}]'
    )


def put(site: Site, identity: str, hours: float = 1, status: str = "APPROVED", **more: Any) -> None:
    created = START_MS + int(hours * HOUR_MS)
    steps = [{"type": "START", "create_time": str(created), "open_id": "ou_1"}]
    if status in {"APPROVED", "REJECTED"}:
        kind = "PASS" if status == "APPROVED" else "REJECT"
        # Text in one place, a number in the other: both occur.
        steps.append({"type": kind, "operate_time": created + HOUR_MS, "open_id": "ou_2", "task_id": "7"})  # type: ignore[dict-item]
    site.instances[identity] = {
        "approval_code": EXPENSE,
        "approval_name": "费用报销",
        "instance_code": identity,
        "serial_number": f"2026{identity}",
        "open_id": "ou_1",
        "user_id": "u1",
        "status": status,
        "start_time": str(created),
        "end_time": "0" if status == "PENDING" else created + HOUR_MS,
        "timeline": steps,
        "task_list": [{"id": "7", "node_name": "财务", "open_id": "ou_2"}],
        "form": form(),
    } | more


def read_all(source: FeishuSource, since: datetime = NOW - timedelta(days=40)) -> list[RawDocument]:
    return [raw for page in source.changes(since) for raw in page]


def status(source: FeishuSource, identity: str) -> DocumentStatus:
    found = source.details([RawDocument(identity, "expense", None, {})])
    return source.to_documents(found)[0].document.status


# -- windows ------------------------------------------------------------------------------------------


def test_a_month_is_read_in_windows_of_ten_hours_and_nothing_is_left_out(site: Site) -> None:
    for number in range(0, 743, 5):
        put(site, f"I{number}", hours=number)
    source = source_at(site, page_size=2)
    found = [raw.document_id for raw in read_all(source)]
    windows = {(q["start_time"], q["end_time"]) for p, q in site.calls if p.endswith("/instances")}
    assert sorted(found) == sorted(site.instances)
    assert len(windows) >= 75
    ordered = sorted((int(first), int(last)) for first, last in windows)
    assert all(later[0] < earlier[1] for earlier, later in itertools.pairwise(ordered))
    assert ordered[-1][1] >= NOW.timestamp() * 1000


def test_counts_and_ids_agree_and_settled_windows_are_read_once(site: Site) -> None:
    for number in range(0, 100, 10):  # on the edges of windows, where two lists have them
        put(site, f"I{number}", hours=number)
    source = source_at(site)
    until = datetime.fromtimestamp(START_MS / 1000, UTC) + timedelta(hours=45)
    counts = source.counts_created_until(until)
    assert [(c.form_type, c.documents) for c in counts] == [("expense", 5)]
    assert len(list(source.ids_created_until("expense", until))) == 5
    source.counts_created_until(NOW)
    before = len(site.calls)
    assert source.counts_created_until(NOW)[0].documents == 10
    assert len(site.calls) - before < 6


def test_a_list_without_an_end_is_refused(site: Site) -> None:
    endless = ok(instance_code_list=["I1"], page_token="same", has_more=True)
    site.next_answers += [("/instances", endless)] * 3
    with pytest.raises(RetryLater, match="page_token"):
        read_all(source_at(site))


# -- what changed -------------------------------------------------------------------------------------


def test_changes_are_in_order_and_an_edit_without_a_new_time_is_one(site: Site) -> None:
    for number in (30, 10, 20):
        put(site, f"I{number}", hours=number)
    source = source_at(site)
    assert [raw.document_id for raw in read_all(source)] == ["I10", "I20", "I30"]
    before = {raw.document_id: raw.updated_at for raw in read_all(source)}
    site.instances["I10"]["form"] = form("99.5")
    site.instances["I20"]["comment_list"] = [{"comment": "hello", "create_time": "1"}]
    after = {raw.document_id: raw.updated_at for raw in read_all(source)}
    assert [i for i in after if after[i] != before[i]] == ["I10"]


def test_submitters_are_master_data_and_are_read_with_the_changes(site: Site) -> None:
    put(site, "I1")
    source = source_at(site)
    assert ("staff", "ou_1") in {(record.kind, record.id) for record in source.master_data()}
    before = len(site.calls)
    assert [raw.document_id for raw in read_all(source)] == ["I1"]
    assert len(site.calls) == before


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("PENDING", DocumentStatus.IN_APPROVAL),
        ("APPROVED", DocumentStatus.APPROVED),
        ("REJECTED", DocumentStatus.REJECTED),
        ("CANCELED", DocumentStatus.NULLIFIED),
        ("DELETED", DocumentStatus.DELETED),
        ("OVERTIME_CLOSE", DocumentStatus.UNKNOWN),
    ],
)
def test_states(site: Site, said: str, meant: DocumentStatus) -> None:
    put(site, "I1", status=said)
    assert status(source_at(site), "I1") is meant


def test_a_revocation_is_found_by_query_and_has_no_time(site: Site) -> None:
    put(site, "I1")
    put(site, "I2")
    blind, source = source_at(site), source_at(site, reverted="query")
    site.reverted.add("I1")
    assert status(blind, "I1") is DocumentStatus.APPROVED
    assert "REVERTED" in blind.check()
    assert [status(source, i) for i in ("I1", "I2")] == [DocumentStatus.NULLIFIED, DocumentStatus.APPROVED]
    late = read_all(source, NOW)
    assert [(raw.document_id, raw.updated_at) for raw in late] == [("I1", None)]
    mapped = source.to_documents(source.details(late))
    assert mapped[0].document.status is DocumentStatus.NULLIFIED


def test_a_detail_that_says_so_itself_is_believed(site: Site) -> None:
    put(site, "I1", reverted=True)
    assert status(source_at(site), "I1") is DocumentStatus.NULLIFIED


def test_what_is_gone_is_deleted_where_it_was_known_and_nothing_else(site: Site) -> None:
    put(site, "I1")
    source = source_at(site)
    listed = read_all(source)
    del site.instances["I1"]
    mapped = source.to_documents(source.details(listed))
    assert mapped[0].document.status is DocumentStatus.DELETED
    assert source.details([RawDocument("I9", "expense", None, {})])[0].payload == {}


# -- forms --------------------------------------------------------------------------------------------


def test_a_form_is_read_to_the_cent_with_its_history(site: Site) -> None:
    put(site, "I1")
    source = source_at(site)
    mapped = source.to_documents(source.details([RawDocument("I1", "expense", None, {})]))[0]
    document = mapped.document
    assert not mapped.problems
    assert (document.gross, document.code, document.title) == (31005, "2026I1", "费用报销")
    assert document.department is not None
    assert document.department.code == "RD-1"
    assert [line.fee_type.code for line in document.lines if line.fee_type] == ["COST12"]
    assert [(s.action, s.node, s.operator_id) for s in document.approvals] == [
        ("submit", "", "ou_1"),
        ("agree", "财务", "ou_2"),
    ]
    assert document.approved_at == datetime(2026, 1, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize("bad", ["", "[", "{}", "7", "[" * 100_000, None, 5, "[1, null]"])
def test_a_form_that_cannot_be_read_is_a_problem_and_no_crash(bad: Any) -> None:
    payload = {"instance_code": "I1", "approval_code": EXPENSE, "status": "APPROVED", "form": bad}
    found = instance_of(payload, FeishuOptions())
    assert not found.fields
    assert (read_form(bad) is None) == bool(found.problems)


def test_odd_payloads_are_read_as_far_as_they_go() -> None:
    odd = [None, 1, "x", [], {}, [[]], {"a": 1}, True, "9" * 5000]
    names = ("status", "form", "timeline", "task_list", "start_time", "end_time", "open_id", "comment_list")
    for name in names:
        for value in odd:
            assert instance_of({"instance_code": "I1", name: value}, FeishuOptions()).id == "I1"
    widgets = [
        {"id": "a", "type": kind, "value": value} for kind in ("fieldList", "radioV2") for value in odd
    ]
    instance_of({"instance_code": "I1", "form": json.dumps(widgets)}, FeishuOptions())


def test_fields_by_custom_id_fall_back_to_the_id() -> None:
    payload = {"instance_code": "I1", "form": form()}
    assert set(instance_of(payload, FeishuOptions(field_code="custom_id")).fields) == {"bm", "widget_total"}


# -- trouble ------------------------------------------------------------------------------------------


def test_a_token_that_expires_under_way_is_replaced(site: Site) -> None:
    for number in range(6):
        put(site, f"I{number}", hours=number)
    source = source_at(site, page_size=2)
    found = set()
    for page in source.changes(NOW - timedelta(days=40)):
        site.good.clear()
        found |= {raw.document_id for raw in source.details(page)}
    assert found == set(site.instances)


@pytest.mark.parametrize(
    "answer", [code(99991400, "slow down"), code(1, "", 429), (502, b"<html>"), (200, b'{"code":0,"da'), None]
)
def test_a_read_is_tried_again(site: Site, answer: tuple[int, bytes] | None) -> None:
    put(site, "I1")
    site.next_answers += [("/instances/I1", answer)] * 2
    assert status(source_at(site), "I1") is DocumentStatus.APPROVED


@pytest.mark.parametrize(
    "answer", [code(60009, "no right"), code(1390001, "bad"), (302, b""), (404, b"nothing"), (403, b"{}")]
)
def test_what_will_not_get_better_says_what_to_do(site: Site, answer: tuple[int, bytes]) -> None:
    put(site, "I1")
    site.next_answers.append(("/instances/I1", answer))
    with pytest.raises(FixConfig, match="核对"):
        status(source_at(site), "I1")


def test_a_body_beyond_the_limit_is_not_read(site: Site) -> None:
    put(site, "I1", form=json.dumps(["x" * 2_000_000]))
    with pytest.raises(RetryLater, match="max_body_mb"):
        status(source_at(site, max_body_mb=1, attempts=1), "I1")


def test_the_detail_of_another_instance_is_not_taken(site: Site) -> None:
    put(site, "I1", instance_code="I2")
    with pytest.raises(RetryLater, match="I2"):
        status(source_at(site, attempts=1), "I1")


def test_secrets_are_in_no_log_and_no_error(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    wrong = "wrong-secret-5Tz"
    with pytest.raises(FixConfig, match="App Secret") as refused:
        source_at(site, password=wrong).check()
    put(site, "I1")
    source = source_at(site)
    status(source, "I1")
    site.next_answers.append(("/instances/I1", code(60009, f"no: t-{site.tokens} {SECRET}")))
    with pytest.raises(FixConfig) as other:
        status(source, "I1")
    told = caplog.text + str(refused.value) + str(other.value) + repr(source)
    assert not [secret for secret in (wrong, SECRET, f"Bearer t-{site.tokens}") if secret in told]
    assert f"t-{site.tokens}" not in str(other.value)


def test_an_approval_that_is_not_there_is_named(site: Site) -> None:
    site.next_answers.append(("/approvals/", code(60003, "gone")))
    with pytest.raises(FixConfig, match=EXPENSE):
        source_at(site).check()


# -- comments -----------------------------------------------------------------------------------------


def entry(identity: str, number: str = "记-12") -> WriteBackEntry:
    return WriteBackEntry(identity, number, "2026-01", NOW)


def comments(site: Site, identity: str) -> list[str]:
    return [json.loads(c["comment"])["text"] for c in site.instances[identity].get("comment_list", [])]


def test_numbers_are_commented_once_and_cleared(site: Site) -> None:
    put(site, "I1")
    put(site, "I2", status="PENDING")
    source = source_at(site, write_back="comment", comment_user="ou_9")
    for _ in range(2):
        results = source.write_back([entry("I1"), entry("I2"), entry("no/such?id")])
        assert [r.outcome.value for r in results] == ["written", "refused", "refused"]
    assert [text.partition(" /")[0] for text in comments(site, "I1")] == ["已生成凭证 记-12（2026-01）"]
    assert source.write_back([entry("I1", "")])[0].outcome is WriteBackOutcome.WRITTEN
    assert source.write_back([entry("I1")])[0].outcome is WriteBackOutcome.WRITTEN
    assert [text[:5] for text in comments(site, "I1")] == ["已生成凭证", "凭证已冲销", "已生成凭证"]
    made = [query for path, query in site.calls if path.endswith("/comments")]
    assert made[0] == {"user_id_type": "open_id", "user_id": "ou_9"}


def test_a_comment_whose_answer_was_lost_is_looked_for(site: Site) -> None:
    put(site, "I1")
    source = source_at(site, write_back="comment", comment_user="ou_9")
    site.next_answers.append(("/comments", None))
    assert source.write_back([entry("I1")])[0].outcome is WriteBackOutcome.WRITTEN
    assert len(comments(site, "I1")) == 1
    site.next_answers.append(("/comments", (500, b"")))
    assert source.write_back([entry("I1", "记-13")])[0].outcome is WriteBackOutcome.UNKNOWN


def test_writing_back_that_is_not_configured_says_so(site: Site) -> None:
    put(site, "I1")
    result = source_at(site).write_back([entry("I1")])[0]
    assert result.outcome is WriteBackOutcome.REFUSED
    assert "comment_user" in result.message


# -- options ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"colour": 1}, "page_size"),
        ({"page_size": 101}, "options.page_size"),
        ({"window_h": 11}, "options.window_h"),
        ({"write_back": "comment"}, "comment_user"),
        ({"window_h": 0.5, "window_overlap_s": 1800}, "window_overlap_s"),
        ({"token_path": "//else.example/x?y"}, "options.token_path"),
    ],
)
def test_wrong_options_name_the_key(site: Site, options: dict[str, Any], said: str) -> None:
    with pytest.raises(FixConfig, match=said):
        source_at(site, **options)


def test_one_form_can_be_read_for_drafting(site: Site) -> None:
    put(site, "I1")
    site.next_answers.append(
        (
            "/approvals/",
            ok(form=json.dumps([{"id": "widget_total", "option": [{"value": "a", "text": "甲"}]}])),
        )
    )
    assert source_at(site).form_instance("I1").fields["widget_total"].options == {"a": "甲"}
    with pytest.raises(FixData, match="instance_code"):
        source_at(site).form_instance("I9")
