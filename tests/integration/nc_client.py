"""A plain caller of the exchange platform, written from its public record: no client of ours."""

from __future__ import annotations

import contextlib
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

import requests

from include.emulators.nc import ADMIN_KEY, BOOK, SERVLET, Credentials, Options

TIMEOUT_S = 20
BROKEN = (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)
NC6 = {"account": "develop", "groupcode": "GJJT"}
TRAVEL, OWED = "6602.10", "2241.03"


def item(index: int | str, account: str, side: str, amount: object, **fields: Any) -> str:
    """One entry; `ass` is a list of (code, value), other fields go in as they are, or replace what is usual."""
    ass = "".join(
        f"<item><pk_Checktype>{code}</pk_Checktype><pk_Checkvalue>{value}</pk_Checkvalue></item>"
        for code, value in fields.pop("ass", [])
    )
    whole = {
        "detailindex": index,
        "explanation": "报销差旅费",
        "pk_currtype": "CNY",
        "excrate2": "1",
        f"{side}amount": amount,
        f"local{side}amount": amount,
        "pk_accasoa": account,
    } | fields
    inner = "".join(f"<{name}>{escape(str(value))}</{name}>" for name, value in whole.items())
    return f"<item>{inner}<ass>{ass}</ass></item>"


def travel(amount: object = "1128.10", index: int | str = 1, **fields: Any) -> str:
    return item(index, TRAVEL, "debit", amount, **{"ass": [("0001", "RD")]} | fields)


def owed(amount: object = "1128.10", index: int | str = 2, **fields: Any) -> str:
    return item(index, OWED, "credit", amount, **{"ass": [("0002", "E0001")]} | fields)


def voucher(key: str, *items: str, **head: Any) -> str:
    whole = {
        "pk_voucher": "",
        "pk_vouchertype": "01",
        "year": "2026",
        "pk_system": "GL",
        "voucherkind": "0",
        "pk_accountingbook": BOOK,
        "discardflag": "N",
        "period": "01",
        "no": "",
        "attachment": "2",
        "prepareddate": "2026-01-29 13:31:55",
        "pk_prepared": "wanganqi",
        "pk_org": "101005",
    } | head
    fields = "".join(f"<{name}>{escape(str(value))}</{name}>" for name, value in whole.items())
    entries = "".join(items or (travel(), owed()))
    named = f' id="{key}"' if key else ""
    return f"<voucher{named}><voucher_head>{fields}<details>{entries}</details></voucher_head></voucher>"


def file(*vouchers: str, replace: str = "N", **root: str) -> str:
    whole = {
        "account": "develop",
        "billtype": "vouchergl",
        "businessunitcode": "develop",
        "filename": "",
        "groupcode": "GJJT",
        "isexchange": "Y",
        "orgcode": "101005",
        "receiver": "101005",
        "replace": replace,
        "roottag": "",
        "sender": "OA",
    } | root
    attributes = "".join(f' {name}="{value}"' for name, value in whole.items())
    return f"<ufinterface{attributes}>{''.join(vouchers)}</ufinterface>"


@dataclass(frozen=True)
class Told:
    """A sendresult as its reader sees it."""

    id: str
    code: str
    text: str
    content: str

    @property
    def ok(self) -> bool:
        return self.code == "1"


def told(document: str | bytes) -> list[Told]:
    """The sendresults of an answer in its usual shape."""
    root = ET.fromstring(document)  # noqa: S314  (our own server's)
    assert root.tag == "ufinterface"
    names = ("bdocid", "resultcode", "resultdescription", "content")
    return [Told(*(each.findtext(name) or "" for name in names)) for each in root.findall("sendresult")]


class Caller:
    """One site and its controls."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = requests.Session()
        self.http.trust_env = False

    def post(
        self,
        body: str | bytes,
        query: dict[str, str] | None = None,
        content_type: str = "text/xml",
        path: str = SERVLET,
    ) -> requests.Response:
        return self.http.post(
            self.url + path,
            data=body.encode() if isinstance(body, str) else body,
            params=NC6 if query is None else query,
            headers={"Content-Type": content_type},
            timeout=TIMEOUT_S,
        )

    def send(self, *vouchers: str, replace: str = "N", **root: str) -> list[Told]:
        answer = self.post(file(*vouchers, replace=replace, **root))
        assert answer.status_code == 200
        return told(answer.content)

    def one(self, *vouchers: str, replace: str = "N", **root: str) -> Told:
        (only,) = self.send(*vouchers, replace=replace, **root)
        return only

    def view(self, name: str, **query: Any) -> Any:
        answer = self.http.get(
            f"{self.url}/views/{name}",
            params=query,
            auth=(Credentials().view_user, Credentials().view_password),
            timeout=TIMEOUT_S,
        )
        return answer.json() if answer.status_code in (200, 400) else answer.status_code

    def found(self, key: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.view("vouchers", book=BOOK, external_id=key)["rows"]
        return rows

    def admin(self, path: str, body: dict[str, Any] | None = None, method: str = "POST") -> Any:
        answer = self.http.request(
            method,
            f"{self.url}/__emulator__{path}",
            json=body or {},
            headers={"X-Emulator-Key": ADMIN_KEY},
            timeout=TIMEOUT_S,
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    def number_of(self, key: str) -> int:
        """The number by which the controls know a voucher."""
        return int(self.found(key)[0]["pk_voucher"][-12:])

    @contextlib.contextmanager
    def switched(self, **changes: Any) -> Iterator[None]:
        """Other switches for a while."""
        usual = Options().as_json()
        self.admin("/options", changes)
        try:
            yield
        finally:
            self.admin("/options", {name: usual[name] for name in changes})
