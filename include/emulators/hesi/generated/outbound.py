"""Outbound messages (出站消息) that the company's subscriber missed: what the failure log page shows."""

from __future__ import annotations

import random

from include.emulators.hesi.world import World

MISSED_SHARE = 0.01


def lose_messages(world: World, rng: random.Random) -> None:
    """Log a failed approval message for some approved documents; an EBot call fails now and then too."""
    for document in world.documents.values():
        point = rng.random()
        if not document.is_approved or point >= MISSED_SHARE:
            continue
        kind = "message" if point < MISSED_SHARE * 0.8 else "flow"
        world.outbound_logs.append(
            {
                "name": "审批结果通知" if kind == "message" else "费用标准检查",
                "messageId": "ID_OUT_APPROVAL" if kind == "message" else "ID_OUT_EBOT",
                "flowId": document.id,
                "dataLinkId": "",
                "messageCenterConfigId": None,
                "repaymentApplyId": None,
                "nodeName": "",
                "nodeId": "",
                "request": {"flowId": document.id, "action": "flow.paid", "actionName": "已支付/审批完成"},
                "response": {"status": 503},
                "state": "FAILURE",
                "id": f"ID_LOG_{len(world.outbound_logs):06d}",
                "type": "INVOKING",
                "version": 1,
                "active": True,
                "createTime": document.update_time,
                "updateTime": document.update_time,
                "corporationId": world.catalog.corporation_id,
                "messageType": kind,
            }
        )
