"""The emulated NC exchange platform: encodings of files, encodings and shapes of answers, and its switches."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

import pytest

from include.emulators.nc import ADMIN_KEY
from tests.integration.nc_client import Caller, file, owed, told, travel, voucher
from tests.integration.nc_fixtures import site

__all__ = ["site"]
DECLARATION = '<?xml version="1.0" encoding="{0}"?>'


@pytest.mark.parametrize(
    ("declaration", "content_type", "codec"),
    [
        (DECLARATION.format("GBK"), "text/xml", "gbk"),
        (DECLARATION.format("gb2312"), "text/xml", "gbk"),
        (DECLARATION.format("GBK"), "text/xml;charset=UTF-8", "gbk"),
        ("", 'text/xml; charset="gbk"', "gbk"),
        ('<?xml version="1.0"?>', "text/xml;charset=GB18030", "gb18030"),
        (DECLARATION.format("UTF-8"), "text/xml", "utf-8-sig"),
        (DECLARATION.format("UTF-8"), "application/xml", "utf-8"),
        ("", "", "utf-8"),
    ],
)
def test_encodings_of_files(site: Caller, declaration: str, content_type: str, codec: str) -> None:
    key = f"G-{declaration}-{content_type}".translate(str.maketrans('<>"', "   "))
    body = (declaration + file(voucher(key, travel(explanation="餐费镕"), owed()))).encode(codec)
    (only,) = told(site.post(body, content_type=content_type).content)
    assert only.ok, only.text
    assert site.found(key.strip())[0]["lines"][0]["explanation"] == "餐费镕"


@pytest.mark.parametrize(
    ("declared_in", "declared", "header"),
    [
        ("both", b'encoding="GBK"', "text/xml;charset=GBK"),
        ("xml", b'encoding="GBK"', "text/xml"),
        ("header", b'version="1.0"?>', "text/xml;charset=GBK"),
    ],
)
def test_answers_in_gbk(site: Caller, declared_in: str, declared: bytes, header: str) -> None:
    with site.switched(answer_encoding="GBK", declared_in=declared_in):
        answer = site.post(file(voucher("😀")))
    assert declared in answer.content.splitlines()[0]
    assert answer.headers["Content-Type"] == header
    text = answer.content.decode("gbk")
    assert "记账凭证" in text or "已经导入过" in text
    assert "&#128512;" in text


def test_answers_in_the_encoding_of_the_file(site: Caller) -> None:
    with site.switched(answer_encoding="as_sent"):
        for codec in ("GBK", "UTF-8"):
            answer = site.post((DECLARATION.format(codec) + file(voucher(""))).encode(codec))
            assert answer.headers["Content-Type"] == f"text/xml;charset={codec}"
            assert "记账凭证" in answer.content.decode(codec)


def test_other_shapes_of_answers(site: Caller) -> None:
    changes = {
        "answer": "attributes",
        "success_flag": "issuccessful",
        "success_values": "true/false",
        "ok_code": "0",
        "error_code": "2",
        "with_billpk": True,
        "content": "pk",
        "partial_is_success": True,
    }
    with site.switched(**changes):
        body = site.post(file(voucher("J-1"), voucher("J-2", travel("1"), owed("2")))).content
    root = ET.fromstring(body)  # noqa: S314  (our own server's)
    good, bad = (dict(each.attrib) for each in root)
    key = site.found("J-1")[0]["pk_voucher"]
    assert root.get("issuccessful") == "true"
    assert (good["bdocid"], good["resultcode"], good["content"], good["billpk"]) == ("J-1", "0", key, key)
    assert (bad["resultcode"], bad["content"], bad["billpk"]) == ("2", "", "")
    assert "借贷不平衡" in bad["resultdescription"]


def test_answers_in_another_order(site: Caller) -> None:
    with site.switched(answer_order="reversed"):
        assert [each.id for each in site.send(voucher("J-7"), voucher("J-8"))] == ["J-8", "J-7"]


def test_the_root_sums_up(site: Caller) -> None:
    good, bad = voucher("J-3"), voucher("J-4", travel("1"), owed("2"))
    for vouchers, flag in (([good], "Y"), ([bad], "N"), ([voucher("J-5"), bad], "N")):
        root = ET.fromstring(site.post(file(*vouchers)).content)  # noqa: S314  (our own server's)
        assert (root.get("successful"), root.get("sender"), root.get("roottag")) == (flag, "OA", "sendresult")
    with site.switched(success_flag="", content="empty"):
        answer = site.post(file(voucher("J-6"))).content
    assert b"successful" not in answer
    assert told(answer)[0].content == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"nothing": 1},
        {"answer": "json"},
        {"ok_code": "-32000"},
        {"senders": "OA"},
        {"senders": ["O|A"]},
        {"soap": 1},
        {"checktypes": {"1": ["department"], "2": ["department"]}},
        {"success_flag": "a b"},
        {"max_vouchers": -1},
    ],
)
def test_switches_that_there_are_not(site: Caller, changes: dict[str, Any]) -> None:
    answer = site.http.post(
        f"{site.url}/__emulator__/options",
        json=changes,
        headers={"X-Emulator-Key": ADMIN_KEY},
        timeout=20,
    )
    assert answer.status_code == 400
    assert site.one(voucher("")).ok
