"""DingTalk 钉钉 approvals (OA 审批) over its open platform.

Built from a copy of the vendor's pages; never run against a live organisation. What is from memory is an option.
"""

from __future__ import annotations

from include.adapters.oa.dingtalk.client import Client
from include.adapters.oa.dingtalk.options import read_options
from include.adapters.oa.dingtalk.source import DingTalkSource
from include.connections import Endpoint
from include.ports import Clock
from include.settings import Source

__all__ = ["DingTalkSource", "build_source"]


def build_source(source: Source, endpoint: Endpoint, clock: Clock) -> DingTalkSource:
    """The adapter of one organisation: the endpoint's login is the app's key, its password the app's secret.

    Raises:
        FixConfig: the source's options are wrong.
    """
    options = read_options(source)
    return DingTalkSource(source, Client(endpoint, options, clock), options, clock)
