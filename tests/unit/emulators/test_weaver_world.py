"""The emulated e-cology without a server: what it writes, what happened to it, and that its verdicts are true."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.emulators.weaver import EmulatorError, Options, Plan, World, open_world
from include.emulators.weaver.amounts import capital, oracle, plain, thousands
from include.emulators.weaver.conditions import SqlError, where_of
from include.emulators.weaver.lists import count, soap_page
from include.emulators.weaver.options import parse_setting
from include.emulators.weaver.papers import ODDITIES, typed
from include.emulators.weaver.world import VERDICTS

PLAN = Plan(documents=260, seed=5, dirty_share=0.15)


@pytest.fixture(scope="module")
def world() -> World:
    return open_world(PLAN)


def dump(world: World) -> list[tuple[object, ...]]:
    return [tuple(row) for row in world.store.rows("SELECT * FROM workflow_requestbase ORDER BY requestid")]


class TestAmounts:
    @pytest.mark.parametrize(
        ("minor", "words"),
        [
            (0, "零元整"),
            (5, "伍分"),
            (100, "壹元整"),
            (10_05, "壹拾元零伍分"),
            (1234_50, "壹仟贰佰叁拾肆元伍角整"),
            (1001_00, "壹仟零壹元整"),
            (100_000_05, "壹拾万元零伍分"),
            (10_020_003_00, "壹仟零贰万零叁元整"),
            (-50, "负伍角整"),
        ],
    )
    def test_capitals_are_as_a_bank_writes_them(self, minor: int, words: str) -> None:
        assert capital(minor) == words

    def test_oracle_leaves_out_zeros_before_and_after(self) -> None:
        assert [oracle(minor) for minor in (50, 5, 100, 1234_50, -50, 0)] == [
            ".5",
            ".05",
            "1",
            "1234.5",
            "-.5",
            "0",
        ]

    @given(st.integers(-(10**12), 10**12))
    def test_every_spelling_is_the_same_amount(self, minor: int) -> None:
        for text in (plain(minor), oracle(minor), thousands(minor).replace(",", "")):
            assert Decimal(text).scaleb(2) == minor

    @given(st.integers(0, 10**10), st.sampled_from(ODDITIES))
    def test_what_people_type_is_the_amount_for_a_reader_of_digits(self, minor: int, oddity: str) -> None:
        text = typed(minor, oddity).strip().lstrip("￥").replace(",", "").replace("．", ".")
        assert Decimal(text).scaleb(2) == minor  # Decimal reads full-width digits


class TestTheCompany:
    def test_the_same_seed_gives_the_same_rows_and_another_gives_others(self, world: World) -> None:
        assert dump(open_world(PLAN)) == dump(world)
        assert dump(open_world(replace(PLAN, seed=6))) != dump(world)

    def test_every_fate_and_every_defect_happens(self, world: World) -> None:
        told = world.truth().values()
        assert {item["verdict"] for item in told} == set(VERDICTS)
        defects = {item["truth"]["defect"] for item in told}
        assert {"total_mismatch", "no_department", "unreadable_amount", "no_lines"} <= defects

    def test_sound_documents_add_up(self, world: World) -> None:
        """Lines, totals, loans and payment of every sound claim agree with the truth, in the text of the form."""
        truth, checked = world.truth(), 0
        for row in world.store.rows("SELECT requestid, body FROM workflow_requestbase WHERE workflowid = 61"):
            told = truth[str(row["requestid"])]["truth"]
            if told["defect"] or told["oddity"]:
                continue
            body = json.loads(row["body"])
            lines = [line["fields"]["je"].replace(",", "") for line in body["details"]["dt1"]]
            assert sum(map(Decimal, lines)) == Decimal(body["main"]["bxzje"]) == Decimal(told["gross"]) / 100
            offset = sum(told["offset"].values())
            assert Decimal(body["main"]["sfje"]) * 100 == told["gross"] - offset == told["paid"]
            assert sum(line["amount"] for line in told["lines"]) == told["gross"]
            checked += 1
        assert checked > 100

    def test_a_loan_is_settled_once_and_only_after_it_was_approved(self, world: World) -> None:
        truth = world.truth()
        settled = Counter(loan for told in truth.values() for loan in told["truth"]["offset"])
        assert settled
        assert max(settled.values()) == 1
        assert {truth[loan]["truth"]["kind"] for loan in settled} == {"loan"}

    def test_of_a_repeated_invoice_the_first_is_sound_and_approved(self) -> None:
        world = open_world(Plan(documents=400, seed=3, dirty_share=0.5))
        truth, first = world.truth(), {}
        repeated = 0
        for row in world.store.rows(
            "SELECT requestid, body FROM workflow_requestbase WHERE workflowid = 61 ORDER BY 1"
        ):
            told = truth[str(row["requestid"])]
            numbers = {line["fields"]["fphm"] for line in json.loads(row["body"])["details"]["dt1"]} - {""}
            for number in numbers & set(first):
                repeated += 1
                assert told["truth"]["defect"] == "duplicate_invoice"
                assert truth[first[number]]["voucher_expected"]
            first |= {number: str(row["requestid"]) for number in numbers if number not in first}
        assert repeated > 3

    def test_a_voucher_is_expected_of_sound_approved_documents_alone(self, world: World) -> None:
        for told in world.truth().values():
            assert told["voucher_expected"] == (told["verdict"] == "approved" and not told["truth"]["defect"])

    def test_a_data_file_keeps_the_documents_and_refuses_others(self, tmp_path: Path) -> None:
        path, plan = tmp_path / "oa.sqlite", Plan(documents=20)
        first = open_world(plan, Options(token_ttl_s=60), path)
        rows = dump(first)
        first.store.close()
        again = open_world(None, None, path)
        assert dump(again) == rows
        assert again.options.token_ttl_s == 60
        again.store.close()
        with pytest.raises(EmulatorError, match="属于另一套数据"):
            open_world(Plan(documents=21), None, path)
        with pytest.raises(EmulatorError, match="另建数据文件"):
            open_world(plan, Options(database="oracle"), path)

    def test_what_breaks_off_in_the_middle_leaves_nothing(self) -> None:
        world = open_world(Plan(documents=8))
        rows, logs = dump(world), len(world.store.rows("SELECT id FROM workflow_requestlog"))
        number = world.store.row("SELECT max(requestid) AS last FROM workflow_requestbase")
        assert number is not None

        def break_off() -> None:
            with world.call() as now:
                world.flow.delete(number["last"], now)
                assert dump(world) != rows
                raise RuntimeError("the power went")

        with pytest.raises(RuntimeError, match="the power went"):
            break_off()
        assert dump(world) == rows
        assert len(world.store.rows("SELECT id FROM workflow_requestlog")) == logs

    def test_a_file_of_something_else_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "x.sqlite"
        path.write_text("no database" * 100)
        with pytest.raises(EmulatorError, match="不是本模拟器的数据文件"):
            open_world(path=path)

    def test_a_forced_end_and_a_withdrawal_after_the_end_are_no_approval(self, world: World) -> None:
        truth = world.truth()
        archived = world.store.rows("SELECT requestid FROM workflow_requestbase WHERE currentnodetype = '3'")
        verdicts = Counter(truth[str(row["requestid"])]["verdict"] for row in archived)
        assert set(verdicts) == {"approved", "forced"}
        revoked = [number for number, told in truth.items() if told["verdict"] == "revoked"]
        assert not {str(row["requestid"]) for row in archived} & set(revoked)
        assert {truth[number]["archived_once"] for number in revoked} == {True}


class TestConditions:
    @pytest.mark.parametrize(
        ("fragment", "sql", "values"),
        [
            (" t1.workflowid=61 ", "t1.workflowid = ?", (61,)),
            ("t1.requestname like '%报销%'", "t1.requestname LIKE ?", ("%报销%",)),
            ("t1.requestname = N'it''s'", "t1.requestname = ?", ("it's",)),
            (
                "t1.lastoperatedate >= '2026-03-01' AND NOT (t1.creater <> 7 or t2.isremark in ('2','4'))",
                "t1.lastoperatedate >= ? AND NOT (t1.creater <> ? OR t2.isremark IN (?, ?))",
                ("2026-03-01", 7, "2", "4"),
            ),
            (
                "t1.createdate between '2026-01-01' and '2026-01-31'",
                "t1.createdate BETWEEN ? AND ?",
                ("2026-01-01", "2026-01-31"),
            ),
            ("t1.deleted is null or 1=1", "t1.deleted IS NULL OR ? = ?", (1, 1)),
            ("t1.requestid not in (-1)", "t1.requestid NOT IN (?)", (-1,)),
        ],
    )
    def test_documented_fragments_become_bound_sql(
        self, fragment: str, sql: str, values: tuple[object, ...]
    ) -> None:
        where = where_of(["", fragment])
        assert where.sql == f" AND {sql}"
        assert where.values == values

    @pytest.mark.parametrize(
        "fragment",
        [
            "t1.body like '%x%'",
            "requestid = 1",
            "t1.requestid in (select 1)",
            "1=1; drop table workflow_requestbase",
            "1=1 --",
            "t1.requestname = 'open",
            "t1.requestid = 99999999999999999999",
            "t1.requestid",
            "and",
            "(" * 200 + "1=1" + ")" * 200,
            "t1.requestid = sleep(5)",
            "emulator_token.token = 'x'",
        ],
    )
    def test_anything_else_is_an_error_of_the_database(self, fragment: str) -> None:
        with pytest.raises(SqlError):
            where_of([fragment])

    @given(st.text(alphabet="t1.requestid=<>()'%, andorlike0123456789x-", max_size=60))
    def test_no_text_reaches_the_database_as_a_statement(self, fragment: str) -> None:
        """Whatever is given, the statement runs with bound values or the fragment is refused."""
        try:
            where = where_of([fragment])
        except SqlError:
            return
        assert count(SMALL.store, "All", 9, where) >= 0

    def test_an_or_without_brackets_reaches_beyond_the_users_own(self) -> None:
        own = count(SMALL.store, "ToDo", 9)
        assert count(SMALL.store, "ToDo", 9, where_of(["1=2 or 1=1"])) > own


SMALL = open_world(Plan(documents=20))


class TestPages:
    @given(st.integers(1, 30), st.integers(0, 200))
    def test_with_the_true_count_both_databases_give_every_row_once(self, size: int, total: int) -> None:
        for database in ("sqlserver", "oracle"):
            seen: list[int] = []
            for page in range(1, total // size + 3):
                limit, offset = soap_page(database, page, size, total, total)
                seen += range(offset, min(offset + limit, total))
            assert seen == list(range(total)), database

    def test_sql_server_believes_a_count_that_is_too_small(self) -> None:
        assert soap_page("sqlserver", 1, 10, 4, 25) == (4, 0)
        assert soap_page("sqlserver", 2, 10, 4, 25) == (0, 0)

    def test_sql_server_repeats_its_last_rows_for_a_count_that_is_too_large(self) -> None:
        assert soap_page("sqlserver", 4, 10, 100, 25) == (10, 15)
        assert soap_page("oracle", 4, 10, 100, 25) == (10, 30)


class TestOptions:
    def test_a_wrong_name_or_value_says_what_there_is(self) -> None:
        with pytest.raises(EmulatorError, match=r"unknown option 'data_base'.*database"):
            Options().changed({"data_base": "oracle"})
        with pytest.raises(EmulatorError, match="one of: sqlserver, oracle"):
            Options(database="mysql")
        with pytest.raises(EmulatorError, match="must be a bool"):
            Options().changed({"endless_pages": 1})

    def test_settings_of_the_command_line_have_the_type_of_their_option(self) -> None:
        texts = (
            "endless_pages=true",
            "move_delay_ms=5",
            "soap_allow_ips=10.0.0.1,10.0.0.2",
            "database=oracle",
        )
        options = Options().changed(dict(parse_setting(text) for text in texts))
        assert options.endless_pages is True
        assert options.move_delay_ms == 5
        assert options.soap_allow_ips == ("10.0.0.1", "10.0.0.2")
        with pytest.raises(EmulatorError, match="名称=值"):
            parse_setting("nonsense")
