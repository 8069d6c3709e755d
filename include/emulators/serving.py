"""Run an emulator's application: in the foreground as a process of its own, or in a thread for tests."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import uvicorn
from starlette.types import ASGIApp

STOP_TIMEOUT_S = 30.0


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener


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


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()
    return f"http://{host}:{port}"


def serve_app(
    app: ASGIApp, *, host: str = "127.0.0.1", port: int = 0, on_ready: Callable[[str], None] | None = None
) -> None:
    """Serve until SIGINT or SIGTERM; `on_ready` gets the base URL, without a final slash, once calls are accepted.

    Raises:
        OSError: the port is taken.
    """
    with contextlib.closing(_listen(host, port)) as listener:
        if on_ready is not None:
            on_ready(_address(listener))
        # uvicorn raises the signal that stopped it again once it has shut down.
        with contextlib.suppress(KeyboardInterrupt):
            _server(app).run(sockets=[listener])


@contextlib.contextmanager
def running_app(app: ASGIApp) -> Iterator[str]:
    """A server in a thread of its own on a free loopback port; gives its base URL without a final slash."""
    with contextlib.closing(_listen("127.0.0.1", 0)) as listener:
        server = _server(app)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield _address(listener)  # the socket listens already: early calls wait in its queue
        finally:
            server.should_exit = True
            thread.join(STOP_TIMEOUT_S)
