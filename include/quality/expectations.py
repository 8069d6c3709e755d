"""Great Expectations on one staged table: quiet, in memory, on the caller's connection.

The library is imported inside functions only, since that costs seconds. Its context is ephemeral, reports
nothing home, and its engine is bound to the connection that holds the temporary tables.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, Table

from include.quality.check import Check
from include.quality.report import GateError

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Failed:
    """The rows that failed a check; each holds the table's key columns and the checked column."""

    check: Check
    rows: Sequence[Row]


class Evaluator:
    """Puts checks to tables that one connection sees. Close it before the connection goes.

    `engine` must always give that same connection. The object must live as long as the connection is in use.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._execution_engine: Any = None
        self._context: Any = None

    def failed_checks(self, table: Table, rows: int, checks: Sequence[Check]) -> list[Failed]:
        """Put the checks to all rows of a table (`rows` in number) and name those that fail.

        The first pass only counts, which the library does for all checks in one query; rows are asked for
        only where a check failed.

        Raises:
            GateError: a check could not be evaluated, so nothing is known of its rows.
        """
        validator = self._validator(table)
        results = _results(validator, checks, {"result_format": "BOOLEAN_ONLY"})
        broken = [check for check, result in zip(checks, results, strict=True) if not result.success]
        if not broken:
            return []
        everything = {
            "result_format": "COMPLETE",
            "unexpected_index_column_names": [column.name for column in table.primary_key],
            # On SQL the library cuts the list of rows at this number whatever the format, by default at 20.
            "partial_unexpected_count": rows,
        }
        results = _results(validator, broken, everything)
        return [Failed(check, _rows(check, result)) for check, result in zip(broken, results, strict=True)]

    def close(self) -> None:
        """Give back the connection that the library keeps for SQLite."""
        if self._execution_engine is not None:
            with self._execution_engine.get_connection() as connection:
                connection.close()

    def _validator(self, table: Table) -> Any:
        if self._execution_engine is None:
            self._start()
        from great_expectations.core.batch import Batch
        from great_expectations.execution_engine.sqlalchemy_batch_data import SqlAlchemyBatchData
        from great_expectations.validator.validator import Validator

        data = SqlAlchemyBatchData(execution_engine=self._execution_engine, table_name=table.name)
        return Validator(
            execution_engine=self._execution_engine, data_context=self._context, batches=[Batch(data=data)]
        )

    def _start(self) -> None:
        os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
        logging.getLogger("great_expectations").setLevel(logging.ERROR)
        import great_expectations as gx
        from great_expectations.data_context.types.base import (
            DataContextConfig,
            InMemoryStoreBackendDefaults,
            ProgressBarsConfig,
        )
        from great_expectations.execution_engine import SqlAlchemyExecutionEngine

        self._context = gx.get_context(
            mode="ephemeral",
            project_config=DataContextConfig(
                store_backend_defaults=InMemoryStoreBackendDefaults(),
                progress_bars=ProgressBarsConfig(globally=False),
                analytics_enabled=False,
            ),
        )
        self._execution_engine = SqlAlchemyExecutionEngine(engine=self._engine)


def _results(validator: Any, checks: Sequence[Check], result_format: Mapping[str, Any]) -> list[Any]:
    """One result per check, in the same order; a result that is no result raises."""
    import great_expectations.expectations as gxe

    expectations = [
        getattr(gxe, check.rule.expectation)(
            column=check.column, meta={"code": check.code, "position": position}, **check.rule.arguments
        ).configuration
        for position, check in enumerate(checks)
    ]
    by_position: dict[int, Any] = {}
    for result in validator.graph_validate(
        expectations, runtime_configuration={"result_format": result_format}
    ):
        meta = result.expectation_config.meta
        for message in _exceptions(result.exception_info):
            raise GateError(
                f"质量关的检查 {meta['code']} 无法执行，本次全部不放行；请工程师查看原因 / the quality check {meta['code']} "
                f"could not be evaluated, nothing passes; an engineer must look: {message}"
            )
        by_position[meta["position"]] = result
    missing = [check.code for position, check in enumerate(checks) if position not in by_position]
    if missing:
        raise GateError(
            f"质量关有检查没有结果：{'、'.join(missing)}，本次全部不放行；请工程师查看 / quality checks gave no result, "
            "nothing passes; an engineer must look"
        )
    return [by_position[position] for position in range(len(checks))]


def _exceptions(info: Any) -> Iterator[str]:
    """Messages of exceptions in `exception_info`, which holds one, or one per metric."""
    if not isinstance(info, Mapping):
        return
    for entry in [info, *(value for value in info.values() if isinstance(value, Mapping))]:
        if entry.get("raised_exception"):
            yield str(entry.get("exception_message") or "?")


def _rows(check: Check, result: Any) -> Sequence[Row]:
    rows: Sequence[Row] = result.result.get("unexpected_index_list") or ()
    if len(rows) != result.result.get("unexpected_count") or not rows:
        raise GateError(
            f"质量关的检查 {check.code} 未通过，但无法指出是哪些行，本次全部不放行；请工程师查看 / the quality check "
            f"{check.code} failed without naming the rows, nothing passes; an engineer must look"
        )
    return rows
