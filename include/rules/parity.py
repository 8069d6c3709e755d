"""Parity (对账试算): vouchers as our rules would make them against those that a ledger has already, by hand or otherwise.

`compare` pairs the two sides (see pairing.py), names one cause for every difference (see differences.py) and adds up.
Nothing here reads or writes anything; frames come in, a report comes out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from decimal import ROUND_DOWN, Decimal
from enum import StrEnum
from typing import Any

import polars as pl

from include.rules.differences import ORDER, Cause, patterns, verdicts
from include.rules.pairing import Evidence, Paired, pair_up, profiles

__all__ = [
    "HEADS",
    "LINES",
    "MENTIONS",
    "Cause",
    "CauseCount",
    "Evidence",
    "Pair",
    "ParityReport",
    "Pattern",
    "Span",
    "Vouchers",
    "compare",
]

SEPARATOR = "\x1f"
"""Between the dimension values of a line."""
PARITY = frozenset({Cause.EQUAL, Cause.GROUPING})
"""Equal in substance."""

HEADS: Mapping[str, Any] = {
    "voucher": pl.Int64,  # any number, once per side
    "name": pl.String,  # how people call it: the document's code, the ledger's number
    "key": pl.String,  # who it is, where both sides know it; else ""
    "code": pl.String,  # ours: the document's code; theirs: ""
    "event": pl.String,  # ours: the accounting event; theirs: ""
    "date": pl.Date,
    "period": pl.String,
    "is_reversed": pl.Boolean,  # theirs: reversed in the ledger, so its counter-voucher is set aside with it
}
LINES: Mapping[str, Any] = {
    "voucher": pl.Int64,
    "side": pl.String,
    "account": pl.String,
    "amount": pl.Int64,  # functional minor units, negative for red
    "currency": pl.String,  # "" where the line has no foreign amount
    "foreign": pl.Int64,
    "dimensions": pl.String,  # "department=D01", sorted, SEPARATOR between them
    "rule": pl.String,  # ours: the file and row that chose the account
}
MENTIONS: Mapping[str, Any] = {"voucher": pl.Int64, "text": pl.String}
"""Texts of ledger vouchers that may name a document: reference and summaries."""


@dataclass(frozen=True, slots=True)
class Vouchers:
    """One side: frames of the schemas HEADS, LINES and, in the ledger, MENTIONS."""

    heads: pl.DataFrame
    lines: pl.DataFrame
    mentions: pl.DataFrame


@dataclass(frozen=True, slots=True)
class Span:
    """The days that are reported, both included; vouchers around them only take part in the pairing."""

    first: date
    last: date


@dataclass(frozen=True, slots=True)
class Pair:
    """What belongs together, and what is to be said of it. One side is empty where nothing fits.

    `ours` are documents' codes, `theirs` the ledger's numbers. `amount_minor` is our total, or theirs where we have
    none; `difference_minor` ours less theirs. `also` are further causes, the more fundamental first.
    """

    ours: tuple[str, ...]
    theirs: tuple[str, ...]
    cause: Cause
    also: tuple[Cause, ...]
    evidence: Evidence
    detail: str
    amount_minor: int
    difference_minor: int

    @property
    def is_parity(self) -> bool:
        return self.cause in PARITY


@dataclass(frozen=True, slots=True)
class Pattern:
    """Differences that are the same: `text` says which (`6602.10 → 6602.03`), `rules` the rows that chose our side."""

    cause: Cause
    text: str
    rules: str
    pairs: int
    amount_minor: int


@dataclass(frozen=True, slots=True)
class CauseCount:
    """How often a cause is the primary one. `amount_minor` adds up the totals of the pairs."""

    cause: Cause
    pairs: int
    ours: int
    theirs: int
    amount_minor: int


@dataclass(frozen=True, slots=True)
class ParityReport:
    """Whether both sides say the same, over a span of days.

    The rates are those of our vouchers that the ledger has just so (equal, or cut into other lines or vouchers), by
    number and by total, in per cent, rounded down; None where we would make none. `reversed_there` counts ledger
    vouchers that cancel each other and were set aside, `unmade` documents that the rules refuse.
    """

    book: str
    currency: str
    span: Span
    rule_digest: str
    ours: int
    theirs: int
    reversed_there: int
    no_voucher: int
    unmade: int
    voucher_rate: Decimal | None
    amount_rate: Decimal | None
    causes: tuple[CauseCount, ...]
    patterns: tuple[Pattern, ...]
    pairs: tuple[Pair, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON: days as ISO text, amounts (minor units) and rates as decimal text."""
        plain: dict[str, Any] = _plain(asdict(self))
        return plain


def compare(
    ours: Vouchers,
    theirs: Vouchers,
    span: Span,
    *,
    book: str,
    currency: str,
    rule_digest: str = "",
    tax_accounts: Sequence[str] = (),
    silent: Mapping[str, str] | None = None,
    near_days: int = 3,
    no_voucher: int = 0,
    unmade: int = 0,
) -> ParityReport:
    """Pair the vouchers of both sides and name what differs. The order of rows does not matter.

    Args:
        ours: what the rules make.
        theirs: what the ledger has.
        span: the days to report.
        book: for the report.
        rule_digest: for the report.
        currency: of the amounts.
        tax_accounts: accounts of deductible input tax, to tell a tax difference from a wrong account.
        silent: why documents have no voucher here, by code, to say so where a ledger voucher names one.
        near_days: how far apart the dates of one voucher may be where only its total and dimensions tell.
        no_voucher: documents that make none by rule, for the report.
        unmade: documents that the rules refuse, for the report.
    """
    our_profiles, their_profiles = profiles(ours.heads, ours.lines), profiles(theirs.heads, theirs.lines)
    paired = pair_up(our_profiles, their_profiles, theirs.mentions, silent or {}, near_days)
    both = pl.concat(
        [our_profiles.with_columns(is_ours=pl.lit(True)), their_profiles.with_columns(is_ours=pl.lit(False))]
    )
    members = paired.members.join(
        both.select("voucher", "is_ours", "name", "date", "period", "event", "size"),
        on=["voucher", "is_ours"],
    )
    is_in = pl.col("date").is_between(span.first, span.last)
    members = members.filter(is_in.any().over("pair"))
    lines = _lines_of(members, ours.lines, theirs.lines)
    judged = verdicts(members, lines, paired.pairs, tax_accounts)
    found = patterns(members, lines, judged)
    pairs = _pairs(members, judged)
    ours_n, theirs_n = members.filter("is_ours"), members.filter(~pl.col("is_ours"))
    return ParityReport(
        book=book,
        currency=currency,
        span=span,
        rule_digest=rule_digest,
        ours=ours_n.height,
        theirs=theirs_n.height,
        reversed_there=_in_span(paired, their_profiles, is_in),
        no_voucher=no_voucher,
        unmade=unmade,
        voucher_rate=_percent(sum(len(p.ours) for p in pairs if p.is_parity), ours_n.height),
        amount_rate=_percent(
            sum(p.amount_minor for p in pairs if p.is_parity and p.ours),
            sum(p.amount_minor for p in pairs if p.ours),
        ),
        causes=_causes(pairs),
        patterns=tuple(
            Pattern(Cause(row["cause"]), row["text"], row["rules"], row["pairs"], int(row["amount"]))
            for row in found.iter_rows(named=True)
        ),
        pairs=tuple(pairs),
    )


def _lines_of(members: pl.DataFrame, ours: pl.DataFrame, theirs: pl.DataFrame) -> pl.DataFrame:
    """The lines of all pairs, of both sides, with 128-bit amounts: sums of theirs cannot overflow."""
    both = pl.concat(
        [
            ours.select(LINES.keys()).with_columns(is_ours=pl.lit(True)),
            theirs.select(LINES.keys()).with_columns(is_ours=pl.lit(False)),
        ]
    )
    return members.select("pair", "is_ours", "voucher").join(
        both.with_columns(pl.col("amount", "foreign").cast(pl.Int128)), on=["voucher", "is_ours"]
    )


def _pairs(members: pl.DataFrame, judged: pl.DataFrame) -> list[Pair]:
    """What differs first, in the order of causes, the largest first."""
    mine = pl.col("is_ours")
    whole = (
        members.sort("name", "voucher")
        .group_by("pair", maintain_order=True)
        .agg(
            pl.col("name").filter(mine).alias("ours"),
            pl.col("name").filter(~mine).alias("theirs"),
        )
        .join(judged, on="pair")
        .with_columns(
            pl.col("cause")
            .replace_strict({c: i for i, c in enumerate(ORDER)}, return_dtype=pl.Int64)
            .alias("rank")
        )
        .sort("rank", pl.col("amount") * -1, pl.col("ours").list.first(), pl.col("theirs").list.first())
    )
    return [
        Pair(
            ours=tuple(row["ours"]),
            theirs=tuple(row["theirs"]),
            cause=Cause(row["cause"]),
            also=tuple(Cause(text) for text in row["also"]),
            evidence=Evidence(row["evidence"]),
            detail=row["detail"],
            amount_minor=int(row["amount"]),
            difference_minor=int(row["difference"]),
        )
        for row in whole.iter_rows(named=True)
    ]


def _causes(pairs: Sequence[Pair]) -> tuple[CauseCount, ...]:
    counts: dict[Cause, list[int]] = {cause: [0, 0, 0, 0] for cause in ORDER}
    for pair in pairs:
        added = (1, len(pair.ours), len(pair.theirs), pair.amount_minor)
        counts[pair.cause] = [a + b for a, b in zip(counts[pair.cause], added, strict=True)]
    return tuple(CauseCount(cause, *numbers) for cause, numbers in counts.items() if numbers[0])


def _in_span(paired: Paired, profiles_there: pl.DataFrame, is_in: pl.Expr) -> int:
    return profiles_there.join(paired.set_aside.to_frame("voucher"), on="voucher").filter(is_in).height


def _percent(part: int, whole: int) -> Decimal | None:
    """Rounded down, so that 100.00 means all of it."""
    if whole == 0:
        return None
    return (Decimal(100 * part) / Decimal(whole)).quantize(Decimal("0.01"), ROUND_DOWN)


def _plain(value: Any, name: str = "") -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(each, key) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, StrEnum):
        return value.value
    return str(value) if isinstance(value, Decimal) or name.endswith("_minor") else value
