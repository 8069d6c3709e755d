"""Master data (基础档案): departments, staff, fee types, dimension items, payees, accounts."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from include.adapters.oa.hesi.client import HesiClient
from include.adapters.oa.hesi.listing import fetch_page
from include.adapters.oa.hesi.options import HesiOptions
from include.adapters.oa.reading import ID_LENGTH, clean_text, usable_id
from include.domain.errors import RetryLater
from include.ports import MasterRecord
from include.settings import Fields

log = logging.getLogger(__name__)

ASCENDING = {"orderBy": "updateTime", "orderByType": "asc"}
EVERY_PAYEE = {"ids": "", "names": "", "cardNos": ""}
"""The page insists on the three names, also without values; it then gives all payees that are in use."""
MAX_READS = 3
"""How often a list is read over when entries moved while it was read."""


class MasterReader:
    """Reads all lists of one tenant."""

    def __init__(self, client: HesiClient, options: HesiOptions, fields: Fields) -> None:
        self._client = client
        self._options = options
        self._fields = fields

    def all(self) -> list[MasterRecord]:
        """Every entry of every list, stopped ones too. A code that several entries of a kind share is left out."""
        records = [
            *self._departments(),
            *self._staff(),
            *self._fee_types(),
            *self._dimension_items(),
            *self._payees(EVERY_PAYEE),
            *self._accounts(),
        ]
        return _without_shared_codes(records)

    def stopped_payees(self, ids: Sequence[str]) -> list[MasterRecord]:
        """Payees that are no longer in use, which the full list leaves out; only those found."""
        found: list[MasterRecord] = []
        for at in range(0, len(ids), self._options.page_size):
            chosen = {
                **EVERY_PAYEE,
                "ids": ",".join(ids[at : at + self._options.page_size]),
                "active": "false",
            }
            found += self._payees(chosen)
        return found

    def _departments(self) -> Iterator[MasterRecord]:
        for item in self._list("/api/openapi/v1/departments", ASCENDING):
            form = item.get("form")
            entity = form.get("legalEntity") if isinstance(form, Mapping) else None
            yield _record("department", item, {"legal_entity": entity})

    def _staff(self) -> Iterator[MasterRecord]:
        for item in self._list("/api/openapi/v1.1/staffs", ASCENDING):
            yield _record("staff", item, {"department": item.get("defaultDepartment")})

    def _fee_types(self) -> Iterator[MasterRecord]:
        for item in self._whole("/api/openapi/v1/feeTypes"):
            yield _record("fee_type", item, {})

    def _accounts(self) -> Iterator[MasterRecord]:
        for item in self._whole("/api/openapi/v1/paymentAccounts"):
            yield _record("account", item, {"sort": item.get("sort")})

    def _payees(self, chosen: Mapping[str, str]) -> Iterator[MasterRecord]:
        for item in self._list("/api/openapi/v2.1/payeeInfos", {**chosen, **ASCENDING}):
            extra = {"type": item.get("type"), "owner": item.get("owner"), "staff": item.get("staffId")}
            yield _record("payee", item, extra)

    def _dimension_items(self) -> Iterator[MasterRecord]:
        wanted = dict.fromkeys(self._fields.properties.values(), "dimension") | {
            self._fields.project: "project",
            self._fields.legal_entity: "legal_entity",
            self._fields.supplier: "supplier",
        }
        dimensions = self._list("/api/openapi/v1/dimensions", {})
        for name, kind in wanted.items():
            ids = [item["id"] for item in dimensions if item.get("name") == name]
            if not ids and kind != "dimension":  # most properties are no dimensions
                log.warning("合思没有档案 %s / Hesi has no dimension %s (%s)", name, name, kind)
            for dimension_id in ids:
                for item in self._list(
                    "/api/openapi/v1/dimensions/items", {"dimensionId": dimension_id, **ASCENDING}
                ):
                    yield _record(kind, item, {})

    def _whole(self, path: str) -> list[Mapping[str, Any]]:
        """A list without pages."""

        def check(value: Any) -> str | None:
            has_items = isinstance(value, Mapping) and isinstance(value.get("items"), list)
            return None if has_items else "没有 items 列表 / no list 'items'"

        return _usable(self._client.read(path, {}, check)["items"], path)

    def _list(self, path: str, params: Mapping[str, str]) -> list[Mapping[str, Any]]:
        """A list with pages, read over when its entries and its count do not agree."""
        for _ in range(MAX_READS):
            items, total = self._once(path, params)
            by_id = {item["id"]: item for item in _usable(items, path)}
            if len(items) == total and len(by_id) == total - _unusable(items):
                return list(by_id.values())
        raise RetryLater(
            f"合思 {path} 在读取时不断变化：请稍后重试 / {path} keeps changing while it is read: try later"
        )

    def _once(self, path: str, params: Mapping[str, str]) -> tuple[list[Any], int]:
        size = self._options.page_size
        items: list[Any] = []
        for _ in range(self._options.max_pages):
            page = fetch_page(self._client, path, params, len(items), size)
            items += page.items
            if len(page.items) < size or len(items) >= page.total:
                return items, page.total
        raise RetryLater(f"合思 {path} 没有尽头 / {path} does not end")


def _is_usable(item: Any) -> bool:
    return isinstance(item, Mapping) and usable_id(item.get("id")) != ""


def _usable(items: Sequence[Any], path: str) -> list[Mapping[str, Any]]:
    skipped = _unusable(items)
    if skipped:
        log.warning("%s：%d 条没有可用的 id，已略过 / skipped, they have no usable id", path, skipped)
    return [item for item in items if _is_usable(item)]


def _unusable(items: Sequence[Any]) -> int:
    return sum(not _is_usable(item) for item in items)


def _record(kind: str, item: Mapping[str, Any], extra: Mapping[str, object]) -> MasterRecord:
    return MasterRecord(
        kind=kind,
        id=item["id"],
        code=_text(item, "code")[:ID_LENGTH].strip(),
        name=_text(item, "name"),
        parent_id=_text(item, "parentId")[:ID_LENGTH],
        is_active=item.get("active") is not False,
        extra={key: clean_text(value) for key, value in extra.items() if isinstance(value, str) and value},
    )


def _text(item: Mapping[str, Any], name: str) -> str:
    value = item.get(name)
    return clean_text(value) if isinstance(value, str) else ""


def _without_shared_codes(records: Sequence[MasterRecord]) -> list[MasterRecord]:
    """The vendor warns that codes may be empty or shared: a shared one identifies nothing, the id does then."""
    uses = Counter((record.kind, record.code) for record in records)
    return [
        record
        if uses[record.kind, record.code] == 1
        else MasterRecord(
            record.kind, record.id, "", record.name, record.parent_id, record.is_active, record.extra
        )
        for record in records
    ]
