"""`./voucherflow`: the product's command line, with connections looked up as Airflow does."""

from __future__ import annotations

from include.cli import main
from include.connections import Endpoint


def resolve(connection_id: str) -> Endpoint:
    """See `voucherflow.hooks.base.resolve`; Airflow is imported only by commands that need a connection."""
    from voucherflow.hooks import base

    return base.resolve(connection_id)


if __name__ == "__main__":
    main(resolve)
