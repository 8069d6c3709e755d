"""Keep changes to a world over restarts: a file of JSON lines, one change each, written as they happen."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from include.emulators.hesi.changes import Change
from include.emulators.hesi.model import EmulatorError
from include.emulators.hesi.world import World

logger = logging.getLogger(__name__)
FORMAT = "voucherflow-hesi-changes-1"


@contextlib.contextmanager
def attach(world: World, path: Path | None) -> Iterator[None]:
    """Play a file's changes into the world, then append every further change to it. None: keep nothing.

    Raises:
        EmulatorError: the file was written for another world, or is none of ours.
    """
    if path is None:
        yield
        return
    kept = _replay(world, path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("r+b" if kept else "wb") as file:
        file.truncate(kept)  # a last line cut off by a kill would spoil the next one
        file.seek(kept)
        if not kept:
            file.write(_line({"format": FORMAT, "world": world.label}))
            file.flush()

        def record(change: Change) -> None:
            file.write(_line(_to_json(change)))
            file.flush()

        world.listeners.append(record)
        try:
            yield
        finally:
            world.listeners.remove(record)


def _replay(world: World, path: Path) -> int:
    """Apply what the file holds; returns how many bytes of it are whole lines."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return 0
    kept = content.rfind(b"\n") + 1
    lines = content[:kept].splitlines()
    if not lines:
        return 0
    if kept < len(content):
        logger.warning("状态文件 %s 末行不完整，已丢弃 · dropped an incomplete last line of %s", path, path)
    try:
        head, *changes = [json.loads(line) for line in lines]
    except ValueError as error:
        raise EmulatorError(f"{path} 不是状态文件 · not a state file: {error}") from error
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        raise EmulatorError(f"{path} 不是状态文件 · not a state file of this emulator")
    if head["world"] != world.label:
        raise EmulatorError(
            f"{path} 属于另一套数据（{head['world']}），现在是 {world.label}；请换文件或删除它 · "
            "the state file was written for other data; use another file or delete it"
        )
    for item in changes:
        world.apply(_from_json(item))
    return kept


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _to_json(change: Change) -> dict[str, Any]:
    return {
        "operation": change.operation,
        "flowIds": change.flow_ids,
        "time": change.time,
        "data": dict(change.data),
    }


def _from_json(item: dict[str, Any]) -> Change:
    return Change(item["operation"], tuple(item["flowIds"]), item["time"], item["data"])
