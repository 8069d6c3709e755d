"""An emulated YonBIP tenant as a process of its own, the accountant's way into it, and the gateway on it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import requests

from include.adapters.ledger.yonbip import YonbipGateway, YonbipOptions
from include.adapters.ledger.yonbip.client import YonbipClient
from include.conformance.ledger_suite import DEPARTMENT, EMPLOYEE, PROJECT, LedgerUnderTest
from include.conformance.subject import timeless_limiter, unsupported
from include.connections import Endpoint
from include.domain.account import AuxiliaryDimension
from include.domain.period import FiscalPeriod
from include.domain.voucher import Voucher
from include.emulators.yonbip import ADMIN_KEY, Credentials, company

DIMENSIONS = {"supplier": "0004", "department": "0001", "employee": "0003", "project": "0002"}
ROOT = Path(__file__).resolve().parents[3]
MINE = Credentials()
WRONG = "wrong-secret-7"
SAVE, LIST = "addVoucher", "queryVouchers"
VARIANT_OPTIONS: Mapping[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "key in the head": ({}, {}),
    "businessId refused": ({"business_id": "refused"}, {"repeat": "refuse"}),
    "no key": ({"key_field": ""}, {}),
}
"""Options of the book, switches of the tenant."""
MAY_BE_EMPTY = (("department", False), ("project", False))
OWN_DIMENSIONS: Mapping[str, tuple[tuple[str, bool], ...]] = {"1122": (), "5101": MAY_BE_EMPTY}


def endpoint(url: str, **changes: str) -> Endpoint:
    """A connection to the platform at `url`; `changes` go to tenant_id, login or password."""
    return Endpoint(
        "yonbip_test",
        url,
        changes.get("login", MINE.app_key),
        changes.get("password", MINE.app_secret),
        {"tenant_id": changes.get("tenant_id", MINE.tenant_id)},
    )


class Tenant:
    """What people do in the ledger's own program, and what goes wrong on the way to it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def admin(self, name: str, /, method: str = "POST", **body: Any) -> Any:
        response = requests.request(
            method,
            f"{self.url}/__emulator__/{name}",
            json=body,
            headers={"X-Emulator-Key": ADMIN_KEY},
            timeout=20,
        )
        answer = response.json()
        assert response.ok, answer
        return answer

    @contextmanager
    def fault(self, kind: str, only: str, **rest: Any) -> Iterator[None]:
        self.admin("faults", kind=kind, only=only, **rest)
        try:
            yield
        finally:
            self.admin("faults", method="DELETE")

    def vouchers(self) -> list[dict[str, Any]]:
        """All vouchers as the books have them."""
        found: list[dict[str, Any]] = self.admin("export", method="GET")["vouchers"]
        return found


@contextmanager
def serving(folder: Path, seed: dict[str, Any], **options: Any) -> Iterator[Tenant]:
    """A tenant of its own, with the switches of `include.emulators.yonbip.options`."""
    file = folder / "seed.json"
    file.write_text(json.dumps(seed), encoding="utf-8")
    command = [sys.executable, "-m", "include.emulators.yonbip", "--data", str(folder / "yonbip.sqlite")]
    command += ["--seed", str(file), "--options", json.dumps(options)]
    env = os.environ | {"VOUCHERFLOW_EMULATOR_ADMIN_KEY": ADMIN_KEY, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url, "the emulator did not start"
        yield Tenant(url.rstrip("/"))
    finally:
        process.terminate()
        process.wait(20)
        if process.stdout is not None:
            process.stdout.close()


def contract_company() -> dict[str, Any]:
    """The emulator's company with what the suite and the example's rules ask for: expenses and overheads without a required
    dimension, receivables that name no customer, the dinar.
    """
    seed = company()
    for account in next(iter(seed["charts"].values())):
        if account["code"].startswith(("6601.", "6602.")) and account["dimensions"]:
            account["dimensions"] = MAY_BE_EMPTY
        account["dimensions"] = OWN_DIMENSIONS.get(account["code"], account["dimensions"])
    seed["currencies"].append(["KWD", "科威特第纳尔", 3])
    return seed


class MindedGateway(YonbipGateway):
    """A gateway beside which somebody makes the master data that are missing: we make none in YonBIP."""

    tenant: Tenant

    def ensure_dimensions(self, values: Iterable[AuxiliaryDimension]) -> None:
        wanted = [value for value in values if value.kind in self.dimension_kinds]
        items: dict[str, list[list[str]]] = {}
        for value in wanted:
            items.setdefault(value.kind, []).append([value.code, value.name.replace("\n", " ") or value.code])
        self.tenant.admin("seed", items=items)
        super().ensure_dimensions(wanted)


def options(**changes: Any) -> YonbipOptions:
    given: dict[str, Any] = {
        "book": "001",
        "words": {"记": "1", "收": "2", "付": "3", "转": "4"},
        "maker": MINE.maker,
        "dimensions": DIMENSIONS,
        "batch_size": 20,
        "page_size": 5,
        "settle_s": 0,
    }
    return YonbipOptions.model_validate(given | changes)


def connect(tenant: Tenant, **changes: str) -> YonbipClient:
    waited: list[float] = []
    return YonbipClient(
        endpoint(tenant.url, **changes),
        connect_timeout_s=10,
        read_timeout_s=60,
        limiter=timeless_limiter(),
        sleep=waited.append,
    )


def gateway_of(tenant: Tenant, **changes: Any) -> MindedGateway:
    gateway = MindedGateway(connect(tenant), options(**changes), "CNY")
    gateway.tenant = tenant
    return gateway


@dataclass
class YonbipBooks:
    tenant: Tenant
    gateway: MindedGateway
    changes: Mapping[str, Any]
    secrets: tuple[str, ...] = (MINE.app_secret, MINE.app_key, WRONG)
    party: frozenset[str] = frozenset()
    """The interface does not say what accounts require."""

    least_pages: int = 2

    def make(self, values: Sequence[AuxiliaryDimension]) -> None:
        self.gateway.ensure_dimensions(values)

    def close(self, period: FiscalPeriod) -> None:
        self._set(period, "closed")

    def reopen(self, period: FiscalPeriod) -> None:
        self._set(period, "open")

    def _set(self, period: FiscalPeriod, state: str) -> None:
        self.tenant.admin("period", book="001", year=period.year, period=period.month, state=state)

    def adjust(self, period: FiscalPeriod) -> None:
        unsupported(
            "期间查询不给出调整期的日期，我方凭证只写自然月 / the interface gives no days of adjustment periods, and vouchers of ours name a month"
        )

    def leave_draft(self, voucher: Voucher) -> None:
        unsupported(
            "凭证由一次调用保存，不会留下草稿；暂存的凭证没有接口可以保存 / a voucher is saved by one call, which leaves no draft, and there is no "
            "interface that saves one that was put aside"
        )

    def cancel(self, ledger_id: str) -> None:
        self.tenant.admin("void", voucher=self._number(ledger_id))

    def _number(self, ledger_id: str) -> int:
        return int(ledger_id)

    @contextmanager
    def unreadable(self) -> Iterator[None]:
        with self.tenant.fault("status", LIST, times=50):
            yield

    def gateway_that_creates_nothing(self) -> YonbipGateway:
        unsupported(
            "没有公开接口可按编码查询各类辅助核算的值，不存在的值由用友保存时拒绝 / no documented interface looks auxiliary values of every kind up; "
            "YonBIP refuses those that it lacks when a voucher is saved"
        )

    def with_wrong_secret(self) -> YonbipGateway:
        return YonbipGateway(connect(self.tenant, password=WRONG), options(**self.changes), "CNY")

    def lose_answers(self) -> AbstractContextManager[None]:
        return self.tenant.fault("drop_after", SAVE)

    def lose_requests(self) -> AbstractContextManager[None]:
        return self.tenant.fault("drop_before", SAVE)

    def break_answers(self) -> AbstractContextManager[None]:
        return self.tenant.fault("truncate", SAVE)

    def refuse_calls(self) -> AbstractContextManager[None]:
        return self.tenant.fault("vendor", SAVE, name="rate_limit", times=2)

    def expire_sessions(self) -> None:
        self.tenant.admin("tokens")


@contextmanager
def emulated(variant: str, folder: Path) -> Iterator[LedgerUnderTest]:
    """A tenant with few vouchers a page. What is found by date and amount must not meet other cases' vouchers: one each."""
    changes, switches = VARIANT_OPTIONS[variant]
    with serving(folder, contract_company(), **switches) as tenant:
        gateway = gateway_of(tenant, **changes)
        gateway.ensure_dimensions([EMPLOYEE, DEPARTMENT, PROJECT])
        yield YonbipBooks(tenant, gateway, changes)


VARIANTS = {name: partial(emulated, name) for name in VARIANT_OPTIONS}
