"""A year of a company's documents, from a seed: the same arguments give the same world to the last byte."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from datetime import date

from include.emulators.hesi.clock import DAY_MS, EmulatorClock, midnight_ms
from include.emulators.hesi.generated.builder import Builder, Slot
from include.emulators.hesi.generated.claims import build_claim
from include.emulators.hesi.generated.company import found_company
from include.emulators.hesi.generated.defects import spoil
from include.emulators.hesi.generated.group import share_out
from include.emulators.hesi.generated.oddities import decorate
from include.emulators.hesi.generated.outbound import lose_messages
from include.emulators.hesi.generated.papers import (
    build_custom,
    build_loan,
    build_payment,
    build_receipt,
    build_requisition,
)
from include.emulators.hesi.generated.rhythm import Calendar
from include.emulators.hesi.world import World

MIX = (("expense", 65), ("loan", 6), ("payment", 10), ("requisition", 8), ("custom", 8), ("receipt", 3))
"""Documents by form type, in per cent."""

BUILDERS: Mapping[str, Callable[[Builder, Slot], None]] = {
    "expense": build_claim,
    "loan": build_loan,
    "payment": build_payment,
    "requisition": build_requisition,
    "custom": build_custom,
    "receipt": build_receipt,
}


def generate_world(
    documents: int,
    seed: int,
    year: int = 2026,
    as_of: date | None = None,
    *,
    dirty_share: float = 0.03,
    shared_share: float = 0.0,
    clock: EmulatorClock | None = None,
) -> World:
    """A company's documents of a year, as they stand at the end of `as_of`.

    Args:
        documents: how many, of all kinds and states.
        seed: another seed gives another world.
        year: calendar year in which all of them were begun.
        as_of: last day, 31 December if None; what was not approved by then is still on its way.
        dirty_share: share of the approved documents that carry a defect, see `defects.DEFECTS`.
        shared_share: share of the claims that two legal entities share, E01 and E02; with none there is no E02.
        clock: the world's time for later changes; the machine's by default.

    Raises:
        ValueError: no documents wanted, a share outside 0 to 1, or `as_of` outside of `year`.
    """
    if documents < 1:
        raise ValueError(f"单据数须为正整数 · documents must be at least 1, not {documents}")
    for name, value in (("dirty_share", dirty_share), ("shared_share", shared_share)):
        if not 0 <= value <= 1:
            raise ValueError(f"{name} 须在 0 到 1 之间 · must be between 0 and 1, not {value}")
    last = as_of or date(year, 12, 31)
    calendar = Calendar.of(year, last)
    company = found_company(documents, seed, year)
    label = f"generated documents={documents} seed={seed} as_of={last} dirty={dirty_share}"
    if shared_share:
        label += f" shared={shared_share}"
    world = World(label, company.catalog, clock or EmulatorClock())
    builder = Builder(world, company, seed, year, midnight_ms(last) + DAY_MS - 1)
    plan = random.Random(f"{seed}/plan")
    moments = sorted(calendar.moment(plan) for _ in range(documents))
    for number, (moment, kind) in enumerate(zip(moments, _kinds(plan, documents), strict=True)):
        slot = Slot(number, kind, moment, random.Random(f"{seed}/{number}"))
        BUILDERS[kind](builder, slot)
    share_out(world, random.Random(f"{seed}/shared"), shared_share)
    decorate(world, random.Random(f"{seed}/oddities"))
    spoil(world, random.Random(f"{seed}/defects"), dirty_share)
    lose_messages(world, random.Random(f"{seed}/outbound"))
    return world


def _kinds(rng: random.Random, documents: int) -> list[str]:
    """The mix as whole numbers (the rest goes to claims), in random order."""
    kinds = [kind for kind, per_cent in MIX[1:] for _ in range(documents * per_cent // 100)]
    kinds += ["expense"] * (documents - len(kinds))
    rng.shuffle(kinds)
    return kinds
