"""DingTalk's platform as a small server in this process: lists, tokens that end, what is revoked, changed, refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from include.adapters.oa.dingtalk import DingTalkSource, build_source
from include.connections import Endpoint
from include.domain.document import DocumentStatus, SourceDocument
from include.domain.errors import FixConfig, FixData, RetryLater
from include.form_mappings import read_mappings
from include.ports import RawDocument, WriteBackEntry, WriteBackOutcome
from include.settings import Source
from tests.unit.adapters.dingtalk_site import (
    KEY,
    LIST,
    NOW,
    ONE,
    SECRET,
    Platform,
    StandingClock,
    form,
    serving,
)

EXAMPLE = Path(__file__).parents[3] / "include" / "config" / "examples" / "dingtalk" / "mappings" / "dingtalk"


@pytest.fixture(scope="module")
def server() -> Iterator[ThreadingHTTPServer]:
    with serving() as running:
        yield running


@pytest.fixture
def platform(server: ThreadingHTTPServer) -> Platform:
    server.platform = Platform()  # type: ignore[attr-defined]
    return server.platform  # type: ignore[attr-defined,no-any-return]


@pytest.fixture
def made(server: ThreadingHTTPServer, platform: Platform) -> Iterator[Any]:
    sources: list[DingTalkSource] = []

    def make(start: str = "2026-01-01", secret: str = SECRET, **options: Any) -> DingTalkSource:
        source = Source(
            id="dingtalk",
            system="dingtalk",
            connection="dingtalk_default",
            start=date.fromisoformat(start),
            options=options,
            mappings=read_mappings(EXAMPLE, []),
        )
        endpoint = Endpoint("dingtalk_default", f"http://127.0.0.1:{server.server_port}", KEY, secret)
        sources.append(build_source(source, endpoint, StandingClock()))
        return sources[-1]

    yield make
    for source in sources:
        source.close()


def documents(source: DingTalkSource, since: datetime) -> dict[str, SourceDocument]:
    """What the store would hold after a run: of what comes twice the last."""
    found = {}
    for page in source.changes(since):
        for mapped in source.to_documents(source.details(page)):
            found[mapped.document.document_id] = mapped.document
    return found


def test_a_year_is_listed_in_slices_and_nothing_is_left_out(platform: Platform, made: Any) -> None:
    for number in range(70):
        platform.add(f"i{number:03}", NOW - timedelta(days=number * 4, minutes=number))
    found = documents(made(start="2026-01-01"), datetime(2026, 1, 1, tzinfo=UTC))
    assert set(found) == set(platform.instances)
    assert all(each.status is DocumentStatus.APPROVED for each in found.values())
    assert all(each.gross == 128_050 for each in found.values())
    moments = [raw.updated_at for page in made().changes(datetime(2026, 1, 1, tzinfo=UTC)) for raw in page]
    assert moments == sorted(moments)


def test_a_slice_with_too_many_is_halved(platform: Platform, made: Any) -> None:
    for number in range(350):
        platform.add(f"i{number:03}", NOW - timedelta(minutes=number))
    source = made(start="2026-11-20", max_ids=100)
    assert set(source.ids_created_until("expense", NOW)) == set(platform.instances)
    counts = {count.form_type: count.documents for count in source.counts_created_until(NOW)}
    assert counts["expense"] == 350


def test_a_list_without_end_or_beyond_what_is_listed_is_refused(platform: Platform, made: Any) -> None:
    platform.is_endless = True
    with pytest.raises(RetryLater, match="没有尽头"):
        list(made().ids_created_until("expense", NOW))
    with pytest.raises(FixConfig, match="start"):
        list(made(start="2025-11-01").ids_created_until("expense", NOW))


def test_what_was_approved_long_after_it_began_is_found(platform: Platform, made: Any) -> None:
    platform.add("late", NOW - timedelta(days=80), finishTime="2026-11-24T11:59Z")
    platform.add("old", NOW - timedelta(days=80))
    assert set(documents(made(), NOW - timedelta(hours=1))) == {"late"}


def test_two_changes_within_a_minute_are_two(platform: Platform, made: Any) -> None:
    detail = platform.add("i1", NOW - timedelta(minutes=2), status="RUNNING", result="", finishTime="")
    source = made()
    ((listed,),) = source.changes(NOW - timedelta(hours=1))
    (first,) = source.details([listed])
    assert first.updated_at == listed.updated_at
    detail |= {"status": "COMPLETED", "result": "agree", "finishTime": detail["createTime"]}
    (second,) = source.details([first])
    assert first.updated_at != second.updated_at
    assert source.to_documents([second])[0].document.status is DocumentStatus.APPROVED


@pytest.mark.parametrize(
    ("status", "result", "expected"),
    [
        ("COMPLETED", "agree", DocumentStatus.APPROVED),
        ("COMPLETED", "refuse", DocumentStatus.REJECTED),
        ("COMPLETED", "", DocumentStatus.UNKNOWN),
        ("RUNNING", "", DocumentStatus.IN_APPROVAL),
        ("NEW", "", DocumentStatus.IN_APPROVAL),
        ("TERMINATED", "", DocumentStatus.NULLIFIED),
        ("PAUSED", "", DocumentStatus.UNKNOWN),
    ],
)
def test_completed_alone_is_no_approval(
    platform: Platform, made: Any, status: str, result: str, expected: DocumentStatus
) -> None:
    platform.add("i1", NOW - timedelta(hours=3), status=status, result=result)
    assert documents(made(), NOW - timedelta(days=1))["i1"].status is expected


@pytest.mark.parametrize("main", ["i1", ["i1"], ""])
def test_a_revoked_document_is_void(platform: Platform, made: Any, main: Any) -> None:
    original = platform.add("i1", NOW - timedelta(days=60))
    revoke = platform.add("r1", NOW - timedelta(hours=5), bizAction="REVOKE")
    if main:
        revoke["mainProcessInstanceId"] = main
    else:
        original["attachedProcessInstanceIds"] = ["r1"]
    source = made()
    (again,) = source.details([RawDocument("i1", "expense", None, {})]) if not main else (None,)
    found = documents(source, NOW - timedelta(days=1))
    if again is not None:
        found["i1"] = source.to_documents([again])[0].document
    assert found["i1"].status is DocumentStatus.NULLIFIED


def test_a_refused_revocation_changes_nothing(platform: Platform, made: Any) -> None:
    platform.add("i1", NOW - timedelta(days=2))
    more = {"bizAction": "REVOKE", "mainProcessInstanceId": "i1", "result": "refuse"}
    platform.add("r1", NOW - timedelta(hours=5), **more)
    found = documents(made(), NOW - timedelta(days=10))
    assert found["i1"].status is DocumentStatus.APPROVED
    assert found["r1"].status is DocumentStatus.NULLIFIED


def test_a_modification_is_the_same_document_with_other_contents(platform: Platform, made: Any) -> None:
    platform.add("i1", NOW - timedelta(days=60))
    more = {"bizAction": "MODIFY", "mainProcessInstanceId": "i1", "formComponentValues": form("99.00")}
    platform.add("m1", NOW - timedelta(hours=5), **more)
    found = documents(made(), NOW - timedelta(days=1))
    assert found["i1"].gross == 9900
    assert found["i1"].status is DocumentStatus.APPROVED
    assert found["m1"].status is DocumentStatus.NULLIFIED


def test_a_revocation_of_nobody_knows_what_is_quarantined(platform: Platform, made: Any) -> None:
    platform.add("r1", NOW - timedelta(hours=5), bizAction="REVOKE")
    source = made()
    ((raw,),) = source.changes(NOW - timedelta(days=1))
    (mapped,) = source.to_documents(source.details([raw]))
    assert mapped.document.status is DocumentStatus.UNKNOWN
    assert "dingtalk.change.unlinked" in {problem.code for problem in mapped.problems}


def test_tables_in_both_shapes_and_broken_ones(platform: Platform, made: Any) -> None:
    cells = json.loads(form("88")[2]["value"])[0]
    rows = [{"rowNumber": "TableField_1_A", "rowValue": cells}]
    platform.add("new", NOW - timedelta(hours=5), formComponentValues=form("88", rows))
    broken = form("88")
    broken[2]["value"] = "[[{" + "[" * 5000
    platform.add("broken", NOW - timedelta(hours=5), formComponentValues=broken)
    found = documents(made(), NOW - timedelta(days=1))
    assert [(line.line_id, line.amount) for line in found["new"].lines] == [("TableField_1_A", 8800)]
    assert found["broken"].lines == ()


def test_a_token_that_ends_in_the_middle_is_replaced(platform: Platform, made: Any) -> None:
    platform.add("i1", NOW - timedelta(hours=3))
    source = made()
    pages = source.changes(NOW - timedelta(days=1))
    platform.tokens += 1  # somebody else's: ours is refused from here on
    assert [raw.document_id for page in pages for raw in page] == ["i1"]


@pytest.mark.parametrize(
    ("status", "body"),
    [(429, b""), (503, b"<html>"), (200, b'{"result": '), (400, b'{"code":"Throttling.Api","message":"x"}')],
)
def test_what_passes_is_tried_again(platform: Platform, made: Any, status: int, body: bytes) -> None:
    platform.add("i1", NOW - timedelta(hours=3))
    platform.faults += [(ONE, status, body), (LIST, status, body)]
    assert set(documents(made(), NOW - timedelta(days=1))) == {"i1"}
    platform.faults += [(ONE, status, body)] * 9
    with pytest.raises(RetryLater):
        made().details([RawDocument("i1", "expense", None, {})])


@pytest.mark.parametrize(
    ("status", "body", "match"),
    [
        (403, b'{"code":"Forbidden.AccessDenied","message":"no"}', "权限"),
        (302, b"", "地址"),
        (404, b"<html>", "地址"),
        (400, b'{"code":"InvalidParameter","message":"no"}', "templates"),
    ],
)
def test_what_does_not_pass_is_for_the_engineer(
    platform: Platform, made: Any, status: int, body: bytes, match: str
) -> None:
    platform.faults += [(LIST, status, body)]
    with pytest.raises(FixConfig, match=match):
        made().check()


def test_secrets_are_in_no_message(platform: Platform, made: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    with pytest.raises(FixConfig) as refused:
        made(secret="wrong-secret-7").check()
    platform.faults += [(LIST, 400, b'{"code":"x","message":"token-1 of s3cret-of-the-app"}')]
    with pytest.raises(FixConfig) as told:
        made().check()
    text = f"{refused.value}{told.value}{caplog.text}{made()!r}"
    assert not [secret for secret in ("wrong-secret-7", SECRET, "token-1") if secret in text]


def test_an_instance_that_is_gone(platform: Platform, made: Any) -> None:
    platform.add("i1", NOW - timedelta(hours=3))
    source = made()
    ((raw,),) = source.changes(NOW - timedelta(days=1))
    del platform.instances["i1"]
    (gone,) = source.details([raw])
    assert source.to_documents([gone])[0].document.status is DocumentStatus.DELETED
    assert source.details([RawDocument("i9", "expense", None, {})])[0].payload == {}
    with pytest.raises(FixData, match="processInstanceId"):
        source.form_instance("i9")


@pytest.mark.parametrize("loses_comments", [False, True])
def test_a_number_is_said_once(platform: Platform, made: Any, loses_comments: bool) -> None:
    records = platform.add("i1", NOW - timedelta(hours=3))["operationRecords"]
    platform.add("i2", NOW - timedelta(hours=3), result="refuse")
    platform.loses_comments = loses_comments
    source = made(write_back="comment", comment_user="fin01")
    entry = WriteBackEntry("i1", "记-12", "2026-11", NOW)
    for _ in range(2):
        assert source.write_back([entry])[0].outcome is WriteBackOutcome.WRITTEN
    assert len(records) == 1
    assert "记-12" in records[0]["remark"]
    assert source.write_back([WriteBackEntry("i1", "", "", NOW)])[0].outcome is WriteBackOutcome.WRITTEN
    assert "冲销" in records[-1]["remark"]
    refused = source.write_back([WriteBackEntry("i2", "记-13", "2026-11", NOW)])
    assert refused[0].outcome is WriteBackOutcome.REFUSED


def test_options_are_closed(made: Any) -> None:
    with pytest.raises(FixConfig, match="slice_days"):
        made(slice=3)
    with pytest.raises(FixConfig, match="comment_user"):
        made(write_back="comment")
