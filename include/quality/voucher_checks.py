"""The catalogue of checks on generated vouchers. Patterns are filled from the staged row (voucher_rows.py).

A voucher that fails here came out of rules or their engine, not out of the document: engineers look first,
finance where a table or the chart needs a row.
"""

from __future__ import annotations

from include.domain.problems import ProblemOwner
from include.quality.check import NOT_NULL, NULL, ZERO, Check, between, in_set
from include.quality.document_checks import CURRENCIES

FINANCE = ProblemOwner.FINANCE
ENGINEER = ProblemOwner.ENGINEER


def voucher_checks(book_currency: str) -> tuple[Check, ...]:
    """Checks on whole vouchers."""
    return (
        *_VOUCHER,
        Check(
            "voucher.currency",
            "currency",
            in_set(book_currency),
            "voucher[{event}].currency",
            f"凭证币种 {{currency}} 不是账簿的本位币 {book_currency}；请工程师核对规则与来源配置",
            f"the voucher is in {{currency}}, not in the book's {book_currency}; an engineer must check rules and source",
            ENGINEER,
        ),
    )


_VOUCHER = (
    Check(
        "voucher.unbalanced",
        "difference_minor",
        ZERO,
        "voucher[{event}].lines",
        "凭证借贷不平：借方 {lines_debit_minor}，贷方 {lines_credit_minor}，相差 {difference_minor}；请工程师核对凭证模板 {event}",
        "the voucher does not balance: debit {lines_debit_minor}, credit {lines_credit_minor}, off by {difference_minor}; "
        "an engineer must check the template of {event}",
        ENGINEER,
    ),
    Check(
        "voucher.total",
        "total_difference_minor",
        ZERO,
        "voucher[{event}].debit",
        "凭证合计 {debit_minor} 与借方分录合计 {lines_debit_minor} 不符；请重新生成该单据的凭证",
        "the voucher's total {debit_minor} is not the sum of its debit lines {lines_debit_minor}; generate it again",
        ENGINEER,
    ),
    Check(
        "voucher.implausible",
        "total_plausible",
        NOT_NULL,
        "voucher[{event}].debit",
        "凭证合计 {debit_minor} 大得不合理；请核对单据金额",
        "the voucher's total {debit_minor} is implausibly large; check the document's amounts",
        FINANCE,
    ),
    Check(
        "voucher.lines",
        "line_count",
        between(2, None),
        "voucher[{event}].lines",
        "凭证只有 {line_count} 条分录，至少需要两条；请工程师核对凭证模板 {event}",
        "the voucher has {line_count} line(s), it needs two; an engineer must check the template of {event}",
        ENGINEER,
    ),
    Check(
        "voucher.period",
        "date_in_period",
        NOT_NULL,
        "voucher[{event}].date",
        "凭证日期 {date} 不在会计期间 {period} 内；请重新生成该单据的凭证",
        "the voucher's date {date} is not in its period {period}; generate it again",
        ENGINEER,
    ),
    Check(
        "voucher.key",
        "key_fits",
        NOT_NULL,
        "voucher[{event}].key",
        "凭证键 {key} 与其单据不符；请工程师核对",
        "the voucher key {key} is not that of its document; an engineer must look",
        ENGINEER,
    ),
    Check(
        "voucher.duplicate",
        "vouchers_of_key",
        NULL,
        "voucher[{event}].key",
        "同一单据、同一事项有 {vouchers_of_key} 张凭证，只应有一张；请工程师核对",
        "one document and event has {vouchers_of_key} vouchers, there must be one; an engineer must look",
        ENGINEER,
    ),
)

JOURNAL_CHECKS = (
    Check(
        "journal.account.unknown",
        "account_known",
        NOT_NULL,
        "voucher[{event}].lines[{line_no}].account",
        "分录 {line_no} 的科目 {account} 不在账簿的科目表中；请在科目表中增加该科目，或修改决策表（模板 {template}，{entry}）",
        "line {line_no} has account {account}, which is not in the book's chart; add it there, or change the decision table "
        "(template {template}, {entry})",
        FINANCE,
        "{account}",
    ),
    Check(
        "journal.account.not_leaf",
        "account_not_leaf",
        NULL,
        "voucher[{event}].lines[{line_no}].account",
        "分录 {line_no} 的科目 {account} {account_name} 不是末级科目；请在决策表中改用末级科目（模板 {template}，{entry}）",
        "line {line_no} has account {account} {account_name}, which is not a leaf; use a leaf in the decision table "
        "(template {template}, {entry})",
        FINANCE,
        "{account}",
    ),
    Check(
        "journal.account.inactive",
        "account_inactive",
        NULL,
        "voucher[{event}].lines[{line_no}].account",
        "分录 {line_no} 的科目 {account} {account_name} 已停用；请启用该科目或修改决策表（模板 {template}，{entry}）",
        "line {line_no} has account {account} {account_name}, which is closed; open it or change the decision table "
        "(template {template}, {entry})",
        FINANCE,
        "{account}",
    ),
    Check(
        "journal.dimensions.missing",
        "missing_dimensions",
        NULL,
        "voucher[{event}].lines[{line_no}].dimensions",
        "分录 {line_no} 的科目 {account} {account_name} 必须有辅助核算 {missing_dimensions}；请补全单据或凭证模板（模板 {template}，{entry}）",
        "line {line_no}: account {account} {account_name} requires {missing_dimensions}; complete the document or the template "
        "(template {template}, {entry})",
        FINANCE,
        "{account}:{missing_dimensions}",
    ),
    Check(
        "journal.entry.unknown",
        "entry_known",
        NOT_NULL,
        "voucher[{event}].lines[{line_no}].account",
        "分录 {line_no} 的科目 {account} 或方向不是规则 {template}（{entry}）给出的，凭证在生成后被改动；请重新生成，并查明原因",
        "line {line_no} has an account ({account}) or side that {template} ({entry}) does not give: it was altered after it was made; "
        "generate it again, and find out why",
        ENGINEER,
        "{template}:{entry}",
    ),
    Check(
        "journal.entry.dimensions",
        "entry_lacks",
        NULL,
        "voucher[{event}].lines[{line_no}].dimensions",
        "分录 {line_no} 缺少规则 {template}（{entry}）为科目 {account} 写明的辅助核算 {entry_lacks}；请重新生成该单据的凭证",
        "line {line_no} lacks {entry_lacks}, which {template} ({entry}) demands for account {account}; generate it again",
        ENGINEER,
        "{template}:{entry}",
    ),
    Check(
        "journal.zero",
        "is_zero",
        NULL,
        "voucher[{event}].lines[{line_no}].amount",
        "分录 {line_no} 的金额为零；请工程师核对凭证模板 {template}，{entry}",
        "line {line_no} has no amount; an engineer must check template {template}, {entry}",
        ENGINEER,
    ),
    Check(
        "journal.implausible",
        "amount_plausible",
        NOT_NULL,
        "voucher[{event}].lines[{line_no}].amount",
        "分录 {line_no} 的金额 {amount_minor} 大得不合理；请核对单据金额",
        "line {line_no} has an implausible amount, {amount_minor}; check the document's amounts",
        FINANCE,
    ),
    Check(
        "journal.transaction_sign",
        "signs_differ",
        NULL,
        "voucher[{event}].lines[{line_no}].transaction",
        "分录 {line_no} 的原币金额 {foreign_transaction_minor} 与本位币金额 {amount_minor} 不相称；请工程师核对凭证模板 {template}，{entry}",
        "line {line_no}: {foreign_transaction_minor} in the transaction currency does not go with {amount_minor}; "
        "an engineer must check template {template}, {entry}",
        ENGINEER,
    ),
    Check(
        "journal.transaction_currency",
        "currency_read",
        in_set(*CURRENCIES),
        "voucher[{event}].lines[{line_no}].transaction",
        "分录 {line_no} 的原币币种 {currency} 不认识；请核对单据币种",
        "line {line_no} has transaction currency {currency}, which is not known; check the document's currency",
        FINANCE,
    ),
    Check(
        "journal.summary.missing",
        "has_summary",
        NOT_NULL,
        "voucher[{event}].lines[{line_no}].summary",
        "分录 {line_no} 没有摘要；请在凭证模板中补上（模板 {template}，{entry}）",
        "line {line_no} has no summary; give it one in the template (template {template}, {entry})",
        ENGINEER,
        "{template}",
    ),
)
