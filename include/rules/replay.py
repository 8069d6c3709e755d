"""Comparing what stands with what other rules would make: the net effect on the accounts, voucher by voucher.

An *effect* is what a document's vouchers of one event add up to on each account, side, dimensions and foreign currency: an
original, its reversal and its replacement count together. How lines are merged, their order and their summaries have no
effect.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from include.domain.money import format_minor
from include.domain.voucher import Side
from include.rules.frames import Generated, Schema

MOST_SHOWN = 20
"""Rows of each table on a terminal; JSON has all."""

SEPARATOR = "\x1f"
_LINE = ("document_pk", "event", "side", "account", "dimensions", "currency")
EFFECTS: Schema = {
    "document_pk": pl.Int64,
    "event": pl.String,
    "side": pl.String,
    "account": pl.String,
    "dimensions": pl.String,
    "currency": pl.String,
    "amount": pl.Int64,
    "foreign": pl.Int64,
}
"""`dimensions` is `department=D01`, several of them by kind with SEPARATOR between; `currency` the foreign one or empty."""

_SHARES = ("amount", "foreign")
DIFFERENCES: Schema = {
    **{name: EFFECTS[name] for name in _LINE},
    **{f"{share}_{when}": pl.Int64 for when in ("before", "after") for share in _SHARES},
}

OUTCOMES: Schema = {
    "document_pk": pl.Int64,
    "before": pl.String,
    "after": pl.String,
    "problem": pl.String,
    "zh": pl.String,
    "en": pl.String,
}
"""What becomes of a document: voucher, no_voucher, problem, or none (nothing was made of it yet)."""

LISTED: Schema = {
    "document_pk": pl.Int64,
    "code": pl.String,
    "legal_entity": pl.String,
    "date": pl.Date,
}
"""Of each document that is reported; `date` is the voucher's."""


def effects(lines: pl.DataFrame) -> pl.DataFrame:
    """EFFECTS of journal lines with `document_pk`, `event` and the columns of the table; nothing that adds up to zero."""
    texts = lines["dimensions"].unique()
    canonical = pl.DataFrame(
        {"dimensions": texts, "text": [_codes(text) for text in texts]},
        schema={"dimensions": pl.String, "text": pl.String},
    )
    return (
        lines.join(canonical, on="dimensions")
        .group_by(
            "document_pk",
            "event",
            "side",
            "account",
            pl.col("text").alias("dimensions"),
            pl.col("transaction_currency").alias("currency"),
        )
        .agg(pl.col("amount_minor").sum().alias("amount"), pl.col("transaction_minor").sum().alias("foreign"))
        .filter((pl.col("amount") != 0) | (pl.col("foreign") != 0))
        .select(pl.col(name).cast(dtype) for name, dtype in EFFECTS.items())
    )


def _codes(text: str) -> str:
    return SEPARATOR.join(sorted(f"{kind}={code}" for kind, code, _ in json.loads(text)))


def differences(before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """DIFFERENCES of two frames of EFFECTS, in a fixed order; what is equal is left out."""
    keys = list(_LINE)
    both = before.join(after, on=keys, how="full", coalesce=True, suffix="_after")
    return (
        both.with_columns(pl.col(share, f"{share}_after").fill_null(0) for share in _SHARES)
        .filter(pl.any_horizontal(pl.col(share) != pl.col(f"{share}_after") for share in _SHARES))
        .rename({share: f"{share}_before" for share in _SHARES})
        .select(pl.col(name).cast(dtype) for name, dtype in DIFFERENCES.items())
        .sort(keys)
    )


def outcomes(made: Generated, pks: Sequence[int] | pl.Series) -> pl.DataFrame:
    """What rules make of documents: document_pk, after, and the first problem of each that has one."""
    first = made.problems.sort("document_pk", "code", "where", "zh").unique(
        "document_pk", keep="first", maintain_order=True
    )
    states = pl.concat(
        [
            made.vouchers.select("document_pk", pl.lit("voucher").alias("after")).unique(),
            made.no_voucher.select("document_pk", pl.lit("no_voucher").alias("after")),
            first.select("document_pk", pl.lit("problem").alias("after")),
        ]
    )
    return (
        pl.DataFrame({"document_pk": pks}, schema={"document_pk": pl.Int64})
        .join(states, on="document_pk")
        .join(
            first.select("document_pk", pl.col("code").alias("problem"), "zh", "en"),
            on="document_pk",
            how="left",
        )
        .with_columns(pl.col("problem", "zh", "en").fill_null(""))
    )


def differing(one: Generated, other: Generated, pks: Sequence[int] | pl.Series) -> pl.Series:
    """The documents that two rule sets treat differently: in effect, or in whether they make a voucher at all."""
    changed = differences(effects(one.lines), effects(other.lines))["document_pk"]
    states = outcomes(one, pks).join(outcomes(other, pks), on="document_pk", how="full", coalesce=True)
    apart = states.filter(pl.col("after").ne_missing(pl.col("after_right")))["document_pk"]
    return pl.concat([changed, apart]).unique().sort()


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """What other rules would change in what is stored.

    `documents` are those of the span, `examined` those that were generated again. `lines` has DIFFERENCES with the
    columns of LISTED and `numbers` (of the vouchers that stand now); `outcomes` has OUTCOMES with those of LISTED.
    Amounts are functional minor units of `currency`. `unlocalised`: why every document was examined, zh / en. `lost`:
    digests of rules that were not kept; what they made is compared as it stands.
    """

    book: str
    currency: str
    date_from: date
    date_to: date
    digest: str
    compared_with: tuple[str, ...]
    documents: int
    examined: int
    lines: pl.DataFrame
    outcomes: pl.DataFrame
    tax_accounts: tuple[str, ...] = ()
    unlocalised: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()

    @property
    def changed_documents(self) -> int:
        return pl.concat([self.lines["document_pk"], self.outcomes["document_pk"]]).n_unique()

    @property
    def changed_vouchers(self) -> int:
        return self.lines.select("document_pk", "event").unique().height

    @property
    def moved_minor(self) -> int:
        """The amount that would stand elsewhere: what the changed lines lose."""
        return int(self.lines.select((pl.col("amount_before") - pl.col("amount_after")).clip(0).sum()).item())

    def by_account(self) -> pl.DataFrame:
        return _totals(self.lines, ["account"])

    def by_dimension(self) -> pl.DataFrame:
        """By kind, code and account; a line with several dimensions counts for each."""
        spread = (
            self.lines.with_columns(pl.col("dimensions").str.split(SEPARATOR))
            .explode("dimensions", empty_as_null=True, keep_nulls=True)
            .filter(pl.col("dimensions") != "")
            .with_columns(pl.col("dimensions").str.splitn("=", 2).struct.rename_fields(["kind", "value"]))
            .unnest("dimensions")
        )
        return _totals(spread, ["kind", "value", "account"])

    def by_legal_entity(self) -> pl.DataFrame:
        return _totals(self.lines, ["legal_entity", "account"])

    def by_period(self) -> pl.DataFrame:
        return _totals(self.lines.with_columns(_period()), ["period", "account"])

    def by_tax(self) -> pl.DataFrame:
        """Input VAT: the accounts of `tax_accounts`, by period."""
        taxed = self.lines.filter(pl.col("account").is_in(list(self.tax_accounts)))
        return _totals(taxed.with_columns(_period()), ["period", "account"])

    def by_voucher(self) -> pl.DataFrame:
        """One row for each voucher that changes, by date and document."""
        keys = ["date", "code", "document_pk", "event", "numbers"]
        moved = (pl.col("amount_before") - pl.col("amount_after")).clip(0)
        return self.lines.group_by(keys).agg(moved.sum().alias("moved"), pl.len().alias("lines")).sort(keys)

    def as_dict(self) -> dict[str, Any]:
        """For JSON: amounts are minor units as text, days ISO."""
        return {
            "book": self.book,
            "currency": self.currency,
            "date_from": str(self.date_from),
            "date_to": str(self.date_to),
            "digest": self.digest,
            "compared_with": list(self.compared_with),
            "documents": self.documents,
            "examined": self.examined,
            "unlocalised": list(self.unlocalised),
            "lost": list(self.lost),
            "changed_documents": self.changed_documents,
            "changed_vouchers": self.changed_vouchers,
            "moved_minor": str(self.moved_minor),
            "tax_accounts": list(self.tax_accounts),
            **{name: _plain(getattr(self, name)()) for name in _TABLES},
            "outcomes": _plain(self.outcomes),
        }

    def render(self) -> RenderableType:
        """For a terminal."""
        parts: list[RenderableType] = [self._head()]
        for name, title in _TABLES.items():
            frame = getattr(self, name)()
            if frame.height:
                parts.append(_shown(frame, title, self.currency))
        if self.outcomes.height:
            parts.append(_shown_outcomes(self.outcomes))
        return Group(*parts)

    def _head(self) -> Text:
        text = Text.assemble(
            ("规则重放 / replay ", "bold"),
            f"{self.book} {self.date_from} – {self.date_to}, 规则 / rules {self.digest[:12]}\n",
            f"单据 / documents {self.documents}, 重算 / generated again {self.examined}, "
            f"有变化 / changed {self.changed_documents}, 凭证 / vouchers {self.changed_vouchers}, "
            f"金额 / amount {format_minor(self.moved_minor, self.currency)}",
        )
        for reason in self.unlocalised:
            text.append(f"\n无法限定范围，已重算全部单据：{reason}", style="yellow")
        if self.lost:
            shown = "、".join(digest[:12] for digest in self.lost)
            text.append(
                f"\n没有保存的规则 {shown}：直接与现有凭证比较 / rules not kept: what they made is compared as it stands",
                style="yellow",
            )
        if self.tax_accounts:
            text.append(f"\n进项税额科目 / input VAT accounts: {'、'.join(self.tax_accounts)}")
        if not self.changed_documents:
            text.append("\n没有变化 / nothing changes", style="green")
        return text


_TABLES = {
    "by_account": "按科目 / by account",
    "by_period": "按期间 / by period",
    "by_dimension": "按辅助核算 / by dimension",
    "by_legal_entity": "按法人实体 / by legal entity",
    "by_tax": "进项税额 / input VAT",
    "by_voucher": "按凭证 / by voucher",
}
_HEADINGS = {
    "account": "科目 / account",
    "period": "期间 / period",
    "kind": "辅助核算 / dimension",
    "value": "编码 / code",
    "legal_entity": "法人实体 / legal entity",
    "debit_before": "借方现为 / debit now",
    "debit_after": "借方改为 / debit then",
    "credit_before": "贷方现为 / credit now",
    "credit_after": "贷方改为 / credit then",
    "change": "变动（借正贷负） / change (credit negative)",
    "date": "日期 / date",
    "code": "单据 / document",
    "event": "事项 / event",
    "numbers": "凭证号 / voucher",
    "moved": "金额 / amount",
    "lines": "分录 / lines",
}
_AMOUNTS = frozenset({"debit_before", "debit_after", "credit_before", "credit_after", "change", "moved"})


def _period() -> pl.Expr:
    return pl.col("date").dt.strftime("%Y-%m").alias("period")


def _totals(lines: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    """Debit and credit of the changed lines, as they are and as they would be; groups without a change are left out."""
    is_debit = pl.col("side") == Side.DEBIT.value
    sums = [
        pl.col(f"amount_{when}")
        .filter(is_debit if side is Side.DEBIT else ~is_debit)
        .sum()
        .alias(f"{side}_{when}")
        for side in Side
        for when in ("before", "after")
    ]
    change = pl.col("debit_after") - pl.col("debit_before") - pl.col("credit_after") + pl.col("credit_before")
    is_changed = (pl.col("debit_after") != pl.col("debit_before")) | (
        pl.col("credit_after") != pl.col("credit_before")
    )
    return lines.group_by(by).agg(sums).filter(is_changed).with_columns(change.alias("change")).sort(by)


def _plain(frame: pl.DataFrame) -> list[dict[str, Any]]:
    amounts = [name for name in frame.columns if name in _AMOUNTS]
    days = [name for name, dtype in frame.schema.items() if dtype == pl.Date]
    shown = frame.with_columns(pl.col(amounts + days).cast(pl.String)) if amounts or days else frame
    return shown.to_dicts()


def _shown(frame: pl.DataFrame, title: str, currency: str) -> Table:
    columns = [name for name in frame.columns if name in _HEADINGS]
    table = Table(title=f"{title}（{frame.height}）", title_justify="left")
    for name in columns:
        is_number = name in _AMOUNTS or name == "lines"
        table.add_column(_HEADINGS[name], justify="right" if is_number else "left")
    for row in frame.head(MOST_SHOWN).iter_rows(named=True):
        table.add_row(
            *(
                format_minor(row[name], currency) if name in _AMOUNTS else escape(str(row[name]))
                for name in columns
            )
        )
    if frame.height > MOST_SHOWN:
        table.caption = (
            f"另有 {frame.height - MOST_SHOWN} 行，见 --json / {frame.height - MOST_SHOWN} more, see --json"
        )
    return table


_STATES = {
    "voucher": "有凭证 / voucher",
    "no_voucher": "无需凭证 / no voucher",
    "problem": "有问题 / problem",
    "none": "未生成 / not generated",
}


def _shown_outcomes(frame: pl.DataFrame) -> Table:
    table = Table(
        title=f"结果改变的单据 / documents that come out differently（{frame.height}）", title_justify="left"
    )
    for heading in ("单据 / document", "现为 / now", "改为 / then", "原因 / why"):
        table.add_column(heading)
    for row in frame.head(MOST_SHOWN).iter_rows(named=True):
        why = f"[{row['problem']}] {row['zh']} / {row['en']}" if row["problem"] else ""
        table.add_row(escape(row["code"]), _STATES[row["before"]], _STATES[row["after"]], escape(why))
    if frame.height > MOST_SHOWN:
        table.caption = (
            f"另有 {frame.height - MOST_SHOWN} 行，见 --json / {frame.height - MOST_SHOWN} more, see --json"
        )
    return table
