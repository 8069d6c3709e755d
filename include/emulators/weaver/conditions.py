"""The `conditions` of the SOAP lists: raw SQL fragments over t1 (workflow_requestbase) and t2 (workflow_currentoperator).

The product pastes them into its statement. Here they are read by a parser of what such fragments are made of
(comparisons, IN, LIKE, BETWEEN, IS NULL, AND, OR, NOT, brackets, over known columns and literals) and run with bound
values, so that nothing else can be smuggled in. Anything beyond is an SQL error.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

MAX_FRAGMENTS = 50
MAX_LENGTH = 8000
MAX_DEPTH = 40
MAX_DIGITS = 15

T1 = frozenset(
    [
        "requestid",
        "workflowid",
        "requestname",
        "requestmark",
        "requestlevel",
        "status",
        "currentnodeid",
        "currentnodetype",
        "lastnodeid",
        "creater",
        "creatertype",
        "createdate",
        "createtime",
        "lastoperator",
        "lastoperatortype",
        "lastoperatedate",
        "lastoperatetime",
        "deleted",
    ]
)
T2 = frozenset(
    [
        "id",
        "requestid",
        "workflowid",
        "userid",
        "usertype",
        "nodeid",
        "isremark",
        "viewtype",
        "receivedate",
        "receivetime",
        "operatedate",
        "operatetime",
        "islasttimes",
        "iscomplete",
    ]
)
_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?)|N?(?P<text>'(?:[^']|'')*')|(?P<name>[A-Za-z_][\w.]*)"
    r"|(?P<sign><>|!=|>=|<=|=|<|>|\(|\)|,|-))"
)
_WORDS = {"and", "or", "not", "in", "like", "between", "is", "null"}
_COMPARISONS = {"=", "<>", "!=", "<", ">", "<=", ">="}


class SqlError(Exception):
    """What the database says of a fragment that it does not take."""


@dataclass(frozen=True, slots=True)
class Where:
    """A condition with `?` for its values."""

    sql: str
    values: tuple[str | int | float, ...]


def where_of(fragments: Sequence[str]) -> Where:
    """All fragments, joined with AND; empty ones count for nothing.

    Raises:
        SqlError: one of them is no condition.
    """
    if len(fragments) > MAX_FRAGMENTS:
        raise SqlError(f"more than {MAX_FRAGMENTS} conditions")
    parts: list[str] = []
    values: list[str | int | float] = []
    for fragment in fragments:
        if not fragment.strip():
            continue
        if len(fragment) > MAX_LENGTH:
            raise SqlError(f"a condition is longer than {MAX_LENGTH} characters")
        parser = _Parser(_tokens(fragment))
        # The product pastes " and " + fragment, without brackets: an OR in it reaches further than its author meant.
        parts.append(parser.whole())
        values += parser.values
    return Where("".join(f" AND {part}" for part in parts), tuple(values))


def _tokens(fragment: str) -> list[tuple[str, str]]:
    found, position = [], 0
    stripped = fragment.rstrip()
    while position < len(stripped):
        match = _TOKEN.match(stripped, position)
        if match and match["number"] and len(match["number"]) > MAX_DIGITS:
            raise SqlError("Arithmetic overflow error converting expression to data type int.")
        if match is None:
            raise SqlError(f"Incorrect syntax near '{stripped[position : position + 20].strip()}'.")
        kind = str(match.lastgroup)
        found.append((kind, match[kind]))
        position = match.end()
    return found


@dataclass(slots=True)
class _Parser:
    tokens: list[tuple[str, str]]
    at: int = 0
    depth: int = 0
    values: list[str | int | float] = field(default_factory=list)

    def whole(self) -> str:
        sql = self._either()
        if self.at != len(self.tokens):
            raise SqlError(f"Incorrect syntax near '{self.tokens[self.at][1]}'.")
        return sql

    def _either(self) -> str:
        parts = [self._both()]
        while self._take_word("or"):
            parts.append(self._both())
        return " OR ".join(parts)

    def _both(self) -> str:
        parts = [self._one()]
        while self._take_word("and"):
            parts.append(self._one())
        return " AND ".join(parts)

    def _one(self) -> str:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise SqlError("the condition is nested too deeply")
        try:
            if self._take_word("not"):
                return f"NOT {self._one()}"
            if self._take_sign("("):
                inner = self._either()
                self._need_sign(")")
                return f"({inner})"
            return self._comparison(self._operand())
        finally:
            self.depth -= 1

    def _comparison(self, left: str) -> str:
        kind, text = self._peek()
        if kind == "sign" and text in _COMPARISONS:
            self.at += 1
            return f"{left} {text} {self._operand()}"
        if self._take_word("is"):
            negated = " NOT" if self._take_word("not") else ""
            self._need_word("null")
            return f"{left} IS{negated} NULL"
        negated = "NOT " if self._take_word("not") else ""
        if self._take_word("like"):
            return f"{left} {negated}LIKE {self._operand()}"
        if self._take_word("between"):
            low = self._operand()
            self._need_word("and")
            return f"{left} {negated}BETWEEN {low} AND {self._operand()}"
        if self._take_word("in"):
            self._need_sign("(")
            items = [self._operand()]
            while self._take_sign(","):
                items.append(self._operand())
            self._need_sign(")")
            return f"{left} {negated}IN ({', '.join(items)})"
        raise SqlError(f"Incorrect syntax near '{text}'.")

    def _operand(self) -> str:
        kind, text = self._peek()
        self.at += 1
        if kind == "number":
            return self._value(float(text) if "." in text else int(text))
        if kind == "text":
            return self._value(text[1:-1].replace("''", "'"))
        if kind == "sign" and text == "-" and self._peek()[0] == "number":
            number = self._peek()[1]
            self.at += 1
            return self._value(-float(number) if "." in number else -int(number))
        if kind == "name" and text.lower() not in _WORDS:
            return _column(text.lower())
        raise SqlError(f"Incorrect syntax near '{text}'.")

    def _value(self, value: str | float) -> str:
        self.values.append(value)
        return "?"

    def _peek(self) -> tuple[str, str]:
        return self.tokens[self.at] if self.at < len(self.tokens) else ("end", "")

    def _take_word(self, word: str) -> bool:
        kind, text = self._peek()
        return self._take(kind == "name" and text.lower() == word)

    def _take_sign(self, sign: str) -> bool:
        return self._take(self._peek() == ("sign", sign))

    def _take(self, found: bool) -> bool:
        self.at += int(found)
        return found

    def _need_word(self, word: str) -> None:
        if not self._take_word(word):
            raise SqlError(f"Incorrect syntax near '{self._peek()[1]}'.")

    def _need_sign(self, sign: str) -> None:
        if not self._take_sign(sign):
            raise SqlError(f"Incorrect syntax near '{self._peek()[1]}'.")


def _column(name: str) -> str:
    table, dot, column = name.partition(".")
    if not dot:
        if name in T1 and name in T2:
            raise SqlError(f"Ambiguous column name '{name}'.")
        if name in T1 or name in T2:
            return name
    elif (table == "t1" and column in T1) or (table == "t2" and column in T2):
        return name
    raise SqlError(f"Invalid column name '{name}'.")
