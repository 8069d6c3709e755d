"""`python -m include.emulators.yonbip --data FILE`: a tenant in the foreground; prints its URL."""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import sys
from pathlib import Path

from include.emulators.ledger_schema import read_seed
from include.emulators.yonbip.options import Options
from include.emulators.yonbip.platform import Credentials
from include.emulators.yonbip.server import company, serve


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m include.emulators.yonbip", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0：任选 / any free one")
    parser.add_argument("--data", type=Path, required=True, help="账簿文件，不存在则新建 / file of the books")
    parser.add_argument("--seed", type=Path, help="初始数据 JSON / what a new file is filled with")
    parser.add_argument("--options", default="{}", help="开关，JSON 对象 / switches as a JSON object")
    return parser.parse_args()


def main() -> int:
    """Serve until stopped. The application's secret and the admin key come from the environment:
    VOUCHERFLOW_YONBIP_APP_SECRET, VOUCHERFLOW_EMULATOR_ADMIN_KEY.
    """
    given = _arguments()
    secret = os.environ.get("VOUCHERFLOW_YONBIP_APP_SECRET") or Credentials().app_secret
    try:
        serve(
            given.data,
            host=given.host,
            port=given.port,
            seed=read_seed(given.seed, company()) if given.seed else None,
            credentials=Credentials(app_secret=secret),
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
