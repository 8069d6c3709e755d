"""Conformance as a table for people, as Markdown for the documents, and as data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table

from include.conformance.runner import CaseResult, Conformance, Kind, Outcome
from include.conformance.titles import TITLES

MARKS = {Outcome.PASSED: "✓", Outcome.UNSUPPORTED: "–", Outcome.FAILED: "✗"}
HEADINGS = {Kind.SOURCE: "来源 / sources", Kind.LEDGER: "会计系统 / ledgers"}


def as_data(results: Sequence[Conformance]) -> dict[str, Any]:
    """What `--json` prints: totals, and for each connector every case with its outcome and reason."""
    return {
        **{outcome.value: sum(each.count(outcome) for each in results) for outcome in Outcome},
        "connectors": [
            {
                "connector": each.connector,
                "variant": each.variant,
                "kind": each.kind.value,
                "system": each.system,
                **{outcome.value: each.count(outcome) for outcome in Outcome},
                "cases": [asdict(case) | {"title": title(case.case)} for case in each.cases],
            }
            for each in results
        ],
    }


def tables(results: Sequence[Conformance]) -> Sequence[Table]:
    """A table for each kind: a row per case, a column per way of being connected; reasons below."""
    found = []
    for kind in Kind:
        chosen = [each for each in results if each.kind is kind]
        if not chosen:
            continue
        table = Table("用例 / case", *(name(each) for each in chosen), title=HEADINGS[kind])
        for case, row in _rows(chosen):
            table.add_row(title(case), *(MARKS[each.outcome] if each else "" for each in row))
        table.add_section()
        table.add_row("通过 / passed", *(badge(each) for each in chosen))
        found.append(table)
    return found


def notes(results: Sequence[Conformance], outcome: Outcome) -> Sequence[str]:
    """A line for each case that ended so, with the reason."""
    return [
        f"{MARKS[outcome]} {name(each)} · {title(case.case)}: {case.reason}"
        for each in results
        for case in each.cases
        if case.outcome is outcome
    ]


def markdown(results: Sequence[Conformance]) -> str:
    """The same tables for the documents, with what is unsupported and why."""
    parts = []
    for kind in Kind:
        chosen = [each for each in results if each.kind is kind]
        if not chosen:
            continue
        parts += [f"## {HEADINGS[kind]}", ""]
        parts += [_line("用例 / case", *(name(each) for each in chosen)), _line(*["---"] * (len(chosen) + 1))]
        parts += [
            _line(title(case), *(MARKS[each.outcome] if each else "" for each in row))
            for case, row in _rows(chosen)
        ]
        parts += [_line("通过 / passed", *(badge(each) for each in chosen)), ""]
        reasons = notes(chosen, Outcome.UNSUPPORTED)
        if reasons:
            parts += ["不支持的，及厂商方面的原因 / unsupported, and the vendor's reason:", ""]
            parts += [f"- {reason.removeprefix(MARKS[Outcome.UNSUPPORTED] + ' ')}" for reason in reasons]
            parts.append("")
    return "\n".join(parts)


def name(each: Conformance) -> str:
    """A way of being connected, in words."""
    return f"{each.connector} ({each.variant})" if each.variant else each.connector


def badge(each: Conformance) -> str:
    """How many of its cases passed, of those that the vendor lets one do."""
    possible = len(each.cases) - each.count(Outcome.UNSUPPORTED)
    return f"{'✗ ' if each.count(Outcome.FAILED) else '✓ '}{each.count(Outcome.PASSED)}/{possible}"


def title(case: str) -> str:
    """A case in words: Chinese, then English."""
    english = case.replace("_", " ")
    return f"{TITLES[case]} / {english}" if case in TITLES else english


def _rows(chosen: Sequence[Conformance]) -> Sequence[tuple[str, list[CaseResult | None]]]:
    names = list(dict.fromkeys(case.case for each in chosen for case in each.cases))
    by_name = [{case.case: case for case in each.cases} for each in chosen]
    return [(case, [cases.get(case) for cases in by_name]) for case in names]


def _line(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', '·') for cell in cells)} |"
