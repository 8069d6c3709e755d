"""The forms that can be asked: vouchers, the master data they need, balances. Keys are spelt as the vendor's pages do."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from include.emulators.kingdee.fields import Field, Form, base
from include.emulators.kingdee.options import Options

CURRENCY_NUMBERS = {
    "CNY": "PRE001",
    "HKD": "PRE002",
    "EUR": "PRE003",
    "JPY": "PRE004",
    "GBP": "PRE006",
    "USD": "PRE007",
}
"""ISO code → FNumber of the preset currencies; others go by their ISO code."""
RATE_TYPE = "HLTX01_SYS"
RATE_TYPE_NAME = "固定汇率"
CALENDAR = "KJRL01_SYS"
STATUSES = (("Z", "暂存"), ("A", "创建"), ("B", "审核中"), ("C", "已审核"), ("D", "重新审核"))
FORBID = (("A", "否"), ("B", "是"))

KIND_FORMS = {
    "supplier": ("BD_Supplier", "供应商", "FSupplierId"),
    "department": ("BD_Department", "部门", "FDEPTID"),
    "customer": ("BD_Customer", "客户", "FCUSTID"),
    "employee": ("BD_Empinfo", "员工", "FID"),
    "expense": ("BD_Expense", "费用项目", "FEXPID"),
}
"""Kinds with a form of their own; all others are values of BOS_ASSISTANTDATA_DETAIL (辅助资料)."""
ASSISTANT = "BOS_ASSISTANTDATA_DETAIL"

_OWNED = ", ".join(f"'{kind}'" for kind in KIND_FORMS)
_PROPERTY = "printf('HSWD%02d_SYS', k.id)"
_UNIT = "(SELECT CASE scale WHEN 0 THEN 10000 WHEN 1 THEN 1000 WHEN 2 THEN 100 WHEN 3 THEN 10 ELSE 1 END FROM currencies"
_OWN_UNIT = f"{_UNIT} WHERE code = b.currency)"
_LINE_UNIT = f"{_UNIT} WHERE code = l.currency)"


def currency_number(code: str) -> str:
    """The vendor's FNumber of a currency of the books."""
    return CURRENCY_NUMBERS.get(code, code)


def currency_code(number: str) -> str:
    """The inverse of `currency_number`."""
    return next((code for code, preset in CURRENCY_NUMBERS.items() if preset == number), number)


def source_of(kind: str) -> str:
    """The form that a kind's values come from."""
    return KIND_FORMS[kind][0] if kind in KIND_FORMS else ASSISTANT


def value_source(kind: str) -> str:
    """FVALUESOURCE of a dimension: a form, or the category of auxiliary data."""
    return KIND_FORMS[kind][0] if kind in KIND_FORMS else kind


def name_field(kind: str) -> str:
    """Sub-key of a dimension's name: auxiliary data has no FName."""
    return "FName" if kind in KIND_FORMS else "FDataValue"


def code_field(kind: str) -> str:
    """Sub-key of a dimension's code in queries: employees go by their staff number."""
    return "FStaffNumber" if kind == "employee" else "FNumber"


def _currency(key: str, column: str, entity: str = "FBillHead", **rest: bool) -> Iterator[Field]:
    def of(what: str) -> str:
        return f"(SELECT {what} FROM currencies WHERE code = {column})"  # noqa: S608

    columns = {"": of("id"), "FNumber": f"kd_currency({column})", "FName": of("name"), "FCODE": column}
    return base(key, "币别", "BD_Currency", columns, entity=entity, **rest)


def _text(key: str, label: str, sql: str, entity: str = "FEntity") -> Field:
    return Field(key, label, sql, entity=entity)


def _flex_fields(options: Options) -> Iterator[Field]:
    """Metadata names them FDETAILID__FFLEX5; queries want FDetailID.FFLEX5.FNumber."""
    for kind, column in options.flex.items():
        value = f"json_extract(l.dimensions, '$.{kind}')"
        name = f"(SELECT name FROM items WHERE kind = '{kind}' AND code = {value})"  # noqa: S608
        label = KIND_FORMS[kind][1] if kind in KIND_FORMS else kind
        yield Field(f"FDETAILID__{column}", label, value, "id", "FEntity", source_of(kind))
        for sub, sql in {code_field(kind): value, name_field(kind): name}.items():
            yield Field(f"FDetailID.{column}.{sub}", label, sql, entity="FEntity", listed=False)


def _voucher_head(options: Options) -> Iterator[Field]:
    number = "v.year || printf('%02d', v.period) || printf('%06d', v.id)"
    if options.bill_number == "word":
        number = "w.name || '-' || v.number"
    yield Field("FVOUCHERID", "凭证内码", "v.id", "int")
    yield Field("FBillNo", "凭证编号", number)
    yield Field("FDate", "日期", "v.day || ' 00:00:00'", "day", must=True)
    yield Field("FBUSDATE", "业务日期", "v.business_day || ' 00:00:00'", "day")
    yield Field("FYEAR", "会计年度", "v.year", "int")
    yield Field("FPERIOD", "期间", "v.period", "int")
    yield from base(
        "FAccountBookID",
        "账簿",
        "BD_AccountBook",
        {"": "b.id", "FNumber": "b.code", "FName": "b.name"},
        must=True,
    )
    yield from base(
        "FVOUCHERGROUPID",
        "凭证字",
        "BD_VOUCHERGROUP",
        {"": "w.id", "FNumber": "w.code", "FName": "w.name"},
        must=True,
    )
    yield Field("FVOUCHERGROUPNO", "凭证号", "v.number", "digits", must=True)
    yield Field("FATTACHMENTS", "附件数", "v.attachments", "int")
    yield Field("FISADJUSTVOUCHER", "是否调整期凭证", "v.adjustment", "flag")
    yield Field("FDocumentStatus", "审核状态", "v.status", must=True, choices=STATUSES)
    yield Field("FPostStatus", "过账状态", "v.posted", "flag")
    yield Field("FInvalid", "作废状态", "v.void", "flag")
    for key, label, column in (
        ("FCreatorId", "制单人", "preparer"),
        ("FCHECKERID", "审核人", "reviewer"),
        ("FPOSTERID", "过账人", "poster"),
    ):
        yield from base(key, label, "SEC_User", {"": f"v.{column}", "FName": f"v.{column}"})
    yield Field("FCreateDate", "创建日期", "v.created_ms", "moment")
    yield Field("FModifyDate", "修改日期", "v.modified_ms", "moment")
    yield Field("FAUDITDATE", "审核日期", "v.reviewed_ms", "moment")
    yield from base("FSystemID", "来源系统", "BOS_SubSystem", {"": "'GL'", "FName": "'总账'"})
    yield from base(
        "FSourceBillKey", "业务类型", "GL_VOUCHERBIZTYPE", {"": "json_extract(v.extra, '$.FSourceBillKey')"}
    )
    yield Field("FIMPORTVERSION", "引入版本号", "coalesce(json_extract(v.extra, '$.FIMPORTVERSION'), '')")
    total = f"(SELECT sum({{}}) FROM lines WHERE voucher = v.id) * {_OWN_UNIT}"  # noqa: S608
    yield Field("FDEBITTOTAL", "借方总金额", total.format("debit"), "money")
    yield Field("FCREDITTOTAL", "贷方总金额", total.format("credit"), "money")
    for key in options.custom_fields:
        yield Field(key, key, f"json_extract(v.extra, '$.{key}')")


def _voucher_entry(options: Options) -> Iterator[Field]:
    yield Field("FEntity_FEntryID", "分录内码", "l.id", "int", "FEntity", listed=False)
    yield Field("FEntity_FEntrySeq", "分录行号", "l.seq", "int", "FEntity", listed=False)
    yield Field("FEntity_FSeq", "分录行号", "l.seq", "int", "FEntity", listed=False)
    yield _text("FEXPLANATION", "摘要", "l.summary")
    yield from base(
        "FACCOUNTID",
        "科目编码",
        "BD_Account",
        {"": "a.id", "FNumber": "a.code", "FName": "a.name", "FFullName": "a.name"},
        entity="FEntity",
        must=True,
    )
    yield Field("FDetailID", "核算维度", "l.id", "id", "FEntity", "BD_FLEXITEMDETAILV")
    yield from _flex_fields(options)
    yield from _currency("FCURRENCYID", "l.currency", "FEntity", must=True)
    yield from base(
        "FEXCHANGERATETYPE",
        "汇率类型",
        "BD_RateType",
        {"": "1", "FNumber": f"'{RATE_TYPE}'", "FName": f"'{RATE_TYPE_NAME}'"},
        entity="FEntity",
        must=True,
    )
    yield Field("FEXCHANGERATE", "汇率", "l.rate", "number", "FEntity")
    yield Field("FAMOUNTFOR", "原币金额", f"l.amount_for * {_LINE_UNIT}", "money", "FEntity")
    yield Field("FAMOUNT", "本位币金额", f"(l.debit + l.credit) * {_OWN_UNIT}", "money", "FEntity")
    yield Field("FDEBIT", "借方金额", f"l.debit * {_OWN_UNIT}", "money", "FEntity")
    yield Field("FCREDIT", "贷方金额", f"l.credit * {_OWN_UNIT}", "money", "FEntity")
    yield Field("FDC", "借贷方向", "CASE WHEN l.debit THEN 1 ELSE -1 END", "int", "FEntity")
    yield _text("FBUSNO", "业务编号", "l.reference")
    for key, label in (
        ("FSETTLENO", "结算号"),
        ("FSettleTypeID", "结算方式"),
        ("FEXPORTENTRYID", "引出分录内码"),
    ):
        yield _text(key, label, f"coalesce(json_extract(l.extra, '$.{key}'), '')")


def _voucher(options: Options) -> Form:
    hidden = ", ".join(f"'{letter}'" for letter in options.hidden_statuses if letter.isalpha())
    return Form(
        "GL_VOUCHER",
        "凭证",
        "vouchers v JOIN books b ON b.code = v.book LEFT JOIN words w ON w.code = v.word",
        "FVOUCHERID",
        (*_voucher_head(options), *_voucher_entry(options)),
        {
            "FEntity": (
                "单据体",
                "JOIN lines l ON l.voucher = v.id LEFT JOIN accounts a ON a.chart = b.chart AND a.code = l.account",
            )
        },
        f"v.status NOT IN ({hidden})" if hidden else "1",
    )


def _master(alias: str) -> Iterator[Field]:
    yield Field("FDocumentStatus", "数据状态", "'C'", choices=STATUSES)
    yield Field("FForbidStatus", "禁用状态", f"CASE WHEN {alias} THEN 'A' ELSE 'B' END", choices=FORBID)


def _items(kind: str) -> Form:
    form, name, key = KIND_FORMS[kind]
    fields = [
        Field(key, "内码", "i.id", "int"),
        Field("FNumber", "编码", "i.code", must=True),
        Field("FName", "名称", "i.name", must=True),
        *_master("i.enabled"),
    ]
    if kind == "employee":
        fields.append(Field("FStaffNumber", "员工编号", "i.code"))
    return Form(form, name, "items i", key, tuple(fields), {}, f"i.kind = '{kind}'")


def _account_fields() -> Iterator[Field]:
    children = "SELECT 1 FROM accounts c WHERE c.chart = a.chart AND c.parent = a.code"
    yield Field("FACCTID", "科目内码", "a.id", "int")
    yield Field("FNumber", "编码", "a.code", must=True)
    yield Field("FName", "名称", "a.name", must=True)
    yield Field("FFullName", "全名", "a.name")
    yield from base(
        "FParentID",
        "上级科目",
        "BD_Account",
        {
            "": "(SELECT p.id FROM accounts p WHERE p.chart = a.chart AND p.code = a.parent)",
            "FNumber": "a.parent",
        },
    )
    yield Field("FISDETAIL", "是否明细科目", f"NOT EXISTS ({children})", "flag")
    yield Field("FLEVEL", "级次", "length(a.code) - length(replace(a.code, '.', '')) + 1", "int")
    yield from base("FACCTTBLID", "科目表", "BD_AccountTable", {"": "1", "FNumber": "a.chart"})
    yield from _master("a.enabled")
    yield Field("FEntity_FSeq", "行号", "d.seq", "int", "FEntity", listed=False)
    yield from base(
        "FFlEXITEMPROPERTYID",
        "核算维度",
        "BD_FLEXITEMPROPERTY",
        {"": "k.id", "FNumber": _PROPERTY, "FName": "k.name", "FFLEXNUMBER": "kd_flex(k.code)"},
        entity="FEntity",
    )
    yield Field("FInputType", "必录类型", "CASE d.required WHEN 1 THEN '1' WHEN 0 THEN '2' END", entity="FEntity",
                must=True, choices=(("1", "必录"), ("2", "可选")))  # fmt: skip


def _book_fields() -> Iterator[Field]:
    current = (
        "(SELECT {} FROM periods p WHERE p.book = b.code AND p.state <> 'closed' AND NOT p.adjustment "
        "ORDER BY p.year, p.period LIMIT 1)"
    )
    first = "(SELECT {} FROM periods p WHERE p.book = b.code ORDER BY p.year, p.period LIMIT 1)"
    yield Field("FBOOKID", "账簿内码", "b.id", "int")
    yield Field("FNumber", "编码", "b.code", must=True)
    yield Field("FName", "名称", "b.name", must=True)
    yield from _currency("FCURRENCYID", "b.currency")
    yield from base("FPERIODID", "会计日历", "BD_ACCOUNTCALENDAR", {"": "1", "FNumber": f"'{CALENDAR}'"})
    yield from base("FACCTTBLID", "科目表", "BD_AccountTable", {"": "1", "FNumber": "b.chart"})
    yield Field("FSTARTYEAR", "启用年度", first.format("p.year"), "int")
    yield Field("FSTARTPERIOD", "启用期间", first.format("p.period"), "int")
    yield Field("FCURRENTYEAR", "当前年度", current.format("p.year"), "int")
    yield Field("FCURRENTPERIOD", "当前期间", current.format("p.period"), "int")
    yield from _master("1")


_CALENDAR = (
    "(SELECT DISTINCT year, period, begins, ends, adjustment FROM periods) p"  # all books share one calendar
)
_BALANCES = """(
  WITH moves AS (
    SELECT v.book, v.year, v.period, l.account, l.dimensions, l.currency, sum(l.debit) AS debit, sum(l.credit) AS credit,
      sum(CASE WHEN l.debit THEN l.amount_for ELSE 0 END) AS debit_for,
      sum(CASE WHEN l.credit THEN l.amount_for ELSE 0 END) AS credit_for
    FROM lines l JOIN vouchers v ON v.id = l.voucher WHERE v.posted AND NOT v.void
    GROUP BY v.book, v.year, v.period, l.account, l.dimensions, l.currency),
  grid AS (
    SELECT p.year, p.period, k.* FROM (SELECT DISTINCT book, account, dimensions, currency FROM moves) k
    JOIN periods p ON p.book = k.book)
  SELECT grid.*, coalesce(debit, 0) AS debit, coalesce(credit, 0) AS credit, coalesce(debit_for, 0) AS debit_for,
    coalesce(credit_for, 0) AS credit_for,
    sum(coalesce(debit, 0) - coalesce(credit, 0)) OVER running AS closing,
    sum(coalesce(debit_for, 0) - coalesce(credit_for, 0)) OVER running AS closing_for
  FROM grid LEFT JOIN moves USING (book, year, period, account, dimensions, currency)
  WINDOW running AS (PARTITION BY book, account, dimensions, currency ORDER BY year, period)) l
  JOIN books b ON b.code = l.book LEFT JOIN accounts a ON a.chart = b.chart AND a.code = l.account"""


def _balance_fields(options: Options) -> Iterator[Field]:
    yield from base(
        "FACCOUNTBOOKID", "账簿", "BD_AccountBook", {"": "b.id", "FNumber": "b.code", "FName": "b.name"}
    )
    yield from base(
        "FACCOUNTID", "科目", "BD_Account", {"": "a.id", "FNumber": "l.account", "FName": "a.name"}
    )
    yield Field("FYEAR", "年", "l.year", "int")
    yield Field("FPERIOD", "期", "l.period", "int")
    yield from _currency("FCURRENCYID", "l.currency")
    own, original = _OWN_UNIT, _LINE_UNIT
    for key, label, sql in (
        ("FBeginBalance", "期初本位币", f"(l.closing - l.debit + l.credit) * {own}"),
        ("FDebit", "本期借方", f"l.debit * {own}"),
        ("FCredit", "本期贷方", f"l.credit * {own}"),
        ("FEndBalance", "期末本位币", f"l.closing * {own}"),
        ("FBeginBalanceFor", "期初原币", f"(l.closing_for - l.debit_for + l.credit_for) * {original}"),
        ("FDebitFor", "本期借方原币", f"l.debit_for * {original}"),
        ("FCreditFor", "本期贷方原币", f"l.credit_for * {original}"),
        ("FEndBalanceFor", "期末原币", f"l.closing_for * {original}"),
    ):
        yield Field(key, label, sql, "money")
    for field in _flex_fields(options):
        yield Field(field.key, field.label, field.sql, field.kind, lookup=field.lookup, listed=field.listed)


def _small_forms() -> Iterator[Form]:
    yield Form("BD_AccountBook", "账簿", "books b", "FBOOKID", tuple(_book_fields()), {})
    account_entry = "LEFT JOIN account_dimensions d ON d.account = a.id LEFT JOIN kinds k ON k.code = d.kind"
    yield Form(
        "BD_Account",
        "科目",
        "accounts a",
        "FACCTID",
        tuple(_account_fields()),
        {"FEntity": ("核算维度", account_entry)},
    )
    word = (
        Field("FVCHGROUPID", "内码", "w.id", "int"),
        Field("FNumber", "编码", "w.code"),
        Field("FName", "名称", "w.name"),
    )
    yield Form("BD_VOUCHERGROUP", "凭证字", "words w", "FVCHGROUPID", (*word, *_master("1")), {})
    currency = (
        Field("FCURRENCYID", "内码", "c.id", "int"),
        Field("FNumber", "编码", "kd_currency(c.code)"),
        Field("FName", "名称", "c.name"),
        Field("FCODE", "货币代码", "c.code"),
        Field("FAMOUNTDIGITS", "金额精度", "c.scale", "int"),
    )
    yield Form("BD_Currency", "币别", "currencies c", "FCURRENCYID", (*currency, *_master("1")), {})
    yield Form("BD_Rate", "汇率", "rates r", "FRATEID", tuple(_rate_fields()), {})
    calendar = (
        Field("FID", "内码", "1", "int"),
        Field("FNumber", "编码", f"'{CALENDAR}'"),
        Field("FName", "名称", "'系统预设会计日历'"),
        Field("FYEAR", "年度", "p.year", "int", "FPeriodEntity"),
        Field("FPERIOD", "期间", "p.period", "int", "FPeriodEntity"),
        Field("FPERIODSTARTDATE", "开始日期", "p.begins || ' 00:00:00'", "day", "FPeriodEntity"),
        Field("FPERIODENDDATE", "结束日期", "p.ends || ' 00:00:00'", "day", "FPeriodEntity"),
    )
    entry = {"FPeriodEntity": ("会计期间", f"JOIN {_CALENDAR} ON NOT p.adjustment")}
    yield Form("BD_ACCOUNTCALENDAR", "会计日历", "(SELECT 1) one", "FID", calendar, entry)
    flex = (
        Field("FID", "内码", "k.id", "int"),
        Field("FNumber", "编码", _PROPERTY),
        Field("FName", "名称", "k.name"),
        Field("FFLEXNUMBER", "弹性域字段", "kd_flex(k.code)"),
        Field("FVALUETYPE", "值类型", f"CASE WHEN k.code IN ({_OWNED}) THEN '0' ELSE '1' END"),
        Field("FVALUESOURCE", "值来源", "kd_source(k.code)"),
        *_master("1"),
    )
    yield Form("BD_FLEXITEMPROPERTY", "核算维度", "kinds k", "FID", flex, {})
    assistant = (
        Field("FEntryID", "内码", "i.id", "int"),
        *base("FId", "类别", "BOS_ASSISTANTDATA", {"": "k.id", "FNumber": "k.code", "FName": "k.name"}),
        Field("FNumber", "编码", "i.code"),
        Field("FDataValue", "名称", "i.name"),
        *_master("i.enabled"),
    )
    yield Form(
        ASSISTANT, "辅助资料", "items i JOIN kinds k ON k.code = i.kind", "FEntryID", assistant, {},
        f"i.kind NOT IN ({_OWNED})",
    )  # fmt: skip


def _rate_fields() -> Iterator[Field]:
    yield Field("FRATEID", "内码", "r.id", "int")
    yield from base("FRATETYPEID", "汇率类型", "BD_RateType", {"": "1", "FNumber": f"'{RATE_TYPE}'"})
    yield from _currency("FCyForID", "r.source")
    yield from _currency("FCyToID", "r.target")
    yield Field("FExchangeRate", "直接汇率", "r.rate", "number")
    yield Field("FBegDate", "生效日期", "r.begins || ' 00:00:00'", "day")
    yield Field("FEndDate", "失效日期", "r.ends || ' 00:00:00'", "day")
    yield from _master("1")


def forms(options: Options) -> dict[str, Form]:
    """All forms by their id in lower case."""
    return _forms(
        options.bill_number, options.hidden_statuses, options.custom_fields, tuple(options.flex.items())
    )


@lru_cache(maxsize=16)
def _forms(
    bill_number: str, hidden_statuses: str, custom_fields: tuple[str, ...], flex: tuple[tuple[str, str], ...]
) -> dict[str, Form]:
    """By the switches that shape forms: every call asks, so they are built once."""
    options = Options(
        bill_number=bill_number, hidden_statuses=hidden_statuses, custom_fields=custom_fields, flex=dict(flex)
    )
    forms = [_voucher(options), *_small_forms(), *(_items(kind) for kind in KIND_FORMS)]
    forms.append(Form("GL_BALANCE", "科目余额", _BALANCES, "", tuple(_balance_fields(options)), {}))
    return {form.id.lower(): form for form in forms}
