"""The OA of a chaos run: an emulated company whose claims are approved while things break, over HTTP that breaks too."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from include.emulators.hesi import APP_KEY, APP_SECRET, EmulatorClock, Faults, World, generate_world, running
from include.emulators.hesi.model import Document, unpack
from tests.chaos.steps import SteppedClock

YEAR = 2025
HARMLESS = frozenset({"pay_mismatch", "total_mismatch"})
"""Defects that the rules of this run do not see: they look at no payment, and a cent may be one of conversion."""
FAULTS = {"too_many": 0.01, "server_error": 0.02, "drop_before": 0.03, "drop_after": 0.03, "truncate": 0.03}
"""Shares of the calls to the OA that go wrong while it is in trouble."""


class _Clock(EmulatorClock):
    """The emulator tells the time that the product believes it is."""

    def __init__(self, clock: SteppedClock) -> None:
        super().__init__()
        self._clock = clock

    def now_ms(self) -> int:
        return self._clock.now_ms()


class Trouble(Faults):
    """Faults that can be switched on and off while the emulator runs, and that are counted."""

    __slots__ = ("counts", "is_on")

    def __init__(self, seed: int) -> None:
        super().__init__(seed=seed, **FAULTS)
        object.__setattr__(self, "counts", Counter())
        object.__setattr__(self, "is_on", False)

    def switch(self, *, on: bool) -> None:
        object.__setattr__(self, "is_on", on)

    def draw(self, call: int) -> tuple[str | None, float]:
        if not self.is_on:
            return None, 0.0
        kind, latency_s = super().draw(call)
        if kind:
            self.counts[f"oa:{kind}"] += 1
        return kind, latency_s


@dataclass
class Company:
    """A company and its OA.

    Attributes:
        waiting: Sound claims that are not approved yet, in the order in which they will be.
        approved: Those that were approved meanwhile, and stand.
    """

    world: World
    trouble: Trouble
    waiting: list[str] = field(default_factory=list)
    approved: list[str] = field(default_factory=list)
    url: str = ""

    @classmethod
    def of(cls, documents: int, seed: int, clock: SteppedClock, *, held_back: bool = True) -> Company:
        """A year of documents, some dirty; with `held_back` most sound claims wait for their approval."""
        world = generate_world(documents, seed, YEAR, dirty_share=0.03, clock=_Clock(clock))
        for flow_id, truth in world.truth.items():
            if truth.defect in HARMLESS:
                world.change("delete", flow_id)
        company = cls(world, Trouble(seed))
        if held_back:
            company.waiting = [each.id for each in world.documents.values() if company._can_wait(each)]
            Random(f"{seed}/waiting").shuffle(company.waiting)  # noqa: S311  (repeatable, not secret)
            for flow_id in company.waiting:
                world.change("withdraw", flow_id)
        return company

    def _can_wait(self, document: Document) -> bool:
        """A sound claim that nothing else depends on."""
        truth = self.world.truth[document.id]
        return (
            document.state == "paid"
            and document.form_type == "expense"
            and truth.voucher_expected
            and truth.counterpart is None
            and "writtenOffRecords" not in unpack(document.packed)["form"]
        )

    def approve(self, count: int) -> int:
        """Let the next claims through; returns how many there were."""
        chosen, self.waiting = self.waiting[:count], self.waiting[count:]
        for flow_id in chosen:
            self.world.change("submit", flow_id)
            self.world.change("approve", flow_id)
        self.approved += chosen
        return len(chosen)

    def nullify(self, chance: Random) -> None:
        """Make one of the approved claims void, whatever has become of its voucher."""
        if self.approved:
            flow_id = self.approved.pop(chance.randrange(len(self.approved)))
            self.world.change("nullify", flow_id)

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        """The OA answers meanwhile."""
        with running(self.world, faults=self.trouble) as url:
            self.url = url
            yield

    @property
    def connection(self) -> str:
        """As an environment variable of Airflow holds it."""
        return json.dumps({"conn_type": "hesi", "host": self.url, "login": APP_KEY, "password": APP_SECRET})


def write_config(folder: Path, ledger: dict[str, Any]) -> None:
    """A folder of configuration with one book, `chaos`, and rules that an auditor can tell in a few lines.

    Every claim is debited line by line by its fee type and credited to the bank or to the employee, loans and payments
    are two lines each, the summary is the document's code, and nothing else makes a voucher.
    """
    source: dict[str, Any] = {
        "id": "hesi",
        "system": "hesi",
        "connection": "hesi_default",
        "start": f"{YEAR}-01-01",
        "overlap_s": 60,
        "forms": [
            {"form": "expense", "kind": "expense_claim"},
            {"form": "loan", "kind": "loan"},
            {"form": "payment", "kind": "payment_request"},
        ],
    }
    book: dict[str, Any] = {
        "id": "chaos",
        "name": {"zh": "混沌", "en": "Chaos"},
        "currency": "CNY",
        "source": "hesi",
        "legal_entities": ["E01"],
        "receives_unassigned": True,
        "after_posting": {"withdrawn": "reverse"},
        "ledger": ledger,
    }
    claim = {
        "kinds": ["expense_claim"],
        "word": "记",
        "summary": "{document.code}",
        "lines": [
            {
                "name": "expense",
                "for_each": "line",
                "side": "debit",
                "measure": "gross",
                "account": {"table": "expense_accounts"},
                "dimensions": {"department": "line.department"},
                "merge": "account_and_dimensions",
            },
            {
                "name": "paid",
                "side": "credit",
                "measure": "gross",
                "account": {"key": "bank"},
                "when": {"document.payment_channel": "not_missing"},
            },
            {
                "name": "owed",
                "side": "credit",
                "measure": "gross",
                "account": {"key": "employee_payables"},
                "dimensions": {"employee": "document.submitter"},
                "when": {"document.payment_channel": "is_missing"},
            },
        ],
    }
    templates = [
        _template("expense_claim", claim),
        _template("loan", _two_lines("loan", "employee_loans", {"employee": "document.submitter"})),
        _template(
            "payment_request",
            _two_lines("payment_request", "supplier_payables", {"supplier": "document.supplier"}),
        ),
    ]
    files = {
        "sources/hesi.yaml": json.dumps(source),
        "books/chaos.yaml": json.dumps(book),
        "rules/chaos/all.yaml": json.dumps({"templates": templates}),
        "tables/chaos/accounts.csv": (
            "key,account\nbank,1002\nemployee_payables,2241.03\nemployee_loans,1221.03\nsupplier_payables,2202.01\n"
        ),
        "tables/chaos/expense_accounts.csv": (
            "line.fee_type,account\nCOST1*,6602.10\nCOST2*,6602.04\n*,6602.99\n"
        ),
    }
    for name, content in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, "utf-8")


def _template(name: str, content: dict[str, Any]) -> dict[str, Any]:
    return {"id": name, "event": name, "title": {"zh": name, "en": name}, **content}


def _two_lines(kind: str, debit: str, dimensions: dict[str, str]) -> dict[str, Any]:
    return {
        "kinds": [kind],
        "word": "付",
        "summary": "{document.code}",
        "lines": [
            {
                "name": "debit",
                "side": "debit",
                "measure": "gross",
                "account": {"key": debit},
                "dimensions": dimensions,
            },
            {"name": "paid", "side": "credit", "measure": "gross", "account": {"key": "bank"}},
        ],
    }
