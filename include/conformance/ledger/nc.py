"""An emulated NC site as a process of its own, the accountant's way into it, and the gateway on it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import requests

from include.adapters.ledger.nc import NcGateway, NcOptions, connect
from include.conformance.ledger_suite import DEPARTMENT, EMPLOYEE, PROJECT, LedgerUnderTest
from include.conformance.subject import timeless_limiter, unsupported
from include.connections import Endpoint
from include.domain.account import AuxiliaryDimension
from include.domain.period import FiscalPeriod
from include.domain.voucher import Voucher
from include.emulators.nc import ADMIN_KEY, BOOK, Credentials, company

DIMENSIONS = {"supplier": "0004", "department": "0001", "employee": "0002", "project": "0010"}
ROOT = Path(__file__).resolve().parents[3]
MINE = Credentials()
WRONG = "wrong-secret-7"
SEND = {"http": "XChangeServlet", "soap": "IPfxxWs"}
MAY_BE_EMPTY = (("department", False), ("project", False))
OWN_DIMENSIONS: Mapping[str, tuple[tuple[str, bool], ...]] = {"1122": (), "5101": MAY_BE_EMPTY}


def endpoint(url: str, password: str = MINE.view_password) -> Endpoint:
    extra = {"view_user": MINE.view_user, "view_password": password}
    return Endpoint("nc_test", url, extra=extra)


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
    """A site of its own, with the switches of `include.emulators.nc.options`."""
    file = folder / "seed.json"
    file.write_text(json.dumps(seed), encoding="utf-8")
    command = [sys.executable, "-m", "include.emulators.nc", "--data", str(folder / "nc.sqlite")]
    command += ["--seed", str(file), "--options", json.dumps(options)]
    env = os.environ | {
        "VOUCHERFLOW_EMULATOR_ADMIN_KEY": ADMIN_KEY,
        "VOUCHERFLOW_NC_VIEW_PASSWORD": MINE.view_password,
        "PYTHONPATH": str(ROOT),
    }
    process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url, "the emulator did not start"
        yield Site(url.rstrip("/"))
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


def options(**changes: Any) -> NcOptions:
    given: dict[str, Any] = {
        "book": BOOK,
        "org": "101005",
        "group": "GJJT",
        "account": "develop",
        "maker": "oa",
        "words": {"记": "01"},
        "dimensions": DIMENSIONS,
        "page_size": 5,
        "settle_s": 0,
    }
    return NcOptions.model_validate(given | changes)


def gateway_of(site: Site, password: str = MINE.view_password, **changes: Any) -> NcGateway:
    chosen = options(**changes)
    return NcGateway(connect(endpoint(site.url, password), chosen, timeless_limiter()), chosen, "CNY")


def make(site: Site, values: Sequence[AuxiliaryDimension]) -> None:
    """The site's keepers of master data make values."""
    items: dict[str, list[list[str]]] = {}
    for value in values:
        items.setdefault(value.kind, []).append([value.code, value.name.replace("\n", " ") or value.code])
    site.admin("seed", items=items)


@dataclass
class NcBooks:
    site: Site
    gateway: NcGateway
    interface: str
    secrets: tuple[str, ...] = (MINE.view_password, WRONG)
    party: frozenset[str] = frozenset({"employee"})
    least_pages: int = 2

    def make(self, values: Sequence[AuxiliaryDimension]) -> None:
        make(self.site, [value for value in values if value.kind in DIMENSIONS])

    def close(self, period: FiscalPeriod) -> None:
        self.site.admin("period", book=BOOK, year=period.year, period=period.month, state="closed")

    def reopen(self, period: FiscalPeriod) -> None:
        self.site.admin("period", book=BOOK, year=period.year, period=period.month, state="open")

    def adjust(self, period: FiscalPeriod) -> None:
        unsupported(
            "视图只有自然月，我方凭证从不标记调整期 / the views show months alone, and no voucher of ours is marked for an adjustment period"
        )

    def leave_draft(self, voucher: Voucher) -> None:
        unsupported("凭证一次导入，不会留下草稿 / a voucher is imported in one step, which leaves no draft")

    def cancel(self, ledger_id: str) -> None:
        self.site.admin("void", voucher=int(ledger_id[-10:]))

    @contextmanager
    def unreadable(self) -> Iterator[None]:
        with self.site.fault("status", "/views/", times=50):
            yield

    def gateway_that_creates_nothing(self) -> NcGateway:
        return gateway_of(self.site, interface=self.interface)

    def with_wrong_secret(self) -> NcGateway:
        return gateway_of(self.site, WRONG, interface=self.interface)

    def lose_answers(self) -> AbstractContextManager[None]:
        return self.site.fault("drop_after", SEND[self.interface])

    def lose_requests(self) -> AbstractContextManager[None]:
        return self.site.fault("drop_before", SEND[self.interface])

    def break_answers(self) -> AbstractContextManager[None]:
        return self.site.fault("truncate", SEND[self.interface])

    def refuse_calls(self) -> AbstractContextManager[None]:
        return self.site.fault("vendor", SEND[self.interface], name="rate_limit", times=2)

    def expire_sessions(self) -> None:
        unsupported("交换平台没有会话和令牌 / the exchange platform has neither sessions nor tokens")


@contextmanager
def emulated(interface: str, folder: Path) -> Iterator[LedgerUnderTest]:
    """A site with few vouchers a page. The web service's description is read before anything goes wrong."""
    with serving(folder, contract_company()) as site:
        books = NcBooks(site, gateway_of(site, interface=interface), interface)
        books.make([EMPLOYEE, DEPARTMENT, PROJECT])
        yield books


VARIANTS = {name: partial(emulated, name) for name in ("http", "soap")}
