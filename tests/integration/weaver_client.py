"""Bare clients of the emulated e-cology: hand-written envelopes, plain requests, nothing clever."""

from __future__ import annotations

import base64
import json
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape

import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from include.emulators.weaver import ADMIN_KEY, APP_ID, INTEGRATION_USER, World

Json = dict[str, Any]
SERVICE = "/services/WorkflowService"
PA = "/api/workflow/paService/"
NS = "webservices.services.weaver.com.cn"
TYPES = "{http://webservices.workflow.weaver}"
TIMEOUT_S = 20
OURS = "t1.workflowid in (61,62)"


def envelope(operation: str, *arguments: object, namespace: str = NS) -> str:
    """An envelope as somebody types it: texts, numbers, lists of texts, and ready-made XML in an Xml."""
    parts = []
    for index, argument in enumerate(arguments):
        if isinstance(argument, list):
            inner = "".join(f"<w:string>{escape(item)}</w:string>" for item in argument)
        elif isinstance(argument, Xml):
            inner = argument.text
        else:
            inner = escape(str(argument))
        parts.append(f"<w:in{index}>{inner}</w:in{index}>")
    return (
        '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" '
        f'xmlns:w="{namespace}"><soapenv:Header/><soapenv:Body><w:{operation}>{"".join(parts)}</w:{operation}>'
        "</soapenv:Body></soapenv:Envelope>"
    )


@dataclass(frozen=True)
class Xml:
    """XML that goes into an argument as it is."""

    text: str


def info(
    main: Json, workflow: int = 0, name: str = "", details: Sequence[tuple[str, list[Json]]] = ()
) -> Xml:
    """A WorkflowRequestInfo with form fields, without any namespace finesse."""

    def record(fields: Json) -> str:
        inner = "".join(
            f"<WorkflowRequestTableField><fieldName>{key}</fieldName><fieldValue>{escape(str(value))}</fieldValue>"
            "<edit>true</edit><view>true</view></WorkflowRequestTableField>"
            for key, value in fields.items()
        )
        return (
            f"<WorkflowRequestTableRecord><workflowRequestTableFields>{inner}</workflowRequestTableFields>"
            "</WorkflowRequestTableRecord>"
        )

    tables = "".join(
        f"<WorkflowDetailTableInfo><tableDBName>{table}</tableDBName><workflowRequestTableRecords>"
        f"{''.join(record(row) for row in rows)}</workflowRequestTableRecords></WorkflowDetailTableInfo>"
        for table, rows in details
    )
    return Xml(
        f"<requestName>{escape(name)}</requestName><requestLevel>0</requestLevel>"
        f"<workflowBaseInfo><workflowId>{workflow or ''}</workflowId></workflowBaseInfo>"
        f"<workflowMainTableInfo><requestRecords>{record(main)}</requestRecords></workflowMainTableInfo>"
        f"<workflowDetailTableInfos>{tables}</workflowDetailTableInfos>"
    )


def main_fields(element: ET.Element) -> dict[str, str]:
    """The main table of a WorkflowRequestInfo: field name to value."""
    record = element.find(
        f"{TYPES}workflowMainTableInfo/{TYPES}requestRecords/{TYPES}WorkflowRequestTableRecord"
    )
    assert record is not None
    return fields_of(record)


def fields_of(record: ET.Element) -> dict[str, str]:
    found = record.iter(f"{TYPES}WorkflowRequestTableField")
    return {item.findtext(f"{TYPES}fieldName", ""): item.findtext(f"{TYPES}fieldValue", "") for item in found}


def answer_of(response: requests.Response) -> ET.Element:
    """What stands in the body of an envelope."""
    return ET.fromstring(response.content)[0][0]  # noqa: S314  (our own emulator's answer)


@dataclass
class Client:
    """One installation as a client meets it, and its test controls."""

    url: str
    world: World
    session: requests.Session = field(default_factory=requests.Session)
    token: str = ""
    secret: str = ""
    key: rsa.RSAPublicKey | None = None

    # -- SOAP ---------------------------------------------------------------------------------------

    def post(self, body: str | bytes, content_type: str = "text/xml; charset=utf-8") -> requests.Response:
        packed = body.encode() if isinstance(body, str) else body
        return self.session.post(
            self.url + SERVICE, data=packed, headers={"Content-Type": content_type}, timeout=TIMEOUT_S
        )

    def soap(self, operation: str, *arguments: object) -> ET.Element:
        """The `out` of an operation."""
        response = self.post(envelope(operation, *arguments))
        assert response.status_code == 200, response.text
        out = answer_of(response)[0]
        assert out.tag == f"{{{NS}}}out"
        return out

    def fault(self, body: str | bytes, content_type: str = "text/xml; charset=utf-8") -> str:
        """The text of the fault that a body leads to."""
        response = self.post(body, content_type)
        assert response.status_code == 500
        return answer_of(response).findtext("faultstring", "")

    def count(self, kind: str, *conditions: str, user: int = INTEGRATION_USER) -> int:
        return int(self.soap(f"get{kind}WorkflowRequestCount", user, list(conditions)).text or 0)

    def page(
        self, kind: str, page: int, size: int, total: int, *conditions: str, user: int = INTEGRATION_USER
    ) -> list[str]:
        """The request ids of a page."""
        out = self.soap(f"get{kind}WorkflowRequestList", page, size, total, user, list(conditions))
        return [item.findtext(f"{TYPES}requestId", "") for item in out]

    def listed(self, kind: str, *conditions: str, user: int = INTEGRATION_USER) -> list[str]:
        """All request ids of a list."""
        total = self.count(kind, *conditions, user=user)
        return self.page(kind, 1, total, total, *conditions, user=user)

    # -- REST ---------------------------------------------------------------------------------------

    def encrypted(self, text: str) -> str:
        assert self.key is not None
        return base64.b64encode(self.key.encrypt(text.encode(), padding.PKCS1v15())).decode()

    def regist(self) -> Json:
        answer = self.call("POST", "/api/ec/dev/auth/regist", headers={"appid": APP_ID, "cpk": "none"})
        key = serialization.load_der_public_key(base64.b64decode(answer["spk"]))
        assert isinstance(key, rsa.RSAPublicKey)
        self.key, self.secret = key, answer.get("secrit") or answer.get("secret")
        return answer

    def login(self, seconds: int = 3600) -> Json:
        if self.key is None:
            self.regist()
        headers = {"appid": APP_ID, "secret": self.encrypted(self.secret), "time": str(seconds)}
        answer = self.call("POST", "/api/ec/dev/auth/applytoken", headers=headers)
        self.token = answer.get("token", "")
        return answer

    def call(self, method: str, path: str, **more: Any) -> Any:
        response = self.session.request(method, self.url + path, timeout=TIMEOUT_S, **more)
        assert response.status_code == 200, response.text
        return response.json()

    def rest(self, name: str, user: int = INTEGRATION_USER, **params: object) -> Any:
        """An operation; structures go out as JSON text in a form, as the vendor has it."""
        if not self.token:
            self.login()
        form = {
            k: json.dumps(v, ensure_ascii=False) if isinstance(v, (dict, list)) else v
            for k, v in params.items()
        }
        headers = {"appid": APP_ID, "token": self.token, "userid": self.encrypted(str(user))}
        reads = {"getWorkflowRequest", "getRequestStatus", "getRequestLog", "getRequestOperatorInfo"}
        if name in reads | {"getCreateWorkflowRequestInfo"}:
            return self.call("GET", PA + name, params=form, headers=headers)
        return self.call("POST", PA + name, data=form, headers=headers)

    # -- test controls ------------------------------------------------------------------------------

    def admin(self, path: str, body: object = None, method: str = "POST") -> Any:
        response = self.session.request(
            method,
            f"{self.url}/__emulator__{path}",
            json=body,
            timeout=TIMEOUT_S,
            headers={"X-Emulator-Key": ADMIN_KEY},
        )
        assert response.status_code == 200, response.text
        return response.json()

    def one(self, verdict: str, kind: str = "expense") -> str:
        """The id of some sound document with a verdict."""
        return next(
            number
            for number, told in self.world.truth().items()
            if told["verdict"] == verdict and told["truth"]["kind"] == kind and not told["truth"]["defect"]
        )


def rest_fields(data: Json) -> dict[str, str]:
    """The main table of a getWorkflowRequest answer: field name to value."""
    record = data["workflowMainTableInfo"]["requestRecords"][0]
    return {item["fieldName"]: item["fieldValue"] for item in record["workflowRequestTableFields"]}
