"""Errors by what has to happen next. User data never raises these: it gives problems (see problems.py).

Every message says where, what, and what to do, Chinese first. Secrets never stand in a message.
"""

from __future__ import annotations


class VoucherflowError(Exception):
    """Base of all errors that a user may see; `str()` is the whole message, no stack trace needed."""


class RetryLater(VoucherflowError):
    """Nothing was changed; the same call may go through later (network down, 429, 5xx on a read)."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class OutcomeUnknown(VoucherflowError):
    """A write was sent and its answer was lost: it may have happened. Look before you send again."""


class FixData(VoucherflowError):
    """The other side refuses this content and will refuse it again until the data changes."""


class FixConfig(VoucherflowError):
    """Keys, addresses, rules or settings are wrong; an engineer must change them."""


class AskPerson(VoucherflowError):
    """Only a person can decide (a conflict in the ledger, a document changed after posting)."""


class LeaseLost(VoucherflowError):
    """Another run holds the book; this one stops at once and writes nothing more."""
