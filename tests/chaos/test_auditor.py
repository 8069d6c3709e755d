"""The auditor itself: what it is there to find must be found, and nothing else."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from include.emulators.hesi import World
from tests.chaos.auditor import Posted, Verdict, audit, expected_vouchers, still_open
from tests.chaos.company import Company
from tests.chaos.steps import SteppedClock

Spoil = Callable[[list[Posted]], list[Posted]]


@pytest.fixture
def company(tmp_path: Path) -> Company:
    return Company.of(120, 5, SteppedClock(tmp_path / "clock", datetime(2026, 3, 2, tzinfo=UTC)))


def in_order(world: World) -> list[Posted]:
    """A ledger that is as it should be, with numbers that the OA shows."""
    vouchers = []
    for position, (flow_id, voucher) in enumerate(expected_vouchers(world).items(), 1):
        vouchers.append(replace(voucher, number=f"记-{position}"))
        if world.documents[flow_id].state == "paid":
            world.write_back(
                [
                    {
                        "flowId": flow_id,
                        "voucherNo": f"记-{position}",
                        "voucherCreateTime": 1,
                        "fiscalPeriod": "",
                    }
                ]
            )
    return vouchers


def count(verdict: Verdict) -> tuple[int, int, int, int]:
    return tuple(
        len(each) for each in (verdict.lost, verdict.duplicated, verdict.altered, verdict.unresolved)
    )  # type: ignore[return-value]


def test_claims_wait_until_they_are_approved(company: Company) -> None:
    before = len(expected_vouchers(company.world))
    waiting = len(company.waiting)
    assert waiting > 20

    approved = company.approve(7)

    assert (approved, len(company.waiting)) == (7, waiting - 7)
    assert len(expected_vouchers(company.world)) == before + 7


def test_a_ledger_in_order_has_no_findings(company: Company) -> None:
    company.approve(10)
    vouchers = in_order(company.world)

    verdict = audit(company.world, vouchers)

    assert count(verdict) == (0, 0, 0, 0), verdict.findings()
    assert verdict.vouchers == len(vouchers) > 20


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (lambda vouchers: vouchers[1:], (1, 0, 0, 0)),
        (lambda vouchers: [*vouchers, vouchers[3]], (0, 1, 0, 0)),
        (lambda vouchers: [*vouchers, replace(vouchers[0], code="B99999999")], (0, 1, 0, 0)),
        (lambda vouchers: [_more(vouchers[0], 1), *vouchers[1:]], (0, 0, 1, 0)),
        (lambda vouchers: [replace(vouchers[0], day="2026-01-01"), *vouchers[1:]], (0, 0, 1, 0)),
        (lambda vouchers: [_moved(vouchers[0], account="6602.03"), *vouchers[1:]], (0, 0, 1, 0)),
        (lambda vouchers: [_moved(vouchers[0], auxiliary="department XX"), *vouchers[1:]], (0, 0, 1, 0)),
        (lambda vouchers: [replace(vouchers[0], is_posted=False), *vouchers[1:]], (0, 0, 0, 1)),
        (
            lambda vouchers: [_more(vouchers[0], 1), *vouchers[2:], vouchers[2]],
            (1, 1, 1, 0),
        ),
        (lambda vouchers: [*vouchers, _void(vouchers[0], 1), _void(vouchers[0], -1)], (0, 0, 0, 0)),
        (lambda vouchers: [*vouchers, _void(vouchers[0], 1)], (0, 1, 0, 0)),
        (lambda vouchers: [*vouchers, *(_void(vouchers[0], sign) for sign in (1, -1, -1, 1))], (0, 1, 0, 0)),
    ],
)
def test_what_is_wrong_is_found(company: Company, spoil: Spoil, found: tuple[int, ...]) -> None:
    vouchers = in_order(company.world)

    assert count(audit(company.world, spoil(vouchers))) == found


def test_a_number_that_the_oa_does_not_show_is_unresolved(company: Company) -> None:
    vouchers = in_order(company.world)
    flow_id = next(i for i in expected_vouchers(company.world) if company.world.documents[i].state == "paid")
    company.world.documents[flow_id].voucher_no = ""

    verdict = audit(company.world, vouchers)

    assert count(verdict) == (0, 0, 0, 1)
    assert company.world.documents[flow_id].code in verdict.unresolved[0]


def test_a_sound_document_in_quarantine_is_unresolved_and_a_dirty_one_is_not(company: Company) -> None:
    sound = next(i for i, truth in company.world.truth.items() if truth.voucher_expected)
    dirty = next(i for i, truth in company.world.truth.items() if truth.defect)
    store = sqlite3.connect(":memory:")
    store.executescript(
        "CREATE TABLE voucher (status TEXT); INSERT INTO voucher VALUES ('posted'), ('unknown'), ('unknown');"
        "CREATE TABLE discrepancy (kind TEXT, subject TEXT, resolved_at TEXT);"
        "INSERT INTO discrepancy VALUES ('amount', 'k1', NULL), ('amount', 'k2', 'now');"
        "CREATE TABLE source_document (document_id TEXT, code TEXT, is_current INTEGER, disposition TEXT);"
    )
    store.executemany(
        "INSERT INTO source_document VALUES (?, ?, 1, 'quarantined')", [(sound, "B1"), (dirty, "B2")]
    )

    found = still_open(lambda query: store.execute(query).fetchall(), company.world)
    store.close()

    assert found == [
        "2 vouchers that are unknown",
        "1 open discrepancies amount k1",
        f"B1 ({sound}) is quarantined and sound",
    ]


def _void(voucher: Posted, sign: int) -> Posted:
    """A voucher of a document that has none, or its reversal."""
    return replace(voucher, code="B99999999", lines={k: sign * v for k, v in voucher.lines.items()})


def _more(voucher: Posted, minor: int) -> Posted:
    first = next(iter(voucher.lines))
    return replace(voucher, lines={**voucher.lines, first: voucher.lines[first] + minor})


def _moved(voucher: Posted, *, account: str = "", auxiliary: str = "") -> Posted:
    first, *rest = voucher.lines
    line = (account or first[0], auxiliary or first[1])
    return replace(
        voucher, lines={line: voucher.lines[first], **{each: voucher.lines[each] for each in rest}}
    )
