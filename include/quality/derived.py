"""The catalogue of checks that follow from a book's rules. Patterns are filled from the staged rows (derived_rows.py).

Codes that begin with `rules.` are those that generating gives for the same cause; it stays as the backstop for what
cannot be told beforehand (docs/quality.md).
"""

from __future__ import annotations

from collections.abc import Iterator

from include.domain.problems import ProblemOwner
from include.domain.requirements import Requirements
from include.quality.check import NULL, Check, between
from include.quality.derived_needs import column_of, required_facts
from include.quality.fact_columns import REFERENCES

FINANCE = ProblemOwner.FINANCE
ENGINEER = ProblemOwner.ENGINEER

WORDS = {
    "department": "部门",
    "supplier": "供应商或收款单位",
    "project": "项目",
    "submitter": "提交人",
    "legal_entity": "法人实体",
    "fee_type": "费用类型",
}
"""Chinese for what documents refer to; other facts are shown by their names in rules."""

ALWAYS_ASKED = ("document.legal_entity", "document.submitter")
"""Every document is asked for these (document_checks.py), whatever its rules."""


def choice_checks(requirements: Requirements) -> tuple[Check, ...]:
    """Exactly one template for each event of a document."""
    folder = requirements.folder
    return (
        Check(
            "rules.no_template",
            "fitting",
            between(1, None),
            folder,
            f"没有适合的凭证模板，单据类型 {{kind}}（单据 {{code}}）。请在 {folder} 增加模板，或写明 no_voucher 的原因。",
            f"no voucher template fits, kind {{kind}} (document {{code}}). Add a template to {folder}, or one with "
            "no_voucher and the reason.",
            FINANCE,
            "{kind}",
        ),
        Check(
            "rules.ambiguous_template",
            "clash_first",
            NULL,
            folder,
            "同一事项有多个模板适合：{clash_first}、{clash_last}（单据 {code}）。请让它们的 when 互不重叠。",
            "several templates of one event fit: {clash_first}, {clash_last} (document {code}). Write their conditions so "
            "that one fits.",
            ENGINEER,
            "{clash_first}、{clash_last}",
        ),
    )


def document_requirement_checks(requirements: Requirements) -> tuple[Check, ...]:
    """What templates require of documents as a whole."""
    facts = [fact for fact in required_facts(requirements, "document") if fact not in ALWAYS_ASKED]
    return (*(_lacking(fact) for fact in facts), *_table("document"), *_AMOUNTS, *_SUMS)


def line_requirement_checks(requirements: Requirements) -> tuple[Check, ...]:
    """What templates require of lines, beside what these take from their document."""
    facts = required_facts(requirements, "line")
    return (*(_lacking_on_line(fact) for fact in facts), *_table("line"), _TAX)


def write_off_requirement_checks(requirements: Requirements) -> tuple[Check, ...]:
    """What templates require of write-offs."""
    return (*(_lacking(fact) for fact in required_facts(requirements, "write_off")), *_table("write_off"))


def _lacking(fact: str) -> Check:
    name = fact.partition(".")[2]
    word = WORDS.get(name, fact)
    return Check(
        f"{name}.missing" if name in REFERENCES else "fact.missing",
        column_of(fact),
        NULL,
        name,
        f"没有填写{word}，规则 {{{column_of(fact)}}} 需要；请在 OA 中补填",
        f"no {name.replace('_', ' ')} is given, and {{{column_of(fact)}}} needs it; fill it in in the OA",
        cause="" if name in REFERENCES else fact,
    )


def _lacking_on_line(fact: str) -> Check:
    name = fact.partition(".")[2]
    word = WORDS.get(name, fact)
    return Check(
        f"line.{name}.missing" if name in REFERENCES else "line.fact.missing",
        column_of(fact),
        NULL,
        f"lines[{{line_no}}].{name}",
        f"第 {{line_no}} 行没有填写{word}，规则 {{{column_of(fact)}}} 需要；请在 OA 中补填",
        f"line {{line_no}} has no {name.replace('_', ' ')}, and {{{column_of(fact)}}} needs it; fill it in in the OA",
        cause="" if name in REFERENCES else fact,
    )


def _table(scope: str) -> Iterator[Check]:
    zh, en = {
        "document": ("", ""),
        "line": ("第 {line_no} 行（{named}）：", "line {line_no} ({named}): "),
        "write_off": ("核销 {named}：", "write-off {named}: "),
    }[scope]
    yield Check(
        "rules.no_row",
        "no_row",
        NULL,
        "{table_file}",
        f"{zh}规则 {{no_row}} 的决策表没有适合的行：{{asked}}。请在 {{table_file}} 增加一行。",
        f"{en}the table of {{no_row}} has no row for {{asked}}. Add a row to {{table_file}}.",
        FINANCE,
        "{table_file}{asked_key}",
    )
    yield Check(
        "rules.ambiguous_row",
        "several_rows",
        NULL,
        "{table_file}",
        f"{zh}规则 {{several_rows}}：{{table_file}} 第 {{rows}} 行同样适合 {{asked}}。请给其中一行更高的 priority，或写得更具体。",
        f"{en}{{several_rows}}: rows {{rows}} of {{table_file}} fit {{asked}} equally. Give one of them a higher priority, "
        "or more conditions.",
        FINANCE,
        "{table_file}:{rows}",
    )


def _amount(name: str, zh: str, en: str) -> Check:
    return Check(
        f"{name}.missing",
        f"{name}_place",
        NULL,
        name,
        f"没有可用的{zh}，规则 {{{name}_place}} 需要；请在 OA 中核对金额",
        f"no usable {en}, and {{{name}_place}} needs it; check the amounts in the OA",
    )


_AMOUNTS = (
    _amount("written_off", "核销借款金额", "amount written off"),
    _amount("company_paid", "企业已付金额", "amount paid by the company"),
    _amount("payable", "应付金额", "payable"),
    _amount("transaction_gross", "原币总金额", "total in the transaction currency"),
    Check(
        "property.amount.missing",
        "property_place",
        NULL,
        "properties.{property_name}",
        "字段 {property_name} 没有可用的金额，规则 {property_place} 需要；请在 OA 中补填或更正",
        "the field {property_name} holds no usable amount, and {property_place} needs it; fill it in or correct it in the OA",
        cause="{property_name}",
    ),
)

_TAX = Check(
    "line.deductible_tax.missing",
    "tax_place",
    NULL,
    "lines[{line_no}].deductible_tax",
    "第 {line_no} 行（{named}）的可抵扣税额不明，规则 {tax_place} 需要；请在 OA 中核对该行发票",
    "line {line_no} ({named}) has no known deductible tax, and {tax_place} needs it; check its invoices in the OA",
)

_SUMS = (
    Check(
        "lines.missing",
        "lines_place",
        NULL,
        "lines",
        "单据没有费用明细，凭证模板 {lines_place} 至少需要一行；请在 OA 中补充明细",
        "the document has no lines, and template {lines_place} needs one at least; add them in the OA",
    ),
    Check(
        "gross.lines_mismatch",
        "lines_difference_minor",
        NULL,
        "gross",
        "总金额 {gross_minor} 与明细合计 {lines_minor} 不符，相差 {lines_difference_minor}，凭证模板 {name} 两者都用；"
        "请在 OA 中更正明细或总额",
        "the total {gross_minor} is not the sum of the lines {lines_minor}: off by {lines_difference_minor}, and template "
        "{name} uses both; correct the lines or the total in the OA",
    ),
    Check(
        "payable.mismatch",
        "payable_difference_minor",
        NULL,
        "payable",
        "应付 {payable_minor} 不等于总额 {gross_minor} − 核销借款 {written_off_minor} − 企业已付 {company_paid_minor}，"
        "相差 {payable_difference_minor}（凭证模板 {name}）；请在 OA 中更正",
        "the payable {payable_minor} is not the total {gross_minor} less loans {written_off_minor} less company-paid "
        "{company_paid_minor}: off by {payable_difference_minor} (template {name}); correct it in the OA",
    ),
    Check(
        "payable.negative",
        "negative_payable_minor",
        NULL,
        "payable",
        "应付金额为 {payable_minor}，凭证模板 {name} 没有应退回（refund）的分录；请在 OA 中更正，或在模板中增加该分录",
        "the payable is {payable_minor}, and template {name} has no entry for a refund; correct it in the OA, or add the "
        "entry to the template",
    ),
    Check(
        "written_off.mismatch",
        "write_offs_difference_minor",
        NULL,
        "written_off",
        "核销借款 {written_off_minor} 与各笔核销记录合计 {write_offs_minor} 不符，相差 {write_offs_difference_minor}"
        "（凭证模板 {name}）；请在 OA 中更正",
        "the loan written off {written_off_minor} is not the sum of its records {write_offs_minor}: off by "
        "{write_offs_difference_minor} (template {name}); correct it in the OA",
    ),
    Check(
        "transaction_gross.lines_mismatch",
        "difference_transaction_minor",
        NULL,
        "transaction_gross",
        "原币总金额与明细原币合计相差 {difference_transaction_minor}，凭证模板 {name} 做出的凭证原币不平；请在 OA 中更正",
        "the total in the transaction currency is off its lines' by {difference_transaction_minor}, so the voucher of "
        "template {name} would not balance in it; correct it in the OA",
    ),
    Check(
        "rules.unbalanced",
        "difference_minor",
        NULL,
        "voucher:{name}",
        "凭证模板 {name} 借贷不平，相差 {difference_minor}（单据 {code}）。请核对单据各项金额，或模板的各行。",
        "the voucher of template {name} would not balance, off by {difference_minor} (document {code}). Check the document's "
        "amounts, or the lines of the template.",
        FINANCE,
    ),
    Check(
        "rules.no_lines",
        "books_nothing",
        NULL,
        "voucher:{name}",
        "凭证模板 {name} 所用金额全为零，做不出分录（单据 {code}）。请在 OA 中核对金额和明细。",
        "all amounts that template {name} uses are zero, so there is nothing to book (document {code}). Check amounts and "
        "lines in the OA.",
    ),
)

DERIVED_CODES = frozenset(
    {
        *(check.code for check in (*_AMOUNTS, _TAX, *_SUMS, *_table("document"))),
        *("rules.no_template", "rules.ambiguous_template", "fact.missing", "line.fact.missing"),
        *(f"{name}.missing" for name in ("department", "supplier", "project")),
        "line.fee_type.missing",
    }
)
"""All codes that only derived checks use."""
