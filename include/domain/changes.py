"""What becomes of a voucher when its document changes: one table for every situation, change and policy.

Pure: nothing here reads or writes. `include.stages.follow` finds out situation and change, and does what the table says.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, assert_never


class DocumentChange(StrEnum):
    """What happened to a document since its voucher was made."""

    WITHDRAWN = "withdrawn"  # 撤回、驳回: not approved any more
    DELETED = "deleted"  # 删除
    NULLIFIED = "nullified"  # 作废
    MOVED_BOOK = "moved_book"  # it belongs to another book now
    ALTERED = "altered"  # approved, and the rules make something else of it
    REAPPROVED_SAME = "reapproved_same"  # approved again, and the rules make the same of it

    @property
    def is_gone(self) -> bool:
        """Whether the document asks for no voucher in this book any more."""
        return self not in {DocumentChange.ALTERED, DocumentChange.REAPPROVED_SAME}


class Situation(StrEnum):
    """Where the voucher stands, for our store and for the ledger."""

    NONE = "none"
    GENERATED = "generated"
    HELD = "held"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    SENDING = "sending"
    UNKNOWN = "unknown"
    CONFLICT = "conflict"
    DRAFT = "draft"
    """The ledger has a draft of it that nobody posted."""
    POSTED = "posted"
    """Posted, in a period that is open."""
    POSTED_CLOSED = "posted_closed"
    """Posted, in a period that was closed since, of the year in which a correction would be dated."""
    POSTED_PRIOR_YEAR = "posted_prior_year"
    """Posted in a year that is closed."""
    REVERSED = "reversed"
    """Posted, and reversed by us."""
    REVERSED_BY_HAND = "reversed_by_hand"
    """Posted by us, and reversed by somebody in the ledger."""
    EDITED_BY_HAND = "edited_by_hand"
    """Posted by us, and in the ledger it has other content, is a draft again, or is gone."""


class Action(StrEnum):
    """What is done about one voucher."""

    NOTHING = "nothing"
    CANCEL = "cancel"
    """It was never sent, and will not be."""
    REGENERATE = "regenerate"
    """Make the voucher of the document as it is now."""
    LOOK_FIRST = "look_first"
    """Nobody knows yet whether it is in the ledger; posting finds out, and the next run follows."""
    DELETE_DRAFT = "delete_draft"
    REVERSE = "reverse"
    """A red-letter copy."""
    REPLACE = "replace"
    """A red-letter copy, and the voucher of the document as it is now."""
    BLUE = "blue"
    """A blue voucher over the difference, its profit and loss on the account for prior years."""
    KEEP = "keep"
    """It stays, and stands for the document as it is now."""
    ASK = "ask"
    """A person decides."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How far a book follows by itself. A prior year is touched only where `prior_year` and the other answer both allow it."""

    withdrawn: Literal["ask", "reverse"] = "ask"
    altered: Literal["ask", "replace"] = "ask"
    prior_year: Literal["ask", "blue"] = "ask"

    def follows(self, change: DocumentChange) -> bool:
        """Whether nobody need be asked about such a change."""
        return (self.withdrawn == "reverse") if change.is_gone else (self.altered == "replace")


AUTOMATIC = Policy("reverse", "replace", "blue")
"""Nobody is asked where anything can be done at all."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """An action, and why, for people."""

    action: Action
    zh: str
    en: str


def decide(change: DocumentChange, situation: Situation, policy: Policy) -> Verdict:
    """What is done about a voucher in a situation when its document changed, under a book's policy."""
    match situation:
        case Situation.NONE | Situation.CANCELLED | Situation.REVERSED:
            if change.is_gone:
                return Verdict(Action.NOTHING, "账上没有它的凭证", "the books hold no voucher of it")
            return Verdict(
                Action.REGENERATE,
                "账上没有它的凭证，按现在的单据生成",
                "the books hold no voucher of it: it is made of the document as it is now",
            )
        case Situation.GENERATED | Situation.HELD | Situation.REJECTED:
            if change.is_gone:
                return Verdict(
                    Action.CANCEL, "凭证未过账，直接取消", "it is not in the ledger and will not be sent"
                )
            return Verdict(
                Action.REGENERATE,
                "凭证未过账，按现在的单据重新生成",
                "it is not in the ledger: it is made again of the document as it is now",
            )
        case Situation.SENDING | Situation.UNKNOWN | Situation.CONFLICT:
            return Verdict(
                Action.LOOK_FIRST,
                "过账结果未定：先运行 post 查询（冲突的先在会计系统中处理）",
                "what became of it is not known yet: run post, which looks (a conflict is settled in the ledger first)",
            )
        case Situation.DRAFT:
            return Verdict(
                Action.DELETE_DRAFT,
                "会计系统中只有草稿：删除，需要时按现在的单据重新生成；不能删除的先过账，再按已过账处理",
                "the ledger has a draft only: it is deleted, and made again of the document as it is now if need be; one that it "
                "does not delete is posted and then treated as posted",
            )
        case Situation.POSTED | Situation.POSTED_CLOSED | Situation.POSTED_PRIOR_YEAR:
            return _of_posted(change, situation, policy)
        case Situation.REVERSED_BY_HAND:
            if change.is_gone:
                return Verdict(
                    Action.NOTHING,
                    "已有人在会计系统中红冲，与单据一致",
                    "somebody reversed it in the ledger, as the document asks for",
                )
            return Verdict(
                Action.ASK,
                "凭证已在会计系统中被人红冲，而单据仍有效：请财务决定重做或保持现状",
                "somebody reversed it in the ledger although the document stands: decide whether it is booked again",
            )
        case Situation.EDITED_BY_HAND:
            return Verdict(
                Action.ASK,
                "会计系统中的凭证已被人改动或删除：请先在会计系统中核对处理",
                "somebody changed or deleted it in the ledger: settle that there first",
            )
        case _:
            assert_never(situation)


def _of_posted(change: DocumentChange, situation: Situation, policy: Policy) -> Verdict:
    if change is DocumentChange.REAPPROVED_SAME:
        return Verdict(Action.KEEP, "凭证与单据一致，保留", "it is what the document asks for and stays")
    is_prior = situation is Situation.POSTED_PRIOR_YEAR
    if not policy.follows(change) or (is_prior and policy.prior_year == "ask"):
        return Verdict(
            Action.ASK,
            "凭证已过账，按账簿设置由财务决定",
            "it is posted, and the book's policy leaves the decision to finance",
        )
    if is_prior:
        return Verdict(
            Action.BLUE,
            "凭证属以前年度：在开放期间用蓝字凭证订正，损益记入以前年度损益调整",
            "it is of a prior year: a blue voucher in an open period corrects it, profit and loss through the account for that",
        )
    zh, en = (
        ("所在期间已关闭，在其后的开放期间", "its period is closed: in the next open one")
        if situation is Situation.POSTED_CLOSED
        else ("在原期间", "in its own period")
    )
    if change.is_gone:
        return Verdict(Action.REVERSE, f"{zh}红字冲销", f"{en} a red-letter copy reverses it")
    return Verdict(
        Action.REPLACE,
        f"{zh}红字冲销，并按现在的单据重做",
        f"{en} a red-letter copy reverses it, and the document as it is now makes another",
    )


def choices(change: DocumentChange, situation: Situation) -> tuple[Action, ...]:
    """What a person may decide; nothing where nothing is to be decided."""
    match situation:
        case Situation.POSTED | Situation.POSTED_CLOSED | Situation.POSTED_PRIOR_YEAR:
            done = decide(change, situation, AUTOMATIC).action
            return (Action.KEEP,) if done is Action.KEEP else (done, Action.KEEP)
        case Situation.REVERSED_BY_HAND:
            return () if change.is_gone else (Action.REPLACE, Action.KEEP)
        case Situation.EDITED_BY_HAND:
            return (Action.KEEP,)
        case (
            Situation.NONE
            | Situation.GENERATED
            | Situation.HELD
            | Situation.REJECTED
            | Situation.CANCELLED
            | Situation.SENDING
            | Situation.UNKNOWN
            | Situation.CONFLICT
            | Situation.DRAFT
            | Situation.REVERSED
        ):
            return ()
        case _:
            assert_never(situation)
