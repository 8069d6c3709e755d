"""What a gate says: how much it looked at, which documents fail and why. It never changes the store."""

from __future__ import annotations

from dataclasses import dataclass

from include.domain.errors import FixConfig
from include.domain.problems import Problem


class GateError(FixConfig):
    """The gate itself could not be evaluated, so nothing may pass it; an engineer must look."""


@dataclass(frozen=True, slots=True)
class GateFailure:
    """One thing wrong with one document, by the key of its `source_document` row."""

    document_pk: int
    problem: Problem


@dataclass(frozen=True, slots=True)
class CheckStatistics:
    """How one check went: rows it was put to and rows that failed it."""

    code: str
    checked: int
    failed: int


@dataclass(frozen=True, slots=True)
class GateReport:
    """The outcome of one gate.

    `checked` counts documents (or vouchers). `unreadable` are documents that fail because the extract has
    already recorded open problems on them, which are not repeated in `failures`. `last_document_pk` is the
    highest key that was checked, 0 for none: a document stored meanwhile has a higher one.
    """

    checked: int
    failures: tuple[GateFailure, ...]
    statistics: tuple[CheckStatistics, ...]
    unreadable: tuple[int, ...] = ()
    last_document_pk: int = 0

    @property
    def failed_documents(self) -> frozenset[int]:
        """Keys of all documents that did not pass."""
        return frozenset(self.unreadable).union(failure.document_pk for failure in self.failures)
