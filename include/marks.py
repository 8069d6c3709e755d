"""Read YAML and remember on which line every key and item stands, so that messages and traces can name it.

Differences from plain YAML, all against silent surprises: a key that appears twice is an error, decimals never pass
through floats, dates stay text (the models read them), and what aliases, nesting and length can do to memory is bounded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import yaml

Path = tuple[str | int, ...]
MAX_DEPTH = 32
MAX_VALUES = 100_000
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The fast one where the wheel has it: DAG files are parsed again and again."""
_WORDS = (
    # What the parsers say, the fast and the slow one; what that means to somebody who writes the file.
    ("mapping values are not allowed", "冒号的位置不对：检查缩进，含冒号的值加引号", "a misplaced colon: indent anew, or quote it"),
    ("cannot start any token", "值不能以此字符开头，请加引号", "no value begins with this character, put it in quotes"),
    ("or ']'", "方括号没有结束或缺少逗号", "a bracket is not closed, or a comma is missing"),
    ("or '}'", "花括号没有结束或缺少逗号", "a brace is not closed, or a comma is missing"),
    ("end of stream", "引号没有结束", "a quote is not closed"),
    ("block end", "缩进与上文不一致，或漏了一行", "the indentation differs from the lines above"),
    ("'-' indicator", "缩进与上文不一致，或缺少“- ”", "the indentation differs from the lines above, or “- ” is missing"),
    ("expected key", "缩进与上文不一致，或漏了键", "the indentation differs from the lines above, or a key is missing"),
    ("expected ':'", "键后缺少冒号和空格", "a colon and a space are missing after the key"),
    ("undefined alias", "没有定义这个别名（以 * 开头的值请加引号）", "no such alias (put a value that begins with * in quotes)"),
    ("another document", "一个文件只写一份内容，删去多余的 ---", "one document a file, delete the further ---"),
    ("special characters", "含不可见的控制字符，请删去", "an invisible control character, delete it"),
    ("control characters", "含不可见的控制字符，请删去", "an invisible control character, delete it"),
)  # fmt: skip


class MarkedYamlError(ValueError):
    """The text is not usable YAML; `line` is 1-based."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, slots=True)
class Marked:
    """A YAML document as plain values, the 1-based line of each path in it, and how values stand there that YAML takes
    for something else than text: `yes`, `0012`, `1.10`.
    """

    value: Any
    lines: Mapping[Path, int]
    written: Mapping[Path, str]

    def line_of(self, path: Path) -> int:
        """The line of a path, or of the nearest ancestor that is written down."""
        for end in range(len(path), 0, -1):
            if path[:end] in self.lines:
                return self.lines[path[:end]]
        return 1


def parse(text: str) -> Marked:
    """Parse one YAML document.

    Raises:
        MarkedYamlError: not YAML, a key twice, a key that is not text, too deep or too long; Chinese and English.
    """
    try:
        _check_size(text)
        node = yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        # Where a quote or a bracket was opened says more than where the file ended without its partner.
        is_open = any(word in str(error.context) for word in ("quoted", "flow"))
        mark = (is_open and error.context_mark) or error.problem_mark or error.context_mark
        raise MarkedYamlError(mark.line + 1 if mark else 1, _meaning(error, mark, text)) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise MarkedYamlError(line, _translated(str(error).partition("\n")[0])) from error
    reading = _Reading()
    return Marked(reading.value(node, ()), reading.lines, reading.written)


def _check_size(text: str) -> None:
    """Refuse nesting before the tree is made: the fast parser makes it by recursion in C, which no exception ends."""
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=_LOADER)):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        line = event.start_mark.line + 1 if event.start_mark else 1
        if depth > MAX_DEPTH:
            raise MarkedYamlError(
                line,
                f"嵌套超过 {MAX_DEPTH} 层，检查括号 / nested more than {MAX_DEPTH} deep, see the brackets",
            )
        if count > MAX_VALUES:
            raise _too_long(line)


def _too_long(line: int) -> MarkedYamlError:
    return MarkedYamlError(
        line,
        f"内容超过 {MAX_VALUES} 项（别名 * 会展开），拆成几个文件 / more than {MAX_VALUES} values (aliases count in full), split "
        "the file",
    )


def _meaning(error: yaml.MarkedYAMLError, mark: yaml.Mark | None, text: str) -> str:
    lines = text.splitlines()
    if mark is not None and mark.line < len(lines) and "\t" in lines[mark.line][: mark.column + 1]:
        return "缩进用了制表符，请改用空格 / a tab is used for indentation, use spaces"
    return _translated(str(error.problem or error))


def _translated(problem: str) -> str:
    for said, zh, en in _WORDS:
        if said in problem:
            return f"{zh} / {en} ({problem})"
    return f"格式有误 / wrong form ({problem})"


@dataclass(slots=True)
class _Reading:
    """Turns nodes into values. An alias is the same node again: it is followed, but not into itself."""

    lines: dict[Path, int] = field(default_factory=dict)
    written: dict[Path, str] = field(default_factory=dict)
    within: set[int] = field(default_factory=set)
    count: int = 0

    def value(self, node: yaml.Node | None, path: Path) -> Any:
        if node is None:
            return None
        line = node.start_mark.line + 1
        self.lines.setdefault(path, line)
        self.count += 1
        if self.count > MAX_VALUES:
            raise _too_long(line)
        if isinstance(node, yaml.ScalarNode):
            if node.tag != "tag:yaml.org,2002:str":
                self.written[path] = node.value
            return _scalar(node)
        if id(node) in self.within:
            raise MarkedYamlError(line, "别名包含它自己 / an alias holds itself")
        self.within.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
            return self._mapping(node, path)
        finally:
            self.within.discard(id(node))

    def _mapping(self, node: yaml.Node, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key, line = key_node.value, key_node.start_mark.line + 1
            if not isinstance(key, str):
                raise MarkedYamlError(line, "键应为文字 / a key must be plain text")
            if key in result:
                raise MarkedYamlError(
                    line, f"键 {key!r} 出现两次，删去一个 / the key {key!r} appears twice, delete one"
                )
            self.lines[(*path, key)] = line
            result[key] = self.value(value_node, (*path, key))
        return result


def _scalar(node: yaml.ScalarNode) -> Any:
    """The value of a plain scalar; those of other tags than YAML's own are refused."""
    if node.tag == "tag:yaml.org,2002:timestamp":
        return node.value
    try:
        if node.tag == "tag:yaml.org,2002:float":
            return Decimal(node.value.replace("_", "")) if node.value[-1:].isdigit() else node.value
        return yaml.constructor.SafeConstructor().construct_object(node)
    except yaml.YAMLError as error:
        raise MarkedYamlError(
            node.start_mark.line + 1,
            f"不读标签 {node.tag[:60]}，请删去 / tags are not read, delete {node.tag[:60]}",
        ) from error
    except (ValueError, ArithmeticError) as error:
        raise MarkedYamlError(
            node.start_mark.line + 1,
            f"无法读取的值 {node.value[:60]!r}，请加引号 / unreadable value, put it in quotes ({type(error).__name__})",
        ) from error
