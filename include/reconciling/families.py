"""Vouchers that go together other than one to one: one of ours that became several there (1:N), several of ours that
became one (N:1), and one that is there without our key.

Vouchers are linked by our key, by the ledger's id, by a text there that names our key or number, or by a day, account and
dimensions that they share. A family is everything that is linked, taken whole: its sums agree or it is none. Nothing
searches for a part of it that would fit, since that would be a guess.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

import polars as pl

from include.reconciling.effects import grouped, unbalanced
from include.reconciling.frames import Journal


class FamilyKind(StrEnum):
    SPLIT = "split"
    MERGED = "merged"
    REFOUND = "refound"
    """One to one, and nothing there says that it is ours."""


FAMILIES = {"kind": pl.String, "ours": pl.Int64, "theirs": pl.Int64}
"""Each member of ours with each of theirs."""
_EDGES = {"one": pl.Int64, "other": pl.Int64}
"""Between nodes: ours have even numbers, theirs odd ones, and what several share has a negative one."""

_WORD = r"[^\s,;:，；：、。()（）\[\]【】]+"
_NUMBER = r"\p{Han}-\d+"
"""A voucher's number in a sentence without spaces: 冲销2026-03记-12."""


def mentions(ours: pl.DataFrame, strange: pl.DataFrame) -> pl.DataFrame:
    """Which vouchers without our key name one of ours by its key or number: `ours`, `theirs`, each pair once."""
    text = pl.col("text")
    words = strange.lazy().select(
        pl.col("voucher").alias("theirs"),
        pl.concat_list(text.str.extract_all(_WORD), text.str.extract_all(_NUMBER)).alias("word"),
    )
    names = pl.concat(
        [
            ours.lazy()
            .filter(pl.col(column) != "")
            .select(pl.col("voucher").alias("ours"), pl.col(column).alias("word"))
            for column in ("key", "number")
        ]
    )
    return words.explode("word").join(names, on="word").select("ours", "theirs").unique().collect()


def families(ours: Journal, theirs: Journal, links: pl.DataFrame) -> pl.DataFrame:
    """The families among what is open on both sides, as FAMILIES.

    Args:
        ours: those of our vouchers that have no equal.
        theirs: those of the ledger's that are not the equal of one of ours.
        links: `ours`, `theirs`: what key, id or a text there say.
    """
    if ours.vouchers.is_empty() or theirs.vouchers.is_empty():
        return pl.DataFrame(schema=FAMILIES)
    named = links.select(one=2 * pl.col("ours"), other=2 * pl.col("theirs") + 1)
    sure = _agreeing(ours, theirs, named)
    ours, theirs = without(ours, sure["ours"]), without(theirs, sure["theirs"])
    left = named.filter(
        (pl.col("one") // 2).is_in(ours.vouchers["voucher"].implode()),
        (pl.col("other") // 2).is_in(theirs.vouchers["voucher"].implode()),
    )
    alike = _agreeing(ours, theirs, pl.concat([left, _shared(ours, theirs)]))
    return pl.concat([sure, alike])


def without(journal: Journal, vouchers: pl.Series) -> Journal:
    """A journal but for some vouchers."""
    gone = vouchers.unique().to_frame("voucher")
    return Journal(
        journal.vouchers.join(gone, on="voucher", how="anti"),
        journal.lines.join(gone, on="voucher", how="anti"),
    )


def only(journal: Journal, vouchers: pl.Series) -> Journal:
    """Some vouchers of a journal."""
    kept = vouchers.unique().to_frame("voucher")
    return Journal(
        journal.vouchers.join(kept, on="voucher", how="semi"),
        journal.lines.join(kept, on="voucher", how="semi"),
    )


def _shared(ours: Journal, theirs: Journal) -> pl.DataFrame:
    """_EDGES from vouchers of both sides to the day, account and dimensions that they have in common."""
    what = ["date", "account", "is_credit", "dimensions"]
    sides = [
        journal.lines.filter(pl.col("dimensions") != "")
        .join(journal.vouchers, on="voucher")
        .select((2 * pl.col("voucher") + parity).alias("one"), *what)
        .unique()
        for parity, journal in enumerate((ours, theirs))
    ]
    common = sides[0].select(what).unique().join(sides[1], on=what, how="semi").with_row_index("number")
    return pl.concat(sides).join(common, on=what).select("one", other=-1 - pl.col("number").cast(pl.Int64))


def _agreeing(ours: Journal, theirs: Journal, edges: pl.DataFrame) -> pl.DataFrame:
    """What hangs together by `edges` and has equal sums on both sides, as FAMILIES."""
    members = _members(edges)
    sizes = members.group_by("group").agg(
        pl.col("is_ours").sum().alias("ours"), (~pl.col("is_ours")).sum().alias("theirs")
    )
    one_to_one = (pl.col("ours") == 1) & (pl.col("theirs") == 1)  # by key or id it would be an equal pair
    kinds = sizes.select(
        "group",
        pl.when((pl.col("ours") == 1) & (pl.col("theirs") > 1))
        .then(pl.lit(FamilyKind.SPLIT.value))
        .when((pl.col("ours") > 1) & (pl.col("theirs") == 1))
        .then(pl.lit(FamilyKind.MERGED.value))
        .when(one_to_one)
        .then(pl.lit(FamilyKind.REFOUND.value))
        .alias("kind"),
    ).drop_nulls()
    members = members.join(kinds, on="group")
    sides = [members.filter(side) for side in (pl.col("is_ours"), ~pl.col("is_ours"))]
    unequal = unbalanced(
        grouped(ours.lines, sides[0].select("voucher", "group"), 1),
        grouped(theirs.lines, sides[1].select("voucher", "group"), -1),
    )
    agreeing, theirs_of = (side.join(unequal.to_frame(), on="group", how="anti") for side in sides)
    return agreeing.join(theirs_of, on="group").select(
        "kind", pl.col("voucher").alias("ours"), pl.col("voucher_right").alias("theirs")
    )


def _members(edges: pl.DataFrame) -> pl.DataFrame:
    """Which vouchers hang together: `voucher`, `is_ours` and `group`."""
    roots = _roots(edges.select("one", "other").iter_rows())
    nodes = [(node, root) for node, root in roots.items() if node >= 0]
    return pl.DataFrame(nodes, schema={"node": pl.Int64, "group": pl.Int64}, orient="row").select(
        (pl.col("node") // 2).alias("voucher"), (pl.col("node") % 2 == 0).alias("is_ours"), "group"
    )


def _roots(edges: Iterable[tuple[int, int]]) -> dict[int, int]:
    """A node for each node, the same for all that hang together."""
    parent: dict[int, int] = {}

    def root(node: int) -> int:
        parent.setdefault(node, node)
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for one, other in edges:
        parent[root(one)] = root(other)
    return {node: root(node) for node in list(parent)}
