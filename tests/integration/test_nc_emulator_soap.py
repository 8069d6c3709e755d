"""The emulated NC exchange platform as a web service: by suds, which knows the WSDL alone, and by envelopes written by
hand.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any
from xml.sax.saxutils import escape

import pytest
from suds.client import Client as SudsClient

from tests.integration.nc_client import Caller, file, owed, told, travel, voucher
from tests.integration.nc_fixtures import site

__all__ = ["site"]
SERVICE = "/uapws/service/nc.itf.pfxx.synchdata.IPfxxWs"
NAMESPACE = "http://synchdata.pfxx.itf.nc/IPfxxWs"
SOAP11 = "http://schemas.xmlsoap.org/soap/envelope/"
SOAP12 = "http://www.w3.org/2003/05/soap-envelope"


@pytest.fixture(scope="module")
def suds(site: Caller) -> Any:
    return SudsClient(f"{site.url}{SERVICE}?wsdl", cache=None)


def envelope(
    document: str,
    plugin: str = "PFXX",
    *,
    namespace: str = SOAP11,
    prefix: str = "p:",
    operation: str = "synchronizeData",
) -> str:
    """As older clients write it: parameters with or without a prefix."""
    return (
        f'<e:Envelope xmlns:e="{namespace}" xmlns:p="{NAMESPACE}"><e:Body><p:{operation}>'
        f"<{prefix}xmlStr>{document}</{prefix}xmlStr><{prefix}pluginCode>{plugin}</{prefix}pluginCode>"
        f"</p:{operation}></e:Body></e:Envelope>"
    )


def returned(site: Caller, body: str | bytes, content_type: str = "text/xml;charset=UTF-8") -> str:
    """The answer document in the text of the answer."""
    answer = site.post(body, {}, content_type, SERVICE)
    assert answer.status_code == 200, answer.text
    text = ET.fromstring(answer.content).findtext(f".//{{{NAMESPACE}}}synchronizeDataResponse/return")  # noqa: S314
    assert text is not None
    return text


class TestSuds:
    """A SOAP library that only knows the WSDL."""

    def test_it_imports_and_gets_the_servlets_answer(self, suds: Any, site: Caller) -> None:
        document = suds.service.synchronizeData(file(voucher("S-1")), "PFXX")
        (only,) = told(str(document))
        assert (only.id, only.content) == ("S-1", "2026|01|记账凭证|1")
        assert not site.one(voucher("S-1")).ok
        (again,) = told(str(suds.service.synchronizeData(file(voucher("S-1")), "PFXX")))
        assert "已经导入过" in again.text

    def test_it_gets_every_vouchers_answer(self, suds: Any) -> None:
        vouchers = [voucher("S-2"), voucher("S-3", travel("1"), owed("2"))]
        document = '<?xml version="1.0" encoding="GBK"?>' + file(*vouchers)
        results = told(str(suds.service.synchronizeData(document, "PFXX")))
        assert [(each.id, each.ok) for each in results] == [("S-2", True), ("S-3", False)]

    def test_it_gets_a_fault_for_another_plug_in(self, suds: Any, site: Caller) -> None:
        with pytest.raises(Exception, match="未找到插件OTHER"):
            suds.service.synchronizeData(file(voucher("S-4")), "OTHER")
        assert not site.found("S-4")


@pytest.mark.parametrize("namespace", [SOAP11, SOAP12])
@pytest.mark.parametrize("prefix", ["p:", ""])
def test_envelopes_by_hand(site: Caller, namespace: str, prefix: str) -> None:
    key = f"E-{len(namespace)}-{prefix}"
    body = envelope(escape(file(voucher(key))), namespace=namespace, prefix=prefix)
    assert told(returned(site, body))[0].ok
    assert site.found(key)


def test_the_document_in_a_cdata_section_and_in_gbk(site: Caller) -> None:
    document = file(voucher("C-1"))
    body = '<?xml version="1.0" encoding="GBK"?>' + envelope(f"<![CDATA[{document}]]>")
    with site.switched(answer_encoding="as_sent"):
        text = returned(site, body.encode("gbk"), "text/xml")
    assert text.startswith('<?xml version="1.0" encoding="GBK"?>')
    assert told(text.split("?>", 1)[1])[0].ok
    assert site.found("C-1")[0]["lines"][0]["explanation"] == "报销差旅费"


def test_a_document_that_is_none_is_said_so_in_the_answer(site: Caller) -> None:
    for document, said in (("", "解析XML报文失败"), ("&lt;!DOCTYPE a&gt;&lt;a/&gt;", "DOCTYPE")):
        (only,) = told(returned(site, envelope(document)))
        assert said in only.text


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("", "XML"),
        ("<a/>", "no SOAP envelope"),
        (f'<!DOCTYPE a [<!ENTITY b "c">]>{envelope("&b;")}', "DOCTYPE"),
        (envelope("<ufinterface/>"), "must be a text"),
        (envelope("", operation="deleteData"), "synchronizeData"),
        (f'<e:Envelope xmlns:e="{SOAP11}"><e:Body/></e:Envelope>', "must hold one"),
    ],
)
def test_what_is_no_call_is_a_fault(site: Caller, body: str, said: str) -> None:
    answer = site.post(body, {}, path=SERVICE)
    assert answer.status_code == 500
    assert said in (ET.fromstring(answer.content).findtext(".//faultstring") or "")  # noqa: S314


def test_bodies_beyond_the_limit(site: Caller) -> None:
    huge = voucher("H-1", *(travel("1", index=index, explanation="x" * 300) for index in range(1, 14_000)))
    (only,) = told(returned(site, envelope(escape(file(huge)))))
    assert only.text == "报文过大"
    assert not site.found("H-1")


def test_a_site_without_the_web_service(site: Caller) -> None:
    with site.switched(soap=False):
        assert site.http.get(f"{site.url}{SERVICE}?wsdl", timeout=20).status_code == 404
        assert site.post(envelope(""), {}, path=SERVICE).status_code == 404
