"""Proof that exactly one template of an event fits each document: overlaps, gaps, and holes in time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta

from include.rules.cases import Case, cases, count, holds, shown
from include.rules.proofs import Finding, Severity, listed
from include.rules.ruleset import RuleSet, Template

MOST_CASES = 20_000
_FIRST, _LAST = date.min, date.max


def check_choice(ruleset: RuleSet, decimals: int, kinds: Sequence[str] = ()) -> list[Finding]:
    """Documents that no template fits, or several of one event; `kinds` are those that the OA sends."""
    found: list[Finding] = []
    covered = {kind.value for template in ruleset.templates for kind in template.spec.kinds}
    found += [
        Finding(
            code="rules.no_template",
            severity=Severity.ERROR,
            file="/".join(ruleset.rules_dir.parts[-2:]),
            line=0,
            zh=f"OA 会送来 {kind} 类单据，但没有模板；请增加模板，或写明 no_voucher 的原因",
            en=f"the OA sends documents of kind {kind}, no template takes them: add one, or one with no_voucher and why",
            witness=kind,
        )
        for kind in sorted(set(kinds) - covered)
    ]
    for kind in sorted(covered):
        found += _check_kind(ruleset, kind, decimals)
    return found


def _check_kind(ruleset: RuleSet, kind: str, decimals: int) -> Iterator[Finding]:
    templates = [t for t in ruleset.templates if kind in {k.value for k in t.spec.kinds}]
    conditions = [template.spec.when for template in templates]
    spans = _spans(templates)
    if count(conditions, decimals, {"document.kind": [kind]}) * len(spans) > MOST_CASES:
        yield _finding(
            ruleset,
            templates[0],
            "rules.not_proved",
            Severity.WARNING,
            f"{kind} 类单据的模板条件太多，无法证明恰有一个适合；请简化 when",
            f"too many conditions on kind {kind} to prove that one template fits: simplify `when`",
        )
        return
    told: set[tuple[str, ...]] = set()
    gaps: list[Finding] = []
    for case in cases(conditions, decimals, {"document.kind": [kind]}):
        for number, (start, end) in enumerate(spans):
            fitting = [t for t in templates if holds(t.spec.when, case, decimals) and _lasts(t, start, end)]
            for several in _clashes(fitting):
                names = tuple(t.trace_name for t in several)
                if names not in told:
                    told.add(names)
                    yield _overlap(ruleset, several, case, start, decimals)
            # Before any of them begins and after all have ended, no rule is a decision.
            is_end = number in (0, len(spans) - 1)
            is_outside = is_end and not any(_lasts(t, start, end) for t in templates)
            if not fitting and not is_outside:
                gaps.append(_gap(ruleset, templates, kind, case, (start, end), decimals))
    yield from listed(gaps)


def _clashes(fitting: Sequence[Template]) -> Iterator[list[Template]]:
    by_event: dict[str, list[Template]] = {}
    for template in fitting:
        by_event.setdefault(template.spec.event, []).append(template)
    yield from (group for group in by_event.values() if len(group) > 1)
    silent = [t for t in fitting if t.spec.no_voucher is not None]
    if silent and len(silent) < len(fitting):
        yield [*silent, *(t for t in fitting if t.spec.no_voucher is None)]


def _overlap(
    ruleset: RuleSet, several: Sequence[Template], case: Case, start: date, decimals: int
) -> Finding:
    when = _when(case, start, _LAST, decimals)
    others = "、".join(f"{t.spec.id!r}（{t.file} 第 {t.line} 行）" for t in several[1:])
    return _finding(
        ruleset,
        several[0],
        "rules.template_overlap",
        Severity.ERROR,
        f"与 {others} 会同时适合同一单据（{when}）：让它们的 when 或有效期互不重叠",
        f"fits the same document as {', '.join(t.spec.id for t in several[1:])} ({when}): write their "
        "conditions or dates so that one fits",
        shown(case, decimals),
    )


def _gap(
    ruleset: RuleSet,
    templates: Sequence[Template],
    kind: str,
    case: Case,
    span: tuple[date, date],
    decimals: int,
) -> Finding:
    when = _when(case, *span, decimals)
    return _finding(
        ruleset,
        templates[0],
        "rules.template_gap",
        Severity.ERROR,
        f"{kind} 类单据在 {when} 时没有模板适合：补一个模板，或写明 no_voucher 的原因",
        f"no template fits documents of kind {kind} when {when}: add one, or one with no_voucher and why",
        shown(case, decimals),
    )


def _when(case: Case, start: date, end: date, decimals: int) -> str:
    days = [] if start == _FIRST else [f"date ≥ {start}"]
    days += [] if end == _LAST else [f"date ≤ {end}"]
    return ", ".join([*([shown(case, decimals)] if case else []), *days]) or "*"


def _spans(templates: Sequence[Template]) -> list[tuple[date, date]]:
    """Spans of days over which no template begins or ends."""
    starts = {_FIRST}
    for template in templates:
        if template.spec.valid_from:
            starts.add(template.spec.valid_from)
        if template.spec.valid_to and template.spec.valid_to < _LAST:
            starts.add(template.spec.valid_to + timedelta(days=1))
    ordered = sorted(starts)
    return [
        (start, following - timedelta(days=1) if following else _LAST)
        for start, following in zip(ordered, [*ordered[1:], None], strict=True)
    ]


def _lasts(template: Template, start: date, end: date) -> bool:
    """Whether the template is valid on all days of a span."""
    spec = template.spec
    return (spec.valid_from or _FIRST) <= start and end <= (spec.valid_to or _LAST)


def _finding(
    ruleset: RuleSet,
    template: Template,
    code: str,
    severity: Severity,
    zh: str,
    en: str,
    witness: str = "",
) -> Finding:
    return Finding(
        code=code,
        severity=severity,
        file="/".join((ruleset.rules_dir / template.file).parts[-3:]),
        line=template.line,
        zh=f"模板 {template.spec.id!r}：{zh}",
        en=f"template {template.spec.id!r}: {en}",
        witness=witness,
    )
