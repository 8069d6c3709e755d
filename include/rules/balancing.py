"""Proof that a template's vouchers balance, whatever the document: debits minus credits, as a linear form, is zero.

Amounts are symbols. What is known of them holds for every document that passes the gate: the total is the sum of the
lines, and the total is what was written off, paid by the company and is payable. Fields of the form
(`document.properties.…`) are known to nobody: where a voucher balances only if they fit, that is a note.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from fractions import Fraction

from include.domain.voucher import Side
from include.rules import linear
from include.rules.cases import Case, Value, When, cases, count, holds, shown
from include.rules.facts import Measure, Scope
from include.rules.linear import Form
from include.rules.proofs import Finding, Severity
from include.rules.ruleset import RuleSet, Template
from include.rules.schema import Entry, VoucherTemplate

MOST_CASES = 20_000

WORDS = {
    "gross": "总额 / gross",
    "line_gross": "明细金额 / line gross",
    "line_tax": "可抵扣税额 / deductible tax",
    "written_off_part": "核销借款 / loan written off",
    "company_paid": "企业已付 / company-paid",
    "payable": "应付 / payable",
    "refund": "应退回 / refund",
}
"""Amounts for people; the properties of a form are shown by their name in rules."""


def check_balance(ruleset: RuleSet, decimals: int) -> list[Finding]:
    """Templates whose vouchers do not balance in some case, each with the first such case and what is left over."""
    found: list[Finding] = []
    for template in ruleset.templates:
        if template.spec.no_voucher is None:
            finding = _check(ruleset, template, decimals)
            if finding is not None:
                found.append(finding)
    return found


def _check(ruleset: RuleSet, template: Template, decimals: int) -> Finding | None:
    spec = template.spec
    fixed = _fixed(spec)
    wholes = [spec.when, *(_of_scope(entry, Scope.DOCUMENT) for entry in spec.lines)]
    if count(wholes, decimals, fixed) * _inner_count(spec, decimals) > MOST_CASES:
        return _finding(
            ruleset,
            template,
            "rules.not_proved",
            Severity.WARNING,
            "条件太多，无法证明借贷平衡；请拆分模板",
            "too many conditions to prove that it balances; split the template",
            {},
            decimals,
        )
    depends: Finding | None = None
    for case in cases(wholes, decimals, fixed):
        if not holds(spec.when, case, decimals):
            continue
        difference, equations = _difference(spec, case, decimals)
        left = linear.reduced(difference, equations)
        if not left:
            continue
        if not linear.reduced(_exact(left), equations):
            return _finding(
                ruleset,
                template,
                "rules.balance_rounding",
                Severity.ERROR,
                "几个 fraction 各自四舍五入，合计可能差一分：把其中一行改为 measure 加 less，取其余额",
                "fractions are rounded one by one and may miss a cent together: let one line take the rest with `less`",
                case,
                decimals,
            )
        of_the_form = [name for name in left if name.startswith("document.properties.")]
        if of_the_form and len(left) > 1:  # one alone can only be zero, and then its line is not made
            depends = depends or _finding(
                ruleset,
                template,
                "rules.balance_depends",
                Severity.NOTE,
                f"仅当单据自身的金额满足 {_told(left)} = 0 时平衡；不满足的单据将被隔离",
                f"balances only for documents whose own amounts satisfy {_told(left)} = 0; others are quarantined",
                case,
                decimals,
            )
            continue
        return _finding(
            ruleset,
            template,
            "rules.cannot_balance",
            Severity.ERROR,
            f"借方减贷方总是剩下 {_told(left)}：没有对方分录？核对各行的 side、measure、red、when，是否漏写 less",
            f"debits minus credits always leave {_told(left)}, with nothing against it: check side, measure, red and when of its "
            "lines, and whether `less` is missing",
            case,
            decimals,
        )
    return depends


def _difference(spec: VoucherTemplate, case: Case, decimals: int) -> tuple[Form, list[Form]]:
    """Debits minus credits in one case, and the equations that hold for its amounts."""
    parts = {
        scope: list(cases([_of_scope(entry, scope) for entry in spec.lines], decimals, {}))
        for scope in (Scope.LINE, Scope.WRITE_OFF)
    }
    total: Form = {}
    for entry in spec.lines:
        if not holds(_of_scope(entry, Scope.DOCUMENT), case, decimals):
            continue
        sign = (1 if entry.side is Side.DEBIT else -1) * (-1 if entry.red else 1)
        if entry.for_each is Scope.DOCUMENT:
            total = linear.plus(total, _amount(spec, entry, case, "", decimals), sign)
            continue
        for index, part in enumerate(parts[entry.for_each]):
            whole = {**case, **part}
            if holds(_of_scope(entry, entry.for_each), whole, decimals):
                total = linear.plus(total, _amount(spec, entry, whole, f"[{index}]", decimals), sign)
    return total, [*_equations(case, parts), *_shares_of_documents(spec, len(parts[Scope.LINE]))]


def _amount(spec: VoucherTemplate, entry: Entry, case: Case, index: str, decimals: int) -> Form:
    """What an entry takes of one thing, as a form."""
    if entry.fraction is not None:
        return linear.one(_share(entry, index))
    amount = _measure(entry, index)
    for other in spec.less_of(entry):
        if holds(other.when, case, decimals):
            amount = linear.plus(amount, _amount(spec, other, case, index, decimals), -1)
    return amount


def _measure(entry: Entry, index: str) -> Form:
    if entry.measure_property is not None:
        return linear.one(entry.measure)
    measure = Measure(entry.measure)
    gross, tax = (
        (f"line_gross{index}", f"line_tax{index}")
        if entry.for_each is Scope.LINE
        else ("gross", "document_tax")
    )
    match measure:
        case Measure.GROSS:
            return linear.one(gross)
        case Measure.DEDUCTIBLE_TAX:
            return linear.one(tax)
        case Measure.NET_OF_DEDUCTIBLE_TAX:
            return linear.plus(linear.one(gross), linear.one(tax), -1)
        case Measure.WRITTEN_OFF:
            return linear.one(f"written_off_part{index}" if index else "all_written_off")
        case Measure.COMPANY_PAID | Measure.PAYABLE | Measure.REFUND:
            return linear.one(measure.value)


def _equations(case: Case, parts: Mapping[Scope, list[Case]]) -> list[Form]:
    """Forms that are zero for every document of the case that passed the gate."""
    lines = range(len(parts[Scope.LINE]))
    written_off = [f"written_off_part[{index}]" for index in range(len(parts[Scope.WRITE_OFF]))]
    settled = ("all_written_off", "company_paid", "payable")
    equations = [
        _sum("gross", (f"line_gross[{index}]" for index in lines)),
        _sum("document_tax", (f"line_tax[{index}]" for index in lines)),
        _sum("all_written_off", iter(written_off)),
        linear.plus(_sum("gross", iter(settled)), linear.one("refund")),
    ]
    for flag, names in (
        ("has_write_off", ["all_written_off", *written_off]),
        ("has_company_paid", ["company_paid"]),
        ("has_payable", ["payable", "refund"]),
    ):
        amount = case.get(f"document.{flag.removeprefix('has_').replace('write_off', 'written_off')}")
        if case.get(f"document.{flag}") == "no" or amount == 0:
            equations += [linear.one(name) for name in names]
    payable = case.get("document.payable")
    if isinstance(payable, int):  # what is payable is the one or the other
        equations.append(linear.one("refund" if payable > 0 else "payable"))
    if case.get("document.has_write_off") == case.get("document.has_company_paid") == "no":
        equations.append(linear.one("refund"))  # a total is not negative, so nothing can be left to return
    for path, value in case.items():
        if path.startswith("document.properties.") and value is None:
            equations.append(linear.one(path))
    return equations


def _shares_of_documents(spec: VoucherTemplate, classes: int) -> Iterator[Form]:
    """A fraction of all lines is rounded once for the document, so it is the same fraction of the document's amount."""
    for entry in spec.lines:
        if entry.fraction is not None and entry.for_each is Scope.LINE and not _of_scope(entry, Scope.LINE):
            whole = entry.model_copy(update={"for_each": Scope.DOCUMENT})
            yield _sum(_share(whole, ""), (_share(entry, f"[{index}]") for index in range(classes)))


def _sum(whole: str, parts: Iterator[str]) -> Form:
    """`whole - Σ parts`."""
    result: Form = linear.one(whole)
    for part in parts:
        result = linear.plus(result, linear.one(part), -1)
    return result


_SHARE = re.compile(r"(?P<ratio>[0-9]+/[0-9]+) of (?P<amounts>[^|]+)\|.*", re.DOTALL)


def _share(entry: Entry, index: str) -> str:
    """The name of a fraction of an amount. Entries that take the same of the same things, under the same conditions, are
    rounded alike and have one name.
    """
    measure = " ".join(f"{name}*{value}" for name, value in sorted(_measure(entry, index).items()))
    when = sorted((path, predicate.model_dump_json()) for path, predicate in entry.when.items())
    ratio = Fraction(*(entry.fraction or Decimal(0)).as_integer_ratio())
    return f"{ratio.numerator}/{ratio.denominator} of {measure}|{entry.for_each} {when}"


def _exact(left: Form) -> Form:
    """The form with fractions as if nothing were rounded."""
    result: Form = {}
    for name, value in left.items():
        match = _SHARE.fullmatch(name)
        if match is None:
            result = linear.plus(result, {name: value})
            continue
        parts = (part.rpartition("*") for part in match["amounts"].split(" "))
        amounts = {amount: Fraction(times) for amount, _, times in parts}
        result = linear.plus(result, amounts, value * Fraction(match["ratio"]))
    return result


def _fixed(spec: VoucherTemplate) -> dict[str, list[Value]]:
    return {"document.kind": [kind.value for kind in spec.kinds]}


def _of_scope(entry: Entry, scope: Scope) -> When:
    """The entry's conditions on facts of one scope."""
    return {path: predicate for path, predicate in entry.when.items() if path.startswith(f"{scope.value}.")}


def _inner_count(spec: VoucherTemplate, decimals: int) -> int:
    return sum(
        count([_of_scope(entry, scope) for entry in spec.lines], decimals, {})
        for scope in (Scope.LINE, Scope.WRITE_OFF)
    )


def _told(left: Form) -> str:
    """A form for people: `明细金额 / line gross − 可抵扣税额 / deductible tax`, each kind of amount once."""
    by_kind: dict[str, Fraction] = {}
    for name, value in left.items():
        by_kind.setdefault(name.partition("|")[0].partition("[")[0], value)
    parts: list[str] = []
    for name, value in sorted(by_kind.items()):
        sign = "− " if value < 0 else "+ " if parts else ""
        factor = "" if abs(value) == 1 else f"{abs(value)} × "
        parts.append(f"{sign}{factor}({WORDS.get(name, name)})")
    return " ".join(parts)


def _finding(
    ruleset: RuleSet,
    template: Template,
    code: str,
    severity: Severity,
    zh: str,
    en: str,
    case: Case,
    decimals: int,
) -> Finding:
    when_zh = f"（当 {shown(case, decimals)}）" if case else ""
    when_en = f" (when {shown(case, decimals)})" if case else ""
    return Finding(
        code=code,
        severity=severity,
        file="/".join((ruleset.rules_dir / template.file).parts[-3:]),
        line=template.line,
        zh=f"模板 {template.spec.id!r}：{zh}{when_zh}",
        en=f"template {template.spec.id!r}: {en}{when_en}",
        witness=shown(case, decimals),
    )
