"""Reconciling: a million journal lines here and a million there, against a bare Polars outer join of the same lines.

The lines are as bench.population has them, five a voucher. A few of each thousand vouchers are missing there, changed,
split or doubled, so that every step has work to do.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from bench import stage
from bench.memory import peak_bytes
from bench.population import DEPARTMENTS, STAFF
from bench.result import Result
from bench.stores import opened
from include.domain.account import AccountBalance, AuxiliaryDimension
from include.domain.money import Money
from include.domain.period import FiscalPeriod, LedgerPeriod, PeriodState
from include.domain.voucher import LedgerLine, LedgerVoucher, LedgerVoucherState, Side, VoucherStatus
from include.ports import ProofLevel
from include.reconciling.frames import LINES, SEPARATOR, VOUCHERS, Journal
from include.reconciling.matching import match
from include.stages.context import Scope
from include.stages.reconcile import examine
from include.store import bulk
from include.store import tables as t
from include.store.engine import writing
from tests.builders import StoreBuilder

LINES_EACH = 5
LINES_OF_A_DOCUMENT = 10
"""So that the benchmark's 100,000 documents are a million lines."""
PERIOD = FiscalPeriod(2026, 3)
COMPARED = ["key", "date", *(name for name in LINES if name != "voucher")]
PAGE = 200
VOUCHERS_FILE, LINES_FILE = "vouchers.arrow", "lines.arrow"


def results(documents: int, runs: int) -> Iterator[Result]:
    """The comparison alone, and the whole stage in a process of its own."""
    vouchers = documents * LINES_OF_A_DOCUMENT // LINES_EACH
    lines = f"{vouchers * LINES_EACH:,}"
    compared, floors = _compare(vouchers, runs)
    yield Result.of(
        f"reconcile {lines} × {lines} lines",
        "s",
        compared,
        floors,
        "floor: a bare Polars outer join of the lines; budget 3",
    )
    measured = _in_own_process(vouchers)
    yield Result.of(
        f"reconcile {lines} × {lines} lines, read from store and pages",
        "s",
        [measured["seconds"]],
        floors,
        "the whole stage, the ledger's pages as objects; no budget",
    )
    yield Result.of(
        f"memory of reconcile: {lines} × {lines} lines",
        "MiB",
        [measured["peak_mib"]],
        [measured["before_mib"]],
        "floor: the same process with the ledger's lines, before it reconciles; budget 1024 MiB",
    )


def _compare(vouchers: int, runs: int) -> tuple[list[float], list[float]]:
    """Seconds of the comparison and of the join, by turns; both begin with the texts of the lines."""
    ours, theirs = ours_of(vouchers), theirs_of(vouchers)
    left, right = _with_heads(ours), _with_heads(theirs)
    compared, floors = [], []
    for _ in range(runs):
        compared.append(_seconds(lambda: match(_typed(ours), _typed(theirs))))
        floors.append(_seconds(lambda: left.join(right, on=COMPARED, how="full")))
    return compared, floors


def ours_of(vouchers: int) -> Journal:
    """A period's journal, its lines as text: four debits and a credit, one voucher in ten in a foreign currency."""
    number, line = pl.col("voucher"), pl.col("line")
    heads = pl.select(voucher=pl.int_range(vouchers, dtype=pl.Int64)).select(
        number,
        pl.format("VF/acme/hesi/ID_{}/expense_claim/1", number).alias("key"),
        (number + 1).cast(pl.String).alias("ledger_id"),
        pl.format("记-{}", number + 1).alias("number"),
        (pl.lit(PERIOD.first_day) + pl.duration(days=number % 31)).cast(pl.Date).alias("date"),
        pl.lit(PERIOD.code).alias("period"),
        pl.lit(LedgerVoucherState.POSTED.value).alias("state"),
        pl.lit("").alias("text"),
    )
    is_credit = line == LINES_EACH - 1
    net = (number * 31 + line * 17) % 100_000 + 1
    total = sum(((number * 31 + n * 17) % 100_000 + 1 for n in range(LINES_EACH - 1)), pl.lit(0))
    department = pl.lit(pl.Series([code for code, _ in DEPARTMENTS])).get(number % len(DEPARTMENTS))
    employee = pl.lit(pl.Series([code for code, _ in STAFF])).get(number % len(STAFF))
    is_foreign = number % 10 == 0
    debit = pl.format(f"department={{}}{SEPARATOR}project=P{{}}", department, number % 30)
    every = pl.int_range(vouchers * LINES_EACH, dtype=pl.Int64)
    lines = pl.select(voucher=every // LINES_EACH, line=every % LINES_EACH).select(
        number,
        pl.when(is_credit)
        .then(pl.lit("2241.03"))
        .otherwise(pl.format("6602.{}", (number + line) % 14 + 10))
        .alias("account"),
        is_credit.alias("is_credit"),
        pl.when(is_credit).then(total).otherwise(net).alias("amount"),
        pl.when(is_foreign).then(pl.lit("USD")).otherwise(pl.lit("")).alias("currency"),
        pl.when(is_foreign).then(100).otherwise(0).cast(pl.Int64).alias("foreign"),
        pl.when(is_credit).then(pl.format("employee={}", employee)).otherwise(debit).alias("dimensions"),
    )
    return Journal(heads.select(*VOUCHERS), lines.select(*LINES))


def theirs_of(vouchers: int) -> Journal:
    """The same as a ledger has it, in another order, and of a thousand vouchers three others: one is missing, one has
    another account, and one is there twice.
    """
    ours = ours_of(vouchers)
    rest = pl.col("voucher") % 1000
    account = pl.when((rest == 2) & ~pl.col("is_credit")).then(pl.lit("6601")).otherwise("account")
    heads, lines = ours.vouchers.filter(rest != 1), ours.lines.filter(rest != 1).with_columns(account=account)
    heads, lines = (
        pl.concat([frame, frame.filter(rest == 3).with_columns(voucher=pl.col("voucher") + vouchers)])
        for frame in (heads, lines)
    )
    heads = heads.with_columns(
        ledger_id=pl.when(pl.col("voucher") >= vouchers)
        .then(pl.format("{}0", "ledger_id"))
        .otherwise("ledger_id")
    ).sample(fraction=1, shuffle=True, seed=1)
    order = heads.select("voucher").with_row_index("place").cast({"place": pl.Int64})
    heads, lines = (
        frame.join(order, on="voucher", maintain_order="left")
        .with_columns(voucher="place")
        .drop("place")
        .sort("voucher")
        for frame in (heads, lines)
    )
    return Journal(heads, lines)


def _typed(journal: Journal) -> Journal:
    """As the stage makes them of what it reads."""
    return Journal(journal.vouchers, journal.lines.cast(dict(LINES)))


def _with_heads(journal: Journal) -> pl.DataFrame:
    return journal.lines.join(journal.vouchers.select("voucher", "key", "date"), on="voucher").select(
        COMPARED
    )


class _Ledger:
    """A ledger that lists a journal, page by page, as objects."""

    name = "bench"
    proof_level = ProofLevel.SEARCHABLE_REFERENCE
    settle_s = 0.0
    dimension_kinds = frozenset({"department", "project", "employee"})

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def periods(self) -> Sequence[LedgerPeriod]:
        return [LedgerPeriod(PERIOD.code, PERIOD.first_day, PERIOD.last_day, PeriodState.OPEN)]

    def vouchers(self, _period: FiscalPeriod) -> Iterator[Sequence[LedgerVoucher]]:
        heads, lines = self._journal.vouchers, self._journal.lines
        starts = lines["voucher"].search_sorted(pl.int_range(0, heads.height + PAGE, PAGE, eager=True))
        for page, start in enumerate(range(0, heads.height, PAGE)):
            found: list[list[LedgerLine]] = [[] for _ in range(PAGE)]
            for row in lines[starts[page] : starts[page + 1]].iter_rows():
                found[row[0] - start].append(_line(row))
            yield [_voucher(row, found[n]) for n, row in enumerate(heads[start : start + PAGE].iter_rows())]

    def trial_balance(self, _period: FiscalPeriod) -> Sequence[AccountBalance]:
        amount = pl.col("amount")
        sums = self._journal.lines.group_by("account").agg(
            amount.filter(~pl.col("is_credit")).sum().alias("debit"),
            amount.filter("is_credit").sum().alias("credit"),
        )
        return [AccountBalance(*row) for row in sums.iter_rows()]

    def find(self, _vouchers: Any) -> dict[Any, Any]:
        return {}

    def numbers(self, _ids: Any) -> dict[str, str]:
        return {}


def _line(row: tuple[Any, ...]) -> LedgerLine:
    _, account, is_credit, amount, currency, foreign, dimensions = row
    return LedgerLine(
        Side.CREDIT if is_credit else Side.DEBIT,
        account,
        Money(amount, "CNY"),
        tuple(AuxiliaryDimension(*text.split("=")) for text in dimensions.split(SEPARATOR)),
        Money(foreign, currency) if currency else None,
    )


def _voucher(row: tuple[Any, ...], lines: list[LedgerLine]) -> LedgerVoucher:
    _, key, ledger_id, number, day, period, state, _ = row
    return LedgerVoucher(ledger_id, number, key, day, period, LedgerVoucherState(state), tuple(lines))


def _fill(url: str, vouchers: int) -> None:
    """A store whose posted vouchers are our journal; one document stands for all of theirs."""
    ours = ours_of(vouchers)
    with opened(url) as store, writing(store.engine) as connection:
        document = StoreBuilder(connection).document()
        totals = ours.lines.filter("is_credit").select("voucher", debit_minor="amount", credit_minor="amount")
        constants: dict[str, Any] = {
            "document_pk": document, "source": "hesi", "event": "expense_claim", "revision": 1, "word": "记",
            "book": "acme", "currency": "CNY", "attachments": 0, "rule_digest": "", "message": "",
            "status": VoucherStatus.POSTED.value, "generated_at": "2026-03-01 00:00:00.000000",
            "posted_at": "2026-03-01 00:00:00.000000",
        }  # fmt: skip
        heads = ours.vouchers.join(totals, on="voucher").select(
            pl.col("voucher").add(1).alias("id"),
            "key", "ledger_id", "date", "period", "debit_minor", "credit_minor",
            pl.col("number").alias("ledger_number"),
            pl.format("ID_{}", "voucher").alias("document_id"),
            *(pl.lit(value).alias(name) for name, value in constants.items()),
        )  # fmt: skip
        bulk.insert(connection, t.voucher, heads)
        texts = ours.lines["dimensions"].unique()
        stored = [
            json.dumps([[*part.split("="), "名称"] for part in text.split(SEPARATOR)]) for text in texts
        ]
        rows = ours.lines.select(
            pl.col("voucher").add(1).alias("voucher_id"),
            pl.int_range(pl.len()).over("voucher").add(1).alias("line_no"),
            pl.when("is_credit").then(pl.lit("credit")).otherwise(pl.lit("debit")).alias("side"),
            "account",
            pl.col("amount").alias("amount_minor"),
            pl.col("currency").alias("transaction_currency"),
            pl.col("foreign").alias("transaction_minor"),
            pl.col("dimensions").replace_strict(texts, stored, return_dtype=pl.String),
            *(pl.lit(name).alias(name) for name in ("summary", "template", "entry")),
            pl.lit(1).alias("template_line"),
        )
        bulk.insert(connection, t.journal_line, rows)


def _in_own_process(vouchers: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="voucherflow-bench-") as folder:
        url = f"sqlite:///{Path(folder) / 'store.db'}"
        _fill(url, vouchers)
        theirs = theirs_of(vouchers)
        theirs.vouchers.write_ipc(Path(folder) / VOUCHERS_FILE)
        theirs.lines.write_ipc(Path(folder) / LINES_FILE)
        done = subprocess.run(  # noqa: S603 - ourselves
            [sys.executable, "-m", "bench.reconciling", url, folder],
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode != 0:
        raise RuntimeError(f"reconciling failed:\n{done.stderr}")
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def _examine(url: str, folder: Path) -> dict[str, float]:
    """Reconcile the store with the ledger that lies in a folder, which must show what was made of its vouchers."""
    journal = Journal(pl.read_ipc(folder / VOUCHERS_FILE), pl.read_ipc(folder / LINES_FILE))
    ledger: Any = _Ledger(journal)
    before = _resident_mib()
    with opened(url) as store:
        context = replace(stage.context(store), connect_ledger=lambda: ledger)
        started = time.perf_counter()
        done = examine(context, Scope(date(2026, 3, 1), date(2026, 3, 31)))
        seconds = time.perf_counter() - started
    if len(done.found) < 3 * (done.vouchers // 1000):
        raise RuntimeError(f"{len(done.found)} differences: {done.result()}")
    return {"seconds": seconds, "peak_mib": peak_bytes() / 2**20, "before_mib": before}


def _resident_mib() -> float:
    """Now, not at its most; the peak where the system does not tell."""
    status = Path("/proc/self/status")
    found = re.search(r"VmRSS:\s+(\d+) kB", status.read_text("ascii")) if status.exists() else None
    return int(found[1]) / 1024 if found else peak_bytes() / 2**20


def _seconds(measured: Any) -> float:
    started = time.perf_counter()
    measured()
    return time.perf_counter() - started


if __name__ == "__main__":
    print(json.dumps(_examine(sys.argv[1], Path(sys.argv[2]))))
