"""The most memory that a step needs, in a process of its own: `python -m bench.memory STEP URL` prints bytes."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
from pathlib import Path

from bench import stage
from bench.stores import Stores, opened

STEPS = {"generate": stage.generate, "gate": stage.check}


def peak_mib(step: str, url: str) -> float:
    """Run a step on a store in a new process; its peak of resident memory in MiB."""
    done = subprocess.run(  # noqa: S603 - ourselves
        [sys.executable, "-m", "bench.memory", step, url], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"{step} on {url} failed:\n{done.stderr}")
    return int(done.stdout.split()[-1]) / 2**20


def peaks(stores: Stores) -> dict[str, float]:
    """MiB of each step, the gate on what generating left."""
    with stores.fresh() as url:
        return {step: peak_mib(step, url) for step in STEPS}


def peak_bytes() -> int:
    """The kernel's mark of this program; `ru_maxrss` would also count what the parent had before it became us."""
    status = Path("/proc/self/status")
    if status.exists():
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text(encoding="ascii"))
        if found:
            return int(found[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    with opened(sys.argv[2]) as store:
        STEPS[sys.argv[1]](store)
    print(peak_bytes())
