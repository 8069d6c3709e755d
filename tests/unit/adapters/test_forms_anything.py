"""Free forms on anything: mapping never raises, what it makes fits the store, and every draft loads."""

from __future__ import annotations

import copy
import json
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include import marks
from include.adapters.oa.forms import FieldValue, FormInstance, Row, map_form, map_instance
from include.adapters.oa.forms.draft import draft_mapping
from include.adapters.oa.forms.instance import load_instance
from include.domain.document import DocumentStatus
from include.domain.errors import FixData
from include.domain.money import to_decimal
from include.form_mappings import FormMapping
from tests.unit.adapters.form_parts import examples, form_context, mapping_of
from tests.unit.adapters.test_forms_golden import CASES, FOLDER
from tests.unit.adapters.test_hesi_mapping_anything import check_storable, json_values, places, spoil

VALID = {name: json.loads((FOLDER / f"{name}.json").read_text("utf-8")) for name in CASES}
texts = st.text(max_size=12) | st.sampled_from(
    [
        "金额",
        "报销总金额",
        "费用日期",
        "部门",
        "币种",
        "汇率",
        "发票号码",
        "借款单",
        "凭证号",
        "yes",
        "\u2028",
        "#",
        '"',
    ]
)
field_values = st.builds(
    FieldValue,
    value=json_values | st.sampled_from(["1,234.50", "2026-01-05", "人民币"]),
    label=texts,
    shown=texts,
    type=texts,
    ext=json_values,
    options=st.dictionaries(texts, texts, max_size=3),
)
tables = st.dictionaries(
    texts,
    st.lists(st.builds(Row, st.dictionaries(texts, field_values, max_size=4), texts), max_size=3),
    max_size=3,
)
instances = st.builds(
    FormInstance,
    id=texts,
    template=texts,
    status=st.sampled_from(DocumentStatus),
    title=texts,
    fields=st.dictionaries(texts, field_values, max_size=6),
    tables=tables,
    lists_empty=st.booleans(),
)
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]


@settings(max_examples=150, deadline=None, suppress_health_check=SLOW)
@given(data=st.data(), name=st.sampled_from(CASES))
def test_nothing_in_a_field_makes_it_raise_and_everything_it_makes_can_be_stored(
    data: st.DataObject, name: str
) -> None:
    case = copy.deepcopy(VALID[name])
    parts = [case["instance"]["fields"], case["instance"]["tables"]]
    for _ in range(data.draw(st.integers(0, 5))):
        part = data.draw(st.sampled_from(parts))
        path = data.draw(st.sampled_from([p for p in places(part) if p[-1] in ("value", "ext", "shown")]))
        new = data.draw(st.text(max_size=8) if path[-1] == "shown" else json_values)
        spoil(part, path, new, data.draw(st.booleans()) and path[-1] != "value")
    context = form_context(*examples(case["mapping"]))
    try:
        instance = load_instance(case["instance"])
    except FixData:
        return  # a field replaced by what is none
    check_storable(map_instance(instance, context))


@settings(max_examples=150, deadline=None, suppress_health_check=SLOW)
@given(instance=instances)
def test_every_draft_loads_and_reads_its_own_sample(instance: FormInstance) -> None:
    mapping = FormMapping.model_validate(marks.parse(draft_mapping(instance)).value)
    check_storable(map_form(instance, mapping, form_context(mapping)))


@settings(max_examples=60, deadline=None)
@given(value=json_values)
def test_any_json_that_is_no_sample_is_refused_with_a_message(value: Any) -> None:
    with pytest.raises(FixData, match="不是表单样本的 JSON"):
        load_instance(value)


WHOLE = """
form: claim
templates: [T1]
kind: expense_claim
document:
  department: dept
  project: {field: proj, by: label}
  currency: {field: cur, enum: {"0": CNY, "1": USD, "2": JPY}}
  rate: rate
  gross: total
  written_off: {field: offset, in: functional}
lines:
  table: dt1
  fee_type: {field: type, enum: {a: TRAFFIC, b: HOTEL}}
  amount: money
  tax: {field: tax, in: functional, path: v.0}
  occurred_on: day
  description: text
write_offs: {table: dt2, loan: loan, amount: {field: money, in: functional}}
"""
CURRENCIES = {"0": "CNY", "1": "USD", "2": "JPY"}


def written(minor: int, currency: str, style: int) -> Any:
    """An amount as forms write it."""
    plain = to_decimal(minor, currency)
    shapes: list[Any] = [
        str(plain),
        f"{plain:,}",
        f" {plain} ",
        f"{currency} {plain:,}",
        f"{plain}0" if "." in str(plain) else plain,
    ]
    wide = f"{plain:,}".translate({ord(c): ord(c) + 0xFEE0 for c in "0123456789,."})
    number = float(plain) if abs(minor) < 10**12 else str(plain)
    return [*shapes[:4], wide, number][style % 6]


def written_day(day: date, style: int) -> Any:
    return [
        day.isoformat(),
        f"{day.year}/{day.month}/{day.day}",
        f"{day.year}年{day.month}月{day.day}日",
        f"{day}T00:00:00+08:00",
        f"{day - timedelta(days=1)}T16:30Z",
        f"{day:%Y%m%d}",
    ][style % 6]


@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_a_document_written_into_a_form_is_read_back_the_same(data: st.DataObject) -> None:
    draw, style = data.draw, st.integers(0, 5)
    symbol = draw(st.sampled_from(sorted(CURRENCIES)))
    currency = CURRENCIES[symbol]
    rate = Decimal(1) if currency == "CNY" else draw(st.decimals("0.0100", "20", places=4))
    amounts = draw(st.lists(st.integers(1, 10**9), min_size=1, max_size=5))
    days = [date(2026, 1, 1) + timedelta(days=draw(st.integers(0, 400))) for _ in amounts]
    taxes = [draw(st.integers(0, 10**4)) for _ in amounts]
    types = [draw(st.sampled_from("ab")) for _ in amounts]
    loans = draw(st.lists(st.integers(1, 10**6), max_size=2))
    rows = [
        Row(
            {
                "type": FieldValue(types[i]),
                "money": FieldValue(written(amount, currency, draw(style))),
                "tax": FieldValue(json.dumps({"v": [written(taxes[i], "CNY", draw(style))]})),
                "day": FieldValue(written_day(days[i], draw(style))),
                "text": FieldValue(f"第{i}行"),
            }
        )
        for i, amount in enumerate(amounts)
    ]
    offsets = [
        Row({"loan": FieldValue(i), "money": FieldValue(written(loan, "CNY", draw(style)))})
        for i, loan in enumerate(loans)
    ]
    main = {
        "dept": 12,
        "proj": 5,
        "cur": symbol,
        "rate": str(rate),
        "total": written(sum(amounts), currency, draw(style)),
        "offset": written(sum(loans), "CNY", draw(style)) if loans else "",
    }
    values = {
        key: FieldValue(value, shown="仓储平台" if key == "proj" else "") for key, value in main.items()
    }
    instance = FormInstance(
        "I1", "T1", DocumentStatus.APPROVED, fields=values, tables={"dt1": rows, "dt2": offsets}
    )
    mapping = mapping_of(WHOLE)
    result = map_form(instance, mapping, form_context(mapping))
    document = result.document
    assert result.problems == ()
    assert (document.currency, document.transaction_gross) == (currency, sum(amounts)) or currency == "CNY"
    assert [line.amount for line in document.lines] == amounts
    assert [line.occurred_on for line in document.lines] == days
    assert [line.deductible_tax for line in document.lines] == taxes
    assert [line.fee_type.code for line in document.lines if line.fee_type] == [
        {"a": "TRAFFIC", "b": "HOTEL"}[each] for each in types
    ]
    assert {line.rate for line in document.lines} == {rate}
    assert [each.amount for each in document.write_offs] == loans
    assert document.written_off == sum(loans)
    assert document.project is not None
    assert document.project.code == "P005"
    if currency == "CNY":
        assert document.gross == sum(line.functional_amount or 0 for line in document.lines) == sum(amounts)
        assert document.payable == sum(amounts) - sum(loans)
