"""One DAG per book (账簿): from approved documents in the OA to posted, reconciled, written-back vouchers."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from airflow.sdk import DAG, Asset, CronPartitionTimetable, Param, chain, get_parsing_context

from include.settings import Book, load_settings
from voucherflow.operators.stages import (
    ExtractDocuments,
    FollowChanges,
    GenerateVouchers,
    PostVouchers,
    Reconcile,
    ValidateDocuments,
    WriteBack,
)
from voucherflow.recovery import RETRY_POLICY

DOC = """
### {name}
每天把 **{source}** 中已审批的单据变成凭证，过账到 **{ledger}**，三方对账，并把凭证号写回单据。

Every day the approved documents of **{source}** become vouchers, are posted to **{ledger}** exactly once, reconciled
on all three sides, and their numbers are written back.

| | |
|---|---|
| 负责人 / owner | {owner} |
| 计划 / schedule | `{schedule}`（{timezone}），分区为前一业务日 / the partition is the business day before |
| 期间 / period | 不填则处理所有尚未完成的单据 / empty: everything that is not finished yet |

### 失败时怎么办 / On failure
1. 打开失败任务的日志，最后一条中文信息写明哪里、什么问题、怎么办 / Open the failed task's log: its last message says where, what
   and what to do.
2. **网络类**（合思或账务系统不可达）：已自动重试三次；恢复后点 *Clear* 重跑即可 / **Network** (the OA or the ledger was down): it
   was retried three times; once they are back, *Clear* the task.
3. **配置类**（密钥、科目、规则）：修正配置后 *Clear* / **Configuration** (keys, accounts, rules): mend it, then *Clear*.
4. **数据类**：有问题的单据已单独隔离，其余照常入账；在合思中修正单据，下次运行自动补上 / **Data**: a bad document is quarantined
   with its reasons and the rest goes on; mend it in the OA and the next run takes it up.
5. 过账后又撤回、作废或修改的单据由 *follow* 按账簿的 after_posting 处理；设为 ask 的等财务决定
   （`./voucherflow follow {book} --document 单据号 --action …`）/ Documents withdrawn, nullified or altered after posting: *follow* does what
   the book's after_posting says; where it says ask, finance decides with that command.
6. 任何任务都可以随时 *Clear*：存储记得已完成的部分，不会重复过账 / Clearing any task is always safe: the store knows what is done
   and nothing is posted twice.
"""


def vouchers_dag(book: Book) -> DAG:
    """The DAG of one book."""
    zone = ZoneInfo(book.timezone)
    with DAG(
        dag_id=f"vouchers_{book.id}",
        dag_display_name=f"凭证 · {book.name.zh}",
        description=f"{book.source} → {book.ledger.system}: {book.name}",
        doc_md=DOC.format(
            name=book.name,
            book=book.id,
            source=book.source,
            ledger=book.ledger.system,
            owner=book.owner,
            schedule=book.schedule,
            timezone=book.timezone,
        ),
        schedule=CronPartitionTimetable(
            book.schedule, timezone=book.timezone, run_offset=-1, key_format="%Y-%m-%d"
        ),
        start_date=datetime(2026, 1, 1, tzinfo=zone),
        catchup=False,
        max_active_runs=1,
        tags=["voucherflow", "vouchers", book.source, book.ledger.system],
        params={
            "date_from": Param(
                None, type=["null", "string"], format="date", title="业务日期自 / business date from"
            ),
            "date_to": Param(
                None, type=["null", "string"], format="date", title="业务日期至 / business date to"
            ),
            "refetch": Param(
                False, type="boolean", title="重新读取该日之后的单据 / read documents since then again"
            ),
        },
        default_args={
            "owner": book.owner,
            "pool": f"ledger_{book.ledger.connection}",
            "retries": 3,
            "retry_delay": timedelta(minutes=1),
            "retry_exponential_backoff": True,
            "max_retry_delay": timedelta(minutes=15),
            "retry_policy": RETRY_POLICY,
        },
    ) as dag:
        posted = Asset(
            name=f"posted_vouchers_{book.id}",
            uri=f"voucherflow://books/{book.id}/vouchers",
            group="voucherflow",
        )
        chain(
            ExtractDocuments(task_id="extract", book_id=book.id),
            ValidateDocuments(task_id="validate", book_id=book.id),
            FollowChanges(task_id="follow", book_id=book.id),
            GenerateVouchers(task_id="generate", book_id=book.id),
            PostVouchers(task_id="post", book_id=book.id, outlets=[posted]),
            Reconcile(task_id="reconcile", book_id=book.id),
            WriteBack(task_id="write_back", book_id=book.id),
        )
    return dag


# A task's own process asks for its DAG alone.
_wanted = get_parsing_context().dag_id
for _book in load_settings().books.values():
    if _wanted in (None, f"vouchers_{_book.id}"):
        globals()[f"vouchers_{_book.id}"] = vouchers_dag(_book)
