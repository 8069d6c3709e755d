"""`python -m include.emulators.kingdee --data FILE`: a site in the foreground; prints its URL."""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import sys
from dataclasses import replace
from pathlib import Path

from include.emulators.kingdee.access import Credentials
from include.emulators.kingdee.options import Options
from include.emulators.kingdee.server import company, serve
from include.emulators.ledger_schema import read_seed


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m include.emulators.kingdee", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0：任选 / any free one")
    parser.add_argument("--data", type=Path, required=True, help="账簿文件，不存在则新建 / file of the books")
    parser.add_argument("--seed", type=Path, help="初始数据 JSON / what a new file is filled with")
    parser.add_argument("--options", default="{}", help="开关，JSON 对象 / switches as a JSON object")
    parser.add_argument("--acct-id", default=Credentials().acct_id)
    parser.add_argument("--user", default=Credentials().user)
    return parser.parse_args()


def main() -> int:
    """Serve until stopped. Secrets and the admin key come from the environment: VOUCHERFLOW_KINGDEE_SECRET,
    VOUCHERFLOW_KINGDEE_PASSWORD, VOUCHERFLOW_KINGDEE_APP_ID, VOUCHERFLOW_EMULATOR_ADMIN_KEY.
    """
    given = _arguments()
    mine = Credentials(acct_id=given.acct_id, user=given.user)
    named = {"app_secret": "SECRET", "password": "PASSWORD", "app_id": "APP_ID"}
    secrets = {name: os.environ.get(f"VOUCHERFLOW_KINGDEE_{key}") for name, key in named.items()}
    mine = replace(mine, **{name: value for name, value in secrets.items() if value})
    try:
        options = Options().changed(json.loads(given.options))
        serve(
            given.data,
            host=given.host,
            port=given.port,
            seed=read_seed(given.seed, company()) if given.seed else None,
            credentials=mine,
            options=options,
            admin_key=os.environ.get("VOUCHERFLOW_EMULATOR_ADMIN_KEY") or None,
            on_ready=lambda url: print(url, flush=True),
        )
    except (ValueError, OSError, sqlite3.DatabaseError) as error:
        print(f"无法启动 / Cannot start: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
