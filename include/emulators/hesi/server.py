"""Run the emulator: in the foreground for the command line, in a thread for tests."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from include.emulators.hesi.app import DEFAULT_TOKEN_TTL_S, build_app
from include.emulators.hesi.clock import EmulatorClock
from include.emulators.hesi.faults import Faults
from include.emulators.hesi.journal import attach
from include.emulators.hesi.world import World

APP_KEY = "emulator-key"
APP_SECRET = "emulator-secret"  # noqa: S105  (opens nothing but the emulator)
ADMIN_KEY = "emulator-admin"
START_TIMEOUT_S = 30.0


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


def serve(
    world: World,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    app_key: str = APP_KEY,
    app_secret: str = APP_SECRET,
    token_ttl_s: int = DEFAULT_TOKEN_TTL_S,
    faults: Faults | None = None,
    admin_key: str | None = None,
    state: Path | None = None,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        world: the company to serve.
        host: address to listen on; loopback unless somebody wants otherwise.
        port: 0 takes a free one.
        app_key: what getAccessToken accepts, with
        app_secret: its secret.
        token_ttl_s: life of a first token in seconds.
        faults: trouble to make; none by default.
        admin_key: opens the test controls; without it they do not exist.
        state: file that keeps changes to the world over restarts; see `journal.attach`.
        on_ready: called once with the base URL when connections are accepted.

    Raises:
        OSError: the port is taken.
        EmulatorError: the state file belongs to another world.
    """
    with contextlib.closing(_listen(host, port)) as listener, attach(world, state):
        app = build_app(
            world,
            app_key=app_key,
            app_secret=app_secret,
            token_ttl_s=token_ttl_s,
            faults=faults,
            admin_key=admin_key,
        )
        if on_ready is not None:
            on_ready(_base_url(listener))
        # uvicorn raises the signal that stopped it again once it has shut down.
        with contextlib.suppress(KeyboardInterrupt):
            _server(app).run(sockets=[listener])


@contextlib.contextmanager
def running(
    world: World,
    *,
    app_key: str = APP_KEY,
    app_secret: str = APP_SECRET,
    token_ttl_s: int = DEFAULT_TOKEN_TTL_S,
    faults: Faults | None = None,
    clock: EmulatorClock | None = None,
    admin_key: str | None = ADMIN_KEY,
    state: Path | None = None,
) -> Iterator[str]:
    """A server in a thread of its own on a free loopback port; gives its base URL without a final slash."""
    app = build_app(
        world,
        app_key=app_key,
        app_secret=app_secret,
        token_ttl_s=token_ttl_s,
        faults=faults,
        clock=clock,
        admin_key=admin_key,
    )
    with contextlib.closing(_listen("127.0.0.1", 0)) as listener, attach(world, state):
        server = _server(app)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield _base_url(listener)  # the socket listens already: early calls wait in its queue
        finally:
            server.should_exit = True
            thread.join(START_TIMEOUT_S)


def _base_url(listener: socket.socket) -> str:
    host, port = listener.getsockname()
    return f"http://{host}:{port}"
