"""`python -m include.emulators.nc --data FILE`: a site in the foreground; prints its URL."""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import sys
from pathlib import Path

from include.emulators.ledger_schema import read_seed
from include.emulators.nc.app import Credentials
from include.emulators.nc.options import Options
from include.emulators.nc.server import company, serve


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m include.emulators.nc", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0：任选 / any free one")
    parser.add_argument("--data", type=Path, required=True, help="账簿文件，不存在则新建 / file of the books")
    parser.add_argument("--seed", type=Path, help="初始数据 JSON / what a new file is filled with")
    parser.add_argument("--options", default="{}", help="开关，JSON 对象 / switches as a JSON object")
    parser.add_argument("--view-user", default=Credentials().view_user)
    return parser.parse_args()


def main() -> int:
    """Serve until stopped. The views' password and the admin key come from the environment:
    VOUCHERFLOW_NC_VIEW_PASSWORD, VOUCHERFLOW_EMULATOR_ADMIN_KEY.
    """
    given = _arguments()
    password = os.environ.get("VOUCHERFLOW_NC_VIEW_PASSWORD") or Credentials().view_password
    try:
        serve(
            given.data,
            host=given.host,
            port=given.port,
            seed=read_seed(given.seed, company()) if given.seed else None,
            credentials=Credentials(given.view_user, password),
            options=Options().changed(json.loads(given.options)),
            admin_key=os.environ.get("VOUCHERFLOW_EMULATOR_ADMIN_KEY") or None,
            on_ready=lambda url: print(url, flush=True),
        )
    except (ValueError, OSError, sqlite3.DatabaseError) as error:
        print(f"无法启动 / Cannot start: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
