"""ExecuteBillQuery, BillQuery, QueryBusinessInfo and View."""

from __future__ import annotations

import json
import sqlite3
import zlib
from dataclasses import dataclass
from typing import Any

from include.emulators.kingdee.fields import FIELD_TYPES, HEAD, Field, Form
from include.emulators.kingdee.filters import Condition, compile_filter, compile_order, like
from include.emulators.kingdee.forms import currency_number, forms, value_source
from include.emulators.kingdee.options import Options
from include.emulators.kingdee.protocol import (
    FAULT,
    NO_DATA,
    NO_FIELD,
    NO_PARAMETER,
    Call,
    envelope,
    failed,
    field_of,
    shown_id,
)
from include.emulators.ledger_books import Books
from include.emulators.ledger_rules import Line, Voucher

Json = dict[str, Any]
MAX_ROWS = 2000
MAX_FIELDS = 200
VOUCHER = "GL_VOUCHER"
LCID = 2052


def install(books: Books, flex: dict[str, str]) -> None:
    """The SQL functions that the fields of forms use; `flex` may change afterwards."""
    with books.transaction() as db:
        db.create_function("kd_currency", 1, lambda code: code and currency_number(code), deterministic=True)
        db.create_function("kd_flex", 1, flex.get)
        db.create_function("kd_source", 1, lambda kind: kind and value_source(kind), deterministic=True)
        db.create_function("kd_like", 3, like, deterministic=True)
        db.create_function("kd_tie", 2, _tie, deterministic=True)


def _tie(value: Any, page: int) -> int:
    """Another order of the same rows for every page, yet the same for the same page."""
    return zlib.crc32(f"{value}:{page}".encode())


def form_of(options: Options, name: str) -> Form:
    """Raises ApiError for a form that there is not."""
    form = forms(options).get(name.lower())
    if form is None:
        raise failed(f"标识为“{name}”的业务对象不存在，或者被删除。", FAULT)
    return form


@dataclass(frozen=True, slots=True)
class Names:
    """Finds a form's fields by key, in any case."""

    fields: dict[str, Field]

    def __call__(self, key: str) -> Field:
        found = self.fields.get(key.lower())
        if found is None and key.lower() == "fentryid":
            raise failed(f"{key}不是简单属性", NO_FIELD)
        if found is None or (not found.sql):
            # A wrong column behind a dot is reported by the name before it.
            raise failed(f"元数据中标识为{key.split('.', maxsplit=1)[0]}的字段不存在", NO_FIELD)
        return found


def execute_bill_query(books: Books, options: Options, call: Call) -> Any:
    """Rows as lists, in the order of FieldKeys."""
    _keys, rows = _query(books, options, call)
    return rows


def bill_query(books: Books, options: Options, call: Call) -> Any:
    """Rows as objects, by the keys as they were asked for."""
    keys, rows = _query(books, options, call)
    return [dict(zip(keys, row, strict=True)) for row in rows]


def _query(books: Books, options: Options, call: Call) -> tuple[list[str], list[list[Any]]]:
    data = call.data
    if not call.form:
        raise failed("data数据包中的参数FormId的值不能为空。", NO_PARAMETER)
    form = form_of(options, call.form)
    keys = [key.strip() for key in str(field_of(data, "FieldKeys", "")).split(",") if key.strip()]
    if not keys:
        raise failed("data数据包中的参数FieldKeys的值不能为空。", NO_PARAMETER)
    if len(keys) > MAX_FIELDS:
        raise failed(f"data数据包中的参数FieldKeys不能超过{MAX_FIELDS}个字段。", NO_PARAMETER)
    names = Names(form.by_key())
    chosen = [names(key) for key in keys]
    condition = compile_filter(field_of(data, "FilterString", ""), names, like_brackets=options.like_brackets)
    order, ordering = compile_order(str(field_of(data, "OrderString", "")), names)
    start, count = _page(data, options)
    sql, is_tied = _sql(form, options, chosen, condition, order, ordering)
    parameters = [*condition.parameters, *([start] if is_tied else []), start, count]
    try:
        with books.transaction() as db:
            rows = db.execute(sql, parameters).fetchall()
    except sqlite3.Error as error:
        raise failed(f"GetRealExpress error：{error}", FAULT) from error
    as_text = options.amounts_as_text
    return keys, [
        [field.shown(value, amounts_as_text=as_text) for field, value in zip(chosen, row, strict=True)]
        for row in rows
    ]


def _page(data: Json, options: Options) -> tuple[int, int]:
    """(first row, number of rows). TopRowCount is the row to end before, counted from the first of all."""
    start, limit, top = (_whole(data, name) for name in ("StartRow", "Limit", "TopRowCount"))
    if limit > MAX_ROWS and options.over_limit == "refuse":
        raise failed(f"参数Limit不能超过{MAX_ROWS}", NO_PARAMETER)
    count = min(limit or MAX_ROWS, MAX_ROWS)
    if top:
        count = min(count, max(0, top - start))
    return start, count


def _whole(data: Json, name: str) -> int:
    value = field_of(data, name, 0)
    text = str(value if value != "" else 0)
    if not text.isdecimal() or len(text) > 12:
        raise failed(f"data数据包中的参数{name}必须为非负整数。", NO_PARAMETER)
    return int(text)


def _sql(
    form: Form,
    options: Options,
    chosen: list[Field],
    condition: Condition,
    order: list[str],
    ordering: list[Field],
) -> tuple[str, bool]:
    """The statement, and whether it breaks ties by page: its last parameters are the page (if so), the first row and
    the number of rows.
    """
    entries = {field.entity for field in (*chosen, *condition.fields, *ordering)} - {HEAD}
    if form.id == VOUCHER and options.rows == "entry":
        entries.add("FEntity")
    joins = " ".join(form.entries[entry][1] for entry in sorted(entries))
    key = form.by_key()[form.key.lower()].sql if form.key else ""
    row_key = {"FEntity": "l.id" if form.id == VOUCHER else "d.seq", "FPeriodEntity": "p.begins"}
    last = ", ".join(row_key[entry] for entry in sorted(entries))
    if not order and not key:
        raise failed("分页取数需要排序条件或者单据有设置主键", FAULT)
    # Without an order rows come by key; with one that leaves ties, these are the server's to order.
    identity = " || ':' || ".join(
        f"ifnull({part}, '')" for part in (key or "l.account || l.dimensions", last) if part
    )
    is_tied = bool(order) and options.unstable_ties
    tie = f"kd_tie({identity}, ?)" if is_tied else identity
    terms = ", ".join([*order, tie] if order else filter(None, [key, last]))
    columns = ", ".join(field.sql for field in chosen)
    where = f"({form.where}) AND {condition.sql}"
    return f"SELECT {columns} FROM {form.source} {joins} WHERE {where} ORDER BY {terms} LIMIT ?, ?", is_tied  # noqa: S608


def query_business_info(books: Books, options: Options, call: Call) -> Any:
    """What fields a form has, by entry; this is where flex columns are looked up."""
    form = form_of(options, call.form)
    with books.transaction() as db:
        kinds = {row["code"]: row["name"] for row in db.execute("SELECT code, name FROM kinds")}
    labels = {f"FDETAILID__{column}": kinds.get(kind, kind) for kind, column in options.flex.items()}
    entries = [_entry(form, HEAD, "基本信息", form.key, labels)]
    entries += [
        _entry(form, key, name, f"{key}_FEntryID", labels) for key, (name, _join) in form.entries.items()
    ]
    needed = {"Id": form.id, "Name": _name(form.name), "Entrys": entries}  # codespell:ignore entrys
    return envelope(options, (), NeedReturnData=needed)


def _entry(form: Form, key: str, name: str, primary: str, labels: dict[str, str]) -> Json:
    return {
        "Key": key,
        "Name": _name(name),
        "ParentKey": None,
        "EntryPkFieldName": primary,
        "Fields": [
            _field(field, labels.get(field.key, field.label))
            for field in form.fields
            if field.listed and field.entity == key
        ],
    }


def _field(field: Field, label: str) -> Json:
    return {
        "Key": field.key,
        "Name": _name(label),
        "FieldType": FIELD_TYPES.get(field.kind, 167),
        "MustInput": int(field.must),
        "LookUpObjectFormId": field.lookup or None,
        "Extends": [{"Value": value, "Caption": caption} for value, caption in field.choices] or None,
    }


def _name(text: str) -> list[Json]:
    return [{"Key": LCID, "Value": text}]


def view(books: Books, options: Options, call: Call) -> Any:
    """One voucher or one value of master data whole, by Id or Number; keys without their F, as the server keeps them."""
    form = form_of(options, call.form)
    wanted, number = str(field_of(call.data, "Id", "")), str(field_of(call.data, "Number", ""))
    if not wanted and not number:
        raise failed("data数据包中的参数Id和Number的值不能同时为空。", NO_PARAMETER)
    if form.id == VOUCHER:
        found = find_vouchers(books, options, number) if not wanted else _by_id(books, wanted)
        if not found:
            raise failed(f"凭证“{wanted or number}”不存在或已被删除", NO_DATA)
        return _viewed(options, _voucher_data(books, options, found[0]))
    return _viewed(options, _master_data(books, form, wanted, number))


def _viewed(options: Options, data: Json) -> Any:
    shown = json.dumps(data, ensure_ascii=False) if options.view_as_text else data
    return envelope(options, (), Result=shown)


def _by_id(books: Books, wanted: str) -> list[Voucher]:
    return books.find("v.id = ?", (int(wanted),)) if wanted.isdecimal() and len(wanted) < 18 else []


def find_vouchers(books: Books, options: Options, number: str) -> list[Voucher]:
    """Vouchers by FBillNo: one, or several where numbers repeat every period."""
    if options.bill_number == "own":
        return _by_id(books, str(int(number[6:]))) if number.isdecimal() and len(number) == 12 else []
    return books.find("(SELECT name FROM words WHERE code = v.word) || '-' || v.number = ?", (number,))


def bill_number(books: Books, options: Options, voucher: Voucher) -> str:
    """FBillNo of a voucher: "" for one without a number where it is made of that."""
    if options.bill_number == "own":
        return f"{voucher.year}{voucher.period:02d}{voucher.id:06d}"
    with books.transaction() as db:
        word = db.execute("SELECT name FROM words WHERE code = ?", (voucher.word,)).fetchone()
    return "" if voucher.number is None else f"{word['name'] if word else voucher.word}-{voucher.number}"


def _voucher_data(books: Books, options: Options, voucher: Voucher) -> Json:
    book = books.book(voucher.book)
    scale = books.scale(book["currency"]) or 0
    with books.transaction() as db:
        word = db.execute("SELECT * FROM words WHERE code = ?", (voucher.word,)).fetchone()
    total = [sum(getattr(line, side) for line in voucher.lines) / 10**scale for side in ("debit", "credit")]
    return {
        "Id": shown_id(options, voucher.id),
        "BillNo": bill_number(books, options, voucher),
        "Date": f"{voucher.day}T00:00:00",
        "BUSDATE": f"{voucher.business_day}T00:00:00",
        "YEAR": voucher.year,
        "PERIOD": voucher.period,
        "ACCOUNTBOOKID": _reference(options, book),
        "VOUCHERGROUPID": _reference(options, word),
        "VOUCHERGROUPNO": "" if voucher.number is None else str(voucher.number),
        "ATTACHMENTS": voucher.attachments,
        "DocumentStatus": voucher.status,
        "ISADJUSTVOUCHER": voucher.adjustment,
        "PostStatus": voucher.posted,
        "Invalid": voucher.void,
        "DEBITTOTAL": total[0],
        "FCREDITTOTAL": total[1],
        **{key.removeprefix("F"): voucher.extra.get(key, "") for key in ("FSourceBillKey", "FIMPORTVERSION")},
        **{key: voucher.extra.get(key, "") for key in options.custom_fields},
        "GL_VOUCHERENTRY": [
            _entry_data(books, options, voucher, seq, line, scale)
            for seq, line in enumerate(voucher.lines, start=1)
        ],
    }


def _entry_data(books: Books, options: Options, voucher: Voucher, seq: int, line: Line, scale: int) -> Json:
    account = books.account(voucher.book, line.account)
    original = books.scale(line.currency) or 0
    with books.transaction() as db:
        currency = db.execute("SELECT * FROM currencies WHERE code = ?", (line.currency,)).fetchone()
    details: Json = {}
    for kind, code in line.dimensions.items():
        item = books.item(kind, code)
        if item is not None and kind in options.flex:
            details[options.flex[kind]] = {
                "Id": shown_id(options, item.id),
                "Number": item.code,
                "Name": _name(item.name),
            }
    return {
        "Id": shown_id(options, line.id),
        "Seq": seq,
        "EXPLANATION": line.summary,
        "FACCOUNTID": account
        and {"Id": shown_id(options, account.id), "Number": account.code, "Name": _name(account.name)},
        "DetailID": details,
        "CURRENCYID": currency
        and {
            "Id": shown_id(options, currency["id"]),
            "Number": currency_number(currency["code"]),
            "Name": _name(currency["name"]),
        },
        "EXCHANGERATE": float(line.rate),
        "AMOUNTFOR": (line.amount_for or 0) / 10**original,
        "DEBIT": line.debit / 10**scale,
        "CREDIT": line.credit / 10**scale,
        "BUSNO": line.reference,
    }


def _reference(options: Options, row: sqlite3.Row | None) -> Json | None:
    """A base-data object inside a data packet."""
    if row is None:
        return None
    return {"Id": shown_id(options, row["id"]), "Number": row["code"], "Name": _name(row["name"])}


def _master_data(books: Books, form: Form, wanted: str, number: str) -> Json:
    names = Names(form.by_key())
    fields = [field for field in form.fields if field.listed and field.entity == HEAD]
    by = names(form.key or "FNumber") if wanted else names("FNumber")
    sql = f"SELECT {', '.join(field.sql for field in fields)} FROM {form.source} WHERE ({form.where}) AND {by.sql} = ?"  # noqa: S608
    with books.transaction() as db:
        row = db.execute(sql, (wanted or number,)).fetchone()
    if row is None:
        raise failed(f"{form.name}“{wanted or number}”不存在或已被删除", NO_DATA)
    data: Json = {
        field.key.removeprefix("F"): field.shown(value) for field, value in zip(fields, row, strict=True)
    }
    return data | {"Id": data.get(form.key.removeprefix("F"))}
