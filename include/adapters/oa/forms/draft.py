"""A first mapping file for a form, drafted from one filled-in sample: guesses, each with the sample's value beside it.

The draft loads. It is for an engineer to check line by line: names and one sample cannot tell what a field means.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from include.adapters.oa.forms import guesses
from include.adapters.oa.forms.guesses import Guess, guess_kind, suits
from include.adapters.oa.forms.instance import FieldValue, FormInstance
from include.adapters.oa.reading import shown
from include.form_mappings import DocumentFields, InvoiceFields, LineFields, WriteOffFields

HEAD = "# yaml-language-server: $schema=../../schemas/mapping.schema.json\n"
NO_FIELD = "填写字段编码"
"""The amount's field where the sample has none that looks like one: the file loads, and every form says what is missing."""
MAX_OPTIONS = 200
_ORDER = list(
    dict.fromkeys(
        key
        for model in (DocumentFields, LineFields, InvoiceFields, WriteOffFields)
        for key in model.model_fields
    )
)
"""Keys as a file lists them."""


@dataclass(slots=True)
class _Draft:
    """The file as it grows, and the fields of the form that are used already, as (table, code)."""

    instance: FormInstance
    lines: list[str] = field(default_factory=list)
    used: set[tuple[str, str]] = field(default_factory=set)

    def sample(self, table: str) -> dict[str, FieldValue]:
        """The fields of the form, or of a table: for each the first row that has a value in it."""
        found: dict[str, FieldValue] = {}
        for fields in self.instance.fields_of(table):
            for code, value in fields.items():
                if code not in found or found[code].value in (None, ""):
                    found[code] = value
        return found

    def guessed(self, kinds: Sequence[Guess], table: str) -> dict[str, str]:
        """Keys of the mapping → codes of fields, each field once."""
        found: dict[str, str] = {}
        for guess in kinds:
            for code, value in self.sample(table).items():
                if (table, code) not in self.used and _usable(code) and suits(guess, code, value):
                    self.used.add((table, code))
                    found[guess.key] = code
                    break
        return found

    def give_back(self, table: str, code: str | None) -> None:
        """A field that is not used after all."""
        self.used.discard((table, code or ""))

    def put(self, key: str, code: str, table: str, *, with_enum: bool) -> None:
        """A line for a field, and what the sample has there."""
        value = self.sample(table).get(code, FieldValue(None))
        parts = [f"field: {_quoted(code)}"]
        if value.type and _usable(value.type):
            parts.append(f"oa_type: {_quoted(value.type)}")
        if with_enum and key == "currency":
            pairs = ", ".join(
                f"{_quoted(k)}: {v}" for k, v in guesses.currencies(value).items() if _usable(k)
            )
            parts.append(f"enum: {{{pairs}}}")
        options = [(k, v) for k, v in value.options.items() if _usable(k)][:MAX_OPTIONS]
        if with_enum and key != "currency" and options:
            self.lines.append(f"  {key}:  # {_seen(value)}")
            self.lines += [f"    {part}" for part in parts]
            self.lines.append("    enum:  # 改为会计所用的编码 / put the codes that accounting uses")
            self.lines += [
                f"      {_quoted(k)}: {{code: {_quoted(k)}, name: {_quoted(_printable(v))}}}"
                for k, v in options
            ]
            return
        self.lines.append(f"  {key}: {{{', '.join(parts)}}}  # {_seen(value)}")


def draft_mapping(instance: FormInstance) -> str:
    """The YAML of a mapping of the form's template. Loads whatever the form holds."""
    draft = _Draft(instance)
    kind = guess_kind(instance.title)
    template = instance.template if _usable(instance.template) else NO_FIELD
    draft.lines += [
        "# 由样本起草，请逐行核对；注释是样本中的值，完成后可删去 / drafted from a sample: check each line; comments are its values",
        f"form: {kind}",
        f"templates: [{_quoted(template)}]",
        f"kind: {kind}  # {_printable(instance.title)[:40]}",
    ]
    offsets = _table_of(draft, guesses.WRITE_OFFS, ("loan", "amount"))
    table = _table_of(draft, guesses.LINES, ("amount",), but=offsets)
    back = draft.guessed(guesses.WRITE_BACK, "")
    document = draft.guessed(guesses.DOCUMENT, "")
    if "rate" not in document:
        draft.give_back("", document.pop("currency", None))
    if instance.submitted_at is not None:  # the OA knows it to the second
        draft.give_back("", document.pop("submitted_at", None))
    if not table and "gross" not in document:
        document["gross"] = NO_FIELD
    _section(draft, "document", document, "")
    if table or (not table and draft.sample("")):
        _lines(draft, table)
    if offsets:
        _section(draft, "write_offs", draft.guessed(guesses.WRITE_OFFS, offsets), offsets, named=True)
    if back:
        draft.lines.append("write_back:")
        draft.lines += [
            f"  {key}: {_quoted(code)}  # {_seen(draft.sample('')[code])}" for key, code in back.items()
        ]
    return HEAD + "\n".join([*draft.lines, *_rest(draft)]) + "\n"


def _lines(draft: _Draft, table: str) -> None:
    """The lines, and the invoices in their rows."""
    kinds = guesses.LINES if table else [g for g in guesses.LINES if g.key in ("fee_type", "description")]
    invoices = draft.guessed(guesses.INVOICES, table)
    _section(draft, "lines", draft.guessed(kinds, table), table, named=bool(table))
    if "number" in invoices:
        _section(draft, "invoices", invoices, table, named=bool(table))
    else:
        for code in invoices.values():
            draft.give_back(table, code)


def _section(draft: _Draft, name: str, keys: Mapping[str, str], table: str, *, named: bool = False) -> None:
    if not keys and not named:
        return
    draft.lines.append(f"{name}:")
    if named:
        draft.lines.append(f"  table: {_quoted(table)}")
    references = {"legal_entity", "department", "project", "supplier", "submitter", "fee_type", "currency"}
    for key, code in sorted(keys.items(), key=lambda item: _ORDER.index(item[0])):
        draft.put(key, code, table, with_enum=key in references)


def _table_of(draft: _Draft, kinds: Sequence[Guess], needed: Sequence[str], *, but: str = "") -> str:
    """The table whose fields fit best, "" where none has what is needed."""
    best, most = "", 0
    for table in draft.instance.tables:
        if table == but or not _usable(table):
            continue
        trial = _Draft(draft.instance)
        found = trial.guessed(kinds, table)
        if all(key in found for key in needed) and len(found) > most:
            best, most = table, len(found)
    return best


def _rest(draft: _Draft) -> Iterator[str]:
    """Everything that is not mapped, as comments."""
    left = [
        f"#   {_printable(f'{table}.{code}' if table else code)}: {_seen(value)}"
        for table in ("", *draft.instance.tables)
        for code, value in draft.sample(table).items()
        if (table, code) not in draft.used
    ]
    if left:
        yield "# 未映射的字段 / fields that are not mapped:"
        yield from left


def _seen(value: FieldValue) -> str:
    """What a comment says of a field: its label, type and the sample's value, in one line."""
    label = f"{value.label[:40]}（{value.type[:40]}）" if value.type else value.label[:40]
    text = "空 / empty" if value.value in (None, "", [], {}) else shown(value.value)
    also = f" {value.shown[:40]}" if value.shown and value.shown != value.value else ""
    return _printable(f"{label} {text}{also}".strip())


def _usable(text: str) -> bool:
    return 0 < len(text) <= 128 and text.isprintable() and text == text.strip()


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)


def _quoted(text: str) -> str:
    """Text as YAML: bare where it is a plain word, else in double quotes."""
    is_plain = text.isascii() and text.isidentifier() and text.lower() not in _TAKEN
    return text if is_plain else json.dumps(text, ensure_ascii=False)


_TAKEN = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}
"""Words that YAML takes for something else than text."""
