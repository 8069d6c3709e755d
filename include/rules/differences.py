"""What differs between vouchers that belong together: one primary cause each, and the patterns that come again.

Amounts are compared at several levels (all lines; by side, account and dimensions; by account …). A cause is the level
at which the two sides part: equal by account but not by dimension is a matter of dimensions, and so on.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import polars as pl

from include.domain.voucher import Side
from include.rules.pairing import Evidence


class Cause(StrEnum):
    """Why two sides differ. `equal` and `grouping` are parity."""

    ONLY_OURS = "only_ours"  # not in the ledger
    ONLY_THEIRS = "only_theirs"  # no document: by hand, or from another source
    AMBIGUOUS = "ambiguous"  # several fit equally well
    PERIOD = "period"  # another fiscal period
    AMOUNT = "amount"  # the totals differ
    ACCOUNT = "account"  # the same totals on other accounts
    TAX = "tax"  # another share of input tax
    DIMENSION = "dimension"  # the same accounts with other dimensions
    CURRENCY = "currency"  # other foreign amounts
    SIDE = "side"  # red against the other side, or the opposite sign
    DATE = "date"  # another day of the same period
    ROUNDING = "rounding"  # at most one minor unit a line
    GROUPING = "grouping"  # the same sums, cut into other lines or vouchers
    EQUAL = "equal"

    @property
    def label(self) -> str:
        return _LABELS[self]


ORDER = tuple(Cause)
"""The most fundamental first: the first one that applies is the primary cause."""

_LABELS = {
    Cause.ONLY_OURS: "账簿中没有 / not in the ledger",
    Cause.ONLY_THEIRS: "没有对应单据 / no document for it",
    Cause.AMBIGUOUS: "有多个可能，请人工确认 / several fit, a person must say",
    Cause.PERIOD: "会计期间不同 / other period",
    Cause.AMOUNT: "金额不同 / other total",
    Cause.ACCOUNT: "科目不同 / other account",
    Cause.TAX: "进项税额拆分不同 / other input tax",
    Cause.DIMENSION: "辅助核算不同 / other dimension",
    Cause.CURRENCY: "原币不同 / other foreign amount",
    Cause.SIDE: "方向或红蓝字不同 / other side or sign",
    Cause.DATE: "日期不同（同一期间） / other day",
    Cause.ROUNDING: "尾差 / rounding",
    Cause.GROUPING: "分录或凭证合并方式不同，实质一致 / cut otherwise, equal in substance",
    Cause.EQUAL: "一致 / equal",
}
_FOUND = tuple(
    c for c in ORDER if c not in {Cause.ONLY_OURS, Cause.ONLY_THEIRS, Cause.AMBIGUOUS, Cause.EQUAL}
)
"""The causes of pairs with two sides, but for equality."""

MINE = pl.col("is_ours")


def verdicts(
    members: pl.DataFrame, lines: pl.DataFrame, pairs: pl.DataFrame, tax_accounts: Sequence[str]
) -> pl.DataFrame:
    """The causes of all pairs.

    Args:
        members: pair, is_ours, voucher, date, period, size …
        lines: pair, is_ours and the columns of parity.LINES; amounts in 128 bits.
        pairs: pair, evidence, detail.
        tax_accounts: accounts of deductible input tax.

    Returns:
        pair, evidence, detail, cause, also (list), amount, difference (ours less theirs), n and m (vouchers of ours
        and theirs).
    """
    shapes = _shapes(members)
    two_sided = shapes.filter((pl.col("n") > 0) & (pl.col("m") > 0)).select("pair")
    flags = _flags(lines.join(two_sided, on="pair", how="semi"), tax_accounts)
    dated = shapes.join(flags, on="pair", how="left").with_columns(
        pl.col("periods_ours", "periods_theirs").fill_null(""),
        *(pl.col(cause.value).fill_null(False) for cause in _FOUND if cause.value in flags.columns),
    )
    other_period = pl.col("periods_ours") != pl.col("periods_theirs")
    recut = pl.col("recut").fill_null(False) | (pl.col("n") != 1) | (pl.col("m") != 1)
    known = dated.with_columns(
        other_period.alias(Cause.PERIOD.value),
        (~other_period & (pl.col("days_ours") != pl.col("days_theirs"))).alias(Cause.DATE.value),
        (recut & ~pl.any_horizontal(cause.value for cause in _FOUND if cause.value in flags.columns)).alias(
            Cause.GROUPING.value
        ),
    )
    nothing = pl.lit(None, pl.String)
    found = known.with_columns(
        pl.concat_list(pl.when(cause.value).then(pl.lit(cause.value)).otherwise(nothing) for cause in _FOUND)
        .list.drop_nulls()
        .alias("found")
    )
    return (
        found.join(pairs, on="pair")
        .with_columns(
            pl.when(pl.col("evidence") == Evidence.SEVERAL.value)
            .then(pl.lit(Cause.AMBIGUOUS.value))
            .when(pl.col("m") == 0)
            .then(pl.lit(Cause.ONLY_OURS.value))
            .when(pl.col("n") == 0)
            .then(pl.lit(Cause.ONLY_THEIRS.value))
            .otherwise(pl.col("found").list.first().fill_null(Cause.EQUAL.value))
            .alias("cause"),
            pl.when((pl.col("n") == 0) | (pl.col("m") == 0))
            .then(pl.lit([], pl.List(pl.String)))
            .otherwise(pl.col("found").list.slice(1))
            .alias("also"),
            pl.when(pl.col("n") > 0).then("size_ours").otherwise("size_theirs").alias("amount"),
            (pl.col("size_ours") - pl.col("size_theirs")).alias("difference"),
        )
        .select("pair", "evidence", "detail", "cause", "also", "amount", "difference", "n", "m")
    )


def _shapes(members: pl.DataFrame) -> pl.DataFrame:
    """Numbers, days, periods and sizes of each pair's two sides; days and periods as text to be compared."""
    return members.group_by("pair").agg(
        MINE.sum().cast(pl.Int64).alias("n"),
        (~MINE).sum().cast(pl.Int64).alias("m"),
        *(
            text.filter(mine).unique().sort().str.join(" ").alias(f"{name}_{who}")
            for name, text in (("days", pl.col("date").cast(pl.String)), ("periods", pl.col("period")))
            for who, mine in (("ours", MINE), ("theirs", ~MINE))
        ),
        pl.col("size").filter(MINE).sum().alias("size_ours"),
        pl.col("size").filter(~MINE).sum().alias("size_theirs"),
    )


def _level(lines: pl.DataFrame, keys: Sequence[str], value: str | pl.Expr) -> pl.DataFrame:
    """Sums of both sides by the keys: `o` of ours, `t` of theirs, `no` and `nt` how many lines."""
    return lines.group_by("pair", *keys).agg(
        _of(value, MINE).alias("o"),
        _of(value, ~MINE).alias("t"),
        MINE.sum().alias("no"),
        (~MINE).sum().alias("nt"),
    )


def _of(value: str | pl.Expr, whose: pl.Expr) -> pl.Expr:
    expression = pl.col(value) if isinstance(value, str) else value
    return expression.filter(whose).sum()


def _signed(name: str) -> pl.Expr:
    return pl.col(name) * pl.when(pl.col("side") == Side.DEBIT.value).then(1).otherwise(-1)


def _differing(level: pl.DataFrame) -> pl.DataFrame:
    return level.filter(pl.col("o") != pl.col("t"))


def _flags(lines: pl.DataFrame, tax_accounts: Sequence[str]) -> pl.DataFrame:
    """One row for each pair whose lines are not the very same, with a column for each cause that lines can show.

    `recut`: the lines differ, which is grouping where nothing else is found.
    """
    whole = _level(lines, ["side", "account", "dimensions", "currency", "amount", "foreign"], pl.lit(1))
    recut = whole.filter(pl.col("no") != pl.col("nt")).select("pair").unique()
    lines = lines.join(recut, on="pair", how="semi")
    cells = lines.group_by("pair", "side", "account", "dimensions", "currency").agg(
        _of("amount", MINE).alias("o"),
        _of("amount", ~MINE).alias("t"),
        _of("foreign", MINE).alias("fo"),
        _of("foreign", ~MINE).alias("ft"),
        MINE.sum().cast(pl.Int128).alias("no"),
        (~MINE).sum().cast(pl.Int128).alias("nt"),
    )
    unequal = cells.filter((pl.col("o") != pl.col("t")) | (pl.col("fo") != pl.col("ft")))
    rounding = unequal.group_by("pair").agg(
        (
            ((pl.col("o") - pl.col("t")).abs() <= pl.max_horizontal("no", "nt")).all()
            & (pl.col("fo") == pl.col("ft")).all()
            & ((pl.col("no") > 0) & (pl.col("nt") > 0)).any()
        ).alias(Cause.ROUNDING.value)
    )
    flags = recut.with_columns(recut=pl.lit(True))
    for part in (
        rounding,
        unequal.select("pair").unique().with_columns(cells=pl.lit(True)),
        *_levels(lines, tax_accounts),
    ):
        flags = flags.join(part, on="pair", how="left")
    flags = flags.with_columns(pl.col(pl.Boolean).fill_null(False))
    is_rounding = pl.col(Cause.ROUNDING.value)
    other_total, opposite = pl.col("other_total"), pl.col("opposite")
    amount = other_total & ~is_rounding & ~opposite
    flags = flags.with_columns(
        amount.alias(Cause.AMOUNT.value),
        (~is_rounding & ~opposite & pl.when(amount).then("account_there_only").otherwise("moved")).alias(
            Cause.ACCOUNT.value
        ),
        (~is_rounding & ~opposite & pl.when(amount).then("other_tax").otherwise("tax_moved")).alias(
            Cause.TAX.value
        ),
    )
    moved = pl.any_horizontal(Cause.AMOUNT.value, Cause.ACCOUNT.value, Cause.TAX.value)
    same_accounts = ~pl.col("nets") & ~is_rounding
    only_account = pl.col(Cause.ACCOUNT.value) & ~pl.col(Cause.AMOUNT.value) & ~pl.col(Cause.TAX.value)
    foreign = pl.col("by_currency") | pl.col("foreign_sums")
    return flags.with_columns(
        pl.when(same_accounts)
        .then("by_dimensions")
        .when(only_account)
        .then("dimension_sums")
        .otherwise(moved & pl.col("values"))
        .alias(Cause.DIMENSION.value),
        pl.when(same_accounts & ~pl.col("by_dimensions"))
        .then(foreign)
        .otherwise(pl.col("foreign_sizes") & ~amount & ~is_rounding)
        .alias(Cause.CURRENCY.value),
        pl.when(same_accounts & ~pl.col("by_dimensions") & ~foreign)
        .then("cells")
        .otherwise(~is_rounding & (opposite | (pl.col("other_debit") & ~other_total)))
        .alias(Cause.SIDE.value),
    ).select(
        "pair", "recut", *(c.value for c in _FOUND if c not in {Cause.PERIOD, Cause.DATE, Cause.GROUPING})
    )


def _levels(lines: pl.DataFrame, tax_accounts: Sequence[str]) -> list[pl.DataFrame]:
    """Frames of a pair and what it is like, one for each level of comparison."""
    return [
        _totals(lines),
        _accounts(lines, tax_accounts),
        _marks(_level(lines, ["account", "dimensions"], _signed("amount")), "by_dimensions"),
        _marks(_level(lines, ["dimensions"], _signed("amount")), "dimension_sums"),
        _marks(
            _level(lines.filter(pl.col("dimensions") != ""), ["dimensions"], pl.lit(1)),
            "values",
            one_sided=True,
        ),
        _marks(_level(lines, ["account", "dimensions", "currency"], _signed("amount")), "by_currency"),
        _marks(_level(lines, ["account", "dimensions", "currency"], _signed("foreign")), "foreign_sums"),
        _marks(_level(lines, ["currency"], pl.col("foreign").abs()), "foreign_sizes"),
    ]


def _marks(level: pl.DataFrame, name: str, *, one_sided: bool = False) -> pl.DataFrame:
    """The pairs with a difference at that level, or with something that only one side has."""
    has = (pl.col("no") == 0) | (pl.col("nt") == 0) if one_sided else pl.col("o") != pl.col("t")
    return level.filter(has).select("pair").unique().with_columns(pl.lit(True).alias(name))


def _totals(lines: pl.DataFrame) -> pl.DataFrame:
    """`other_debit`: the debit sides differ. `other_total`: what moves between accounts differs as well, so that it is
    not a matter of red lines.
    """
    moved = (
        _level(lines, ["account"], _signed("amount"))
        .group_by("pair")
        .agg(
            (pl.col("o").clip(lower_bound=0).sum() != pl.col("t").clip(lower_bound=0).sum()).alias(
                "other_move"
            )
        )
    )
    debits = lines.group_by("pair").agg(
        *(
            pl.col("amount").filter(whose & (pl.col("side") == Side.DEBIT.value)).sum().alias(name)
            for name, whose in (("o", MINE), ("t", ~MINE))
        )
    )
    other_debit = pl.col("o") != pl.col("t")
    return debits.join(moved, on="pair").select(
        "pair", other_debit.alias("other_debit"), (other_debit & pl.col("other_move")).alias("other_total")
    )


def _accounts(lines: pl.DataFrame, tax_accounts: Sequence[str]) -> pl.DataFrame:
    """How the sums by account differ, for pairs where they do (`nets`).

    A tax difference moves an amount between an account of input tax and accounts that both sides have; a whole tax line
    on another account is a matter of accounts. `opposite`: every account has the same amount with the other sign.
    """
    is_tax = pl.col("account").is_in(list(tax_accounts))
    difference = pl.col("o") - pl.col("t")
    one_sided = (pl.col("no") == 0) | (pl.col("nt") == 0)
    tax, rest = difference.filter(is_tax), difference.filter(~is_tax)
    facts = (
        _differing(_level(lines, ["account"], _signed("amount")))
        .group_by("pair")
        .agg(
            (tax.sum() != 0).alias("other_tax"),
            ((rest > 0).any() & (rest < 0).any()).alias("mixed"),
            one_sided.filter(~is_tax).all().alias("elsewhere"),
            one_sided.filter(~is_tax).any().alias("account_there_only"),
            (pl.col("o") + pl.col("t") == 0).all().alias("opposite"),
        )
    )
    tax_only = pl.col("other_tax") & ~pl.col("mixed") & ~pl.col("elsewhere")
    return facts.select(
        "pair",
        pl.lit(True).alias("nets"),
        "other_tax",
        "account_there_only",
        "opposite",
        (~tax_only).alias("moved"),
        (tax_only | (pl.col("other_tax") & pl.col("mixed"))).alias("tax_moved"),
    )


_TEXTS = {"pair": pl.Int64, "text": pl.String, "rules": pl.String}


def patterns(members: pl.DataFrame, lines: pl.DataFrame, judged: pl.DataFrame) -> pl.DataFrame:
    """Differences of the same kind together, by their primary cause: cause, text, rules, pairs, amount.

    `rules` are the rows that chose our accounts, as far as they can be told; the most frequent pattern comes first.
    """
    of = {cause: judged.filter(pl.col("cause") == cause.value).select("pair") for cause in ORDER}
    own = {cause: lines.join(pairs, on="pair", how="semi") for cause, pairs in of.items()}
    by_account = [Cause.ACCOUNT, Cause.TAX]
    parts = [
        _arrows(own[cause], pl.col("account"), ["account"], _signed("amount")).with_columns(
            cause=pl.lit(cause.value)
        )
        for cause in by_account
    ]
    value = pl.concat_str(
        "account", pl.col("dimensions").str.replace_all("\x1f", " ", literal=True), separator=" "
    )
    money = pl.concat_str(
        "account", pl.when(pl.col("currency") == "").then(pl.lit("-")).otherwise("currency"), separator=" "
    )
    side = pl.concat_str(
        pl.when(pl.col("side") == Side.DEBIT.value).then(pl.lit("借 ")).otherwise(pl.lit("贷 ")), "account"
    )
    for cause, label, keys, amount in (
        (Cause.DIMENSION, value.str.strip_chars(), ["account", "dimensions"], _signed("amount")),
        (Cause.CURRENCY, money, ["account", "currency"], _signed("foreign")),
        (Cause.SIDE, side, ["side", "account"], pl.col("amount")),
    ):
        parts.append(_arrows(own[cause], label, keys, amount).with_columns(cause=pl.lit(cause.value)))
    parts += [
        _lists(own[cause], members).with_columns(cause=pl.lit(cause.value))
        for cause in (Cause.AMOUNT, Cause.ROUNDING, Cause.ONLY_OURS, Cause.ONLY_THEIRS, Cause.AMBIGUOUS)
    ]
    parts += _headings(members, judged)
    told = pl.concat([part.select("cause", *_TEXTS, "moved") for part in parts])
    return (
        told.join(judged.select("pair", "amount"), on="pair")
        .with_columns(pl.col("moved").fill_null(pl.col("amount")))
        .group_by("cause", "text", "rules")
        .agg(pl.col("pair").n_unique().cast(pl.Int64).alias("pairs"), pl.col("moved").sum().alias("amount"))
        .with_columns(
            rank=pl.col("cause").replace_strict(
                {c.value: i for i, c in enumerate(ORDER)}, return_dtype=pl.Int64
            )
        )
        .sort("rank", pl.col("pairs") * -1, pl.col("amount") * -1, "text", "rules")
        .drop("rank")
    )


def _arrows(lines: pl.DataFrame, label: pl.Expr, keys: list[str], amount: pl.Expr) -> pl.DataFrame:
    """`from → to` of each pair, with the amount that moved: from where ours is the larger, to where theirs is.

    Moves of different size in one pair are told apart; those of the same size, and what has no counterpart of its own
    size, stand together.
    """
    size = (pl.col("o") - pl.col("t")).abs()
    level = _differing(_level(lines, keys, amount)).with_columns(label.alias("label"), size.alias("moved"))
    red = {n: pl.when(pl.col(n) < 0).then(pl.lit(" 红字")).otherwise(pl.lit("")) for n in ("o", "t")}
    if keys[0] != "side":
        red = dict.fromkeys(red, pl.lit(""))
    ours = level.filter((pl.col("o") != 0) & (pl.col("o").abs() >= pl.col("t").abs())).with_columns(
        name=pl.concat_str("label", red["o"])
    )
    theirs = level.filter((pl.col("t") != 0) & (pl.col("t").abs() >= pl.col("o").abs())).with_columns(
        name=pl.concat_str("label", red["t"])
    )
    fits = (
        ours.select("pair", "moved")
        .unique()
        .join(theirs.select("pair", "moved").unique(), on=["pair", "moved"])
    )
    sides = []
    for side in (ours, theirs):
        known = side.join(fits.with_columns(fits=pl.lit(True)), on=["pair", "moved"], how="left")
        group = pl.when("fits").then("moved").otherwise(pl.lit(-1, pl.Int128)).alias("group")
        sides.append(known.with_columns(group))
    at = ["pair", "group"]
    left, right = (
        side.group_by(at).agg(pl.col("name").unique().sort().str.join("、"), pl.col("moved").sum())
        for side in sides
    )
    joined = left.join(right, on=at, how="full", coalesce=True, suffix="_there").join(
        _rules(lines, sides, keys), on=at, how="left"
    )
    text = pl.concat_str(pl.col("name").fill_null("–"), pl.lit(" → "), pl.col("name_there").fill_null("–"))
    return joined.select(
        "pair",
        text.alias("text"),
        pl.col("rules").fill_null(""),
        pl.coalesce("moved", "moved_there").alias("moved"),
    )


def _rules(lines: pl.DataFrame, sides: list[pl.DataFrame], keys: list[str]) -> pl.DataFrame:
    """The rows that chose our accounts, by pair and group: those of our side of the arrow, else those of the other.

    Where just one row has the very amount that moved, it is that one.
    """
    amounts = (
        lines.filter("is_ours")
        .group_by("pair", *keys, "rule")
        .agg(pl.col("amount").sum().abs().alias("of_rule"))
    )
    found = []
    for rank, side in enumerate(sides):
        rows = side.select("pair", "group", "moved", *keys).join(amounts, on=["pair", *keys])
        exact = pl.col("of_rule") == pl.col("moved")
        of = [*("pair", "group"), *keys]
        found.append(
            rows.filter(exact | (exact.sum().over(of) != 1)).select(
                "pair", "group", "rule", pl.lit(rank).alias("rank")
            )
        )
    return (
        pl.concat(found)
        .filter(pl.col("rank") == pl.col("rank").min().over("pair", "group"))
        .group_by("pair", "group")
        .agg(pl.col("rule").unique().sort().str.join("; ").alias("rules"))
    )


def _lists(lines: pl.DataFrame, members: pl.DataFrame) -> pl.DataFrame:
    """The accounts that differ (all of them where a side is missing), and the rows that chose ours.

    What is only ours is told by its event: the rows behind it are as many as there are vouchers.
    """
    events = members.filter("is_ours").group_by("pair").agg(pl.col("event").unique().sort().str.join("、"))
    level = _differing(_level(lines, ["account"], _signed("amount")))
    named = lines.join(level.select("pair", "account"), on=["pair", "account"], how="semi")
    both = pl.col("is_ours").any() & ~pl.col("is_ours").all()
    return (
        named.group_by("pair")
        .agg(
            pl.col("account").unique().sort().str.join("、").alias("text"),
            pl.when(both)
            .then(pl.col("rule").filter(MINE & (pl.col("rule") != "")).unique().sort().str.join("; "))
            .otherwise(pl.lit(""))
            .alias("rules"),
            both.alias("both"),
        )
        .join(events, on="pair", how="left")
        .select(
            "pair",
            pl.when("both").then("text").otherwise(pl.coalesce("event", "text")).alias("text"),
            "rules",
            pl.lit(None, pl.Int128).alias("moved"),
        )
    )


def _headings(members: pl.DataFrame, judged: pl.DataFrame) -> list[pl.DataFrame]:
    """Patterns of what stands in the heads: days, periods, how many vouchers to how many."""
    told = judged.filter(pl.col("cause").is_in([Cause.PERIOD.value, Cause.DATE.value, Cause.GROUPING.value]))
    members = members.join(told, on="pair", how="semi")
    shapes = _shapes(members).join(told.select("pair", "cause"), on="pair")
    firsts = members.group_by("pair").agg(
        (pl.col("date").filter(~MINE).min() - pl.col("date").filter(MINE).min()).dt.total_days().alias("days")
    )
    arrow = pl.concat_str("periods_ours", pl.lit(" → "), "periods_theirs")
    later = pl.format(
        "{}{} 天 / days", pl.when(pl.col("days") > 0).then(pl.lit("+")).otherwise(pl.lit("")), "days"
    )
    counts = pl.format("{} : {}", "n", "m")
    return [
        shapes.join(firsts, on="pair")
        .filter(pl.col("cause") == cause.value)
        .select(
            "cause",
            "pair",
            text.alias("text"),
            pl.lit("").alias("rules"),
            pl.lit(None, pl.Int128).alias("moved"),
        )
        for cause, text in ((Cause.PERIOD, arrow), (Cause.DATE, later), (Cause.GROUPING, counts))
    ]
