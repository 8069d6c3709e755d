"""What the ids in requests stand for, as far as requests say: these interfaces have no lists of people or departments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from include.adapters.oa.forms import FieldValue, FormInstance
from include.adapters.oa.forms.master import KINDS
from include.adapters.oa.reading import clean_text, usable_id
from include.form_mappings import FormMapping, ReferenceField
from include.ports import MasterRecord

NAME_LENGTH = 128


class People:
    """Ids with the names that were last seen beside them: people, and what mapped fields refer to without an enum."""

    def __init__(self, mappings: Sequence[FormMapping]) -> None:
        self._found: dict[tuple[str, str], str] = {}
        self._fields = {
            template: [*_references(mapping)] for mapping in mappings for template in mapping.templates
        }

    def records(self) -> Iterator[MasterRecord]:
        """An entry for each; e-cology gives no codes here."""
        for (kind, identity), name in self._found.items():
            yield MasterRecord(kind, identity, "", name)

    def learn(self, request: Mapping[str, Any]) -> None:
        """Who has made a request, from a list or a detail."""
        self._note("staff", request.get("creatorId"), request.get("creatorName"))

    def learn_form(self, form: FormInstance) -> None:
        """Whom and what its fields refer to."""
        for kind, table, name in self._fields.get(form.template, ()):
            for fields in form.fields_of(table):
                value = fields.get(name, FieldValue(None))
                self._note(kind, value.value, value.shown)

    def _note(self, kind: str, identity: object, name: object) -> None:
        key = usable_id(identity)
        if key and isinstance(name, str) and name:
            self._found[kind, key] = clean_text(name)[:NAME_LENGTH]


def _references(mapping: FormMapping) -> Iterator[tuple[str, str, str]]:
    """(kind, table, field) of the fields whose values are ids of the OA's own."""
    for path, ref, table in mapping.fields:
        kind = KINDS.get(path.rpartition(".")[2])
        if kind and isinstance(ref, ReferenceField) and not ref.enum and ref.by == "value":
            yield kind, table, ref.field
