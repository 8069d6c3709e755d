"""The two parts of a chaos run, each against one ledger in a process of its own; both write `report.json`.

python -m tests.chaos.parts faults native_key <folder> <number> <seed>
"""

from __future__ import annotations

import argparse
import json
import signal
import time
from pathlib import Path

from tests.chaos.campaign import NEXT_DAY_S, Campaign, Report
from tests.chaos.ledgers import LEVELS
from tests.chaos.trials import Trials

UNDER_AIRFLOW = "searchable_reference"
"""The level whose processes run under Airflow too, on PostgreSQL as in production."""
FEW = 100
"""With fewer faults, Airflow is not worth its start, and not every step can be killed at."""
DOCUMENTS_PER_FAULT = 14
LOSSES = {"drop_after": 0.15, "truncate": 0.15}
"""Answers that are lost after the ledger has committed, of all that write."""
VOUCHERS_PER_DOCUMENT = 0.72
BATCH_SIZE = 10
MOST_RUNS = 40
EVERY_S = 10.0


def faults(level: str, folder: Path, number: int, seed: int) -> Report:
    """Trial after trial until so many things have gone wrong, then the final rerun."""
    documents = max(200, number * DOCUMENTS_PER_FAULT)
    under_airflow = level == UNDER_AIRFLOW and number >= FEW
    with (
        (folder / "trials.log").open("w", encoding="utf-8") as log,
        Campaign(level, folder, seed, documents, under_airflow=under_airflow) as campaign,
    ):
        campaign.passages()
        trials = Trials(campaign)
        report = campaign.report
        told = time.monotonic()
        while report.total < number:
            began, before = time.monotonic(), report.total
            name = trials.one()
            seconds, happened = time.monotonic() - began, report.total - before
            print(f"{campaign.workers.made:05} {seconds:6.2f} s {happened:3} {name}", file=log, flush=True)
            if time.monotonic() - told > EVERY_S:
                told = time.monotonic()
                print(f"{level}: {report.total:,} of {number:,} faults", flush=True)
        if number >= FEW:
            trials.the_rest()
        campaign.finish()
    return report


def losses(level: str, folder: Path, number: int, seed: int) -> Report:
    """About so many vouchers, posted to a ledger whose answers are lost, until nothing is left to post."""
    documents = round(number / VOUCHERS_PER_DOCUMENT)
    with Campaign(level, folder, seed, documents, held_back=False, batch_size=BATCH_SIZE) as campaign:
        for stage in ("extract", "validate", "generate"):
            campaign.run(stage)
        campaign.ledger.set_faults(seed=seed, rates=LOSSES)
        with campaign.counted():
            for _ in range(MOST_RUNS):
                print(f"{level}: {campaign.backlog():,} vouchers to post", flush=True)
                campaign.run("post")
                if not campaign.backlog():
                    break
                campaign.later(NEXT_DAY_S)
        campaign.finish()
    return campaign.report


PARTS = {"faults": faults, "losses": losses}


def main() -> None:
    """Run one part."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("level", choices=LEVELS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("number", type=int)
    parser.add_argument("seed", type=int)
    arguments = vars(parser.parse_args())
    part, folder = PARTS[arguments.pop("part")], arguments["folder"]
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that everything is taken down
    started = time.monotonic()
    folder.mkdir(parents=True)
    report = part(**arguments)
    report.seconds = time.monotonic() - started
    (folder / "report.json").write_text(json.dumps(report.as_dict(), ensure_ascii=False, indent=2), "utf-8")
    print(
        f"{report.level}: {report.total:,} faults, {report.verdict and report.verdict.counts()}", flush=True
    )


if __name__ == "__main__":
    main()
