"""The exchange platform itself: a file of vouchers in, an answer for each of them out.

What a sender's id stands for is kept beside the books (the product has a table of ids for that, xx_idcontrastpk), in
the same transaction as the voucher: after a kill both are there or neither.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from include.emulators.ledger_books import Books
from include.emulators.ledger_rules import Draft, Reason, Refusal, RefusedError, Voucher, check
from include.emulators.nc.documents import DocumentError, SendResult, answer, child_text, decoded, parsed
from include.emulators.nc.options import Options
from include.emulators.nc.vouchers import Reader, in_words

Json = dict[str, Any]
BILL_TYPE = "vouchergl"
IDS = "xx_idcontrastpk"
SETTINGS = "settings"
PK_PREFIX = "1001ZZ"
PK_LENGTH = 20
AMOUNTS = (Reason.UNBALANCED, Reason.NO_AMOUNT, Reason.BOTH_SIDES)

UNREVIEWED, REVIEWED, POSTED, VOID = "未审核", "已审核", "已记账", "作废"


class _WholeFileError(Exception):
    """One voucher was refused at a site that takes whole files only."""


class _ImportedError(DocumentError):
    """An id that was imported before, as the voucher `known`."""

    def __init__(self, text: str, known: int) -> None:
        super().__init__(text)
        self.known = known


def pk_of(voucher_id: int) -> str:
    """A primary key as NC has them: 20 characters, in the order in which vouchers were made."""
    return PK_PREFIX + str(voucher_id).zfill(PK_LENGTH - len(PK_PREFIX))


def id_of(pk: str) -> int | None:
    """The inverse of `pk_of`, None for what is no key of this site."""
    digits = pk.removeprefix(PK_PREFIX)
    if len(pk) != PK_LENGTH or len(digits) == len(pk) or not (digits.isascii() and digits.isdecimal()):
        return None
    return int(digits)


@dataclass(slots=True)
class Platform:
    """One NC site: books and switches. Safe for concurrent calls; each voucher is one transaction."""

    books: Books
    options: Options

    def __post_init__(self) -> None:
        self.set_options(self.books.note(SETTINGS, "options") or {})

    def set_options(self, changes: Json) -> Json:
        """Change switches; they are kept over restarts. Gives all of them."""
        self.options = self.options.changed(changes)
        if changes:
            self.books.keep_note(SETTINGS, "options", (self.books.note(SETTINGS, "options") or {}) | changes)
        return self.options.as_json()

    # A file

    def exchange(self, body: bytes, content_type: str, query: Mapping[str, str]) -> tuple[str, str]:
        """(answer document without declaration, encoding of the request) for a file that was posted."""
        try:
            text, encoding = decoded(body, content_type)
        except DocumentError as error:
            return self.refusal(str(error)), "UTF-8"
        return self.exchange_text(text, query), encoding

    def exchange_text(self, text: str, query: Mapping[str, str]) -> str:
        """The answer document for a file as text; `query` are the parameters of the URL, if it came by one."""
        try:
            root = parsed(text)
            self._check_root(root, query)
            results = self._import_all(root)
        except DocumentError as error:
            return self.refusal(str(error))
        kept = ("billtype", "groupcode", "isexchange", "receiver", "replace", "sender")
        if self.options.answer_order == "reversed":
            results.reverse()
        return answer(
            self.options,
            {name: root.get(name, "") for name in kept} | {"roottag": "sendresult"},
            results,
        )

    def refusal(self, text: str) -> str:
        """The answer to a file that was not looked into: one sendresult without an id."""
        return answer(
            self.options,
            {"roottag": "sendresult"},
            [SendResult("", False, self.options.error_code, text)],
        )

    def _check_root(self, root: ET.Element, query: Mapping[str, str]) -> None:
        """Who sends what to where; parameters of the URL win over attributes."""
        if root.tag != "ufinterface":
            raise DocumentError(f"报文根节点应为ufinterface，不能为{root.tag[:60]}")
        account = query.get("account") or root.get("account") or ""
        if account != self.options.account:
            raise DocumentError(f"账套{account[:40]}不存在")
        group = query.get("groupcode") or root.get("groupcode") or ""
        if group and group != self.options.group:
            raise DocumentError(f"集团{group[:40]}不存在")
        if not group and not (query.get("receiver") or root.get("receiver")):
            raise DocumentError("接收方不能为空")
        sender = root.get("sender", "")
        if sender not in self.options.senders:
            raise DocumentError(f"外部系统{sender[:40]}未注册，请在外部系统信息设置中登记")
        bill_type = root.get("billtype", "")
        if bill_type != BILL_TYPE:
            raise DocumentError(f"单据类型{bill_type[:40]}没有注册")
        count = len(root.findall("voucher"))
        if not count:
            raise DocumentError("报文中没有单据")
        if self.options.max_vouchers and count > self.options.max_vouchers:
            raise DocumentError(f"一次传输的单据数{count}超过{self.options.max_vouchers}")

    def _import_all(self, root: ET.Element) -> list[SendResult]:
        results: list[SendResult] = []
        if not self.options.file_is_atomic:
            return [self._import(root, element) for element in root.findall("voucher")]
        try:
            with self.books.transaction():
                results += [self._import(root, element) for element in root.findall("voucher")]
                if not all(result.is_ok for result in results):
                    raise _WholeFileError
        except _WholeFileError:
            return [self._taken_back(result) if result.is_ok else result for result in results]
        return results

    def _taken_back(self, result: SendResult) -> SendResult:
        return SendResult(
            result.voucher_id, False, self.options.error_code, "同一报文中有单据导入失败，本单据未导入"
        )

    # A voucher

    def _import(self, root: ET.Element, element: ET.Element) -> SendResult:
        options, voucher_id = self.options, element.get("id", "").strip()
        try:
            with self.books.transaction():
                saved = self._carry_out(root, element, voucher_id)
        except _ImportedError as error:
            return SendResult(voucher_id, False, options.exists_code, str(error), billpk=pk_of(error.known))
        except DocumentError as error:
            return SendResult(voucher_id, False, options.error_code, str(error))
        return SendResult(
            voucher_id,
            True,
            options.ok_code,
            f"单据{voucher_id}开始处理...单据{voucher_id}处理完毕!",
            self._content(saved),
            pk_of(saved.id),
        )

    def _carry_out(self, root: ET.Element, element: ET.Element, voucher_id: str) -> Voucher:
        """Import one voucher and remember its id.

        Raises:
            DocumentError: it is refused; an _ImportedError where its id was imported before.
        """
        if self.options.id_required and not voucher_id:
            raise DocumentError("单据id不能为空")
        heads = element.findall("voucher_head")
        if len(heads) != 1 or len(heads[0].findall("details")) != 1:
            raise DocumentError("每个voucher应有一个voucher_head，其中有一个details")
        sender, pk = root.get("sender", ""), child_text(heads[0], "pk_voucher")
        known = self._known(sender, voucher_id)
        if known is not None and root.get("replace") != "Y" and not pk:
            raise _ImportedError(self.options.exists_text.replace("{id}", voucher_id), known)
        reader = Reader(self.books, self.options, heads[0], sender, voucher_id)
        saved = self._save(reader, self._target(pk, known), is_named=bool(pk))
        if voucher_id:
            self.books.keep_note(IDS, self._key(sender, voucher_id), saved.id)
        return saved

    def _target(self, pk: str, known: int | None) -> int | None:
        """The voucher to replace; None for a new one. A key that is none of this site's points nowhere (0)."""
        if pk:
            return id_of(pk) or 0
        return known if known is not None and self._stands(known) else None

    def _save(self, reader: Reader, target: int | None, *, is_named: bool) -> Voucher:
        """Import one voucher, over `target` if there is one.

        Raises:
            DocumentError: it is refused; nothing has changed.
        """
        options = self.options
        if is_named and not (target and self._stands(target)):
            raise DocumentError("要修改的凭证不存在")
        draft = reader.draft()
        if draft is None or reader.problems:
            raise DocumentError(self._joined(reader.problems + self._also(draft)))
        if target is not None:
            old = self.books.voucher(target)
            self._check_period(old)
            draft = replace(draft, reference=draft.reference or old.reference)
        try:
            saved = self.books.save(
                draft,
                status=UNREVIEWED,
                voucher_id=target,
                editable={UNREVIEWED},
                actor=reader.sender,
            )
            if reader.is_void != saved.void:
                self.books.set_void(saved.id, void=reader.is_void, allowed={UNREVIEWED}, actor=reader.sender)
            if options.post_on_import and not reader.is_void:
                self.books.post(saved.id, allowed={UNREVIEWED}, actor=reader.sender)
        except RefusedError as error:
            raise DocumentError(self._joined(self._in_words(error.refusals, draft))) from error
        return self.books.voucher(saved.id)

    def _also(self, draft: Draft | None) -> list[str]:
        """What else is wrong with a voucher that could not be read whole; amounts are left aside, they may be unread."""
        if draft is None:
            return []
        return self._in_words(check(draft, self.books, waive=AMOUNTS), draft)

    def _in_words(self, refusals: Iterable[Refusal], draft: Draft) -> list[str]:
        scale = self.books.scale(str(self.books.book(draft.book)["currency"])) or 0
        return [in_words(refusal, self.options, draft, scale) for refusal in refusals]

    def _check_period(self, old: Voucher) -> None:
        """A voucher in a closed period is not moved out of it."""
        for period in self.books.periods(old.book):
            if (period.year, period.period) == (old.year, old.period) and period.state == "closed":
                name = f"{old.year}-{old.period:02d}"
                raise DocumentError(f"核算账簿{old.book}的会计期间{name}已经结账")

    def _joined(self, texts: list[str]) -> str:
        return texts[0] if self.options.problems == "first" else "；".join(texts)

    def _stands(self, voucher_id: int) -> bool:
        return bool(self.books.find("v.id = ?", (voucher_id,), limit=1))

    # Ids of senders

    def _key(self, sender: str, voucher_id: str) -> str:
        return f"{sender if self.options.id_by_sender else ''}|{BILL_TYPE}|{voucher_id}"

    def _known(self, sender: str, voucher_id: str) -> int | None:
        """The voucher that an id was imported as, whether it still stands or not."""
        if not voucher_id:
            return None
        known: int | None = self.books.note(IDS, self._key(sender, voucher_id))
        if known is not None and self.options.deleted_id == "free" and not self._stands(known):
            return None
        return known

    def forget_id(self, sender: str, voucher_id: str) -> bool:
        """What an administrator does to the table of ids; whether there was one."""
        with self.books.transaction():
            was = self.books.note(IDS, self._key(sender, voucher_id)) is not None
            self.books.keep_note(IDS, self._key(sender, voucher_id), None)
        return was

    def ids(self) -> list[Json]:
        """The table of ids."""
        with self.books.transaction() as db:
            rows = db.execute("SELECT key, value FROM notes WHERE space = ? ORDER BY key", (IDS,)).fetchall()
        found = []
        for row in rows:
            sender, _, voucher_id = row["key"].split("|", 2)
            number = int(row["value"])
            found.append(
                {
                    "sender": sender,
                    "id": voucher_id,
                    "pk_voucher": pk_of(number),
                    "stands": self._stands(number),
                }
            )
        return found

    def _content(self, voucher: Voucher) -> str:
        if self.options.content == "empty":
            return ""
        if self.options.content == "pk":
            return pk_of(voucher.id)
        with self.books.transaction() as db:
            word = db.execute("SELECT name FROM words WHERE code = ?", (voucher.word,)).fetchone()["name"]
        return f"{voucher.year}|{voucher.period:02d}|{word}|{voucher.number}"
