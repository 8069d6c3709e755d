"""The product's command line with the accounting server of these tests as one more system: `ledger.system: chaos`.

    python -m tests.chaos.cli run acme

takes the arguments of `./voucherflow`. Configuration, store and connections are those of the environment.
"""

from __future__ import annotations

from include.adapters.registry import LEDGERS
from include.cli import main
from voucherflow.command_line import resolve_as_airflow

SYSTEM = "chaos"


def add_to_registry() -> None:
    """Let books name the system `chaos`; for any process that reads a book of these tests."""
    LEDGERS[SYSTEM] = "tests.chaos.ledger_gateway:build_ledger"


if __name__ == "__main__":
    add_to_registry()
    main(resolve_as_airflow)
