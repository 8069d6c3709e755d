"""What an editor shows beside the keys of a form mapping, Chinese first (see schemas.py)."""

from __future__ import annotations

_FIELD = {
    "field": "表单字段的编码 / code of the field in the form",
    "by": "取值 value、显示文字 label，或值旁的附加数据 ext / what is read: value, shown text, or what is kept beside the value",
    "path": "JSON 值中的位置，以点分隔，如 0.emplId / where in a JSON value, keys and positions with dots: 0.emplId",
    "main": "字段在主表，适用于明细表的每一行 / the field is in the form itself and holds for all rows",
    "oa_type": "编写时 OA 给出的字段类型，不同即提示模板已修改 / type that the OA gave; another one means a changed template",
    "optional": "部分表单本来没有此字段 / some forms never had the field",
}
_OWN = {
    "FieldRef": {"": "表单字段 / a field of the form"},
    "TextField": {
        "": "文字 / text",
        "enum": "取值 → 文字；未列出的取值报告问题 / value to text; one that is not listed is a problem",
        "default": "字段为空时的文字；不写 field 则固定为此 / text where it is empty; without field, always",
    },
    "ReferenceField": {
        "": "引用的档案 / an entry of master data",
        "enum": "取值 → 档案；未列出的取值报告问题 / value to entry; one that is not listed is a problem",
        "default": "字段为空时的档案；不写 field 则固定为此 / entry where it is empty; without field, always",
    },
    "AmountField": {
        "": "金额（元）/ an amount in major units",
        "in": "金额的币种：单据（明细）币种或本位币 / its currency: that of the document or line, or the functional one",
        "default": "字段为空时的金额 / amount where it is empty",
    },
    "CurrencyField": {
        "": "币种：固定代码，或字段 / a fixed code, or a field",
        "enum": "取值 → ISO 4217 代码 / value to ISO 4217 code",
        "default": "字段为空时的币种；不写 field 则固定为此 / currency where it is empty; without field, always",
    },
    "PropertyField": {
        "": "供规则使用的其他字段 / a further field for rules",
        "type": "文字、金额、日期、数字或档案 / text, amount, date, number or reference",
        "enum": "取值 → 文字 / value to text",
        "default": "字段为空时的文字 / text where it is empty",
    },
    "LoanField": {
        "": "被核销的借款单 / the loan that is settled",
        "names": "字段存的是 OA 内部 id，还是编号 / whether the field holds its id or its code",
    },
    "PaidWhen": {
        "": "表示已付款的字段 / a field that says whether it is paid",
        "values": "这些取值表示已付款 / the values that mean paid",
    },
}
_KEYS = {
    "FormMapping": {
        "": "一种表单的映射 / the mapping of one kind of form",
        "form": "表单名称，单据与计数以此区分 / our name for this kind of form",
        "templates": "OA 中的模板 id（旧版本也列出）/ ids of its templates in the OA, older versions too",
        "kind": "单据类型 / kind of document",
        "document": "主表字段 / fields of the form itself",
        "lines": "费用明细表；不写 table 则整张表单为一条 / the table of cost lines; without table the form is one line",
        "invoices": "发票 / invoices",
        "write_offs": "核销的借款 / loans that are settled",
        "properties": "供规则使用的其他字段 / further fields for rules",
        "approval": "审批中何处表示付款 / what the approval says of payment",
        "write_back": "凭证信息写回哪些字段 / where the voucher is written back to",
    },
    "DocumentFields": {
        "": "主表字段 / fields of the form itself",
        "code": "单据编号，省略则取 OA 的编号 / code, the OA's own if left out",
        "title": "标题，省略则取 OA 的标题 / title, the OA's own if left out",
        "legal_entity": "法人实体 / legal entity",
        "department": "部门 / department",
        "project": "项目 / project",
        "supplier": "供应商 / supplier",
        "submitter": "报销人，省略则取 OA 的提交人 / who claims, the OA's submitter if left out",
        "currency": "币种，省略则为本位币 / currency, the functional one if left out",
        "rate": "汇率：一单位外币等于多少本位币 / rate: functional per foreign unit",
        "gross": "总金额，省略则为明细之和 / total, the sum of the lines if left out",
        "functional_gross": "本位币总金额 / total in functional currency",
        "written_off": "核销借款金额，省略则为核销明细之和 / loans written off, the sum of write_offs if left out",
        "company_paid": "企业已付金额 / what the company paid already",
        "payable": "应付金额，省略则为余额 / what is left to pay, worked out if left out",
        "submitted_at": "提交时间 / time of submission",
        "approved_at": "批准时间 / time of approval",
        "paid_at": "付款时间 / time of payment",
        "payment_channel": "支付方式 / payment channel",
        "voucher_no": "凭证号 / voucher number",
        "links": "关联单据 / related documents",
    },
    "LineFields": {
        "": "费用明细 / cost lines",
        "table": "明细表的编码 / code of the table",
        "line_id": "明细编号，省略则取 OA 的行 id / id of the line, the OA's own if left out",
        "fee_type": "费用类型 / fee type",
        "department": "部门，省略则为单据的 / department, the document's if left out",
        "project": "项目，省略则为单据的 / project, the document's if left out",
        "legal_entity": "法人实体，省略则为单据的 / legal entity, the document's if left out",
        "amount": "含税金额 / gross amount",
        "currency": "币种，省略则为单据的 / currency, the document's if left out",
        "rate": "汇率，省略则为单据的 / rate, the document's if left out",
        "functional_amount": "本位币金额 / amount in functional currency",
        "tax": "可抵扣税额，省略则取发票税额 / deductible tax, that of the invoices if left out",
        "occurred_on": "发生日期 / the day it happened",
        "description": "摘要 / description",
    },
    "InvoiceFields": {
        "": "发票 / invoices",
        "table": "发票所在的表 / the table they stand in",
        "line": "发票属于第几条明细的字段 / the field with the number of the line",
        "code": "发票代码 / code of older invoices",
        "number": "发票号码 / number",
        "kind": "发票种类 / kind",
        "claimed": "本次报销金额 / what is claimed on it",
        "tax": "税额 / tax",
        "total": "价税合计 / total",
        "exempt": "不计税金额 / the part without VAT",
        "occurred_on": "开票或乘坐日期 / day of issue or travel",
        "traveller": "乘客姓名或证件号 / the traveller's name or number",
    },
    "WriteOffFields": {
        "": "核销的借款 / loans that are settled",
        "table": "核销明细表；不写则在主表 / their table; the form itself if left out",
        "loan": "借款单 / the loan",
        "amount": "本次核销金额 / the amount settled",
    },
    "Approval": {
        "": "审批与付款 / approval and payment",
        "paid_nodes": "在这些节点同意即为付款 / who agrees at these nodes has paid",
        "paid_when": "表示已付款的字段 / a field that says so",
        "due": "批准即记账，或付款后才记账 / booked once approved, or only once paid",
    },
    "WriteBack": {
        "": "写回 / write-back",
        "voucher_no": "写入凭证号的字段 / field of the voucher number",
        "fiscal_period": "写入会计期间的字段 / field of the period",
        "error": "写入错误原因的字段 / field of the error",
        "state": "显示状态的字段 / field of the state",
        "comment": "是否同时写为审批评论 / whether it is said as a comment too",
    },
    "StateField": {
        "": "显示状态的字段及各状态的取值 / a field of the state, and its values",
        "field": "字段编码 / code of the field",
        "posted": "已生成凭证 / a voucher was made",
        "failed": "生成失败 / none could be made",
        "cleared": "已冲销 / it was reversed",
    },
    "Target": {
        "": "档案：编码与名称 / an entry: code and name",
        "code": "编码 / code",
        "name": "名称 / name",
    },
}


def _flat() -> dict[str, str]:
    """By `Model` and `Model.key`."""
    words: dict[str, str] = {}
    for model, keys in [*_KEYS.items(), *((name, _FIELD | own) for name, own in _OWN.items())]:
        words |= {f"{model}.{key}" if key else model: text for key, text in keys.items()}
    return words


FORM_WORDS = _flat()
