"""What belongs together in two journals, and whether it agrees.

A voucher of ours and one of the ledger's belong together by our key, or by the ledger's id that we keep. They agree where
the effects of their lines cancel: the sums by account, side, foreign currency and dimensions; how the lines are cut does
not matter. What does not agree one to one may do so as 1:N or N:1, see `families`.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from include.domain.voucher import LedgerVoucherState
from include.reconciling.effects import grouped, unbalanced
from include.reconciling.families import families, mentions, only, without
from include.reconciling.frames import Journal

_PAIR = ["ours", "theirs"]


@dataclass(frozen=True, slots=True)
class Match:
    """How two journals go together. `ours` and `theirs` in frames are numbers of vouchers in the journals.

    `pairs` are one to one, with `is_equal` and `by_key` (else by the ledger's id). `missing` of ours have nothing there.
    `duplicates` lists all copies of one that is there several times; the best of them is in `pairs` too. `reversals`
    are ours that somebody reversed, with what shows it. `families` as families.FAMILIES. `strange` of theirs bear a key of
    the book that none of ours has.
    """

    ours: Journal
    theirs: Journal
    pairs: pl.DataFrame
    missing: pl.Series
    duplicates: pl.DataFrame
    reversals: pl.DataFrame
    families: pl.DataFrame
    strange: pl.Series
    foreign: int
    """How many vouchers of others there are, which are left alone."""


def match(ours: Journal, theirs: Journal) -> Match:
    """Match and compare, whatever the order of the rows. Each key and each ledger id comes once in `ours`, except that
    a ledger may have given several of ours one id.
    """
    is_reversed = pl.col("state") == LedgerVoucherState.REVERSED
    live = theirs.vouchers.filter(~is_reversed)
    links = _links(ours.vouchers, live)
    single = links.filter(pl.col("ours").is_unique(), pl.col("theirs").is_unique(), "is_own")
    single = _judged(ours, theirs, single)
    equal = single.filter("is_equal")

    linked = links.filter("is_own")["theirs"].unique().to_frame("voucher")
    foreign = live.filter(pl.col("key") == "").join(linked, on="voucher", how="anti")
    named = mentions(ours.vouchers, foreign)
    red = _red_copies(ours, theirs, named)
    named = named.join(red, on="theirs", how="anti")

    open_ours = without(ours, equal["ours"])
    candidates = pl.concat([links["theirs"], foreign["voucher"]])
    settled = pl.concat([equal["theirs"], red["theirs"]])
    found = families(
        open_ours,
        without(only(theirs, candidates), settled) if open_ours.vouchers.height else Journal.empty(),
        _open_links(links, named, equal),
    )

    rest = links.filter("is_own").join(found, on="ours", how="anti").join(equal, on="ours", how="anti")
    best = _best(rest, ours.vouchers, theirs.vouchers)
    pairs = pl.concat([equal, _judged(ours, theirs, best)])
    absent = ours.vouchers.join(
        pl.concat([pairs["ours"], found["ours"]]).to_frame("voucher"), on="voucher", how="anti"
    )
    gone = _links(absent, theirs.vouchers.filter(is_reversed)).filter("is_own").select(_PAIR)
    known = pl.concat([linked["voucher"], gone["theirs"]]).to_frame("voucher")
    others = theirs.vouchers.filter(pl.col("key") == "").join(known, on="voucher", how="anti")
    return Match(
        ours,
        theirs,
        pairs,
        absent.join(gone, left_on="voucher", right_on="ours", how="anti")["voucher"],
        rest.filter(~pl.col("ours").is_unique()).select(_PAIR),
        pl.concat([gone, red.join(gone, on="ours", how="anti")]),
        found,
        theirs.vouchers.filter(pl.col("key") != "").join(ours.vouchers, on="key", how="anti")["voucher"],
        others.height,
    )


def _links(ours: pl.DataFrame, theirs: pl.DataFrame) -> pl.DataFrame:
    """`ours`, `theirs`, `by_key`, and `is_own`: not where the ledger's id is the one that we keep but bears another key."""
    left, right = (
        side.lazy().select(pl.col("voucher").alias(name), "key", "ledger_id")
        for name, side in zip(_PAIR, (ours, theirs), strict=True)
    )
    by_key = left.filter(pl.col("key") != "").join(right, on="key").select(*_PAIR, by_key=True, is_own=True)
    by_id = (
        left.filter(pl.col("ledger_id") != "")
        .join(right, on="ledger_id")
        .filter(pl.col("key") != pl.col("key_right"))
        .select(*_PAIR, by_key=False, is_own=pl.col("key_right") == "")
    )
    return pl.concat([by_key, by_id]).collect()


def _judged(ours: Journal, theirs: Journal, pairs: pl.DataFrame) -> pl.DataFrame:
    """Pairs with `is_equal`; columns ours, theirs, by_key, is_equal."""
    unequal = unbalanced(
        grouped(ours.lines, pairs.select(voucher="ours", group="ours"), 1),
        grouped(theirs.lines, pairs.select(voucher="theirs", group="ours"), -1),
    )
    return pairs.select(*_PAIR, "by_key", is_equal=~pl.col("ours").is_in(unequal.implode()))


def _red_copies(ours: Journal, theirs: Journal, named: pl.DataFrame) -> pl.DataFrame:
    """Of the vouchers that name one of ours, those that undo it: `ours`, `theirs`."""
    pairs = named.with_row_index("group").cast({"group": pl.Int64})
    left = unbalanced(
        grouped(ours.lines, pairs.select("group", voucher="ours"), 1),
        grouped(theirs.lines, pairs.select("group", voucher="theirs"), 1),
    )
    return pairs.filter(~pl.col("group").is_in(left.implode())).select(_PAIR)


def _open_links(links: pl.DataFrame, named: pl.DataFrame, equal: pl.DataFrame) -> pl.DataFrame:
    """`ours`, `theirs` of what has no equal."""
    both = pl.concat([links.select(_PAIR), named.select(_PAIR)])
    return both.join(equal, on="ours", how="anti").join(equal, on="theirs", how="anti")


def _best(links: pl.DataFrame, ours: pl.DataFrame, theirs: pl.DataFrame) -> pl.DataFrame:
    """One partner for each of ours: the one with the ledger's id that we keep, else the first by id."""
    ids = [
        side.select(pl.col("voucher").alias(name), pl.col("ledger_id").alias(f"{name}_id"))
        for name, side in zip(_PAIR, (ours, theirs), strict=True)
    ]
    return (
        links.join(ids[0], on="ours")
        .join(ids[1], on="theirs")
        .sort(pl.col("ours_id") != pl.col("theirs_id"), pl.col("theirs_id").str.len_bytes(), "theirs_id")
        .unique("ours", keep="first", maintain_order=True)
        .select(links.columns)
    )
