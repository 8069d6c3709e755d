"""Filled-in forms of three vendors, the mappings that ship as examples, and the canonical documents they must become.

Each case is two files in tests/golden/forms: `<name>.json` (the vendor's folder of mappings, the neutral form) and
`<name>.expected.json` (document and problems).
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from include.adapters.oa.forms import map_instance
from include.adapters.oa.forms.instance import dump_instance, load_instance
from include.domain.document import canonical_json
from tests.unit.adapters.form_parts import examples, form_context

FOLDER = Path(__file__).parents[2] / "golden" / "forms"
CASES = sorted(path.stem for path in FOLDER.glob("*.json") if not path.stem.endswith(".expected"))


def outcome(name: str) -> Any:
    """What the mapping makes of a case, as JSON."""
    case = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    result = map_instance(load_instance(case["instance"]), form_context(*examples(case["mapping"])))
    return json.loads(canonical_json(asdict(result)))


def test_there_is_a_case_for_each_vendor() -> None:
    assert {name.partition("_")[0] for name in CASES} == {"dingtalk", "feishu", "weaver"}


@pytest.mark.parametrize("name", CASES)
def test_form_becomes_document(name: str) -> None:
    assert outcome(name) == json.loads((FOLDER / f"{name}.expected.json").read_text("utf-8"))


@pytest.mark.parametrize("name", CASES)
def test_a_form_survives_its_json(name: str) -> None:
    instance = load_instance(json.loads((FOLDER / f"{name}.json").read_text("utf-8"))["instance"])
    assert load_instance(json.loads(json.dumps(dump_instance(instance)))) == instance
