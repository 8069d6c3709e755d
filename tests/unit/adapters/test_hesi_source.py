"""Which details are asked for, and what the mapping is given beside the payload."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from include.adapters.oa.hesi.client import DocumentGone
from include.adapters.oa.hesi.listing import raw_document
from include.adapters.oa.hesi.options import HesiOptions
from include.adapters.oa.hesi.source import HesiSource
from include.domain.document import DocumentStatus
from include.domain.errors import RetryLater
from include.ports import RawDocument
from tests.conftest import FakeClock
from tests.unit.adapters.hesi_parts import Json, expense, hesi_source, line, money


class Tenant:
    """Stands for the client: details by id, empty lists, payees in use and stopped ones, invoices."""

    def __init__(self) -> None:
        self.details: dict[str, Json] = {}
        self.stopped: list[Json] = []
        self.asked: list[tuple[str, Json]] = []
        self.searched: list[tuple[str, Any]] = []

    def read(self, path: str, params: Json, check: Callable[[Any], str | None]) -> Any:
        self.asked.append((path, params))
        if path.endswith("flowDetails"):
            if params["flowId"] not in self.details:
                raise DocumentGone("412")
            answer: Json = {"value": self.details[params["flowId"]]}
        elif params.get("active") == "false":
            found = [item for item in self.stopped if item["id"] in params["ids"].split(",")]
            answer = {"count": len(found), "items": found}
        else:
            answer = {"count": 0, "items": []}
        fault = check(answer)
        if fault:
            raise RetryLater(fault)
        return answer

    def search(self, path: str, body: Any, check: Callable[[Any], str | None]) -> Any:
        self.searched.append((path, body))
        if "/flow/" in path:
            items = [{"invoiceId": f"I-{i}", "invoiceType": "taxi"} for i in body["codeOrIds"]]
            return {"value": {i: [item] for i, item in zip(body["codeOrIds"], items, strict=True)}}
        return {"items": [{"id": i, "E_system_出租车票_金额": money("12.00")} for i in body["ids"]]}

    @property
    def detailed(self) -> list[str]:
        return sorted(params["flowId"] for path, params in self.asked if path.endswith("flowDetails"))


@pytest.fixture
def tenant() -> Tenant:
    return Tenant()


def source(tenant: Tenant, clock: FakeClock, **options: Any) -> HesiSource:
    return HesiSource(hesi_source(), tenant, HesiOptions.model_validate(options), clock)  # type: ignore[arg-type]


def document(identity: str, state: Any = "paid", **more: Any) -> RawDocument:
    return raw_document(expense() | {"id": identity, "state": state} | more, "expense")


STATES = {"a": "paid", "b": "approving", "c": "archived", "d": "frozen", "e": "draft", "f": None}


@pytest.mark.parametrize(
    ("policy", "expected"),
    [("approved", ["a", "c", "d", "f"]), ("always", ["a", "b", "c", "d", "e", "f"]), ("never", [])],
)
def test_details_are_asked_for_by_policy(
    tenant: Tenant, clock: FakeClock, policy: str, expected: list[str]
) -> None:
    listed = [document(i, state) for i, state in STATES.items()] + [document("gone", active=False)]
    tenant.details = {i: expense(title="from the detail") | {"id": i} for i in STATES}
    found = source(tenant, clock, details=policy).details(listed)
    assert tenant.detailed == expected
    assert [raw.document_id for raw in found] == [*STATES, "gone"]
    titled = [raw.document_id for raw in found if raw.payload["form"]["title"] == "from the detail"]
    assert titled == expected


def test_an_id_alone_is_asked_for_whatever_the_policy(tenant: Tenant, clock: FakeClock) -> None:
    tenant.details = {"a": expense() | {"id": "a"}}
    wanted = [RawDocument("a", "expense", None, {}), RawDocument("b", "expense", None, {})]
    oa = source(tenant, clock, details="never")
    first, second = oa.to_documents(oa.details(wanted))
    assert first.document.gross == 10000
    assert (second.document.document_id, second.document.status) == ("b", DocumentStatus.DELETED)


def test_the_detail_of_another_document_is_not_taken(tenant: Tenant, clock: FakeClock) -> None:
    tenant.details = {"a": expense() | {"id": "b"}}
    with pytest.raises(RetryLater, match="another document"):
        source(tenant, clock).details([document("a")])


def test_payees_that_are_no_longer_in_use_are_looked_up_once(tenant: Tenant, clock: FakeClock) -> None:
    tenant.stopped = [{"id": "P1", "name": "停用的供应商", "type": "对公账户", "active": False}]
    oa = source(tenant, clock)
    payloads = [raw_document(expense(payeeId=payee) | {"id": payee}, "expense") for payee in ("P1", "P2")]
    for _ in range(2):
        first, second = oa.to_documents(payloads)
        assert first.document.supplier is not None
        assert first.document.supplier.name == "停用的供应商"
        assert second.document.supplier is None
    assert [params["ids"] for _, params in tenant.asked if params.get("active") == "false"] == ["P1,P2"]


def test_invoices_are_looked_up_in_two_calls_for_all_documents_that_have_any(
    tenant: Tenant, clock: FakeClock
) -> None:
    with_invoice = line(invoiceForm={"invoices": [{"invoiceId": "I-a"}]})
    payloads = [
        raw_document(expense(with_invoice) | {"id": "a"}, "expense"),
        raw_document(expense() | {"id": "b"}, "expense"),
    ]
    mapped = source(tenant, clock).to_documents(payloads)
    claim = mapped[0].document.invoices[0]
    assert (claim.kind, claim.total, claim.claimed) == ("taxi", 1200, 10000)
    assert [body for _, body in tenant.searched] == [{"type": "id", "codeOrIds": ["a"]}, {"ids": ["I-a"]}]
    tenant.searched.clear()
    source(tenant, clock, invoice_totals=False).to_documents(payloads)
    assert tenant.searched == []
