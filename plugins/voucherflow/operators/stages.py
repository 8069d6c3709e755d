"""One operator per stage. Each opens the book, makes one call into the product and tells what came of it.

A stage knows what is done from the store, not from Airflow: clearing any of these tasks is always safe. Errors leave
as they are; `voucherflow.recovery.RETRY_POLICY` says which are tried again.
"""

from __future__ import annotations

import abc
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from include.domain.errors import FixConfig
from include.settings import load_settings, store_url

if TYPE_CHECKING:
    from airflow.sdk import Context

    from include.connections import Endpoint
    from include.domain.problems import Stage
    from include.stages.context import Scope, StageContext, StageResult

PROGRESS_EVERY_S = 15.0


class StageOperator(BaseOperator, abc.ABC):
    """What the operators of all stages share.

    Args:
        book_id: The book to work on.
        date_from: First business day (YYYY-MM-DD), empty for everything that is not finished.
        date_to: Last business day, empty for no end.
    """

    template_fields: Sequence[str] = ("book_id", "date_from", "date_to")
    ui_color = "#eef4ff"

    def __init__(
        self,
        *,
        book_id: str,
        date_from: str = "{{ params.date_from or '' }}",
        date_to: str = "{{ params.date_to or '' }}",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.book_id = book_id
        self.date_from = date_from
        self.date_to = date_to

    @abc.abstractmethod
    def run_stage(self, ctx: StageContext, scope: Scope) -> StageResult:
        """Call the product's stage."""

    def execute(self, context: Context) -> dict[str, Any]:
        """Run the stage; the counts go to XCom, the documents stay in the store.

        Raises:
            VoucherflowError: typed by what has to happen next, see include/domain/errors.py.
        """
        from include.stages.context import Scope
        from voucherflow.operators.wording import lines

        scope = Scope(_day("date_from", self.date_from), _day("date_to", self.date_to))
        with self._open(context) as ctx:
            self.log.info(
                "账簿 %s，业务日 %s 至 %s / book %s, business days %s to %s",
                ctx.book.name.zh,
                scope.date_from or "不限",
                scope.date_to or "不限",
                ctx.book.id,
                scope.date_from or "any",
                scope.date_to or "any",
            )
            result = self.run_stage(ctx, scope).as_dict()
            for line in lines(result, ctx.book.currency):
                self.log.info("%s", line)
        return result

    @contextmanager
    def _open(self, context: Context) -> Iterator[StageContext]:
        """The book's context over the connections that Airflow knows."""
        from include.stages.context import open_context
        from include.store.store import open_store

        store = open_store(store_url())
        try:
            yield open_context(
                load_settings(),
                self.book_id,
                store,
                self._resolve,
                actor=f"airflow:{context['run_id']}",
                progress=_LogProgress(self),
            )
        finally:
            store.engine.dispose()

    def _resolve(self, connection_id: str) -> Endpoint:
        from voucherflow.hooks.base import resolve

        endpoint = resolve(connection_id)
        self.log.info("连接 %s：%s / connection %s", connection_id, endpoint.url, connection_id)
        return endpoint


class ExtractDocuments(StageOperator):
    """取数：from the OA into the store, with a proof that nothing is missing.

    Args:
        refetch: "True" to read everything since `date_from` again, changed or not; needs `date_from`.
    """

    template_fields: Sequence[str] = (*StageOperator.template_fields, "refetch")

    def __init__(self, *, refetch: str = "{{ params.refetch }}", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.refetch = refetch

    def run_stage(self, ctx: StageContext, scope: Scope) -> StageResult:
        from include.stages.extract import extract

        refetch = self.refetch == "True"
        if refetch and scope.date_from is None:
            raise FixConfig("重新读取需要填写业务日期自 / to read again, say from which business date on")
        return extract(ctx, refetch_from=scope.date_from if refetch else None)


class ValidateDocuments(StageOperator):
    """检查：documents that fail the quality gate are quarantined with their reasons, the rest goes on."""

    def run_stage(self, ctx: StageContext, scope: Scope) -> StageResult:
        from include.stages.validate import validate

        return validate(ctx, scope)


class FollowChanges(StageOperator):
    """跟进变更：vouchers of documents that changed after they were sent are corrected by the book's policy."""

    def run_stage(self, ctx: StageContext, scope: Scope) -> StageResult:
        from include.stages.follow import follow

        return follow(ctx, scope)


class GenerateVouchers(StageOperator):
    """生成：rules make balanced vouchers of the accepted documents."""

    def run_stage(self, ctx: StageContext, scope: Scope) -> StageResult:
        from include.stages.generate import generate

        return generate(ctx, scope)


class PostVouchers(StageOperator):
    """过账：each voucher reaches the ledger exactly once."""

    def run_stage(self, ctx: StageContext, scope: Scope) -> StageResult:
        from include.stages.post import post

        return post(ctx, scope)


class Reconcile(StageOperator):
    """对账：OA, store and ledger agree, or the differences are named."""

    def run_stage(self, ctx: StageContext, scope: Scope) -> StageResult:
        from include.stages.reconcile import reconcile

        return reconcile(ctx, scope)


class WriteBack(StageOperator):
    """回写：the ledger's voucher numbers go back to the documents."""

    def run_stage(self, ctx: StageContext, scope: Scope) -> StageResult:
        from include.stages.write_back import write_back

        return write_back(ctx, scope)


class _LogProgress:
    """A line in the task's log now and then, so that a long stage is seen to move."""

    def __init__(self, operator: StageOperator) -> None:
        self._log = operator.log
        self._last = time.monotonic()

    def __call__(self, stage: Stage, done: int, total: int | None) -> None:
        now = time.monotonic()
        if now - self._last < PROGRESS_EVERY_S:
            return
        self._last = now
        self._log.info("进度 / progress: %s %s%s", stage.value, f"{done:,}", f" / {total:,}" if total else "")


def _day(name: str, text: str) -> date | None:
    """A day out of a rendered parameter; None where it is empty.

    Raises:
        FixConfig: it is not a date.
    """
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise FixConfig(f"参数 {name}={text!r} 应为 YYYY-MM-DD / must be a date like 2026-01-31") from None
