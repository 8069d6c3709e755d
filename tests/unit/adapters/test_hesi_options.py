"""Options are checked whole, before anything is asked of the OA."""

from __future__ import annotations

import pytest

from include.adapters.oa.hesi.options import read_options
from include.domain.errors import FixConfig
from tests.unit.adapters.hesi_parts import hesi_source


def test_defaults_suit() -> None:
    options = read_options(hesi_source(options={}))
    assert (options.page_size, options.details, options.requests_per_s) == (100, "approved", None)


def test_everything_wrong_is_said_at_once_with_file_and_valid_keys() -> None:
    with pytest.raises(FixConfig) as caught:
        read_options(hesi_source(options={"page_size": 500, "pagesize": 3, "details": "some"}))
    text = str(caught.value)
    assert len(text.splitlines()) == 3
    assert all(line.startswith("sources/hesi.yaml: options.") for line in text.splitlines())
    assert "requests_per_s" in text
    assert "'some'" in text
