"""`python -m include.emulators.feishu`: the emulator as a process of its own; prints its address."""

from __future__ import annotations

import argparse
import os
import sys
from datetime import date
from pathlib import Path

from include.emulators.feishu.generate import Plan
from include.emulators.feishu.options import EmulatorError, Options, parse_setting
from include.emulators.feishu.server import APP_ID, APP_SECRET, serve
from include.emulators.feishu.world import open_world


def main(argv: list[str] | None = None) -> int:
    """Serve until stopped; 2 where the arguments or the data file are wrong. Keys come from the environment."""
    parser = argparse.ArgumentParser(prog="python -m include.emulators.feishu", description="飞书审批模拟器")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: 任选空闲端口 / any free port")
    parser.add_argument(
        "--data", type=Path, help="SQLite 数据文件，重启后保留 / SQLite file, kept over restarts"
    )
    parser.add_argument("--documents", type=int, help="生成的单据数 / documents to generate")
    parser.add_argument("--seed", type=int, help="随机种子 / seed")
    parser.add_argument("--start", type=date.fromisoformat, help="首日 / first day of the documents")
    parser.add_argument("--as-of", type=date.fromisoformat, help="截止日 / last day of the documents")
    parser.add_argument("--dirty-share", type=float, help="缺陷单据比例 / share of documents with a defect")
    parser.add_argument("--app-id", default=APP_ID)
    parser.add_argument(
        "--option", action="append", default=[], metavar="名称=值", help="见 README / see README"
    )
    given = parser.parse_args(argv)
    names = ("documents", "seed", "start", "as_of", "dirty_share")
    chosen = {name: getattr(given, name) for name in names if getattr(given, name) is not None}
    try:
        options = Options().changed(dict(map(parse_setting, given.option))) if given.option else None
        serve(
            open_world(Plan(**chosen) if chosen else None, options, given.data),
            host=given.host,
            port=given.port,
            app_id=given.app_id,
            app_secret=os.environ.get("FEISHU_EMULATOR_APP_SECRET") or APP_SECRET,
            admin_key=os.environ.get("FEISHU_EMULATOR_ADMIN_KEY"),
            on_ready=lambda url: print(url, flush=True),
        )
    except (EmulatorError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
