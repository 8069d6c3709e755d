"""The exchange platform as a web service (IPfxxWs); see `include.adapters.soap` for what is not done there."""

from __future__ import annotations

from collections.abc import Mapping

from include.adapters.ledger.nc.answers import NotAnAnswer, decoded
from include.adapters.ledger.nc.client import NcClient
from include.adapters.ledger.nc.options import NcOptions
from include.adapters.soap import Reply, Service, has_document_type
from include.connections import Endpoint
from include.domain.errors import VoucherflowError
from include.pace import Limiter

SERVICE = "/uapws/service/nc.itf.pfxx.synchdata.IPfxxWs"
OPERATION = "synchronizeData"
PLUGIN = "PFXX"


class SoapNcClient(NcClient):
    """As `NcClient`, with files going to the web service."""

    def __init__(self, endpoint: Endpoint, options: NcOptions, *, limiter: Limiter | None = None) -> None:
        super().__init__(endpoint, options, limiter=limiter)
        self._service = Service(
            f"{self.base}{SERVICE}",
            _Courier(self),
            system="NC",
            connection=self.name,
            instead=("或改用 interface: http", "or use interface: http"),
            is_checked=options.soap_address == "checked",
        )

    def carry(self, document: str) -> str:
        from zeep.exceptions import Error, Fault

        failure: VoucherflowError
        try:
            answer = self._service.operation(OPERATION)(document, PLUGIN)
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


class _Courier:
    """Our own HTTP."""

    def __init__(self, client: NcClient) -> None:
        self._client = client
        self._address = f"{client.base}{SERVICE}"

    def fetch(self) -> str:
        what = f"{SERVICE}?wsdl"
        return _safe(*self._client.send("GET", f"{self._address}?wsdl", what=what, writes=False))

    def carry(self, envelope: bytes, headers: Mapping[str, str]) -> Reply:
        answer = self._client.send(
            "POST", self._address, what=SERVICE, writes=True, faults=True, data=envelope, headers=headers
        )
        return Reply(_safe(*answer))


def _safe(body: bytes, content_type: str) -> str:
    """The text, UTF-8 from here on.

    Raises:
        NotAnAnswer: it has a document type.
    """
    text = decoded(body, content_type)
    if has_document_type(text):
        raise NotAnAnswer("DOCTYPE")
    return text
