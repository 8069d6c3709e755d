"""What proofs of rules find, and the proofs of decision tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from include.rules.regions import Value


class Severity(StrEnum):
    ERROR = "error"
    """The rules are wrong: a rule set with an error is refused."""
    WARNING = "warning"
    """Probably a mistake, or not proved; a person should look."""
    NOTE = "note"
    """Holds under a condition that the rules cannot settle."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong with the rules: where it stands, what it is, what to do.

    `file` is the path inside the configuration, `line` the row or line as an editor shows it. `witness` is an example
    for people; for tables `case` is the same as values of facts (amounts in minor units, None and "" are missing) and
    `rows` are all rows concerned.
    """

    code: str
    severity: Severity
    file: str
    line: int
    zh: str
    en: str
    witness: str = ""
    case: Mapping[str, Value] = field(default_factory=dict)
    rows: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: [{self.code}] {self.zh} / {self.en}"
