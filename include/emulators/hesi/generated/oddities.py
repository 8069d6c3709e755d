"""Legal but unusual spellings that a careful reader takes in its stride. No document becomes dirty by them."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from include.emulators.hesi.model import pack, unpack
from include.emulators.hesi.world import World

Json = dict[str, Any]
SHARE = 0.05

TITLES = (
    '团建🎉聚餐，含"自费"部分',
    "O'Brien 来访接待; DROP TABLE 凭证;--",
    "第一行\n第二行\t制表",
    "𠮷野家𬘬工作餐",
    "=1+1 公式样标题",
    "  前后空格  ",
    "差旅\u202eמסמך\u202c从右到左",
    "长" * 200,
)


def _title(form: Json) -> None:
    form["title"] = TITLES[int(form["code"][1:]) % len(TITLES)]


def _nulls(form: Json) -> None:
    """Optional fields that are null instead of absent or empty."""
    form |= {"title": None, "description": None, "printCount": None}
    for line in form.get("details", []):
        line["feeTypeForm"] |= {"consumptionReasons": None, "attachments": None}


def _no_title(form: Json) -> None:
    for name in ("title", "description"):
        form.pop(name, None)


def _amounts(form: Json) -> list[Json]:
    """All amount objects of a form."""
    found: list[Json] = []
    waiting: list[object] = [form]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if "standardStrCode" in value:
                found.append(value)
            else:
                waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
    return found


def _numbers(form: Json) -> None:
    """`standard` as a JSON number throughout."""
    for value in _amounts(form):
        text = str(value["standard"])
        value["standard"] = float(text) if "." in text else int(text)


def _zeros(form: Json) -> None:
    """More decimals than the currency has, all of them zeros; the scale as text."""
    for value in _amounts(form):
        text = str(value["standard"])
        value |= {"standard": (text if "." in text else f"{text}.00") + "00", "standardScale": "2"}


def _negative_share(form: Json) -> None:
    """分摊比例 above 100 and below 0 (the vendor allows it): the second share gives 20 % of the line to the first.

    A form without apportions is left as it is.
    """
    for line in form.get("details", []):
        shares = [item["apportionForm"] for item in line["feeTypeForm"].get("apportions", [])]
        if not shares:
            continue
        whole = sum((Decimal(item["apportionMoney"]["standard"]) for item in shares), Decimal())
        rest = [Decimal(item["apportionMoney"]["standard"]) for item in shares[2:]]
        rest_share = [Decimal(item["apportionPercent"]) for item in shares[2:]]
        second = -(whole / 5).quantize(Decimal("0.01"))
        values = (whole - second - sum(rest), second)
        percents = (Decimal("120.00") - sum(rest_share), Decimal("-20.00"))
        for item, value, percent in zip(shares, values, percents, strict=False):
            item["apportionMoney"]["standard"] = str(value)
            item["apportionPercent"] = str(percent)


def _unknown_field(form: Json) -> None:
    """Fields that a tenant added and nobody told us of."""
    form |= {"u_自定义🙂": {"深": [{"层": None}]}, "E_system_新字段": "x"}


ODDITIES: Mapping[str, Callable[[Json], None]] = {
    "title": _title,
    "nulls": _nulls,
    "no_title": _no_title,
    "numbers": _numbers,
    "zeros": _zeros,
    "negative_share": _negative_share,
    "unknown_field": _unknown_field,
}


def decorate(world: World, rng: random.Random) -> None:
    """Give a share of the documents one oddity each, and note it in their truth."""
    names = list(ODDITIES)
    for document in world.documents.values():
        if rng.random() >= SHARE:
            continue
        name = rng.choice(names)
        body = unpack(document.packed)
        ODDITIES[name](body["form"])
        packed = pack(body)
        if packed == document.packed:
            continue  # it does not apply to this document
        document.packed = packed
        world.truth[document.id] = dataclasses.replace(world.truth[document.id], oddity=name)
