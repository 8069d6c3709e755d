"""Read a YAML file into a closed model, and say what is wrong with it in the words of those who write it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ValidationError
from pydantic_core import ErrorDetails

from include import marks

Model = TypeVar("Model", bound=BaseModel)
MAX_BYTES = 2 * 1024 * 1024
MAX_PROBLEMS = 100
_QUOTED = re.compile(r"'((?:[^'\\]|\\.)*)'")
_DAY = re.compile(r"([0-9]{4})[-/]([0-9]{1,2})[-/]([0-9]{1,2})")
_SERIAL = re.compile(r"[1-9][0-9]{4}")
_SERIAL_START = date(1899, 12, 30)
_WORDS = {
    # Types of pydantic's errors: what is expected, as {context} names it.
    "string_too_short": ("不能为空", "may not be empty"),
    "string_too_long": ("最多 {max_length} 个字符", "{max_length} characters at most"),
    "string_pattern_mismatch": (
        "只用小写字母、数字和下划线，以字母开头（{pattern}）",
        "lower-case letters, digits and _ only, a letter first ({pattern})",
    ),
    "too_short": ("至少要有 {min_length} 项", "{min_length} items at least are needed"),
    "too_long": ("最多 {max_length} 项", "{max_length} items at most"),
    "greater_than": ("应大于 {gt}", "must be greater than {gt}"),
    "greater_than_equal": ("应不小于 {ge}", "must not be less than {ge}"),
    "less_than": ("应小于 {lt}", "must be less than {lt}"),
    "less_than_equal": ("应不大于 {le}", "must not be greater than {le}"),
}
_EXPECTED = {
    # Prefixes of types of pydantic's errors: what the value should be.
    "bool": ("应为 true 或 false", "true or false is expected"),
    "int": ("应为整数", "a whole number is expected"),
    "decimal": ("应为数字", "a number is expected"),
    "float": ("应为数字", "a number is expected"),
    "date": ("应写作 2026-01-31", "write a date as 2026-01-31"),
    "list": ("应为列表 [a, b]", "a list is expected: [a, b]"),
    "tuple": ("应为列表 [a, b]", "a list is expected: [a, b]"),
    "sequence": ("应为列表 [a, b]", "a list is expected: [a, b]"),
    "is_instance_of": ("应为列表 [a, b]", "a list is expected: [a, b]"),
    "dict": ("应为“键: 值”", "keys and values are expected"),
    "mapping": ("应为“键: 值”", "keys and values are expected"),
    "model": ("应为“键: 值”", "keys and values are expected"),
}


def written_day(text: str) -> date:
    """A day as people write it in configuration, 2026-01-31 or 2026/1/31; ValueError says what is wrong with it."""
    match = _DAY.fullmatch(text)
    if match:
        try:
            return date(int(match[1]), int(match[2]), int(match[3]))
        except ValueError:
            raise ValueError(
                f"没有 {text!r} 这一天，应写作 2026-01-31 / there is no such day, write 2026-01-31"
            ) from None
    if _SERIAL.fullmatch(text):
        shown = _SERIAL_START + timedelta(days=int(text))
        raise ValueError(
            f"{text!r} 是 Excel 的日期序号（{shown}），把单元格格式设为日期或写作 2026-01-31 / Excel's serial number of {shown}: format the "
            "cell as a date, or write 2026-01-31"
        )
    raise ValueError(f"{text!r} 应写作 2026-01-31 / write a date as 2026-01-31")


def _day(value: object) -> date:
    return value if isinstance(value, date) else written_day(str(value))


Day = Annotated[date, BeforeValidator(_day)]
"""A date of a model. Pydantic's own would take a number for seconds since 1970."""


def read_model(path: Path, model: type[Model], problems: list[str]) -> tuple[Model, marks.Marked] | None:
    """The content of a file, and where its parts stand. What is wrong is added to `problems`; then None."""
    try:
        marked = marks.parse(_text(path))
        return model.model_validate(marked.value), marked
    except OSError as error:
        problems.append(
            f"{path}: 无法读取，检查文件权限 / cannot be read, check who may read it: {error.strerror}"
        )
    except marks.MarkedYamlError as error:
        zh, _, en = str(error).partition(" / ")
        problems.append(f"{path}:{error.line}: 不是有效的 YAML：{zh} / not valid YAML: {en or zh}")
    except ValidationError as error:
        found = [_explain(path, marked, model, detail) for detail in error.errors()]
        problems += capped(path, list(dict.fromkeys(found)))
    return None


def capped(path: Path, found: Sequence[str]) -> Iterator[str]:
    """The first MAX_PROBLEMS problems of a file, and how many more there are."""
    yield from found[:MAX_PROBLEMS]
    more = len(found) - MAX_PROBLEMS
    if more > 0:
        yield f"{path}: …… 另有 {more} 处 / … and {more} more"


def _text(path: Path) -> str:
    """The file as text; raises OSError or, for what is no text file of ours, MarkedYamlError."""
    if path.is_dir():
        raise marks.MarkedYamlError(1, "是文件夹，应为文件 / a folder, a file is expected")
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise marks.MarkedYamlError(
            1,
            f"文件超过 {MAX_BYTES // 1024**2} MB，拆成几个 / larger than {MAX_BYTES // 1024**2} MB, split it",
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        start = error.start + (3 if data.startswith(b"\xef\xbb\xbf") else 0)
        raise marks.MarkedYamlError(
            data.count(b"\n", 0, start) + 1,
            f"不是 UTF-8（第 {start + 1} 字节），用编辑器以 UTF-8 保存 / not UTF-8 (byte {start + 1}), save it as UTF-8 in the editor",
        ) from error


def _explain(path: Path, marked: marks.Marked, model: type[BaseModel], detail: ErrorDetails) -> str:
    place = _place(marked.value, detail)
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "value_error":
        place, message = _named(marked.value, place, message)
    where = f"{path}:{marked.line_of(place)}: {'.'.join(map(str, place)) or '-'}"
    kind, given = detail["type"], detail["input"]
    written = repr(marked.written.get(place, given))[:80]
    if not place and given is None:
        valid = "、".join(_keys_at(model, ()))
        return f"{where}: 文件是空的，应有：{valid} / the file is empty, it should have: {valid}"
    if kind == "missing":
        return f"{where}: 缺少此键，请加上 / this key is missing, add it"
    if kind == "extra_forbidden":
        valid = "、".join(_keys_at(model, place[:-1]))
        return f"{where}: 未知的键，可用：{valid} / unknown key, choose from: {valid}"
    if kind in {"enum", "literal_error"}:
        valid = "、".join(_QUOTED.findall(str(detail["ctx"]["expected"]))) or str(detail["ctx"]["expected"])
        return f"{where}: {written} 不可用，可选：{valid} / not available, choose from: {valid}"
    if kind == "string_type":
        if isinstance(given, Mapping | list) or given is None:
            return f"{where}: 应为文字 / text is expected"
        quoted = written.strip("'\"")
        return f'{where}: 应为文字，{quoted} 请加引号 / text is expected, put {quoted} in quotes: "{quoted}"'
    if kind == "value_error":
        shown = "" if isinstance(given, Mapping) or written in message else f" ({written})"
        return f"{where}: {message}{shown}"
    zh, en = _words(kind, detail)
    return f"{where}: {zh} / {en} ({written})"


def _words(kind: str, detail: ErrorDetails) -> tuple[str, str]:
    if kind in _WORDS:
        zh, en = _WORDS[kind]
        return zh.format(**detail["ctx"]), en.format(**detail["ctx"])
    for prefix, words in _EXPECTED.items():
        if kind.startswith(prefix):
            return words
    return "值不可用", detail["msg"]


def _place(value: Any, detail: ErrorDetails) -> marks.Path:
    """The path in the file: pydantic's without its names of alternatives, and with the key that is missing."""
    place: list[str | int] = []
    for index, part in enumerate(detail["loc"]):
        is_last = index == len(detail["loc"]) - 1
        if isinstance(value, Mapping) and (part in value or (is_last and detail["type"] == "missing")):
            place.append(part)
            value = value.get(part)
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            place.append(part)
            value = value[part]
    return tuple(place)


def _named(value: Any, place: marks.Path, message: str) -> tuple[marks.Path, str]:
    """The place of the key with whose name a message about the whole begins, and the rest of the message."""
    for part in place:
        value = value[part]
    name, colon, rest = message.partition(": ")
    if colon and isinstance(value, Mapping):
        if name in value:
            return (*place, name), rest
        for key, inner in value.items():
            if isinstance(inner, Mapping) and name in inner:
                return (*place, key, name), rest
    return place, message


def _keys_at(model: type[BaseModel], place: marks.Path) -> list[str]:
    """The keys that the model at a place of the file knows, as they are written."""
    current = model
    for part in place:
        if isinstance(part, str) and part in _fields(current):
            current = _model_in(_fields(current)[part]) or current
    return sorted(_fields(current))


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    return {f.alias or name: f.annotation for name, f in model.model_fields.items() if not f.exclude}


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((m for m in map(_model_in, getattr(annotation, "__args__", ())) if m is not None), None)
