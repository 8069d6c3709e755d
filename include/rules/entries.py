"""The journal lines of one entry of a template, for all documents at once: amount, account, dimensions, summary."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import polars as pl

from include.domain.problems import ProblemOwner
from include.rules.facts import FactType, Measure, Scope
from include.rules.findings import (
    WORDS,
    document_en,
    document_zh,
    entry_en,
    entry_zh,
    findings,
    on_one_line,
    shown_facts,
    words,
)
from include.rules.frames import Schema
from include.rules.lookup import bound, lookup
from include.rules.prepare import DOCUMENT_AMOUNTS, Needs, Prepared
from include.rules.ruleset import RuleSet, Template
from include.rules.schema import PLACEHOLDER, Entry, Predicate
from include.rules.tables import ACCOUNTS_FILE

SUMMARY_LENGTH = 200
"""Characters; ledgers cut at 255 bytes to 255 characters, and a cut summary of ours should look the same in all."""

LINES_MADE: Schema = {
    "pk": pl.Int64,
    "template_index": pl.Int64,
    "event": pl.String,
    "entry_index": pl.Int64,
    "side": pl.String,
    "source_line_no": pl.Int64,
    "portion_no": pl.Int64,
    "amount": pl.Int128,
    "transaction_currency": pl.String,
    "transaction": pl.Int128,
    "account": pl.String,
    "dimensions": pl.String,
    "summary": pl.String,
    "template": pl.String,
    "template_line": pl.Int64,
    "entry": pl.String,
    "table_name": pl.String,
    "table_row": pl.Int64,
}
_BASE = ("pk", "date", "functional_currency", "document_currency", "document.code#name")
_SETTLEMENTS = (Measure.WRITTEN_OFF, Measure.COMPANY_PAID, Measure.PAYABLE, Measure.REFUND)


def condition(when: Mapping[str, Predicate], decimals: int) -> pl.Expr:
    """Whether all predicates hold, over a frame with the facts' columns; never null."""
    result = pl.lit(True)
    for path, predicate in when.items():
        result = result & _holds(path, predicate, decimals)
    return result


def entry_lines(
    ruleset: RuleSet, prepared: Prepared, documents: pl.DataFrame, decimals: int, position: tuple[int, int]
) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    """The lines (LINES_MADE) that entry `position` (template, entry) makes of `documents`, zero amounts left out; and
    the problems of documents that could not have theirs.
    """
    template, index = ruleset.templates[position[0]], position[1]
    entry = template.spec.lines[index]
    needs = Needs.of_entry(ruleset, template.spec, entry)
    pattern = template.spec.summary_of(entry)
    is_document_wide = all(name.startswith("document.") for name in PLACEHOLDER.findall(pattern))
    its = documents.select(
        *_BASE,
        *_amount_columns(entry, documents),
        *(column for column in needs.columns("document") if column not in _BASE),
        *([_summary(pattern).alias("summary")] if is_document_wide else []),
    )
    frame = prepared.joined(entry.for_each, its, needs)
    if entry.when:
        frame = frame.filter(condition(entry.when, decimals))
    amount, currency, transaction = _amounts(entry)
    frame = frame.with_columns(amount.alias("amount")).with_columns(
        currency.alias("transaction_currency"), transaction.alias("transaction")
    )
    problems = [_missing_amount(frame, template, index, entry)]
    # A line without an amount is in `problems`; a line of zero says nothing and is left out.
    frame = frame.filter(pl.col("amount") != 0)
    frame, unresolved = _with_account(ruleset, frame, template, index, decimals)
    problems += [*unresolved, *_missing_dimensions(frame, template, index, entry)]
    is_foreign = (pl.col("transaction") != 0).fill_null(False)
    lines = frame.select(
        "pk",
        "source_line_no",
        "portion_no",
        "amount",
        pl.when(is_foreign).then("transaction_currency").otherwise(pl.lit("")).alias("transaction_currency"),
        pl.col("transaction").fill_null(0),
        "account",
        "table_row",
        _dimensions(entry, chosen_by_row="kinds" in frame.columns).alias("dimensions"),
        "summary" if is_document_wide else _summary(pattern).alias("summary"),
    )
    return _described(ruleset, _merged(lines) if entry.merge != "none" else lines, position), problems


def _described(ruleset: RuleSet, lines: pl.DataFrame, position: tuple[int, int]) -> pl.DataFrame:
    """The lines with their sign, and with what all lines of an entry share: event, side and trace."""
    template = ruleset.templates[position[0]]
    entry = template.spec.lines[position[1]]
    sign = -1 if entry.red else 1
    return lines.with_columns(
        pl.col("amount") * sign,
        pl.col("transaction") * sign,
        template_index=pl.lit(position[0]),
        event=pl.lit(template.spec.event),
        entry_index=pl.lit(position[1]),
        side=pl.lit(entry.side.value),
        template=pl.lit(template.trace_name),
        template_line=pl.lit(template.entry_lines[position[1]]),
        entry=pl.lit(entry.name),
        table_name=pl.lit(_table_file(ruleset, entry)),
    ).select(pl.col(name).cast(dtype) for name, dtype in LINES_MADE.items())


def _holds(path: str, predicate: Predicate, decimals: int) -> pl.Expr:
    value = pl.col(path)
    if predicate.equals is not None:
        result = value == predicate.equals
    elif predicate.any_of is not None:
        result = value.is_in(list(predicate.any_of))
    elif predicate.prefix is not None:
        result = value.str.starts_with(predicate.prefix)
    elif predicate.range is not None:
        result = value.is_not_null()
        start = bound(predicate.range.start, decimals, is_start=True)
        end = bound(predicate.range.end, decimals, is_start=False)
        if start is not None:
            result = result & (value >= start)
        if end is not None:
            result = result & (value <= end)
    elif predicate.is_missing:
        result = value.is_null()
    else:
        result = value.is_not_null()
    return result.fill_null(False)


def _amount_columns(entry: Entry, documents: pl.DataFrame) -> list[str]:
    if entry.measure_property:
        return [f"property:{entry.measure_property}"]
    if entry.for_each is not Scope.DOCUMENT:
        return []
    return [name for name in (*DOCUMENT_AMOUNTS, "document_tax") if name in documents.columns]


def _amounts(entry: Entry) -> tuple[pl.Expr, pl.Expr, pl.Expr]:
    """Functional amount, currency and amount of the transaction; the last two null where there is no foreign one.

    A line's own foreign amount goes with it; its deductible tax takes its share of it, half up, and the net the rest.
    What settles a document (payable, company-paid, written off) is foreign only where it settles the whole of a
    document in one foreign currency: a part of it was agreed in functional currency.
    """
    nothing = pl.lit(None, pl.Int128)
    if entry.measure_property:
        return pl.col(f"property:{entry.measure_property}"), pl.lit(None, pl.String), nothing
    measure = Measure(entry.measure)
    if entry.for_each is Scope.WRITE_OFF:
        return pl.col("write_off_amount"), pl.lit(None, pl.String), nothing
    if entry.for_each is Scope.LINE:
        gross, tax, total, currency = (
            pl.col(n) for n in ("line_gross", "line_tax", "line_amount", "line_currency")
        )
    else:
        gross, tax = pl.col("gross"), pl.col("document_tax")
        total, currency = pl.col("transaction_gross"), pl.col("document_currency")
    foreign = pl.when(currency != pl.col("functional_currency")).then(currency)
    if measure in _SETTLEMENTS:
        amount = {
            Measure.WRITTEN_OFF: pl.col("written_off"),
            Measure.COMPANY_PAID: pl.col("company_paid"),
            Measure.PAYABLE: pl.col("payable").clip(lower_bound=0),
            Measure.REFUND: (pl.col("payable") * -1).clip(lower_bound=0),
        }[measure]
        whole = pl.when(foreign.is_not_null() & (pl.col("amount") == gross))
        return amount, whole.then(currency), whole.then(total)
    if measure is Measure.GROSS:
        return gross, foreign, pl.when(foreign.is_not_null()).then(total)
    share = _share(total, tax, gross)
    if measure is Measure.DEDUCTIBLE_TAX:
        return tax, foreign, pl.when(foreign.is_not_null()).then(share)
    return gross - tax, foreign, pl.when(foreign.is_not_null()).then(total - share)


def _share(total: pl.Expr, part: pl.Expr, whole: pl.Expr) -> pl.Expr:
    """`total × part / whole`, half up in size, in integers; zero where the whole is zero. `total` and `whole` have one sign."""
    size, divisor = total.abs() * part.abs(), whole.abs()
    rounded = size // divisor + (2 * (size % divisor) >= divisor).cast(pl.Int128)
    return pl.when(whole == 0).then(pl.lit(0, pl.Int128)).otherwise(rounded * part.sign())


def _missing_amount(frame: pl.DataFrame, template: Template, index: int, entry: Entry) -> pl.DataFrame:
    """Amounts that the line needs and the document does not have; a foreign line needs its foreign amount too."""
    is_foreign = pl.col("transaction_currency").is_not_null() & pl.col("transaction").is_null()
    what = entry.measure
    return findings(
        frame.filter(pl.col("amount").is_null() | is_foreign),
        "rules.missing_amount",
        where=f"{template.file}:{template.entry_lines[index]}",
        zh=words(
            f"{entry_zh(template, index)}：没有可用的金额 {what}",
            document_zh(),
            "。请在 OA 中补正金额后重新同步。",
        ),
        en=words(
            f"{entry_en(template, index)}: no usable amount {what}",
            document_en(),
            ". Correct the amount in the OA and extract again.",
        ),
        owner=ProblemOwner.OA_USER,
    )


def _missing_dimensions(
    frame: pl.DataFrame, template: Template, index: int, entry: Entry
) -> Iterator[pl.DataFrame]:
    for kind, path in sorted({**entry.dimensions, **entry.optional_dimensions}.items()):
        is_required = pl.lit(kind in entry.dimensions)
        if "kinds" in frame.columns:
            is_required = pl.col("kinds").list.contains(kind).fill_null(is_required)
        lacking = frame.filter(is_required & pl.col(f"{path}#dim").is_null())
        if lacking.is_empty():
            continue
        where = f"{template.file}:{template.entry_lines[index]}"
        yield findings(
            lacking,
            "rules.missing_dimension",
            where=where,
            zh=words(
                f"{entry_zh(template, index)}：科目 ",
                pl.col("account"),
                f" 需要{WORDS[kind]}（{path}），单据没有填写",
                document_zh(),
                "。请在 OA 中补填，或在规则中改为可选。",
            ),
            en=words(
                f"{entry_en(template, index)}: account ",
                pl.col("account"),
                f" needs the {kind} ({path}), which the document lacks",
                document_en(),
                ". Fill it in in the OA, or make it optional in the rules.",
            ),
            owner=ProblemOwner.OA_USER,
            cause=pl.lit(f"rules.missing_dimension:{path}"),
        )


def _with_account(
    ruleset: RuleSet, frame: pl.DataFrame, template: Template, index: int, decimals: int
) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    """The frame with `account` and `table_row`, rows without exactly one account left out and reported."""
    account = template.spec.lines[index].account
    if account.table is None:
        keyed = ruleset.accounts[account.key or ""]
        return frame.with_columns(
            pl.lit(keyed.account).alias("account"), pl.lit(keyed.row).alias("table_row")
        ), []
    table = ruleset.tables[account.table]
    paths = [fact.path for fact in table.conditions]
    frame = frame.with_columns(
        pl.col(fact.path).fill_null("") for fact in table.conditions if fact.type is FactType.TEXT
    )
    # Far fewer distinct keys than lines: each is looked up once.
    by = [*paths, "date"] if table.has_dates else paths
    if by:
        keys = frame.select(by).unique(maintain_order=True)
    else:
        keys = pl.DataFrame({"date": [None]}, schema={"date": pl.Date})
    keys = keys.with_row_index("key").with_columns(pl.col("key").cast(pl.Int64))
    answers = keys.join(lookup(table, keys, decimals), on="key", how="left")
    if by:
        frame = frame.join(
            answers.select(*by, "account", "kinds", "table_row", "rows"), on=by, how="left", nulls_equal=True
        )
    else:
        frame = frame.join(answers.select("account", "kinds", "table_row", "rows"), how="cross")
    unresolved = frame.filter(pl.col("account").is_null() | pl.col("rows").is_not_null())
    problems = [] if unresolved.is_empty() else _unresolved(unresolved, table.shown, paths, template, index)
    return frame.filter(pl.col("account").is_not_null() & pl.col("rows").is_null()), problems


def _unresolved(
    frame: pl.DataFrame, file: str, paths: list[str], template: Template, index: int
) -> list[pl.DataFrame]:
    none, several = frame.filter(pl.col("account").is_null()), frame.filter(pl.col("account").is_not_null())
    shown_zh, shown_en = shown_facts(paths, WORDS), shown_facts(paths, {})
    key = words(*(part for path in paths for part in (f":{path}=", pl.col(path))))
    return [
        findings(
            none,
            "rules.no_row",
            where=file,
            zh=words(
                f"{entry_zh(template, index)}：决策表没有适合的行：",
                shown_zh,
                document_zh(),
                f"。请在 {file} 增加一行。",
            ),
            en=words(
                f"{entry_en(template, index)}: no row for ",
                shown_en,
                document_en(),
                f". Add a row to {file}.",
            ),
            owner=ProblemOwner.FINANCE,
            cause=words(f"rules.no_row:{file}", key),
        ),
        findings(
            several,
            "rules.ambiguous_row",
            where=words(f"{file}:", pl.col("table_row")),
            zh=words(
                f"{entry_zh(template, index)}：{file} 第 ",
                pl.col("rows"),
                " 行同样适合：",
                shown_zh,
                document_zh(),
                "。请给其中一行更高的 priority，或写得更具体。",
            ),
            en=words(
                f"{entry_en(template, index)}: rows ",
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


def _dimensions(entry: Entry, *, chosen_by_row: bool) -> pl.Expr:
    """`[["department","D01","研发部"],["employee",…]]`, by kind, those that the line has."""
    values = {
        kind: pl.col(f"{path}#dim")
        for kind, path in {**entry.dimensions, **entry.optional_dimensions}.items()
    }
    values |= {
        kind: pl.lit(json.dumps([fixed.code, fixed.name], ensure_ascii=False, separators=(",", ":"))[1:])
        for kind, fixed in entry.fixed_dimensions.items()
    }
    parts = []
    for kind, value in sorted(values.items()):
        text = pl.concat_str(pl.lit(f'["{kind}",'), value)
        if chosen_by_row:
            is_chosen = pl.col("kinds").list.contains(kind).fill_null(True)
            text = pl.when(is_chosen).then(text)
        parts.append(text)
    if not parts:
        return pl.lit("[]")
    return pl.concat_str(pl.lit("["), pl.concat_str(parts, separator=",", ignore_nulls=True), pl.lit("]"))


def _summary(pattern: str) -> pl.Expr:
    parts: list[str | pl.Expr] = []
    for index, piece in enumerate(PLACEHOLDER.split(pattern)):
        parts.append(pl.col(f"{piece}#name") if index % 2 else piece)
    text = words(*parts)
    is_clean = all(name.startswith("document.") for name in PLACEHOLDER.findall(pattern))
    return (text if is_clean else on_one_line(text)).str.head(SUMMARY_LENGTH).str.strip_chars()


def _merged(lines: pl.DataFrame) -> pl.DataFrame:
    """One line for equal account, dimensions and currency.

    Its trace names a source line only where there is just one, and the first of the table rows. The summary is the
    same for all, since a merged line mentions its document only.
    """
    number = pl.col("source_line_no")
    return (
        lines.group_by("pk", "account", "dimensions", "transaction_currency")
        .agg(
            pl.when(number.min() == number.max()).then(number.min()).otherwise(0).alias("source_line_no"),
            pl.col("portion_no").min(),
            pl.col("amount").sum(),
            pl.col("transaction").sum(),
            pl.col("table_row").min(),
            pl.col("summary").first(),
        )
        .filter(pl.col("amount") != 0)
    )


def _table_file(ruleset: RuleSet, entry: Entry) -> str:
    """The file that gave the account, for traces."""
    return ruleset.tables[entry.account.table].file_name if entry.account.table else ACCOUNTS_FILE
