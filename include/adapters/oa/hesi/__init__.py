"""Hesi 合思 (formerly 易快报, ekuaibao): expense system, over its OpenAPI.

Built from the vendor's public documents (open-platform-docs, 2024-05-29).
"""

from __future__ import annotations

from include.adapters.oa.hesi.client import HesiClient
from include.adapters.oa.hesi.options import read_options
from include.adapters.oa.hesi.source import HesiSource
from include.connections import Endpoint
from include.ports import Clock
from include.settings import Source

__all__ = ["HesiSource", "build_source"]


def build_source(source: Source, endpoint: Endpoint, clock: Clock) -> HesiSource:
    """The adapter of one configured tenant: the endpoint's login is the appKey, its password the appSecurity.

    Raises:
        FixConfig: the source's options are wrong.
    """
    options = read_options(source)
    return HesiSource(source, HesiClient(endpoint, options, clock), options, clock)
