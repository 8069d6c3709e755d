"""Which voucher of ours is which of the ledger's: by key, by the document's code, by content, and never by a guess.

Every step takes only what fits one way; what fits several ways is left, and said to be ambiguous. Steps are joins on
blocks (same day, same total …): a block with several vouchers on a side has no unique pair, so no step is quadratic.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import polars as pl

from include.domain.voucher import Side
from include.rules.mentions import cited_codes, normal

PRIME = 2**61 - 1
SEED = 7
PAIR_SEARCH = 1_000_000
"""Up to how many combinations of a day two vouchers are sought that add up to one."""
ROUNDS = 2
"""What one round takes may leave others with just one that fits."""
CANDIDATES = 3
"""How many candidates a message names."""
PARTY_TAGS = r"^(employee|supplier|customer|party)="


class Evidence(StrEnum):
    """Why vouchers are held to belong together, the strongest first."""

    KEY = "key"  # our key in the ledger
    CODE = "code"  # the document's code in the voucher's reference or a summary
    SAME_CONTENT = "same_content"  # same day, accounts, dimensions, amounts
    INTERCHANGEABLE = "interchangeable"  # as many alike here as there, of the same content on the same day
    SAME_DAY = "same_day"  # same day, total and set of accounts
    NEAR_CONTENT = "near_content"  # same accounts, dimensions and amounts a few days apart
    NEAR_TOTAL = "near_total"  # same total and a shared party or dimension, at most a few days apart
    SUM = "sum"  # several of a day add up to one, account by account
    NOTHING = "nothing"  # nothing fits
    SEVERAL = "several"  # several fit, and nothing tells which

    @property
    def label(self) -> str:
        return _LABELS[self]


_LABELS = {
    Evidence.KEY: "凭证键相同 / the key in the ledger is ours",
    Evidence.CODE: "摘要或备注写有单据号 / reference or summary names the document",
    Evidence.SAME_CONTENT: "同日同内容 / same day, same content",
    Evidence.INTERCHANGEABLE: "同日同内容，两边份数相同 / same day and content, as many on both sides",
    Evidence.SAME_DAY: "同日同金额同科目 / same day, total and accounts",
    Evidence.NEAR_CONTENT: "数日内同内容 / same content within days",
    Evidence.NEAR_TOTAL: "数日内同金额同辅助核算 / same total and a shared dimension within days",
    Evidence.SUM: "同日多张合计一致 / several of one day add up",
    Evidence.NOTHING: "没有对应 / nothing fits",
    Evidence.SEVERAL: "多个可能，无法确定 / several fit, a person must say which",
}


@dataclass(frozen=True, slots=True)
class Paired:
    """`pairs`: pair, evidence, detail. `members`: pair, is_ours, voucher; each voucher is in one pair, or `set_aside`
    (a reversed voucher of the ledger and its counter-voucher).
    """

    pairs: pl.DataFrame
    members: pl.DataFrame
    set_aside: pl.Series


def profiles(heads: pl.DataFrame, lines: pl.DataFrame) -> pl.DataFrame:
    """The heads (parity.HEADS) with what vouchers are recognised by.

    `total`: what moves between accounts, the same whether red or on the other side; `size`: half of all amounts, red
    counted as positive. `accounts`: the set of accounts with the direction of each. `content` and `sums` are linear
    fingerprints of the amounts by account and dimensions, and by account: those of vouchers add up to that of all.
    """
    signed = pl.col("amount").cast(pl.Int128) * pl.when(pl.col("side") == Side.DEBIT.value).then(1).otherwise(
        -1
    )
    known = lines.with_columns(signed.alias("signed"))
    nets = known.group_by("voucher", "account").agg(pl.col("signed").sum())
    of_nets = (
        nets.filter(pl.col("signed") != 0)
        .sort("voucher", "account")
        .group_by("voucher")
        .agg(
            pl.col("signed").clip(lower_bound=0).sum().alias("moved"),
            _folded(_weighted("account")).alias("sums"),
            pl.concat_str(pl.when(pl.col("signed") > 0).then(pl.lit("+")).otherwise(pl.lit("-")), "account")
            .implode().list.join(" ").alias("accounts"),
        )
    )  # fmt: skip
    weight = pl.concat_str("account", "dimensions", separator="\x1e")
    of_cells = (
        known.group_by("voucher", weight.alias("cell"))
        .agg(pl.col("signed").sum())
        .group_by("voucher")
        .agg(_folded(_weighted("cell")).alias("content"))
    )
    tags = (
        known.filter(pl.col("dimensions") != "")
        .select("voucher", pl.col("dimensions").str.split("\x1f").alias("tags"))
        .explode("tags")
        .unique()
        .sort("voucher", "tags")
        .group_by("voucher")
        .agg("tags")
    )
    sizes = known.group_by("voucher").agg((pl.col("signed").abs().sum() // 2).alias("size"))
    joined = heads
    for part in (of_nets, of_cells, tags, sizes):
        joined = joined.join(part, on="voucher", how="left")
    nothing = pl.lit(0, pl.Int128)
    return joined.with_columns(
        pl.col("moved", "sums", "content", "size").fill_null(nothing),
        pl.col("accounts").fill_null(""),
        pl.col("tags").fill_null([]).cast(pl.List(pl.String)),
    ).with_columns(pl.when(pl.col("moved") == 0).then("size").otherwise("moved").alias("total"))


def _weighted(name: str) -> pl.Expr:
    return pl.col("signed") % PRIME * (pl.col(name).hash(SEED) % PRIME).cast(pl.Int128) % PRIME


def _folded(weighted: pl.Expr) -> pl.Expr:
    """A sum modulo PRIME, between 0 and PRIME − 1."""
    return (weighted.sum() % PRIME + PRIME) % PRIME


def pair_up(
    ours: pl.DataFrame,
    theirs: pl.DataFrame,
    mentions: pl.DataFrame,
    silent: Mapping[str, str],
    near_days: int,
) -> Paired:
    """Pair two sides of `profiles`; see parity.compare. Pairs are numbered from 0."""
    state = _State(ours.sort("name", "event", "voucher"), theirs.sort("name", "voucher"))
    state.stars(
        state.ours.select(pl.col("voucher").alias("ours"), "key")
        .filter(pl.col("key") != "")
        .join(state.theirs.select(pl.col("voucher").alias("theirs"), "key"), on="key")
        .select("ours", "theirs", pl.col("key").alias("detail")),
        Evidence.KEY,
    )
    set_aside = _reversed(state.theirs)
    state.theirs = state.theirs.filter(~pl.col("voucher").is_in(set_aside.implode()))
    _by_code(state, mentions, silent)
    for _ in range(ROUNDS):
        _by_content(state, near_days)
    _by_sums(state, ours_are_many=True)
    _by_sums(state, ours_are_many=False)
    _say_the_rest(state, near_days)
    return Paired(pl.concat(state.heads), pl.concat(state.members), set_aside)


_HEADS = {"pair": pl.Int64, "evidence": pl.String, "detail": pl.String}
_MEMBERS = {"pair": pl.Int64, "is_ours": pl.Boolean, "voucher": pl.Int64}


@dataclass
class _State:
    """What is still free on both sides, and what has been found. `notes` go with what nothing fits."""

    ours: pl.DataFrame
    theirs: pl.DataFrame
    heads: list[pl.DataFrame] = field(default_factory=lambda: [pl.DataFrame(schema=_HEADS)])
    members: list[pl.DataFrame] = field(default_factory=lambda: [pl.DataFrame(schema=_MEMBERS)])
    count: int = 0

    def free(self, edges: pl.DataFrame) -> pl.DataFrame:
        """The edges between vouchers that are both free."""
        return edges.join(self.ours.select(ours="voucher"), on="ours", how="semi").join(
            self.theirs.select(theirs="voucher"), on="theirs", how="semi"
        )

    def only_ones(self, edges: pl.DataFrame, evidence: Evidence) -> None:
        """Take the edges (ours, theirs, detail) whose both ends have no other."""
        self.groups(edges.filter(*(pl.len().over(end) == 1 for end in ("ours", "theirs"))), "ours", evidence)

    def stars(self, edges: pl.DataFrame, evidence: Evidence) -> None:
        """Take one with several, where the several belong to that one alone; first around ours, then around theirs."""
        for centre, leaf in (("ours", "theirs"), ("theirs", "ours")):
            edges = self.free(edges)
            alone = edges.with_columns(alone=pl.len().over(leaf) == 1)  # windows do not nest
            self.groups(alone.filter(pl.col("alone").all().over(centre)), centre, evidence)

    def groups(self, edges: pl.DataFrame, centre: str, evidence: Evidence) -> None:
        """Take each centre with all of its edges."""
        if edges.is_empty():
            return
        numbered = edges.sort("ours", "theirs").with_columns(
            (pl.col(centre).rank("dense") - 1 + self.count).cast(pl.Int64).alias("pair")
        )
        self.add(
            numbered.group_by("pair", maintain_order=True).agg(pl.col("detail").unique(maintain_order=True)).select(
                "pair", pl.lit(evidence.value).alias("evidence"), pl.col("detail").list.join(", ")
            ),
            pl.concat(
                [
                    numbered.select("pair", pl.lit(True).alias("is_ours"), voucher="ours").unique(),
                    numbered.select("pair", pl.lit(False).alias("is_ours"), voucher="theirs").unique(),
                ]
            ),
        )  # fmt: skip

    def singles(self, vouchers: pl.DataFrame, evidence: Evidence, *, is_ours: bool) -> None:
        """Give up on vouchers (voucher, detail), each by itself."""
        numbered = vouchers.sort("voucher").with_row_index("pair", self.count).cast({"pair": pl.Int64})
        self.add(
            numbered.select("pair", pl.lit(evidence.value).alias("evidence"), "detail"),
            numbered.select("pair", pl.lit(is_ours).alias("is_ours"), "voucher"),
        )

    def add(self, heads: pl.DataFrame, members: pl.DataFrame) -> None:
        self.heads.append(heads.sort("pair"))
        self.members.append(members.sort("pair", "is_ours", "voucher"))
        self.count += heads.height
        taken = (
            members.filter("is_ours").select("voucher"),
            members.filter(~pl.col("is_ours")).select("voucher"),
        )
        self.ours = self.ours.join(taken[0], on="voucher", how="anti", maintain_order="left")
        self.theirs = self.theirs.join(taken[1], on="voucher", how="anti", maintain_order="left")


def _reversed(theirs: pl.DataFrame) -> pl.Series:
    """Vouchers that the ledger says are reversed, and for each one later voucher of just the opposite content."""
    keys = ["opposite", "total", "number"]
    number = pl.int_range(pl.len()).over("opposite", "total").alias("number")
    gone = theirs.filter("is_reversed").sort("date", "voucher")
    opposite = ((PRIME - pl.col("content")) % PRIME).alias("opposite")
    counters = (
        theirs.filter(~pl.col("is_reversed"))
        .with_columns(pl.col("content").alias("opposite"))
        .join(gone.select(opposite, "total", first="date"), on=["opposite", "total"])
        .filter(pl.col("date") >= pl.col("first").min().over("opposite", "total"))
        .unique("voucher")
        .sort("date", "voucher")
        .with_columns(number)
        .join(gone.with_columns(opposite).with_columns(number), on=keys, how="semi")
    )
    return pl.concat([gone["voucher"], counters["voucher"]])


def _by_code(state: _State, mentions: pl.DataFrame, silent: Mapping[str, str]) -> None:
    """Ledger vouchers that name documents. One that names a document is never paired with another by its content."""
    codes = state.ours.select(ours="voucher", code=normal("code"))
    known = pl.concat(
        [codes["code"], pl.Series("code", list(silent), pl.String).to_frame().select(normal("code"))["code"]]
    )
    cited = cited_codes(mentions.join(state.theirs.select("voucher"), on="voucher", how="semi"), known)
    edges = (
        cited.join(codes, on="code")
        .select("ours", theirs="voucher", detail="code")
        .unique(["ours", "theirs"])
    )
    sides = (
        edges.join(state.ours.select("sums", "content", "total", "accounts", ours="voucher"), on="ours")
        .join(state.theirs.select("sums", "content", "total", "accounts", theirs="voucher"), on="theirs", suffix="_t")
    )  # fmt: skip
    same_total = pl.col("total") == pl.col("total_t")
    state.only_ones(sides.filter(pl.col("content") == pl.col("content_t")), Evidence.CODE)
    state.only_ones(
        state.free(sides).filter(same_total, pl.col("accounts") == pl.col("accounts_t")), Evidence.CODE
    )
    for centre, leaf, whole, part in (
        ("ours", "theirs", "sums", "sums_t"),
        ("theirs", "ours", "sums_t", "sums"),
    ):
        left = state.free(sides).with_columns(alone=pl.len().over(leaf) == 1)
        adds_up = (pl.col(part).sum().over(centre) % PRIME) == pl.col(whole)
        state.groups(left.filter(adds_up & pl.col("alone").all().over(centre)), centre, Evidence.CODE)
    shared = (
        pl.col("accounts")
        .str.split(" ")
        .list.set_intersection(pl.col("accounts_t").str.split(" "))
        .list.len()
    )
    best = state.free(sides).filter(same_total).with_columns(shared.alias("shared")).filter(
        pl.col("shared") > 0, *(pl.col("shared") == pl.col("shared").max().over(end) for end in ("ours", "theirs"))
    )  # fmt: skip
    state.only_ones(best, Evidence.CODE)
    state.stars(edges, Evidence.CODE)
    left = state.free(edges)
    names = state.theirs.select(theirs="voucher", name="name")
    several = left.join(names, on="theirs").group_by(voucher="ours").agg(detail=_some("name"))
    state.singles(several, Evidence.SEVERAL, is_ours=True)
    state.singles(
        left.group_by(voucher="theirs").agg(detail=_some("detail")), Evidence.SEVERAL, is_ours=False
    )
    reasons = pl.DataFrame(
        {"code": list(silent), "reason": list(silent.values())},
        schema={"code": pl.String, "reason": pl.String},
    )
    spoken_for = (
        cited.join(state.theirs.select("voucher"), on="voucher", how="semi")
        .join(reasons.with_columns(normal("code")).unique("code"), on="code", how="left")
        .group_by("voucher")
        .agg(detail=_some(pl.concat_str("code", pl.col("reason"), separator=": ", ignore_nulls=True)))
    )
    state.singles(spoken_for, Evidence.NOTHING, is_ours=False)


def _some(names: str | pl.Expr) -> pl.Expr:
    """The first few, in order, and how many more there are."""
    values = (pl.col(names) if isinstance(names, str) else names).unique().sort()
    more = pl.when(values.len() > CANDIDATES).then(pl.format(" … ({})", values.len())).otherwise(pl.lit(""))
    return pl.concat_str(values.head(CANDIDATES).implode().list.join(", "), more)


def _by_content(state: _State, near_days: int) -> None:
    """Vouchers that nothing names: the same day first, then days around it."""
    alike = ["date", "content", "total"]
    numbered = [
        side.select("voucher", *alike).with_columns(
            pl.len().over(alike).alias("number"), pl.int_range(pl.len()).over(alike).alias("at")
        )
        for side in (state.ours, state.theirs)
    ]
    matching = numbered[0].join(numbered[1], on=[*alike, "number", "at"]).select(
        "number", ours="voucher", theirs="voucher_right", detail=pl.lit("")
    )  # fmt: skip
    state.only_ones(matching.filter(pl.col("number") == 1), Evidence.SAME_CONTENT)
    state.only_ones(
        matching.filter(pl.col("number") > 1).with_columns(detail=pl.format("{} = {}", "number", "number")),
        Evidence.INTERCHANGEABLE,
    )
    day = pl.col("date")
    steps = [
        (["date", "total", "accounts"], Evidence.SAME_DAY, 0, None),
        (["date", "content", "total"], Evidence.NEAR_CONTENT, near_days, None),
        (["date", "total", "tag"], Evidence.NEAR_TOTAL, 0, PARTY_TAGS),
        (["date", "total", "tag"], Evidence.NEAR_TOTAL, near_days, PARTY_TAGS),
        (["date", "total", "tag"], Evidence.NEAR_TOTAL, near_days, ""),
    ]
    for keys, evidence, days, tags in steps:
        blocks = []
        for side, spread in ((state.ours, days), (state.theirs, 0)):
            block = side if tags is None else _tagged(side, tags)
            around = [day + pl.duration(days=offset) for offset in range(-spread, spread + 1)]
            blocks.append(block.with_columns(pl.concat_list(around).alias("date")).explode("date"))
        state.only_ones(_unique_edges(blocks[0], blocks[1], keys), evidence)


def _tagged(side: pl.DataFrame, pattern: str) -> pl.DataFrame:
    """A row for each dimension value of a voucher that fits the pattern."""
    return side.with_columns(tag=pl.col("tags")).explode("tag").filter(pl.col("tag").str.contains(pattern))


def _unique_edges(ours: pl.DataFrame, theirs: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    """Edges (ours, theirs, detail) between vouchers that meet each other in blocks, and nobody else."""
    mine = ours.select("voucher", *keys).unique()
    yours = theirs.select("voucher", *keys).unique()
    sizes = mine.group_by(keys).agg(pl.len().alias("n")).join(
        yours.group_by(keys).agg(pl.len().alias("m")), on=keys
    )  # fmt: skip
    mine, yours = (side.join(sizes, on=keys) for side in (mine, yours))
    crowded = (mine.filter(pl.col("m") > 1)["voucher"], yours.filter(pl.col("n") > 1)["voucher"])
    met = (
        mine.filter((pl.col("n") == 1) & (pl.col("m") == 1))
        .join(yours.filter((pl.col("n") == 1) & (pl.col("m") == 1)), on=keys)
        .filter(
            ~pl.col("voucher").is_in(crowded[0].unique().implode()),
            ~pl.col("voucher_right").is_in(crowded[1].unique().implode()),
        )
    )
    detail = pl.col("tag").unique().sort().implode().list.join(", ") if "tag" in keys else pl.lit("")
    return met.group_by(ours="voucher", theirs="voucher_right").agg(detail=detail)


def _by_sums(state: _State, *, ours_are_many: bool) -> None:
    """A collective voucher of a day's documents, or a document that was booked in several vouchers of its day."""
    many, one = (state.ours, state.theirs) if ours_are_many else (state.theirs, state.ours)
    many, one = (
        side.select("voucher", "date", "sums", "event", "tags").filter(pl.col("sums") != 0)
        for side in (many, one)
    )
    by = ["date", "event", "tag"]
    rows = pl.concat(
        [
            many.with_columns(tag=pl.lit("")),
            many.with_columns(tag=pl.col("tags")).explode("tag").filter(pl.col("tag").is_not_null()),
        ]
    )
    groups = [
        rows.with_columns(event=event)
        .group_by(by)
        .agg(pl.col("sums").sum() % PRIME, pl.col("voucher").sort().alias("parts"))
        .filter(pl.col("parts").list.len() > 1)
        for event in (pl.col("event"), pl.lit(""))
    ]
    found = pl.concat([*groups]).select("date", "sums", "parts").unique()
    sets = (
        one.select("date", "sums", whole="voucher").join(found, on=["date", "sums"]).select("whole", "parts")
    )
    sets = _sharing(pl.concat([sets, _two_of(many, one)]).unique(), many, one)
    only = pl.col("set").n_unique()
    members = sets.explode("parts").with_columns(
        is_only=(only.over("whole") == 1) & (only.over("parts") == 1)
    )
    chosen = members.filter(pl.col("is_only").all().over("set"))
    names = ("theirs", "ours") if ours_are_many else ("ours", "theirs")
    edges = chosen.select(
        pl.col("whole").alias(names[0]), pl.col("parts").alias(names[1]), pl.lit("").alias("detail")
    ).select("ours", "theirs", "detail")
    state.groups(edges, names[0], Evidence.SUM)


def _sharing(sets: pl.DataFrame, many: pl.DataFrame, one: pl.DataFrame) -> pl.DataFrame:
    """The sets (whole, parts) without those in which a part and the whole carry dimensions but share none, numbered."""
    numbered = sets.with_row_index("set")
    met = (
        numbered.explode("parts")
        .join(one.select(whole="voucher", whole_tags="tags"), on="whole")
        .join(many.select(parts="voucher", part_tags="tags"), on="parts")
    )
    shared = pl.col("whole_tags").list.set_intersection("part_tags").list.len()
    strangers = met.filter(
        shared == 0, pl.col("whole_tags").list.len() > 0, pl.col("part_tags").list.len() > 0
    )
    return numbered.join(strangers, on="set", how="anti")


def _two_of(many: pl.DataFrame, one: pl.DataFrame) -> pl.DataFrame:
    """Any two of a day that add up to one, on days with few enough left to try them all: `whole`, `parts`.

    One that has its like on the same day would leave open which of the two it is.
    """
    many = many.unique(["date", "sums"], keep="none")
    days = (
        many.group_by("date").agg(pl.len().cast(pl.Int64).alias("n"))
        .join(one.group_by("date").agg(pl.len().cast(pl.Int64).alias("m")), on="date")
        .sort(pl.col("n") * pl.col("m"), "date")
        .filter((pl.col("n") * pl.col("m")).cum_sum() <= PAIR_SEARCH)
    )  # fmt: skip
    left = many.join(days, on="date", how="semi").select("date", "sums", first="voucher")
    wanted = left.join(one.select("date", whole="voucher", whole_sums="sums"), on="date").with_columns(
        sums=(pl.col("whole_sums") - pl.col("sums") + PRIME) % PRIME
    )
    met = wanted.join(many.select("date", "sums", second="voucher"), on=["date", "sums"])
    return met.filter(pl.col("first") < pl.col("second")).select(
        "whole", parts=pl.concat_list("first", "second")
    )


def _say_the_rest(state: _State, near_days: int) -> None:
    """What is left fits several ways (SEVERAL, with some of the candidates), or not at all."""
    ours, theirs = state.ours, state.theirs
    met = []
    for keys, days, tagged in (
        (["date", "total", "accounts"], 0, False),
        (["date", "total", "tag"], near_days, True),
    ):
        mine, yours = (_tagged(side, "") if tagged else side for side in (ours, theirs))
        around = [pl.col("date") + pl.duration(days=offset) for offset in range(-days, days + 1)]
        mine = mine.with_columns(pl.concat_list(around).alias("date")).explode("date")
        for side, other, is_ours in ((mine, yours, True), (yours, mine, False)):
            candidates = other.group_by(keys).agg(pl.col("name").unique().sort().alias("names"))
            shortened = candidates.with_columns(pl.col("names").list.head(CANDIDATES + 1))
            met.append(
                side.join(shortened, on=keys).select("voucher", "names", pl.lit(is_ours).alias("is_ours"))
            )
    details = pl.concat(met).explode("names").group_by("voucher", "is_ours").agg(detail=_some("names"))
    for is_ours in (True, False):
        unclear = details.filter(pl.col("is_ours") == is_ours).select("voucher", "detail")
        state.singles(unclear, Evidence.SEVERAL, is_ours=is_ours)
        rest = (state.ours if is_ours else state.theirs).select("voucher", detail=pl.lit(""))
        state.singles(rest, Evidence.NOTHING, is_ours=is_ours)
