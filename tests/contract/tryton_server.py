"""A real Tryton for tests: set up once in a folder, served by a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from include.adapters.ledger.tryton.client import TrytonClient
from include.connections import Endpoint
from include.embedded.tryton import GATEWAY_LOGIN, init_ledger
from include.embedded.tryton.runtime import in_transaction, opened

COMPANY = "示例科技（上海）有限公司"
GATEWAY_PASSWORD = "gateway-secret-7"
ACCOUNTANT, ACCOUNTANT_PASSWORD = "accountant", "accountant-secret-7"
ROOT = Path(__file__).parents[2]

SERVE = """
import sys
from pathlib import Path
from include.embedded.tryton import serve_ledger
serve_ledger(Path(sys.argv[1]), port=0, on_ready=lambda url: print(url, flush=True))
"""


@dataclass(frozen=True)
class RunningTryton:
    """An address, the gateway's connection, and an accountant who may do what the gateway may not."""

    database: Path
    url: str

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint("tryton_test", self.url, GATEWAY_LOGIN, GATEWAY_PASSWORD)

    def client(self, login: str = GATEWAY_LOGIN, password: str = GATEWAY_PASSWORD) -> TrytonClient:
        endpoint = Endpoint("tryton_test", self.url, login, password)
        return TrytonClient(endpoint, connect_timeout_s=10, read_timeout_s=120)

    def accountant(self) -> TrytonClient:
        return self.client(ACCOUNTANT, ACCOUNTANT_PASSWORD)


def set_up(database: Path, **overrides: Any) -> None:
    """A ledger for 2025 and 2026 in CNY with an accountant."""
    arguments: Mapping[str, Any] = {
        "company_name": COMPANY,
        "currency": "CNY",
        "years": (2025, 2026),
        "password": GATEWAY_PASSWORD,
        **overrides,
    }
    init_ledger(database, **arguments)
    with opened(database) as pool:
        in_transaction(pool, _add_accountant)


def _add_accountant(pool: Any) -> None:
    model_data = pool.get("ir.model.data")
    groups = [model_data.get_id("account", name) for name in ("group_account", "group_account_admin")]
    (company,) = pool.get("company.company").search([])
    pool.get("res.user").create(
        [
            {
                "name": "会计",
                "login": ACCOUNTANT,
                "password": ACCOUNTANT_PASSWORD,
                "groups": [("add", groups)],
                "companies": [("add", [company.id])],
                "company": company.id,
            }
        ]
    )


@contextmanager
def serving(database: Path) -> Iterator[RunningTryton]:
    """Serve it until the end of the block."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(database)],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "TZ": "UTC"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        url = process.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:"), f"the server ended with {process.poll()}"
        yield RunningTryton(database, url)
    finally:
        process.terminate()
        process.wait(timeout=30)
        process.stdout.close()
