"""Mutants of a rule set: its files with one rule changed, each as somebody might get it wrong."""

from __future__ import annotations

import copy
import csv
import io
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from include import marks
from include.domain.document import DocumentKind
from include.rules.facts import MEASURES, Scope

Row = dict[str, str]
NARROW = "2026-03-06"
"""The day after that of most golden cases: what begins here does not hold for them."""
_INPUT_VAT = "input_vat.csv"


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change: `kind` groups changes of one sort, `file` and `line` are where it was made, `text` is the new file.

    `documents` are the kinds of documents that the change may concern.
    """

    kind: str
    file: str
    line: int
    what: str
    text: str
    documents: frozenset[str]


def mutants_of(rules_dir: Path, tables_dir: Path) -> Iterator[Mutant]:
    """All mutants of a book's templates and tables, in a fixed order."""
    tables = {path.name: path.read_text("utf-8-sig") for path in sorted(tables_dir.glob("*.csv"))}
    keys = [row["key"] for row in _rows(tables["accounts.csv"])]
    users: dict[str, set[str]] = defaultdict(set)
    for path in sorted(rules_dir.glob("*.yaml")):
        marked = marks.parse(path.read_text("utf-8-sig"))
        for template in marked.value["templates"]:
            for name in _used(template):
                users[name] |= set(template["kinds"])
        yield from _of_templates(path.name, marked, keys, sorted(tables))
    for name, text in tables.items():
        yield from _of_table(name, text, users)


def _used(template: Mapping[str, Any]) -> Iterator[str]:
    """The tables, and keys of accounts.csv, that a template needs."""
    for entry in template.get("lines", ()):
        account = entry["account"]
        yield f"{account['table']}.csv" if "table" in account else f"accounts.csv {account['key']}"
        if "deductible_tax" in entry["measure"]:
            yield _INPUT_VAT


def _of_templates(file: str, marked: marks.Marked, keys: list[str], tables: list[str]) -> Iterator[Mutant]:
    for index, template in enumerate(marked.value["templates"]):
        where: marks.Path = ("templates", index)
        for kind, what, changed in _changed_templates(template):
            kinds = frozenset({*template["kinds"], *(changed or {}).get("kinds", ())})
            text = _changed(marked, where, changed)
            yield Mutant(kind, file, marked.line_of(where), f"{template['id']}: {what}", text, kinds)
        for number, entry in enumerate(template.get("lines", ())):
            place = (*where, "lines", number)
            for kind, what, changed in _changed_entries(entry, keys, tables):
                shown = f"{template['id']}.{entry['name']}: {what}"
                text = _changed(marked, place, changed)
                yield Mutant(kind, file, marked.line_of(place), shown, text, frozenset(template["kinds"]))


def _changed(marked: marks.Marked, place: marks.Path, changed: Any) -> str:
    """The file with the item at a place replaced, or taken out where `changed` is None."""
    content = copy.deepcopy(marked.value)
    parent: Any = content
    for part in place[:-1]:
        parent = parent[part]
    if changed is None:
        del parent[place[-1]]
    else:
        parent[place[-1]] = changed
    return yaml.safe_dump(_plain(content), allow_unicode=True, sort_keys=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


Change = tuple[str, str, dict[str, Any] | None]


def _changed_templates(template: dict[str, Any]) -> Iterator[Change]:
    yield "drop_template", "dropped", None
    yield "event", "event renamed", template | {"event": f"{template['event']}_2"}
    yield "narrow_date", f"valid_from {NARROW}", template | {"valid_from": NARROW}
    for name in ("valid_from", "valid_to"):
        if name in template:
            yield "widen_date", f"without {name}", _without(template, name)
    kinds = template["kinds"]
    for kind in kinds:
        others = [one for one in kinds if one != kind] or [_next_kind(kind)]
        yield "kinds", f"kinds {others} for {kinds}", template | {"kinds": others}
    yield from _changed_conditions(template)
    if "no_voucher" in template:
        return
    yield (
        "no_voucher",
        "no voucher",
        _without(template, "lines") | {"no_voucher": {"zh": "不做", "en": "none"}},
    )
    yield (
        "word",
        "another voucher word",
        template | {"word": "转" if template.get("word", "记") != "转" else "记"},
    )
    if "summary" in template:
        yield "summary", "summary cut", template | {"summary": "{document.code}"}


def _changed_entries(entry: dict[str, Any], keys: list[str], tables: list[str]) -> Iterator[Change]:
    is_tax = "tax" in str(entry["measure"]) and not str(entry["measure"]).startswith("net")
    yield ("drop_tax" if is_tax else "drop_entry"), "dropped", None
    other = "credit" if entry["side"] == "debit" else "debit"
    yield "side", f"{other} for {entry['side']}", entry | {"side": other}
    yield "red", "red turned over", entry | {"red": not entry.get("red", False)}
    for measure in sorted(MEASURES[Scope(entry.get("for_each", "document"))]):
        if measure != entry["measure"]:
            yield "measure", f"{measure} for {entry['measure']}", entry | {"measure": str(measure)}
    yield from _changed_accounts(entry, keys, tables)
    yield from _changed_conditions(entry)
    yield from _changed_dimensions(entry)
    merged = entry.get("merge", "none")
    for way in ("none", "account_and_dimensions"):
        if way != merged:
            yield "merge", f"merge {way} for {merged}", entry | {"merge": way}
    if "fraction" in entry:
        yield (
            "fraction",
            "another fraction",
            entry | {"fraction": str(1 - Decimal(str(entry["fraction"])) / 3)},
        )
        yield "fraction", "the whole", _without(entry, "fraction")
    if "less" in entry:
        yield "less", "nothing taken off", _without(entry, "less")
    if "summary" in entry:
        yield "summary", "the template's summary", _without(entry, "summary")


def _changed_accounts(entry: dict[str, Any], keys: list[str], tables: list[str]) -> Iterator[Change]:
    account = entry["account"]
    if "key" in account:
        following = keys[(keys.index(account["key"]) + 1) % len(keys)]
        yield "account_key", f"{following} for {account['key']}", entry | {"account": {"key": following}}
        return
    yield "account_key", f"key {keys[0]} for a table", entry | {"account": {"key": keys[0]}}
    names = [name.removesuffix(".csv") for name in tables if name not in ("accounts.csv", _INPUT_VAT)]
    for name in names:
        if name != account["table"]:
            yield "account_table", f"{name} for {account['table']}", entry | {"account": {"table": name}}


def _changed_conditions(item: dict[str, Any]) -> Iterator[Change]:
    for path, predicate in item.get("when", {}).items():
        others = {key: value for key, value in item["when"].items() if key != path}
        yield "drop_condition", f"without {path}", item | {"when": others}
        for inverted in _inverted(predicate):
            yield "invert", f"{path}: {inverted}", item | {"when": {**others, path: inverted}}


def _inverted(predicate: Any) -> Iterator[Any]:
    match predicate:
        case "is_missing":
            yield "not_missing"
        case "not_missing":
            yield "is_missing"
        case {"equals": str(value)}:
            yield {"equals": {"yes": "no", "no": "yes"}.get(value, f"{value}~")}
        case {"in": [*values]}:
            for value in values:
                yield {"in": [one for one in values if one != value] or [f"{value}~"]}
        case {"prefix": str(value)}:
            yield {"prefix": f"{value}~"}
        case {"range": dict(bounds)}:
            for name in bounds:
                yield {"range": bounds | {name: str(Decimal(str(bounds[name])) + 1)}}


def _changed_dimensions(entry: dict[str, Any]) -> Iterator[Change]:
    required, optional = entry.get("dimensions", {}), entry.get("optional_dimensions", {})
    for kind, path in required.items():
        yield "drop_dimension", f"without {kind}", entry | {"dimensions": _without(required, kind)}
        yield (
            "optional",
            f"{kind} optional",
            entry | {"dimensions": _without(required, kind), "optional_dimensions": {**optional, kind: path}},
        )
    for kind, path in optional.items():
        yield "drop_dimension", f"without {kind}", entry | {"optional_dimensions": _without(optional, kind)}
        yield (
            "required",
            f"{kind} required",
            entry | {"dimensions": {**required, kind: path}, "optional_dimensions": _without(optional, kind)},
        )
    for kind in entry.get("fixed_dimensions", {}):
        rest = _without(entry["fixed_dimensions"], kind)
        yield "drop_dimension", f"without {kind}", entry | {"fixed_dimensions": rest}


def _of_table(file: str, text: str, users: Mapping[str, set[str]]) -> Iterator[Mutant]:
    rows = _rows(text)
    for index, row in enumerate(rows):
        name = f"{file} {row['key']}" if file == "accounts.csv" else file
        for kind, what, changed in _changed_rows(file, rows, index):
            shown = f"{'|'.join(v for k, v in row.items() if k != 'note')}: {what}"
            yield Mutant(kind, file, index + 2, shown, _csv(changed), frozenset(users.get(name, ())))


def _changed_rows(file: str, rows: list[Row], index: int) -> Iterator[tuple[str, str, list[Row]]]:
    row = rows[index]
    output = "treatment" if file == _INPUT_VAT else "account"

    def changed(**fields: str) -> list[Row]:
        return [*rows[:index], row | fields, *rows[index + 1 :]]

    yield "drop_row", "dropped", [*rows[:index], *rows[index + 1 :]]
    other = next(
        (one[output] for one in (*rows[index + 1 :], *rows[:index]) if one[output] != row[output]), None
    )
    if other is not None:
        yield "row_account", f"{other} for {row[output]}", changed(**{output: other})
    if file == "accounts.csv":
        return
    following = next((n for n in range(index + 1, len(rows)) if rows[n][output] != row[output]), None)
    if following is not None:
        swapped = [dict(one) for one in rows]
        swapped[index][output], swapped[following][output] = rows[following][output], row[output]
        yield "swap_rows", f"{output} exchanged with row {following + 2}", swapped
    for step in (20, -20):
        priority = str(int(row.get("priority") or 0) + step)
        yield "priority", f"priority {priority}", changed(priority=priority)
    yield "narrow_date", f"valid_from {NARROW}", changed(valid_from=NARROW)
    for name in ("valid_from", "valid_to"):
        if row.get(name):
            yield "widen_date", f"without {name}", changed(**{name: ""})
    for column, cell in row.items():
        if "." in column:
            yield from ((kind, f"{column} {text}", changed(**{column: text})) for kind, text in _cells(cell))
    if "dimensions" in row:
        kinds = "" if row["dimensions"] else "department"
        yield "row_dimensions", f"dimensions {kinds!r}", changed(dimensions=kinds)


def _cells(cell: str) -> Iterator[tuple[str, str]]:
    """A condition widened or narrowed."""
    if cell == "*":
        yield "narrow_cell", "<missing>"
        return
    yield "widen_cell", "*"
    if cell.endswith("*") and len(cell) > 2:
        yield "widen_cell", f"{cell[:-2]}*"
    if cell.endswith("*"):
        yield "narrow_cell", f"{cell[:-1]}~*"
    if cell == "<present>":
        yield "narrow_cell", "<missing>"
    if "|" in cell:
        parts = cell.split("|")
        yield from (("narrow_cell", "|".join(parts[:n] + parts[n + 1 :])) for n in range(len(parts)))


def _rows(text: str) -> list[Row]:
    return [dict(row) for row in csv.DictReader(io.StringIO(text))]


def _csv(rows: list[Row]) -> str:
    out = io.StringIO()
    header = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(out, header, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _without(item: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name != key}


def _next_kind(kind: str) -> str:
    kinds = [each.value for each in DocumentKind]
    return kinds[(kinds.index(kind) + 1) % len(kinds)]
