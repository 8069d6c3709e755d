"""OA systems whose documents are free forms: neutral instances become canonical documents by a mapping file per form.

A vendor's adapter turns its JSON or XML into `FormInstance`s and does nothing else with their contents: `map_instance`
reads them by the source's mappings (include/form_mappings.py). `mapped_records` are the entries of master data that the
mappings define themselves, `answer_fields` and `answer_comment` say what to write back where.
"""

from __future__ import annotations

from include.adapters.oa.forms.instance import FieldValue, FormInstance, FormSource, Row
from include.adapters.oa.forms.mapping import FormContext, absent_fields, map_form, map_instance
from include.adapters.oa.forms.master import mapped_records
from include.adapters.oa.forms.write_back import Answer, answer_comment, answer_fields

__all__ = [
    "Answer",
    "FieldValue",
    "FormContext",
    "FormInstance",
    "FormSource",
    "Row",
    "absent_fields",
    "answer_comment",
    "answer_fields",
    "map_form",
    "map_instance",
    "mapped_records",
]
