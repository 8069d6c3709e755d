"""Pre-close: what of a period is not in the ledger, why, and who must act, before somebody closes it.

Asks the store alone. A period may be closed when nothing of it waits, nothing differs between the store and the ledger,
and the OA was read, whole, after the period's end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import polars as pl

from include.domain.money import to_decimal
from include.domain.period import FiscalPeriod
from include.stages.context import StageContext, StageResult
from include.store import unposted
from include.store.engine import reading


class Kind(NamedTuple):
    """A way of not being in the ledger: whether it blocks the close, its name, who must act, and why by default."""

    blocks: bool
    name: str
    who: str
    zh: str
    en: str


_RUN, _FINANCE = "下次运行 / next run", "财务 / finance"
KINDS: Mapping[str, Kind] = {
    "conflict": Kind(True, "冲突 / conflict", _FINANCE, "", ""),
    "in_doubt": Kind(
        True,
        "结果未知 / in doubt",
        _RUN,
        "已发出，结果未知：运行过账会先查询",
        "sent, its outcome is not known: post looks it up",
    ),
    "rejected": Kind(True, "被拒 / rejected", _FINANCE, "", ""),
    "held": Kind(True, "暂挂 / held", _FINANCE, "", ""),
    "quarantined": Kind(
        True,
        "隔离 / quarantined",
        _FINANCE,
        "未通过质量关，请运行校验查看原因",
        "not through the gate: run validate",
    ),
    "waiting": Kind(
        True,
        "等待红冲 / waits for a reversal",
        _RUN,
        "红冲入账后才能过账",
        "goes once the reversal is in the ledger",
    ),
    "pending": Kind(True, "待校验 / pending", _RUN, "尚未校验，请运行校验", "not checked yet: run validate"),
    "accepted": Kind(True, "待生成 / no voucher yet", _RUN, "尚未生成凭证，请运行生成", "run generate"),
    "generated": Kind(
        True, "待过账 / ready", _RUN, "凭证已生成，请运行过账", "its voucher is ready: run post"
    ),
    "moved": Kind(
        False, "改入以后期间 / moved on", "—", "期间已关闭，凭证改入以后的期间", "moved to a later period"
    ),
    "awaiting_payment": Kind(
        False, "已批未付 / not paid", "出纳 / cashier", "已批准，尚未付款", "approved and not paid yet"
    ),
    "in_approval": Kind(
        False,
        "审批中 / in approval",
        "审批人 / approvers",
        "已提交，尚未批准",
        "submitted and not approved yet",
    ),
}
"""By state, in the order in which people should look at them."""
_OWNERS = {
    "oa_user": "提单人 / OA user",
    "finance": _FINANCE,
    "engineer": "工程师 / engineer",
    "vendor": "供应商 / vendor",
}
ITEM: Mapping[str, Any] = {
    "state": pl.String,
    "code": pl.String,
    "document_id": pl.String,
    "key": pl.String,
    "day": pl.Date,
    "amount_minor": pl.Int64,
    "since": pl.Datetime("us", "UTC"),
    "who": pl.String,
    "zh": pl.String,
    "en": pl.String,
    "blocks": pl.Boolean,
}
"""Of an item: `key` is its voucher's, empty for a document without one; `day` null where it cannot be told."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How far the OA was read: `until` when the latest proof of completeness says so, None where a form has none;
    `changed_until` is the latest change that is stored. `must_reach` is the end of the period.
    """

    until: datetime | None
    is_complete: bool
    changed_until: datetime | None
    must_reach: datetime

    @property
    def covers(self) -> bool:
        return self.until is not None and self.until >= self.must_reach and self.is_complete


@dataclass(frozen=True, slots=True)
class PreClose(StageResult):
    """The list for one period. `items` has ITEM; `earlier` counts what waits in earlier periods, which does not block."""

    book: str
    currency: str
    timezone: str
    period: str
    items: pl.DataFrame
    discrepancies: tuple[Mapping[str, Any], ...]
    earlier: int
    reading: Reading

    @property
    def is_blocked(self) -> bool:
        return bool(self.items["blocks"].any() or self.discrepancies or not self.reading.covers)

    def totals(self) -> list[tuple[str, int, int]]:
        """Number and amount of each kind that occurs, in the order of KINDS."""
        found = {
            state: (number, total or 0)
            for state, number, total in self.items.group_by("state")
            .agg(pl.len(), pl.col("amount_minor").sum())
            .iter_rows()
        }
        return [(state, *found[state]) for state in KINDS if state in found]

    def as_dict(self) -> dict[str, Any]:
        """For JSON: amounts as decimal text in the book's currency."""
        return {
            "book": self.book,
            "currency": self.currency,
            "period": self.period,
            "is_blocked": self.is_blocked,
            "totals": {
                state: {
                    "number": number,
                    "amount": str(to_decimal(total, self.currency)),
                    "blocks": KINDS[state].blocks,
                }
                for state, number, total in self.totals()
            },
            "earlier": self.earlier,
            "reading": {
                "covers": self.reading.covers,
                "until": self.reading.until,
                "complete": self.reading.is_complete,
                "changed_until": self.reading.changed_until,
                "must_reach": self.reading.must_reach,
            },
            "items": [self._item(row) for row in self.items.iter_rows(named=True)],
            "discrepancies": list(self.discrepancies),
        }

    def _item(self, row: dict[str, Any]) -> dict[str, Any]:
        minor = row.pop("amount_minor")
        return {**row, "amount": None if minor is None else str(to_decimal(minor, self.currency))}


def preclose(ctx: StageContext, period: FiscalPeriod) -> PreClose:
    """What stands between a period and its close."""
    zone = ZoneInfo(ctx.book.timezone)
    starts = datetime.combine(period.first_day, time(), zone)
    ends = datetime.combine(period.last_day + timedelta(days=1), time(), zone)
    book = ctx.book.id
    with reading(ctx.store.engine) as connection:
        documents = unposted.documents(connection, book, period.first_day, period.last_day, (starts, ends))
        vouchers = unposted.vouchers(connection, book, period.first_day, period.last_day)
        pks = pl.concat([documents["document_pk"], vouchers["document_pk"]]).unique()
        problems = unposted.problems(connection, book, pks)
        earlier = unposted.count_before(connection, book, period.first_day)
        differences = unposted.discrepancies(connection, book, period.code)
    return PreClose(
        book=book,
        currency=ctx.book.currency,
        timezone=ctx.book.timezone,
        period=period.code,
        items=_items(documents, vouchers, problems, period),
        discrepancies=tuple(differences),
        earlier=earlier,
        reading=_reading(ctx, ends),
    )


def _reading(ctx: StageContext, must_reach: datetime) -> Reading:
    proofs = {row["form_type"]: row for row in ctx.store.documents.latest_proofs(ctx.source_config.id)}
    wanted = [proofs.get(form) for form in ctx.source_config.form_types]
    there = [proof for proof in wanted if proof is not None]
    return Reading(
        until=min(proof["until"] for proof in there) if there and len(there) == len(wanted) else None,
        is_complete=all(proof["source_count"] == proof["stored_count"] for proof in there),
        changed_until=ctx.store.documents.watermark(ctx.source_config.id),
        must_reach=must_reach,
    )


def _items(
    documents: pl.DataFrame, vouchers: pl.DataFrame, problems: pl.DataFrame, period: FiscalPeriod
) -> pl.DataFrame:
    """Documents and vouchers as items, the most pressing first; what is wrong is told by the oldest open problem."""
    problem = (pl.col("zh").first(), pl.col("en").first(), pl.col("owner").first(), pl.col("found_at").min())
    of_document = problems.group_by("document_pk", maintain_order=True).agg(
        *problem, pl.len().alias("problems")
    )
    of_voucher = problems.group_by("document_pk", pl.col("where").alias("key"), maintain_order=True).agg(
        *problem
    )
    is_here = pl.col("day").is_between(period.first_day, period.last_day)
    state = pl.when(is_here).then("state").otherwise(pl.lit("moved"))
    message = pl.col("message").str.splitn(" / ", 2)
    is_of_document = pl.col("state").is_in(["quarantined", "pending"])
    told = pl.concat(
        [
            documents.join(of_document, on="document_pk", how="left").with_columns(pl.lit("").alias("key")),
            vouchers.with_columns(state.alias("state"))
            .filter(is_of_document)
            .join(of_document, on="document_pk", how="left"),
            vouchers.with_columns(state.alias("state"))
            .filter(~is_of_document)
            .join(
                of_voucher.select("document_pk", "key", "owner", "found_at"),
                on=["document_pk", "key"],
                how="left",
            )
            .with_columns(
                message.struct.field("field_0").replace("", None).alias("zh"),
                message.struct.field("field_1").alias("en"),
            ),
        ],
        how="diagonal",
    )
    kinds = pl.DataFrame(
        [
            (state, number, kind.blocks, kind.who, kind.zh, kind.en)
            for number, (state, kind) in enumerate(KINDS.items())
        ],
        schema=["state", "rank", "blocks", "default_who", "default_zh", "default_en"],
        orient="row",
    )
    more = pl.col("problems").fill_null(1) - 1
    return (
        told.join(kinds, on="state", how="left")
        .with_columns(
            pl.coalesce(pl.col("owner").replace_strict(_OWNERS, default=None), "default_who").alias("who"),
            pl.concat_str(
                pl.coalesce("zh", "default_zh"),
                pl.when(more > 0).then(pl.format("（另有 {} 项）", more)).otherwise(pl.lit("")),
            ).alias("zh"),
            pl.concat_str(
                pl.coalesce("en", "default_en"),
                pl.when(more > 0).then(pl.format(" (and {} more)", more)).otherwise(pl.lit("")),
            ).alias("en"),
            pl.coalesce("found_at", "since").alias("since"),
            pl.col("blocks").fill_null(value=True),  # a state that this list does not know
        )
        .sort("rank", "since", "code", "key", nulls_last=True)
        .select(pl.col(name).cast(dtype) for name, dtype in ITEM.items())
    )
