"""What the ids in an OA's documents stand for."""

from __future__ import annotations

from collections.abc import Iterable

from include.domain.document import Reference
from include.ports import MasterRecord


class Directory:
    """What ids stand for. Lookups never fail: an unknown id gives a reference without code and name."""

    def __init__(self, records: Iterable[MasterRecord]) -> None:
        self._records = {(record.kind, record.id): record for record in records}
        self._by_name: dict[tuple[str, str], list[MasterRecord]] | None = None

    def reference(self, kind: str, identity: str) -> Reference:
        record = self._records.get((kind, identity))
        return Reference(identity, record.code, record.name) if record else Reference(identity)

    def record(self, kind: str, identity: str) -> MasterRecord | None:
        return self._records.get((kind, identity))

    def with_records(self, records: Iterable[MasterRecord]) -> Directory:
        """One that knows these too."""
        return Directory([*self._records.values(), *records])

    def named(self, kind: str, name: str) -> list[MasterRecord]:
        """The entries of a name; those in use alone, if there are any."""
        if self._by_name is None:
            self._by_name = {}
            for record in self._records.values():
                self._by_name.setdefault((record.kind, record.name), []).append(record)
        found = self._by_name.get((kind, name), [])
        return [record for record in found if record.is_active] or found
