"""A stage's result as the lines that a person reads in a task's log."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from include.domain.money import format_minor

LABELS = {
    "read": "读取 / read",
    "new": "新增 / new",
    "changed": "变更 / changed",
    "unchanged": "未变 / unchanged",
    "revised": "入账后变更 / revised after posting",
    "master_records": "主数据 / master records",
    "complete": "取数完整 / complete",
    "missing": "缺失 / missing",
    "checked": "检查 / checked",
    "accepted": "通过 / accepted",
    "quarantined": "隔离 / quarantined",
    "documents": "单据 / documents",
    "vouchers": "凭证 / vouchers",
    "followed": "已处理变更 / changes followed",
    "reversals": "红冲 / reversals",
    "replacements": "重做 / replacements",
    "blue": "蓝字订正 / blue corrections",
    "kept": "凭证不变 / vouchers kept",
    "cancelled": "取消未过账 / unsent ones cancelled",
    "waiting": "待查询过账结果 / outcome in doubt",
    "asked": "待财务决定 / left to finance",
    "no_voucher": "无需凭证 / no voucher",
    "debit_minor": "借方合计 / debit total",
    "rule_digest": "规则 / rules",
    "rule_version": "规则版本 / rules version",
    "rules_refused": "规则文件被整套拒绝 / rules of the folder refused as a whole",
    "causes": "主要原因 / causes",
    "posted": "过账 / posted",
    "found_in_ledger": "其中账中已有 / of these found in the ledger",
    "rejected": "被拒 / rejected",
    "held": "暂挂 / held",
    "conflict": "冲突 / conflict",
    "unknown": "结果未知 / outcome unknown",
    "posted_minor": "过账金额 / amount posted",
    "periods": "期间 / periods",
    "ledger_vouchers": "账中凭证 / vouchers in the ledger",
    "foreign": "非本系统凭证 / vouchers of others",
    "discrepancies": "差异 / discrepancies",
    "information": "一致但拆分或合并 / split or merged, and agreeing",
    "kinds": "差异种类 / kinds",
    "adopted": "待认领 / to be adopted",
    "sent_back": "退回重新过账 / to be sent again",
    "written": "回写 / written back",
    "refused": "单据不接受 / refused by the OA",
    "gone": "账中已无 / gone from the ledger",
}


def lines(result: dict[str, Any], currency: str) -> Iterator[str]:
    """One line per figure; money in the book's currency, counts by cause below their total."""
    for name, value in result.items():
        label = LABELS.get(name, name)
        if name.endswith("_minor"):
            yield f"{label}: {format_minor(value, currency)}"
        elif isinstance(value, bool):
            yield f"{label}: {'是 / yes' if value else '否 / NO'}"
        elif isinstance(value, (list, tuple)):
            if value and isinstance(value[0], str):
                yield f"{label}: {len(value)}"
            yield from (_item(item) for item in value)
        else:
            yield f"{label}: {value}"


def _item(item: Any) -> str:
    """A message, or a cause with its count."""
    if isinstance(item, str):
        return f"    {item}"
    cause, number = item
    return f"    {number:>6} × {cause}"
