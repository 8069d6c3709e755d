"""The suite on an emulated DingTalk organisation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from include.conformance.source.dingtalk import emulated
from include.conformance.source_suite import SourceSuite, SourceUnderTest


@pytest.fixture
def oa(tmp_path: Path) -> Iterator[SourceUnderTest]:
    with emulated(tmp_path) as system:
        yield system


class TestDingTalkSource(SourceSuite):
    """In pages of seven."""
