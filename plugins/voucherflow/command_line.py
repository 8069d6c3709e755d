"""The command line with Airflow's way of looking connections up: what `./voucherflow` runs."""

from __future__ import annotations

from include.cli import main
from include.connections import Endpoint


def resolve_as_airflow(connection_id: str) -> Endpoint:
    """As `voucherflow.hooks.base.resolve`. Airflow costs seconds to import, so only commands that connect pay."""
    from voucherflow.hooks.base import resolve

    return resolve(connection_id)


if __name__ == "__main__":
    main(resolve_as_airflow)
