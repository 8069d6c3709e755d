"""Feishu 飞书 approvals: instances read from the open platform, voucher numbers shown as comments.

Built from transcribed pages of the vendor; never run against a live tenant.
"""

from __future__ import annotations

from include.adapters.oa.feishu.client import FeishuClient
from include.adapters.oa.feishu.options import read_options
from include.adapters.oa.feishu.source import FeishuSource
from include.connections import Endpoint
from include.ports import Clock
from include.settings import Source

__all__ = ["FeishuSource", "build_source"]


def build_source(source: Source, endpoint: Endpoint, clock: Clock) -> FeishuSource:
    """The adapter of one tenant: the endpoint's login is the App ID, its password the App Secret.

    Raises:
        FixConfig: the source's options are wrong.
    """
    options = read_options(source)
    return FeishuSource(source, FeishuClient(endpoint, options, clock), options, clock)
