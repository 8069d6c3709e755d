"""FilterString and OrderString: a parser of the sort of conditions that are written there, compiled to SQL.

Comparisons (= <> != > >= < <=), `like`, `in (…)`, `between … and …`, `is [not] null`, joined by and, or, not and
brackets. Values go into parameters; names must be fields of the form. Text is compared without regard to case.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

from include.emulators.hesi.clock import SHANGHAI
from include.emulators.kingdee.fields import MONEY_PLACES, Field
from include.emulators.kingdee.protocol import FAULT, NO_PARAMETER, ApiError, failed

MAX_CHARACTERS = 200_000
MAX_DEPTH = 60
_TOKEN = re.compile(
    r"\s*(?:(?P<text>N?'(?:[^']|'')*')|(?P<date>\{ts\s*'[^']*'\})|(?P<number>-?\d+(?:\.\d+)?)"
    r"|(?P<name>[A-Za-z_][\w.]*)|(?P<sign><>|!=|>=|<=|[=<>(),]))",
    re.ASCII,
)
_COMPARISONS = {"=", "<>", "!=", ">", ">=", "<", "<="}


def _wrong(detail: str) -> ApiError:
    return failed(f"GetRealExpress error：{detail}", FAULT)


@dataclass(frozen=True, slots=True)
class Token:
    kind: str
    text: str

    @property
    def word(self) -> str:
        """In lower case where it is a name."""
        return self.text.lower() if self.kind in ("name", "sign") else ""


@dataclass(slots=True)
class Condition:
    """SQL with its parameters, and the fields that it names."""

    sql: str
    parameters: list[Any] = field(default_factory=list)
    fields: list[Field] = field(default_factory=list)


def _tokens(text: str) -> Iterator[Token]:
    place = 0
    text = text.rstrip()
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise _wrong(f"在“{text[place : place + 20].strip()}”附近有语法错误")
        kind = match.lastgroup or ""
        value = match[kind]
        if kind == "text":
            value = value[value.index("'") + 1 : -1].replace("''", "'")
        if kind == "date":
            kind, value = "text", value[value.index("'") + 1 : value.rindex("'")]
        yield Token(kind, value)
        place = match.end()


@dataclass(slots=True)
class _Parser:
    tokens: list[Token]
    field_for: Callable[[str], Field]
    like_brackets: bool
    place: int = 0
    depth: int = 0
    found: Condition = field(default_factory=lambda: Condition(""))

    def whole(self) -> Condition:
        self.found.sql = self._either()
        if self.place != len(self.tokens):
            raise _wrong(f"多余的“{self.tokens[self.place].text}”")
        return self.found

    def _either(self) -> str:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise _wrong("括号嵌套过深")
        parts = [self._both()]
        while self._take("or"):
            parts.append(self._both())
        self.depth -= 1
        return f"({' OR '.join(parts)})"

    def _both(self) -> str:
        parts = [self._one()]
        while self._take("and"):
            parts.append(self._one())
        return " AND ".join(parts)

    def _one(self) -> str:
        negated = False
        while self._take("not"):
            negated = not negated
        if self._take("("):
            inside = self._either()
            self._expect(")")
        else:
            inside = self._predicate()
        return f"NOT {inside}" if negated else inside

    def _predicate(self) -> str:
        left = self._next()
        if left.kind in ("number", "text"):
            return self._constants(left)
        if left.kind != "name":
            raise _wrong(f"“{left.text}”处应为字段")
        name = self.field_for(left.text)
        self.found.fields.append(name)
        if self._take("is"):
            negated = self._take("not")
            self._expect("null")
            return f"({name.sql}) IS {'NOT ' if negated else ''}NULL"
        negated = self._take("not")
        token = self._next()
        if token.word == "like":
            return self._negated(negated, self._like(name))
        if token.word == "in":
            return self._negated(negated, self._in(name))
        if token.word == "between":
            low = self._value(name)
            self._expect("and")
            return self._negated(negated, f"({name.sql}) BETWEEN {low} AND {self._value(name)}")
        if negated or token.text not in _COMPARISONS:
            raise _wrong(f"不支持的运算符“{token.text}”")
        return f"({name.sql}) {token.text} {self._value(name)}{name.collation}"

    @staticmethod
    def _negated(negated: bool, sql: str) -> str:
        return f"NOT ({sql})" if negated else f"({sql})"

    def _constants(self, left: Token) -> str:
        """`1=1` and the like, which clients write to begin a list of conditions."""
        sign, right = self._next(), self._next()
        if sign.text not in _COMPARISONS or right.kind not in ("number", "text"):
            raise _wrong(f"“{left.text}”处应为字段")
        self.found.parameters += [left.text, right.text]
        return f"? {sign.text} ?"

    def _like(self, name: Field) -> str:
        pattern = self._next()
        if pattern.kind != "text":
            raise _wrong("like 后应为字符串")
        self.found.parameters.append(pattern.text)
        return f"kd_like(?, {name.sql}, {int(self.like_brackets)})"

    def _in(self, name: Field) -> str:
        self._expect("(")
        values = [self._value(name)]
        while self._take(","):
            values.append(self._value(name))
        self._expect(")")
        return f"({name.sql}){name.collation} IN ({', '.join(values)})"

    def _value(self, name: Field) -> str:
        token = self._next()
        if token.kind not in ("text", "number"):
            raise _wrong(f"“{token.text}”处应为值")
        self.found.parameters.append(_literal(name, token.text))
        return "?"

    def _next(self) -> Token:
        if self.place >= len(self.tokens):
            raise _wrong("条件不完整")
        self.place += 1
        return self.tokens[self.place - 1]

    def _take(self, word: str) -> bool:
        if self.place < len(self.tokens) and self.tokens[self.place].word == word:
            self.place += 1
            return True
        return False

    def _expect(self, word: str) -> None:
        if not self._take(word):
            raise _wrong(f"缺少“{word}”")


def _literal(name: Field, text: str) -> Any:
    """A value as the column holds it."""
    try:
        match name.kind:
            case "money":
                scaled = Decimal(text).scaleb(MONEY_PLACES)
                return int(scaled) if scaled == scaled.to_integral_value() else float(scaled)
            case "int" | "id" | "number":
                return int(text) if text.lstrip("-").isdecimal() else float(text)
            case "flag":
                return int(text.lower() in ("1", "true"))
            case "day":
                return _moment(text).strftime("%Y-%m-%d %H:%M:%S")
            case "moment":
                return int(_moment(text).timestamp()) * 1000
            case _:
                return text
    except (InvalidOperation, ValueError, OverflowError) as error:
        raise _wrong(f"“{text}”不是{name.label}的值") from error


def _moment(text: str) -> datetime:
    cleaned = text.strip().replace("/", "-").replace("T", " ")
    for form in ("%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S.%f"):
        try:
            return datetime.strptime(cleaned, form).replace(tzinfo=SHANGHAI)
        except ValueError:
            continue
    raise ValueError(text)


def compile_filter(given: Any, field_for: Callable[[str], Field], *, like_brackets: bool) -> Condition:
    """A FilterString, a text or the list of conditions that the documents show as well, as SQL.

    Raises:
        ApiError: it cannot be read, or names no field of the form.
    """
    text = _joined(given) if isinstance(given, list) else str(given or "")
    if len(text) > MAX_CHARACTERS:
        raise failed("过滤条件过长", NO_PARAMETER)
    tokens = list(_tokens(text))
    return _Parser(tokens, field_for, like_brackets).whole() if tokens else Condition("1")


def _joined(conditions: list[Any]) -> str:
    """`[{"Left": "(", "FieldName", "Compare", "Value", "Right": ")", "Logic": "and"}, …]` as one text."""
    parts: list[str] = []
    for number, item in enumerate(conditions, start=1):
        if not isinstance(item, dict):
            raise _wrong(f"第{number}个条件不是对象")
        lower = {str(key).lower(): value for key, value in item.items()}
        value = str(lower.get("value", "")).replace("'", "''")
        parts += [
            str(lower.get("left", "")),
            f"{lower.get('fieldname', '')} {lower.get('compare', '')} '{value}'",
        ]
        parts.append(str(lower.get("right", "")))
        if number < len(conditions):
            parts.append(str(lower.get("logic") or "and"))
    return " ".join(parts)


def compile_order(text: str, field_for: Callable[[str], Field]) -> tuple[list[str], list[Field]]:
    """An OrderString: (terms of ORDER BY, the fields that they name)."""
    terms, used = [], []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        match = re.fullmatch(r"([A-Za-z_][\w.]*)(?:\s+(asc|desc))?", part, re.IGNORECASE | re.ASCII)
        if match is None:
            raise _wrong(f"排序“{part}”有语法错误")
        name = field_for(match[1])
        used.append(name)
        terms.append(f"({name.sql}){name.collation} {match[2] or 'asc'}")
    return terms, used


@lru_cache(maxsize=512)
def _pattern(like: str, brackets: bool) -> re.Pattern[str]:
    parts, place = [], 0
    while place < len(like):
        sign = like[place]
        end = like.find("]", place + 2) if sign == "[" and brackets else -1
        if sign == "%":
            parts.append(".*")
        elif sign == "_":
            parts.append(".")
        elif end > 0:
            inside = like[place + 1 : end].replace("\\", r"\\").replace("[", r"\[").replace("]", r"\]")
            parts.append(f"[{inside}]")
            place = end
        else:
            parts.append(re.escape(sign))
        place += 1
    return re.compile("".join(parts), re.DOTALL | re.IGNORECASE)


def like(pattern: str, value: object, brackets: int) -> bool | None:
    """The SQL function behind `like`: % any text, _ one character, [abc] and [^abc] sets where brackets count."""
    if value is None:
        return None
    try:
        return _pattern(pattern, bool(brackets)).fullmatch(str(value)) is not None
    except re.error:  # a set such as [z-a] matches nothing
        return False
