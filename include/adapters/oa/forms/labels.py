"""What the parts of a document are called in problem codes and messages."""

from __future__ import annotations

from include.adapters.oa.reading import Label

CODE = Label("document.code", "单据编号", "the document's code")
TITLE = Label("document.title", "标题", "the title")
TEMPLATE = Label("document.template", "单据模板", "the document's template")
LEGAL_ENTITY = Label("document.legal_entity", "法人实体", "the legal entity")
DEPARTMENT = Label("document.department", "部门", "the department")
PROJECT = Label("document.project", "项目", "the project")
SUPPLIER = Label("document.supplier", "供应商", "the supplier")
SUBMITTER = Label("document.submitter", "提交人", "the submitter")
CURRENCY = Label("document.currency", "币种", "the currency")
RATE = Label("document", "单据", "the document")
GROSS = Label("document.gross", "单据总金额", "the document's total")
FUNCTIONAL_GROSS = Label("document.functional_gross", "单据本位币金额", "the total in functional currency")
WRITTEN_OFF = Label("document.written_off", "核销金额", "the amount written off against loans")
COMPANY_PAID = Label("document.company_paid", "企业已付金额", "the amount that the company paid already")
PAYABLE = Label("document.payable", "支付金额", "the amount to pay")
CREATED_AT = Label("document.created_at", "创建时间", "the time of creation")
UPDATED_AT = Label("document.updated_at", "更新时间", "the time of the last change")
STEP_AT = Label("document.log.time", "审批记录时间", "the time of an approval step")
SUBMITTED_AT = Label("document.submitted_at", "提交时间", "the time of submission")
APPROVED_AT = Label("document.approved_at", "审批完成时间", "the time of approval")
PAID_AT = Label("document.paid_at", "支付时间", "the time of payment")
PAID = Label("document.paid", "付款状态", "whether it is paid")
CHANNEL = Label("document.payment_channel", "支付方式", "the payment channel")
VOUCHER_NO = Label("document.voucher_no", "凭证号", "the voucher number")
LINK = Label("document.link", "关联单据", "the related document")
LOAN = Label("document.write_off.loan", "被核销的借款单", "the loan written off")
WRITE_OFF = Label("document.write_off.amount", "本次核销金额", "the amount written off against this loan")
TABLES = {
    "lines": Label("document.lines", "费用明细", "the table of lines"),
    "invoices": Label("document.invoices", "发票明细", "the table of invoices"),
    "write_offs": Label("document.write_offs", "核销明细", "the table of loans written off"),
}

LINE_ID = Label("line.id", "明细编号", "id")
FEE_TYPE = Label("line.fee_type", "费用类型", "fee type")
LINE_DEPARTMENT = Label("line.department", "部门", "department")
LINE_PROJECT = Label("line.project", "项目", "project")
LINE_LEGAL_ENTITY = Label("line.legal_entity", "法人实体", "legal entity")
LINE_CURRENCY = Label("line.currency", "币种", "currency")
LINE_RATE = Label("line", "明细", "the line")
AMOUNT = Label("line.amount", "费用金额", "amount")
FUNCTIONAL_AMOUNT = Label("line.functional_amount", "本位币金额", "amount in functional currency")
TAX = Label("line.tax", "可抵扣税额", "deductible tax")
DATE = Label("line.date", "费用日期", "date")
DESCRIPTION = Label("line.description", "摘要", "description")
INVOICE = Label("line.invoice", "发票号码", "invoice number")
INVOICE_LINE = Label("line.invoice.line", "发票所属明细", "the line of an invoice")
INVOICE_KIND = Label("line.invoice.kind", "发票种类", "kind of invoice")
CLAIMED = Label("line.invoice.claimed", "发票报销金额", "the amount claimed on the invoice")
INVOICE_TAX = Label("line.invoice.tax", "发票税额", "the invoice's tax")
INVOICE_TOTAL = Label("line.invoice.total", "发票价税合计", "the invoice's total")
EXEMPT = Label("line.invoice.exempt", "发票不计税金额", "the untaxed part of the invoice")
INVOICE_DATE = Label("line.invoice.date", "发票日期", "the invoice's date")
TRAVELLER = Label("line.invoice.traveller", "乘客", "the traveller")
