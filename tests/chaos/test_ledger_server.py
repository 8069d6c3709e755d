"""The accounting server itself, called as a stranger would: what its books promise, whatever happens to its process."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import pytest
import requests

from include.ports import ProofLevel
from tests.chaos.conftest import NewServer
from tests.chaos.ledger_calls import LOGIN, PASSWORD
from tests.chaos.ledger_faults import Fault, FaultPlan, Faults, read_log
from tests.chaos.ledger_process import LedgerProcess

NATIVE, REFERENCE, DAY = ProofLevel.NATIVE_KEY, ProofLevel.SEARCHABLE_REFERENCE, ProofLevel.DATE_AND_AMOUNT
LOST = (requests.exceptions.RequestException, ValueError)


class Stranger:
    """A client that sends what it is told and sees whole answers, statuses too."""

    def __init__(self, server: LedgerProcess) -> None:
        self.server = server

    def send(self, path: str, **body: Any) -> tuple[int, dict[str, Any]]:
        login = requests.post(
            f"{self.server.url}/api/login", json={"user": LOGIN, "password": PASSWORD}, timeout=60
        ).json()
        headers = {"Authorization": f"Bearer {login['data']['token']}"}
        response = requests.post(self.server.url + path, json=body, headers=headers, timeout=60)
        return response.status_code, response.json()

    def create(self, *vouchers: dict[str, Any], audit: bool = True) -> dict[str, Any]:
        return self.send("/api/vouchers/create", vouchers=list(vouchers), audit=audit)[1]


def plain(
    total: str = "10.00", *, day: str = "2026-03-10", summary: str = "付款", **fields: Any
) -> dict[str, Any]:
    return {
        "word": "记",
        "date": day,
        "entries": [
            {"account": "1001", "debit": total, "summary": summary},
            {"account": "1002", "credit": total, "summary": summary},
        ],
        **fields,
    }


def keys_and_numbers(server: LedgerProcess) -> list[tuple[str, int]]:
    return [(row["idempotency_key"], row["number"]) for row in server.export()["voucher"]]


@pytest.mark.parametrize(
    ("voucher", "code"),
    [
        (plain() | {"entries": plain()["entries"][:1]}, "E1005"),
        (plain() | {"entries": [plain("10.00")["entries"][0], plain("10.01")["entries"][1]]}, "E1005"),
        (plain("10.001"), "E1006"),
        (plain("ten"), "E1006"),
        (plain("NaN"), "E1006"),
        (plain(day="2026-02-30"), "E1006"),
        (plain(day="2031-01-01"), "E2001"),
        (plain() | {"word": "杂"}, "E1007"),
    ],
)
def test_what_the_books_refuse(new_server: NewServer, voucher: dict[str, Any], code: str) -> None:
    server = new_server(REFERENCE)

    answer = Stranger(server).create(voucher)

    assert [each.get("code") for each in answer["data"]] == [code]
    assert not server.export()["voucher"]


def test_numbers_of_a_period_and_word_leave_no_gap(new_server: NewServer) -> None:
    server = new_server(REFERENCE)
    stranger = Stranger(server)

    stranger.create(plain(), plain("1.001"), plain(), plain() | {"word": "付"}, plain(day="2026-04-01"))
    (draft,) = stranger.create(plain(), audit=False)["data"]
    stranger.send("/api/vouchers/delete", ids=[draft["id"]])
    stranger.create(plain())

    rows = server.export()["voucher"]
    assert [(row["period"], row["word"], row["number"]) for row in rows] == [
        ("202603", "记", 1),
        ("202603", "记", 2),
        ("202603", "付", 1),
        ("202604", "记", 1),
        ("202603", "记", 3),
    ]


def test_a_number_may_change_behind_the_answer(new_server: NewServer) -> None:
    server = new_server(NATIVE)
    stranger = Stranger(server)
    stranger.create(plain(day="2026-03-31", idempotencyKey="late"))
    server.set_faults(script=[{"fault": "renumber", "endpoint": "create"}])

    (made,) = stranger.create(plain(day="2026-03-01", idempotencyKey="early"))["data"]

    assert made["number"] == 2
    assert keys_and_numbers(server) == [("late", 2), ("early", 1)]


def test_what_is_audited_cannot_be_deleted_or_audited_again(new_server: NewServer) -> None:
    stranger = Stranger(new_server(REFERENCE))
    (made,) = stranger.create(plain())["data"]

    codes = [
        stranger.send(f"/api/vouchers/{what}", ids=[made["id"]])[1]["code"] for what in ("delete", "audit")
    ]

    assert codes == ["E3003", "E3002"]


@pytest.mark.parametrize("what", ["close", "renumber", "open", "defer", "adjust"])
def test_only_an_accountant_changes_periods(new_server: NewServer, what: str) -> None:
    status, _ = Stranger(new_server(REFERENCE)).send(f"/api/periods/{what}", period="202603")

    assert status == 403


def test_a_period_with_drafts_cannot_be_closed(new_server: NewServer) -> None:
    server = new_server(REFERENCE)
    Stranger(server).create(plain(), audit=False)

    with pytest.raises(RuntimeError, match="E2003"):
        server.as_accountant("/api/periods/close", period="202603")


def test_other_content_under_a_key_is_409(new_server: NewServer) -> None:
    server = new_server(NATIVE)
    stranger = Stranger(server)
    stranger.create(plain(idempotencyKey="k1"))

    status, answer = stranger.send(
        "/api/vouchers/create",
        vouchers=[plain("11.00", idempotencyKey="k1"), plain(idempotencyKey="k2")],
        audit=True,
    )

    assert (status, answer["conflicts"]) == (409, ["k1"])
    assert keys_and_numbers(server) == [("k1", 1)]


def test_without_a_key_nothing_of_the_caller_is_kept(new_server: NewServer) -> None:
    server = new_server(DAY)
    long = "一二三四五六七八九十" * 3

    Stranger(server).create(plain(summary=long, idempotencyKey="k1", memo="k1"))

    tables = server.export()
    assert [(row["idempotency_key"], row["memo"]) for row in tables["voucher"]] == [(None, "")]
    assert {row["summary"] for row in tables["entry"]} == {long[:20]}


@pytest.mark.parametrize(
    ("level", "condition"),
    [
        (REFERENCE, {"idempotencyKeys": ["k1"]}),
        (DAY, {"memos": ["k1"]}),
        (DAY, {"idempotencyKeys": ["k1"]}),
    ],
)
def test_a_level_cannot_be_searched_by_what_it_does_not_keep(
    new_server: NewServer, level: ProofLevel, condition: dict[str, Any]
) -> None:
    _, answer = Stranger(new_server(level)).send("/api/vouchers/search", **condition)

    assert (answer["success"], answer["code"]) == (False, "E5001")


@pytest.mark.parametrize("level", [REFERENCE, DAY])
@pytest.mark.parametrize("plan", [{"rates": {"twice": 0.1}}, {"script": [{"fault": "twice"}]}])
def test_no_call_is_done_twice_where_nothing_protects(
    new_server: NewServer, level: ProofLevel, plan: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match="native key"):
        new_server(level).set_faults(**plan)


@pytest.mark.parametrize(
    "plan", [{"rates": {"explode": 1}}, {"rate": {}}, {"rates": {"late": 0.7, "locked": 0.7}}]
)
def test_a_plan_with_mistakes_is_refused(new_server: NewServer, plan: dict[str, Any]) -> None:
    server = new_server(NATIVE)

    with pytest.raises(ValueError, match=r"explode|rate|more than 1"):
        server.set_faults(**plan)

    assert not any(name.startswith("fault:") for name in server.counts())


def test_the_rest_of_the_world_may_not_administer(new_server: NewServer) -> None:
    server = new_server(NATIVE)

    for path in ("/admin/faults", "/admin/counts", "/audit/export"):
        assert requests.get(server.url + path, timeout=60).status_code == 403


def test_faults_come_again_with_the_same_seed_and_at_the_stated_rate() -> None:
    plan = {"seed": 7, "rates": {"drop_after": 0.3, "locked": 0.1}, "endpoints": ["create", "search"]}
    first, again = (Faults(FaultPlan.parse(plan, "native_key")) for _ in range(2))

    drawn = [first.draw("create")[1] for _ in range(4000)]

    assert drawn == [again.draw("create")[1] for _ in range(4000)]
    counts = Counter(drawn)
    assert 0.27 < counts[Fault.DROP_AFTER] / 4000 < 0.33
    assert 0.08 < counts[Fault.LOCKED] / 4000 < 0.12
    assert not any(first.draw("audit")[1] for _ in range(100)), "another endpoint"
    assert Fault.LOCKED not in {first.draw("search")[1] for _ in range(200)}, "a fault of writes alone"


def test_scripted_faults_come_once_and_are_counted_over_restarts(new_server: NewServer) -> None:
    server = new_server(NATIVE)
    stranger = Stranger(server)
    server.set_faults(
        script=[
            {"fault": "die_before", "endpoint": "create", "after": 1},
            {"fault": "die_after", "endpoint": "audit"},
        ]
    )

    assert stranger.create(plain(idempotencyKey="k1"))["success"]
    with pytest.raises(LOST):
        stranger.create(plain(idempotencyKey="k2"))
    server.wait_until_up()
    assert stranger.create(plain(idempotencyKey="k2"))["success"]

    counts = server.counts()
    assert (counts["create"], counts["fault:die_before"], server.restarts) == (3, 1, 1)
    assert counts.get("fault:die_after", 0) == 0
    assert keys_and_numbers(server) == [("k1", 1), ("k2", 2)]


def test_the_log_says_who_asked_for_what_and_how_it_ended(new_server: NewServer) -> None:
    server = new_server(NATIVE)
    stranger = Stranger(server)
    server.set_faults(script=[{"fault": "drop_after", "endpoint": "create"}])
    with pytest.raises(LOST):
        stranger.create(plain(idempotencyKey="k1"))
    stranger.create(plain(idempotencyKey="k1"), plain("1.001", idempotencyKey="k2"))

    created = [entry for entry in read_log(server.log) if entry["endpoint"] == "create"]

    assert [(e["keys"], e["outcome"], e["fault"]) for e in created] == [
        (["k1"], "ok", "drop_after"),
        (["k1", "k2"], "partly", ""),
    ]
    assert created[0]["at"] <= created[1]["at"]


def test_a_voucher_is_there_whole_or_not_at_all_whenever_the_process_is_killed(new_server: NewServer) -> None:
    server = new_server(NATIVE)
    answered: list[str] = []

    def write(writer: int) -> None:
        stranger = Stranger(server)
        for n in range(12):
            batch = [plain(idempotencyKey=f"{writer}-{n}-{i}") for i in range(5)]
            try:
                stranger.create(*batch)
            except LOST:
                server.wait_until_up()
            else:
                answered.extend(voucher["idempotencyKey"] for voucher in batch)

    writers = [threading.Thread(target=write, args=(writer,)) for writer in range(2)]
    for thread in writers:
        thread.start()
    for _ in range(3):
        server.kill()
    for thread in writers:
        thread.join()

    tables = server.export()
    entries = Counter(row["voucher"] for row in tables["entry"])
    there = Counter(row["idempotency_key"] for row in tables["voucher"])
    assert {entries[row["id"]] for row in tables["voucher"]} == {2}
    assert set(answered) <= set(there), "what was answered is there"
    assert set(there.values()) == {1}
    batches = Counter(key.rpartition("-")[0] for key in there)
    assert set(batches.values()) == {5}, "a batch is one transaction"
    assert sorted(row["number"] for row in tables["voucher"]) == list(range(1, len(there) + 1))
    assert server.restarts == 3


@pytest.mark.parametrize(("refusal", "status"), [("429", 429), ("429_bare", 429), ("lock", 200)])
def test_beyond_the_ceiling_a_call_is_refused(new_server: NewServer, refusal: str, status: int) -> None:
    server = new_server(NATIVE, calls_per_s=0.001, burst=3, refusal=refusal)
    stranger = Stranger(server)

    answers = [stranger.send("/api/periods") for _ in range(5)]

    assert [answer["success"] for _, answer in answers] == [True] * 3 + [False] * 2
    assert {code for code, answer in answers if not answer["success"]} == {status}
    assert server.counts()["outcome:L0001" if refusal == "lock" else "outcome:429"] == 2
