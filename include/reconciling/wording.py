"""A match as typed differences, each in words for finance: what, where, what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import assert_never

import polars as pl

from include.domain.reconciliation import Discrepancy, DiscrepancyKind
from include.domain.voucher import LedgerVoucherState
from include.reconciling.contents import Difference, differences, lines_of
from include.reconciling.families import FamilyKind
from include.reconciling.matching import Match

Kind = DiscrepancyKind

LABELS: Mapping[DiscrepancyKind, tuple[str, str]] = {
    Kind.NO_VOUCHER: ("无凭证", "no voucher"),
    Kind.OA_WITHDRAWN: ("OA 已撤回", "withdrawn in the OA"),
    Kind.OA_CHANGED: ("OA 已变更", "changed in the OA"),
    Kind.OA_NUMBER: ("凭证号不符", "other number in the OA"),
    Kind.IN_DOUBT: ("结果未知", "outcome unknown"),
    Kind.WAITING: ("迟迟未过账", "waits for long"),
    Kind.MISSING_IN_LEDGER: ("账上缺失", "missing in the ledger"),
    Kind.NOT_IN_STORE: ("来历不明", "unknown to the store"),
    Kind.ORPHAN: ("待认领", "to be adopted"),
    Kind.DUPLICATE_IN_LEDGER: ("重复", "duplicate"),
    Kind.NOT_POSTED_IN_LEDGER: ("账上未过账", "draft in the ledger"),
    Kind.REVERSED_IN_LEDGER: ("账上被红冲", "reversed in the ledger"),
    Kind.REFERENCE: ("键已丢失", "key is gone"),
    Kind.SPLIT: ("一拆多", "split (1:N)"),
    Kind.MERGED: ("多合一", "merged (N:1)"),
    Kind.DATE: ("日期", "date"),
    Kind.AMOUNT: ("金额", "amount"),
    Kind.ACCOUNT: ("科目", "account"),
    Kind.CURRENCY: ("原币", "foreign amount"),
    Kind.DIMENSION: ("辅助核算", "dimension"),
    Kind.BALANCE: ("科目余额", "balance"),
}
"""What people read for a kind, Chinese and English."""


class Words:
    """The differences of a match.

    Args:
        match: of a period.
        currency: the functional one.
        keeps_keys: whether the ledger keeps our key.
    """

    def __init__(self, match: Match, currency: str, *, keeps_keys: bool) -> None:
        self._match = match
        self._currency = currency
        self._keeps_keys = keeps_keys
        self._ours = match.ours.vouchers
        self._theirs = match.theirs.vouchers

    def all(self) -> Iterator[Discrepancy]:
        """Everything but what is missing, which needs a fresh look first."""
        yield from self._of_pairs()
        yield from self._of_contents()
        yield from self._duplicates()
        yield from self._reversals()
        yield from self._families()

    def missing(self, voucher: int) -> Discrepancy:
        """One of ours that the ledger has not."""
        return self._say(
            Kind.MISSING_IN_LEDGER,
            voucher,
            self._number(voucher),
            "",
            "已过账，但会计系统中找不到；请核对是否被删除。确应在账上时，用 reconcile --heal 退回重新过账",
            "was posted but is not in the ledger: was it deleted? If it belongs there, reconcile --heal sends it again",
        )

    def moved(self, voucher: int, number: str) -> Discrepancy:
        """One of ours that the ledger has, though neither in its period nor under its key."""
        ours = self._ours.row(voucher, named=True)
        return self._say(
            Kind.DATE,
            voucher,
            str(ours["date"]),
            number,
            f"已不在 {ours['period']}，会计系统中仍有 {number}（内部号 {ours['ledger_id']}）；请核对是否被改期",
            f"is no longer in {ours['period']}; the ledger still has {number} (id {ours['ledger_id']}): was it moved?",
        )

    def _of_pairs(self) -> Iterator[Discrepancy]:
        """Date, draft, and our key, of vouchers that are there."""
        pairs = self._match.pairs.join(self._ours, left_on="ours", right_on="voucher").join(
            self._theirs, left_on="theirs", right_on="voucher", suffix="_there"
        )
        moved = (pl.col("date") != pl.col("date_there")) | (pl.col("period") != pl.col("period_there"))
        for row in pairs.filter(moved).iter_rows(named=True):
            ours, theirs = f"{row['date']} ({row['period']})", f"{row['date_there']} ({row['period_there']})"
            yield self._say(
                Kind.DATE,
                row["ours"],
                ours,
                theirs,
                f"日期（期间）应为 {ours}，会计系统为 {theirs}；请在会计系统中核对",
                f"is dated {theirs} in the ledger, {ours} here: finance must look",
            )
        for row in pairs.filter(pl.col("state_there") == LedgerVoucherState.DRAFT).iter_rows(named=True):
            yield self._say(
                Kind.NOT_POSTED_IN_LEDGER,
                row["ours"],
                "posted",
                "draft",
                "在会计系统中未过账；请财务过账或核对",
                "is not posted in the ledger: finance must post it or look",
            )
        if self._keeps_keys:
            for row in pairs.filter(~pl.col("by_key")).iter_rows(named=True):
                yield self._reference(row["ours"], self._name(row["theirs"]))

    def _reference(self, voucher: int, there: str) -> Discrepancy:
        key = self._ours["key"][voucher]
        return self._say(
            Kind.REFERENCE,
            voucher,
            key,
            there,
            f"在会计系统中为 {there}，但已不带我们的键；请把 {key} 填回其参考字段，否则以后查询会当作没有",
            f"is {there} in the ledger and bears our key no more: put {key} back into its reference, or looks will not find it",
        )

    def _of_contents(self) -> Iterator[Discrepancy]:
        unequal = self._match.pairs.filter(~pl.col("is_equal"))
        ours, theirs = (
            lines_of(journal, unequal[side])
            for journal, side in ((self._match.ours, "ours"), (self._match.theirs, "theirs"))
        )
        for mine, there in unequal.select("ours", "theirs").iter_rows():
            for found in differences(ours.get(mine, []), theirs.get(there, []), self._currency):
                yield self._content(mine, found)

    def _content(self, voucher: int, found: Difference) -> Discrepancy:
        zh = {
            Kind.ACCOUNT: "科目",
            Kind.AMOUNT: "金额",
            Kind.CURRENCY: "原币金额",
            Kind.DIMENSION: "辅助核算",
        }[found.kind]
        return self._say(
            found.kind,
            voucher,
            found.ours,
            found.theirs,
            f"{zh}应为 {found.ours}，会计系统为 {found.theirs}；请在会计系统中核对",
            f"{found.kind.value}: {found.theirs} in the ledger, {found.ours} here: finance must look",
        )

    def _duplicates(self) -> Iterator[Discrepancy]:
        copies = self._match.duplicates.group_by("ours").agg("theirs").sort("ours")
        for voucher, theirs in copies.iter_rows():
            names = self._names(theirs)
            yield self._say(
                Kind.DUPLICATE_IN_LEDGER,
                voucher,
                self._number(voucher),
                names,
                f"会计系统中有 {len(theirs)} 份：{names}；请作废多余的",
                f"is there {len(theirs)} times: {names}; cancel the surplus ones",
            )

    def _reversals(self) -> Iterator[Discrepancy]:
        found = self._match.reversals.group_by("ours").agg("theirs").sort("ours")
        for voucher, theirs in found.iter_rows():
            names = self._names(theirs)
            yield self._say(
                Kind.REVERSED_IN_LEDGER,
                voucher,
                "posted",
                f"reversed ({names})",
                f"在会计系统中已被红冲（{names}）；请财务核对单据是否也应撤回",
                f"was reversed in the ledger ({names}): finance must say whether its document goes too",
            )

    def _families(self) -> Iterator[Discrepancy]:
        found = self._match.families.group_by("kind", "ours").agg("theirs").sort("ours")
        for kind, voucher, theirs in found.iter_rows():
            names = self._names(theirs)
            family = FamilyKind(kind)
            match family:
                case FamilyKind.REFOUND:
                    if self._keeps_keys:
                        yield self._reference(voucher, names)
                case FamilyKind.SPLIT:
                    yield self._say(
                        Kind.SPLIT,
                        voucher,
                        self._number(voucher),
                        names,
                        f"在会计系统中拆为 {len(theirs)} 张：{names}，科目、金额与辅助核算合计一致",
                        f"is {len(theirs)} vouchers in the ledger: {names}; they add up to it",
                    )
                case FamilyKind.MERGED:
                    yield self._say(
                        Kind.MERGED,
                        voucher,
                        self._number(voucher),
                        names,
                        f"在会计系统中并入 {names}，科目、金额与辅助核算合计一致",
                        f"is part of {names} in the ledger, which is the sum of several of ours",
                    )
                case _:
                    assert_never(family)

    def _say(self, kind: Kind, voucher: int, ours: str, theirs: str, zh: str, en: str) -> Discrepancy:
        number = self._number(voucher)
        return Discrepancy(
            kind,
            self._ours["key"][voucher],
            self._ours["period"][voucher],
            ours,
            theirs,
            f"凭证 {number} {zh}",
            f"voucher {number} {en}",
        )

    def _number(self, voucher: int) -> str:
        """What people call one of ours."""
        row = self._ours.row(voucher, named=True)
        return str(row["number"] or row["ledger_id"] or row["key"])

    def _name(self, voucher: int) -> str:
        row = self._theirs.row(voucher, named=True)
        return str(row["number"] or row["ledger_id"])

    def _names(self, vouchers: list[int]) -> str:
        return "、".join(sorted(self._name(voucher) for voucher in vouchers))
