"""What adapters of web services share: zeep on a vendor's own WSDL, and nothing of what that WSDL might lead to.

The WSDL is read once, from the connection's host alone; nothing that it names elsewhere is fetched or called. XML with a
document type is refused, trees are limited. How requests travel, and what their failures mean, is the adapter's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from requests.structures import CaseInsensitiveDict

from include.domain.errors import FixConfig, VoucherflowError

if TYPE_CHECKING:
    from zeep import Client


class Reply:
    """What zeep wants to know of an answer."""

    def __init__(self, text: str, status: int = 200) -> None:
        self.status_code = status
        self.content = text.encode()
        self.headers = CaseInsensitiveDict({"Content-Type": "text/xml; charset=utf-8"})
        self.encoding = "utf-8"


class Courier(Protocol):
    """An adapter's way of sending, to the connection's host and nowhere else."""

    def fetch(self) -> str:
        """The WSDL, UTF-8 from here on and without a document type. Raises as the adapter's reads do."""
        ...

    def carry(self, envelope: bytes, headers: Mapping[str, str]) -> Reply:
        """The answer to an envelope, likewise. Raises as the adapter's calls do."""
        ...


class Service:
    """A web service that its WSDL describes; opened at the first call, by whichever thread comes first.

    Args:
        address: where it is, without `?wsdl`.
        courier: how to get there.
        system: the vendor's name, for messages.
        connection: the connection's id, likewise.
        instead: what else an engineer might do if there is no usable WSDL: Chinese, English.
        is_checked: whether the address in the WSDL has to be ours.
    """

    def __init__(
        self,
        address: str,
        courier: Courier,
        *,
        system: str,
        connection: str,
        instead: tuple[str, str],
        is_checked: bool,
    ) -> None:
        self._address = address
        self._courier = courier
        self._system = system
        self._connection = connection
        self._instead = instead
        self._is_checked = is_checked
        self._lock = threading.Lock()
        self._client: Client | None = None

    def operation(self, name: str) -> Callable[..., Any]:
        """A call by name.

        Raises:
            FixConfig: the WSDL is none, or leads elsewhere.
            RetryLater: it did not come.
            AttributeError: the WSDL has no such operation.
        """
        with self._lock:
            if self._client is None:
                self._client = self._open()
            found: Callable[..., Any] = self._client.service[name]
            return found

    def load(self, url: str) -> bytes:
        """For zeep: the WSDL itself."""
        if url != f"{self._address}?wsdl":
            raise FixConfig(
                f"{self._system} 的 WSDL 引用了 {url[:200]!r}，不会读取：WSDL 须自成一体，请核对连接 {self._connection!r} 的地址 / the WSDL imports "
                "another document, which is not fetched: check the connection's address and how the service is published"
            )
        return self._courier.fetch().encode()

    def post_xml(self, _address: str, envelope: Any, headers: Mapping[str, str]) -> Reply:
        """For zeep: send an envelope, to our address whatever the WSDL says."""
        from lxml import etree

        return self._courier.carry(etree.tostring(envelope, xml_declaration=True, encoding="utf-8"), headers)

    def _open(self) -> Client:
        from zeep import Client, Settings
        from zeep.exceptions import Error

        settings = Settings(
            strict=True, xml_huge_tree=False, forbid_dtd=True, forbid_entities=True, forbid_external=False,
            force_https=False,
        )  # fmt: skip  # imports are refused by `load`, whose message says what to do
        wsdl = f"{self._address}?wsdl"
        try:
            client = Client(wsdl, transport=self, settings=settings)
            stated = client.service._binding_options["address"]  # noqa: SLF001  (zeep has no public word for it)
        except VoucherflowError:
            raise
        except (Error, AttributeError, KeyError, ValueError, TypeError, OSError) as error:
            zh, en = self._instead
            raise FixConfig(
                f"{wsdl} 不是可用的 WSDL（{type(error).__name__}）：请核对连接 {self._connection!r} 的地址，{zh} / no usable WSDL: check the "
                f"address of connection {self._connection!r}, {en}"
            ) from None
        if self._is_checked and _place(stated) != _place(self._address):
            raise FixConfig(
                f"{self._system} 的 WSDL 让人调用 {str(stated)[:200]!r}，不是连接 {self._connection!r} 的 {self._address!r}：请核对地址；若服务器只是"
                "不知道自己的外部名称，设置选项 soap_address: connection / the WSDL sends calls to another address than the connection's: "
                "check it; if the server merely does not know its outer name, set the option soap_address: connection"
            )
        return client


def has_document_type(text: str) -> bool:
    """Whether XML has one, which is where bombs and external entities live."""
    return "<!DOCTYPE" in text or "<!ENTITY" in text


def _place(url: object) -> tuple[str, str, int | None, str]:
    parts = urlsplit(str(url))
    try:
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        port = None
    return parts.scheme, (parts.hostname or "").lower(), port, parts.path.rstrip("/")
