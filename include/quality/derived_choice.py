"""Which templates fit which documents, as staged rows."""

from __future__ import annotations

from sqlalchemy import Column, Integer, String, Table, and_, case, delete, func, literal, or_, select

from include.domain.document import DocumentKind
from include.quality.derived_needs import KEYS, Derivation, key_column
from include.store.tables import source_document


def fits(it: Derivation) -> Table:
    """Which templates fit which documents; what cannot be booked at all is left out."""
    d, chosen, extracted = source_document, it.parts.chosen, it.parts.extract_problems
    table = it.work.load("gate_fit", [key_column(name) for name in KEYS["document"]], [])
    for index, event in enumerate(it.requirements.events):
        days = [d.c.business_date >= event.valid_from] if event.valid_from else []
        days += [d.c.business_date <= event.valid_to] if event.valid_to else []
        query = (
            select(literal(index).label("template"), d.c.id.label("document_pk"))
            .join(chosen, chosen.c.id == d.c.id)
            .outerjoin(extracted, extracted.c.document_pk == d.c.id)
            .where(
                d.c.kind.in_(event.kinds),
                d.c.business_date.is_not(None),
                d.c.functional_currency == it.currency,
                extracted.c.document_pk.is_(None),
                *days,
                it.facts.holds(event.tests),
            )
        )
        it.work.append(table, query)
    it.work.settle(table)
    return table


def choice_of(it: Derivation) -> Table:
    """One row a document that can be booked: how many templates fit, and which of them clash.

    Two of one event clash, and so does one that makes a voucher with one that makes none.
    """
    work, d, fit = it.work, source_document, it.fit
    names = work.load(
        "gate_template",
        [Column("template", Integer, primary_key=True)]
        + [Column(name, String, nullable=False) for name in ("name", "event")]
        + [Column("is_silent", Integer, nullable=False)],
        [
            {"template": index, "name": event.name, "event": event.event, "is_silent": int(event.is_silent)}
            for index, event in enumerate(it.requirements.events)
        ],
    )
    by_event = (
        select(
            fit.c.document_pk,
            func.count().label("fitting"),
            func.min(names.c.name).label("first"),
            func.max(names.c.name).label("last"),
            func.sum(names.c.is_silent).label("silent"),
        )
        .join(names, names.c.template == fit.c.template)
        .group_by(fit.c.document_pk, names.c.event)
        .subquery("by_event")
    )
    e = by_event.c
    fitting, silent = func.sum(e.fitting), func.sum(e.silent)
    clash = or_(func.max(e.fitting) > 1, and_(silent > 0, silent < fitting))
    whole = (
        select(
            e.document_pk,
            fitting.label("fitting"),
            case((clash, func.min(e.first))).label("clash_first"),
            case((clash, func.max(e.last))).label("clash_last"),
        )
        .group_by(e.document_pk)
        .subquery("whole")
    )
    extracted = it.parts.extract_problems
    query = (
        select(
            d.c.id.label("document_pk"),
            d.c.code,
            d.c.kind,
            func.coalesce(whole.c.fitting, 0).label("fitting"),
            whole.c.clash_first,
            whole.c.clash_last,
        )
        .join(it.parts.chosen, it.parts.chosen.c.id == d.c.id)
        .outerjoin(whole, whole.c.document_pk == d.c.id)
        .outerjoin(extracted, extracted.c.document_pk == d.c.id)
        .where(
            d.c.kind != DocumentKind.UNKNOWN,
            d.c.business_date.is_not(None),
            d.c.functional_currency == it.currency,
            extracted.c.document_pk.is_(None),
        )
    )
    table = work.fill("gate_choice", query, ["document_pk"])
    clashing = select(table.c.document_pk).where(table.c.clash_first.is_not(None))
    work.connection.execute(delete(fit).where(fit.c.document_pk.in_(clashing)))
    return table
