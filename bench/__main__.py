"""`python -m bench`: run the benchmarks and write `.run/bench.json`.

Environment: BENCH names some of them, between commas (default all); BENCH_DOCUMENTS and BENCH_RUNS make them smaller.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator

from bench import generating, post, reconciling
from bench.result import FILE, Result, write

BENCHES: dict[str, Callable[[int, int], Iterator[Result]]] = {
    "generate": generating.results,
    "post": post.results,
    "reconcile": reconciling.results,
}


def main() -> int:
    wanted = [name for name in os.environ.get("BENCH", "").split(",") if name] or list(BENCHES)
    unknown = [name for name in wanted if name not in BENCHES]
    if unknown:
        print(
            f"BENCH: no such benchmark: {', '.join(unknown)}; choose from {', '.join(BENCHES)}",
            file=sys.stderr,
        )
        return 2
    documents = int(os.environ.get("BENCH_DOCUMENTS") or 100_000)
    runs = int(os.environ.get("BENCH_RUNS") or 3)
    for name in wanted:
        for result in BENCHES[name](documents, runs):
            print(result, flush=True)
            write([result])
    print(f"→ {FILE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
