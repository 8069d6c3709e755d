"""What a field of a form may be, by its name and a sample value. Guesses are for a person to check, never for booking."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from zoneinfo import ZoneInfo

from include.adapters.oa.forms.instance import FieldValue
from include.adapters.oa.forms.moments import read_moment
from include.adapters.oa.forms.numbers import plain_amount
from include.domain.document import DocumentKind
from include.domain.money import AmountError, currency_decimals

Shape = Literal["text", "amount", "date", "reference", "currency"]
_ZONE = ZoneInfo("Asia/Shanghai")


@dataclass(frozen=True, slots=True)
class Guess:
    """A key of the mapping file, the words that suggest it, and what the value must look like."""

    key: str
    words: re.Pattern[str]
    shape: Shape = "text"


def _guess(key: str, words: str, shape: Shape = "text") -> Guess:
    return Guess(key, re.compile(words, re.IGNORECASE), shape)


DOCUMENT = (
    _guess("code", "单据编号|单号|流水号|^编号$|^code$|serial"),
    _guess("legal_entity", "公司|法人|主体|legal.?entity|company", "reference"),
    _guess("department", "部门|department", "reference"),
    _guess("project", "^(?!.*费用项目).*项目|project", "reference"),
    _guess("supplier", "供应商|收款方|收款单位|往来单位|supplier|vendor|payee", "reference"),
    _guess("submitter", "报销人|申请人|借款人|经办人|submitter|applicant", "reference"),
    _guess("rate", "汇率|exchange.?rate", "amount"),
    _guess("currency", "币种|currency", "currency"),
    _guess("functional_gross", "本币|本位币", "amount"),
    _guess("written_off", "核销|冲抵|冲借款|written.?off", "amount"),
    _guess("company_paid", "企业已付|公司已付|对公已付|company.?paid", "amount"),
    _guess("payable", "实付|应付|付款金额|支付金额|payable", "amount"),
    _guess("gross", "总金额|总额|合计|总计|报销金额|借款金额|金额|total|amount", "amount"),
    _guess("paid_at", "付款日期|付款时间|支付日期|支付时间|paid", "date"),
    _guess("submitted_at", "申请日期|提交|填报日期|submitted", "date"),
    _guess("payment_channel", "支付方式|付款方式|结算方式|payment.?method"),
)
"""Earlier ones win: a field is used once."""
LINES = (
    _guess("fee_type", "费用类型|费用类别|费用科目|费用项目|报销类型|expense.?type|fee.?type|category", "reference"),
    _guess("department", "部门|department", "reference"),
    _guess("project", "项目|project", "reference"),
    _guess("tax", "税额|^tax$|tax.?amount", "amount"),
    _guess("amount", "金额|小计|amount", "amount"),
    _guess("occurred_on", "日期|时间|date", "date"),
    _guess("description", "摘要|事由|说明|备注|用途|description|reason|note"),
)  # fmt: skip
INVOICES = (
    _guess("code", "发票代码|invoice.?code"),
    _guess("number", "发票号|invoice.?(number|no)"),
    _guess("kind", "发票(种类|类型|类别)|invoice.?(kind|type)"),
)
WRITE_OFFS = (
    _guess("loan", "借款单|借款申请|^loan$"),
    _guess("amount", "核销|冲|金额|amount", "amount"),
)
WRITE_BACK = (
    _guess("voucher_no", "凭证号|凭证编号|voucher.?(no|number)"),
    _guess("fiscal_period", "会计期间|fiscal.?period"),
    _guess("error", "凭证错误|失败原因|posting.?error"),
)
KINDS = (
    ("借款", DocumentKind.LOAN),
    ("预付", DocumentKind.PREPAYMENT),
    ("付款", DocumentKind.PAYMENT_REQUEST),
    ("采购订单", DocumentKind.PURCHASE_ORDER),
    ("入库", DocumentKind.GOODS_RECEIPT),
    ("收款", DocumentKind.RECEIPT),
    ("采购申请", DocumentKind.REQUISITION),
)
CURRENCIES = {
    "人民币": "CNY",
    "美元": "USD",
    "欧元": "EUR",
    "港币": "HKD",
    "港元": "HKD",
    "日元": "JPY",
    "英镑": "GBP",
}
_IN_WORDS = re.compile("大写|capital")


def guess_kind(title: str) -> DocumentKind:
    """By the words of a title; a claim where it says nothing else."""
    return next((kind for word, kind in KINDS if word in title), DocumentKind.EXPENSE_CLAIM)


def suits(guess: Guess, code: str, found: FieldValue) -> bool:
    """Whether a field may be what is guessed: by its label, or its code where it has none, and by its value."""
    name = found.label or code
    return guess.words.search(name) is not None and _has_shape(guess.shape, name, found)


def _has_shape(shape: Shape, name: str, found: FieldValue) -> bool:
    value = found.value
    if value in (None, "", [], {}):
        return True
    if shape == "reference":
        return isinstance(value, str | int | list) and not isinstance(value, bool)
    if isinstance(value, list | dict | bool):
        return False
    if shape == "amount":
        return not _IN_WORDS.search(name) and _is_number(value)
    if shape == "date":
        return read_moment(value, _ZONE) is not None
    return shape != "currency" or bool(currencies(found))


def _is_number(value: object) -> bool:
    if not isinstance(value, str):
        return True
    try:
        return plain_amount(value, "CNY") != ""
    except AmountError:
        return False


def currencies(found: FieldValue) -> Mapping[str, str]:
    """The field's values that are known currencies: value → ISO code."""
    options = dict(found.options) or {str(found.value): found.shown or str(found.value)}
    return {
        value: code
        for value, label in options.items()
        if (code := CURRENCIES.get(label) or _iso(label or value))
    }


def _iso(text: str) -> str:
    try:
        currency_decimals(text if len(text) == 3 else "")
    except AmountError:
        return ""
    return text
