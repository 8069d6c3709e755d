"""The Toy OA as an Airflow connection."""

from __future__ import annotations

from include.adapters.registry import build_source
from include.ports import SystemClock
from include.settings import load_settings
from voucherflow.hooks.base import SystemHook


class ToyHook(SystemHook):
    """Connection type `toy`: host is the OA's URL, login the key, password the secret."""

    conn_name_attr = "toy_conn_id"
    default_conn_name = "toy_default"
    conn_type = "toy"
    hook_name = "Toy OA"

    def __init__(self, toy_conn_id: str = default_conn_name) -> None:
        super().__init__(toy_conn_id)

    def check(self) -> str:
        """Log in and count, as a configured source does."""
        sources = [source for source in load_settings().sources.values() if source.system == self.conn_type]
        if not sources:
            raise self.nothing_configured()
        return build_source(sources[0], self.get_conn(), SystemClock()).check()
