"""DingTalk 钉钉 approvals as an Airflow connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.adapters.registry import build_source
from include.ports import SystemClock
from include.settings import load_settings
from voucherflow.hooks.base import SystemHook

if TYPE_CHECKING:
    from include.ports import DocumentSource
    from include.settings import Source


class DingTalkHook(SystemHook):
    """Connection type `dingtalk`: host is the open platform's URL, login the app's AppKey, password its AppSecret."""

    conn_name_attr = "dingtalk_conn_id"
    default_conn_name = "dingtalk_default"
    conn_type = "dingtalk"
    hook_name = "钉钉审批 DingTalk"

    def __init__(self, dingtalk_conn_id: str = default_conn_name) -> None:
        super().__init__(dingtalk_conn_id)

    def source(self, source: Source) -> DocumentSource:
        """The adapter of a configured source over this connection."""
        return build_source(source, self.get_conn(), SystemClock())

    def check(self) -> str:
        """Log in and list, with the options of a source that uses this connection, else of any DingTalk source."""
        sources = [source for source in load_settings().sources.values() if source.system == self.conn_type]
        if not sources:
            raise self.nothing_configured()
        own = [source for source in sources if source.connection == self.connection_id]
        return self.source((own or sources)[0]).check()
