"""Read YAML and remember on which line every key and item stands, so that messages and traces can name it.

Differences from plain YAML, all against silent surprises: a key that appears twice is an error, decimals never pass
through floats, and dates stay text (the models read them).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import yaml

Path = tuple[str | int, ...]


class MarkedYamlError(ValueError):
    """The text is not usable YAML; `line` is 1-based."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, slots=True)
class Marked:
    """A YAML document as plain values, and the 1-based line of each path in it."""

    value: Any
    lines: Mapping[Path, int]

    def line_of(self, path: Path) -> int:
        """The line of a path, or of the nearest ancestor that is written down."""
        for end in range(len(path), 0, -1):
            if path[:end] in self.lines:
                return self.lines[path[:end]]
        return 1


def parse(text: str) -> Marked:
    """Parse one YAML document.

    Raises:
        MarkedYamlError: not YAML, a key twice, or a key that is not text.
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise MarkedYamlError(mark.line + 1 if mark else 1, str(error.problem or error)) from error
    except yaml.YAMLError as error:
        raise MarkedYamlError(1, str(error)) from error
    lines: dict[Path, int] = {}
    return Marked(_value(node, (), lines), lines)


def _value(node: yaml.Node | None, path: Path, lines: dict[Path, int]) -> Any:
    if node is None:
        return None
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key, line = key_node.value, key_node.start_mark.line + 1
            if not isinstance(key, str):
                raise MarkedYamlError(line, "键应为文字 / a key must be plain text")
            if key in result:
                raise MarkedYamlError(line, f"键 {key!r} 出现两次 / the key {key!r} appears twice")
            lines[(*path, key)] = line
            result[key] = _value(value_node, (*path, key), lines)
        return result
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, (*path, index), lines) for index, item in enumerate(node.value)]
    return _scalar(node)


def _scalar(node: yaml.Node) -> Any:
    if node.tag == "tag:yaml.org,2002:timestamp":
        return node.value
    if node.tag == "tag:yaml.org,2002:float":
        return Decimal(node.value.replace("_", "")) if node.value[-1:].isdigit() else node.value
    try:
        # The constructor of one scalar; nodes of other tags than YAML's own are refused by it.
        return yaml.constructor.SafeConstructor().construct_object(node)
    except (yaml.YAMLError, ValueError) as error:
        raise MarkedYamlError(
            node.start_mark.line + 1, f"无法读取的值 / unreadable value: {error}"
        ) from error
