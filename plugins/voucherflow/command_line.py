"""The command line with Airflow's way of looking connections up: what `./voucherflow` runs."""

from __future__ import annotations

import logging

from include.cli import main
from include.connections import Endpoint


def resolve_as_airflow(connection_id: str) -> Endpoint:
    """As `voucherflow.hooks.base.resolve`. Airflow costs seconds to import, so only commands that connect pay.

    Airflow sets logging up for its own processes when it is imported, on standard output too; a command keeps its
    own, so that what it prints can be read by programs.
    """
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    logging.getLogger("airflow").setLevel(logging.WARNING)
    from voucherflow.hooks.base import resolve

    try:
        return resolve(connection_id)
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


if __name__ == "__main__":
    main(resolve_as_airflow)
