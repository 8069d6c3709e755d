"""The form of a template file. Every model is closed: an unknown key is an error that names the valid ones.

templates:
  - id: claim_paid
    event: expense_claim
    title: {zh: 报销单（出纳已付）, en: Expense claim paid by the cashier}
    kinds: [expense_claim]
    when: {document.payment_channel: not_missing}
    word: 记
    summary: "{document.submitter} 报销 {document.title}"
    lines:
      - {name: expense, for_each: line, side: debit, measure: net_of_deductible_tax, account: {table: expense_accounts},
         dimensions: {department: line.department}, merge: account_and_dimensions}
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from include.config_files import Day
from include.domain.document import DocumentKind
from include.domain.voucher import Side
from include.rules import facts
from include.rules.facts import FactType, Measure, Scope

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,59}$")]
PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
Dimensions = Mapping[Literal["department", "employee", "project", "supplier"], str]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Label(_Closed):
    """Words for people, Chinese first."""

    zh: str = Field(min_length=1)
    en: str = Field(min_length=1)

    def __str__(self) -> str:
        return f"{self.zh} / {self.en}"


class Range(_Closed):
    """From and to, both included, amounts in major units of the book's currency; one may be left out."""

    start: Decimal | None = Field(default=None, alias="from")
    end: Decimal | None = Field(default=None, alias="to")

    @model_validator(mode="after")
    def _has_a_bound(self) -> Self:
        if self.start is None and self.end is None:
            raise ValueError("range 需要 from 或 to / a range needs from or to")
        if self.start is not None and self.end is not None and self.start > self.end:
            raise ValueError("range 的 from 大于 to / from is greater than to")
        return self


class Predicate(_Closed):
    """Exactly one condition on one fact. `is_missing` and `not_missing` may be written as a bare word."""

    equals: str | None = None
    any_of: Sequence[str] | None = Field(default=None, alias="in", min_length=1)
    prefix: str | None = Field(default=None, min_length=1)
    range: Range | None = None
    is_missing: Literal[True] | None = None
    not_missing: Literal[True] | None = None

    @model_validator(mode="before")
    @classmethod
    def _bare_word(cls, value: Any) -> Any:
        if value in ("is_missing", "not_missing"):
            return {value: True}
        if not isinstance(value, Mapping):
            raise ValueError(  # noqa: TRY004  (pydantic turns a ValueError into a finding, a TypeError into a crash)
                "条件应写作 {equals: …}、{in: […]}、{prefix: …}、{range: {from: …, to: …}}、is_missing 或 not_missing / "
                "write {equals: …}, {in: […]}, {prefix: …}, {range: {from: …, to: …}}, is_missing or not_missing"
            )
        return value

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"每个事实只写一个条件 / exactly one condition per fact, not {len(given)}")
        return self


class Fixed(_Closed):
    """A dimension value that is always the same."""

    code: str = Field(min_length=1)
    name: str = Field(min_length=1)


FixedDimensions = Mapping[Literal["department", "employee", "project", "supplier"], Fixed]


class AccountRef(_Closed):
    """Where an account comes from: a semantic key of accounts.csv, or a decision table (its file without .csv)."""

    key: str | None = Field(default=None, min_length=1)
    table: str | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.key is None) == (self.table is None):
            raise ValueError("只写 key 或 table 之一 / give either key or table")
        return self


class Entry(_Closed):
    """One kind of journal line that a template makes."""

    name: Name
    for_each: Scope = Scope.DOCUMENT
    side: Side
    measure: str
    """A measure, or `document.properties.<name>`: a decimal amount in functional currency that the form states."""
    fraction: Decimal | None = Field(default=None, gt=0, lt=1)
    """The entry takes this fraction of its measure, half up; of a document's lines together, not of each alone."""
    less: Sequence[Name] = ()
    """Other entries of the template, for each of the same, whose amounts are taken off: a share and the rest add up."""
    red: bool = False
    """Negative on its own side (红字)."""
    account: AccountRef
    fixed_dimensions: FixedDimensions = Field(default_factory=dict)
    """Values that no document states, such as the travel platform that bills the company."""
    dimensions: Dimensions = Field(default_factory=dict)
    """Values that the line must have; a document that lacks one is a problem."""
    optional_dimensions: Dimensions = Field(default_factory=dict)
    when: Mapping[str, Predicate] = Field(default_factory=dict)
    merge: Literal["none", "account_and_dimensions", "day"] = "none"
    """Lines of equal account, dimensions and currency become one; `day` keeps the days apart on which they occurred."""
    summary: str | None = None

    @property
    def measure_property(self) -> str | None:
        """The name of the form's field that holds the amount, None for a measure."""
        match = facts.PROPERTY.match(self.measure)
        return match[1] if match else None

    @property
    def dimension_kinds(self) -> frozenset[str]:
        """All kinds that a line of this entry may carry."""
        return frozenset({*self.dimensions, *self.optional_dimensions, *self.fixed_dimensions})

    @field_validator("measure")
    @classmethod
    def _known_measure(cls, value: str) -> str:
        if value not in set(Measure) and not facts.PROPERTY.match(value):
            known = "、".join([*Measure, "document.properties.<name>"])
            raise ValueError(f"未知的金额 {value!r}，可选：{known} / unknown measure, choose from: {known}")
        return value

    @model_validator(mode="after")
    def _fits_scope(self) -> Self:
        scope = self.for_each
        if self.measure_property is not None:
            if scope is not Scope.DOCUMENT:
                raise ValueError(
                    f"measure {self.measure} 只用于 for_each: document / only for_each: document takes a form's amount"
                )
        elif Measure(self.measure) not in facts.MEASURES[scope]:
            known = "、".join(sorted(facts.MEASURES[scope]))
            raise ValueError(
                f"for_each: {scope} 没有金额 {self.measure}，可选：{known} / it has no such measure, choose from: {known}"
            )
        allowed = facts.references_for(scope)
        kinds = [*self.dimensions, *self.optional_dimensions, *self.fixed_dimensions]
        twice = sorted({kind for kind in kinds if kinds.count(kind) > 1})
        if twice:
            raise ValueError(
                f"辅助核算 {'、'.join(twice)} 写了两次 / dimensions are given twice: {', '.join(twice)}"
            )
        for kind, path in {**self.dimensions, **self.optional_dimensions}.items():
            if path not in allowed:
                known = "、".join(allowed)
                raise ValueError(
                    f"{kind}: {path!r} 不可用，可选：{known} / not available, choose from: {known}"
                )
        check_predicates(self.when, scope.sees)
        if self.merge == "day" and scope is not Scope.LINE:
            raise ValueError("merge: day 只用于 for_each: line / merge: day is for lines only")
        if self.fraction is not None and self.less:
            raise ValueError("fraction 和 less 只写其一 / give fraction or less, not both")
        if self.summary is not None:
            prefixes = ("document",) if self.merge != "none" else scope.sees
            check_summary(self.summary, prefixes, ("line.occurred_on",) if self.merge == "day" else ())
        return self


class VoucherTemplate(_Closed):
    """One accounting event of some kinds of documents: the lines it makes, or why it makes none."""

    id: Name
    event: Name
    title: Label
    kinds: Sequence[DocumentKind] = Field(min_length=1)
    when: Mapping[str, Predicate] = Field(default_factory=dict)
    valid_from: Day | None = None
    valid_to: Day | None = None
    word: str = Field(default="记", min_length=1, max_length=8)
    summary: str | None = None
    no_voucher: Label | None = None
    lines: Sequence[Entry] = ()

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        check_predicates(self.when, ("document",))
        if self.valid_from and self.valid_to and self.valid_from > self.valid_to:
            raise ValueError("valid_from 晚于 valid_to / valid_from is later than valid_to")
        if self.no_voucher is not None:
            if self.lines:
                raise ValueError("no_voucher 与 lines 只写其一 / give no_voucher or lines, not both")
            return self
        sides = {(entry.side, entry.red) for entry in self.lines}
        if len(self.lines) < 2 or {side for side, _ in sides} != set(Side):
            raise ValueError("lines 至少要有一个借方和一个贷方 / lines need a debit and a credit at least")
        names = [entry.name for entry in self.lines]
        if len(set(names)) != len(names):
            raise ValueError("lines 的 name 重复 / two lines have the same name")
        for entry in self.lines:
            if entry.summary is None and self.summary is None:
                raise ValueError(
                    f"缺少 summary（{entry.name}）/ no summary, neither here nor on line {entry.name}"
                )
        if self.summary is not None:
            check_summary(self.summary, ("document",))
        self._check_less()
        return self

    def _check_less(self) -> None:
        by_name = {entry.name: entry for entry in self.lines}
        for entry in self.lines:
            for name in entry.less:
                other = by_name.get(name)
                if other is None or other.for_each is not entry.for_each or other.less or other is entry:
                    known = "、".join(
                        e.name
                        for e in self.lines
                        if e is not entry and e.for_each is entry.for_each and not e.less
                    )
                    raise ValueError(
                        f"{entry.name} 的 less: {name!r} 不可用，可选（同为 for_each: {entry.for_each}，且自身没有 less）："
                        f"{known or '-'} / not available, choose from: {known or '-'}"
                    )

    def less_of(self, entry: Entry) -> tuple[Entry, ...]:
        """The entries whose amounts are taken off this one's."""
        return tuple(other for other in self.lines if other.name in entry.less)

    def summary_of(self, entry: Entry) -> str:
        """The pattern of a line's summary: its own, else the template's."""
        return entry.summary or self.summary or ""


class TemplateFile(_Closed):
    """A whole file of rules/<book>/."""

    templates: Sequence[VoucherTemplate] = Field(min_length=1)


def check_predicates(when: Mapping[str, Predicate], prefixes: Sequence[str]) -> None:
    """Raises ValueError for facts that do not exist here, or a condition that does not suit the fact."""
    for path, predicate in when.items():
        found = facts.fact(path)
        if found is None or found.scope not in prefixes:
            known = "、".join(name for prefix in prefixes for name in facts.names_of(prefix))
            raise ValueError(f"{path}: 没有这个事实 / no such fact here; 可选 / choose from: {known}")
        if (found.type is FactType.AMOUNT) != (predicate.range is not None) and not (
            predicate.is_missing or predicate.not_missing
        ):
            raise ValueError(
                f"{path}: 金额用 range，文字用 equals、in 或 prefix / amounts take range, text takes equals, in or prefix"
            )


def check_summary(pattern: str, prefixes: tuple[str, ...], further: tuple[str, ...] = ()) -> None:
    """Raises ValueError for a placeholder that is neither one of the prefixes' nor among `further`."""
    known = (*facts.placeholders_for(prefixes), *further)
    for name in PLACEHOLDER.findall(pattern):
        if name not in known:
            shown = "、".join(known)
            raise ValueError(
                f"摘要中的 {{{name}}} 不可用，可选：{shown} / unknown placeholder, choose from: {shown}"
            )
    if PLACEHOLDER.sub("", pattern).count("{") or PLACEHOLDER.sub("", pattern).count("}"):
        raise ValueError("摘要的花括号不成对 / a brace in the summary has no partner")
    if not pattern.strip():
        raise ValueError("摘要不能为空 / the summary is empty")
