"""Documents of the exchange platform: XML read within limits, with DTDs and entities refused, and answers written.

A DOCTYPE is refused at its first word, so no entity and nothing external is ever read. The platform is known to have
read external entities in real sites; this one never does.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET  # nothing is parsed without _Guard, which refuses DTDs
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from include.emulators.nc.options import Options

MAX_BODY_BYTES = 8 * 2**20
MAX_DEPTH = 40
MAX_ELEMENTS = 400_000
_DECLARED = re.compile(rb"^\s*<\?xml[^>]*?encoding\s*=\s*[\"']([A-Za-z0-9_-]+)[\"']")
_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")
_CHARSET = re.compile(r"charset=[\"']?([A-Za-z0-9_-]+)", re.IGNORECASE)
_CODECS = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "utf-16": "utf-16",
    "gbk": "gb18030",
    "gb2312": "gb18030",
    "gb18030": "gb18030",
}
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


class DocumentError(Exception):
    """A document that cannot be read; the text is what the platform says."""


class _Guard(ET.TreeBuilder):
    """Builds a tree within limits and without DTDs."""

    def __init__(self) -> None:
        super().__init__()
        self.depth = 0
        self.elements = 0

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise DocumentError("报文不允许包含DOCTYPE")

    def start(self, tag: Any, attrs: dict[Any, Any], /) -> ET.Element:
        self.depth += 1
        self.elements += 1
        if self.depth > MAX_DEPTH or self.elements > MAX_ELEMENTS:
            raise DocumentError("报文过大或嵌套过深")
        return super().start(tag, attrs)

    def end(self, tag: str, /) -> ET.Element:
        self.depth -= 1
        return super().end(tag)


def decoded(body: bytes, content_type: str) -> tuple[str, str]:
    """(the text, its encoding): by the XML declaration, else by the header, else UTF-8.

    The declaration comes first, as the platform hands the bytes themselves to its XML parser.

    Raises:
        DocumentError: another encoding, or bytes that are not in it.
    """
    declared, charset = _DECLARED.match(body[:200]), _CHARSET.search(content_type)
    name = (declared[1].decode() if declared else charset[1] if charset else "utf-8").lower()
    if name not in _CODECS:
        raise DocumentError(f"不支持的报文编码{name}")
    try:
        return body.decode(_CODECS[name]).lstrip("\ufeff"), "UTF-8" if name.startswith("utf") else "GBK"
    except UnicodeDecodeError as error:
        raise DocumentError(f"报文不是{name}编码") from error


def parsed(text: str) -> ET.Element:
    """The root of a document.

    Raises:
        DocumentError: no XML, a DTD, or more than the limits allow.
    """
    # The text is decoded already; expat knows no GBK and would trip over the declaration.
    bare = _DECLARATION.sub("", text, count=1)
    parser = ET.XMLParser(target=_Guard())  # noqa: S314  (the guard refuses DTDs and entities)
    try:
        parser.feed(bare)
        root: ET.Element = parser.close()
    except ET.ParseError as error:
        raise DocumentError(f"解析XML报文失败：{error}") from error
    return root


def child_text(element: ET.Element | None, name: str) -> str:
    """The trimmed text of a child, "" where it is empty or missing."""
    return "" if element is None else (element.findtext(name) or "").strip()


@dataclass(frozen=True, slots=True)
class SendResult:
    """What became of one voucher; `voucher_id` is its sender's id."""

    voucher_id: str
    is_ok: bool
    code: str
    description: str
    content: str = ""
    billpk: str = ""


def answer(options: Options, root: Mapping[str, str], results: Sequence[SendResult]) -> str:
    """The answer document without an XML declaration; `root` are attributes of the request that come back."""
    is_ok = all(result.is_ok for result in results) or (
        options.partial_is_success and any(result.is_ok for result in results)
    )
    attributes = dict(root)
    if options.success_flag:
        yes, no = options.success_values.split("/")
        attributes[options.success_flag] = yes if is_ok else no
    head = "".join(f" {name}={quoteattr(clean(value))}" for name, value in attributes.items())
    return f"<ufinterface{head}>{''.join(_sendresult(options, result) for result in results)}</ufinterface>"


def _sendresult(options: Options, result: SendResult) -> str:
    fields = {
        "bdocid": result.voucher_id,
        "filename": "",
        "resultcode": result.code,
        "resultdescription": result.description,
        "content": result.content,
    }
    if options.with_billpk:
        fields = {"billpk": result.billpk} | fields
    if options.answer == "attributes":
        return (
            f"<sendresult{''.join(f' {name}={quoteattr(clean(value))}' for name, value in fields.items())}/>"
        )
    inner = "".join(
        f"<{name}>{escape(clean(value))}</{name}>" if value else f"<{name}/>"
        for name, value in fields.items()
    )
    return f"<sendresult>{inner}</sendresult>"


def declared(options: Options, text: str, sent_in: str) -> str:
    """An answer with its XML declaration, which names the encoding if the site does that."""
    name = _encoding(options, sent_in)
    named = "" if options.declared_in == "header" else f' encoding="{name}"'
    return f'<?xml version="1.0"{named}?>\n{text}'


def encoded(options: Options, text: str, sent_in: str) -> tuple[bytes, str]:
    """(bytes, Content-Type) of an answer; what its encoding cannot hold goes out as character references."""
    name = _encoding(options, sent_in)
    body = declared(options, text, sent_in).encode("gbk" if name == "GBK" else "utf-8", "xmlcharrefreplace")
    return body, "text/xml" if options.declared_in == "xml" else f"text/xml;charset={name}"


def _encoding(options: Options, sent_in: str) -> str:
    return sent_in if options.answer_encoding == "as_sent" else options.answer_encoding


def clean(text: str) -> str:
    """Text without what XML cannot hold."""
    return _NOT_XML.sub("", text)
