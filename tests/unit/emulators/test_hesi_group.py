"""Shared claims of the generated world: two companies, both ways, and not a cent moved."""

from __future__ import annotations

from typing import Any

import pytest

from include.emulators.hesi import World, generate_world
from include.emulators.hesi.catalog import LEGAL_ENTITY

Json = dict[str, Any]
FIRST, SECOND = "ID_LE_E01", "ID_LE_E02"


def claims(world: World) -> dict[str, Json]:
    """Sound claims by id, as clients get them."""
    return {
        document.id: world.render(document, detail=True)["form"]
        for document in world.documents.values()
        if document.form_type == "expense" and world.truth[document.id].defect is None
    }


def entities(form: Json) -> set[str]:
    """Whose expenses the parts of a claim are; what names nobody is the claim's own."""
    found = set()
    for line in (line["feeTypeForm"] for line in form["details"]):
        own = line.get(LEGAL_ENTITY, form[LEGAL_ENTITY])
        parts = [part["apportionForm"] for part in line.get("apportions", [])]
        found |= {part.get(LEGAL_ENTITY, own) for part in parts} or {own}
    return found


@pytest.fixture(scope="module")
def world() -> World:
    return generate_world(400, seed=3, shared_share=0.3)


def test_there_is_one_company_unless_somebody_wants_two() -> None:
    world = generate_world(150, seed=3)
    assert SECOND not in {item["id"] for item in world.catalog.items}
    assert all(entities(form) == {FIRST} for form in claims(world).values())
    assert "shared" not in world.label


def test_claims_are_shared_both_ways_by_line_and_by_apportionment(world: World) -> None:
    forms = claims(world).values()
    assert {SECOND, FIRST} <= {item["id"] for item in world.catalog.items}
    shared = [form for form in forms if entities(form) - {form[LEGAL_ENTITY]}]
    assert 0.2 < len(shared) / len(forms) < 0.4
    assert {form[LEGAL_ENTITY] for form in shared} == {FIRST, SECOND}
    lines = [line["feeTypeForm"] for form in shared for line in form["details"]]
    assert any(LEGAL_ENTITY in line for line in lines)
    assert any(LEGAL_ENTITY in part["apportionForm"] for line in lines for part in line.get("apportions", []))


def test_nothing_but_the_legal_entities_differs_from_the_unshared_world(world: World) -> None:
    def without(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: without(item) for key, item in value.items() if key != LEGAL_ENTITY}
        return [without(item) for item in value] if isinstance(value, list) else value

    plain = generate_world(400, seed=3)
    assert world.truth == plain.truth
    assert without(claims(world)) == without(claims(plain))


def test_a_share_beyond_the_whole_is_refused() -> None:
    with pytest.raises(ValueError, match="shared_share"):
        generate_world(10, seed=1, shared_share=1.5)
