"""What the platform does behind the gateway: tokens, vouchers, base documents; answers are (code, message, data)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from include.emulators.hesi.clock import day_of, text_of
from include.emulators.ledger_books import Books
from include.emulators.ledger_rules import RefusedError, Voucher
from include.emulators.yonbip.drafts import BadVoucherError, draft_of, in_words, text
from include.emulators.yonbip.options import Options
from include.emulators.yonbip.records import VOID, Records, status_of

Json = dict[str, Any]
MAX_PAGE = 1000
MINUTE_MS = 60_000
SAVE = "/yonbip/fi/ficloud/openapi/voucher/addVoucher"
LIST = "/yonbip/fi/ficloud/openapi/voucher/queryVouchers"
DETAIL = "/yonbip/EFI/openapi/voucher/queryVoucherById"
DELETE = "/yonbip/fi/voucher/del"
BOOKS = "/yonbip/fi/fipub/basedoc/querybd/accbook"
PERIODS = "/yonbip/fi/fipub/basedoc/querybd/accperiod"
ACCOUNTS = "/yonbip/AMP/fipub/basedoc/querybd/accsubjectByPager"
SCHEME = "scheme-1"


@dataclass(frozen=True, slots=True)
class Credentials:
    """One tenant with one self-built application and one user who makes vouchers."""

    tenant_id: str = "emulated1"
    app_key: str = "voucherflow-yonbip"
    app_secret: str = "emulator-app-secret"  # noqa: S105  (opens nothing but the emulator)
    maker: str = "13800000000"


def failed(message: str) -> Json:
    """A business failure: text code 404 with HTTP 200."""
    return {"code": "404", "message": message, "data": {}}


@dataclass(slots=True)
class Platform:
    """One tenant over its books."""

    books: Books
    credentials: Credentials
    options: Options
    calls: dict[str, list[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.options = self.options.changed(self.books.note("settings", "options") or {})

    def set_options(self, changes: Json) -> Json:
        """Change switches and keep them; returns them all."""
        self.options = self.options.changed(changes)
        kept = (self.books.note("settings", "options") or {}) | changes
        self.books.keep_note("settings", "options", kept)
        return self.options.as_json()

    # The door

    def token(self, query: Mapping[str, str]) -> Json:
        """GET getAccessToken."""
        key, stamp = query.get("appKey", ""), query.get("timestamp", "")
        if not secrets.compare_digest(key.encode(), self.credentials.app_key.encode()):
            return {"code": "10018", "message": "应用不存在或appKey已停用"}
        signed = "".join(f"{name}{query[name]}" for name in sorted(query) if name != "signature")
        digest = hmac.new(self.credentials.app_secret.encode(), signed.encode(), hashlib.sha256).digest()
        given = query.get("signature", "").encode()
        if not secrets.compare_digest(given, base64.b64encode(digest)):
            return {"code": self.options.signature_code, "message": "签名验证失败"}
        now, tolerance = self.books.clock.now_ms(), self.options.timestamp_tolerance_s * 1000
        is_number = stamp.isascii() and stamp.isdecimal() and len(stamp) < 20
        if not is_number or (tolerance and abs(int(stamp) - now) > tolerance):
            return {"code": self.options.signature_code, "message": "timestamp已过期"}
        fresh = secrets.token_urlsafe(24)
        self.books.keep_note("tokens", fresh, now + self.options.token_ttl_s * 1000)
        data = {"access_token": fresh, "expire": self.options.token_ttl_s}
        return {"code": "00000", "message": "成功！", "data": data}

    def token_is_valid(self, token: str) -> bool:
        until = self.books.note("tokens", token)
        return until is not None and self.books.clock.now_ms() < int(until)

    def is_over_quota(self, path: str) -> bool:
        """Count a call; whether the interface had its calls of the last minute already."""
        if not self.options.quota_per_minute:
            return False
        now = self.books.clock.now_ms()
        recent = [at for at in self.calls.get(path, ()) if now - at < MINUTE_MS]
        is_over = len(recent) >= self.options.quota_per_minute
        self.calls[path] = recent if is_over else [*recent, now]
        return is_over

    # Vouchers

    def save(self, body: Json) -> Json:
        """AddVoucher. The check of keys and the voucher are one transaction."""
        try:
            with self.books.transaction():
                return self._resubmitted(body) or self._save(body)
        except BadVoucherError as error:
            return failed(f"凭证保存不成功,{error}")
        except RefusedError as error:
            said = "；".join(in_words(refusal, self.options) for refusal in error.refusals)
            return failed(f"凭证保存不成功,{said}")

    def _save(self, body: Json) -> Json:
        draft = draft_of(body, self.books, self.options)
        if draft.preparer != self.credentials.maker:
            raise BadVoucherError(f"制单人{draft.preparer[:40]}不存在！")
        records = Records(self.books, self.options)
        if draft.reference and self.options.repeat != "create":
            there = self.books.find("v.reference = ?", (draft.reference,), limit=1)
            if there and self.options.repeat == "refuse":
                data = {"id": str(there[0].id)}
                return {"code": self.options.repeat_code, "message": "幂等接口，重复提交请求", "data": data}
            if there:
                return {"code": "200", "message": "OK", "data": records.saved(there[0])}
        voucher = self.books.save(draft, status="01", actor=draft.preparer)
        if text(body, "voucherStatus") == VOID:
            self.books.set_void(voucher.id, void=True, allowed={"01"}, actor=draft.preparer)
            voucher = self.books.voucher(voucher.id)
        answer = {"code": "200", "message": "OK", "data": records.saved(voucher)}
        key = _resubmit_key(body)
        if key and self.options.resubmit == "on":
            kept = {"at_ms": self.books.clock.now_ms(), "voucher": voucher.id}
            self.books.keep_note("resubmit", key, kept)
        return answer

    def _resubmitted(self, body: Json) -> Json | None:
        """The answer to a resubmitCheckKey that was used, None where it is new or not looked at."""
        key = _resubmit_key(body)
        if not key or self.options.resubmit == "off":
            return None
        if len(key) > 32:
            raise BadVoucherError("resubmitCheckKey长度超过32")
        kept = self.books.note("resubmit", key)
        if kept is None:
            return None
        there = self.books.find("v.id = ?", (kept["voucher"],))
        is_young = self.books.clock.now_ms() - kept["at_ms"] < self.options.resubmit_ttl_s * 1000
        if there and is_young:
            data = Records(self.books, self.options).saved(there[0])
            return {"code": "200", "message": "OK", "data": data}
        data = {"id": str(kept["voucher"])}
        return {"code": self.options.repeat_code, "message": "幂等接口，重复提交请求", "data": data}

    def listing(self, body: Json) -> Json:
        """queryVouchers, by id; a page that is not there is empty."""
        try:
            book = text(body, "accbookCode")
            if not book:
                return failed("账簿code不能为空！")
            self.books.book(book)
            pager = body.get("pager") if isinstance(body.get("pager"), dict) else {}
            index, size = _natural(pager, "pageIndex", 1), _natural(pager, "pageSize", 20)
            if size > MAX_PAGE:
                return failed(f"每页最多{MAX_PAGE}条")
            found = [each for each in self._in_periods(book, body) if _is_wanted(each, body)]
        except (BadVoucherError, RefusedError) as error:
            return failed(
                str(error)
                if isinstance(error, BadVoucherError)
                else in_words(error.refusals[0], self.options)
            )
        records = Records(self.books, self.options)
        page = [records.listed(voucher) for voucher in found[(index - 1) * size : index * size]]
        data = {"pageIndex": index, "pageSize": size, "recordCount": len(found), "recordList": page}
        return {"code": "200", "message": "OK", "data": data}

    def _in_periods(self, book: str, body: Json) -> list[Voucher]:
        begin, end = text(body, "periodStart"), text(body, "periodEnd")
        if not begin or not end:
            if self.options.no_period == "nothing":
                return []
            begin = end = f"{day_of(self.books.clock.now_ms()):%Y-%m}"
        return self.books.find(
            "v.book = ? AND printf('%04d-%02d', v.year, v.period) BETWEEN ? AND ?", (book, begin, end)
        )

    def detail(self, body: Json) -> Json:
        """QueryVoucherById."""
        found = self._of_id(body.get("voucherId"))
        if found is None:
            return failed("凭证不存在！")
        return {"code": "200", "message": "OK", "data": Records(self.books, self.options).detailed(found)}

    def delete(self, body: Json) -> Json:
        """voucher/del, one id alone."""
        ids = body.get("ids")
        if not isinstance(ids, list) or len(ids) != 1:
            return failed("凭证删除异常，目前只支持单个ID删除！")
        found = self._of_id(ids[0])
        if found is None:
            return failed("凭证删除异常，未找到相应凭证！")
        try:
            if found.void and VOID not in self.options.deletable:
                return failed("凭证删除异常，凭证已作废")
            self.books.delete(found.id, allowed=self.options.deletable)
        except RefusedError as error:
            return failed(f"凭证删除异常，{in_words(error.refusals[0], self.options)}")
        return {"code": "200", "message": "操作成功！", "data": {}}

    def _of_id(self, value: Any) -> Voucher | None:
        given = str(value)
        if not (given.isascii() and given.isdecimal()) or len(given) > 18:
            return None
        found = self.books.find("v.id = ?", (int(given),))
        return found[0] if found else None

    # Base documents

    def account_books(self, body: Json) -> Json:
        with self.books.transaction() as db:
            rows = db.execute("SELECT * FROM books ORDER BY id").fetchall()
        found = [
            {
                "id": f"book-{row['id']}",
                "code": row["code"],
                "name": row["name"],
                "accsubjectchart": f"chart-{row['chart']}",
                "accperiodscheme": SCHEME,
            }
            for row in rows
        ]
        return _base_page(body, found, lambda page, total: _flat(page, total, code=200))

    def periods(self, body: Json) -> Json:
        with self.books.transaction() as db:
            rows = db.execute("SELECT DISTINCT year, period FROM periods ORDER BY year, period").fetchall()
        found = [
            {"id": row["year"] * 100 + row["period"], "code": f"{row['year']}-{row['period']:02d}"}
            for row in rows
        ]
        found = [{**each, "name": each["code"], "accperiodscheme": SCHEME} for each in found]
        if self.options.periods_as == "text":
            return _base_page(body, found, _as_text, code=0)
        return _base_page(
            body, found, lambda page, _total: {"success": True, "message": None, "data": page}, code=0
        )

    def accounts(self, body: Json) -> Json:
        with self.books.transaction() as db:
            rows = db.execute("SELECT * FROM accounts ORDER BY chart, code").fetchall()
        found = [
            {
                "id": f"account-{row['id']}",
                "code": row["code"],
                "name": row["name"],
                "mnemoniccode": "",
                "accsubjectchart": f"chart-{row['chart']}",
                "stopstatus": not row["enabled"],
            }
            for row in rows
        ]
        index, size = body.get("pageIndex", 1), body.get("pageSize", 20)
        return _base_page(
            body,
            found,
            lambda page, total: {
                "code": "200",
                "message": "查询成功！",
                "data": {"pageIndex": index, "pageSize": size, "recordCount": total, "recordList": page},
            },
        )

    def routes(self) -> Mapping[str, Callable[[Json], Json]]:
        """Path behind the gateway → what answers it."""
        return {
            SAVE: self.save,
            LIST: self.listing,
            DETAIL: self.detail,
            DELETE: self.delete,
            BOOKS: self.account_books,
            PERIODS: self.periods,
            ACCOUNTS: self.accounts,
        }


def _resubmit_key(body: Json) -> str:
    inner = body.get("data")
    return text(body, "resubmitCheckKey") or (
        text(inner, "resubmitCheckKey") if isinstance(inner, dict) else ""
    )


def _natural(body: Any, name: str, default: int) -> int:
    value = text(body, name) or str(default)
    if not (value.isascii() and value.isdecimal()) or len(value) > 9 or int(value) == 0:
        raise BadVoucherError(f"{name}的值{value[:40]}不正确")
    return int(value)


def _is_wanted(voucher: Voucher, body: Json) -> bool:
    """The filters beside book and period; an empty one lets all pass."""
    day, changed, number = voucher.day.isoformat(), text_of(voucher.modified_ms), voucher.number or 0
    bounds = (
        (day, text(body, "makeTimeStart")[:10], text(body, "makeTimeEnd")[:10]),
        (changed, text(body, "tsStart"), text(body, "tsEnd")),
        (f"{number:09d}", text(body, "billcodeMin").zfill(9), text(body, "billcodeMax")),
    )
    for value, low, high in bounds:
        limit = high.zfill(9) if high and len(value) == 9 else high
        if value < low or (limit and value > limit):
            return False
    for name, value in (("voucherStatusList", status_of(voucher)), ("voucherTypeCodeList", voucher.word)):
        wanted = body.get(name)
        if wanted and (not isinstance(wanted, list) or value not in wanted):
            return False
    source = text(body, "srcSystemCode")
    return not source or voucher.extra.get("srcSystemCode") == source


def _flat(page: list[Json], total: int, *, code: Any) -> Json:
    return {"code": code, "message": "查询成功！", "success": True, "data": page, "total": total}


def _as_text(page: list[Json], total: int) -> Json:
    """The documented example: string booleans, and records in one text."""
    data = ", ".join(f"{{code: {each['code']}, name: {each['code']}}}" for each in page)
    return {"code": "200", "success": "true", "data": data, "total": str(total)}


def _base_page(
    body: Json, found: list[Json], answer: Callable[[list[Json], int], Json], *, code: Any = 999
) -> Json:
    """One page of base documents: fields and conditions (=) as asked; all of them without a page."""
    wanted, conditions = body.get("fields") or ["id", "code", "name"], body.get("conditions") or []
    if not isinstance(wanted, list) or not isinstance(conditions, list):
        return {"success": False, "message": "查询失败：参数类型错误", "data": None, "code": code}
    for condition in conditions:
        if isinstance(condition, dict) and condition.get("operator") == "=":
            name, value = str(condition.get("field")), str(condition.get("value"))
            found = [each for each in found if name not in each or str(each[name]) == value]
    try:
        index, size = _natural(body, "pageIndex", 1), _natural(body, "pageSize", MAX_PAGE)
    except BadVoucherError as error:
        return {"success": False, "message": f"查询失败：{error}", "data": None, "code": code}
    page = [
        {name: value for name, value in each.items() if name in wanted}
        for each in found[(index - 1) * size : index * size]
    ]
    return answer(page, len(found))
