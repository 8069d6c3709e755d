"""Run the emulator: in the foreground for a process of its own, in a thread for tests."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from include.emulators.feishu.app import build_app
from include.emulators.feishu.world import World
from include.emulators.serving import running_app, serve_app

APP_ID = "cli_emulator000000061"
APP_SECRET = "emulator-app-secret"  # noqa: S105  (opens nothing but the emulator)
ADMIN_KEY = "emulator-admin"


def serve(
    world: World,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    app_id: str = APP_ID,
    app_secret: str = APP_SECRET,
    admin_key: str | None = None,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM; `port` 0 takes a free one, `on_ready` gets the base URL.

    Raises:
        OSError: the port is taken.
    """
    with contextlib.closing(world.store):
        app = build_app(world, app_id=app_id, app_secret=app_secret, admin_key=admin_key)
        serve_app(app, host=host, port=port, on_ready=on_ready)


@contextlib.contextmanager
def running(world: World, *, admin_key: str | None = ADMIN_KEY) -> Iterator[str]:
    """A server in a thread on a free loopback port; gives its base URL."""
    with contextlib.closing(world.store):
        app = build_app(world, app_id=APP_ID, app_secret=APP_SECRET, admin_key=admin_key)
        with running_app(app) as url:
            yield url
