"""Run the emulator: in the foreground for a process of its own, in a thread for tests."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import uvicorn
from starlette.types import ASGIApp

from include.emulators.weaver.app import build_app
from include.emulators.weaver.world import World

APP_ID = "EMULATOR-0000-0000-0000-000000000061"
ADMIN_KEY = "emulator-admin"
STOP_TIMEOUT_S = 30.0


def _server(app: ASGIApp) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        lifespan="off",
        proxy_headers=False,
        timeout_graceful_shutdown=2,
    )
    return uvicorn.Server(config)


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        OSError: the address is taken or not ours.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener


def _base_url(listener: socket.socket) -> str:
    host, port = listener.getsockname()
    return f"http://{host}:{port}"


def serve(
    world: World,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    app_id: str = APP_ID,
    admin_key: str | None = None,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM; `port` 0 takes a free one, `on_ready` is called with the base URL.

    Raises:
        OSError: the port is taken.
    """
    with contextlib.closing(_listen(host, port)) as listener, contextlib.closing(world.store):
        app = build_app(world, app_id=app_id, admin_key=admin_key)
        if on_ready is not None:
            on_ready(_base_url(listener))
        # uvicorn raises the signal that stopped it again once it has shut down.
        with contextlib.suppress(KeyboardInterrupt):
            _server(app).run(sockets=[listener])


@contextlib.contextmanager
def running(world: World, *, app_id: str = APP_ID, admin_key: str | None = ADMIN_KEY) -> Iterator[str]:
    """A server in a thread of its own on a free loopback port; gives its base URL without a final slash."""
    app = build_app(world, app_id=app_id, admin_key=admin_key)
    with contextlib.closing(_listen("127.0.0.1", 0)) as listener:
        server = _server(app)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield _base_url(listener)  # the socket listens already: early calls wait in its queue
        finally:
            server.should_exit = True
            thread.join(STOP_TIMEOUT_S)
