"""The company behind the OA: 示例科技（上海）有限公司 with its departments, projects and people, all numbered."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

SYSTEM_ADMIN = 1
INTEGRATION_USER = 9
"""The accountant who takes part in every expense and loan: the account that an interface reads with."""

BRANCH = 3
BRANCH_NAME = "示例科技（上海）有限公司"

DEPARTMENTS: Mapping[int, tuple[str, str]] = {
    11: ("总经办", "GM"),
    12: ("行政部", "ADM"),
    13: ("财务部", "FIN"),
    21: ("华东销售部", "SALES-E"),
    22: ("华北销售部", "SALES-N"),
    31: ("研发一部", "RD-1"),
    32: ("研发二部", "RD-2"),
    41: ("生产部", "PROD"),
    42: ("采购部", "PUR"),
}
"""Department id to (name, code)."""

PROJECTS: Mapping[int, tuple[str, str]] = {
    501: ("智能仓储平台", "P001"),
    502: ("华东渠道拓展", "P002"),
    503: ("边缘网关研发", "P003"),
    504: ("ERP升级", "P004"),
}

_FAMILY = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗"
_GIVEN = (
    "伟",
    "芳",
    "娜",
    "敏",
    "静",
    "磊",
    "强",
    "洋",
    "勇",
    "艳",
    "杰",
    "涛",
    "明",
    "超",
    "秀英",
    "建国",
    "雨桐",
    "子涵",
)


@dataclass(frozen=True, slots=True)
class Person:
    """An employee (人力资源). `workcode` is the staff number; names repeat, ids and numbers do not."""

    id: int
    name: str
    workcode: str
    department: int


@dataclass(frozen=True, slots=True)
class Company:
    """Who works here. Everything follows from the number of people and the seed."""

    people: Mapping[int, Person]
    managers: Mapping[int, int]
    """Department to the person who approves there."""

    def name_of(self, person: int) -> str:
        found = self.people.get(person)
        return found.name if found else ""

    def department_of(self, person: int) -> int:
        found = self.people.get(person)
        return found.department if found else 0

    def actor(self, role: str, creator: int) -> int:
        """Who acts at a node of a request that somebody has created."""
        if role == "manager":
            return self.managers.get(self.department_of(creator), SYSTEM_ADMIN)
        return INTEGRATION_USER if role == "accountant" else creator

    @property
    def claimants(self) -> list[Person]:
        return [person for person in self.people.values() if person.id >= 100]


def make_company(staff: int, seed: int) -> Company:
    """A company of `staff` claimants beside its managers, the accountant and the administrator."""
    rng = random.Random(f"weaver-people:{seed}")

    def name() -> str:
        return rng.choice(_FAMILY) + rng.choice(_GIVEN)

    people = {
        SYSTEM_ADMIN: Person(SYSTEM_ADMIN, "系统管理员", "sysadmin", 0),
        INTEGRATION_USER: Person(INTEGRATION_USER, "财务接口", "A0009", 13),
    }
    managers = {}
    for index, department in enumerate(DEPARTMENTS):
        person = Person(20 + index, name(), f"A{20 + index:04d}", department)
        people[person.id] = person
        managers[department] = person.id
    departments = list(DEPARTMENTS)
    for index in range(staff):
        person = Person(100 + index, name(), f"A{100 + index:04d}", rng.choice(departments))
        people[person.id] = person
    return Company(people, managers)
