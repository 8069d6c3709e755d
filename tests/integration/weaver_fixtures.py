"""Fixtures of the suites of the emulated e-cology; each suite imports what it uses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from include.emulators.weaver import Options, Plan, World, open_world, running
from tests.integration.weaver_client import Client


@pytest.fixture(scope="module")
def shared() -> Iterator[Client]:
    """An installation for tests that only read."""
    yield from _client(open_world(Plan(documents=120, seed=11, dirty_share=0.1)))


@pytest.fixture
def fresh() -> Iterator[Client]:
    """An installation of a test's own."""
    yield from _client(open_world(Plan(documents=40, seed=12, dirty_share=0.0)))


def installation(**options: object) -> Iterator[Client]:
    """An installation with switches."""
    yield from _client(open_world(Plan(documents=40, seed=12, dirty_share=0.0), Options().changed(options)))


def _client(world: World) -> Iterator[Client]:
    with running(world) as url:
        client = Client(url, world)
        with client.session:
            yield client
    world.store.close()
