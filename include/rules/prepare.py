"""Facts as columns: what the rules name, taken from the frames once for all documents.

A fact `line.fee_type` becomes the column `line.fee_type` (its code, else its id; null where missing), and where needed
`line.fee_type#name` (for people) and `line.fee_type#dim` (code and name as the end of a JSON list, null where missing).
Amounts become 128-bit integers, so that no sum of theirs can overflow.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from include.rules import facts, input_vat, residue
from include.rules.facts import PROPERTY, FactType, Measure, Scope
from include.rules.findings import on_one_line
from include.rules.frames import DOCUMENTS, INVOICES, LINES, PROBLEMS, WRITE_OFFS, Sources, shaped
from include.rules.ruleset import RuleSet
from include.rules.schema import PLACEHOLDER, Entry, VoucherTemplate
from include.rules.tables import DecisionTable
from include.settings import Book

_JSON_ESCAPES = {c: json.dumps(c)[1:-1] for c in ['"', "\\", *map(chr, range(32))]}
_UNSAFE = r'["\\\x00-\x1f]'
_INHERITING = frozenset(f"line.{name}" for name in facts.INHERITED)
DOCUMENT_AMOUNTS = ("gross", "transaction_gross", "written_off", "company_paid", "payable")
LINE_AMOUNTS = ("line_currency", "line_amount", "line_gross", "line_tax")
DAY = "line.occurred_on"
_TAXES = frozenset({Measure.DEDUCTIBLE_TAX, Measure.NET_OF_DEDUCTIBLE_TAX})


@dataclass(frozen=True, slots=True)
class Needs:
    """Which columns rules use, by the fact they are made of."""

    values: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    dimensions: frozenset[str] = frozenset()
    amount_properties: frozenset[str] = frozenset()

    @classmethod
    def of_entry(cls, ruleset: RuleSet, template: VoucherTemplate, entry: Entry) -> Needs:
        """What the lines of one entry are made of, and what its messages name."""
        conditions = ruleset.tables[entry.account.table].conditions if entry.account.table else ()
        asked = {fact.path for fact in conditions}
        amounts = (entry, *template.less_of(entry))
        days = {DAY} if entry.merge == "day" else set()
        return cls(
            values=frozenset({*(path for one in amounts for path in one.when), *asked, *days}),
            names=frozenset(
                {
                    "document.code",
                    *PLACEHOLDER.findall(template.summary_of(entry)),
                    *(path for path in asked if facts.is_reference(path)),
                }
            ),
            dimensions=frozenset({*entry.dimensions.values(), *entry.optional_dimensions.values()}),
            amount_properties=frozenset(filter(None, [one.measure_property for one in amounts])),
        ).with_inherited()

    @classmethod
    def of_table(cls, table: DecisionTable, scope: str) -> Needs:
        """What a table asks of one scope, and what its messages name."""
        asked = frozenset(fact.path for fact in table.conditions if fact.scope == scope)
        return cls(values=asked, names=frozenset(path for path in asked if facts.is_reference(path)))

    @classmethod
    def of(cls, ruleset: RuleSet) -> Needs:
        """All that any rule of the set uses."""
        whole = cls(names=frozenset({"document.code"}))
        if ruleset.input_vat is not None:
            whole = whole.merged(cls.of_table(ruleset.input_vat, "document"))
        for template in ruleset.templates:
            whole = whole.merged(cls(values=frozenset(template.spec.when)))
            for entry in template.spec.lines:
                whole = whole.merged(cls.of_entry(ruleset, template.spec, entry))
        return whole

    def columns(self, scope: str) -> list[str]:
        """The names of the fact columns of a scope."""
        columns = [
            *self.values,
            *(f"{path}#name" for path in self.names),
            *(f"{path}#dim" for path in self.dimensions),
        ]
        return sorted(column for column in columns if column.startswith(f"{scope}."))

    def merged(self, other: Needs) -> Needs:
        return Needs(
            self.values | other.values,
            self.names | other.names,
            self.dimensions | other.dimensions,
            self.amount_properties | other.amount_properties,
        )

    def with_inherited(self) -> Needs:
        """The same, with the document's own department and project for lines that fall back on them."""

        def add(paths: frozenset[str]) -> frozenset[str]:
            return paths | {f"document.{name}" for name in facts.INHERITED if f"line.{name}" in paths}

        return Needs(add(self.values), add(self.names), add(self.dimensions), self.amount_properties)


@dataclass(frozen=True, slots=True)
class Prepared:
    """Documents with their facts (`pk` first), and lines and write-offs with theirs.

    `invoice_taxes` (input_vat.INVOICE_TAXES) is what the table of input VAT gave for each invoice, None without such a
    table; `tax_problems` (PROBLEMS) are those of documents whose tax it could not find.
    """

    documents: pl.DataFrame
    lines: pl.DataFrame
    write_offs: pl.DataFrame
    tax_problems: pl.DataFrame
    invoice_taxes: pl.DataFrame | None = None

    def joined(self, scope: Scope, documents: pl.DataFrame, needs: Needs) -> pl.DataFrame:
        """A row for each thing of the scope in these documents, with the columns needed and those of `documents`."""
        if scope is Scope.DOCUMENT:
            return documents.with_columns(
                pl.lit(0, pl.Int64).alias("source_line_no"), pl.lit(0, pl.Int64).alias("portion_no")
            )
        if scope is Scope.WRITE_OFF:
            columns = ["pk", "source_line_no", "portion_no", "write_off_amount", *needs.columns("write_off")]
            return self.write_offs.select(columns).join(documents, on="pk")
        columns = ["pk", "source_line_no", "portion_no", *LINE_AMOUNTS, *needs.columns("line")]
        frame = self.lines.select(columns).join(documents, on="pk")
        return frame.with_columns(
            pl.coalesce(column, column.replace("line.", "document.", 1)).alias(column)
            for column in columns
            if column.partition("#")[0] in _INHERITING
        )


def prepare(ruleset: RuleSet, book: Book, decimals: int, sources: Sources) -> Prepared:
    """Facts of all documents; `decimals` are the functional currency's, for amounts that stand in properties."""
    needs = Needs.of(ruleset)
    raw_documents = shaped(sources.documents, DOCUMENTS, "documents")
    raw_lines = shaped(sources.lines, LINES, "lines")
    raw_write_offs = shaped(sources.write_offs, WRITE_OFFS, "write_offs")
    prepared = raw_documents.select(
        pl.col("id").alias("pk"),
        pl.col("business_date").alias("date"),
        pl.col("business_date").dt.strftime("%Y-%m").alias("document.period#name"),
        "functional_currency",
        pl.col("currency").alias("document_currency"),
        "attachments",
        "properties",
        pl.col("kind").alias("document_kind"),
        *(pl.col(f"{name}_minor").cast(pl.Int128).alias(name) for name in DOCUMENT_AMOUNTS),
        *_facts(needs, "document", raw_documents, book),
    )
    prepared = _with_properties(prepared, needs, decimals)
    invoice_taxes, tax_problems = None, pl.DataFrame(schema=PROBLEMS)
    if ruleset.input_vat is not None:
        asked = Needs.of_table(ruleset.input_vat, "line")
        raw_lines, invoice_taxes, tax_problems = input_vat.with_input_vat(
            ruleset.input_vat,
            decimals,
            prepared,
            raw_lines.with_columns(*_facts(asked, "line", raw_lines, book)),
            shaped(sources.invoices, INVOICES, "invoices"),
        )
    raw_lines, residues = residue.settle_conversion(raw_documents, raw_lines, book)
    prepared = prepared.join(residues, on="pk", how="left").with_columns(pl.col("residue").fill_null(0))
    if _uses_document_tax(ruleset):
        prepared = _with_tax(prepared, raw_lines)
    return Prepared(
        prepared.drop("properties"),
        raw_lines.select(
            pl.col("document_pk").alias("pk"),
            pl.col("line_no").alias("source_line_no"),
            "portion_no",
            pl.col("currency").alias("line_currency"),
            pl.col("amount_minor").cast(pl.Int128).alias("line_amount"),
            pl.col("functional_minor").cast(pl.Int128).alias("line_gross"),
            pl.col("tax_minor").cast(pl.Int128).alias("line_tax"),
            *_facts(needs, "line", raw_lines, book),
        ),
        raw_write_offs.select(
            pl.col("document_pk").alias("pk"),
            pl.lit(0, pl.Int64).alias("source_line_no"),
            pl.col("seq").alias("portion_no"),
            pl.col("amount_minor").cast(pl.Int128).alias("write_off_amount"),
            *_facts(needs, "write_off", raw_write_offs, book),
        ),
        tax_problems,
        invoice_taxes,
    )


def _facts(needs: Needs, scope: str, frame: pl.DataFrame, book: Book) -> Iterator[pl.Expr]:
    """The fact columns of a raw frame; those of properties and of computed facts come from elsewhere."""
    for column in needs.columns(scope):
        path, _, part = column.partition("#")
        if PROPERTY.match(path) or path in facts.COMPUTED:
            continue
        if path.endswith(f".{facts.IS_OWN}"):
            yield _is_own(scope, book).alias(column)
        elif part == "dim":
            yield _dimension(path, frame).alias(column)
        elif part == "name":
            yield _name(path).alias(column)
        else:
            yield _value(path).alias(column)


def _with_properties(documents: pl.DataFrame, needs: Needs, decimals: int) -> pl.DataFrame:
    """Columns from the JSON of properties, read once for each distinct text."""
    texts = sorted(path for path in needs.values if PROPERTY.match(path))
    if not texts and not needs.amount_properties:
        return documents
    read = (
        documents.select("properties")
        .unique()
        .with_columns(
            *(_present(_property(path.rpartition(".")[2])).alias(path) for path in texts),
            *(
                _amount_in_text(name, decimals).alias(f"property:{name}")
                for name in sorted(needs.amount_properties)
            ),
        )
    )
    return documents.join(read, on="properties", how="left", nulls_equal=True)


def _with_tax(documents: pl.DataFrame, lines: pl.DataFrame) -> pl.DataFrame:
    """`document_tax`: the lines' deductible tax, null where that of a line is unknown, zero without lines."""
    tax = pl.col("tax_minor")
    sums = lines.group_by(pl.col("document_pk").alias("pk")).agg(
        pl.when(tax.null_count() == 0).then(tax.cast(pl.Int128).sum()).alias("document_tax"),
        pl.lit(True).alias("has_lines"),
    )
    return documents.join(sums, on="pk", how="left").with_columns(
        pl.when("has_lines").then("document_tax").otherwise(pl.lit(0, pl.Int128)).alias("document_tax")
    )


def _uses_document_tax(ruleset: RuleSet) -> bool:
    return any(
        entry.for_each is Scope.DOCUMENT and entry.measure in _TAXES
        for template in ruleset.templates
        for entry in template.spec.lines
    )


def takes_tax(ruleset: RuleSet, template: VoucherTemplate) -> bool:
    """Whether the deductible tax of lines matters to what a template makes."""
    return any(
        entry.measure in _TAXES or "line.deductible_tax" in Needs.of_entry(ruleset, template, entry).values
        for entry in template.lines
    )


def _value(path: str) -> pl.Expr:
    """The fact for conditions; null where missing."""
    scope, _, name = path.partition(".")
    found = facts.fact(path)
    if found is not None and found.type is FactType.AMOUNT:
        return pl.col(facts.AMOUNTS[scope][name]).cast(pl.Int128)
    if scope == "document" and name in facts.FLAGS:
        is_there = pl.col(facts.FLAGS[name]).fill_null(0) != 0
        return pl.when(is_there).then(pl.lit("yes")).otherwise(pl.lit("no"))
    if name in facts.REFERENCES[scope]:
        return pl.coalesce(_present(pl.col(f"{name}_code")), _present(pl.col(f"{name}_id")))
    return _present(pl.col(facts.TEXTS[scope][name]).cast(pl.String))


def _is_own(scope: str, book: Book) -> pl.Expr:
    """Whose expense it is; a line without a legal entity of its own has its document's (null here)."""
    entities = list(book.legal_entities)
    own = pl.any_horizontal(
        pl.col(f"legal_entity_{part}").is_in(entities).fill_null(False) for part in ("id", "code")
    )
    is_given = pl.any_horizontal(
        _present(pl.col(f"legal_entity_{part}")).is_not_null() for part in ("id", "code")
    )
    text = pl.when(own).then(pl.lit("yes")).otherwise(pl.lit("no"))
    if scope == "line":
        return pl.when(is_given).then(text)
    return pl.when(is_given).then(text).otherwise(pl.lit("yes" if book.receives_unassigned else "no"))


def _name(path: str) -> pl.Expr:
    """The fact for people: a name rather than a code. Those of documents are cleaned here, once for all their lines."""
    scope, _, name = path.partition(".")
    value = _value(path)
    if name in facts.REFERENCES[scope]:
        value = pl.coalesce(_present(pl.col(f"{name}_name")), value)
    return on_one_line(value) if scope == "document" else value


def _dimension(path: str, frame: pl.DataFrame) -> pl.Expr:
    name = path.partition(".")[2]
    parts = {"code": _value(path), "name": pl.col(f"{name}_name").fill_null("")}
    # Hardly any text needs escaping in JSON, and looking at the distinct ones is cheaper than escaping all.
    columns = [f"{name}_{part}" for part in ("id", "code", "name")]
    if any(frame[column].unique().str.contains(_UNSAFE).any() for column in columns):
        escapes = (list(_JSON_ESCAPES), list(_JSON_ESCAPES.values()))
        parts = {key: part.str.replace_many(*escapes) for key, part in parts.items()}
    return pl.concat_str(pl.lit('"'), parts["code"], pl.lit('","'), parts["name"], pl.lit('"]'))


def _present(text: pl.Expr) -> pl.Expr:
    return pl.when(text != "").then(text)


def _property(name: str) -> pl.Expr:
    return pl.col("properties").str.json_path_match(f"$.{name}")


def _amount_in_text(name: str, decimals: int) -> pl.Expr:
    """Minor units of a decimal in a property; null where it is missing, or is no amount of this currency."""
    text = _property(name).str.strip_chars()
    fraction = text.str.extract(r"\.(\d*)$", 1).fill_null("").str.strip_chars_end("0")
    is_amount = text.str.contains(r"^-?\d{1,18}(\.\d*)?$") & (fraction.str.len_chars() <= decimals)
    digits = pl.concat_str(text.str.extract(r"^(-?\d+)", 1), fraction.str.pad_end(decimals, "0"))
    return pl.when(is_amount).then(digits).cast(pl.Int128, strict=False)
