"""Problems: what is wrong with user data, said so that the reader can mend it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ProblemOwner(StrEnum):
    """Who can mend it."""

    OA_USER = "oa_user"
    FINANCE = "finance"
    ENGINEER = "engineer"
    VENDOR = "vendor"


class Stage(StrEnum):
    """The stages of a run, in order."""

    EXTRACT = "extract"
    VALIDATE = "validate"
    FOLLOW = "follow"
    GENERATE = "generate"
    POST = "post"
    RECONCILE = "reconcile"
    WRITE_BACK = "write_back"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with one document.

    `code` is stable and dotted (`line.amount.too_many_decimals`); `where` names the field, file or table row;
    `zh` and `en` are whole messages: what is wrong and what to do; `cause` groups problems that one repair
    mends (default: the code). `line_no` is 1-based, None for the whole document.
    """

    code: str
    where: str
    zh: str
    en: str
    owner: ProblemOwner = ProblemOwner.FINANCE
    line_no: int | None = None
    cause: str = ""

    def __post_init__(self) -> None:
        if not self.cause:
            object.__setattr__(self, "cause", self.code)

    def __str__(self) -> str:
        return f"[{self.code}] {self.where}: {self.zh} / {self.en}"
