"""The generated company: 示例科技（上海）有限公司, one legal entity with departments, staff and suppliers.

Template ids (specificationId, before the colon), stable and part of the emulator's contract:

| id | form type | document |
|---|---|---|
| SPEC_EXPENSE | expense | 报销单 |
| SPEC_LOAN | loan | 借款单 |
| SPEC_PAYMENT | payment | 付款单: a supplier is paid, for an invoiced purchase order or without one |
| SPEC_PREPAYMENT | payment | 采购预付款: paid to a supplier ahead of a purchase order's goods |
| SPEC_REQUISITION | requisition | 申请单 |
| SPEC_PO | custom | 采购订单 |
| SPEC_GOODS_RECEIPT | custom | 采购入库单 |
| SPEC_PURCHASE_INVOICE | custom | 采购发票单 |
| SPEC_RECEIPT | receipt | 收款单 |
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

from include.emulators.hesi.catalog import LEGAL_ENTITY, MATERIAL, PROJECT, SUPPLIER, Catalog
from include.emulators.hesi.clock import midnight_ms
from include.emulators.hesi.money import CURRENCIES

CORPORATION = "VFDEMO00corp00"
ENTITY_ITEM = "ID_LE_E01"
ENTITY_NAME = "示例科技（上海）有限公司"
ENTITY_TAX_ID = "91310000MA00000001"
BASIC_ACCOUNT = "ID_ACC_BASIC"
FOREIGN_ACCOUNT = "ID_ACC_USD"

SPECIFICATIONS = {
    name: f"{name}:{hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()}"
    for name in (
        "SPEC_EXPENSE",
        "SPEC_LOAN",
        "SPEC_PAYMENT",
        "SPEC_PREPAYMENT",
        "SPEC_REQUISITION",
        "SPEC_PO",
        "SPEC_GOODS_RECEIPT",
        "SPEC_PURCHASE_INVOICE",
        "SPEC_RECEIPT",
    )
}
"""Template id with its minor version, as documents carry it."""

DEPARTMENTS = (
    ("D10", "总经办", "GM", None),
    ("D20", "行政部", "ADM", None),
    ("D30", "人力资源部", "HR", None),
    ("D40", "财务部", "FIN", None),
    ("D50", "销售中心", "SALES", None),
    ("D51", "华东销售部", "SALES-E", "D50"),
    ("D52", "华北销售部", "SALES-N", "D50"),
    ("D60", "市场部", "MKT", None),
    ("D70", "研发中心", "RD", None),
    ("D71", "研发一部", "RD-1", "D70"),
    ("D72", "研发二部", "RD-2", "D70"),
    ("D80", "生产部", "PROD", None),
    ("D90", "采购部", "PUR", None),
)
"""(key, name, code, parent key) below the company itself."""

PROJECTS = (
    ("ID_PRJ_P001", "P001", "智能仓储平台"),
    ("ID_PRJ_P002", "P002", "华东渠道拓展"),
    ("ID_PRJ_P003", "P003", "边缘网关研发"),
    ("ID_PRJ_P004", "P004", "ERP升级"),
    ("ID_PRJ_P005", "P005", "海外市场调研"),
    ("ID_PRJ_P006", "P006", "质量体系认证"),
)

MATERIALS = (
    ("ID_MAT_RAW", "RAW", "原材料"),
    ("ID_MAT_GOODS", "GOODS", "库存商品"),
    ("ID_MAT_ASSET", "ASSET", "固定资产"),
    ("ID_MAT_OFFICE", "OFFICE", "办公用品"),
)

SUPPLIER_TRADES = ("电子元件", "精密机械", "包装材料", "办公设备", "信息技术", "物流", "物业管理", "检测技术")
CITIES = ("北京", "杭州", "南京", "苏州", "武汉", "成都", "深圳", "广州", "西安", "青岛", "合肥", "郑州")

RATES = {"USD": "7.1034", "EUR": "8.2275", "JPY": "0.0468", "HKD": "0.9127"}
"""Home units (CNY) for one foreign unit; a document's own rate moves a little around these."""


@dataclass(frozen=True, slots=True)
class FeeSpec:
    """A fee type (费用类型): typical amount in 分 (median and spread of a log-normal), its invoices by weight.

    `creditable` is false where input tax may not be deducted whatever the invoice says (catering, welfare).
    """

    key: str
    name: str
    code: str
    parent: str | None
    median: int
    sigma: float
    item: str
    invoices: Sequence[tuple[str, int]]
    creditable: bool = True


FEES = {
    fee.key: fee
    for fee in (
        FeeSpec("travel", "差旅费", "COST10", None, 0, 0.0, "", ()),
        FeeSpec("train", "火车", "COST11", "travel", 45_000, 0.5, "", (("train", 1),)),
        FeeSpec("flight", "飞机", "COST12", "travel", 120_000, 0.4, "", (("flight", 1),)),
        FeeSpec(
            "hotel",
            "酒店住宿",
            "COST13",
            "travel",
            42_000,
            0.35,
            "*住宿服务*住宿费",
            (("special_6", 60), ("paper_special_6", 5), ("normal_6", 20), ("normal_1", 15)),
        ),
        FeeSpec("coach", "长途汽车", "COST14", "travel", 9_000, 0.4, "", (("coach", 1),)),
        FeeSpec("allowance", "出差补贴", "COST15", "travel", 10_000, 0.0, "", (("nowrite", 1),)),
        FeeSpec("local", "市内交通", "COST20", None, 0, 0.0, "", ()),
        FeeSpec("taxi", "出租车", "COST21", "local", 4_200, 0.6, "", (("taxi", 1),)),
        FeeSpec("hailing", "网约车", "COST22", "local", 4_800, 0.6, "*运输服务*客运服务费", (("ride", 1),)),
        FeeSpec(
            "toll",
            "过路费",
            "COST23",
            "local",
            6_500,
            0.6,
            "*经营租赁*通行费",
            (("etoll", 80), ("tolls", 20)),
        ),
        FeeSpec(
            "entertainment",
            "业务招待",
            "COST30",
            None,
            88_000,
            0.7,
            "*餐饮服务*餐饮费",
            (("normal_6", 55), ("digital_normal_6", 20), ("normal_1", 15), ("special_6", 5), ("fixed", 5)),
            creditable=False,
        ),
        FeeSpec(
            "office",
            "办公用品",
            "COST40",
            None,
            36_000,
            0.9,
            "*文具*办公用品",
            (("special_13", 55), ("digital_special_13", 5), ("normal_13", 30), ("normal_1", 10)),
        ),
        FeeSpec(
            "courier",
            "快递物流",
            "COST41",
            None,
            6_000,
            0.7,
            "*物流辅助服务*收派服务费",
            (("special_6", 70), ("normal_6", 30)),
        ),
        FeeSpec(
            "telecom",
            "通讯费",
            "COST42",
            None,
            16_800,
            0.4,
            "*电信服务*基础电信服务",
            (("normal_9", 60), ("special_9", 40)),
        ),
        FeeSpec(
            "training",
            "培训费",
            "COST50",
            None,
            280_000,
            0.6,
            "*非学历教育服务*培训费",
            (("special_6", 70), ("normal_6", 30)),
        ),
        FeeSpec(
            "conference",
            "会议费",
            "COST51",
            None,
            350_000,
            0.7,
            "*会展服务*会议费",
            (("special_6", 80), ("normal_6", 20)),
        ),
        FeeSpec(
            "software",
            "软件服务费",
            "COST52",
            None,
            480_000,
            0.8,
            "*信息技术服务*软件服务费",
            (("special_6", 90), ("normal_6", 10)),
        ),
        FeeSpec(
            "welfare",
            "员工福利",
            "COST60",
            None,
            52_000,
            0.7,
            "*食品*节日礼品",
            (("special_13", 40), ("normal_13", 60)),
            creditable=False,
        ),
        FeeSpec(
            "fuel",
            "车辆燃油",
            "COST61",
            None,
            38_000,
            0.3,
            "*汽油*车用汽油",
            (("special_13", 60), ("normal_13", 40)),
        ),
        FeeSpec("refund", "供应商退款", "COST90", None, 180_000, 0.9, "", (("none", 1),)),
        FeeSpec("deposit", "押金退回", "COST91", None, 90_000, 0.6, "", (("none", 1),)),
        FeeSpec("loan_return", "归还借款", "COST92", None, 0, 0.0, "", (("none", 1),)),
    )
}


@dataclass(frozen=True, slots=True)
class Supplier:
    """A supplier: its 供应商 item, the account it is paid on, its name."""

    item: str
    payee: str
    name: str


@dataclass(slots=True)
class Company:
    """The catalog plus what the generator needs to pick people and partners."""

    catalog: Catalog
    members: dict[str, list[str]] = field(default_factory=dict)
    """Staff ids by department id, the head of the department first."""
    home_of: dict[str, str] = field(default_factory=dict)
    """Department id by staff id."""
    payee_of: dict[str, str] = field(default_factory=dict)
    suppliers: list[Supplier] = field(default_factory=list)
    fee_ids: dict[str, str] = field(default_factory=dict)

    @property
    def accountants(self) -> list[str]:
        return self.members[self.catalog.own("D40")][1:3]

    @property
    def cashier(self) -> str:
        return self.members[self.catalog.own("D40")][3]

    def head_of(self, department: str) -> str:
        return self.members[department][0]


def found_company(documents: int, seed: int, year: int) -> Company:
    """The company for a world of so many documents; staff and suppliers grow with it, within bounds."""
    rng = random.Random(f"{seed}/company")
    catalog = Catalog(CORPORATION, CURRENCIES["CNY"], midnight_ms(date(year - 1, 12, 1)), rates=dict(RATES))
    company = Company(catalog)
    root = catalog.add_department("", ENTITY_NAME, "ROOT", None, ENTITY_ITEM)
    for key, name, code, parent in DEPARTMENTS:
        above = catalog.own(parent) if parent else root
        company.members[catalog.add_department(key, name, code, above, ENTITY_ITEM)] = []
    for fee in FEES.values():
        company.fee_ids[fee.key] = catalog.add_fee_type(fee.key, fee.name, fee.code, fee.parent)
    catalog.add_dimension(LEGAL_ENTITY, "FRST", [(ENTITY_ITEM, "E01", ENTITY_NAME)])
    catalog.add_dimension(PROJECT, "DA001", PROJECTS)
    _add_staff(company, rng, min(max(documents // 60, 60), 400))
    _add_suppliers(company, min(max(documents // 100, 16), 200))
    catalog.add_dimension(MATERIAL, "MAT", MATERIALS)
    catalog.add_account(BASIC_ACCOUNT, "基本户", "BASIC", "3100000000000001")
    catalog.add_account(FOREIGN_ACCOUNT, "美元户", "USD", "3100000000000002")
    catalog.add_account(catalog.own("CASH"), "默认现金账户", "CASH", "", "OTHER")
    return company


def _add_staff(company: Company, rng: random.Random, count: int) -> None:
    """Four people to each department, the rest anywhere; some names are hard on careless code."""
    catalog = company.catalog
    departments = list(company.members)
    for number in range(count):
        department = (
            departments[number % len(departments)]
            if number < 4 * len(departments)
            else rng.choice(departments)
        )
        name = {7: "员工0007“阿七”", 11: "员工,0011", 13: "O'Staff 0013", 17: "员工𠮷0017🙂"}.get(
            number, f"员工{number:04d}"
        )
        # The vendor warns that codes may be empty or twice the same.
        code = {19: "", 23: "W0022"}.get(number, f"W{number:04d}")
        staff = catalog.add_staff(f"S{number:04d}", name, code, department)
        company.members[department].append(staff)
        company.home_of[staff] = department
        company.payee_of[staff] = catalog.add_payee(
            f"ID_PAY_S{number:04d}", name, f"6222{number:012d}", staff_id=staff
        )


def _add_suppliers(company: Company, count: int) -> None:
    items = []
    for number in range(count):
        trade, city = SUPPLIER_TRADES[number % len(SUPPLIER_TRADES)], CITIES[number % len(CITIES)]
        name = f"{city}示例{trade}有限公司{number:03d}"
        payee = company.catalog.add_payee(f"ID_PAY_V{number:03d}", name, f"3109{number:012d}")
        company.suppliers.append(Supplier(f"ID_SUP_V{number:03d}", payee, name))
        items.append((f"ID_SUP_V{number:03d}", f"V{number:03d}", name))
    company.catalog.add_dimension(SUPPLIER, "SUP", items)
