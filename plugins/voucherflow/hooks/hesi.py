"""Hesi (合思) as an Airflow connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.adapters.registry import build_source
from include.ports import SystemClock
from include.settings import load_settings
from voucherflow.hooks.base import SystemHook

if TYPE_CHECKING:
    from include.ports import DocumentSource
    from include.settings import Source


class HesiHook(SystemHook):
    """Connection type `hesi`: host is the API's URL, login the appKey, password the appSecurity."""

    conn_name_attr = "hesi_conn_id"
    default_conn_name = "hesi_default"
    conn_type = "hesi"
    hook_name = "合思 Hesi"

    def __init__(self, hesi_conn_id: str = default_conn_name) -> None:
        super().__init__(hesi_conn_id)

    def source(self, source: Source) -> DocumentSource:
        """The adapter of a configured source over this connection."""
        return build_source(source, self.get_conn(), SystemClock())

    def check(self) -> str:
        """Get a token and read a page, with the options of a source that uses this connection, else of any Hesi source."""
        sources = [source for source in load_settings().sources.values() if source.system == self.conn_type]
        if not sources:
            raise self.nothing_configured()
        own = [source for source in sources if source.connection == self.connection_id]
        return self.source((own or sources)[0]).check()
