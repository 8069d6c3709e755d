"""Changes to a world after it was made, as data: a state file can keep them and play them again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from include.emulators.hesi.logs import Step, entry
from include.emulators.hesi.model import IN_FLIGHT, Document, EmulatorError, pack, unpack

if TYPE_CHECKING:
    from include.emulators.hesi.world import World

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """One change: `operation` is a key of OPERATIONS, `time` epoch ms, `data` what the operation needs."""

    operation: str
    flow_ids: tuple[str, ...]
    time: int
    data: Mapping[str, Any] = field(default_factory=dict)


def apply(world: World, change: Change) -> None:
    """Make the change.

    Raises:
        EmulatorError: unknown operation or document, or a state in which it cannot be done.
    """
    operation = OPERATIONS.get(change.operation)
    if operation is None:
        known = ", ".join(sorted(OPERATIONS))
        raise EmulatorError(
            f"没有操作 {change.operation!r}，可用：{known} · unknown operation, use one of: {known}"
        )
    documents = [world.document(flow_id) for flow_id in change.flow_ids]
    for document in documents:
        operation(document, change)


def _touch(document: Document, time: int) -> None:
    """Every edit raises the version and moves updateTime, forward even if the clock stands behind it."""
    document.version += 1
    document.update_time = max(time, document.update_time + 1)


def _write_back(document: Document, change: Change) -> None:
    for item in change.data["items"]:
        if item["flowId"] == document.id:
            number = str(item["voucherNo"])
            document.voucher_no = number
            document.voucher_time = int(item["voucherCreateTime"]) if number else 0
            document.fiscal_period = str(item.get("fiscalPeriod") or "") if number else ""
    _touch(document, change.time)


def _require(document: Document, states: frozenset[str], wish: str) -> None:
    if not document.active or document.state not in states:
        state = document.state if document.active else "deleted"
        raise EmulatorError(f"单据 {document.id} 状态为 {state}，不能{wish} · it is {state}")


def _log(document: Document, change: Change, action: str, state: str, form: Json | None = None) -> None:
    """Move to a state with an entry in the approval history, and perhaps new form fields."""
    _touch(document, change.time)
    body = unpack(document.packed)
    operator = str(change.data.get("operator", document.owner_id))
    step = Step(action, state, operator, document.department_id, document.update_time, None, action)
    body["logs"].append(entry(step))
    if form:
        body["form"].update(form)
    document.packed = pack(body)
    document.state = state


def _submit(document: Document, change: Change) -> None:
    _require(document, frozenset({"draft", "rejected"}), "提交 submit")
    document.submit_date = max(change.time, document.update_time + 1)
    _log(document, change, "submit", "approving", {"submitDate": document.submit_date})


def _approve(document: Document, change: Change) -> None:
    """Approve to the end; with data {"pay": True} a cashier pays it on the way."""
    _require(document, IN_FLIGHT, "审批通过 approve")
    form: Json = {}
    if change.data.get("pay"):
        document.pay_date = max(change.time, document.update_time + 1)
        form = {
            "payDate": document.pay_date,
            "paymentChannel": "OFFLINE",
            "paymentAccountId": change.data.get("account", "ID_ACC_BASIC"),
        }
    form["flowEndTime"] = max(change.time, document.update_time + 1)
    _log(document, change, "pay" if change.data.get("pay") else "agree", "paid", form)


def _reject(document: Document, change: Change) -> None:
    _require(document, IN_FLIGHT, "驳回 reject")
    _log(document, change, "reject", "rejected")


def _withdraw(document: Document, change: Change) -> None:
    """Take a document back to draft, also after its approval: an accountant's worst case."""
    _require(document, IN_FLIGHT | {"paid"}, "撤回 withdraw")
    _log(document, change, "retract", "draft")


def _nullify(document: Document, change: Change) -> None:
    _require(document, IN_FLIGHT | {"paid", "rejected"}, "作废 nullify")
    _log(document, change, "nullify", "nullify")


def _archive(document: Document, change: Change) -> None:
    _require(document, frozenset({"paid"}), "归档 archive")
    _touch(document, change.time)
    document.state = "archived"


def _alter(document: Document, change: Change) -> None:
    """变更申请: an approved requisition goes back to draft and says so."""
    _require(document, frozenset({"paid"}), "变更 alter")
    if document.form_type != "requisition":
        raise EmulatorError(f"单据 {document.id} 不是申请单，不能变更 · only a requisition can be altered")
    _log(document, change, "alter", "draft", {"alterFlag": "1"})


def _edit(document: Document, change: Change) -> None:
    """Set form fields: data {"fields": {"expenseMoney.standard": "12.00", "details.0.feeTypeId": …}}."""
    body = unpack(document.packed)
    for path, value in change.data.get("fields", {}).items():
        *parents, last = path.split(".")
        target: Any = body["form"]
        try:
            for name in parents:
                target = target[int(name)] if isinstance(target, list) else target[name]
            target[int(last) if isinstance(target, list) else last] = value
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise EmulatorError(f"单据 {document.id} 没有字段 {path} · no such field: {error!r}") from error
    document.packed = pack(body)
    _log(document, change, "modify", document.state)


def _delete(document: Document, change: Change) -> None:
    _touch(document, change.time)
    document.active = False


OPERATIONS: Mapping[str, Callable[[Document, Change], None]] = {
    "write_back": _write_back,
    "submit": _submit,
    "approve": _approve,
    "reject": _reject,
    "withdraw": _withdraw,
    "nullify": _nullify,
    "archive": _archive,
    "alter": _alter,
    "edit": _edit,
    "delete": _delete,
}
