"""The fixture of the suites of the emulated NC site; each suite imports it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from include.emulators.hesi.clock import EmulatorClock
from include.emulators.nc import running
from tests.integration.nc_client import Caller

NOW_MS = 1_770_000_000_000


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    """One site for a suite; its clock stands still. Tests use ids of their own."""
    path = tmp_path_factory.mktemp("nc") / "nc.sqlite"
    with running(path, clock=EmulatorClock(NOW_MS)) as (url, _books):
        caller = Caller(url)
        with caller.http:
            yield caller
