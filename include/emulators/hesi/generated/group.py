"""A second company of the group, and claims that both companies share: line by line, or by apportionment (分摊)."""

from __future__ import annotations

import random
from typing import Any

from include.emulators.hesi.catalog import LEGAL_ENTITY
from include.emulators.hesi.generated.company import ENTITY_ITEM
from include.emulators.hesi.model import pack, unpack
from include.emulators.hesi.world import World

Json = dict[str, Any]
SECOND_ITEM = "ID_LE_E02"
SECOND_NAME = "示例科技（北京）有限公司"
SECONDS_OWN = 0.3
"""Share of the shared claims that are the second company's own, with parts for the first."""


def share_out(world: World, rng: random.Random, shared_share: float) -> None:
    """Make a share of the claims shared between the companies E01 and E02; totals and taxes stay as they are."""
    if not shared_share:
        return
    world.catalog.add_items(LEGAL_ENTITY, [(SECOND_ITEM, "E02", SECOND_NAME)])
    for document in world.documents.values():
        if document.form_type != "expense" or rng.random() >= shared_share:
            continue
        body = unpack(document.packed)
        _share(body["form"], rng)
        document.packed = pack(body)


def _share(form: Json, rng: random.Random) -> None:
    """Some lines become the other company's: those that are apportioned by their second part, the others whole."""
    own, other = ENTITY_ITEM, SECOND_ITEM
    if rng.random() < SECONDS_OWN:
        own, other = other, own
    form[LEGAL_ENTITY] = own
    lines = [line["feeTypeForm"] for line in form["details"]]
    chosen = rng.sample(lines, rng.randint(1, len(lines)))
    for line in chosen:
        shares = [item["apportionForm"] for item in line.get("apportions", [])]
        if len(shares) > 1:
            shares[0][LEGAL_ENTITY] = own
            shares[1][LEGAL_ENTITY] = other
        else:
            line[LEGAL_ENTITY] = other
