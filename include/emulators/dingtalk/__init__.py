"""A server that answers as DingTalk's approvals (钉钉审批) do; see README.md."""

from __future__ import annotations

from include.emulators.dingtalk.options import Options
from include.emulators.dingtalk.server import ADMIN_KEY, APP_KEY, APP_SECRET, running, serve
from include.emulators.dingtalk.world import EXPENSE, LOAN, Plan, World

__all__ = [
    "ADMIN_KEY",
    "APP_KEY",
    "APP_SECRET",
    "EXPENSE",
    "LOAN",
    "Options",
    "Plan",
    "World",
    "running",
    "serve",
]
