"""Which documents a gate looks at, and the expressions that its queries share."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, false, func, or_, select

from include.domain.document import DUE_STATUSES, BookRole, Disposition
from include.quality.staging import flag
from include.store.tables import master_record, source_document


@dataclass(frozen=True, slots=True)
class DocumentScope:
    """Which documents a gate looks at, and what it holds them against.

    `legal_entities` are the codes or ids that belong to the book; dates are business days, both ends included,
    None for open. `now` is aware.
    """

    book: str
    source: str
    legal_entities: Collection[str]
    currency: str
    source_start: date
    now: datetime
    date_from: date | None = None
    date_to: date | None = None
    dispositions: Collection[str] = (Disposition.PENDING, Disposition.QUARANTINED)

    @property
    def earliest(self) -> date:
        """The first plausible day."""
        return self.source_start - timedelta(days=731)

    @property
    def latest(self) -> date:
        """The last plausible day."""
        return self.now.date() + timedelta(days=366)

    def condition(self) -> ColumnElement[bool]:
        """On `source_document`. A date that is absent or absurd is in every scope: no run would see it otherwise.

        What left the book, or is not approved any more, is a matter of its voucher alone, whatever the document says.
        """
        day = source_document.c.business_date
        start = [day >= self.date_from] if self.date_from else []
        end = [day <= self.date_to] if self.date_to else []
        return and_(
            source_document.c.book == self.book,
            source_document.c.source == self.source,
            source_document.c.is_current,
            source_document.c.role != BookRole.LEFT,
            source_document.c.status.in_(DUE_STATUSES),
            source_document.c.disposition.in_(self.dispositions),
            or_(and_(True, *start, *end), day.is_(None), day < self.earliest, day > self.latest),
        )

    def documents(self) -> Select[Any]:
        """Keys of the documents in scope; key `id`."""
        return select(source_document.c.id).where(self.condition())


def known(scope: DocumentScope, kinds: Collection[str], key: ColumnElement[Any]) -> ColumnElement[bool]:
    return exists().where(
        master_record.c.source == scope.source, master_record.c.kind.in_(kinds), master_record.c.id == key
    )


def reference_known(
    scope: DocumentScope, kinds: Collection[str], key: ColumnElement[Any]
) -> ColumnElement[Any]:
    """1 where the reference is in the master data or not given at all, else NULL."""
    return flag(or_(absent(key), known(scope, kinds, key)))


def absent(key: ColumnElement[Any]) -> ColumnElement[bool]:
    return or_(key.is_(None), key == "")


def zero(amount: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.coalesce(amount, 0)


def implausible(scope: DocumentScope, day: ColumnElement[Any]) -> ColumnElement[Any]:
    return flag(or_(day < scope.earliest, day > scope.latest))


def nul(dialect: str, *texts: ColumnElement[Any]) -> ColumnElement[Any]:
    """1 where a text holds a NUL character; PostgreSQL cannot store one."""
    if dialect != "sqlite":
        return flag(false())
    return flag(or_(*(func.instr(text, func.char(0)) > 0 for text in texts)))
