"""Master data: whole lists, codes that identify, and lists that move while they are read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from include.adapters.oa.hesi.master import MasterReader
from include.adapters.oa.hesi.options import HesiOptions
from include.domain.errors import RetryLater
from include.ports import MasterRecord
from include.settings import Fields

Json = dict[str, Any]
DEPARTMENTS = "/api/openapi/v1/departments"


class Pages:
    """Stands for the client: lists by path, with and without pages."""

    def __init__(self) -> None:
        self.lists: dict[str, list[Any]] = {}
        self.meanwhile: Callable[[], None] = lambda: None
        self.asked: list[tuple[str, Json]] = []

    def read(self, path: str, params: Json, check: Callable[[Any], str | None]) -> Any:
        self.asked.append((path, dict(params)))
        found = self.lists.get(path + params.get("dimensionId", ""), [])
        if "start" in params:
            start = int(params["start"])
            answer: Json = {"count": len(found), "items": found[start : start + int(params["count"])]}
        else:
            answer = {"items": found}
        fault = check(answer)
        if fault:
            raise RetryLater(fault)
        self.meanwhile()
        return answer


@pytest.fixture
def pages() -> Pages:
    return Pages()


def read(pages: Pages, **fields: Any) -> dict[tuple[str, str], MasterRecord]:
    reader = MasterReader(pages, HesiOptions(page_size=3), Fields(**fields))  # type: ignore[arg-type]
    return {(record.kind, record.id): record for record in reader.all()}


def departments(*codes: str) -> list[Json]:
    return [{"id": f"d{n}", "name": f"部门{n}", "active": True, "code": c} for n, c in enumerate(codes)]


def test_all_pages_of_a_list_are_read(pages: Pages) -> None:
    pages.lists[DEPARTMENTS] = departments("a", "b", "c", "d", "e", "f", "g")
    assert len(read(pages)) == 7


def test_codes_that_are_empty_or_shared_identify_nothing(pages: Pages) -> None:
    pages.lists[DEPARTMENTS] = departments("A", "B", "A", "", " ")
    pages.lists["/api/openapi/v1/feeTypes"] = [{"id": "f", "name": "火车", "active": False, "code": "A"}]
    found = read(pages)
    assert [found["department", f"d{n}"].code for n in range(5)] == ["", "B", "", "", ""]
    assert found["fee_type", "f"].code == "A"  # the same code of another kind is another code
    assert not found["fee_type", "f"].is_active


def test_dimensions_are_found_by_the_names_that_the_source_gives(pages: Pages) -> None:
    items = "/api/openapi/v1/dimensions/items"
    pages.lists["/api/openapi/v1/dimensions"] = [
        {"id": "corp:公司", "name": "公司"},
        {"id": "corp:物料", "name": "物料"},
        {"id": "corp:别的", "name": "别的"},
    ]
    for name in ("公司", "物料", "别的"):
        pages.lists[f"{items}corp:{name}"] = [{"id": f"i-{name}", "name": name, "code": "C"}]
    found = read(pages, legal_entity="公司", properties={"material": "物料"})
    assert set(found) == {("legal_entity", "i-公司"), ("dimension", "i-物料")}


def test_payees_carry_no_account_numbers(pages: Pages) -> None:
    payee = {
        "id": "p",
        "name": "员工",
        "cardNo": "6222000011112222",
        "type": "个人账户",
        "owner": "INDIVIDUAL",
    }
    pages.lists["/api/openapi/v2.1/payeeInfos"] = [payee | {"certificateNo": "310101"}]
    record = read(pages)["payee", "p"]
    assert "6222000011112222" not in repr(record)
    assert "310101" not in repr(record)
    asked = next(params for path, params in pages.asked if path.endswith("payeeInfos"))
    assert {"ids", "names", "cardNos"} <= set(asked)
    assert "active" not in asked


def test_a_list_that_shifts_while_it_is_read_is_read_over(pages: Pages) -> None:
    pages.lists[DEPARTMENTS] = departments(*"abcdefgh")
    moves = iter([None])

    def meanwhile() -> None:
        if next(moves, "no more") is None:
            pages.lists[DEPARTMENTS].append(pages.lists[DEPARTMENTS].pop(0))

    pages.meanwhile = meanwhile
    assert len(read(pages)) == 8


def test_a_list_that_never_stands_still_is_said(pages: Pages) -> None:
    pages.lists[DEPARTMENTS] = departments(*"abcdefgh")

    def meanwhile() -> None:
        pages.lists[DEPARTMENTS].append(pages.lists[DEPARTMENTS].pop(0))

    pages.meanwhile = meanwhile
    with pytest.raises(RetryLater, match="departments"):
        read(pages)


def test_entries_without_a_usable_id_are_skipped_and_said(
    pages: Pages, caplog: pytest.LogCaptureFixture
) -> None:
    pages.lists[DEPARTMENTS] = [*departments("a"), {"name": "no id"}, {"id": 5}, "x", {"id": "y" * 200}]
    assert set(read(pages)) == {("department", "d0")}
    assert "4" in caplog.text


def test_odd_values_become_text_that_can_be_stored(pages: Pages) -> None:
    pages.lists[DEPARTMENTS] = [
        {"id": "d", "name": None, "code": 7, "parentId": ["x"], "form": "none"},
        {"id": "e", "name": "A\0B\ud800", "code": "E"},
    ]
    found = read(pages)
    assert (found["department", "d"].name, found["department", "d"].code) == ("", "")
    assert found["department", "e"].name == "A\ufffdB\ufffd"
