"""An emulated Hesi with a generated company, and the adapter on it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from include.adapters.oa.hesi import HesiSource, build_source
from include.conformance.source_suite import LONG_AGO, Known, SourceUnderTest
from include.connections import Endpoint
from include.emulators.hesi import World, generate_world
from include.emulators.hesi.clock import EmulatorClock
from include.emulators.hesi.faults import Faults
from include.emulators.hesi.server import APP_KEY, APP_SECRET, running
from include.settings import load_settings

OPTIONS: dict[str, Any] = {
    "amount_fields": {
        "SPEC_PO": "u_订单金额",
        "SPEC_GOODS_RECEIPT": "u_暂估金额",
        "SPEC_PURCHASE_INVOICE": "u_价税合计",
    },
    "invoice_fields": {"SPEC_PURCHASE_INVOICE": "u_发票"},
    "link_fields": ["u_采购订单", "u_入库单"],
}
NOW_MS = int(datetime(2027, 3, 1, 1, tzinfo=UTC).timestamp() * 1000)
TOKEN_TTL_S = 7200
WRONG = "wrong-secret-7"
APPROVED_STATES = frozenset({"paid", "archived"})
"""Payment is under way in `paying`; a voucher is due once it is made."""


class EmulatedTime:
    """Our clock, in step with the emulator's; sleeping moves both."""

    def __init__(self, clock: EmulatorClock) -> None:
        self._clock = clock

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.now_ms() / 1000, UTC)

    def monotonic(self) -> float:
        return self._clock.now_ms() / 1000

    def sleep(self, seconds: float) -> None:
        self._clock.advance(int(seconds * 1000) + 1)


@dataclass(frozen=True, slots=True)
class NextCalls(Faults):
    """Trouble for the next calls, one kind for each."""

    planned: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """It draws nothing, so no shares have to add up."""

    def draw(self, call: int) -> tuple[str | None, float]:
        """What befalls the n-th call, and its latency in seconds."""
        return (self.planned.pop(0) if self.planned else None), 0.0


@dataclass
class HesiSystem:
    source: HesiSource
    world: World
    trouble: NextCalls = field(default_factory=NextCalls)
    url: str = ""
    form_types: tuple[str, ...] = ("expense", "payment")
    since: datetime = LONG_AGO
    secrets: tuple[str, ...] = (APP_SECRET, WRONG)

    def ids(self, form_type: str) -> set[str]:
        return {d.id for d in self.world.documents.values() if d.form_type == form_type}

    def deleted(self) -> set[str]:
        return {d.id for d in self.world.documents.values() if not d.active}

    def known(self) -> Mapping[str, Known]:
        found = {}
        for document in self.world.documents.values():
            truth = self.world.truth[document.id]
            created = datetime.fromtimestamp(document.create_time / 1000, UTC)
            is_due = document.active and document.state in APPROVED_STATES
            if truth.defect is None:
                found[document.id] = Known(truth.gross, created, is_due)
        return found

    def touch(self, document_id: str) -> None:
        self.world.clock.advance(700)
        self.world.change("edit", document_id, fields={"description": f"第 {self.world.revision} 次修改"})

    def delete(self, document_id: str) -> None:
        self.world.clock.advance(700)
        self.world.change("delete", document_id)

    def take_back(self, document_id: str) -> None:
        self.world.clock.advance(700)
        self.world.change("nullify", document_id)

    def approved(self) -> list[str]:
        documents = self.world.documents.values()
        return [d.id for d in documents if d.active and d.state == "paid" and d.form_type == "expense"]

    def unapproved(self) -> str:
        documents = self.world.documents.values()
        return next(d.id for d in documents if d.active and d.state not in APPROVED_STATES)

    def shown_number(self, document_id: str) -> str:
        return self.world.documents[document_id].voucher_no

    def expire_tokens(self) -> None:
        self.world.clock.advance(TOKEN_TTL_S * 1000 + 1)

    def refuse_calls(self, times: int) -> None:
        self.trouble.planned.extend(["too_many"] * times)

    def break_answers(self, times: int) -> None:
        self.trouble.planned.extend(["truncate"] * times)

    def lose_answers(self, times: int) -> None:
        self.source.check()  # a token is there, so that the next call is the one that writes
        self.trouble.planned.extend(["drop_after"] * times)

    @contextlib.contextmanager
    def with_wrong_secret(self) -> Iterator[HesiSource]:
        with source_at(self.url, self.world, password=WRONG) as source:
            yield source


@contextlib.contextmanager
def source_at(
    url: str, world: World, *, password: str = APP_SECRET, start: date = date(2026, 1, 1), **options: Any
) -> Iterator[HesiSource]:
    """The adapter on a server, its clock in step with the world's."""
    config = load_settings().sources["hesi"].model_copy(update={"options": OPTIONS | options, "start": start})
    endpoint = Endpoint("hesi_default", url, APP_KEY, password)
    with contextlib.closing(build_source(config, endpoint, EmulatedTime(world.clock))) as source:
        yield source


@contextlib.contextmanager
def connected(
    world: World,
    *,
    password: str = APP_SECRET,
    start: date = date(2026, 1, 1),
    token_ttl_s: int = TOKEN_TTL_S,
    faults: Faults | None = None,
    **options: Any,
) -> Iterator[HesiSource]:
    """The adapter on an emulator of its own."""
    with (
        running(world, token_ttl_s=token_ttl_s, faults=faults) as url,
        source_at(url, world, password=password, start=start, **options) as source,
    ):
        yield source


def make_world(dirty_share: float = 0.0) -> World:
    return generate_world(160, seed=11, dirty_share=dirty_share, clock=EmulatorClock(NOW_MS))


@contextlib.contextmanager
def emulated(_folder: Path) -> Iterator[SourceUnderTest]:
    """In pages of seven."""
    world, trouble = make_world(), NextCalls()
    with (
        running(world, token_ttl_s=TOKEN_TTL_S, faults=trouble) as url,
        source_at(url, world, page_size=7) as source,
    ):
        yield HesiSystem(source, world, trouble, url)


VARIANTS = {"": emulated}
