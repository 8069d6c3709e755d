"""Problems that generating finds, as frames; every message says where, what, and what to do, Chinese first."""

from __future__ import annotations

import polars as pl

from include.domain.problems import ProblemOwner
from include.rules import facts
from include.rules.frames import PROBLEMS
from include.rules.ruleset import Template
from include.rules.tables import DecisionTable

WORDS = {
    "account": "科目",
    "department": "部门",
    "employee": "员工",
    "supplier": "供应商",
    "project": "项目",
    "fee_type": "费用类型",
    "submitter": "提单人",
    "legal_entity": "法人实体",
    "template_id": "单据模板",
    "payment_channel": "支付渠道",
    "currency": "币种",
    "has_tax": "有票面税额",
    "is_named": "注明旅客",
}
"""Chinese words for facts and dimensions in messages; others are shown by their name in rules."""


_CONTROL = r"[\x00-\x1f\x7f]+"


def on_one_line(text: pl.Expr) -> pl.Expr:
    """Text for people without line breaks, tabs and other control characters."""
    return text.str.replace_all(_CONTROL, " ")


def words(*parts: str | pl.Expr) -> pl.Expr:
    """A message from fixed words and columns; a null column is shown as nothing."""
    return pl.concat_str(
        [pl.lit(p) if isinstance(p, str) else p.cast(pl.String).fill_null("") for p in parts]
    )


def document_zh() -> pl.Expr:
    """`（单据 EXP-1042 第 3 行）`, for frames with `document.code#name` and perhaps `source_line_no`."""
    return words("（单据 ", pl.col("document.code#name"), _line(" 第 ", " 行"), "）")


def document_en() -> pl.Expr:
    return words(" (document ", pl.col("document.code#name"), _line(", line ", ""), ")")


def _line(before: str, after: str) -> pl.Expr:
    number = pl.col("source_line_no")
    return pl.when(number > 0).then(words(before, number, after)).otherwise(pl.lit(""))


def findings(
    frame: pl.DataFrame,
    code: str,
    *,
    where: str | pl.Expr,
    zh: pl.Expr,
    en: pl.Expr,
    owner: ProblemOwner,
    cause: pl.Expr | None = None,
) -> pl.DataFrame:
    """One problem per row of a frame with `pk` and `source_line_no` (0: the whole document)."""
    if frame.is_empty():  # as nearly always: then there is nothing to word
        return pl.DataFrame(schema=PROBLEMS)
    return frame.select(
        pl.col("pk").alias("document_pk"),
        pl.lit(code).alias("code"),
        (pl.lit(code) if cause is None else cause).alias("cause"),
        (pl.lit(where) if isinstance(where, str) else where).alias("where"),
        pl.when(pl.col("source_line_no") > 0).then("source_line_no").cast(pl.Int64).alias("line_no"),
        on_one_line(zh).alias("zh"),
        on_one_line(en).alias("en"),
        pl.lit(owner.value).alias("owner"),
    ).select(pl.col(name).cast(dtype) for name, dtype in PROBLEMS.items())


def entry_zh(template: Template, index: int) -> str:
    """`expense.yaml 第 14 行，模板 'claim_paid'`."""
    return f"{template.file} 第 {template.entry_lines[index]} 行，模板 {template.spec.id!r}"


def entry_en(template: Template, index: int) -> str:
    return f"{template.file} line {template.entry_lines[index]}, template {template.spec.id!r}"


def major(minor: pl.Expr, decimals: int) -> pl.Expr:
    """Minor units as decimal text, without floats: -1230 is `-12.30`."""
    sign = pl.when(minor < 0).then(pl.lit("-")).otherwise(pl.lit(""))
    digits = minor.abs().cast(pl.String).str.pad_start(decimals + 1, "0")
    if decimals == 0:
        return words(sign, digits)
    whole = digits.str.head(digits.str.len_chars() - decimals)
    return words(sign, whole, ".", digits.str.tail(decimals))


def shown_facts(paths: list[str], labels: dict[str, str], decimals: int) -> pl.Expr:
    """`费用类型 line.fee_type = 'FT03'（打车），…`, with labels by the last part of a fact's name; none for English. Amounts
    are in major units, as tables are written.
    """
    parts: list[str | pl.Expr] = []
    separator, opening, closing = ("，", "（", "）") if labels else (", ", " (", ")")
    for index, path in enumerate(paths):
        label = labels.get(path.rpartition(".")[2], "")
        fact = facts.fact(path)
        is_amount = fact is not None and fact.type is facts.FactType.AMOUNT
        value = major(pl.col(path), decimals) if is_amount else pl.col(path)
        parts += [(separator if index else ""), f"{label} {path} = ".lstrip(), "'", value, "'"]
        if facts.is_reference(path):
            name = pl.col(f"{path}#name")
            is_told = name.is_not_null() & (name != pl.col(path).cast(pl.String))
            parts.append(pl.when(is_told).then(words(opening, name, closing)).otherwise(pl.lit("")))
    return words(*parts)


def unresolved(
    frame: pl.DataFrame, table: DecisionTable, who: tuple[str, str], decimals: int
) -> list[pl.DataFrame]:
    """Rows of `lookup.answered` for which a table has no row, or several that are equally good.

    `who` asks, in Chinese and in English; the frame has the columns of `findings` and `document.code#name` too.
    """
    if frame.is_empty():
        return []
    none, several = frame.filter(pl.col("account").is_null()), frame.filter(pl.col("account").is_not_null())
    paths, file = [fact.path for fact in table.conditions], table.shown
    shown_zh, shown_en = shown_facts(paths, WORDS, decimals), shown_facts(paths, {}, decimals)
    key = words(*(part for path in paths for part in (f":{path}=", pl.col(path))))
    return [
        findings(
            none,
            "rules.no_row",
            where=file,
            zh=words(f"{who[0]}：决策表没有适合的行：", shown_zh, document_zh(), f"。请在 {file} 增加一行。"),
            en=words(f"{who[1]}: no row for ", shown_en, document_en(), f". Add a row to {file}."),
            owner=ProblemOwner.FINANCE,
            cause=words(f"rules.no_row:{file}", key),
        ),
        findings(
            several,
            "rules.ambiguous_row",
            where=words(f"{file}:", pl.col("table_row")),
            zh=words(
                f"{who[0]}：{file} 第 ",
                pl.col("rows"),
                " 行同样适合：",
                shown_zh,
                document_zh(),
                "。请给其中一行更高的 priority，或写得更具体。",
            ),
            en=words(
                f"{who[1]}: rows ",
                pl.col("rows").str.replace_all("、", ", "),
                f" of {file} fit equally: ",
                shown_en,
                document_en(),
                ". Give one of them a higher priority, or more conditions.",
            ),
            owner=ProblemOwner.FINANCE,
            cause=words(f"rules.ambiguous_row:{file}:", pl.col("rows")),
        ),
    ]
