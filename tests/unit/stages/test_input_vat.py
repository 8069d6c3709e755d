"""The shipped table of input VAT on a whole emulated company: what its invoices say is what its OA would deduct."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import select

from include.conformance.source.hesi import EmulatedTime, connected, make_world
from include.emulators.hesi.world import World
from include.rules import load_rules
from include.stages.context import StageContext
from include.stages.extract import extract
from include.stages.generate import generate
from include.store import tables as t
from tests.fakes.ledger import FakeLedger
from tests.unit.stages.conftest import MakeContext
from tests.unit.stages.flow import ALL, accept_all


@pytest.fixture
def world() -> World:
    return make_world()


@pytest.fixture
def ctx(world: World, make_context: MakeContext) -> Iterator[StageContext]:
    with connected(world) as source:
        yield replace(make_context(source, FakeLedger()), clock=EmulatedTime(world.clock))


def test_sound_claims_deduct_what_the_oa_states_invoice_by_invoice(ctx: StageContext, world: World) -> None:
    shipped = load_rules(ctx.settings.rules_dir(ctx.book), ctx.settings.tables_dir(ctx.book))
    assert shipped.input_vat is not None
    extract(ctx)
    accept_all(ctx)
    assert generate(ctx, ALL).quarantined == 0
    d, v, j, i = t.source_document, t.voucher, t.journal_line, t.source_invoice
    booked: dict[str, int] = defaultdict(int)
    with ctx.store.engine.begin() as connection:
        claims = set(
            connection.scalars(
                select(d.c.document_id).join(v, v.c.document_pk == d.c.id).where(v.c.event == "expense_claim")
            )
        )
        for document_id, amount in connection.execute(
            select(d.c.document_id, j.c.amount_minor)
            .join(v, v.c.document_pk == d.c.id)
            .join(j, j.c.voucher_id == v.c.id)
            .where(v.c.event == "expense_claim", j.c.entry == "input_tax")
        ):
            booked[document_id] += amount
        kinds = set(connection.scalars(select(i.c.kind)))
        shared = connection.execute(
            select(i.c.invoice_id).where(i.c.claimed_minor < i.c.total_minor, i.c.tax_minor > 0)
        ).all()
    assert {"train", "flightItinerary", "passengerCar", "FULL_DIGITAl_NORMAL", "PAPER_FEE"} <= kinds
    assert shared, "some invoices are claimed in part"
    assert len(claims) > 50
    assert {one: booked[one] for one in claims} == {one: world.truth[one].deductible for one in claims}
