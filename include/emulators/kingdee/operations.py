"""What changes vouchers: Save, BatchSave, Draft, Submit, Audit, UnAudit, CancelAssign, Delete, ExcuteOperation."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from include.emulators.kingdee.options import Options
from include.emulators.kingdee.protocol import (
    CONFLICT,
    FORBIDDEN,
    INVALID,
    NO_DATA,
    NO_OPERATION,
    NO_PARAMETER,
    ApiError,
    Call,
    Problem,
    Success,
    envelope,
    failed,
    field_of,
    flag,
    shown_id,
)
from include.emulators.kingdee.queries import Names, bill_number, find_vouchers, form_of
from include.emulators.kingdee.saving import Model, as_problem
from include.emulators.ledger_books import Books, as_draft
from include.emulators.ledger_rules import Reason, RefusedError, Voucher

Json = dict[str, Any]
ASIDE, CREATED, SUBMITTED, AUDITED, REOPENED = "Z", "A", "B", "C", "D"
EDITABLE = frozenset({ASIDE, CREATED, REOPENED})
MAX_BATCH = 1000
REPEATS = "repeat"

_UNCHECKED = frozenset(Reason) - {Reason.PERIOD_UNKNOWN, Reason.BOOK_UNKNOWN, Reason.NUMBER_TAKEN}
"""What ValidateFlag=false and Draft let pass."""


@dataclass(frozen=True, slots=True)
class Desk:
    """The operations on vouchers for one caller."""

    books: Books
    options: Options
    user: str

    # Saving

    def save(self, call: Call) -> Any:
        return self._one(call, is_draft=False)

    def draft(self, call: Call) -> Any:
        return self._one(call, is_draft=True)

    def batch_save(self, call: Call) -> Any:
        """Each Model for itself: some may be saved while others are not."""
        self._only_vouchers(call)
        models = field_of(call.data, "Model", None)
        if not isinstance(models, list) or not models:
            raise failed("data数据包中的参数Model必须为非空数组。", NO_PARAMETER)
        if len(models) > MAX_BATCH:
            raise failed(f"数据包数不能超过{MAX_BATCH}。", NO_PARAMETER)
        done, problems = [], []
        for index, model in enumerate(models):
            try:
                done.append(replace(self._saved(call.data, model, is_draft=False), index=index))
            except ApiError as error:
                problems += [replace(problem, index=index) for problem in error.problems]
        return envelope(self.options, problems, done, NeedReturnData=[item.returned or {} for item in done])

    def _one(self, call: Call, *, is_draft: bool) -> Any:
        self._only_vouchers(call)
        done = self._saved(call.data, field_of(call.data, "Model", None), is_draft=is_draft)
        return envelope(
            self.options,
            (),
            [done],
            Id=shown_id(self.options, done.id),
            Number=done.number,
            NeedReturnData=[done.returned or {}],
        )

    def _saved(self, data: Json, model: Any, *, is_draft: bool) -> Success:
        """Raises ApiError with what is wrong with one Model; nothing has changed then."""
        if not isinstance(model, Mapping):
            raise failed("data数据包中的参数Model必须为对象。", NO_PARAMETER)
        with self.books.transaction():
            self._remember(data, model)
            old = self._old(model)
            reader = Model(self.books, self.options, data, model, old, self.user)
            draft = reader.draft()
            if draft is None:
                raise ApiError(*reader.problems)
            is_checked = not is_draft and flag(data, "ValidateFlag", default=True)
            try:
                saved = self.books.save(
                    draft,
                    status=ASIDE
                    if is_draft
                    else CREATED
                    if old is None or old.status == ASIDE
                    else old.status,
                    voucher_id=old.id if old else None,
                    editable=EDITABLE if self.options.replace == "editable" else {old.status} if old else (),
                    waive=() if is_checked else _UNCHECKED,
                    numbered=not is_draft,
                    actor=self.user,
                )
            except RefusedError as error:
                raise ApiError(*self._refusals(error, old)) from error
            return self._success(saved, returned=self._returned(data, saved))

    def _old(self, model: Mapping[str, Any]) -> Voucher | None:
        """The voucher that FVOUCHERID names: it is replaced without a word."""
        text = str(field_of(model, "FVOUCHERID", 0) or 0)
        if not text.isdecimal() or len(text) > 17:
            raise failed(f"字段FVOUCHERID的值“{text[:40]}”不正确", INVALID, "FVOUCHERID")
        if text == "0":
            return None
        found = self.books.find("v.id = ?", (int(text),))
        if not found:
            raise failed(f"内码为“{text}”的凭证不存在或已被删除", NO_DATA, "FVOUCHERID")
        return found[0]

    def _remember(self, data: Json, model: Mapping[str, Any]) -> None:
        """ValidateRepeatJson: the same body a second time is refused for a while."""
        if not flag(data, "ValidateRepeatJson", default=False):
            return
        digest = hashlib.sha256(json.dumps(model, sort_keys=True, default=str).encode()).hexdigest()
        now, seen = self.books.clock.now_ms(), self.books.note(REPEATS, digest)
        if seen is not None and now - seen <= self.options.repeat_window_s * 1000:
            raise failed("重复的JSON数据，请勿重复提交", CONFLICT)
        self.books.keep_note(REPEATS, digest, now)

    def _returned(self, data: Json, voucher: Voucher) -> Json:
        """NeedReturnFields: keys of the head, and `FEntity.key` for those of entries."""
        wanted = field_of(data, "NeedReturnFields", [])
        if not isinstance(wanted, list) or not wanted:
            return {}
        form = form_of(self.options, "GL_VOUCHER")
        names = Names(form.by_key())
        keys = [str(key) for key in wanted]
        fields = [names(key.removeprefix("FEntity.")) for key in keys]
        columns = ", ".join(field.sql for field in fields)
        with self.books.transaction() as db:
            rows = db.execute(
                f"SELECT {columns} FROM {form.source} {form.entries['FEntity'][1]} WHERE v.id = ? ORDER BY l.seq",  # noqa: S608
                (voucher.id,),
            ).fetchall()
        shown = [[field.shown(value) for field, value in zip(fields, row, strict=True)] for row in rows]
        head = {
            key: value for key, value in zip(keys, shown[0] if shown else [], strict=False) if "." not in key
        }
        entries = [
            {
                key.removeprefix("FEntity."): value
                for key, value in zip(keys, row, strict=True)
                if key.startswith("FEntity.")
            }
            for row in shown
        ]
        return head | ({"FEntity": entries} if any(entries) else {})

    # Moving along

    def submit(self, call: Call) -> Any:
        def run(voucher: Voucher) -> None:
            self._allow(voucher, EDITABLE, "提交")
            if voucher.status == ASIDE:  # it was never checked and has no number yet
                aside = as_draft(voucher)
                self.books.save(
                    aside, status=CREATED, voucher_id=voucher.id, editable=EDITABLE, actor=self.user
                )
            self._move(voucher, SUBMITTED, EDITABLE, "提交")

        return self._each(call, run)

    def cancel_assign(self, call: Call) -> Any:
        return self._each(call, lambda voucher: self._move(voucher, CREATED, {SUBMITTED}, "撤销"))

    def audit(self, call: Call) -> Any:
        allowed = {SUBMITTED} if self.options.audit_needs_submit else {SUBMITTED, CREATED, REOPENED}

        def run(voucher: Voucher) -> None:
            if self.options.separate_reviewer and voucher.preparer == self.user:
                raise failed(f"{self._named(voucher)}，制单人和审核人不能为同一人！", FORBIDDEN)
            self._move(voucher, AUDITED, allowed, "审核", reviews=True)
            if self.options.post_on_audit:
                self.books.post(voucher.id, allowed={AUDITED}, actor=self.user)

        return self._each(call, run)

    def unaudit(self, call: Call) -> Any:
        return self._each(call, lambda voucher: self._move(voucher, REOPENED, {AUDITED}, "反审核"))

    def delete(self, call: Call) -> Any:
        def run(voucher: Voucher) -> None:
            self._allow(voucher, EDITABLE, "删除")
            self.books.delete(voucher.id, allowed=EDITABLE, actor=self.user)

        return self._each(call, run)

    def operation(self, call: Call) -> Any:
        """ExcuteOperation: vouchers have no such operation, posting and voiding included; accounts can be forbidden."""
        form = form_of(self.options, call.form)
        number = call.operation.lower()
        if not number:
            raise failed("操作编码不能为空", NO_OPERATION)
        if form.id != "BD_Account" or number not in ("forbid", "enable"):
            raise failed(f"业务对象“{form.name}”不存在操作编码为“{call.operation}”的操作", NO_OPERATION)
        return self._forbid(call, is_enabled=number == "enable")

    def _forbid(self, call: Call, *, is_enabled: bool) -> Any:
        done: list[Success] = []
        problems: list[Problem] = []
        for index, (identity, number) in enumerate(_chosen(call.data)):
            with self.books.transaction() as db:
                rows = db.execute(
                    "SELECT id, chart, code FROM accounts WHERE code = ? OR CAST(id AS TEXT) = ?",
                    (number, identity),
                ).fetchall()
                for row in rows:
                    self.books.change_account(row["chart"], row["code"], enabled=is_enabled)
                    done.append(Success(row["id"], row["code"], index))
            if not rows:
                problems.append(Problem(f"科目“{number or identity}”不存在", code=NO_DATA, index=index))
        return envelope(self.options, problems, done)

    def workflow_audit(self, call: Call) -> Any:
        """Vouchers here run through no workflow."""
        self._only_vouchers(call)
        raise failed("单据没有启用工作流，不能进行工作流审批", FORBIDDEN)

    def _move(
        self,
        voucher: Voucher,
        to: str,
        allowed: frozenset[str] | set[str],
        verb: str,
        *,
        reviews: bool = False,
    ) -> None:
        self._allow(voucher, allowed, verb)
        self.books.set_status(voucher.id, to, allowed=allowed, actor=self.user, reviews=reviews)

    def _allow(self, voucher: Voucher, allowed: frozenset[str] | set[str], verb: str) -> None:
        if voucher.posted:
            raise failed(f"{self._named(voucher)}，已过账的凭证不允许{verb}！", FORBIDDEN)
        if voucher.status in allowed:
            return
        which = {SUBMITTED: "审核中", AUDITED: "已审核"}.get(min(allowed), "暂存、创建和重新审核")
        if verb in ("提交", "删除"):
            which = "暂存、创建和重新审核"
        raise failed(f"{self._named(voucher)}，只有{which}的数据才允许{verb}！", FORBIDDEN)

    def _named(self, voucher: Voucher) -> str:
        return f"单据编号为“{bill_number(self.books, self.options, voucher)}”的凭证"

    def _each(self, call: Call, run: Callable[[Voucher], None]) -> Any:
        """Every voucher for itself, in the order in which they are named."""
        self._only_vouchers(call)
        done: list[Success] = []
        problems: list[Problem] = []
        for index, (identity, number) in enumerate(_chosen(call.data)):
            for voucher in self._found(identity, number, index, problems):
                try:
                    with self.books.transaction():
                        run(voucher)
                    done.append(replace(self._success(voucher), index=index))
                except ApiError as error:
                    problems += [replace(problem, index=index) for problem in error.problems]
                except RefusedError as error:
                    problems += [replace(problem, index=index) for problem in self._refusals(error, voucher)]
        return envelope(self.options, problems, done)

    def _found(self, identity: str, number: str, index: int, problems: list[Problem]) -> Iterator[Voucher]:
        found = (
            find_vouchers(self.books, self.options, number)
            if number
            else self.books.find("v.id = ?", (int(identity),))
            if identity.isdecimal() and len(identity) < 18
            else []
        )
        if not found:
            what = f"编码为“{number}”" if number else f"内码为“{identity}”"
            problems.append(Problem(f"{what}的凭证不存在或已被删除", code=NO_DATA, index=index))
        yield from found

    def _success(self, voucher: Voucher, returned: Json | None = None) -> Success:
        return Success(voucher.id, bill_number(self.books, self.options, voucher), returned=returned)

    def _refusals(self, error: RefusedError, voucher: Voucher | None) -> list[Problem]:
        with self.books.transaction() as db:
            kinds = {row["code"]: row["name"] for row in db.execute("SELECT code, name FROM kinds")}
        problems = []
        for refusal in error.refusals:
            if refusal.reason in (Reason.STATUS_FORBIDS, Reason.POSTED) and voucher is not None:
                text = f"{self._named(voucher)}已提交、已审核或已过账，不允许修改！"
                problems.append(Problem(text, "FDocumentStatus", FORBIDDEN))
            else:
                problems.append(as_problem(refusal, kinds))
        return problems

    def _only_vouchers(self, call: Call) -> None:
        form = form_of(self.options, call.form)
        if form.id != "GL_VOUCHER":
            raise failed(f"仿真系统中“{form.name}”只能查询", FORBIDDEN)


def _chosen(data: Json) -> list[tuple[str, str]]:
    """(id, number) of each document that `Numbers` (an array) or `Ids` (a text with commas) names.

    Raises:
        ApiError: neither, or in another form.
    """
    numbers, ids = field_of(data, "Numbers", []), field_of(data, "Ids", "")
    if not isinstance(numbers, list):
        raise failed("data数据包中的参数Numbers必须为数组。", NO_PARAMETER)
    if isinstance(ids, list | dict):
        raise failed("data数据包中的参数Ids必须为字符串。", NO_PARAMETER)
    chosen = [("", str(number)) for number in numbers if str(number)]
    if not chosen:
        chosen = [(part.strip(), "") for part in str(ids).split(",") if part.strip()]
    if not chosen:
        raise failed("data数据包中的参数Numbers和Ids的值不能同时为空。", NO_PARAMETER)
    if len(chosen) > MAX_BATCH:
        raise failed(f"单据数不能超过{MAX_BATCH}。", NO_PARAMETER)
    return chosen
