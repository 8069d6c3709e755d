"""Payloads as the vendor's pages show them, and the canonical documents that they must become.

Each case is two files in tests/golden/hesi: `<name>.json` (form type, payload, what is known of invoices) and
`<name>.expected.json` (document and problems).
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from include.adapters.oa.hesi.lines import InvoiceFacts
from include.domain.document import canonical_json
from tests.unit.adapters.hesi_parts import mapped, mapping_context

FOLDER = Path(__file__).parents[2] / "golden" / "hesi"
CASES = sorted(path.stem for path in FOLDER.glob("*.json") if not path.stem.endswith(".expected"))


def outcome(name: str) -> Any:
    """What the mapping makes of a case, as JSON."""
    case = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    known = {key: InvoiceFacts(*facts) for key, facts in case.get("invoices", {}).items()}
    result = mapped(case["payload"], case["form_type"], mapping_context(known))
    return json.loads(canonical_json(asdict(result)))


def test_there_are_cases() -> None:
    assert len(CASES) >= 7


@pytest.mark.parametrize("name", CASES)
def test_payload_becomes_document(name: str) -> None:
    expected = json.loads((FOLDER / f"{name}.expected.json").read_text("utf-8"))
    assert outcome(name) == expected
