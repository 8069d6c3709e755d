"""The catalogue of checks on documents. Patterns are filled from the staged row (document_rows.py)."""

from __future__ import annotations

import iso4217

from include.domain.document import DocumentKind, DocumentStatus
from include.domain.problems import ProblemOwner
from include.quality.check import NOT_NULL, NULL, ZERO, Check, between, in_set, matches
from include.quality.staging import LIMIT_MINOR

FINANCE = ProblemOwner.FINANCE
ENGINEER = ProblemOwner.ENGINEER

CURRENCIES = tuple(currency.code for currency in iso4217.Currency if currency.exponent is not None)
"""ISO 4217 codes that have a minor unit."""

NON_ZERO_DECIMAL = r"^(0*[1-9][0-9]*(\.[0-9]*)?|0*\.0*[1-9][0-9]*)([eE][-+]?[0-9]+)?$"
"""A positive decimal number as `str(Decimal)` writes it."""

_KINDS = in_set(*(kind for kind in DocumentKind if kind is not DocumentKind.UNKNOWN))
_STATUSES = in_set(*(status for status in DocumentStatus if status is not DocumentStatus.UNKNOWN))
_NOT_NEGATIVE = between(0, LIMIT_MINOR)
_POSITIVE = between(1, None)


def document_checks(book_currency: str) -> tuple[Check, ...]:
    """Checks on whole documents."""
    return (*_WHO_AND_WHAT, *_MONEY, *_currencies(book_currency), *_DATES)


_WHO_AND_WHAT = (
    Check("extract.open", "extract_problem_count", ZERO, "", "", ""),
    Check(
        "kind.unknown",
        "kind_read",
        _KINDS,
        "kind",
        "不知道这是哪一类单据（{kind}）；请工程师在来源配置的 forms 中补充该单据模板",
        "this kind of document ({kind}) is not known; an engineer must add its form to `forms` in the source's configuration",
        ENGINEER,
    ),
    Check(
        "status.unknown",
        "status_read",
        _STATUSES,
        "status",
        "不认识单据的审批状态，无法判断是否已批准；请在 OA 中核对单据状态",
        "the approval state is not known, so it cannot be told whether it is approved; check the document in the OA",
        ENGINEER,
    ),
    Check(
        "code.missing",
        "has_code",
        NOT_NULL,
        "code",
        "单据没有编号（单据 id {document_id}）；请在 OA 中补上编号",
        "the document has no code (document id {document_id}); give it one in the OA",
    ),
    Check(
        "code.duplicate",
        "same_code_as",
        NULL,
        "code",
        "单据编号 {code} 重复：单据 {same_code_as} 已先使用，本单据为 {document_id}；请在 OA 中作废或更正其中一张",
        "code {code} is used twice: document {same_code_as} had it first, this is {document_id}; void or correct one in the OA",
        FINANCE,
        "{code}",
    ),
    Check(
        "legal_entity.missing",
        "has_legal_entity",
        NOT_NULL,
        "legal_entity",
        "没有填写法人实体，不知道记入哪个账簿；请在 OA 中补填法人实体",
        "no legal entity is given, so the book cannot be told; fill it in in the OA",
    ),
    Check(
        "legal_entity.unknown",
        "legal_entity_known",
        NOT_NULL,
        "legal_entity",
        "法人实体 {legal_entity_id} 不在 OA 的档案中；请更正单据或恢复该档案",
        "legal entity {legal_entity_id} is not in the OA's master data; correct the document or restore the entry",
        cause="{legal_entity_id}",
    ),
    Check(
        "legal_entity.no_book",
        "legal_entity_in_book",
        NOT_NULL,
        "legal_entity",
        "法人实体 {legal_entity_code} {legal_entity_name} 不属于任何账簿；请更正单据，或由工程师在 books/*.yaml 的 legal_entities 中加入",
        "legal entity {legal_entity_code} {legal_entity_name} belongs to no book; correct the document, or have it added to legal_entities in books/*.yaml",
        FINANCE,
        "{legal_entity_id}",
    ),
    Check(
        "submitter.missing",
        "has_submitter",
        NOT_NULL,
        "submitter",
        "没有提交人，不知道往来挂在谁名下；请在 OA 中补上提交人",
        "there is no submitter to owe the money to; fill it in in the OA",
    ),
    Check(
        "submitter.unknown",
        "submitter_known",
        NOT_NULL,
        "submitter",
        "提交人 {submitter_id} 不在 OA 的员工档案中；请更正单据，或在 OA 中恢复该员工",
        "submitter {submitter_id} is not among the OA's staff; correct the document or restore the person in the OA",
        cause="{submitter_id}",
    ),
    Check(
        "department.missing",
        "has_department",
        NOT_NULL,
        "department",
        "没有填写部门；请在 OA 中补填",
        "no department is given; fill it in in the OA",
    ),
    Check(
        "department.unknown",
        "department_known",
        NOT_NULL,
        "department",
        "部门 {department_id} 不在 OA 的部门档案中；请更正单据的部门",
        "department {department_id} is not in the OA's master data; correct the document's department",
        cause="{department_id}",
    ),
    Check(
        "project.unknown",
        "project_known",
        NOT_NULL,
        "project",
        "项目 {project_id} 不在 OA 的项目档案中；请更正单据的项目",
        "project {project_id} is not in the OA's master data; correct the document's project",
        cause="{project_id}",
    ),
    Check(
        "supplier.missing",
        "has_supplier",
        NOT_NULL,
        "supplier",
        "此类单据必须有供应商；请在 OA 中补填供应商或收款单位",
        "this kind of document needs a supplier; fill in the supplier or payee in the OA",
    ),
    Check(
        "supplier.unknown",
        "supplier_known",
        NOT_NULL,
        "supplier",
        "供应商 {supplier_id} 不在 OA 的供应商或收款账户档案中；请更正单据的供应商",
        "supplier {supplier_id} is not among the OA's suppliers or payees; correct the document's supplier",
        cause="{supplier_id}",
    ),
    Check(
        "lines.missing",
        "has_lines",
        NOT_NULL,
        "lines",
        "单据没有费用明细，至少需要一行；请在 OA 中补充明细",
        "the document has no lines, it needs at least one; add them in the OA",
    ),
    Check(
        "text.nul",
        "nul",
        NULL,
        "title",
        "单据的文字中有不可用的空字符（NUL）；请在 OA 中重新输入标题和名称",
        "a text of the document holds a NUL character; type title and names again in the OA",
    ),
)

_MONEY = (
    Check(
        "gross.missing",
        "has_gross",
        NOT_NULL,
        "gross",
        "单据没有可用的总金额；请在 OA 中核对金额",
        "the document has no usable total; check the amount in the OA",
    ),
    Check(
        "gross.not_positive",
        "gross_unless_free",
        _POSITIVE,
        "gross",
        "总金额为 {gross_minor}，应大于零；请在 OA 中更正",
        "the total is {gross_minor}, it must be above zero; correct it in the OA",
    ),
    Check(
        "gross.implausible",
        "gross_minor",
        between(None, LIMIT_MINOR),
        "gross",
        "总金额 {gross_minor} 大得不合理；请在 OA 中更正",
        "the total {gross_minor} is implausibly large; correct it in the OA",
    ),
    Check(
        "written_off.out_of_range",
        "written_off_minor",
        _NOT_NEGATIVE,
        "written_off",
        "核销借款金额为 {written_off_minor}，不能为负或过大；请在 OA 中更正",
        "the loan written off is {written_off_minor}, it may be neither negative nor implausibly large; correct it in the OA",
    ),
    Check(
        "company_paid.out_of_range",
        "company_paid_minor",
        _NOT_NEGATIVE,
        "company_paid",
        "企业已付金额为 {company_paid_minor}，不能为负或过大；请在 OA 中更正",
        "the part paid by the company is {company_paid_minor}, it may be neither negative nor implausibly large; correct it in the OA",
    ),
    Check(
        "payable.out_of_range",
        "payable_minor",
        _NOT_NEGATIVE,
        "payable",
        "应付金额为 {payable_minor}，不能为负或过大；请在 OA 中更正",
        "the payable is {payable_minor}, it may be neither negative nor implausibly large; correct it in the OA",
    ),
    Check(
        "payable.mismatch",
        "payable_difference_minor",
        ZERO,
        "payable",
        "应付 {payable_minor} 不等于总额 {gross_minor} − 核销借款 {written_off_minor} − 企业已付 {company_paid_minor}，"
        "相差 {payable_difference_minor}；请在 OA 中更正",
        "the payable {payable_minor} is not the total {gross_minor} less loans {written_off_minor} less company-paid "
        "{company_paid_minor}: off by {payable_difference_minor}; correct it in the OA",
    ),
    Check(
        "gross.lines_mismatch",
        "lines_difference_minor",
        ZERO,
        "gross",
        "总金额 {gross_minor} 与明细合计 {lines_minor} 不符，相差 {lines_difference_minor}；请在 OA 中更正明细或总额",
        "the total {gross_minor} is not the sum of the lines {lines_minor}: off by {lines_difference_minor}; "
        "correct the lines or the total in the OA",
    ),
    Check(
        "written_off.mismatch",
        "write_offs_difference_minor",
        ZERO,
        "written_off",
        "核销借款 {written_off_minor} 与各笔核销记录合计 {write_offs_minor} 不符，相差 {write_offs_difference_minor}；请在 OA 中更正",
        "the loan written off {written_off_minor} is not the sum of its records {write_offs_minor}: off by "
        "{write_offs_difference_minor}; correct it in the OA",
    ),
)


def _currencies(book_currency: str) -> tuple[Check, ...]:
    return (
        Check(
            "currency.unknown",
            "currency_read",
            in_set(*CURRENCIES),
            "currency",
            "不认识币种 {currency_read}；请在 OA 中使用 ISO 4217 币种代码",
            "currency {currency_read} is not known; use an ISO 4217 code in the OA",
        ),
        Check(
            "currency.not_of_book",
            "functional_currency_read",
            in_set(book_currency),
            "functional_currency",
            f"单据的本位币 {{functional_currency}} 不是账簿的 {book_currency}；请核对单据的法人实体，或由工程师核对来源配置",
            f"the document's functional currency {{functional_currency}} is not the book's {book_currency}; check its "
            "legal entity, or the source's configuration",
            ENGINEER,
            "{functional_currency}",
        ),
    )


_DATES = (
    Check(
        "business_date.missing",
        "has_business_date",
        NOT_NULL,
        "business_date",
        "无法确定业务日期：单据缺少账簿所用的日期（批准、付款或提交时间）；请在 OA 中核对审批记录",
        "the business date cannot be told: the date that the book goes by (approval, payment or submission) is missing; "
        "check the approval history in the OA",
    ),
    Check(
        "business_date.implausible",
        "business_date_implausible",
        NULL,
        "business_date",
        "业务日期 {business_date} 不合理，应在 {earliest} 至 {latest} 之间；请在 OA 中更正日期",
        "the business date {business_date} is implausible, it must be between {earliest} and {latest}; correct it in the OA",
    ),
    Check(
        "approved_at.before_submission",
        "approved_before_submitted",
        NULL,
        "approved_at",
        "批准时间 {approved_at} 早于提交时间 {submitted_at}（UTC）；请在 OA 中核对审批记录",
        "it was approved at {approved_at}, before it was submitted at {submitted_at} (UTC); check the approval history in the OA",
    ),
)

LINE_CHECKS = (
    Check(
        "line.fee_type.missing",
        "has_fee_type",
        NOT_NULL,
        "lines[{line_no}].fee_type",
        "第 {line_no} 行没有费用类型；请在 OA 中补填",
        "line {line_no} has no fee type; fill it in in the OA",
    ),
    Check(
        "line.fee_type.unknown",
        "fee_type_known",
        NOT_NULL,
        "lines[{line_no}].fee_type",
        "第 {line_no} 行的费用类型 {fee_type_id} 不在 OA 的档案中；请更正该行",
        "line {line_no} has fee type {fee_type_id}, which is not in the OA's master data; correct the line",
        cause="{fee_type_id}",
    ),
    Check(
        "line.department.unknown",
        "department_known",
        NOT_NULL,
        "lines[{line_no}].department",
        "第 {line_no} 行的部门 {department_id} 不在 OA 的部门档案中；请更正该行",
        "line {line_no} has department {department_id}, which is not in the OA's master data; correct the line",
        cause="{department_id}",
    ),
    Check(
        "line.project.unknown",
        "project_known",
        NOT_NULL,
        "lines[{line_no}].project",
        "第 {line_no} 行的项目 {project_id} 不在 OA 的项目档案中；请更正该行",
        "line {line_no} has project {project_id}, which is not in the OA's master data; correct the line",
        cause="{project_id}",
    ),
    Check(
        "line.currency.missing",
        "has_currency",
        NOT_NULL,
        "lines[{line_no}].currency",
        "第 {line_no} 行没有币种；请在 OA 中核对该行金额",
        "line {line_no} has no currency; check its amount in the OA",
    ),
    Check(
        "line.currency.unknown",
        "currency_read",
        in_set(*CURRENCIES),
        "lines[{line_no}].currency",
        "第 {line_no} 行的币种 {currency} 不认识；请在 OA 中使用 ISO 4217 币种代码",
        "line {line_no} has currency {currency}, which is not known; use an ISO 4217 code in the OA",
    ),
    Check(
        "line.amount.missing",
        "has_amount",
        NOT_NULL,
        "lines[{line_no}].amount",
        "第 {line_no} 行（{fee_type_name}）没有可用的金额；请在 OA 中补填",
        "line {line_no} ({fee_type_name}) has no usable amount; fill it in in the OA",
    ),
    Check(
        "line.functional_amount.missing",
        "has_functional",
        NOT_NULL,
        "lines[{line_no}].functional_amount",
        "第 {line_no} 行（{fee_type_name}）没有本位币金额；请在 OA 中核对币种与汇率",
        "line {line_no} ({fee_type_name}) has no amount in the functional currency; check currency and rate in the OA",
    ),
    Check(
        "line.amount.implausible",
        "amount_plausible",
        NOT_NULL,
        "lines[{line_no}].amount",
        "第 {line_no} 行的金额 {amount_transaction_minor} 大得不合理；请在 OA 中更正",
        "line {line_no} has an implausible amount, {amount_transaction_minor}; correct it in the OA",
    ),
    Check(
        "line.functional_amount.implausible",
        "functional_plausible",
        NOT_NULL,
        "lines[{line_no}].functional_amount",
        "第 {line_no} 行的本位币金额 {functional_minor} 大得不合理；请在 OA 中更正",
        "line {line_no} has an implausible functional amount, {functional_minor}; correct it in the OA",
    ),
    Check(
        "line.amount.not_positive",
        "line_amount",
        _POSITIVE,
        "lines[{line_no}].amount",
        "第 {line_no} 行（{fee_type_name}）金额为 {line_amount_transaction_minor}，应大于零；请在 OA 中更正",
        "line {line_no} ({fee_type_name}) amounts to {line_amount_transaction_minor}, it must be above zero; correct it in the OA",
    ),
    Check(
        "line.functional_amount.differs",
        "functional_difference_minor",
        ZERO,
        "lines[{line_no}].functional_amount",
        "第 {line_no} 行是本位币，原币 {amount_transaction_minor} 与本位币金额 {functional_minor} 却不同；请在 OA 中更正",
        "line {line_no} is in the functional currency, yet {amount_transaction_minor} and {functional_minor} differ; correct it in the OA",
    ),
    Check(
        "line.tax.negative",
        "line_tax",
        between(0, None),
        "lines[{line_no}].deductible_tax",
        "第 {line_no} 行的可抵扣税额为负：{line_tax_minor}；请在 OA 中更正发票税额",
        "line {line_no} has a negative deductible tax, {line_tax_minor}; correct the invoice's tax in the OA",
    ),
    Check(
        "line.tax.above_amount",
        "tax_excess_minor",
        NULL,
        "lines[{line_no}].deductible_tax",
        "第 {line_no} 行的可抵扣税额 {line_tax_minor} 大于行金额 {line_functional_minor}；请在 OA 中更正发票税额",
        "line {line_no} has deductible tax {line_tax_minor}, more than its amount {line_functional_minor}; "
        "correct the invoice's tax in the OA",
    ),
    Check(
        "line.rate.missing",
        "has_rate",
        NOT_NULL,
        "lines[{line_no}].rate",
        "第 {line_no} 行是外币 {currency}，但没有汇率；请在 OA 中补填汇率",
        "line {line_no} is in {currency} and has no exchange rate; fill it in in the OA",
    ),
    Check(
        "line.rate.not_positive",
        "rate_read",
        matches(NON_ZERO_DECIMAL),
        "lines[{line_no}].rate",
        "第 {line_no} 行的汇率为 {rate}，应大于零；请在 OA 中更正汇率",
        "line {line_no} has exchange rate {rate}, it must be above zero; correct it in the OA",
    ),
    Check(
        "line.occurred_on.implausible",
        "occurred_on_implausible",
        NULL,
        "lines[{line_no}].occurred_on",
        "第 {line_no} 行的发生日期 {occurred_on} 不合理，应在 {earliest} 至 {latest} 之间；请在 OA 中更正",
        "line {line_no} happened on {occurred_on}, which is implausible; it must be between {earliest} and {latest}: correct it in the OA",
    ),
    Check(
        "line.duplicate",
        "same_id_as_line",
        NULL,
        "lines[{line_no}].line_id",
        "第 {line_no} 行与第 {same_id_as_line} 行是同一条明细（{line_id}）；请在 OA 中删除重复的一行",
        "line {line_no} is the same entry as line {same_id_as_line} ({line_id}); remove one of them in the OA",
    ),
    Check(
        "line.text.nul",
        "nul",
        NULL,
        "lines[{line_no}].description",
        "第 {line_no} 行的文字中有不可用的空字符（NUL）；请在 OA 中重新输入",
        "line {line_no} has a text with a NUL character; type it again in the OA",
    ),
)

INVOICE_CHECKS = (
    Check(
        "invoice.overclaimed",
        "excess_minor",
        between(None, 0),
        "invoices[{invoice_id}]",
        "发票 {invoice_id} 总额 {total_minor}，连同本单据的 {claimed_minor} 已报 {running_minor}，超出 {excess_minor}"
        "（此前单据：{earlier_code} {earlier_document_id}）；请在 OA 中更换发票或减少金额",
        "invoice {invoice_id} has a total of {total_minor}; with {claimed_minor} on this document {running_minor} is claimed, "
        "{excess_minor} too much (before it: {earlier_code} {earlier_document_id}); replace the invoice or reduce the claim in the OA",
        cause="{invoice_id}",
    ),
    Check(
        "invoice.used_twice",
        "claimed_before_by",
        NULL,
        "invoices[{invoice_id}]",
        "发票 {invoice_id} 已在单据 {earlier_code}（{earlier_document_id}）中使用，且不知其总额；请在 OA 中更换发票或作废其中一张单据",
        "invoice {invoice_id} is already on document {earlier_code} ({earlier_document_id}) and its total is not known; "
        "replace the invoice or void one of the documents in the OA",
        cause="{invoice_id}",
    ),
)

WRITE_OFF_CHECKS = (
    Check(
        "write_off.loan.missing",
        "has_loan",
        NOT_NULL,
        "write_offs[{seq}].loan",
        "第 {seq} 笔核销没有指明借款单；请在 OA 中核对核销记录",
        "write-off {seq} names no loan; check the write-off in the OA",
    ),
    Check(
        "write_off.amount.missing",
        "has_amount",
        NOT_NULL,
        "write_offs[{seq}].amount",
        "第 {seq} 笔核销没有可用的金额；请在 OA 中核对核销记录",
        "write-off {seq} has no usable amount; check the write-off in the OA",
    ),
    Check(
        "write_off.amount.not_positive",
        "amount_minor",
        _POSITIVE,
        "write_offs[{seq}].amount",
        "第 {seq} 笔核销的金额为 {amount_minor}，应大于零；请在 OA 中更正",
        "write-off {seq} amounts to {amount_minor}, it must be above zero; correct it in the OA",
    ),
    Check(
        "write_off.loan.not_a_loan",
        "loan_kind_read",
        in_set(DocumentKind.LOAN),
        "write_offs[{seq}].loan",
        "核销的单据 {loan_code}（{loan_document_id}）不是借款单；请在 OA 中更正核销记录",
        "the document written off, {loan_code} ({loan_document_id}), is not a loan; correct the write-off in the OA",
    ),
    Check(
        "write_off.loan.not_approved",
        "loan_status_read",
        in_set(DocumentStatus.APPROVED, DocumentStatus.ARCHIVED),
        "write_offs[{seq}].loan",
        "核销的借款单 {loan_code}（{loan_document_id}）尚未批准或已作废（{loan_status}）；请先在 OA 中处理该借款单",
        "the loan written off, {loan_code} ({loan_document_id}), is not approved or void ({loan_status}); deal with that loan in the OA first",
    ),
)
