"""Entries of master data that the mappings define themselves: fee types of a selection, a fixed legal entity."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from include.form_mappings import FieldRef, FormMapping, ReferenceField, Target
from include.ports import MasterRecord

KINDS = {
    "legal_entity": "legal_entity",
    "department": "department",
    "project": "project",
    "supplier": "supplier",
    "submitter": "staff",
    "fee_type": "fee_type",
}
"""The keys of mapping files that refer to master data, and the kind of entry."""


def mapped_records(
    mappings: Sequence[FormMapping], known: Iterable[MasterRecord] = ()
) -> tuple[MasterRecord, ...]:
    """An entry for every target of the mappings that `known`, the OA's own master data, does not have; each once.

    A source hands them out beside its own, so that the gate and the proofs of rules know them.
    """
    taken = {(record.kind, record.id) for record in known}
    found: dict[tuple[str, str], MasterRecord] = {}
    for mapping in mappings:
        for kind, target in _targets(mapping):
            key = (kind, target.code)
            if key in taken or (key in found and found[key].name):
                continue
            found[key] = MasterRecord(kind, target.code, target.code, target.name)
    return tuple(found.values())


def _targets(mapping: FormMapping) -> Iterator[tuple[str, Target]]:
    for group in (mapping.document, mapping.lines):
        for key, kind in KINDS.items():
            ref: FieldRef | None = getattr(group, key, None)
            if isinstance(ref, ReferenceField):
                yield from ((kind, target) for target in ref.enum.values())
                if ref.default is not None:
                    yield kind, ref.default
