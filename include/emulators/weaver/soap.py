"""SOAP envelopes: read with the standard library's expat, where a DOCTYPE is refused at its first word.

So no entity, no DTD and nothing external is ever read; size, depth and the number of elements are limited.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET  # nothing is parsed without _Guard, which refuses DTDs
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from include.emulators.weaver.soap_types import ARRAYS, SIMPLE, STRUCTS, TYPES_NS, namespace_of

ENVELOPES = ("http://schemas.xmlsoap.org/soap/envelope/", "http://www.w3.org/2003/05/soap-envelope")
MAX_DEPTH = 60
MAX_ELEMENTS = 200_000
MAX_INT = 2**31 - 1
_INT = re.compile(r"[+-]?[0-9]{1,12}")
_DECLARED = re.compile(rb"^\s*<\?xml[^>]*encoding=[\"']([A-Za-z0-9_-]+)[\"'][^>]*\?>")
_CHARSET = re.compile(r"charset=[\"']?([A-Za-z0-9_-]+)", re.IGNORECASE)
_ENCODINGS = {"utf-8", "utf8", "utf-16", "gbk", "gb2312", "gb18030"}
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


class SoapFault(Exception):
    """A fault, which goes out with HTTP 500."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class _Guard(ET.TreeBuilder):
    """Builds a tree within limits and without DTDs."""

    def __init__(self) -> None:
        super().__init__()
        self.depth = 0
        self.elements = 0

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise SoapFault("Client", "DOCTYPE is not allowed")

    def start(self, tag: Any, attrs: dict[Any, Any], /) -> ET.Element:
        self.depth += 1
        self.elements += 1
        if self.depth > MAX_DEPTH or self.elements > MAX_ELEMENTS:
            raise SoapFault("Client", "the message is too large or nested too deeply")
        return super().start(tag, attrs)

    def end(self, tag: str, /) -> ET.Element:
        self.depth -= 1
        return super().end(tag)


@dataclass(frozen=True, slots=True)
class SoapCall:
    """An operation with its parameters by name (in0 …)."""

    operation: str
    namespace: str
    parameters: dict[str, ET.Element]

    def value(self, index: int, kind: str) -> Any:
        """A parameter as a Python value; what is absent or nil is 0, "", False, [] or {}.

        Raises:
            SoapFault: no number where the operation takes one.
        """
        return decode(self.parameters.get(f"in{index}"), kind)


def text_of(body: bytes, content_type: str) -> str:
    """The body as text, by the charset of the header, else of the XML declaration, else UTF-8.

    Raises:
        SoapFault: another encoding, or bytes that are not in it.
    """
    declared = _DECLARED.match(body[:200])
    charset = _CHARSET.search(content_type)
    name = (charset[1] if charset else declared[1].decode() if declared else "utf-8").lower()
    if name not in _ENCODINGS:
        raise SoapFault("Client", f"unsupported encoding {name}")
    try:
        return body.decode(name)
    except UnicodeDecodeError as error:
        raise SoapFault("Client", f"the message is not {name}: {error.reason}") from error


def parse(body: bytes, content_type: str) -> SoapCall:
    """The call in an envelope.

    Raises:
        SoapFault: no XML, no envelope, or more than the limits allow.
    """
    # ElementTree decodes by itself only what expat knows, which GBK is not.
    text = re.sub(r"^\s*<\?xml[^>]*\?>", "", text_of(body, content_type).lstrip("\ufeff"), count=1)
    parser = ET.XMLParser(target=_Guard())  # noqa: S314  (the guard refuses DTDs and entities)
    try:
        parser.feed(text)
        root: ET.Element = parser.close()
    except ET.ParseError as error:
        raise SoapFault("Client", f"Error reading XMLStreamReader: {error}") from error
    namespace, name = split(root.tag)
    if name != "Envelope" or namespace not in ENVELOPES:
        raise SoapFault("VersionMismatch", "no SOAP envelope")
    wrapper = root.find(f"{{{namespace}}}Body")
    operations = list(wrapper) if wrapper is not None else []
    if len(operations) != 1:
        raise SoapFault("Client", "the body must hold one operation")
    where, operation = split(operations[0].tag)
    return SoapCall(operation, where, {split(child.tag)[1]: child for child in operations[0]})


def split(tag: str) -> tuple[str, str]:
    """("namespace", "local name") of a tag."""
    if tag.startswith("{"):
        namespace, _, name = tag[1:].partition("}")
        return namespace, name
    return "", tag


def decode(element: ET.Element | None, kind: str) -> Any:
    """An element as a Python value by its type; names are matched without their namespaces."""
    if element is None:
        return {"string": "", "int": 0, "boolean": False}.get(kind, [] if kind in ARRAYS else {})
    if kind in ARRAYS:
        return [decode(child, ARRAYS[kind]) for child in element if split(child.tag)[1] == ARRAYS[kind]]
    if kind in STRUCTS:
        types = dict(STRUCTS[kind])
        names = ((split(child.tag)[1], child) for child in element)
        return {name: decode(child, types[name]) for name, child in names if name in types}
    text = element.text or ""
    if kind == "int":
        if not text.strip():
            return 0
        if not _INT.fullmatch(text.strip()) or abs(int(text)) > MAX_INT:
            raise SoapFault("Client", f"Could not parse '{text[:40]}' as int")
        return int(text)
    return text.strip().lower() in {"true", "1"} if kind == "boolean" else text


def envelope(operation: str, service_ns: str, kind: str, value: Any) -> str:
    """The answer to an operation."""
    name = f"{operation}Response"
    out = encode("ns1:out", kind, value, service_ns)
    return _wrap(f"<ns1:{name} xmlns:ns1={quoteattr(service_ns)}>{out}</ns1:{name}>")


def fault(error: SoapFault) -> str:
    return _wrap(
        f"<soap:Fault><faultcode>soap:{escape(error.code)}</faultcode>"
        f"<faultstring>{escape(clean(error.text))}</faultstring></soap:Fault>"
    )


def _wrap(inner: str) -> str:
    return (
        f'<soap:Envelope xmlns:soap="{ENVELOPES[0]}" xmlns:xsd="http://www.w3.org/2001/XMLSchema"'
        f' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soap:Body>{inner}</soap:Body></soap:Envelope>'
    )


def encode(tag: str, kind: str, value: Any, service_ns: str, own: str = "", around: str = "") -> str:
    """A value by its type. The element's own namespace is declared where it is not the default already around it."""
    declared = f" xmlns={quoteattr(own)}" if own != around else ""
    if value is None:
        return f'<{tag}{declared} xsi:nil="true"/>'
    if kind == "boolean":
        return f"<{tag}{declared}>{'true' if value else 'false'}</{tag}>"
    if kind in SIMPLE:
        return f"<{tag}{declared}>{escape(clean(str(value)))}</{tag}>"
    inside = namespace_of(kind, service_ns)
    if kind in ARRAYS:
        item = ARRAYS[kind]
        inner = "".join(encode(item, item, each, service_ns, inside, own) for each in value)
    else:
        inner = "".join(
            encode(name, field, value.get(name), service_ns, inside, own)
            for name, field in STRUCTS[kind]
            if name in value or field not in {"boolean", "int"}
        )
    return f"<{tag}{declared}>{inner}</{tag}>"


def clean(text: str) -> str:
    """Text without what XML cannot hold."""
    return _NOT_XML.sub("", text)


def accepts(namespace: str) -> bool:
    """Operations are recognised in the service's namespace and in that of the types; clients use both."""
    return namespace in {"", TYPES_NS, "webservices.services.weaver.com.cn"}
