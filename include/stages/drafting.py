"""Correcting vouchers in the making: red copies, vouchers that the rules make, blue ones with lines of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import polars as pl

from include.domain.voucher import Side, VoucherKey
from include.rules.entries import SUMMARY_LENGTH
from include.store import tables as t
from include.store.corrections import Draft, Place, Relation

JOURNAL = [column.name for column in t.journal_line.columns if column.name != "voucher_id"]
Row = Mapping[str, Any]


@dataclass
class Drafts:
    """Drafts of one book and where their journal lines come from, each known by its number."""

    book: str
    _number: int = 0
    _copies: list[tuple[int, int, str]] = field(default_factory=list)
    """number, id of the original, opening words of the summary."""
    _makes: list[tuple[int, int, str]] = field(default_factory=list)
    """number, document, event."""
    _written: list[dict[str, Any]] = field(default_factory=list)
    """Lines with their `number`."""

    def red(self, original: Row, day: date) -> Draft:
        """The red-letter copy of a voucher: its lines on their own sides with negative amounts."""
        draft = self._draft(
            original,
            replace(Place.of(original["event"]), is_reversal=True),
            Relation.REVERSAL,
            original["id"],
            day,
            original["date"],
            -original["debit_minor"],
        )
        self._copies.append(
            (draft.number, original["id"], f"冲销 {original['date']} {original['ledger_number']} ")
        )
        return draft

    def made(self, row: Row, place: Place, relation: Relation, original_id: int | None, day: date) -> Draft:
        """What the rules make of a document for `place.event`: `row` has the columns of both."""
        draft = self._draft(row, place, relation, original_id, day, row["date"], row["debit_minor"])
        self._makes.append((draft.number, row["document_pk"], place.event))
        return draft

    def written(
        self,
        row: Row,
        place: Place,
        relation: Relation,
        original_id: int | None,
        day: date,
        lines: Sequence[Row],
    ) -> Draft:
        """A voucher of these lines, for the document, word and currency of `row`."""
        total = sum(line["amount_minor"] for line in lines if line["side"] == Side.DEBIT)
        draft = self._draft(row, place, relation, original_id, day, row["date"], total)
        self._written += [
            {**line, "number": draft.number, "line_no": number} for number, line in enumerate(lines, 1)
        ]
        return draft

    def lines(self, journal: pl.DataFrame, made: pl.DataFrame) -> pl.DataFrame:
        """The journal lines of all drafts with their `number`, out of those stored and those made by the rules."""
        copies = pl.DataFrame(
            self._copies,
            schema={"number": pl.Int64, "voucher_id": pl.Int64, "opening": pl.String},
            orient="row",
        )
        summary = pl.concat_str("opening", "summary").str.head(SUMMARY_LENGTH).alias("summary")
        red = journal.join(copies, on="voucher_id").with_columns(
            -pl.col("amount_minor"), -pl.col("transaction_minor"), summary
        )
        makes = pl.DataFrame(
            self._makes,
            schema={"number": pl.Int64, "document_pk": pl.Int64, "event": pl.String},
            orient="row",
        )
        fresh = made.join(makes, on=["document_pk", "event"])
        frames = [frame.select("number", *JOURNAL) for frame in (red, fresh)]
        if self._written:
            schema = frames[0].schema
            frames.append(pl.DataFrame(self._written, schema=schema).select("number", *JOURNAL))
        return pl.concat(frames)

    def _draft(
        self,
        row: Row,
        place: Place,
        relation: Relation,
        original_id: int | None,
        day: date,
        by_policy: date,
        total: int,
    ) -> Draft:
        """A draft for the document, word, currency and revision that a row names."""
        self._number += 1
        return Draft(
            number=self._number,
            key=str(VoucherKey(self.book, row["source"], row["document_id"], str(place), row["revision"])),
            place=place,
            relation=relation,
            original_id=original_id,
            document_pk=row["document_pk"],
            source=row["source"],
            document_id=row["document_id"],
            revision=row["revision"],
            word=row["word"],
            date=day,
            currency=row["currency"],
            total_minor=total,
            attachments=0 if relation is Relation.REVERSAL else row["attachments"],
            policy_date=by_policy if by_policy != day else None,
        )
