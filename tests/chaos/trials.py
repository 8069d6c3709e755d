"""The ways in which a chaos run breaks things. Each trial starts one or two processes of the product and lets them meet
trouble; what really happened is counted, what was only meant is not.
"""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass

from tests.chaos import steps
from tests.chaos.campaign import LATER_S, NEXT_DAY_S, Campaign
from tests.chaos.ledgers import LATE_S
from tests.chaos.steps import Plan
from tests.chaos.workers import Worker

CLAIMS_AT_ONCE = 20
TO_VOUCHERS = ("extract", "validate", "follow", "generate")
ENOUGH = 6
"""With fewer vouchers to post, more claims are approved first."""
TYPICAL_S = 1.2
"""Within this time most of a stage's work is done; random kills fall into it."""
AIRFLOW_S = 4.0
"""The same for a task under Airflow."""
UNDER_AIRFLOW, AIRFLOW_KILLS = "killed under Airflow", 20
"""At least so many of these."""
OCCURRENCES = (1, 1, 1, 2, 2, 3, 4)
READS = ["create", "audit", "search", "values", "add_value", "accounts", "periods", "list", "numbers"]
LEASE_ENDS_S = 400
BUSY_MESSAGES = ("租约", "写入权", "凭证库暂时无法")
"""What the one that stops says: the lease is another's, or the store is locked for too long."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A kind of trouble; `weight` says how often it is drawn."""

    name: str
    weight: float
    run: Callable[[Campaign], None]
    fits: Callable[[Campaign], bool] = lambda _campaign: True


class Labels:
    """The steps at which to kill, each as often as the others, in an order that the seed chooses."""

    def __init__(self, campaign: Campaign) -> None:
        self._campaign = campaign
        self._waiting: dict[str, list[str]] = {}

    def next_of(self, stage: str) -> str:
        if not self._waiting.get(stage):
            self._waiting[stage] = steps.labels(stage)
            self._campaign.random.shuffle(self._waiting[stage])
        return self._waiting[stage].pop()


class Trials:
    """Draws trials for a campaign."""

    def __init__(self, campaign: Campaign) -> None:
        self.campaign = campaign
        self.labels = Labels(campaign)
        self.all = [
            Trial("kill while posting", 24, self.kill_while_posting),
            Trial("kill at a random instant", 14, self.kill_anywhere),
            Trial("ledger in trouble", 24, self.ledger_in_trouble),
            Trial("OA in trouble", 3, self.oa_in_trouble),
            Trial("ledger killed", 6, self.ledger_killed),
            Trial("store cut", 6, self.store_cut),
            Trial("disk full", 4, self.disk_full, lambda c: c.on_sqlite),
            Trial("clock wrong", 4, self.clock_wrong),
            Trial("two at once", 6, self.two_at_once),
            Trial("zombie", 4, self.zombie),
            Trial("reconcile and write back", 8, self.reconcile_and_write_back),
            Trial("under Airflow", 40, self.under_airflow, lambda c: c.under_airflow),
        ]

    def one(self) -> str:
        """Let work come in if little is left, and break something; the name of what."""
        campaign = self.campaign
        if campaign.backlog() < ENOUGH:
            self.let_work_in()
        fitting = [trial for trial in self.all if trial.fits(campaign)]
        (trial,) = campaign.random.choices(fitting, [trial.weight for trial in fitting])
        with campaign.counted():
            trial.run(campaign)
        campaign.ledger.set_faults()
        campaign.company.trouble.switch(on=False)
        if campaign.random.random() < 0.8:
            campaign.later(campaign.random.choice((LATER_S, NEXT_DAY_S, NEXT_DAY_S)))
        return trial.name

    def the_rest(self) -> None:
        """Kill once at each step that chance has left out, as far as this ledger comes by there."""
        for stage in steps.STAGES:
            for label in steps.labels(stage):
                if not self.campaign.report.steps[label]:
                    self._kill_at_last(stage, label)
        while self.campaign.under_airflow and self.campaign.report.faults[UNDER_AIRFLOW] < AIRFLOW_KILLS:
            self.let_work_in()
            self.under_airflow(self.campaign)

    def _kill_at_last(self, stage: str, label: str) -> None:
        self.campaign.company.approve(4)
        self._nullify()
        for before in (*TO_VOUCHERS, "post"):
            if before == stage:
                break
            self.campaign.run(before)
        if label.startswith("ledger.complete."):
            self._leave_drafts()
        self.campaign.kill_at(stage, Plan(label))

    def _leave_drafts(self) -> None:
        """A ledger that posts in two steps has created vouchers, and takes none of them any further."""
        self.campaign.ledger.set_faults(seed=1, rates={"drop_before": 1.0}, endpoints=["audit"])
        self.campaign.run("post")
        self.campaign.ledger.set_faults()
        self.campaign.later()

    def let_work_in(self) -> None:
        """Claims are approved and some made void, read, checked and made into vouchers; now and then that is killed."""
        campaign = self.campaign
        if not campaign.company.approve(CLAIMS_AT_ONCE):
            raise RuntimeError(
                "all claims are approved, nothing is left to break: the company needs more documents"
            )
        self._nullify()
        for stage in TO_VOUCHERS:
            if campaign.random.random() < 0.5:
                campaign.kill_at(stage, Plan(self.labels.next_of(stage)))
            if campaign.random.random() < 0.15:
                self._kill_at_random(stage)
            campaign.run(stage)

    def _nullify(self) -> None:
        """Some claims are void after all; not where a ledger cuts a reversal's summary before the document's code."""
        if self.campaign.level != "date_and_amount":
            for _ in range(self.campaign.random.choice((0, 1, 2))):
                self.campaign.company.nullify(self.campaign.random)

    # -- processes killed ----------------------------------------------------------------------------

    def kill_while_posting(self, campaign: Campaign) -> None:
        occurrence = campaign.random.choice(OCCURRENCES)
        campaign.kill_at("post", Plan(self.labels.next_of("post"), occurrence))

    def reconcile_and_write_back(self, campaign: Campaign) -> None:
        for stage in ("reconcile", "write-back"):
            campaign.kill_at(stage, Plan(self.labels.next_of(stage)))
            campaign.run(stage)

    def kill_anywhere(self, campaign: Campaign) -> None:
        self._kill_at_random(campaign.random.choice(("post", "post", "post", "run")))

    def _kill_at_random(self, stage: str) -> None:
        campaign = self.campaign
        worker = campaign.start(stage)
        worker.ended.wait(campaign.random.uniform(0, TYPICAL_S * (3 if stage == "run" else 1)))
        if worker.signal(signal.SIGKILL) and worker.wait() == -signal.SIGKILL:
            campaign.count("killed at a random instant")
        campaign.ended(worker)

    def under_airflow(self, campaign: Campaign) -> None:
        """A task is killed at a step or at any instant; or cleared beside the running one, so that two of it run."""
        task = campaign.random.choice(("post", "post", "post", "reconcile", "write_back"))
        match campaign.random.choice(("step", "step", "instant", "two")):
            case "step":
                plan = Plan(self.labels.next_of(task.replace("_", "-")))
                if campaign.start_task(task, plan=plan).wait() == -signal.SIGKILL:
                    campaign.count(UNDER_AIRFLOW)
                    campaign.report.steps[plan.label] += 1
            case "instant":
                worker = campaign.start_task(task)
                worker.ended.wait(campaign.random.uniform(0.5, AIRFLOW_S))
                if worker.signal(signal.SIGKILL) and worker.wait() == -signal.SIGKILL:
                    campaign.count(UNDER_AIRFLOW)
            case _:
                first, second = campaign.start_task(task), campaign.start_task(task)
                first.wait()
                second.wait()
                campaign.count("two at once under Airflow")

    # -- the others in trouble -----------------------------------------------------------------------

    def ledger_in_trouble(self, campaign: Campaign) -> None:
        """Some calls to the ledger go wrong, now and then reads as well, and the process may be killed on top."""
        chance = campaign.random
        names = list(campaign.ledger.faults)
        chosen = {*chance.choices(names, list(campaign.ledger.faults.values()), k=4)}
        rate = chance.choice((0.3, 0.5, 0.8)) / len(chosen)
        campaign.ledger.set_faults(
            seed=chance.randrange(10**6),
            rates=dict.fromkeys(sorted(chosen), rate),
            endpoints=READS if chance.random() < 0.2 else ["create", "audit"],
            late_s=LATE_S,
        )
        if chance.random() < 0.3:
            self._kill_at_random("post")
        campaign.run("post")

    def oa_in_trouble(self, campaign: Campaign) -> None:
        campaign.company.trouble.switch(on=True)
        campaign.company.approve(CLAIMS_AT_ONCE // 4)
        campaign.run("run")

    def ledger_killed(self, campaign: Campaign) -> None:
        worker = campaign.start("post")
        for _ in range(campaign.random.choice((1, 2))):
            worker.ended.wait(campaign.random.uniform(0, TYPICAL_S))
            campaign.ledger.kill()
            campaign.count("ledger killed")
        campaign.ended(worker)

    # -- the store in trouble ------------------------------------------------------------------------

    def store_cut(self, campaign: Campaign) -> None:
        """PostgreSQL ends our sessions; SQLite's file is locked by another process for longer than we wait."""
        worker = campaign.start(campaign.random.choice(("post", "post", "run")))
        worker.ended.wait(campaign.random.uniform(0, TYPICAL_S))
        if campaign.on_sqlite:
            with _locked(campaign):
                worker.ended.wait(steps.BUSY_TIMEOUT_MS / 1000 * 1.5)
            campaign.count("store locked")
        else:
            for _ in range(campaign.random.choice((1, 1, 3))):
                query = (
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
                cut = campaign.rows(query, autocommit=True)
                campaign.count("store cut", len(cut))
                worker.ended.wait(0.2)
        campaign.ended(worker)

    def disk_full(self, campaign: Campaign) -> None:
        """The store's disk fills up; where we may not mount one, its files may not grow beyond a limit."""
        stage = campaign.random.choice(("post", "post", "run"))
        left = campaign.random.choice((0, 4096, 32_768, 131_072))
        campaign.company.approve(CLAIMS_AT_ONCE // 4)
        if campaign.has_tmpfs:
            with _filled(campaign, left):
                worker = campaign.run(stage)
        else:
            size = max(file.stat().st_size for file in campaign.store_folder.iterdir())
            worker = campaign.run(stage, file_size=max(size // 2, 16_384) + left)
        if worker.status:
            campaign.count("disk full" if campaign.has_tmpfs else "file size limited")

    # -- clocks and rivals ---------------------------------------------------------------------------

    def clock_wrong(self, campaign: Campaign) -> None:
        """The machine's clock is set wrong before or while a process runs, and right again afterwards."""
        seconds = campaign.random.choice((-7200, -600, -30, 30, 600, 7200))
        worker = campaign.start("post")
        worker.ended.wait(campaign.random.uniform(0, TYPICAL_S))
        campaign.clock.step(seconds)
        campaign.count("clock stepped")
        if campaign.random.random() < 0.5:
            worker.signal(signal.SIGKILL)
        campaign.ended(worker)
        campaign.clock.step(0)
        campaign.later(abs(seconds) + LATER_S)

    def two_at_once(self, campaign: Campaign) -> None:
        """Two processes post the same book. At most one writes; the other ends well or says why it stops."""
        stage = campaign.random.choice(("post", "post", "run"))
        first = campaign.start(stage)
        first.ended.wait(campaign.random.uniform(0, TYPICAL_S / 2))
        second = campaign.start(stage)
        campaign.count("two at once")
        for worker in (first, second):
            campaign.ended(worker)
            self._must_say(worker, "two at once")

    def zombie(self, campaign: Campaign) -> None:
        """A process sleeps until its lease has run out and another has done its work, then wakes up."""
        label = campaign.random.choice(
            ("post.lease.after", "post.intent.after", "post.outcome.before", "ledger.look.after")
        )
        occurrence = campaign.random.choice((1, 1, 2))
        sleeper = campaign.start("post", plan=Plan(label, occurrence, signal.SIGSTOP))
        while not sleeper.stopped.wait(0.05) and not sleeper.ended.is_set():
            continue
        if sleeper.ended.is_set():
            campaign.ended(sleeper)
            return
        time.sleep(steps.MAX_WAIT_S)
        campaign.later(LEASE_ENDS_S)
        campaign.run("post")
        sleeper.signal(signal.SIGCONT)
        campaign.ended(sleeper)
        campaign.count("asleep beyond the lease")
        self._must_say(sleeper, f"asleep at {label}")

    def _must_say(self, worker: Worker, what: str) -> None:
        if worker.status == 75 and not any(message in worker.said for message in BUSY_MESSAGES):
            self.campaign.report.notes.append(f"{what}, {worker.log.name}: {worker.said.strip()[-300:]}")


@contextlib.contextmanager
def _locked(campaign: Campaign) -> Iterator[None]:
    """Another process would hold the store's write lock; a connection of ours does as well."""
    with closing(sqlite3.connect(campaign.store_file, timeout=30, isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        yield
        database.execute("ROLLBACK")


@contextlib.contextmanager
def _filled(campaign: Campaign, left: int) -> Iterator[None]:
    """The store's disk has so many bytes left."""
    filler = campaign.store_folder / "filler"
    chunk = bytes(4096)
    with filler.open("wb", buffering=0) as file:
        with contextlib.suppress(OSError):
            while True:
                file.write(chunk)
        file.truncate(max(file.tell() - left, 0))
    try:
        yield
    finally:
        filler.unlink()
