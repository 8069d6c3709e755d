"""Voucher numbers back onto documents (回写单据凭证信息), in batches, all or nothing per call.

The call sets a number and is idempotent by nature: sending the same again changes nothing. Therefore, after a
lost answer, a look comes first where the form shows its number, and a resend is harmless where it does not.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from include.adapters.oa.hesi.client import HesiClient
from include.adapters.oa.times import to_ms
from include.domain.errors import FixData, OutcomeUnknown, RetryLater
from include.ports import WriteBackEntry, WriteBackOutcome, WriteBackResult

log = logging.getLogger(__name__)

PATH = "/api/openapi/v2.1/flow/data/erpVoucher"
Look = Callable[[Sequence[str]], Mapping[str, str | None]]
"""Reads voucher numbers by document id; None where the form does not show one; absent where it is gone."""

_BUSY_ATTEMPTS = 4
_ID_END = r"(?![A-Za-z0-9_$:-])"
_ID_START = r"(?<![A-Za-z0-9_$:-])"
_ID_LIST = re.compile(r"\[\[[^\]]*\]\]")
"""The refused ids in the OA's own words; each document's message keeps its own."""


class VoucherWriter:
    """One write-back. Calls are bounded: a batch of n takes at most about 2n, only if all of it is refused."""

    def __init__(self, client: HesiClient, look: Look, batch: int, pause: Callable[[float], object]) -> None:
        self._client = client
        self._look = look
        self._batch = batch
        self._pause = pause

    def write(self, entries: Sequence[WriteBackEntry]) -> list[WriteBackResult]:
        """One result per entry, in the same order.

        Raises:
            FixConfig: keys or address are refused.
            RetryLater: nothing at all was written, the OA is busy or away.
        """
        results: list[WriteBackResult] = []
        for at in range(0, len(entries), self._batch):
            try:
                results += self._group(list(entries[at : at + self._batch]))
            except RetryLater as error:
                if not results:
                    raise
                # Some are done: the rest is reported as open instead of losing what is known.
                rest = entries[at:]
                return [*results, *(self._result(e, WriteBackOutcome.UNKNOWN, str(error)) for e in rest)]
        return results

    def _group(self, entries: list[WriteBackEntry]) -> list[WriteBackResult]:
        """Send a group; divide it when it is refused, so that one bad document does not spoil the rest."""
        try:
            self._send(entries)
        except FixData as refusal:
            return self._divide(entries, str(refusal))
        except OutcomeUnknown as lost:
            return self._after_loss(entries, str(lost))
        return [self._result(entry, WriteBackOutcome.WRITTEN) for entry in entries]

    def _send(self, entries: Sequence[WriteBackEntry]) -> None:
        body = {"voucher": [_body(entry) for entry in entries]}
        for attempt in range(1, _BUSY_ATTEMPTS + 1):
            try:
                answer = self._client.write(PATH, body)
            except RetryLater as busy:
                if attempt == _BUSY_ATTEMPTS:
                    raise
                self._pause(busy.retry_after_s if busy.retry_after_s is not None else 2.0**attempt)
                continue
            if not isinstance(answer, Mapping) or answer.get("value") is not True:
                raise OutcomeUnknown(
                    f"合思 {PATH} 的应答不是 true，结果不明 / the answer is not true, the outcome is unknown"
                )
            return

    def _divide(self, entries: list[WriteBackEntry], reason: str) -> list[WriteBackResult]:
        if len(entries) == 1:
            return [self._result(entries[0], WriteBackOutcome.REFUSED, reason)]
        named = {entry.document_id for entry in entries if _names(reason, entry.document_id)}
        if all(entry.document_id in named for entry in entries):
            return [
                self._result(entry, WriteBackOutcome.REFUSED, _ID_LIST.sub(f"[{entry.document_id}]", reason))
                for entry in entries
            ]
        if named:
            # The refusal says who is at fault: try the others together, and the named ones by themselves.
            first = [entry for entry in entries if entry.document_id not in named]
            second = [entry for entry in entries if entry.document_id in named]
        else:
            middle = len(entries) // 2
            first, second = entries[:middle], entries[middle:]
        done = {id(e): r for part in (first, second) for e, r in zip(part, self._group(part), strict=True)}
        return [done[id(entry)] for entry in entries]

    def _after_loss(self, entries: list[WriteBackEntry], reason: str) -> list[WriteBackResult]:
        """Look, then send what is not there once more; a second loss is reported as such."""
        try:
            shown = self._look([entry.document_id for entry in entries])
        except RetryLater as error:
            return [self._result(entry, WriteBackOutcome.UNKNOWN, f"{reason}；{error}") for entry in entries]
        there = {id(e) for e in entries if shown.get(e.document_id) == e.voucher_no}
        missing = [entry for entry in entries if id(entry) not in there]
        log.info("回写结果不明：%d 条已在，%d 条重发 / found, sent again", len(there), len(missing))
        done = {id(e): self._result(e, WriteBackOutcome.WRITTEN) for e in entries if id(e) in there}
        if missing:
            done |= {id(e): r for e, r in zip(missing, self._resend(missing), strict=True)}
        return [done[id(entry)] for entry in entries]

    def _resend(self, entries: list[WriteBackEntry]) -> list[WriteBackResult]:
        try:
            self._send(entries)
        except FixData as refusal:
            return self._divide(entries, str(refusal))
        except (OutcomeUnknown, RetryLater) as lost:
            return [self._result(entry, WriteBackOutcome.UNKNOWN, str(lost)) for entry in entries]
        return [self._result(entry, WriteBackOutcome.WRITTEN) for entry in entries]

    @staticmethod
    def _result(entry: WriteBackEntry, outcome: WriteBackOutcome, message: str = "") -> WriteBackResult:
        return WriteBackResult(entry.document_id, outcome, message)


def _body(entry: WriteBackEntry) -> dict[str, Any]:
    return {
        "flowId": entry.document_id,
        "voucherNo": entry.voucher_no,
        "voucherCreateTime": str(to_ms(entry.created_at)),
        "fiscalPeriod": entry.fiscal_period,
    }


def _names(reason: str, document_id: str) -> bool:
    """Whether a refusal names this id, and not a longer one that contains it."""
    return re.search(_ID_START + re.escape(document_id) + _ID_END, reason) is not None
