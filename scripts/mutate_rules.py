"""`make mutate-rules`: how many mistakes in the example books' rules somebody would notice.

    python -m scripts.mutate_rules [--sample N]

One rule is changed at a time (rule_mutants.py). A mutant is caught when the files no longer load, when a golden case
(tests/golden/rules) gives another voucher, or when the proofs refuse the rules, in that order. The gate's own checks
need no turn: they are derived from the same rules and agree with them on every document (test_no_drift.py), so they
tell nothing of a golden document that its voucher does not.

Mutants that make the same vouchers of every conceivable document are left out, by proof (rule_equivalence.py). Writes
.run/mutation.json, names the survivors, and fails below the floor. `--sample` takes every N-th mutant only.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from include.domain.account import Chart
from include.domain.document import DocumentKind
from include.domain.errors import FixConfig
from include.domain.money import currency_decimals
from include.rules import RuleSet, load_rules
from include.rules.check import check, errors
from include.settings import Book, load_settings
from scripts.rule_equivalence import difference
from scripts.rule_mutants import Mutant, mutants_of
from tests.fakes.ledger import FakeLedger
from tests.golden.rules.golden import Golden, golden_cases, made_of

FLOOR = 0.90
BOOKS = (("acme", None), ("eur", Path("include/config/examples/event_log")))
WORKERS = 2
RESULT = Path(".run/mutation.json")
_PLACE = re.compile(r"(\.yaml (?:第|line)) \d+")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a mutant: `outcome` is killed, equivalent or survived; `by` says what caught it, or the proof."""

    book: str
    mutant: Mutant
    outcome: str
    by: str


@dataclass(frozen=True, slots=True)
class World:
    """A book with its rules as they ship, and everything that mutants are held against."""

    book: Book
    rules: RuleSet
    cases: Sequence[Golden]
    chart: Chart
    kinds: Sequence[str]

    def judge(self, mutant: Mutant, folder: Path) -> Verdict:
        """`folder` holds a copy of the book's configuration, and does again afterwards."""
        home = folder / ("rules" if mutant.file.endswith(".yaml") else "tables") / self.book.id / mutant.file
        before = home.read_text("utf-8")
        home.write_text(mutant.text, "utf-8")
        try:
            outcome, by = self._outcome(mutant, folder)
        finally:
            home.write_text(before, "utf-8")
        return Verdict(self.book.id, mutant, outcome, by)

    def _outcome(self, mutant: Mutant, folder: Path) -> tuple[str, str]:
        try:
            rules = self.load(folder)
        except FixConfig:
            return "killed", "loading"
        if not self.agrees(rules, mutant.documents):
            return "killed", "golden cases"
        told = difference(self.rules, rules, self.book, currency_decimals(self.book.currency))
        if told is None:
            return (
                "equivalent",
                "the same templates in canonical form, and the same answer of each table to every key",
            )
        if errors(check(rules, self.book, chart=self.chart, kinds=self.kinds)):
            return "killed", "proofs"
        return "survived", told

    def load(self, folder: Path) -> RuleSet:
        return load_rules(folder / "rules" / self.book.id, folder / "tables" / self.book.id)

    def agrees(self, rules: RuleSet, kinds: Collection[str]) -> bool:
        """Whether every golden case of these kinds of documents comes out as it is written down, but for the lines that
        messages name.
        """
        cases = [case for case in self.cases if case.document["kind"] in kinds]
        made = made_of(rules, self.book, cases) if cases else {}
        return all(_told(made[case.path]) == _told(case.expected) for case in cases)


def _told(text: str) -> str:
    return _PLACE.sub(r"\1 n", text)


def world_of(name: str, config: Path | None) -> World:
    settings = load_settings(config)
    book = settings.book(name)
    rules = load_rules(settings.rules_dir(book), settings.tables_dir(book))
    forms = settings.source_of(book).forms
    return World(
        book,
        rules,
        [case for case in golden_cases() if case.book == name],
        FakeLedger().chart(),
        sorted({form.kind.value for form in forms}),
    )


def verdicts(world: World, mutants: Iterable[Mutant]) -> list[Verdict]:
    """What becomes of mutants of a book's rules."""
    with tempfile.TemporaryDirectory(prefix="vf-mutants-") as name:
        folder = Path(name)
        for source, kind in ((world.rules.rules_dir, "rules"), (world.rules.tables_dir, "tables")):
            shutil.copytree(source, folder / kind / world.book.id)
        if not world.agrees(world.load(folder), set(DocumentKind)):
            raise SystemExit("the golden cases fail already: make test PYTEST=tests/golden/rules")
        return [world.judge(mutant, folder) for mutant in mutants]


def _part(work: tuple[tuple[str, Path | None], int, int]) -> list[Verdict]:
    """Every so-many-th mutant of a book: the share of one process."""
    (name, config), sample, part = work
    world = world_of(name, config)
    mutants = list(mutants_of(world.rules.rules_dir, world.rules.tables_dir))[::sample]
    return verdicts(world, mutants[part::WORKERS])


def report(found: Sequence[Verdict]) -> dict[str, Any]:
    """Counts by outcome and kind, and all that survived or was left out; `score` is of those that are not equivalent."""
    outcomes = Counter(each.outcome for each in found)
    by_kind: dict[str, Counter[str]] = defaultdict(Counter)
    for each in found:
        by_kind[each.mutant.kind][each.outcome] += 1
    counted = len(found) - outcomes["equivalent"]
    return {
        "mutants": len(found),
        "killed": outcomes["killed"],
        "killed_by": Counter(each.by for each in found if each.outcome == "killed"),
        "equivalent": outcomes["equivalent"],
        "score": round(outcomes["killed"] / counted, 4) if counted else 1.0,
        "floor": FLOOR,
        "by_kind": {kind: dict(by_kind[kind]) for kind in sorted(by_kind)},
        "survived": [_shown(each) for each in found if each.outcome == "survived"],
        "left_out": [_shown(each) for each in found if each.outcome == "equivalent"],
    }


def _shown(verdict: Verdict) -> dict[str, Any]:
    fields = asdict(verdict.mutant)
    del fields["text"], fields["documents"]
    return {"book": verdict.book, **fields, "why": verdict.by}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sample", type=int, default=1, help="every N-th mutant only")
    options = parser.parse_args(arguments)
    found: list[Verdict] = []
    # Polars spends more on starting threads than on so few documents: two processes of one thread each are quicker.
    os.environ["POLARS_MAX_THREADS"] = "1"
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
        parts = [(book, options.sample, part) for book in BOOKS for part in range(WORKERS)]
        for verdicts_of_part in pool.map(_part, parts):
            found += verdicts_of_part
    found.sort(key=lambda each: (each.book, each.mutant.file, each.mutant.line))
    result = report(found)
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, ensure_ascii=False, indent=1), "utf-8")
    for each in result["survived"]:
        print(
            f"{each['book']}: {each['file']}:{each['line']}: [{each['kind']}] {each['what']} ({each['why']})"
        )
    print(
        f"{result['mutants']} mutants, {result['equivalent']} of them equivalent; {result['killed']} killed "
        f"({dict(result['killed_by'])}), {len(result['survived'])} survived: {result['score']:.1%} (floor {FLOOR:.0%})"
    )
    return 0 if result["score"] >= FLOOR else 1


if __name__ == "__main__":
    sys.exit(main())
