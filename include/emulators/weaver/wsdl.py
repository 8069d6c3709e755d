"""The WSDL of WorkflowService: document/literal, wrapped, as the product publishes it."""

from __future__ import annotations

from xml.sax.saxutils import quoteattr

from include.emulators.weaver.soap_types import ARRAYS, OPERATIONS, SIMPLE, STRUCTS, TYPES_NS, namespace_of

ACTION = "urn:weaver.workflow.webservices.WorkflowService."
XSD = "http://www.w3.org/2001/XMLSchema"


def wsdl(address: str, service_ns: str, imported: str = "") -> str:
    """The document.

    Args:
        address: what soap:address says.
        service_ns: namespace of the operations.
        imported: a schemaLocation to import, for installations whose WSDL points elsewhere.
    """
    schemas: dict[str, list[str]] = {service_ns: [], TYPES_NS: []}
    for name, fields in STRUCTS.items():
        schemas[TYPES_NS].append(_struct(name, fields, service_ns))
    for name, item in ARRAYS.items():
        schemas[namespace_of(name, service_ns)].append(_array(name, item, service_ns))
    for name, (parameters, result) in OPERATIONS.items():
        schemas[service_ns].append(
            _wrapper(name, [(f"in{i}", kind) for i, kind in enumerate(parameters)], service_ns)
        )
        schemas[service_ns].append(_wrapper(f"{name}Response", [("out", result)], service_ns))
    head = (
        f"<wsdl:definitions targetNamespace={quoteattr(service_ns)} xmlns:tns={quoteattr(service_ns)}"
        f' xmlns:ns1={quoteattr(TYPES_NS)} xmlns:xsd="{XSD}" xmlns:wsdl="http://schemas.xmlsoap.org/wsdl/"'
        ' xmlns:wsdlsoap="http://schemas.xmlsoap.org/wsdl/soap/">'
    )
    parts = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        head,
        "<wsdl:types>",
        *(_schema(namespace, items, schemas, imported) for namespace, items in schemas.items()),
        "</wsdl:types>",
        *(_message(name) for name in OPERATIONS),
        '<wsdl:portType name="WorkflowServicePortType">',
        *(
            f'<wsdl:operation name="{name}"><wsdl:input name="{name}Request" message="tns:{name}Request"/>'
            f'<wsdl:output name="{name}Response" message="tns:{name}Response"/></wsdl:operation>'
            for name in OPERATIONS
        ),
        "</wsdl:portType>",
        '<wsdl:binding name="WorkflowServiceHttpBinding" type="tns:WorkflowServicePortType">',
        '<wsdlsoap:binding style="document" transport="http://schemas.xmlsoap.org/soap/http"/>',
        *(
            f'<wsdl:operation name="{name}"><wsdlsoap:operation soapAction="{ACTION}{name}"/>'
            f'<wsdl:input name="{name}Request"><wsdlsoap:body use="literal"/></wsdl:input>'
            f'<wsdl:output name="{name}Response"><wsdlsoap:body use="literal"/></wsdl:output></wsdl:operation>'
            for name in OPERATIONS
        ),
        "</wsdl:binding>",
        '<wsdl:service name="WorkflowService">',
        '<wsdl:port name="WorkflowServiceHttpPort" binding="tns:WorkflowServiceHttpBinding">',
        f"<wsdlsoap:address location={quoteattr(address)}/></wsdl:port></wsdl:service></wsdl:definitions>",
    ]  # fmt: skip
    return "\n".join(parts)


def _schema(namespace: str, items: list[str], schemas: dict[str, list[str]], imported: str) -> str:
    imports = [f"<xsd:import namespace={quoteattr(other)}/>" for other in schemas if other != namespace]
    if imported and namespace == TYPES_NS:
        imports.append(f'<xsd:import namespace="urn:elsewhere" schemaLocation={quoteattr(imported)}/>')
    return (
        f'<xsd:schema targetNamespace={quoteattr(namespace)} elementFormDefault="qualified"'
        f' attributeFormDefault="qualified">{"".join(imports)}{"".join(items)}</xsd:schema>'
    )


def _type(name: str, service_ns: str) -> str:
    if name in SIMPLE:
        return f"xsd:{name}"
    return f"{'tns' if namespace_of(name, service_ns) == service_ns else 'ns1'}:{name}"


def _struct(name: str, fields: tuple[tuple[str, str], ...], service_ns: str) -> str:
    inner = "".join(
        f'<xsd:element name="{field}" type="{_type(kind, service_ns)}" minOccurs="0"'
        + ("/>" if kind in {"boolean", "int"} else ' nillable="true"/>')
        for field, kind in fields
    )
    return f'<xsd:complexType name="{name}"><xsd:sequence>{inner}</xsd:sequence></xsd:complexType>'


def _array(name: str, item: str, service_ns: str) -> str:
    return (
        f'<xsd:complexType name="{name}"><xsd:sequence><xsd:element name="{item}" type="{_type(item, service_ns)}"'
        ' nillable="true" minOccurs="0" maxOccurs="unbounded"/></xsd:sequence></xsd:complexType>'
    )


def _wrapper(name: str, parts: list[tuple[str, str]], service_ns: str) -> str:
    inner = "".join(
        f'<xsd:element name="{part}" type="{_type(kind, service_ns)}" minOccurs="1" maxOccurs="1"'
        + ("/>" if kind in {"boolean", "int"} else ' nillable="true"/>')
        for part, kind in parts
    )
    return f'<xsd:element name="{name}"><xsd:complexType><xsd:sequence>{inner}</xsd:sequence></xsd:complexType></xsd:element>'


def _message(name: str) -> str:
    return (
        f'<wsdl:message name="{name}Request"><wsdl:part name="parameters" element="tns:{name}"/></wsdl:message>'
        f'<wsdl:message name="{name}Response"><wsdl:part name="parameters" element="tns:{name}Response"/></wsdl:message>'
    )
