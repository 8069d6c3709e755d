"""The stage under measurement, with the example book, its rules and the embedded ledger's chart."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import include.embedded.tryton
from include.domain.account import Account, Chart
from include.embedded.tryton.chart import read_chart
from include.ports import SystemClock
from include.quality import gate
from include.rules import RuleSet, load_rules
from include.settings import load_settings
from include.stages.context import Scope, StageContext
from include.stages.generate import make_vouchers
from include.stages.rules import InForce
from include.store.store import Store

SETTINGS = load_settings()
BOOK = SETTINGS.book("acme")


def rules() -> RuleSet:
    """The example book's, as they ship."""
    return load_rules(SETTINGS.rules_dir(BOOK), SETTINGS.tables_dir(BOOK))


def chart() -> Chart:
    """The accounts of the embedded ledger."""
    path = Path(include.embedded.tryton.__path__[0]) / "chart_cn.csv"
    return Chart.of(
        Account(
            row.code,
            row.name,
            is_leaf=bool(row.type),
            required_dimensions=frozenset({"party"} if row.party_required else ()),
        )
        for row in read_chart(path)
    )


def generate(store: Store) -> int:
    """Load the rules, make and store the vouchers of all documents; gives how many vouchers.

    This is the stage but for the proof of changed rules and the gate, which is measured by itself.
    """
    ruleset = rules()
    made = make_vouchers(context(store), Scope(), InForce(ruleset, 1, ruleset.digest))
    return made.vouchers


def check(store: Store) -> int:
    """Put all generated vouchers to the gate; gives how many it looked at."""
    report = gate.check_vouchers(store.engine, book=BOOK.id, currency=BOOK.currency, chart=chart())
    return report.checked


def warm_up() -> None:
    """Seconds of import are paid once by a process, not by each run of the gate."""
    import great_expectations  # noqa: F401 - importing is what it is for


def context(store: Store) -> StageContext:
    """Of the example book, without a source or a ledger."""

    def nothing() -> NoReturn:
        raise AssertionError("generating reads the store alone")

    return StageContext(
        settings=SETTINGS,
        book=BOOK,
        store=store,
        connect_source=nothing,
        connect_ledger=nothing,
        clock=SystemClock(),
        actor="bench",
    )
