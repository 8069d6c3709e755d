"""Master data pages: departments, staff, fee types, archives, payees, accounts, currencies."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from include.emulators.hesi.protocol import (
    MAX_PAGE,
    ApiError,
    Call,
    Handler,
    active_filter,
    empty_400,
    items_response,
    json_body,
    listed,
    not_found,
    page_of,
    text_list,
    text_time,
)

Json = dict[str, Any]

STAFF_KEYS = {"STAFFID": "id", "CODE": "code", "CELLPHONE": "cellphone", "MAIL": "email", "USERID": "userId"}


def _paged(items: list[Json], call: Call) -> Response:
    start, count = page_of(call.params)
    return items_response(items[start : start + count], len(items))


async def departments(call: Call) -> Response:
    try:
        found = listed(call.world.catalog.departments, call.params, text_time)
    except ValueError:
        raise empty_400() from None
    return _paged(found, call)


async def staffs(call: Call) -> Response:
    params = call.params
    active, external = active_filter(params), active_filter(params, "external")
    try:
        found = listed(call.world.catalog.staffs, params, text_time)
    except ValueError:
        raise empty_400() from None
    chosen = [
        staff
        for staff in found
        if (active is None or staff["active"] == active)
        and (external is None or staff["external"] == external)
    ]
    return _paged(chosen, call)


async def staff_ids(call: Call) -> Response:
    """Staff by id, code, phone, mail or outside id; those who left are not found here."""
    body = await json_body(call.request)
    key = STAFF_KEYS.get(str(body.get("type")))
    if key is None:
        raise ApiError(400, f"不支持此类型type={body.get('type')}")
    wanted = text_list(body, "conditionIds")
    if not wanted:
        raise ApiError(400, "查询conditionIds不能为空")
    if len(wanted) > MAX_PAGE:
        raise ApiError(400, f"查询conditionIds不能超过{MAX_PAGE}个")
    values = set(wanted)
    found = [
        staff | {"roles": []}
        for staff in call.world.catalog.staffs
        if staff["active"] and staff[key] in values
    ]
    return items_response(found)


async def fee_types(call: Call) -> Response:
    return items_response(call.world.catalog.fee_types)


async def dimensions(call: Call) -> Response:
    return _paged(call.world.catalog.dimensions, call)


async def dimension_items(call: Call) -> Response:
    catalog = call.world.catalog
    wanted = call.params.get("dimensionId")
    if wanted and all(dimension["id"] != wanted for dimension in catalog.dimensions):
        raise empty_400()
    try:
        found = listed(catalog.items, call.params, text_time)
    except ValueError:
        raise empty_400() from None
    return _paged([item for item in found if not wanted or item["dimensionId"] == wanted], call)


async def payee_infos(call: Call) -> Response:
    """`ids`, `names` and `cardNos` must be present, be they empty; the first that has a value decides."""
    params = call.params
    filters = {"ids": "id", "names": "name", "cardNos": "cardNo"}
    if any(name not in params for name in (*filters, "start", "count")):
        raise not_found()
    chosen = next((name for name in filters if params[name]), None)
    active = active_filter(params)
    if chosen is None and active is False:
        return items_response([], 0)  # disabled payees are found by one of the three alone
    try:
        found = listed(call.world.catalog.payees, params, lambda item: int(item["updateTime"]))
    except ValueError:
        raise empty_400() from None
    if chosen is not None:
        values = set(params[chosen].split(","))
        found = [payee for payee in found if payee[filters[chosen]] in values]
    return _paged([payee for payee in found if active is None or payee["active"] == active], call)


async def payment_accounts(call: Call) -> Response:
    return items_response(call.world.catalog.accounts)


async def currencies(call: Call) -> Response:
    return items_response(call.world.catalog.currency_list())


ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/api/openapi/v1/departments", departments),
    ("GET", "/api/openapi/v1.1/staffs", staffs),
    ("POST", "/api/openapi/v1/staffs/getStaffIds", staff_ids),
    ("GET", "/api/openapi/v1/feeTypes", fee_types),
    ("GET", "/api/openapi/v1/dimensions", dimensions),
    ("GET", "/api/openapi/v1/dimensions/items", dimension_items),
    ("GET", "/api/openapi/v2.1/payeeInfos", payee_infos),
    ("GET", "/api/openapi/v1/paymentAccounts", payment_accounts),
    ("GET", "/api/openapi/v2.1/currency", currencies),
)
