"""Which templates fit which documents, and what is wrong where not exactly one does."""

from __future__ import annotations

import polars as pl

from include.domain.problems import ProblemOwner
from include.rules.conditions import condition
from include.rules.findings import document_en, document_zh, findings, words
from include.rules.frames import NO_VOUCHER
from include.rules.ruleset import RuleSet
from include.settings import Book


def unusable(documents: pl.DataFrame, book: Book) -> list[pl.DataFrame]:
    """Documents that no rule can be applied to."""
    return [
        findings(
            documents.filter(pl.col("date").is_null()),
            "rules.missing_date",
            where="business_date",
            zh=words(
                f"无法确定凭证日期（账簿 {book.id} 按 {book.voucher_date}）",
                document_zh(),
                "。请在 OA 中补正。",
            ),
            en=words(
                f"no voucher date (book {book.id} takes the day it was {book.voucher_date})",
                document_en(),
                ". Correct the document in the OA.",
            ),
            owner=ProblemOwner.OA_USER,
        ),
        findings(
            documents.filter(pl.col("functional_currency") != book.currency),
            "rules.wrong_currency",
            where="functional_currency",
            zh=words(
                "单据本位币 ",
                pl.col("functional_currency"),
                f" 与账簿 {book.id} 的 {book.currency} 不同",
                document_zh(),
                "。请检查 books 和 sources 配置。",
            ),
            en=words(
                "the document's functional currency ",
                pl.col("functional_currency"),
                f" is not that of book {book.id}, {book.currency}",
                document_en(),
                ". Check the configuration of book and source.",
            ),
            owner=ProblemOwner.ENGINEER,
        ),
    ]


def selected_templates(ruleset: RuleSet, documents: pl.DataFrame, decimals: int) -> pl.DataFrame:
    """pk, template_index, event, is_silent: every template that fits every document."""
    frames = [
        pl.DataFrame(
            schema={"pk": pl.Int64, "template_index": pl.Int64, "event": pl.String, "is_silent": pl.Boolean}
        )
    ]
    for index, template in enumerate(ruleset.templates):
        spec = template.spec
        fits = pl.col("document_kind").is_in([kind.value for kind in spec.kinds])
        if spec.valid_from:
            fits = fits & (pl.col("date") >= spec.valid_from)
        if spec.valid_to:
            fits = fits & (pl.col("date") <= spec.valid_to)
        frames.append(
            documents.filter(fits & condition(spec.when, decimals)).select(
                "pk",
                pl.lit(index, pl.Int64).alias("template_index"),
                pl.lit(spec.event).alias("event"),
                pl.lit(spec.no_voucher is not None).alias("is_silent"),
            )
        )
    return pl.concat(frames)


def selection_problems(
    ruleset: RuleSet, documents: pl.DataFrame, selected: pl.DataFrame
) -> list[pl.DataFrame]:
    names = pl.Series([template.trace_name for template in ruleset.templates], dtype=pl.String)
    by_document = selected.with_columns(
        name=pl.col("template_index").replace_strict(range(len(names)), names, return_dtype=pl.String),
        same_event=pl.len().over("pk", "event"),
        silent=pl.col("is_silent").any().over("pk"),
        loud=(~pl.col("is_silent")).any().over("pk"),
    ).filter((pl.col("same_event") > 1) | (pl.col("silent") & pl.col("loud")))
    ambiguous = documents.join(
        by_document.group_by("pk").agg(pl.col("name").sort().str.join("、").alias("names")), on="pk"
    )
    none = documents.join(selected, on="pk", how="anti")
    shown = "/".join(ruleset.rules_dir.parts[-2:])
    return [
        findings(
            none,
            "rules.no_template",
            where=shown,
            zh=words(
                "没有适合的凭证模板，单据类型 ",
                pl.col("document_kind"),
                document_zh(),
                f"。请在 {shown} 增加模板，或写明 no_voucher 的原因。",
            ),
            en=words(
                "no voucher template fits, kind ",
                pl.col("document_kind"),
                document_en(),
                f". Add a template to {shown}, or one with no_voucher and the reason.",
            ),
            owner=ProblemOwner.FINANCE,
            cause=words("rules.no_template:", pl.col("document_kind")),
        ),
        findings(
            ambiguous,
            "rules.ambiguous_template",
            where=shown,
            zh=words(
                "同一事项有多个模板适合：", pl.col("names"), document_zh(), "。请让它们的 when 互不重叠。"
            ),
            en=words(
                "several templates of one event fit: ",
                pl.col("names").str.replace_all("、", ", "),
                document_en(),
                ". Write their conditions so that one fits.",
            ),
            owner=ProblemOwner.ENGINEER,
            cause=words("rules.ambiguous_template:", pl.col("names")),
        ),
    ]


def reasons(ruleset: RuleSet, silent: pl.DataFrame) -> pl.DataFrame:
    """Why documents make no voucher; several reasons (of several events) are joined."""
    reasons = pl.DataFrame(
        {
            "template_index": range(len(ruleset.templates)),
            "reason": [str(template.spec.no_voucher or "") for template in ruleset.templates],
        },
        schema={"template_index": pl.Int64, "reason": pl.String},
    )
    return (
        silent.join(reasons, on="template_index")
        .group_by(pl.col("pk").alias("document_pk"))
        .agg(pl.col("reason").sort().str.join("；"))
        .select(pl.col(name).cast(dtype) for name, dtype in NO_VOUCHER.items())
        .sort("document_pk")
    )
