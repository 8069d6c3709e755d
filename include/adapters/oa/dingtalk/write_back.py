"""Voucher numbers as comments: an approved form of DingTalk takes no changes.

Whether a comment is there is looked up in the instance's history, before and after. The call itself is from memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from include.adapters.oa.dingtalk.client import Client, Json
from include.adapters.oa.dingtalk.mapping import ID, is_approved, remarks_of
from include.adapters.oa.dingtalk.options import DingTalkOptions
from include.adapters.oa.forms import Answer, answer_comment
from include.domain.errors import FixData, OutcomeUnknown, RetryLater
from include.form_mappings import FormMapping
from include.ports import WriteBackEntry, WriteBackOutcome, WriteBackResult

Look = Callable[[str], Json | None]
"""An instance as it is now; None where there is none."""
_OURS = ("已生成凭证 ", "凭证已冲销")


class CommentWriter:
    """Comments on one instance after the other."""

    def __init__(
        self, client: Client, look: Look, mappings: Sequence[FormMapping], options: DingTalkOptions
    ) -> None:
        self._client = client
        self._look = look
        self._options = options
        self._mapping = next(
            (one for one in mappings if one.write_back is not None and one.write_back.comment), None
        )

    def write(self, entries: Sequence[WriteBackEntry]) -> list[WriteBackResult]:
        """One result per entry, in the same order.

        Raises:
            FixConfig: the keys or the rights are refused.
            RetryLater: nothing at all was written, DingTalk is busy or away.
        """
        results: list[WriteBackResult] = []
        for index, entry in enumerate(entries):
            try:
                results.append(self._one(entry))
            except RetryLater as error:
                if not results:
                    raise
                # Some are done: the rest is reported as open instead of losing what is known.
                rest = entries[index:]
                return [*results, *(_result(e, WriteBackOutcome.UNKNOWN, str(error)) for e in rest)]
        return results

    def _one(self, entry: WriteBackEntry) -> WriteBackResult:
        if self._options.write_back == "none" or self._mapping is None:
            return _refused(
                entry,
                "未配置回写：请设置选项 write_back: comment 和映射文件的 write_back.comment / writing back is not configured: set the "
                "option write_back: comment, and write_back.comment in the mapping file",
            )
        detail = self._look(entry.document_id)
        if detail is None:
            return _refused(
                entry, f"钉钉没有审批实例 {entry.document_id}，无法回写 / there is no such instance"
            )
        answer = Answer(entry.voucher_no, entry.fiscal_period if entry.voucher_no else "")
        text = answer_comment(self._mapping, answer)
        said = _last_said(detail)
        if said == text or (not entry.voucher_no and not said):
            return _result(entry, WriteBackOutcome.WRITTEN)
        if entry.voucher_no and not is_approved(detail):
            return _refused(
                entry, f"审批 {entry.document_id} 未通过，不写入凭证号 / the instance is not approved"
            )
        body = {ID: entry.document_id, "text": text, "commentUserId": self._options.comment_user}
        try:
            self._client.change(self._options.comment_path, body)
        except FixData as refusal:
            return _refused(entry, f"钉钉不接受评论：{refusal} / DingTalk does not take the comment")
        except OutcomeUnknown as lost:
            return self._looked(entry, text, str(lost))
        return _result(entry, WriteBackOutcome.WRITTEN)

    def _looked(self, entry: WriteBackEntry, text: str, reason: str) -> WriteBackResult:
        """After a lost answer: what the history says."""
        try:
            detail = self._look(entry.document_id)
        except RetryLater as error:
            return _result(entry, WriteBackOutcome.UNKNOWN, f"{reason}；{error}")
        if detail is not None and _last_said(detail) == text:
            return _result(entry, WriteBackOutcome.WRITTEN)
        return _result(entry, WriteBackOutcome.UNKNOWN, reason)


def _last_said(detail: Json) -> str:
    """Our latest comment on an instance, "" where there is none."""
    return next((one for one in reversed(remarks_of(detail)) if one.startswith(_OURS)), "")


def _refused(entry: WriteBackEntry, message: str) -> WriteBackResult:
    return _result(entry, WriteBackOutcome.REFUSED, message)


def _result(entry: WriteBackEntry, outcome: WriteBackOutcome, message: str = "") -> WriteBackResult:
    return WriteBackResult(entry.document_id, outcome, message)
