"""An emulated Toy OA with a generated company, and the adapter on it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

from include.adapters.oa.toy import ToySource, build_source
from include.conformance.source_suite import LONG_AGO, Known, SourceUnderTest
from include.connections import Endpoint
from include.emulators.toy import KEY, SECRET, Company, Fault, FaultPlan, generate, running
from include.form_mappings import read_mappings
from include.ports import SystemClock
from include.settings import Source

MAPPINGS = Path(__file__).parents[2] / "config" / "examples" / "toy" / "mappings" / "toy"
WRONG = "wrong-secret-7"


class HastyClock(SystemClock):
    """Waits a hundredth of what it is told."""

    def sleep(self, seconds: float) -> None:
        SystemClock.sleep(self, seconds / 100)


@dataclass
class ToySystem:
    source: ToySource
    company: Company
    plan: FaultPlan
    url: str
    form_types: tuple[str, ...] = ("expense", "loan")
    since: datetime = LONG_AGO
    secrets: tuple[str, ...] = field(default=(SECRET, WRONG, "toy-token-"))

    def ids(self, form_type: str) -> set[str]:
        return {c.id for c in self.company.claims.values() if c.kind == form_type}

    def deleted(self) -> set[str]:
        return {c.id for c in self.company.claims.values() if c.state == "deleted"}

    def known(self) -> Mapping[str, Known]:
        return {
            c.id: Known(c.cents, datetime.fromtimestamp(c.created / 1000, UTC), c.state == "approved")
            for c in self.company.claims.values()
        }

    def touch(self, document_id: str) -> None:
        self.company.change(document_id, title=f"改于 {self.company.now_ms}")

    def delete(self, document_id: str) -> None:
        self.company.change(document_id, state="deleted")

    def take_back(self, document_id: str) -> None:
        self.company.change(document_id, state="revoked")

    def approved(self) -> list[str]:
        return [c.id for c in self.company.claims.values() if c.state == "approved" and c.kind == "expense"]

    def unapproved(self) -> str:
        return next(c.id for c in self.company.claims.values() if c.state == "pending")

    def shown_number(self, document_id: str) -> str:
        return self.company.claims[document_id].voucher_no

    def expire_tokens(self) -> None:
        self.company.tokens.clear()

    def refuse_calls(self, times: int) -> None:
        self.plan.plan(Fault("vendor", only="/claims", name="rate_limit", times=times))

    def break_answers(self, times: int) -> None:
        self.plan.plan(Fault("truncate", only="/claims", times=times))

    def lose_answers(self, times: int) -> None:
        self.plan.plan(Fault("drop_after", only="/voucher", times=times))

    @contextlib.contextmanager
    def with_wrong_secret(self) -> Iterator[ToySource]:
        with source_at(self.url, password=WRONG) as source:
            yield source


@contextlib.contextmanager
def source_at(url: str, *, password: str = SECRET) -> Iterator[ToySource]:
    """The adapter on a server, in pages of seven."""
    problems: list[str] = []
    mappings = read_mappings(MAPPINGS, problems)
    assert not problems
    config = Source(
        id="toy",
        system="toy",
        connection="toy_default",
        start=date(2026, 1, 1),
        mappings=mappings,
        options={"page_size": 7},
    )
    endpoint = Endpoint("toy_default", url, KEY, password)
    with contextlib.closing(build_source(config, endpoint, HastyClock())) as source:
        yield source


@contextlib.contextmanager
def emulated(_folder: Path) -> Iterator[SourceUnderTest]:
    company, plan = generate(), FaultPlan()
    with running(company, plan) as url, source_at(url) as source:
        yield ToySystem(source, company, plan, url)


VARIANTS = {"": emulated}
