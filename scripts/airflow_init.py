"""Prepare Airflow's metadata database: schema, pools of the ledgers, roles and users. Repeating it changes nothing.

    python -m scripts.airflow_init

`VOUCHERFLOW_ADMIN_PASSWORD` is the password of user `admin`, who is made (or whose password is set) if it is given.
The steps go through Airflow's own command line inside one process: importing Airflow once costs seconds.
"""

from __future__ import annotations

import os
import sys

from airflow.cli.cli_parser import get_parser

from include.domain.errors import FixConfig
from include.settings import load_settings


def airflow(*arguments: str) -> None:
    """Run one `airflow` command in this process; raises SystemExit when it fails."""
    parsed = get_parser().parse_args(list(arguments))
    parsed.func(parsed)


def create_pools() -> None:
    """One pool per ledger connection, so that books that share a ledger queue for it instead of racing."""
    slots: dict[str, int] = {}
    for book in load_settings().books.values():
        slots[book.ledger.connection] = max(slots.get(book.ledger.connection, 0), book.pool_slots)
    for connection, count in sorted(slots.items()):
        airflow("pools", "set", f"ledger_{connection}", str(count), f"账务系统 / ledger {connection}")


def create_users(password: str) -> None:
    """The administrator. A password that changed in the environment changes here too."""
    identity = ("--username=admin", f"--password={password}")  # "=", for one that begins with a dash
    airflow(
        *("users", "create", *identity),
        *(
            "--role",
            "Admin",
            "--firstname",
            "Voucherflow",
            "--lastname",
            "Admin",
            "--email",
            "admin@localhost.invalid",
        ),
    )
    airflow("users", "reset-password", *identity)


def main() -> int:
    """All steps in order. Returns an exit status."""
    try:
        airflow("db", "migrate")
        create_pools()
    except FixConfig as error:
        print(error, file=sys.stderr)
        return 1
    password = os.environ.get("VOUCHERFLOW_ADMIN_PASSWORD")
    if password:
        create_users(password)
    return 0


if __name__ == "__main__":
    sys.exit(main())
