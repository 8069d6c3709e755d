"""The catalogue of checks on lines, invoices and write-offs. Patterns are filled from the staged rows."""

from __future__ import annotations

from include.domain.document import DocumentKind, DocumentStatus
from include.quality.check import NOT_NULL, NULL, ZERO, Check, between, in_set, matches
from include.quality.document_checks import CURRENCIES

NON_ZERO_DECIMAL = r"^(0*[1-9][0-9]*(\.[0-9]*)?|0*\.0*[1-9][0-9]*)([eE][-+]?[0-9]+)?$"
"""A positive decimal number as `str(Decimal)` writes it."""

_POSITIVE = between(1, None)

LINE_CHECKS = (
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
        "line.occurred_on.missing",
        "has_occurred_on",
        NOT_NULL,
        "lines[{line_no}].occurred_on",
        "第 {line_no} 行没有发生日期；请在 OA 中补填单据或明细的日期",
        "line {line_no} has no date on which it happened; fill in the date of the document or the line in the OA",
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
