"""Feishu 飞书 as an Airflow connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.adapters.registry import build_source
from include.ports import SystemClock
from include.settings import load_settings
from voucherflow.hooks.base import SystemHook

if TYPE_CHECKING:
    from include.ports import DocumentSource
    from include.settings import Source


class FeishuHook(SystemHook):
    """Connection type `feishu`: host is the open platform, login the App ID, password the App Secret."""

    conn_name_attr = "feishu_conn_id"
    default_conn_name = "feishu_default"
    conn_type = "feishu"
    hook_name = "飞书 Feishu"

    def __init__(self, feishu_conn_id: str = default_conn_name) -> None:
        super().__init__(feishu_conn_id)

    def source(self, source: Source) -> DocumentSource:
        """The adapter of a configured source over this connection."""
        return build_source(source, self.get_conn(), SystemClock())

    def check(self) -> str:
        """Log in and read the definitions, with the options of a source of this connection, else of any Feishu source."""
        sources = [source for source in load_settings().sources.values() if source.system == self.conn_type]
        if not sources:
            raise self.nothing_configured()
        own = [source for source in sources if source.connection == self.connection_id]
        return self.source((own or sources)[0]).check()
