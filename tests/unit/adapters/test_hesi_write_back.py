"""Write-back: one bad document does not spoil the rest, a lost answer does not lose a number."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.adapters.oa.hesi.write_back import PATH, VoucherWriter
from include.domain.errors import FixConfig, FixData, OutcomeUnknown, RetryLater
from include.ports import WriteBackEntry, WriteBackOutcome, WriteBackResult
from tests.conftest import FakeClock


class Office:
    """Stands for the client: all or nothing per call, as the vendor documents it."""

    def __init__(self, bad: set[str] | None = None, *, names_bad: bool = True) -> None:
        self.bad = bad or set()
        self.names_bad = names_bad
        self.numbers: dict[str, str] = {}
        self.batches: list[list[str]] = []
        self.trouble: Callable[[int, list[str]], None] = lambda _number, _ids: None
        self.lose: set[int] = set()
        """Calls (from 1) that are carried out and whose answer is lost."""

    def write(self, path: str, body: Mapping[str, Any]) -> Any:
        assert path == PATH
        ids = [item["flowId"] for item in body["voucher"]]
        self.batches.append(ids)
        self.trouble(len(self.batches), ids)
        guilty = [i for i in ids if i in self.bad]
        if guilty:
            named = ", ".join(guilty) if self.names_bad else "?"
            raise FixData(f"HTTP 400 单据Id:[[{named}]]的单据不是已支付状态")
        for item in body["voucher"]:
            self.numbers[item["flowId"]] = item["voucherNo"]
        if len(self.batches) in self.lose:
            raise OutcomeUnknown("answer lost")
        return {"value": True}

    def look(self, ids: Sequence[str]) -> Mapping[str, str | None]:
        return {i: self.numbers.get(i, "") for i in ids}


def entries(count: int) -> list[WriteBackEntry]:
    at = datetime(2026, 4, 1, tzinfo=UTC)
    return [WriteBackEntry(f"ID_{n}", f"记-{n}", "2026-03", at) for n in range(count)]


def write(office: Office, count: int, batch: int = 100, look: Any = None) -> list[WriteBackResult]:
    clock = FakeClock()
    return VoucherWriter(office, look or office.look, batch, clock.sleep).write(entries(count))  # type: ignore[arg-type]


def outcomes(results: Sequence[WriteBackResult]) -> list[str]:
    return [result.outcome.value for result in results]


def test_batches_are_of_the_given_size_and_bodies_as_documented() -> None:
    office = Office()
    seen: list[Any] = []
    real = office.write
    office.write = lambda path, body: (seen.append(body), real(path, body))[1]  # type: ignore[method-assign]
    assert outcomes(write(office, 7, batch=3)) == ["written"] * 7
    assert [len(batch) for batch in office.batches] == [3, 3, 1]
    assert seen[0]["voucher"][0] == {
        "flowId": "ID_0",
        "voucherNo": "记-0",
        "voucherCreateTime": "1775001600000",
        "fiscalPeriod": "2026-03",
    }


@given(
    count=st.integers(1, 60),
    bad=st.sets(st.integers(0, 59), max_size=60),
    names_bad=st.booleans(),
    batch=st.integers(1, 25),
)
def test_the_good_are_written_and_only_the_bad_refused_in_bounded_calls(
    count: int, bad: set[int], names_bad: bool, batch: int
) -> None:
    office = Office({f"ID_{n}" for n in bad}, names_bad=names_bad)
    results = write(office, count, batch)
    assert [result.document_id for result in results] == [f"ID_{n}" for n in range(count)]
    assert outcomes(results) == ["refused" if n in bad else "written" for n in range(count)]
    assert set(office.numbers) == {f"ID_{n}" for n in range(count) if n not in bad}
    assert len(office.batches) <= 2 * count


def test_a_refusal_that_names_the_guilty_costs_few_calls() -> None:
    office = Office({"ID_3", "ID_50", "ID_77"})
    write(office, 100)
    assert len(office.batches) == 3  # all, the good, the named


def test_an_id_that_is_part_of_another_is_not_taken_for_it() -> None:
    office = Office({"ID_12"})
    results = write(office, 20)
    assert [r.document_id for r in results if r.outcome is WriteBackOutcome.REFUSED] == ["ID_12"]
    assert len(office.batches) == 3


def test_a_lost_answer_is_looked_up_before_anything_is_sent_again() -> None:
    office = Office()
    office.lose = {1}
    assert outcomes(write(office, 4)) == ["written"] * 4
    assert len(office.batches) == 1


def test_what_the_look_does_not_find_is_sent_once_more() -> None:
    office = Office()

    def trouble(number: int, ids: list[str]) -> None:
        if number == 1:
            raise OutcomeUnknown("cut before anything happened")

    office.trouble = trouble
    assert outcomes(write(office, 4)) == ["written"] * 4
    assert len(office.batches) == 2


def test_forms_that_show_no_number_are_sent_again_which_is_harmless() -> None:
    office = Office()
    office.lose = {1}
    results = write(office, 3, look=dict.fromkeys)
    assert outcomes(results) == ["written"] * 3
    assert len(office.batches) == 2


def test_two_lost_answers_are_unknown_and_say_so() -> None:
    office = Office()
    office.lose = {1, 2}
    results = write(office, 2, look=dict.fromkeys)
    assert outcomes(results) == ["unknown"] * 2
    assert all("lost" in result.message for result in results)


def test_a_look_that_fails_is_no_answer() -> None:
    office = Office()
    office.lose = {1}

    def look(ids: Sequence[str]) -> Mapping[str, str | None]:
        raise RetryLater("down")

    assert outcomes(write(office, 2, look=look)) == ["unknown"] * 2
    assert len(office.batches) == 1


def test_a_busy_office_is_waited_for() -> None:
    office = Office()

    def trouble(number: int, ids: list[str]) -> None:
        if number < 3:
            raise RetryLater("429", retry_after_s=5)

    office.trouble = trouble
    assert outcomes(write(office, 2)) == ["written"] * 2


def test_an_office_that_is_away_from_the_start_raises() -> None:
    office = Office()

    def trouble(number: int, ids: list[str]) -> None:
        raise RetryLater("down")

    office.trouble = trouble
    with pytest.raises(RetryLater):
        write(office, 2)
    assert len(office.batches) == 4


def test_an_office_that_goes_away_keeps_what_is_done() -> None:
    office = Office()

    def trouble(number: int, ids: list[str]) -> None:
        if number > 1:
            raise RetryLater("down")

    office.trouble = trouble
    results = write(office, 5, batch=2)
    assert outcomes(results) == ["written", "written", "unknown", "unknown", "unknown"]


def test_refused_keys_stop_everything() -> None:
    office = Office()

    def trouble(number: int, ids: list[str]) -> None:
        raise FixConfig("403")

    office.trouble = trouble
    with pytest.raises(FixConfig):
        write(office, 2)
