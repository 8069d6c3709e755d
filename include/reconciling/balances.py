"""Balances per account: what our vouchers and others' come to, beside the ledger's own trial balance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl

from include.domain.account import AccountBalance
from include.domain.money import format_minor
from include.domain.reconciliation import AccountTie, Discrepancy, DiscrepancyKind
from include.domain.voucher import LedgerVoucherState
from include.reconciling.matching import Match


def ties(match: Match, period: str, trial_balance: Sequence[AccountBalance]) -> list[AccountTie]:
    """Every account with a movement on any side, by code."""
    own = pl.concat(
        [frame["theirs"] for frame in (match.pairs, match.duplicates, match.reversals, match.families)]
    )
    is_posted = pl.col("state") != LedgerVoucherState.DRAFT
    others = match.theirs.vouchers.filter(is_posted).join(
        own.unique().to_frame("voucher"), on="voucher", how="anti"
    )
    ours = _net(match.ours.lines)
    strangers = _net(match.theirs.lines.join(others, on="voucher", how="semi"))
    ledger = {each.account: each.debit_minor - each.credit_minor for each in trial_balance}
    return [
        AccountTie(period, code, ours.get(code, 0), strangers.get(code, 0), ledger.get(code, 0))
        for code in sorted({*ours, *strangers, *ledger})
    ]


def imbalances(
    match: Match, period: str, trial_balance: Sequence[AccountBalance], currency: str
) -> Iterator[Discrepancy]:
    """Accounts whose posted vouchers, as listed, do not add up to the ledger's own trial balance."""
    posted = match.theirs.vouchers.filter(pl.col("state") != LedgerVoucherState.DRAFT)
    listed = _net(match.theirs.lines.join(posted, on="voucher", how="semi"))
    ledger = {each.account: each.debit_minor - each.credit_minor for each in trial_balance}
    for account in sorted({*listed, *ledger}):
        sums = listed.get(account, 0), ledger.get(account, 0)
        if sums[0] == sums[1]:
            continue
        ours, theirs = (format_minor(total, currency) for total in sums)
        yield Discrepancy(
            DiscrepancyKind.BALANCE,
            account,
            period,
            ours,
            theirs,
            f"科目 {account} 在 {period} 的凭证合计 {ours}，试算平衡表 {theirs}；期间内可能有凭证正在变动，请再对一次",
            f"account {account}: the vouchers of {period} add up to {ours}, the trial balance says {theirs}; reconcile once more",
        )


def _net(lines: pl.DataFrame) -> dict[str, int]:
    """Debit minus credit by account."""
    signed = pl.when("is_credit").then(-pl.col("amount")).otherwise(pl.col("amount"))
    return dict(lines.group_by("account").agg(signed.sum()).iter_rows())
