"""Emulated companies over HTTP."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from include.emulators.hesi import (
    EmulatorClock,
    generate_world,
    running,
)
from tests.integration.hesi_client import NOW, Client


@pytest.fixture(scope="module")
def shared() -> Iterator[Client]:
    """For tests that only read."""
    world = generate_world(900, seed=21, clock=EmulatorClock(NOW))
    with running(world) as url:
        client = Client(url, world)
        client.token = client.login().json()["value"]["accessToken"]
        yield client
        client.session.close()


@pytest.fixture
def fresh() -> Iterator[Client]:
    """For tests that change something."""
    world = generate_world(250, seed=22, clock=EmulatorClock(NOW))
    with running(world) as url:
        client = Client(url, world)
        client.token = client.login().json()["value"]["accessToken"]
        yield client
        client.session.close()
