"""The environment of Airflow and of the product on one machine: everything on the loopback address."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from scripts.runner.options import Options
from scripts.runner.state import Secrets, StateDir

ROOT = Path(__file__).resolve().parents[2]
FAB_AUTH_MANAGER = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"
EVENT_LOG_CONFIG = ROOT / "include" / "config" / "examples" / "event_log"
HESI_KEY = "voucherflow"
LEDGER_DATABASE = "ledger"
LEDGER_LOGIN = "voucherflow"


@dataclass(frozen=True, slots=True)
class Ports:
    airflow: int
    hesi: int
    ledger: int

    @property
    def address(self) -> str:
        """Where a person opens Airflow."""
        return f"http://127.0.0.1:{self.airflow}"


def product_environment(options: Options, state: StateDir, secrets: Secrets, ports: Ports) -> dict[str, str]:
    """What the command line, the stages and the tasks need: store, configuration, connections."""
    hesi = {
        "conn_type": "hesi",
        "host": f"http://127.0.0.1:{ports.hesi}",
        "login": HESI_KEY,
        "password": secrets.hesi_secret,
    }
    ledger = {
        "conn_type": "tryton",
        "host": f"http://127.0.0.1:{ports.ledger}",
        "schema": LEDGER_DATABASE,
        "login": LEDGER_LOGIN,
        "password": secrets.ledger_password,
    }
    env = {
        **os.environ,
        # plugins/ has to be there from the start: see plugins/voucherflow/provider.py.
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'plugins'}",
        # A proxy of the machine has no business between processes of the same machine.
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "VOUCHERFLOW_STORE": f"sqlite:///{state.store}",
        "AIRFLOW_CONN_HESI_DEFAULT": json.dumps(hesi),
        "AIRFLOW_CONN_TRYTON_DEFAULT": json.dumps(ledger),
    }
    if options.events:
        env["VOUCHERFLOW_CONFIG_DIR"] = str(EVENT_LOG_CONFIG)
    return env


def airflow_environment(state: StateDir, secrets: Secrets, ports: Ports) -> dict[str, str]:
    """Airflow's own settings. docker-compose.yaml sets the same keys but those that name this machine."""
    return {
        "AIRFLOW_HOME": str(state.airflow_home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        # The simple auth manager knows no rights per DAG.
        "AIRFLOW__CORE__AUTH_MANAGER": FAB_AUTH_MANAGER,
        "AIRFLOW__CORE__FERNET_KEY": secrets.fernet_key,
        # Tasks report here; the default is port 8080, and a wrong one fails tasks without a log line.
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{ports.address}/execution/",
        # The "test" button of a connection form, for those who may edit connections.
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        "AIRFLOW__CORE__DEFAULT_TIMEZONE": "Asia/Shanghai",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{state.airflow_home / 'airflow.db'}",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(ports.airflow),
        "AIRFLOW__API__BASE_URL": ports.address,
        "AIRFLOW__API__WORKERS": "1",
        # Airflow's interactive API pages would answer without a login.
        "AIRFLOW__API__ENABLE_SWAGGER_UI": "False",
        "AIRFLOW__API__SECRET_KEY": secrets.session_key,
        # One secret for all components, or tasks are turned away.
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.jwt_secret,
    }


def command_line_environment(env: dict[str, str]) -> dict[str, str]:
    """What `./voucherflow` needs to work on the same books: store, configuration, and connections, also those that
    were made in Airflow.
    """
    names = ("AIRFLOW_HOME", "AIRFLOW__CORE__FERNET_KEY", "VOUCHERFLOW_STORE", "VOUCHERFLOW_CONFIG_DIR")
    return {name: value for name, value in env.items() if name in names or name.startswith("AIRFLOW_CONN_")}


AIRFLOW_COMPONENTS = {
    "api-server": ("airflow", "api-server"),
    "scheduler": ("airflow", "scheduler", "--skip-serve-logs"),
    "dag-processor": ("airflow", "dag-processor"),
    "triggerer": ("airflow", "triggerer", "--skip-serve-logs"),
}
"""Airflow's processes. Logs are files that the API server reads itself: the log servers would listen on all addresses."""
