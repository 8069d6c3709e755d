"""Documents (单据): list, detail, loans, voucher write-back, failed outbound messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.responses import JSONResponse, Response

from include.emulators.hesi.model import Document, Loan, Repayment
from include.emulators.hesi.money import decimal_text, money
from include.emulators.hesi.protocol import (
    ApiError,
    Call,
    Handler,
    active_filter,
    date_range,
    items_response,
    json_body,
    missing,
    page_of,
    whole_number,
)

Json = dict[str, Any]

LIST_TYPES = frozenset({"expense", "loan", "payment", "requisition", "custom", "receipt", "permit"})
ORDER_FIELDS = {
    "createTime": "create_time",
    "updateTime": "update_time",
    "submitDate": "submit_date",
    "payDate": "pay_date",
}


@dataclass(frozen=True, slots=True)
class ListQuery:
    """The conditions of a document list, without its page."""

    form_type: str
    states: frozenset[str] | None
    specifications: frozenset[str] | None
    owner_id: str | None
    active: bool | None
    order_by: str
    descending: bool
    start: int | None
    end: int | None

    @classmethod
    def of(cls, params: Mapping[str, str]) -> ListQuery:
        """Read a query.

        Raises:
            ApiError: a missing or unknown type, order or date.
        """
        form_type = params.get("type")
        if not form_type:
            raise missing("type")
        if form_type not in LIST_TYPES:
            raise ApiError(400, "参数type无法识别")
        order = params.get("orderBy") or "createTime"
        if order not in ORDER_FIELDS:
            raise ApiError(400, "参数orderBy无法识别")
        direction = params.get("orderByType") or "desc"
        if direction not in {"asc", "desc"}:
            raise ApiError(400, "参数orderByType无法识别")
        try:
            start, end = date_range(params)
        except ValueError:
            raise ApiError(400, "日期格式错误，应为yyyy-MM-dd HH:mm:ss") from None
        if order == "payDate" and start is None and end is None:
            order = "createTime"  # ordering by payment date takes effect together with a date only
        return cls(
            form_type=form_type,
            states=_states(params.get("state")),
            specifications=_set(params.get("specificationId")),
            owner_id=params.get("uid") or None,
            active=active_filter(params),
            order_by=ORDER_FIELDS[order],
            descending=direction == "desc",
            start=start,
            end=end,
        )

    def accepts(self, document: Document) -> bool:
        if document.form_type != self.form_type:
            return False
        if self.active is not None and document.active != self.active:
            return False
        if self.states is not None and document.state not in self.states:
            return False
        if self.owner_id is not None and document.owner_id != self.owner_id:
            return False
        # Documents name their template with its minor version, queries name it without.
        if self.specifications is not None:
            template, _, _ = document.specification_id.partition(":")
            if template not in self.specifications:
                return False
        moment = self.moment(document)
        if self.order_by == "pay_date" and (moment is None or not document.is_approved):
            return False
        if self.start is None and self.end is None:
            return True
        if moment is None:
            return False
        return (self.start is None or moment >= self.start) and (self.end is None or moment <= self.end)

    def moment(self, document: Document) -> int | None:
        """The time by which the list is ordered and cut, None where the document has none yet."""
        value: int | None = getattr(document, self.order_by)
        return value


def _set(text: str | None) -> frozenset[str] | None:
    return frozenset(text.split(",")) if text else None


def _states(text: str | None) -> frozenset[str] | None:
    """`PROCESSING` itself finds nothing; it comes inside `paying`."""
    states = _set(text)
    if states is None:
        return None
    states -= {"PROCESSING"}
    return states | {"PROCESSING"} if "paying" in states else states


async def get_apply_list(call: Call) -> Response:
    query = ListQuery.of(call.params)
    start, count = page_of(call.params)
    world = call.world
    with world.lock:
        found = _matching(call, query)
        items = [world.render(document, detail=False) for document in found[start : start + count]]
    return items_response(items, len(found))


def _matching(call: Call, query: ListQuery) -> list[Document]:
    """All documents of a query in order; kept until the world changes, for the pages that follow."""
    key = (call.world.revision, query)
    if call.service.query_cache is not None and call.service.query_cache[0] == key:
        kept: list[Document] = call.service.query_cache[1]
        return kept
    found = [document for document in call.world.documents.values() if query.accepts(document)]
    found.sort(key=lambda document: (query.moment(document) or 0, document.id), reverse=query.descending)
    call.service.query_cache = (key, found)
    return found


async def flow_details(call: Call) -> Response:
    flow_id = call.params.get("flowId")
    if not flow_id:
        raise missing("flowId")
    return _detail(call, call.world.documents.get(flow_id))


async def flow_details_by_code(call: Call) -> Response:
    code = call.params.get("code")
    if not code:
        raise missing("code")
    return _detail(call, call.world.by_code(code))


def _detail(call: Call, document: Document | None) -> Response:
    if document is None:
        raise ApiError(412, "单据不存在")
    if not document.active:
        raise ApiError(412, "单据已删除")
    with call.world.lock:
        return JSONResponse({"value": call.world.render(document, detail=True)})


async def loan_info(call: Call) -> Response:
    """The loan record (借款包) of a document; its id stands behind a literal `$` in the path."""
    raw = call.request.path_params["flow_id"]
    flow_id = raw.removeprefix("$")
    loan = call.world.loans.get(flow_id)
    if raw == flow_id or loan is None or not call.world.has_loan_record(loan):
        raise ApiError(400, f"根据借款单Id:{flow_id}, 获取不到对应的借款包,请核查")
    with call.world.lock:
        return JSONResponse({"value": _loan_body(call, loan)})


def _number(minor: int, scale: int) -> int | float:
    """The loan pages write bare numbers."""
    text = decimal_text(minor, scale, trimmed=True)
    return float(text) if "." in text else int(text)


def _loan_body(call: Call, loan: Loan) -> Json:
    world = call.world
    home = world.catalog.home
    state = world.loan_state(loan)
    document = world.documents[loan.flow_id]
    remain = loan.total - state.repaid
    return {
        "version": document.version,
        "active": True,
        "createTime": loan.loan_date,
        "updateTime": document.update_time,
        "corporationId": world.catalog.corporation_id,
        "ownerId": loan.owner_id,
        "id": loan.id,
        "total": _number(loan.total, home.scale),
        "totalMoneyNode": money(loan.total, home),
        "reserved": _number(state.reserved, home.scale),
        "remain": _number(remain, home.scale),
        "repayment": _number(state.repaid, home.scale),
        # The vendor's words: REPAID is 待还款 (still owed), PAID is 已还清 (settled).
        "state": "PAID" if remain <= 0 else "REPAID",
        "flowId": loan.flow_id,
        "title": loan.title,
        "repaymentDate": loan.repayment_date,
        "loanDate": loan.loan_date,
        "source": loan.source,
        "sharedOwnerIds": [],
        "loanInfoRemind": False,
        "config": {"isLimitRepaymentDate": False, "foreignCurrency": None, "ability": "loan"},
        "foreignCurrencyLoan": None,
        "foreignRemain": None,
        "foreignReserved": None,
        "foreignRepayment": None,
        "totalProfitAndLoss": None,
        "delayCount": 0,
        "writtenOffRemainTimes": None,
        "budgetRemain": None,
        "transfer": False,
        "transferId": None,
    }


async def repayment_records(call: Call) -> Response:
    """Records by `[id1,id2]` in the path; unknown ids are left out."""
    text = call.request.path_params["ids"].strip()
    ids = [part.strip() for part in text.removeprefix("[").removesuffix("]").split(",")]
    found = [call.world.repayments[part] for part in ids if part in call.world.repayments]
    return items_response([_repayment_body(call, record) for record in found])


def _repayment_body(call: Call, record: Repayment) -> Json:
    world = call.world
    loan = world.loans[record.loan_flow_id]
    return {
        "pipeline": 1,
        "grayver": "",
        "id": record.id,
        "version": 1,
        "active": True,
        "createTime": record.time,
        "updateTime": record.time,
        "corporationId": world.catalog.corporation_id,
        "sourceCorporationId": None,
        "dataCorporationId": None,
        "ownerId": loan.owner_id,
        "repaymentType": record.kind,
        "amount": _number(record.amount, world.catalog.home.scale),
        "loanInfoId": loan.id,
        "totalProfitAndLoss": None,
        "foreignAmount": None,
        "chargeAgainstMark": False,
        "attachments": [],
        "formType": world.documents[record.flow_id].form_type,
        "flowId": record.flow_id,
        "title": loan.title,
    }


async def erp_voucher(call: Call) -> Response:
    """Write voucher numbers back. All or nothing: one bad document spoils the call."""
    entries = (await json_body(call.request)).get("voucher")
    if not isinstance(entries, list) or not entries:
        raise ApiError(400, "输入存在错误:\n- 凭证信息不能为空")
    for item in entries:
        _check_voucher(item)
    world = call.world
    with world.lock:
        unpaid = []
        for item in entries:
            document = world.documents.get(item["flowId"])
            if document is None or not document.active:
                raise ApiError(412, f"不存在此单据[{item['flowId']}]")
            if document.state != "paid":
                unpaid.append(document.id)
        if unpaid:
            raise ApiError(
                400, f"单据Id:[[{', '.join(unpaid)}]]的单据不是已支付状态，不能回写单据凭证，请检查"
            )
        world.write_back(entries)
    return JSONResponse({"value": True})


def _check_voucher(item: object) -> None:
    """One entry of a write-back: ids and numbers are texts, the time is epoch milliseconds as text or number."""
    if not isinstance(item, dict):
        raise ApiError(412, "JSON请求参数不正确")
    for name in ("flowId", "voucherNo"):
        if not isinstance(item.get(name), str):
            raise missing(name)
    if not str(item.get("voucherCreateTime", "")).isdigit():
        raise missing("voucherCreateTime")


async def outbound_message_logs(call: Call) -> Response:
    """Messages that could not be delivered; both dates (epoch ms) are mandatory, the type is `flow` by default."""
    params = call.params
    kind = params.get("messageType") or "flow"
    start, end = whole_number(params, "startDate"), whole_number(params, "endDate")
    found = [
        log
        for log in call.world.outbound_logs
        if log["messageType"] == kind and start <= log["createTime"] <= end
    ]
    return items_response(found)


ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/api/openapi/v1.1/docs/getApplyList", get_apply_list),
    ("GET", "/api/openapi/v1.1/flowDetails", flow_details),
    ("GET", "/api/openapi/v1.1/flowDetails/byCode", flow_details_by_code),
    ("GET", "/api/openapi/v1/loans/getLoanInfoByFlowId/{flow_id}", loan_info),
    ("GET", "/api/openapi/v1/loan/repaymentRecord/{ids}", repayment_records),
    ("PUT", "/api/openapi/v2.1/flow/data/erpVoucher", erp_voucher),
    ("GET", "/api/openapi/v1/outboundMessageLogs", outbound_message_logs),
)
