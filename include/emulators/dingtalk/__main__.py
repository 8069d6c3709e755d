"""`python -m include.emulators.dingtalk --data FILE`: a tenant in the foreground; prints its URL."""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import sys
from pathlib import Path

from include.emulators.dingtalk import APP_SECRET, Options, Plan, serve


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m include.emulators.dingtalk", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0：任选 / any free one")
    parser.add_argument(
        "--data", type=Path, required=True, help="数据文件，不存在则新建 / data file, made if missing"
    )
    parser.add_argument("--documents", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--options", default="{}", help="开关，JSON 对象 / switches as a JSON object")
    return parser.parse_args()


def main() -> int:
    """Serve until stopped. VOUCHERFLOW_DINGTALK_APP_SECRET and VOUCHERFLOW_EMULATOR_ADMIN_KEY come from the environment."""
    given = _arguments()
    try:
        serve(
            given.data,
            host=given.host,
            port=given.port,
            plan=Plan(given.documents, given.seed),
            options=Options().changed(json.loads(given.options)),
            app_secret=os.environ.get("VOUCHERFLOW_DINGTALK_APP_SECRET") or APP_SECRET,
            admin_key=os.environ.get("VOUCHERFLOW_EMULATOR_ADMIN_KEY") or None,
            on_ready=lambda url: print(url, flush=True),
        )
    except (ValueError, OSError, sqlite3.DatabaseError) as error:
        print(f"无法启动 / Cannot start: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
