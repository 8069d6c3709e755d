"""The catalogue of checks on documents. Patterns are filled from the staged row (document_rows.py)."""

from __future__ import annotations

import iso4217

from include.domain.document import DocumentKind, DocumentStatus
from include.domain.problems import ProblemOwner
from include.quality.check import NOT_NULL, NULL, ZERO, Check, between, in_set
from include.quality.staging import LIMIT_MINOR

FINANCE = ProblemOwner.FINANCE
ENGINEER = ProblemOwner.ENGINEER

CURRENCIES = tuple(currency.code for currency in iso4217.Currency if currency.exponent is not None)
"""ISO 4217 codes that have a minor unit."""

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
        "没有提交人，不知道是谁经办；请在 OA 中补上提交人",
        "there is no submitter, so nobody answers for the document; fill it in in the OA",
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
        "supplier.unknown",
        "supplier_known",
        NOT_NULL,
        "supplier",
        "供应商 {supplier_id} 不在 OA 的供应商或收款账户档案中；请更正单据的供应商",
        "supplier {supplier_id} is not among the OA's suppliers or payees; correct the document's supplier",
        cause="{supplier_id}",
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
        between(-LIMIT_MINOR, LIMIT_MINOR),
        "payable",
        "应付金额 {payable_minor} 大得不合理；请在 OA 中更正",
        "the payable {payable_minor} is implausibly large; correct it in the OA",
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
