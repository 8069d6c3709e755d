"""The exchange platform as a web service (IPfxxWs), by zeep, which reads the site's own WSDL.

The WSDL is read once, from the connection's host alone; nothing that it names elsewhere is fetched or called.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from requests.structures import CaseInsensitiveDict

from include.adapters.ledger.nc.answers import NotAnAnswer, decoded
from include.adapters.ledger.nc.client import NcClient
from include.adapters.ledger.nc.options import NcOptions
from include.connections import Endpoint
from include.domain.errors import FixConfig, RetryLater, VoucherflowError
from include.pace import Limiter

if TYPE_CHECKING:
    from zeep import Client

SERVICE = "/uapws/service/nc.itf.pfxx.synchdata.IPfxxWs"
OPERATION = "synchronizeData"
PLUGIN = "PFXX"


class _Reply:
    """What zeep wants to know of an answer."""

    def __init__(self, text: str) -> None:
        self.status_code = 200
        self.content = text.encode()
        self.headers = CaseInsensitiveDict({"Content-Type": "text/xml; charset=utf-8"})
        self.encoding = "utf-8"


class _Transport:
    """What zeep sends by: our own HTTP, to the connection's host and nowhere else."""

    def __init__(self, client: NcClient) -> None:
        self._client = client
        self._address = f"{client.base}{SERVICE}"

    def load(self, url: str) -> bytes:
        """The WSDL itself.

        Raises:
            FixConfig: zeep was led elsewhere, or what came is none.
        """
        if url != f"{self._address}?wsdl":
            raise FixConfig(
                f"{self._client.name}: NC 的 WSDL 引用了 {url[:200]!r}，不会读取，请核对地址 / the WSDL imports another document, which is "
                "not fetched: check the connection's address"
            )
        return _safe(*self._client.send("GET", url, what=f"{SERVICE}?wsdl", writes=False)).encode()

    def post_xml(self, address: str, envelope: Any, headers: Mapping[str, str]) -> _Reply:
        from lxml import etree

        body = etree.tostring(envelope, xml_declaration=True, encoding="utf-8")
        return _Reply(
            _safe(
                *self._client.send(
                    "POST", self._address, what=SERVICE, writes=True, faults=True, data=body, headers=headers
                )
            )
        )


class SoapNcClient(NcClient):
    """As `NcClient`, with files going to the web service."""

    def __init__(self, endpoint: Endpoint, options: NcOptions, *, limiter: Limiter | None = None) -> None:
        super().__init__(endpoint, options, limiter=limiter)
        self._address = f"{self.base}{SERVICE}"
        self._is_checked = options.soap_address == "checked"
        self._lock = threading.Lock()
        self._client: Client | None = None

    def carry(self, document: str) -> str:
        from zeep.exceptions import Error, Fault

        client = self._opened()
        failure: VoucherflowError
        try:
            answer = client.service[OPERATION](document, PLUGIN)
        except Fault as error:
            failure = self.lost(f"SOAP Fault {str(error.message or '')[:300]!r}", writes=True)
        except NotAnAnswer:
            raise
        except (Error, AttributeError, KeyError, ValueError, TypeError) as error:
            # zeep raises the plain ones too where an answer is of another shape than the WSDL says.
            failure = self.lost(f"{OPERATION}: {type(error).__name__}", writes=True)
        else:
            if not isinstance(answer, str):
                raise NotAnAnswer(f"{OPERATION}: {type(answer).__name__}")
            return answer
        raise failure  # outside of the handlers: what zeep says quotes whole answers

    def _opened(self) -> Client:
        with self._lock:
            if self._client is None:
                self._client = self._open()
            return self._client

    def _open(self) -> Client:
        """The client of the site's WSDL.

        Raises:
            FixConfig: the WSDL is none, or leads elsewhere. RetryLater: it did not come.
        """
        from zeep import Client, Settings
        from zeep.exceptions import Error

        settings = Settings(
            strict=True, xml_huge_tree=False, forbid_dtd=True, forbid_entities=True, forbid_external=False,
            force_https=False,
        )  # fmt: skip  # imports are refused by _Transport.load, whose message says what to do
        try:
            client = Client(f"{self._address}?wsdl", transport=_Transport(self), settings=settings)
            stated = client.service._binding_options["address"]  # noqa: SLF001  (zeep has no public word for it)
        except RetryLater:
            raise
        except (Error, AttributeError, KeyError, ValueError, TypeError, OSError) as error:
            raise FixConfig(
                f"{self._address}?wsdl 不是可用的 WSDL（{type(error).__name__}）：请核对连接 {self.name!r} 的地址，或改用 interface: http / no "
                f"usable WSDL: check the address of connection {self.name!r}, or use interface: http"
            ) from None
        if self._is_checked and _place(stated) != _place(self._address):
            raise FixConfig(
                f"NC 的 WSDL 让人调用 {str(stated)[:200]!r}，不是连接 {self.name!r} 的地址：请核对；若服务器只是不知道自己的外部名称，设置选项 soap_address: "
                "connection / the WSDL sends calls to another address than the connection's: check it; if the server merely "
                "does not know its outer name, set the option soap_address: connection"
            )
        return client


def _safe(body: bytes, content_type: str) -> str:
    """The text, UTF-8 from here on.

    Raises:
        NotAnAnswer: it has a document type, where bombs and external entities live.
    """
    text = decoded(body, content_type)
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise NotAnAnswer("DOCTYPE")
    return text


def _place(url: object) -> tuple[str, str, int | None, str]:
    parts = urlsplit(str(url))
    try:
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        port = None
    return parts.scheme, (parts.hostname or "").lower(), port, parts.path.rstrip("/")
