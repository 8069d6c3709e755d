"""Voucher numbers as comments on instances: Feishu has no call that changes a form that has ended.

Each is: look whether the last comment of ours says it already, comment, and look again where the answer was lost.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from include.adapters.oa.feishu.client import FeishuClient, Json
from include.adapters.oa.feishu.mapping import comments_of, status_of
from include.adapters.oa.feishu.options import FeishuOptions
from include.adapters.oa.forms import Answer, answer_comment
from include.domain.errors import FixData, OutcomeUnknown, RetryLater
from include.form_mappings import FormMapping
from include.ports import WriteBackEntry, WriteBackOutcome, WriteBackResult

Look = Callable[[str], Json | None]
"""An instance as it is now; None where there is none."""
_OURS = ("已生成凭证 ", "未能生成凭证：", "凭证已冲销 ")
"""What comments of ours begin with, see `answer_comment`."""


class CommentWriter:
    """Writes one number after the other."""

    def __init__(
        self, client: FeishuClient, look: Look, mappings: Sequence[FormMapping], options: FeishuOptions
    ) -> None:
        self._client = client
        self._look = look
        self._mappings = mappings
        self._options = options

    def write(self, entries: Sequence[WriteBackEntry]) -> list[WriteBackResult]:
        """One result per entry, in the same order.

        Raises:
            FixConfig: the log-in or the address is refused.
            RetryLater: nothing at all was written, Feishu is busy or away.
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
        instance = self._look(entry.document_id)
        if instance is None:
            return _refused(entry, f"飞书没有审批 {entry.document_id}，无法回写 / there is no such instance")
        template = str(instance.get("approval_code"))
        mapping = next((each for each in self._mappings if template in each.templates), None)
        answer = Answer(entry.voucher_no, entry.fiscal_period if entry.voucher_no else "")
        text = answer_comment(mapping, answer) if mapping else ""
        if self._options.write_back == "none" or not text:
            return _refused(
                entry,
                "未配置回写：请设置映射文件的 write_back.comment 和选项 write_back、comment_user / writing back is not configured: see "
                "write_back.comment in the mapping file and the options write_back and comment_user",
            )
        said = _last_of_ours(instance)
        if said == text or (not entry.voucher_no and not said):
            return _result(entry, WriteBackOutcome.WRITTEN)
        if entry.voucher_no and not status_of(instance).is_due:
            return _refused(
                entry,
                f"审批 {entry.document_id} 未通过或已撤销，不能写入凭证号 / it is not approved, so it takes no voucher number",
            )
        return self._comment(entry, text)

    def _comment(self, entry: WriteBackEntry, text: str) -> WriteBackResult:
        params = {"user_id_type": self._options.user_id_type, "user_id": self._options.comment_user}
        body = {"content": json.dumps({"text": text}, ensure_ascii=False)}
        try:
            self._client.write(f"instances/{entry.document_id}/comments", params, body)
        except FixData as refusal:
            return _refused(entry, f"审批 {entry.document_id} 不接受评论：{refusal} / it takes no comment")
        except OutcomeUnknown as lost:
            return self._looked(entry, text, str(lost))
        return _result(entry, WriteBackOutcome.WRITTEN)

    def _looked(self, entry: WriteBackEntry, text: str, reason: str) -> WriteBackResult:
        """Whether a comment whose answer was lost is there."""
        try:
            instance = self._look(entry.document_id)
        except RetryLater as error:
            return _result(entry, WriteBackOutcome.UNKNOWN, f"{reason}；{error}")
        if instance is not None and _last_of_ours(instance) == text:
            return _result(entry, WriteBackOutcome.WRITTEN)
        return _result(entry, WriteBackOutcome.UNKNOWN, reason)


def _last_of_ours(instance: Json) -> str:
    ours = [text for text in comments_of(instance) if text.startswith(_OURS)]
    return ours[-1] if ours else ""


def _refused(entry: WriteBackEntry, message: str) -> WriteBackResult:
    return _result(entry, WriteBackOutcome.REFUSED, message)


def _result(entry: WriteBackEntry, outcome: WriteBackOutcome, message: str = "") -> WriteBackResult:
    return WriteBackResult(entry.document_id, outcome, message)
