"""Invoices: those of a document, their heads by type, and the lines of VAT invoices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import JSONResponse, Response

from include.emulators.hesi.catalog import EVERYONE
from include.emulators.hesi.model import Document, Invoice, unpack
from include.emulators.hesi.money import Currency, money
from include.emulators.hesi.protocol import MAX_PAGE, ApiError, Call, Handler, json_body, text_list

Json = dict[str, Any]

VISIBLE: Json = {
    "fullVisible": True,
    "departmentsIncludeChildren": True,
    "staff": [],
    "department": [],
    "role": [],
}


def _vat_head(invoice: Invoice, home: Currency) -> Json:
    head = "E_system_发票主体_"
    net = invoice.gross - invoice.tax
    return {
        "E_税额": money(invoice.deductible, home),
        "E_是否抵扣": invoice.deductible > 0,
        "E_不计税金额": money(net, home),
        "E_system_收票状态": "RECEIVE",
        f"{head}code": invoice.code,
        f"{head}name": invoice.number,
        f"{head}来源": "UPLOAD",
        f"{head}税额": money(invoice.tax, home),
        f"{head}验真": True,
        f"{head}校验码": "",
        f"{head}价税合计": money(invoice.gross, home),
        f"{head}发票代码": invoice.code,
        f"{head}发票号码": invoice.number,
        f"{head}发票日期": invoice.date,
        f"{head}发票类别": invoice.category,
        f"{head}发票金额": money(net, home),
        f"{head}销售方名称": invoice.seller,
        f"{head}销售方纳税人识别号": invoice.extra.get("seller_tax_id", ""),
        f"{head}购买方名称": invoice.extra.get("buyer", ""),
        f"{head}购买方纳税人识别号": invoice.extra.get("buyer_tax_id", ""),
        f"{head}备注": "",
    }


@dataclass(frozen=True, slots=True)
class Ticket:
    """How the vendor's documents name the fields of a kind of ticket; an empty name: it has no such field."""

    name: str
    total: str = "金额"
    day: str = "时间"
    code: str = "发票代码"
    number: str = "发票号码"
    travellers: Sequence[str] = ()
    trip: Sequence[str] = ()
    """Fields of number, origin and target of the journey."""
    fixed: Mapping[str, Any] = field(default_factory=lambda: {"消费类型": "交通"})


TICKETS: Mapping[str, Ticket] = {
    "other": Ticket("其他", day="日期", code="", number="", fixed={}),
    "taxi": Ticket("出租车票", day="上车时间"),
    "fixed": Ticket("定额发票", day="", number="号码"),
    "passengerCar": Ticket("客运汽车发票", travellers=("姓名",), trip=("", "出发车站", "达到车站")),
    "machinePrint": Ticket("机打发票", fixed={"发票种类": "机打电子发票"}),
    "shopping": Ticket("消费小票", code="", number="", fixed={"消费类型": "Other"}),
    "train": Ticket(
        "火车票",
        day="乘车时间",
        code="",
        number="号码",
        travellers=("乘车人姓名",),
        trip=("车次", "上车车站", "下车车站"),
        fixed={"座位类型": "二等座", "消费类型": "交通"},
    ),
    "flightItinerary": Ticket(
        "航空运输电子客票行程单",
        day="乘机时间",
        code="",
        number="电子客票号码",
        travellers=("乘机人姓名", "身份证号"),
        trip=("航班号", "出发站", "到达站"),
    ),
    "tolls": Ticket("过路费发票"),
    "medical": Ticket(
        "医疗发票", "金额合计", "开票日期", "票据代码", "票据号码", fixed={"发票种类": "医疗电子发票"}
    ),
    "noTaxIncome": Ticket("非税收入类票据", "金额合计", "开票日期", "票据代码", "票据号码", fixed={}),
}
"""Every kind but VAT invoices, by objectId. The documents show all; the generator issues the travel kinds."""
TRAVELLER = {"身份证号": "310***********0001"}
"""What stands in a traveller's field; a masked name where the field is not named here."""


def _ticket_head(kind: str, invoice: Invoice, home: Currency) -> Json:
    """A ticket: the fields of its kind, and the tax that the OA would deduct from it."""
    ticket, extra = TICKETS[kind], invoice.extra
    trip = zip(ticket.trip, (extra.get(name, "") for name in ("trip", "origin", "target")), strict=False)
    fields: Json = {
        ticket.total: money(invoice.gross, home),
        ticket.day: invoice.date,
        ticket.code: invoice.code,
        ticket.number: invoice.number,
        **{name: TRAVELLER.get(name, "员*工") for name in ticket.travellers},
        **dict(trip),
        **ticket.fixed,
    }
    if kind == "machinePrint":
        fields["税额"] = money(invoice.tax, home)
    if kind == "flightItinerary":
        fields |= {
            "票价": money(extra.get("fare", 0), home),
            "燃油附加费": money(extra.get("fuel", 0), home),
            "民航发展基金": money(extra.get("fund", 0), home),
            # In the documents' example fare, surcharge and fund make the total: the VAT in them is no part of this.
            "税费": money(0, home),
            "保险费": money(0, home),
            "填开日期": invoice.date,
        }
    return {
        "E_税率": invoice.rate.removesuffix("%"),
        "E_税额": money(invoice.deductible, home),
        "E_是否抵扣": invoice.deductible > 0,
        "E_不计税金额": money(invoice.gross - invoice.deductible, home),
        "E_system_发票主体_来源": "OCR",
        **{f"E_system_{ticket.name}_{name}": value for name, value in fields.items() if name},
    }


OBJECTS = ("invoice", *TICKETS)


def _head_body(invoice: Invoice, home: Currency) -> Json:
    if invoice.kind == "invoice":
        entity, head = "system_发票主体", _vat_head(invoice, home)
    else:
        entity, head = f"system_{TICKETS[invoice.kind].name}", _ticket_head(invoice.kind, invoice, home)
    return {
        "id": invoice.id,
        "masterId": None,
        "topDate": 0,
        "useCount": 0,
        "totalCount": 1,
        "ownerId": None,
        "visibility": VISIBLE,
        **head,
        "active": False,
        "updateTime": invoice.date,
        "createTime": invoice.date,
        "entityId": entity,
    }


def _item_bodies(invoice: Invoice, home: Currency) -> list[Json]:
    head = "E_system_发票明细_"
    return [
        {
            "id": item.id,
            "masterId": invoice.id,
            "useCount": 0,
            "totalCount": 1,
            "ownerId": None,
            "visibility": {"fullVisible": True, "staff": [], "department": [], "role": []},
            f"{head}code": item.id,
            f"{head}name": item.name,
            f"{head}单价": None,
            f"{head}数量": "",
            f"{head}税率": item.rate,
            f"{head}税额": money(item.tax, home),
            f"{head}金额": money(item.amount, home),
            "active": False,
            "entityId": "system_发票明细",
            "entity": {"id": "system_发票明细", "name": "发票明细", "active": True, "visibility": EVERYONE},
        }
        for item in invoice.items
    ]


def _invoice_refs(form: object) -> list[tuple[str, list[str]]]:
    """(invoice id, line ids) anywhere in a form, in order, each invoice once; a broken form has none."""
    found: dict[str, list[str]] = {}
    waiting: list[object] = [form]
    while waiting:
        value = waiting.pop(0)
        if isinstance(value, list):
            waiting.extend(value)
        elif isinstance(value, dict):
            if "invoiceId" in value:
                found.setdefault(value["invoiceId"], value.get("itemIds") or [])
            waiting.extend(value.values())
    return list(found.items())


async def flow_invoices(call: Call) -> Response:
    """Invoice ids of documents, under the codes or ids that were asked for; unknown ones are left out."""
    body = await json_body(call.request)
    kind, wanted = body.get("type"), text_list(body, "codeOrIds") or []
    if kind not in {"code", "id"}:
        raise ApiError(400, f"不支持此类型type={kind}")
    world = call.world
    result: Json = {}
    with world.lock:
        for key in wanted:
            document: Document | None = world.documents.get(key) if kind == "id" else world.by_code(key)
            if document is None or not document.active:
                continue
            result[key] = [
                {"invoiceId": identity, "invoiceItemId": items, "invoiceType": world.invoices[identity].kind}
                for identity, items in _invoice_refs(unpack(document.packed)["form"])
                if identity in world.invoices
            ]
    return JSONResponse({"value": result})


async def invoice_search(call: Call) -> Response:
    """Invoice heads of one type: by ids, else by codes, else all of them from `index` (from 1) on."""
    object_id = call.request.path_params["object_id"]
    if object_id not in OBJECTS:
        raise ApiError(400, f"不支持的业务对象「{object_id}」")
    if not await call.request.body():
        raise ApiError(400, "查询参数不能为空!!!")
    body = await json_body(call.request)
    world = call.world
    ids, codes = text_list(body, "ids"), text_list(body, "codes")
    if ids or codes:
        if ids:
            found = [world.invoices[identity] for identity in ids if identity in world.invoices]
        else:
            wanted = set(codes or [])
            found = [item for item in world.invoices.values() if f"{item.code}:{item.number}" in wanted]
        found = [invoice for invoice in found if invoice.kind == object_id]
        total = len(found)
    else:
        index, count = body.get("index"), body.get("count")
        if not isinstance(index, int) or not isinstance(count, int):
            raise ApiError(400, "查询参数不能为空!!!")
        if index < 1 or not 0 < count <= MAX_PAGE:
            raise ApiError(400, "输入存在错误:\n- index从1开始，count最大不能超过100")
        every = [invoice for invoice in world.invoices.values() if invoice.kind == object_id]
        found, total = every[index - 1 : index - 1 + count], len(every)
    home = world.catalog.home
    return JSONResponse({"count": total, "items": [_head_body(invoice, home) for invoice in found]})


async def invoice_detail(call: Call) -> Response:
    invoice = call.world.invoices.get(call.request.path_params["invoice_id"])
    home = call.world.catalog.home
    return JSONResponse({"items": [] if invoice is None else _item_bodies(invoice, home)})


async def invoice_detail_batch(call: Call) -> Response:
    wanted = text_list(await json_body(call.request), "invoiceIds") or []
    invoices = call.world.invoices
    found = [invoices[identity] for identity in wanted if identity in invoices]
    home = call.world.catalog.home
    return JSONResponse({"items": [item for invoice in found for item in _item_bodies(invoice, home)]})


ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("POST", "/api/openapi/v2/extension/flow/INVOICE/search", flow_invoices),
    ("POST", "/api/openapi/v2/extension/INVOICE/object/{object_id}/search", invoice_search),
    ("POST", "/api/openapi/v2/extension/INVOICE/object/invoice/detailBatch", invoice_detail_batch),
    ("POST", "/api/openapi/v2/extension/INVOICE/object/invoice/{invoice_id}/detail", invoice_detail),
)
