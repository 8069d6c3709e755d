"""`python -m include.emulators.weaver`: the emulator as a process of its own; prints its address."""

from __future__ import annotations

import argparse
import os
import sys
from datetime import date
from pathlib import Path

from include.emulators.weaver.generate import Plan
from include.emulators.weaver.options import Options, parse_setting
from include.emulators.weaver.problems import EmulatorError
from include.emulators.weaver.server import APP_ID, serve
from include.emulators.weaver.world import open_world

ADMIN_KEY_VARIABLE = "WEAVER_EMULATOR_ADMIN_KEY"


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m include.emulators.weaver", description="泛微 e-cology 模拟器"
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: 任选空闲端口 / any free port")
    parser.add_argument(
        "--data", type=Path, help="SQLite 数据文件，重启后保留 / SQLite file, kept over restarts"
    )
    parser.add_argument("--documents", type=int, help="生成的单据数 / documents to generate")
    parser.add_argument("--seed", type=int, help="随机种子 / seed")
    parser.add_argument("--as-of", type=date.fromisoformat, help="数据截止日 / last day of the documents")
    parser.add_argument(
        "--dirty-share", type=float, help="有缺陷单据的比例 / share of documents with a defect"
    )
    parser.add_argument("--app-id", default=APP_ID)
    parser.add_argument(
        "--option", action="append", default=[], metavar="名称=值", help="见 README / see README"
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Serve until stopped; 2 where the arguments or the data file are wrong. The admin key comes from the environment."""
    given = _arguments(argv)
    names = {
        "documents": given.documents,
        "seed": given.seed,
        "as_of": given.as_of,
        "dirty_share": given.dirty_share,
    }
    chosen = {name: value for name, value in names.items() if value is not None}
    try:
        options = (
            Options().changed(dict(parse_setting(text) for text in given.option)) if given.option else None
        )
        world = open_world(Plan(**chosen) if chosen else None, options, given.data)
        serve(
            world,
            host=given.host,
            port=given.port,
            app_id=given.app_id,
            admin_key=os.environ.get(ADMIN_KEY_VARIABLE),
            on_ready=lambda url: print(url, flush=True),
        )
    except (EmulatorError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
