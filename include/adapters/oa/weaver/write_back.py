"""Voucher numbers onto requests. The vendor has no call for it: the option `write_back` says how this company does it.

Each way is: look whether the form shows it already, write, look again. For SOAP says "success" and drops what it does
not take, and an answer that was lost may have been carried out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from zoneinfo import ZoneInfo

from include.adapters.oa.forms import Answer, answer_comment, answer_fields
from include.adapters.oa.weaver.interface import Interface, Json, usable_request_id
from include.adapters.oa.weaver.mapping import main_values, status_of, steps_of
from include.adapters.oa.weaver.options import WeaverOptions
from include.domain.errors import FixData, OutcomeUnknown, RetryLater
from include.form_mappings import FormMapping
from include.ports import Clock, WriteBackEntry, WriteBackOutcome, WriteBackResult

Look = Callable[[str], Json | None]
"""A request with its form, history and node type; None where there is none."""
_POLL_S = 1.0


class VoucherWriter:
    """Writes one number after the other."""

    def __init__(
        self,
        interface: Interface,
        look: Look,
        mappings: Sequence[FormMapping],
        options: WeaverOptions,
        zone: ZoneInfo,
        clock: Clock,
    ) -> None:
        self._interface = interface
        self._look = look
        self._mappings = mappings
        self._options = options
        self._zone = zone
        self._clock = clock

    def write(self, entries: Sequence[WriteBackEntry]) -> list[WriteBackResult]:
        """One result per entry, in the same order.

        Raises:
            FixConfig: the log-in or the address is refused.
            RetryLater: nothing at all was written, e-cology is busy or away.
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
        request_id = usable_request_id(entry.document_id)
        request = self._look(request_id) if request_id else None
        if request is None:
            return _refused(entry, f"泛微没有流程 {entry.document_id}，无法回写 / there is no such request")
        mapping = self._mapping_of(request)
        answer = Answer(entry.voucher_no, entry.fiscal_period if entry.voucher_no else "")
        fields = answer_fields(mapping, answer) if mapping else {}
        if mapping is None or not fields or self._options.write_back == "none":
            return _refused(
                entry,
                "未配置回写：请设置映射文件的 write_back 和选项 write_back / writing back is not configured: see the mapping file",
            )
        if self._is_done(request, entry, fields):
            return _result(entry, WriteBackOutcome.WRITTEN)
        if entry.voucher_no and not self._is_due(request):
            return _refused(
                entry,
                f"流程 {request_id} 未归档，不能写入凭证号 / the request is not approved, so it takes no voucher number",
            )
        try:
            self._write(request, fields, answer_comment(mapping, answer), is_clearing=not entry.voucher_no)
        except FixData as refusal:
            return _refused(entry, f"流程 {request_id} 不接受回写：{refusal} / the request does not take it")
        except OutcomeUnknown as lost:
            return self._looked(entry, fields, WriteBackOutcome.UNKNOWN, str(lost))
        reason = (
            f"流程 {request_id} 的字段 {'、'.join(fields)} 没有变化：请让接口用户可在该节点编辑它们 / the fields did not change: let the "
            "interface's user edit them at this node"
        )
        return self._looked(entry, fields, WriteBackOutcome.REFUSED, reason)

    def _write(self, request: Json, fields: Mapping[str, str], remark: str, *, is_clearing: bool) -> None:
        """Write by the way of the option.

        Raises:
            FixData: it cannot be done in this state.
            OutcomeUnknown: the answer was lost.
        """
        register = self._options.register_in
        if self._options.write_back == "register" and register is not None:
            named = {register.document: str(request["requestId"]), **fields}
            if register.code and self._code_of(request):
                named[register.code] = self._code_of(request)
            self._interface.create(register.workflow, register.title, named, remark)
            return
        submit = self._options.write_back == "voucher_node" and not is_clearing
        if submit and not self._waits(request):
            raise FixData("已离开制证节点 / it has left the node where vouchers are made")
        self._interface.change(request, fields, remark, submit=submit, is_same=not submit)

    def _looked(
        self, entry: WriteBackEntry, fields: Mapping[str, str], otherwise: WriteBackOutcome, reason: str
    ) -> WriteBackResult:
        """What the form shows afterwards. A flow moves after its answer: it gets a moment."""
        deadline = self._clock.monotonic() + self._options.move_wait_s
        while True:
            try:
                request = self._look(entry.document_id)
            except RetryLater as error:
                return _result(entry, WriteBackOutcome.UNKNOWN, f"{reason}；{error}")
            if request is not None and self._is_done(request, entry, fields):
                return _result(entry, WriteBackOutcome.WRITTEN)
            if request is None or not self._shows(request, fields):
                return _result(entry, otherwise, reason)
            if self._clock.monotonic() >= deadline:
                return _result(
                    entry,
                    WriteBackOutcome.UNKNOWN,
                    "已写入，但流程尚未离开制证节点 / written, but it has not left its node yet",
                )
            self._clock.sleep(_POLL_S)

    # -- what a request shows ------------------------------------------------------------------------

    def _is_done(self, request: Json, entry: WriteBackEntry, fields: Mapping[str, str]) -> bool:
        """Whether the form shows it all, and need not be submitted any more."""
        must_go_on = self._options.write_back == "voucher_node" and entry.voucher_no and self._waits(request)
        return self._shows(request, fields) and not must_go_on

    @staticmethod
    def _shows(request: Json, fields: Mapping[str, str]) -> bool:
        shown = main_values(request)
        return all(shown.get(name, "") == value for name, value in fields.items())

    def _waits(self, request: Json) -> bool:
        node = {str(request.get("currentNodeName")), str(request.get("currentNodeId"))}
        return bool(node & set(self._options.approved_nodes))

    def _is_due(self, request: Json) -> bool:
        steps = steps_of(request, self._zone)
        return status_of(request, steps, self._options.approved_nodes).is_due

    def _mapping_of(self, request: Json) -> FormMapping | None:
        workflow = str((request.get("workflowBaseInfo") or {}).get("workflowId", ""))
        return next((mapping for mapping in self._mappings if workflow in mapping.templates), None)

    def _code_of(self, request: Json) -> str:
        mapping = self._mapping_of(request)
        field = mapping.document.code if mapping else None
        return main_values(request).get(field.field, "") if field else ""


def _refused(entry: WriteBackEntry, message: str) -> WriteBackResult:
    return _result(entry, WriteBackOutcome.REFUSED, message)


def _result(entry: WriteBackEntry, outcome: WriteBackOutcome, message: str = "") -> WriteBackResult:
    return WriteBackResult(entry.document_id, outcome, message)
