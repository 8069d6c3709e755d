"""Facts as columns: what the rules name, taken from the frames once for all documents.

A fact `line.fee_type` becomes the column `line.fee_type` (its code, else its id; missing is empty text), and where
needed `line.fee_type#name` (for summaries and messages) and `line.fee_type#dim` (the code and name as the end of a JSON
list, null where missing). Amounts become 128-bit integers, so that no sum of theirs can overflow.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from include.rules import facts
from include.rules.facts import PROPERTY, FactType, Measure, Scope
from include.rules.frames import DOCUMENTS, LINES, WRITE_OFFS, shaped
from include.rules.ruleset import RuleSet
from include.rules.schema import PLACEHOLDER, Entry, VoucherTemplate

_JSON_ESCAPES = {c: json.dumps(c)[1:-1] for c in ['"', "\\", *map(chr, range(32))]}
_CONTROL = r"[\x00-\x1f\x7f]+"
AMOUNT_COLUMNS = ("gross", "transaction_gross", "written_off", "company_paid", "payable")


@dataclass(frozen=True, slots=True)
class Needs:
    """Which columns the rules use: condition values, names and dimensions by fact, amounts in properties."""

    values: frozenset[str]
    names: frozenset[str]
    dimensions: frozenset[str]
    amount_properties: frozenset[str]

    @classmethod
    def of(cls, ruleset: RuleSet) -> Needs:
        values, names, dimensions, properties = set(), {"document.code"}, set(), set()
        for template in ruleset.templates:
            values |= set(template.spec.when)
            for entry in template.spec.lines:
                values |= set(entry.when)
                dimensions |= {*entry.dimensions.values(), *entry.optional_dimensions.values()}
                names |= set(PLACEHOLDER.findall(template.spec.summary_of(entry)))
                if entry.measure_property:
                    properties.add(entry.measure_property)
                if entry.account.table:
                    paths = {fact.path for fact in ruleset.tables[entry.account.table].conditions}
                    values |= paths
                    names |= {path for path in paths if facts.is_reference(path)}
        return cls(frozenset(values), frozenset(names), frozenset(dimensions), frozenset(properties))

    def columns(self, scope: str) -> Iterator[pl.Expr]:
        """The fact columns of a frame of this scope; missing values are null here."""
        for path in sorted(self.values):
            if path.startswith(f"{scope}."):
                yield _value(path).alias(path)
        for path in sorted(self.names):
            if path.startswith(f"{scope}.") and path not in facts.COMPUTED:
                yield _name(path).alias(f"{path}#name")
        for path in sorted(self.dimensions):
            if path.startswith(f"{scope}."):
                yield _dimension(path).alias(f"{path}#dim")

    def with_inherited(self) -> Needs:
        """The same, with the document's own department and project for lines that fall back on them."""

        def add(paths: frozenset[str]) -> frozenset[str]:
            return paths | {f"document.{name}" for name in facts.INHERITED if f"line.{name}" in paths}

        return Needs(add(self.values), add(self.names), add(self.dimensions), self.amount_properties)


@dataclass(frozen=True, slots=True)
class Prepared:
    """Documents with their facts (`pk` first), and lines and write-offs with theirs; see `inherit`."""

    needs: Needs
    documents: pl.DataFrame
    lines: pl.DataFrame
    write_offs: pl.DataFrame

    def joined(self, scope: Scope, documents: pl.DataFrame) -> pl.DataFrame:
        """A frame with a row for each thing of the scope in these documents, with the documents' columns."""
        if scope is Scope.DOCUMENT:
            return documents.with_columns(source_line_no=pl.lit(0, pl.Int64), portion_no=pl.lit(0, pl.Int64))
        if scope is Scope.WRITE_OFF:
            return documents.join(self.write_offs, on="pk")
        return documents.join(self.lines, on="pk").with_columns(
            pl.coalesce(f"line.{name}{suffix}", f"document.{name}{suffix}").alias(f"line.{name}{suffix}")
            for name in facts.INHERITED
            for suffix in ("", "#name", "#dim")
            if f"document.{name}{suffix}" in documents.columns
            and f"line.{name}{suffix}" in self.lines.columns
        )


def prepare(
    ruleset: RuleSet, decimals: int, documents: pl.DataFrame, lines: pl.DataFrame, write_offs: pl.DataFrame
) -> Prepared:
    """Facts of all documents; `decimals` are the functional currency's, for amounts that stand in properties."""
    needs = Needs.of(ruleset).with_inherited()
    raw_lines = shaped(lines, LINES, "lines")
    prepared = shaped(documents, DOCUMENTS, "documents").select(
        pl.col("id").alias("pk"),
        pl.col("business_date").alias("date"),
        pl.col("business_date").dt.strftime("%Y-%m").alias("document.period#name"),
        "functional_currency",
        pl.col("currency").alias("document_currency"),
        pl.col("attachments"),
        pl.col("kind").alias("document_kind"),
        *(pl.col(f"{name}_minor").cast(pl.Int128).alias(name) for name in AMOUNT_COLUMNS),
        *(_amount_in_text(name, decimals).alias(f"property:{name}") for name in needs.amount_properties),
        *needs.columns("document"),
    )
    tax = raw_lines.group_by(pl.col("document_pk").alias("pk")).agg(
        pl.when(pl.col("tax_minor").null_count() == 0)
        .then(pl.col("tax_minor").cast(pl.Int128).sum())
        .alias("document_tax")
    )
    if _uses_document_tax(ruleset):
        has_lines = pl.col("pk").is_in(tax["pk"].implode())
        prepared = prepared.join(tax, on="pk", how="left").with_columns(
            pl.when(has_lines).then("document_tax").otherwise(pl.lit(0, pl.Int128)).alias("document_tax")
        )
    return Prepared(
        needs,
        prepared,
        raw_lines.select(
            pl.col("document_pk").alias("pk"),
            pl.col("line_no").alias("source_line_no"),
            "portion_no",
            pl.col("currency").alias("line_currency"),
            pl.col("amount_minor").cast(pl.Int128).alias("line_amount"),
            pl.col("functional_minor").cast(pl.Int128).alias("line_gross"),
            pl.col("tax_minor").cast(pl.Int128).alias("line_tax"),
            *needs.columns("line"),
        ),
        shaped(write_offs, WRITE_OFFS, "write_offs").select(
            pl.col("document_pk").alias("pk"),
            pl.lit(0, pl.Int64).alias("source_line_no"),
            pl.col("seq").alias("portion_no"),
            pl.col("amount_minor").cast(pl.Int128).alias("write_off_amount"),
            *needs.columns("write_off"),
        ),
    )


def document_columns(needs: Needs, template: VoucherTemplate, entry: Entry, tables: RuleSet) -> set[str]:
    """The columns of documents that the lines of an entry are made of, so that joins carry no others."""
    table = tables.tables[entry.account.table].conditions if entry.account.table else ()
    values = {*entry.when, *(fact.path for fact in table)}
    names = {*PLACEHOLDER.findall(template.summary_of(entry)), *(p for p in values if p in needs.names)}
    dimensions = {*entry.dimensions.values(), *entry.optional_dimensions.values()}
    columns = {*values, *(f"{n}#name" for n in names), *(f"{d}#dim" for d in dimensions)}
    columns |= {column.replace("line.", "document.", 1) for column in columns if _is_inherited(column)}
    return {column for column in columns if column.startswith("document.")}


def _is_inherited(column: str) -> bool:
    return column.partition("#")[0] in {f"line.{name}" for name in facts.INHERITED}


def _uses_document_tax(ruleset: RuleSet) -> bool:
    taxes = {Measure.DEDUCTIBLE_TAX, Measure.NET_OF_DEDUCTIBLE_TAX}
    return any(
        entry.for_each is Scope.DOCUMENT and entry.measure in taxes
        for template in ruleset.templates
        for entry in template.spec.lines
    )


def _value(path: str) -> pl.Expr:
    """The fact for conditions; null where missing."""
    scope, _, name = path.partition(".")
    found = facts.fact(path)
    if found is not None and found.type is FactType.AMOUNT:
        return pl.col(facts.AMOUNTS[scope][name]).cast(pl.Int128)
    property_ = PROPERTY.match(path)
    if property_:
        return _present(_property(property_[1]))
    if scope == "document" and name in facts.FLAGS:
        is_there = pl.col(facts.FLAGS[name]).fill_null(0) != 0
        return pl.when(is_there).then(pl.lit("yes")).otherwise(pl.lit("no"))
    if name in facts.REFERENCES[scope]:
        return pl.coalesce(_present(pl.col(f"{name}_code")), _present(pl.col(f"{name}_id")))
    return _present(pl.col(facts.TEXTS[scope][name]).cast(pl.String))


def _name(path: str) -> pl.Expr:
    """The fact for people: a name rather than a code, on one line."""
    scope, _, name = path.partition(".")
    value = _value(path)
    if name in facts.REFERENCES[scope]:
        value = pl.coalesce(_present(pl.col(f"{name}_name")), value)
    return value.str.replace_all(_CONTROL, " ").str.strip_chars()


def _dimension(path: str) -> pl.Expr:
    name = path.partition(".")[2]
    code, words = _value(path), pl.col(f"{name}_name").fill_null("")
    escaped = [
        part.str.replace_many(list(_JSON_ESCAPES), list(_JSON_ESCAPES.values())) for part in (code, words)
    ]
    return pl.concat_str(pl.lit('"'), escaped[0], pl.lit('","'), escaped[1], pl.lit('"]'))


def _present(text: pl.Expr) -> pl.Expr:
    return pl.when(text.str.strip_chars() != "").then(text)


def _property(name: str) -> pl.Expr:
    return pl.col("properties").str.json_path_match(f"$.{name}")


def _amount_in_text(name: str, decimals: int) -> pl.Expr:
    """Minor units of a decimal in a property; null where it is missing, or is no amount of this currency."""
    text = _property(name).str.strip_chars()
    fraction = text.str.extract(r"\.(\d*)$", 1).fill_null("").str.strip_chars_end("0")
    is_amount = text.str.contains(r"^-?\d{1,18}(\.\d*)?$") & (fraction.str.len_chars() <= decimals)
    digits = pl.concat_str(text.str.extract(r"^(-?\d+)", 1), fraction.str.pad_end(decimals, "0"))
    return pl.when(is_amount).then(digits).cast(pl.Int128, strict=False)
