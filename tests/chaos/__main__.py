"""`make chaos`: break everything around the posting of vouchers, and let an auditor count what became of them.

    [N=faults] [LOSS=vouchers] [SEED=n] [LEVEL=name] python -m tests.chaos

makes 1,000 faults on four ledgers (the accounting server at three proof levels, and Tryton), and loses 30 % of a
ledger's answers after it has committed over 20,000 vouchers; a 0 leaves a part out, LEVEL names one ledger for both.
`.run/chaos.json` has `faults`, `documents`, `lost`, `duplicated`, `altered`, `unresolved` of the first part, the same with
the faults by kind for each ledger, and of the second part under `loss`. The last four say what is wrong after the final
rerun: unless all are 0, the exit code is 1. Logs and stores are kept in `.run/chaos`.
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
from tests.chaos.campaign import unmount
from tests.chaos.ledgers import LEVELS
from tests.chaos.workers import ROOT

FOLDER = ROOT / ".run" / "chaos"
RESULT = ROOT / ".run" / "chaos.json"
FAULTS = 1_000
VOUCHERS = 20_000
LOSING = "searchable_reference"
"""The ledger of the second part: it finds vouchers by our key, and does not refuse a second one."""
WRONG = ("lost", "duplicated", "altered", "unresolved")
SUMS = ("faults", "documents", "vouchers", *WRONG)


def main() -> int:
    """Run both parts and put their reports together."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--faults", type=int, default=int(os.environ.get("N") or FAULTS))
    parser.add_argument("--loss", type=int, default=int(os.environ.get("LOSS") or VOUCHERS))
    parser.add_argument("--seed", type=int, default=int(os.environ.get("SEED") or 1))
    parser.add_argument("--level", choices=LEVELS, default=os.environ.get("LEVEL") or None)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--result", type=Path, default=RESULT)
    arguments = parser.parse_args()
    unmount(arguments.folder)
    shutil.rmtree(arguments.folder, ignore_errors=True)
    started = time.monotonic()
    levels = [arguments.level] if arguments.level else list(LEVELS)
    reports: list[dict[str, Any]] = []
    result: dict[str, Any] = {}
    if arguments.faults:
        each = -(-arguments.faults // len(levels))
        reports += _side_by_side("faults", levels, arguments.folder, each, arguments.seed)
        result = together(reports)
    if arguments.loss:
        level = arguments.level or LOSING
        reports += _side_by_side("losses", [level], arguments.folder / "loss", arguments.loss, arguments.seed)
        result["loss"] = reports[-1]
    result["seconds"] = round(time.monotonic() - started)
    arguments.result.parent.mkdir(parents=True, exist_ok=True)
    arguments.result.write_text(json.dumps(result, ensure_ascii=False, indent=2) + "\n", "utf-8")
    for report in reports:
        for finding in (*report["findings"], *report["crashes"], *report["notes"]):
            print(f"{report['level']}: {finding}")
        print(f"{report['level']}: {', '.join(f'{name} {report[name]:,}' for name in SUMS)}")
    never = [label for label, kills in result.get("steps", {}).items() if not kills]
    if never and arguments.faults >= FAULTS:
        print(f"没有在这些步骤杀过进程 / nothing was killed at: {', '.join(never)}")
        return 1
    return int(any(report[name] for report in reports for name in (*WRONG, "crashes")))


def _side_by_side(part: str, levels: list[str], folder: Path, number: int, seed: int) -> list[dict[str, Any]]:
    """The reports of a part on these levels, each run in a process of its own at the same time.

    Raises:
        SystemExit: one of them broke off.
    """
    command = [sys.executable, "-m", "tests.chaos.parts", part]
    running = {
        level: subprocess.Popen([*command, level, str(folder / level), str(number), str(seed)], cwd=ROOT)
        for level in levels
    }
    broken = [level for level, process in running.items() if process.wait()]
    if broken:
        sys.exit(f"{'、'.join(broken)}: 中断，见上 / broke off, see above")
    return [json.loads((folder / level / "report.json").read_text("utf-8")) for level in levels]


def together(reports: list[dict[str, Any]]) -> dict[str, Any]:
    """One report of several levels."""
    kinds: Counter[str] = Counter()
    killed: Counter[str] = Counter()
    for report in reports:
        kinds.update(report["kinds"])
        killed.update(report["steps"])
    return {
        **{name: sum(report[name] for report in reports) for name in SUMS},
        "crashes": sum(len(report["crashes"]) for report in reports),
        "kinds": dict(sorted(kinds.items())),
        "steps": {label: killed[label] for stage in steps.STAGES for label in steps.labels(stage)},
        "levels": {report["level"]: report for report in reports},
    }


if __name__ == "__main__":
    sys.exit(main())
