"""Master data (档案) of an emulated company, as the vendor's lists show it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from include.emulators.hesi.clock import text_of
from include.emulators.hesi.money import CURRENCIES, Currency

Json = dict[str, Any]

LEGAL_ENTITY = "法人实体"
PROJECT = "项目"
SUPPLIER = "供应商"
MATERIAL = "物料类别"

EVERYONE: Json = {
    "fullVisible": True,
    "staffs": [],
    "roles": [],
    "departments": [],
    "departmentsIncludeChildren": True,
}


@dataclass(slots=True)
class Catalog:
    """The lists behind the master data pages; every item is as its endpoint returns it.

    `since_ms` is the creation time of all items, so that a catalog depends on its arguments alone.
    """

    corporation_id: str
    home: Currency
    since_ms: int
    departments: list[Json] = field(default_factory=list)
    staffs: list[Json] = field(default_factory=list)
    fee_types: list[Json] = field(default_factory=list)
    dimensions: list[Json] = field(default_factory=list)
    items: list[Json] = field(default_factory=list)
    payees: list[Json] = field(default_factory=list)
    accounts: list[Json] = field(default_factory=list)
    rates: dict[str, str] = field(default_factory=dict)
    """Current rate by currency code: home units for one foreign unit, as decimal text."""

    def own(self, name: str) -> str:
        """An id inside the corporation: `<corp>:<name>`."""
        return f"{self.corporation_id}:{name}"

    def _times(self) -> Json:
        text = text_of(self.since_ms)
        return {"updateTime": text, "createTime": text}

    def add_department(self, key: str, name: str, code: str, parent: str | None, legal_entity: str) -> str:
        """Add a department; without a parent it is the company itself, whose id is the corporation's."""
        identity = self.corporation_id if parent is None else self.own(key)
        self.departments.append(
            {
                "id": identity,
                "name": name,
                "parentId": parent or "",
                "active": True,
                "code": code,
                **self._times(),
                "form": {"costCenter": None, "legalEntity": legal_entity},
                "order": len(self.departments),
            }
        )
        return identity

    def add_staff(self, key: str, name: str, code: str, department: str, *, active: bool = True) -> str:
        identity = self.own(key)
        self.staffs.append(
            {
                "id": identity,
                "name": name,
                "nickName": None,
                "code": code,
                "departments": [department],
                "defaultDepartment": department,
                "cellphone": "",
                "active": active,
                "userId": "",
                "email": f"{key.lower()}@example.com",
                "showEmail": f"{key}@example.com",
                "external": False,
                "authState": active,
                "globalRoaming": "+86",
                "note": "",
                "staffCustomForm": None,
                **self._times(),
            }
        )
        return identity

    def add_fee_type(self, key: str, name: str, code: str, parent: str | None = None) -> str:
        identity = self.own(key)
        self.fee_types.append(
            {
                "id": identity,
                "name": name,
                "parentId": self.own(parent) if parent else "",
                "active": True,
                "code": code,
            }
        )
        return identity

    def add_dimension(self, name: str, code: str, items: Iterable[tuple[str, str, str]]) -> None:
        """Add a kind of archive (自定义档案) with its items, each (id, code, name)."""
        dimension = self.own(name)
        self.dimensions.append({"id": dimension, "name": name, "active": True, "code": code})
        self.add_items(name, items)

    def add_items(self, name: str, items: Iterable[tuple[str, str, str]]) -> None:
        """Add items, each (id, code, name), to a kind of archive."""
        dimension = self.own(name)
        for identity, item_code, item_name in items:
            self.items.append(
                {
                    "id": identity,
                    "name": item_name,
                    "active": True,
                    "code": item_code,
                    "dimensionId": dimension,
                    "parentId": "",
                    **self._times(),
                }
            )

    def add_payee(self, identity: str, name: str, card: str, *, staff_id: str = "") -> str:
        """Add an account that money goes to: an employee's own, or a company's."""
        personal = bool(staff_id)
        self.payees.append(
            {
                "sort": "BANK",
                "id": identity,
                "name": name,
                "cardNo": card,
                "type": "个人账户" if personal else "对公账户",
                "createTime": self.since_ms,
                "updateTime": self.since_ms,
                "province": "上海市",
                "city": "上海市",
                "bank": "示例银行",
                "branch": "示例银行上海分行",
                "certificateType": None,
                "certificateNo": None,
                "bankLinkNo": None,
                "unionBank": "",
                "bankName": "",
                "swiftCode": "",
                "nationCode": "",
                "bankCode": "",
                "branchCode": "",
                "visibility": EVERYONE,
                "remark": "",
                "active": True,
                "operatorId": "API",
                "customFields": {},
                "staffId": staff_id,
                "owner": "INDIVIDUAL" if personal else "CORPORATION",
            }
        )
        return identity

    def add_account(self, identity: str, name: str, code: str, number: str, sort: str = "BANK") -> str:
        """Add an account that the company pays from."""
        self.accounts.append(
            {
                "id": identity,
                "name": name,
                "code": code,
                "detail": {
                    "name": name,
                    "number": number,
                    "bank": "示例银行" if sort == "BANK" else "其他",
                    "branch": "示例银行上海分行" if sort == "BANK" else "",
                    "province": "上海市",
                    "city": "上海市",
                    "visibility": EVERYONE,
                },
                "active": True,
                "sort": sort,
                "visibility": EVERYONE,
                "remark": None,
            }
        )
        return identity

    def items_of(self, dimension: str) -> list[Json]:
        """Items of one dimension, by its name."""
        wanted = self.own(dimension)
        return [item for item in self.items if item["dimensionId"] == wanted]

    def currency_list(self) -> list[Json]:
        """The body of the currency page: rates into the home currency."""
        infos = [
            {
                "id": f"ID_CUR_{code}",
                "version": 1,
                "active": True,
                "createTime": self.since_ms,
                "updateTime": self.since_ms,
                "corporationId": self.corporation_id,
                "sourceCorporationId": None,
                "dataCorporationId": None,
                "numCode": CURRENCIES[code].number,
                "strCode": code,
                "scale": CURRENCIES[code].scale,
                "name": CURRENCIES[code].name,
                "symbol": CURRENCIES[code].symbol,
                "unit": CURRENCIES[code].unit,
                "icon": "",
                "rate": rate,
                "budgetRate": None,
                "startTime": self.since_ms,
                "endTime": 4638916800000,
                "order": self.since_ms,
                "originalId": self.home.number,
                "isDefault": False,
            }
            for code, rate in self.rates.items()
        ]
        return [{"orgCode": self.home.code, "currInfos": infos}]
