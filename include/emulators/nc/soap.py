"""The platform as a web service: WSDL, and one operation whose parameter and answer are documents in a text."""

from __future__ import annotations

from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from include.emulators.nc.documents import DocumentError, child_text, clean, decoded, parsed

PATH = "/uapws/service/nc.itf.pfxx.synchdata.IPfxxWs"
NAMESPACE = "http://synchdata.pfxx.itf.nc/IPfxxWs"
OPERATION = "synchronizeData"
PLUGIN = "PFXX"
ENVELOPES = ("http://schemas.xmlsoap.org/soap/envelope/", "http://www.w3.org/2003/05/soap-envelope")
XSD = "http://www.w3.org/2001/XMLSchema"


class SoapFault(Exception):
    """A fault, which goes out with HTTP 500."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


@dataclass(frozen=True, slots=True)
class SoapCall:
    """The call: the document, and the encoding that its envelope came in."""

    document: str
    encoding: str


def read_call(body: bytes, content_type: str) -> SoapCall:
    """The document in an envelope. Parameters are known by their names, with or without a namespace.

    Raises:
        SoapFault: no envelope, another operation, another plug-in, or more than the limits allow.
    """
    try:
        text, encoding = decoded(body, content_type)
        root = parsed(text)
    except DocumentError as error:
        raise SoapFault("Client", str(error)) from error
    namespace, name = _split(root.tag)
    if name != "Envelope" or namespace not in ENVELOPES:
        raise SoapFault("VersionMismatch", "no SOAP envelope")
    wrapper = root.find(f"{{{namespace}}}Body")
    operations = list(wrapper) if wrapper is not None else []
    if len(operations) != 1 or _split(operations[0].tag) not in ((NAMESPACE, OPERATION), ("", OPERATION)):
        raise SoapFault("Client", f"the body must hold one {{{NAMESPACE}}}{OPERATION}")
    for parameter in operations[0]:
        parameter.tag = _split(parameter.tag)[1]
        if len(parameter):
            raise SoapFault("Client", f"{parameter.tag} must be a text: escape the document or use CDATA")
    plugin = child_text(operations[0], "pluginCode")
    if plugin != PLUGIN:
        raise SoapFault("Server", f"未找到插件{plugin[:40]}")
    return SoapCall(child_text(operations[0], "xmlStr"), encoding)


def response(document: str) -> str:
    """The envelope around an answer document."""
    return _wrap(
        f'<ns1:{OPERATION}Response xmlns:ns1="{NAMESPACE}"><return>{escape(clean(document))}</return>'
        f"</ns1:{OPERATION}Response>"
    )


def fault(error: SoapFault) -> str:
    return _wrap(
        f"<soap:Fault><faultcode>soap:{escape(error.code)}</faultcode>"
        f"<faultstring>{escape(clean(error.text))}</faultstring></soap:Fault>"
    )


def _wrap(inner: str) -> str:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<soap:Envelope xmlns:soap="{ENVELOPES[0]}">'
        f"<soap:Body>{inner}</soap:Body></soap:Envelope>"
    )


def _split(tag: str) -> tuple[str, str]:
    """("namespace", "local name") of a tag."""
    if tag.startswith("{"):
        namespace, _, name = tag[1:].partition("}")
        return namespace, name
    return "", tag


def wsdl(address: str) -> str:
    """The service's description: document/literal, wrapped, unqualified parameters."""
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<wsdl:definitions name="IPfxxWs" targetNamespace="{NAMESPACE}" xmlns:tns="{NAMESPACE}" xmlns:xsd="{XSD}"
 xmlns:wsdl="http://schemas.xmlsoap.org/wsdl/" xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/">
<wsdl:types>
<xsd:schema targetNamespace="{NAMESPACE}" elementFormDefault="unqualified">
{_element(OPERATION, "xmlStr", "pluginCode")}
{_element(f"{OPERATION}Response", "return")}
</xsd:schema>
</wsdl:types>
<wsdl:message name="{OPERATION}"><wsdl:part name="parameters" element="tns:{OPERATION}"/></wsdl:message>
<wsdl:message name="{OPERATION}Response">
<wsdl:part name="parameters" element="tns:{OPERATION}Response"/>
</wsdl:message>
<wsdl:portType name="IPfxxWsPortType">
<wsdl:operation name="{OPERATION}">
<wsdl:input message="tns:{OPERATION}"/><wsdl:output message="tns:{OPERATION}Response"/>
</wsdl:operation>
</wsdl:portType>
<wsdl:binding name="IPfxxWsSOAP11Binding" type="tns:IPfxxWsPortType">
<soap:binding style="document" transport="http://schemas.xmlsoap.org/soap/http"/>
<wsdl:operation name="{OPERATION}">
<soap:operation soapAction="urn:{OPERATION}" style="document"/>
<wsdl:input><soap:body use="literal"/></wsdl:input>
<wsdl:output><soap:body use="literal"/></wsdl:output>
</wsdl:operation>
</wsdl:binding>
<wsdl:service name="IPfxxWs">
<wsdl:port name="IPfxxWsSOAP11port_http" binding="tns:IPfxxWsSOAP11Binding">
<soap:address location={quoteattr(address)}/>
</wsdl:port>
</wsdl:service>
</wsdl:definitions>
"""


def _element(name: str, *parameters: str) -> str:
    inner = "".join(
        f'<xsd:element name="{each}" type="xsd:string" minOccurs="0" nillable="true"/>' for each in parameters
    )
    return f'<xsd:element name="{name}"><xsd:complexType><xsd:sequence>{inner}</xsd:sequence></xsd:complexType></xsd:element>'
