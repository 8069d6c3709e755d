"""The mapping on anything: it never raises, what it makes fits the store, and sound documents add up."""

from __future__ import annotations

import copy
import json
from dataclasses import asdict
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.domain.document import MappedDocument, canonical_json
from include.domain.money import MAX_MINOR
from tests.unit.adapters.hesi_parts import expense, line, mapped, money, portion
from tests.unit.adapters.test_hesi_golden import CASES, FOLDER

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**25), 10**25)
    | st.sampled_from([10**400, 253402214400000, 9007199254740991, -1, 0])
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(
        ["", "\0", "\ud800", "NaN", "-5", "1E+999999999", "1e-999999999", "9" * 300, "CNY", "paid"]
    ),
    lambda children: (
        st.lists(children, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "id",
                    "standard",
                    "foreign",
                    "rate",
                    "foreignStrCode",
                    "invoices",
                    "apportionForm",
                    "time",
                    "x",
                ]
            ),
            children,
            max_size=4,
        )
    ),
    max_leaves=6,
)
VALID = {name: json.loads((FOLDER / f"{name}.json").read_text("utf-8")) for name in CASES}


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    keys: list[Any] = []
    if isinstance(value, dict):
        keys = list(value)
    elif isinstance(value, list):
        keys = list(range(len(value)))
    return [(*path, key) for key in keys] + [p for key in keys for p in places(value[key], (*path, key))]


def spoil(payload: Any, path: tuple[Any, ...], new: Any, remove: bool) -> None:
    target = payload
    for key in path[:-1]:
        try:
            target = target[key]
        except (KeyError, IndexError, TypeError):
            return  # an earlier change took the place away
    if isinstance(target, dict):
        target.pop(path[-1], None)
        if not remove:
            target[path[-1]] = new
    elif isinstance(target, list) and path[-1] < len(target):
        target[path[-1]] = new


def check_storable(result: MappedDocument) -> None:
    """Whatever came in, what comes out fits the store's columns."""
    document = result.document
    text = canonical_json(asdict(result)).decode("utf-8")  # no half of a surrogate pair is left
    assert "\\u0000" not in text
    amounts = [document.gross, document.transaction_gross, document.written_off, document.payable]
    amounts += [a for x in document.lines for a in (x.amount, x.functional_amount, x.deductible_tax)]
    amounts += [a for c in document.invoices for a in (c.claimed, c.tax, c.total)]
    assert all(a is None or abs(a) <= MAX_MINOR for a in amounts)
    assert all(x.rate is None or (x.rate > 0 and len(str(x.rate)) <= 40) for x in document.lines)
    for moment in (document.created_at, document.updated_at, document.approved_at, document.paid_at):
        assert moment is None or moment.astimezone(ZoneInfo("Pacific/Kiritimati"))
    assert 0 < len(document.document_id) <= 128
    assert len(document.code) <= 128
    assert all(len(x.line_id) <= 128 for x in document.lines)
    assert len(document.content_digest) == 64
    assert all(p.where and p.zh and p.en and len(p.code) <= 80 for p in result.problems)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), name=st.sampled_from(sorted(VALID)))
def test_nothing_makes_it_raise_and_everything_it_makes_can_be_stored(data: st.DataObject, name: str) -> None:
    case = copy.deepcopy(VALID[name])
    payload = case["payload"]
    for _ in range(data.draw(st.integers(0, 5))):
        path = data.draw(st.sampled_from(places(payload) or [("id",)]))
        spoil(payload, path, data.draw(json_values), data.draw(st.booleans()))
    check_storable(mapped(payload, case["form_type"]))


@settings(max_examples=200, deadline=None)
@given(payload=json_values, form_type=st.sampled_from(["expense", "loan", "custom", "permit"]))
def test_any_json_at_all_becomes_a_document(payload: Any, form_type: str) -> None:
    check_storable(mapped(payload, form_type))


@settings(max_examples=150, deadline=None)
@given(
    amounts=st.lists(st.integers(1, 10**9), min_size=1, max_size=8),
    parts=st.lists(st.integers(1, 50), min_size=1, max_size=5),
    rate=st.decimals("0.01", "20", places=4),
    foreign=st.booleans(),
)
def test_a_sound_document_adds_up_to_the_cent(
    amounts: list[int], parts: list[int], rate: Decimal, foreign: bool
) -> None:
    """Σ lines = gross and Σ portions = line, in both currencies, whenever the payload says so."""
    details, total, weights = [], 0, sum(parts)
    for number, amount in enumerate(amounts):
        standard = int((amount * rate).quantize(Decimal(1), "ROUND_HALF_UP")) if foreign else amount
        total += standard
        shares = [standard * part // weights for part in parts]
        shares[-1] += standard - sum(shares)
        item = line(number=number, apportions=[portion(str(Decimal(share) / 100)) for share in shares])
        extra = {"foreign": str(Decimal(amount) / 100), "foreignStrCode": "USD", "rate": str(rate)}
        item["feeTypeForm"]["amount"] = money(str(Decimal(standard) / 100), **(extra if foreign else {}))
        details.append(item)
    result = mapped(expense(*details, total=str(Decimal(total) / 100)))
    document = result.document
    assert result.problems == ()
    assert sum(x.functional_amount or 0 for x in document.lines) == document.gross == total
    assert (
        sum(x.amount or 0 for x in document.lines)
        == document.transaction_gross
        == (sum(amounts) if foreign else total)
    )
