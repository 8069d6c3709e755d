"""The emulated Feishu (飞书) approvals: expenses and loans over the open platform's interface. See README.md."""

from include.emulators.feishu.generate import Plan
from include.emulators.feishu.options import EmulatorError, Options
from include.emulators.feishu.server import ADMIN_KEY, APP_ID, APP_SECRET, running, serve
from include.emulators.feishu.world import World, open_world

__all__ = [
    "ADMIN_KEY",
    "APP_ID",
    "APP_SECRET",
    "EmulatorError",
    "Options",
    "Plan",
    "World",
    "open_world",
    "running",
    "serve",
]
