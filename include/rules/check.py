"""All proofs of a rule set together: what `./voucherflow rules check` shows, and what puts a rule set in force."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import PurePath

from include.domain.account import Chart
from include.domain.errors import FixConfig
from include.domain.money import currency_decimals
from include.ports import MasterRecord
from include.rules.balancing import check_balance
from include.rules.choosing import check_choice
from include.rules.coverage import check_coverage
from include.rules.proofs import Finding, Severity, check_tables
from include.rules.residue import residue_account
from include.rules.ruleset import RuleSet, check_accounts
from include.settings import Book


def check(
    ruleset: RuleSet,
    book: Book,
    *,
    chart: Chart | None = None,
    kinds: Sequence[str] = (),
    master: Mapping[str, Sequence[MasterRecord]] | None = None,
    day: date | None = None,
) -> list[Finding]:
    """Everything that is wrong with a rule set, by file and line.

    Without the ledger's `chart` accounts are not checked, without the OA's `master` data (by kind; `day` says which
    rows are valid) coverage is not. `kinds` are the kinds of documents that the OA sends.
    """
    decimals = currency_decimals(book.currency)
    found = [
        *check_balance(ruleset, decimals),
        *check_choice(ruleset, decimals, kinds),
        *check_tables(ruleset, decimals),
        *_residue(ruleset, book),
    ]
    if chart is not None:
        found += _accounts(ruleset, chart)
    if master is not None and day is not None:
        found += check_coverage(ruleset, decimals, master, day)
    return sorted(found, key=lambda one: (one.file, one.line, one.code, one.rows))


def errors(found: Sequence[Finding]) -> list[Finding]:
    """Those for which a rule set is refused."""
    return [one for one in found if one.severity is Severity.ERROR]


def _accounts(ruleset: RuleSet, chart: Chart) -> list[Finding]:
    found = []
    for problem in check_accounts(ruleset, chart):
        file, _, line = problem.where.rpartition(":")
        shown = "/".join(PurePath(file).parts[-3:])
        found.append(Finding(problem.code, Severity.ERROR, shown, int(line), problem.zh, problem.en))
    return found


def _residue(ruleset: RuleSet, book: Book) -> list[Finding]:
    try:
        residue_account(ruleset, book)
    except FixConfig as error:
        zh, _, en = str(error).partition(" / ")
        file = f"books/{book.id}.yaml"
        return [Finding("rules.residue_account", Severity.ERROR, file, 0, zh.partition(": ")[2], en)]
    return []
