"""Weaver 泛微 e-cology as an Airflow connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.adapters.registry import build_source
from include.ports import SystemClock
from include.settings import load_settings
from voucherflow.hooks.base import SystemHook

if TYPE_CHECKING:
    from include.ports import DocumentSource
    from include.settings import Source


class WeaverHook(SystemHook):
    """Connection type `weaver`: host is e-cology's URL, login the interface user's id, password the APPID (REST)."""

    conn_name_attr = "weaver_conn_id"
    default_conn_name = "weaver_default"
    conn_type = "weaver"
    hook_name = "泛微 e-cology Weaver"

    def __init__(self, weaver_conn_id: str = default_conn_name) -> None:
        super().__init__(weaver_conn_id)

    def source(self, source: Source) -> DocumentSource:
        """The adapter of a configured source over this connection."""
        return build_source(source, self.get_conn(), SystemClock())

    def check(self) -> str:
        """Log in and count, with the options of a source that uses this connection, else of any e-cology source."""
        sources = [source for source in load_settings().sources.values() if source.system == self.conn_type]
        if not sources:
            raise self.nothing_configured()
        own = [source for source in sources if source.connection == self.connection_id]
        return self.source((own or sources)[0]).check()
