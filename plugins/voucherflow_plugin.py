"""The one file that Airflow loads as a plugin, in every process: names only, nothing is built here."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin


class VoucherflowPlugin(AirflowPlugin):
    """Registers Voucherflow. Its connection types come from voucherflow/provider.py."""

    name = "voucherflow"
