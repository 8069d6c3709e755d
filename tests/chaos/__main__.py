"""`make chaos`: break everything around the posting of vouchers, and let an auditor count what became of them.

    [N=faults] [SEED=n] [LEVEL=name] python -m tests.chaos

writes `.run/chaos.json`: `faults`, `documents`, `lost`, `duplicated`, `altered`, `unresolved`, and the same for each level
(the accounting server at three proof levels, and Tryton) with the faults by kind. The last four are what is wrong after
the final rerun; unless all are 0, the exit code is 1. Logs and stores are kept in `.run/chaos/<level>`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.chaos import steps
from tests.chaos.ledgers import LEVELS
from tests.chaos.workers import ROOT

FOLDER = ROOT / ".run" / "chaos"
RESULT = ROOT / ".run" / "chaos.json"
DEFAULT_FAULTS = 1000
WRONG = ("lost", "duplicated", "altered", "unresolved")
SUMS = ("faults", "documents", "vouchers", *WRONG)
EVERY_S = 10.0
DOCUMENTS_PER_FAULT = 5


def main() -> int:
    """Run all levels that are asked for, side by side, and put their reports together."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--faults", type=int, default=int(os.environ.get("N") or DEFAULT_FAULTS))
    parser.add_argument("--seed", type=int, default=int(os.environ.get("SEED") or 1))
    parser.add_argument("--level", choices=LEVELS, default=os.environ.get("LEVEL") or None)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--result", type=Path, default=RESULT)
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.alone:
        return run_level(arguments.level, arguments.folder, arguments.faults, arguments.seed)
    chosen = [arguments.level] if arguments.level else list(LEVELS)
    shutil.rmtree(arguments.folder, ignore_errors=True)
    each = -(-arguments.faults // len(chosen))
    started = time.monotonic()
    processes = {level: _start(level, arguments.folder / level, each, arguments.seed) for level in chosen}
    codes = {level: process.wait() for level, process in processes.items()}
    reports = [json.loads((arguments.folder / level / "report.json").read_text("utf-8")) for level in chosen]
    result = together(reports, seconds=time.monotonic() - started)
    arguments.result.parent.mkdir(parents=True, exist_ok=True)
    arguments.result.write_text(json.dumps(result, ensure_ascii=False, indent=2) + "\n", "utf-8")
    print(json.dumps({name: result[name] for name in (*SUMS, "crashes", "seconds")}), flush=True)
    for report in reports:
        for finding in (*report["findings"], *report["crashes"], *report["notes"]):
            print(f"{report['level']}: {finding}", flush=True)
    return int(any(result[name] for name in WRONG) or any(codes.values()))


def together(reports: list[dict[str, Any]], *, seconds: float) -> dict[str, Any]:
    """One report of several levels."""
    kinds: Counter[str] = Counter()
    killed: Counter[str] = Counter()
    for report in reports:
        kinds.update(report["kinds"])
        killed.update(report["steps"])
    return {
        **{name: sum(report.get(name, 0) for report in reports) for name in SUMS},
        "crashes": sum(len(report["crashes"]) for report in reports),
        "seconds": round(seconds),
        "kinds": dict(sorted(kinds.items())),
        "steps": {label: killed[label] for stage in steps.STAGES for label in steps.labels(stage)},
        "levels": {report["level"]: report for report in reports},
    }


def run_level(level: str, folder: Path, faults: int, seed: int) -> int:
    """One level in this process; writes `report.json` into the folder."""
    from tests.chaos.campaign import Campaign
    from tests.chaos.trials import Trials

    started = time.monotonic()
    with Campaign(level, folder, seed, max(200, faults * DOCUMENTS_PER_FAULT)) as campaign:
        campaign.passages()
        trials = Trials(campaign)
        told = time.monotonic()
        while campaign.report.total < faults:
            trials.one()
            if time.monotonic() - told > EVERY_S:
                told = time.monotonic()
                print(f"{level}: {campaign.report.total} of {faults} faults", flush=True)
        verdict = campaign.finish()
        campaign.report.seconds = time.monotonic() - started
    report = campaign.report.as_dict()
    (folder / "report.json").write_text(json.dumps(report, ensure_ascii=False, indent=2), "utf-8")
    print(f"{level}: {campaign.report.total} faults, {verdict.counts()}", flush=True)
    return 0


def _start(level: str, folder: Path, faults: int, seed: int) -> subprocess.Popen[bytes]:
    folder.mkdir(parents=True)
    command = [sys.executable, "-m", "tests.chaos", "--alone", f"--level={level}", f"--folder={folder}"]
    return subprocess.Popen([*command, f"--faults={faults}", f"--seed={seed}"], cwd=ROOT)


if __name__ == "__main__":
    sys.exit(main())
