"""A claim of the Toy OA → the neutral form that the mapping files are read against. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from include.adapters.oa.forms import FieldValue, FormInstance, Row
from include.adapters.oa.times import epoch_ms, to_moment
from include.domain.document import DocumentStatus

STATUSES = {
    "draft": DocumentStatus.DRAFT,
    "pending": DocumentStatus.IN_APPROVAL,
    "approved": DocumentStatus.APPROVED,
    "revoked": DocumentStatus.NULLIFIED,
    "deleted": DocumentStatus.DELETED,
}
LINES = "lines"


def instance_of(claim: Mapping[str, Any]) -> FormInstance:
    """The form of a claim; what is not as documented counts as absent."""
    rows = claim.get(LINES)
    return FormInstance(
        id=str(claim.get("id") or ""),
        template=str(claim.get("kind") or ""),
        code=str(claim.get("no") or ""),
        status=STATUSES.get(str(claim.get("state")), DocumentStatus.UNKNOWN),
        title=str(claim.get("title") or ""),
        submitter=str(claim.get("applicant") or ""),
        created_at=moment(claim.get("created")),
        updated_at=moment(claim.get("updated")),
        submitted_at=moment(claim.get("created")),
        approved_at=moment(claim.get("approved")),
        fields={name: FieldValue(value) for name, value in claim.items() if name != LINES},
        tables={
            LINES: [_row(row) for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
        },
    )


def moment(value: object) -> Any:
    """An aware time of milliseconds, None where there are none."""
    milliseconds = epoch_ms(value)
    return to_moment(milliseconds) if milliseconds is not None else None


def _row(row: Mapping[str, Any]) -> Row:
    return Row({name: FieldValue(value) for name, value in row.items()})
