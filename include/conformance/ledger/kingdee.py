"""An emulated Kingdee site as a process of its own, the accountant's way into it, and the gateway on it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests

from include.adapters.ledger.kingdee import KingdeeGateway, KingdeeOptions
from include.adapters.ledger.kingdee.client import KingdeeClient
from include.adapters.ledger.kingdee.mapping import KeyField
from include.conformance.ledger_suite import DEPARTMENT, EMPLOYEE, PROJECT, LedgerUnderTest
from include.conformance.subject import timeless_limiter, unsupported
from include.connections import Endpoint
from include.domain.account import AuxiliaryDimension
from include.domain.errors import OutcomeUnknown
from include.domain.period import FiscalPeriod
from include.domain.voucher import Voucher
from include.emulators.kingdee import ADMIN_KEY, SITE, Credentials, company

ROOT = Path(__file__).resolve().parents[3]
MINE = Credentials()
WRONG = "wrong-secret-7"
SAVE = ".BatchSave."
DIMENSIONS = {
    "supplier": "BD_Supplier",
    "department": "BD_Department",
    "employee": "BD_Empinfo",
    "project": "项目",
}
KEY_FIELDS = {"key in FBUSNO": "FEntity.FBUSNO", "key in a head field": "F_VF_KEY", "no key": ""}
MAY_BE_EMPTY = (("department", False), ("project", False))
OWN_DIMENSIONS = {"1122": (), "5101": MAY_BE_EMPTY}


def endpoint(url: str, **changes: str) -> Endpoint:
    """A connection to the site at `url` (without its path); `changes` go to acct_id, app_id, login or password."""
    extra = {"acct_id": MINE.acct_id, "app_id": MINE.app_id} | {
        name: value for name, value in changes.items() if name in ("acct_id", "app_id")
    }
    return Endpoint(
        "kingdee_test",
        f"{url}{SITE}",
        changes.get("login", MINE.user),
        changes.get("password", MINE.app_secret),
        extra,
    )


class Site:
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
def serving(folder: Path, seed: dict[str, Any], **options: Any) -> Iterator[Site]:
    """A site of its own, with the switches of `include.emulators.kingdee.options`."""
    file = folder / "seed.json"
    file.write_text(json.dumps(seed), encoding="utf-8")
    command = [sys.executable, "-m", "include.emulators.kingdee", "--data", str(folder / "k3.sqlite")]
    command += ["--seed", str(file), "--options", json.dumps(options)]
    env = os.environ | {"VOUCHERFLOW_EMULATOR_ADMIN_KEY": ADMIN_KEY, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url, "the emulator did not start"
        yield Site(url.removesuffix(f"{SITE}/"))
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


def contract_chart() -> str:
    return str(next(iter(company()["charts"])))


class MindedGateway(KingdeeGateway):
    """A gateway beside which somebody makes the master data that are missing: we make none in Kingdee."""

    site: Site

    def ensure_dimensions(self, values: Iterable[AuxiliaryDimension]) -> None:
        wanted = [value for value in values if value.kind in self.dimension_kinds]
        items: dict[str, list[list[str]]] = {}
        for value in wanted:
            items.setdefault(value.kind, []).append([value.code, value.name.replace("\n", " ") or value.code])
        self.site.admin("seed", items=items)
        super().ensure_dimensions(wanted)


def options(**changes: Any) -> dict[str, Any]:
    given = KingdeeOptions.model_validate(
        {"book": "001", "dimensions": DIMENSIONS, "page_size": 5, "settle_s": 0} | changes
    )
    others = {"organisation", "key_field", "key_length", "connect_timeout_s", "read_timeout_s"}
    return {name: getattr(given, name) for name in KingdeeOptions.model_fields if name not in others} | {
        "key": KeyField.of(given.key_field, given.key_length)
    }


def connect(site: Site, **changes: Any) -> KingdeeClient:
    return KingdeeClient(
        endpoint(site.url, **changes),
        connect_timeout_s=10,
        read_timeout_s=60,
        limiter=timeless_limiter(),
    )


def gateway_of(site: Site, **changes: Any) -> MindedGateway:
    gateway = MindedGateway(connect(site), currency="CNY", **options(**changes))
    gateway.site = site
    return gateway


@dataclass
class KingdeeBooks:
    site: Site
    gateway: MindedGateway
    closed: list[tuple[int, int]] = field(default_factory=list)
    secrets: tuple[str, ...] = (MINE.app_secret, MINE.app_id, WRONG)
    party: frozenset[str] = frozenset({"employee"})
    """Kingdee says exactly which dimension an account requires."""
    least_pages: int = 2

    def make(self, values: Sequence[AuxiliaryDimension]) -> None:
        self.gateway.ensure_dimensions(values)

    def close(self, period: FiscalPeriod) -> None:
        """As Kingdee closes: every period before it too."""
        self.closed = [
            (year, month)
            for year in range(2025, period.year + 1)
            for month in range(1, 13)
            if (year, month) <= (period.year, period.month)
        ]
        self._set_closed("closed")

    def reopen(self, period: FiscalPeriod) -> None:
        assert (period.year, period.month) in self.closed
        self._set_closed("open")

    def _set_closed(self, state: str) -> None:
        for year, month in self.closed:
            self.site.admin("period", book="001", year=year, period=month, state=state)

    def adjust(self, period: FiscalPeriod) -> None:
        unsupported(
            "会计日历不列调整期，我方凭证从不标记调整期 / its calendar lists no adjustment periods, and no voucher of ours is marked for one"
        )

    def leave_draft(self, voucher: Voucher) -> None:
        with self.site.fault("drop_after", SAVE), pytest.raises(OutcomeUnknown):
            self.gateway.post([voucher])

    def cancel(self, ledger_id: str) -> None:
        self.site.admin("void", voucher=int(ledger_id))

    @contextmanager
    def unreadable(self) -> Iterator[None]:
        with self.site.fault("status", ".ExecuteBillQuery.", times=50):
            yield

    def gateway_that_creates_nothing(self) -> KingdeeGateway:
        return KingdeeGateway(connect(self.site), currency="CNY", **options())

    def with_wrong_secret(self) -> KingdeeGateway:
        return KingdeeGateway(connect(self.site, password=WRONG), currency="CNY", **options())

    def lose_answers(self) -> AbstractContextManager[None]:
        return self.site.fault("drop_after", SAVE)

    def lose_requests(self) -> AbstractContextManager[None]:
        return self.site.fault("drop_before", SAVE)

    def break_answers(self) -> AbstractContextManager[None]:
        return self.site.fault("truncate", SAVE)

    def refuse_calls(self) -> AbstractContextManager[None]:
        return self.site.fault("vendor", SAVE, name="rate_limit", times=2)

    def expire_sessions(self) -> None:
        self.site.admin("sessions")


@contextmanager
def emulated(key_field: str, folder: Path) -> Iterator[LedgerUnderTest]:
    """A site with few rows a page. What is found by date and amount must not meet other cases' vouchers: one site each."""
    with serving(folder, contract_company(), custom_fields=["F_VF_KEY"]) as site:
        gateway = gateway_of(site, key_field=key_field)
        gateway.ensure_dimensions([EMPLOYEE, DEPARTMENT, PROJECT])
        yield KingdeeBooks(site, gateway)


VARIANTS = {name: partial(emulated, key_field) for name, key_field in KEY_FIELDS.items()}
