"""Accounts (科目), the chart, auxiliary dimensions (辅助核算) and balances."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, order=True)
class AuxiliaryDimension:
    """One value of one dimension on a journal line.

    `kind` is the semantic name (department, project, employee, supplier); `code` identifies the value in
    the ledger and in rules; `name` is for people and never compared.
    """

    kind: str
    code: str
    name: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Account:
    """An account of a ledger's chart. Only a leaf (末级) that is active takes journal lines."""

    code: str
    name: str
    is_leaf: bool
    is_active: bool = True
    required_dimensions: frozenset[str] = frozenset()
    """Kinds of which a line must carry one, as the ledger itself demands; `party` means employee or supplier."""


@dataclass(frozen=True, slots=True)
class Chart:
    """A ledger's chart of accounts (科目表), by code."""

    accounts: Mapping[str, Account]

    @classmethod
    def of(cls, accounts: Iterable[Account]) -> Chart:
        return cls({account.code: account for account in accounts})


@dataclass(frozen=True, slots=True)
class AccountBalance:
    """Movements of an account in a period, functional minor units; a red entry is negative on its side."""

    account: str
    debit_minor: int
    credit_minor: int
