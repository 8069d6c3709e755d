"""A tenant as a process of its own, or in a thread for tests."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from include.emulators.dingtalk.app import build_app
from include.emulators.dingtalk.options import Options
from include.emulators.dingtalk.world import Plan, World
from include.emulators.serving import running_app, serve_app

ADMIN_KEY = "emulator-admin"
APP_KEY = "ding-emulator"
APP_SECRET = "emulator-secret"  # noqa: S105  (opens nothing but the emulator)


def serve(
    data: Path | None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    plan: Plan | None = None,
    options: Options | None = None,
    app_secret: str = APP_SECRET,
    admin_key: str | None = None,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM; `on_ready` gets the base URL, without a final slash.

    Raises:
        OSError: the port is taken.
        sqlite3.DatabaseError: `data` is no file of ours.
    """
    with contextlib.closing(World(data, plan)) as world:
        app = build_app(
            world, options or Options(), app_key=APP_KEY, app_secret=app_secret, admin_key=admin_key
        )
        serve_app(app, host=host, port=port, on_ready=on_ready)


@contextlib.contextmanager
def running(
    data: Path | None = None, *, plan: Plan | None = None, options: Options | None = None
) -> Iterator[tuple[str, World]]:
    """A tenant in a thread on a free loopback port: (base URL without a final slash, its world)."""
    with contextlib.closing(World(data, plan)) as world:
        app = build_app(
            world, options or Options(), app_key=APP_KEY, app_secret=APP_SECRET, admin_key=ADMIN_KEY
        )
        with running_app(app) as url:
            yield url, world
