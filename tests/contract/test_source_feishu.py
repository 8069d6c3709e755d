"""The suite on an emulated Feishu tenant."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from include.conformance.source.feishu import emulated
from include.conformance.source_suite import SourceSuite, SourceUnderTest


@pytest.fixture
def oa(tmp_path: Path) -> Iterator[SourceUnderTest]:
    with emulated("flag", tmp_path) as system:
        yield system


class TestFeishuSource(SourceSuite):
    """In pages of seven, where a flag tells of revocations; `./voucherflow conformance feishu` runs it without, too."""
