"""A real Tryton, set up in a folder and served by a process of its own, and the gateway on it."""

from __future__ import annotations

import contextlib
import multiprocessing
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from include.adapters.ledger.tryton import TrytonGateway
from include.adapters.ledger.tryton.client import TrytonClient
from include.conformance.ledger_words import (
    DEPARTMENT,
    EMPLOYEE,
    PROJECT,
    LedgerUnderTest,
)
from include.conformance.subject import unsupported
from include.connections import Endpoint
from include.domain.account import AuxiliaryDimension
from include.domain.errors import OutcomeUnknown, RetryLater
from include.domain.period import FiscalPeriod
from include.domain.voucher import Voucher
from include.embedded.tryton import GATEWAY_LOGIN, init_ledger
from include.embedded.tryton.runtime import in_transaction, opened

COMPANY = "示例科技（上海）有限公司"
GATEWAY_PASSWORD = "gateway-secret-7"
ACCOUNTANT, ACCOUNTANT_PASSWORD = "accountant", "accountant-secret-7"
WRONG = "wrong-secret-7"
CREATE = "move.create"
ROOT = Path(__file__).parents[3]

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


KINDS = ("employee", "supplier", "department", "project")


class FaultyClient(TrytonClient):
    """A client that loses answers, or never gets through, when a test says so."""

    fault: str = ""
    method: str = ""

    def call(self, method: str, *params: Any, writes: bool) -> Any:
        if not self.fault or not method.endswith(self.method):
            return super().call(method, *params, writes=writes)
        if self.fault == "unreachable":
            raise RetryLater("无法连接 / cannot be reached")
        super().call(method, *params, writes=writes)
        raise OutcomeUnknown("回答丢失 / the answer was lost")


@dataclass
class TrytonBooks:
    tryton: RunningTryton
    client: FaultyClient
    gateway: TrytonGateway
    secrets: tuple[str, ...] = (GATEWAY_PASSWORD, WRONG)
    party: frozenset[str] = frozenset({"party"})
    least_pages: int = 2

    def make(self, values: Sequence[AuxiliaryDimension]) -> None:
        self.gateway.ensure_dimensions(values)

    def close(self, period: FiscalPeriod) -> None:
        self._change_period(period, "close")

    def reopen(self, period: FiscalPeriod) -> None:
        self._change_period(period, "reopen")

    def _change_period(self, period: FiscalPeriod, button: str) -> None:
        accountant = self.tryton.accountant()
        ids = accountant.call(
            "model.account.period.search", [("name", "=", period.code)], 0, None, None, {}, writes=False
        )
        accountant.call(f"model.account.period.{button}", ids, {"company": 1}, writes=True)

    def adjust(self, period: FiscalPeriod) -> None:
        accountant, day = self.tryton.accountant(), period.last_day
        (normal,) = accountant.call(
            "model.account.period.search_read",
            [("name", "=", period.code)],
            0,
            None,
            None,
            ["fiscalyear"],
            {},
            writes=False,
        )
        values = {
            "name": f"{period.code} 调整",
            "type": "adjustment",
            "start_date": day,
            "end_date": day,
            "fiscalyear": normal["fiscalyear"],
        }
        accountant.call("model.account.period.create", [values], {"company": 1}, writes=True)

    def leave_draft(self, voucher: Voucher) -> None:
        with self.fault("lost", CREATE), pytest.raises(OutcomeUnknown):
            self.gateway.post([voucher])

    def cancel(self, ledger_id: str) -> None:
        accountant, wizard = self.tryton.accountant(), "wizard.account.move.cancel"
        records = {
            "active_model": "account.move",
            "active_id": int(ledger_id),
            "active_ids": [int(ledger_id)],
        }
        session, *_ = accountant.call(f"{wizard}.create", {}, writes=True)
        answers = {"default": {"reversal": False, "description": ""}}
        accountant.call(
            f"{wizard}.execute", session, answers, "cancel", {"company": 1, **records}, writes=True
        )

    @contextmanager
    def unreadable(self) -> Iterator[None]:
        with self.fault("unreachable", "search_read"):
            yield

    @contextmanager
    def fault(self, kind: str, method: str) -> Iterator[None]:
        """`unreachable`: calls of the method do not get through. `lost`: they do, and the answer does not arrive."""
        self.client.fault, self.client.method = kind, method
        try:
            yield
        finally:
            self.client.fault = ""

    def gateway_that_creates_nothing(self) -> TrytonGateway:
        return TrytonGateway(self.client, currency="CNY")

    def with_wrong_secret(self) -> TrytonGateway:
        return TrytonGateway(self.tryton.client(password=WRONG), currency="CNY")

    def lose_answers(self) -> AbstractContextManager[None]:
        return self.fault("lost", CREATE)

    def lose_requests(self) -> AbstractContextManager[None]:
        return self.fault("unreachable", CREATE)

    def break_answers(self) -> AbstractContextManager[None]:
        return self.fault("lost", CREATE)

    def refuse_calls(self) -> AbstractContextManager[None]:
        unsupported("Tryton 不限调用频率 / Tryton has no ceiling on calls")

    def expire_sessions(self) -> None:
        with contextlib.closing(sqlite3.connect(self.tryton.database, timeout=60)) as database, database:
            database.execute("DELETE FROM ir_session")


@contextmanager
def emulated(folder: Path) -> Iterator[LedgerUnderTest]:
    """A real Tryton of its own, set up anew, which takes half a minute; few vouchers a page."""
    database = folder / "ledger.sqlite"
    # A process of its own: Tryton keeps its settings in module globals.
    process = multiprocessing.get_context("spawn").Process(target=set_up, args=(database,))
    process.start()
    process.join()
    if process.exitcode:
        raise RuntimeError("Tryton 未能建立账套，见上 / the ledger could not be set up, see above")
    with serving(database) as tryton:
        yield books_of(tryton)


def books_of(tryton: RunningTryton) -> TrytonBooks:
    """The gateway on a server, and the accountant beside it."""
    client = FaultyClient(tryton.endpoint, connect_timeout_s=10, read_timeout_s=120)
    gateway = TrytonGateway(client, currency="CNY", create_missing=KINDS, page_size=3)
    gateway.ensure_dimensions([EMPLOYEE, DEPARTMENT, PROJECT])
    return TrytonBooks(tryton, client, gateway)


VARIANTS = {"": emulated}
