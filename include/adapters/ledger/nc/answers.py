"""What the exchange platform answers: one document with a sendresult for each voucher.

The vendor publishes no description of it (RECALL), so the reader takes the variants that are known: fields as elements or as
attributes, any order, several encodings. Whatever is not clearly such a document is `NotAnAnswer`, which says nothing about
the vouchers. XML is read without DTDs and entities, within limits.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET  # nothing is parsed without _Guard, which refuses DTDs
from dataclasses import dataclass
from typing import Any

MAX_DEPTH = 20
MAX_ELEMENTS = 100_000
_ENCODING = re.compile(rb"^\s*<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([A-Za-z0-9_-]{1,40})[\"']")
_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([A-Za-z0-9_-]{1,40})", re.IGNORECASE)
_CODECS = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "gbk": "gb18030",
    "gb2312": "gb18030",
    "gb18030": "gb18030",
}
FIELDS = ("bdocid", "resultcode", "resultdescription", "content", "billpk")


class NotAnAnswer(ValueError):
    """Not what the platform answers; the text says why."""


class _Guard(ET.TreeBuilder):
    """Builds a tree within limits and without DTDs, where bombs and external entities live."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = 0
        self._elements = 0

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise NotAnAnswer("DOCTYPE")

    def start(self, tag: Any, attrs: dict[Any, Any], /) -> ET.Element:
        self._depth += 1
        self._elements += 1
        if self._depth > MAX_DEPTH or self._elements > MAX_ELEMENTS:
            raise NotAnAnswer("过大或嵌套过深 / too large or too deep")
        return super().start(tag, attrs)

    def end(self, tag: str, /) -> ET.Element:
        self._depth -= 1
        return super().end(tag)


@dataclass(frozen=True, slots=True)
class SendResult:
    """What the platform says of one voucher; `voucher_id` is the id that we gave it, "" where a whole file is meant."""

    voucher_id: str
    code: str
    description: str
    content: str
    """年|月|凭证类别|号, as far as it is known."""
    pk: str
    """The voucher's primary key, where the site gives it."""

    @property
    def number(self) -> str:
        """The bare number in `content`, "" where it holds something else."""
        parts = self.content.split("|")
        return parts[3].strip() if len(parts) == 4 and parts[3].strip().isdecimal() else ""


def decoded(body: bytes, content_type: str = "") -> str:
    """The text by its XML declaration, else the header's charset, else UTF-8; without the declaration.

    Raises:
        NotAnAnswer: another encoding, or bytes that are not in it.
    """
    declared, charset = (
        _ENCODING.match(body[:300].removeprefix(b"\xef\xbb\xbf")),
        _CHARSET.search(content_type),
    )
    name = (declared[1].decode("ascii") if declared else charset[1] if charset else "utf-8").lower()
    try:
        text = body.decode(_CODECS[name]).removeprefix("\ufeff")
    except (KeyError, UnicodeDecodeError):
        raise NotAnAnswer(f"编码 {name} 不能读取 / cannot be read as {name}") from None
    return _DECLARATION.sub("", text, count=1)


def results_of(text: str) -> list[SendResult]:
    """The results in a document without its declaration.

    Raises:
        NotAnAnswer: no XML, a DTD, another root, no result, or one without a code.
    """
    parser = ET.XMLParser(target=_Guard())  # noqa: S314  (the guard refuses DTDs and entities)
    try:
        parser.feed(_DECLARATION.sub("", text, count=1))
        root: ET.Element = parser.close()
    except (ET.ParseError, ValueError) as error:
        if isinstance(error, NotAnAnswer):
            raise
        raise NotAnAnswer("不是 XML / no XML") from None
    if _local(root.tag) != "ufinterface":
        raise NotAnAnswer(f"根元素 / root element {_local(root.tag)[:40]}")
    results = [_result(each) for each in root.iter() if _local(each.tag) == "sendresult"]
    if not results:
        raise NotAnAnswer("没有 sendresult / no sendresult")
    return results


def _result(element: ET.Element) -> SendResult:
    said = {_local(name): value for name, value in element.attrib.items()}
    said |= {_local(child.tag): child.text or "" for child in element}
    if not said.get("resultcode", "").strip():
        raise NotAnAnswer("sendresult 没有 resultcode / a sendresult without resultcode")
    return SendResult(*(said.get(name, "").strip() for name in FIELDS))


def _local(tag: str) -> str:
    return tag.rpartition("}")[2].lower()
