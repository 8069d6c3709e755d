"""Invoices: those of a document, their heads by type, and the lines of VAT invoices."""

from __future__ import annotations

from collections.abc import Callable
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


def _ticket_head(name: str, invoice: Invoice, home: Currency) -> Json:
    """A ticket: its own field prefix, amount and number, and the tax that may be deducted from it."""
    head = f"E_system_{name}_"
    return {
        "E_税率": invoice.rate.removesuffix("%"),
        "E_税额": money(invoice.deductible, home),
        "E_是否抵扣": invoice.deductible > 0,
        "E_不计税金额": money(invoice.gross - invoice.deductible, home),
        "E_system_发票主体_来源": "OCR",
        f"{head}金额": money(invoice.gross, home),
        f"{head}发票代码": invoice.code,
        f"{head}发票号码": invoice.number,
        f"{head}消费类型": "交通",
    }


def _train_head(invoice: Invoice, home: Currency) -> Json:
    head = "E_system_火车票_"
    return _ticket_head("火车票", invoice, home) | {
        f"{head}号码": invoice.number,
        f"{head}乘车时间": invoice.date,
        f"{head}车次": invoice.extra.get("trip", ""),
        f"{head}上车车站": invoice.extra.get("origin", ""),
        f"{head}下车车站": invoice.extra.get("target", ""),
        f"{head}座位类型": "二等座",
    }


def _flight_head(invoice: Invoice, home: Currency) -> Json:
    name = "航空运输电子客票行程单"
    head = f"E_system_{name}_"
    extra = invoice.extra
    return _ticket_head(name, invoice, home) | {
        f"{head}票价": money(extra.get("fare", 0), home),
        f"{head}燃油附加费": money(extra.get("fuel", 0), home),
        f"{head}民航发展基金": money(extra.get("fund", 0), home),
        f"{head}税费": money(invoice.tax, home),
        f"{head}保险费": money(0, home),
        f"{head}电子客票号码": invoice.number,
        f"{head}航班号": extra.get("trip", ""),
        f"{head}出发站": extra.get("origin", ""),
        f"{head}到达站": extra.get("target", ""),
        f"{head}乘机时间": invoice.date,
        f"{head}填开日期": invoice.date,
    }


HEADS: dict[str, tuple[str, Callable[[Invoice, Currency], Json]]] = {
    "invoice": ("system_发票主体", _vat_head),
    "other": ("system_其他", lambda invoice, home: _ticket_head("其他", invoice, home)),
    "taxi": ("system_出租车票", lambda invoice, home: _ticket_head("出租车票", invoice, home)),
    "fixed": ("system_定额发票", lambda invoice, home: _ticket_head("定额发票", invoice, home)),
    "passengerCar": (
        "system_客运汽车发票",
        lambda invoice, home: _ticket_head("客运汽车发票", invoice, home),
    ),
    "machinePrint": ("system_机打发票", lambda invoice, home: _ticket_head("机打发票", invoice, home)),
    "shopping": ("system_消费小票", lambda invoice, home: _ticket_head("消费小票", invoice, home)),
    "train": ("system_火车票", _train_head),
    "flightItinerary": ("system_航空运输电子客票行程单", _flight_head),
    "tolls": ("system_过路费发票", lambda invoice, home: _ticket_head("过路费发票", invoice, home)),
    "medical": ("system_医疗发票", lambda invoice, home: _ticket_head("医疗发票", invoice, home)),
    "noTaxIncome": (
        "system_非税收入类票据",
        lambda invoice, home: _ticket_head("非税收入类票据", invoice, home),
    ),
}
"""Field prefix and entity by objectId. The documents show all; the generator issues the travel kinds and VAT."""


def _head_body(invoice: Invoice, home: Currency) -> Json:
    entity, render = HEADS[invoice.kind]
    return {
        "id": invoice.id,
        "masterId": None,
        "topDate": 0,
        "useCount": 0,
        "totalCount": 1,
        "ownerId": None,
        "visibility": VISIBLE,
        **render(invoice, home),
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
    if object_id not in HEADS:
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
