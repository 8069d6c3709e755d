"""`LedgerGateway` for the accounting server of `ledger_server`: one class for each way of finding a voucher again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from itertools import islice
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from include.connections import Endpoint
from include.domain.account import Account, AccountBalance, AuxiliaryDimension, Chart
from include.domain.errors import FixConfig, FixData, OutcomeUnknown, RetryLater
from include.domain.money import Money, to_decimal
from include.domain.period import Calendar, FiscalPeriod, LedgerPeriod, PeriodState
from include.domain.voucher import (
    JournalLine,
    LedgerLine,
    LedgerVoucher,
    LedgerVoucherState,
    PostingOutcome,
    PostingResult,
    Side,
    Voucher,
    VoucherKey,
)
from include.pace import limiter_of
from include.ports import LedgerGateway, ProofLevel
from include.settings import Book
from tests.chaos.ledger_client import KeysTaken, LedgerClient, LedgerRefusal

ALREADY_THERE = "E1011"
ALREADY_AUDITED = "E3002"
STATES = {
    "draft": LedgerVoucherState.DRAFT,
    "audited": LedgerVoucherState.POSTED,
    "offset": LedgerVoucherState.REVERSED,
}
CHUNK = 100
"""How many keys, ids or days one call asks for."""


class _Gateway(ABC):
    """What all levels share. Nothing is kept between calls but the login.

    Args:
        create_missing: Kinds of dimension values that may be made.
        steps: 1: vouchers are created audited. 2: drafts are made and audited by a second call.
        settle_s: The longest that a lost call may still be at work, and that a new voucher is missing in searches.
        page_size: How many vouchers of a period are listed at once.
    """

    proof_level: ProofLevel
    name = "chaos"
    ceiling_per_s: float | None = None
    """Each server has its own: the book's `ledger.calls_per_s`."""
    dimension_kinds = frozenset({"employee", "supplier", "customer", "department", "project"})

    def __init__(
        self,
        client: LedgerClient,
        *,
        currency: str,
        create_missing: Iterable[str] = (),
        steps: int = 1,
        batch_size: int = 20,
        settle_s: float = 3.0,
        page_size: int = 200,
    ) -> None:
        self.client = client
        self.batch_size = batch_size
        self.settle_s = settle_s
        self._currency = currency
        self._create_missing = frozenset(create_missing)
        self._steps = steps
        self._page_size = page_size

    # -- what differs by level -------------------------------------------------------------------------

    @abstractmethod
    def own_fields(self, voucher: Voucher) -> Mapping[str, str]:
        """The fields of a voucher that carry our key."""

    @abstractmethod
    def mark(self, voucher: Voucher) -> str:
        """What it is searched by."""

    @abstractmethod
    def mark_in(self, item: Mapping[str, Any]) -> str:
        """The same of a voucher in the ledger."""

    @abstractmethod
    def condition(self, marks: Sequence[str]) -> Mapping[str, Any]:
        """The search for some marks."""

    # -- reading ---------------------------------------------------------------------------------------

    def check(self) -> str:
        system = self._read("/api/system")
        for what, ours, theirs in (
            ("币种 / currency", self._currency, system["currency"]),
            ("查询方式 / level", self.proof_level, system["level"]),
        ):
            if ours != theirs:
                raise FixConfig(
                    f"{self.name}: {what} 应为 {theirs}，而不是 {ours}，请修改账簿设置 / is {theirs} in the ledger, not {ours}: "
                    "correct the book"
                )
        return f"已登录账务系统，{len(self.chart().accounts)} 个科目 / logged in to the ledger"

    def chart(self) -> Chart:
        accounts: list[Account] = []
        page = {"items": [], "more": True}
        while page["more"]:
            page = self._read("/api/accounts", after=accounts[-1].code if accounts else "")
            accounts += [_account(each) for each in page["items"]]
        return Chart.of(accounts)

    def periods(self) -> Sequence[LedgerPeriod]:
        return [
            LedgerPeriod(
                _our_period(each["code"]),
                date.fromisoformat(each["start"]),
                date.fromisoformat(each["end"]),
                _state(each),
                each["adjustment"],
            )
            for each in self._read("/api/periods")
        ]

    def period_of(self, day: date) -> LedgerPeriod | None:
        return Calendar(self.periods()).holding(day)

    def find(self, vouchers: Sequence[Voucher]) -> Mapping[VoucherKey, Sequence[LedgerVoucher]]:
        found: dict[str, list[LedgerVoucher]] = defaultdict(list)
        for marks in _chunks(sorted({self.mark(voucher) for voucher in vouchers})):
            for item in self._pages("/api/vouchers/search", self.condition(marks)):
                found[self.mark_in(item)].append(self._voucher(item))
        return {voucher.key: found[self.mark(voucher)] for voucher in vouchers if self.mark(voucher) in found}

    def numbers(self, ledger_ids: Sequence[str]) -> Mapping[str, str]:
        return {
            item["id"]: _number(item)
            for chunk in _chunks(ledger_ids)
            for item in self._read("/api/vouchers/numbers", ids=chunk)
        }

    def vouchers(self, period: FiscalPeriod) -> Iterator[Sequence[LedgerVoucher]]:
        items = self._pages("/api/vouchers/list", {"period": _their_period(period), "limit": self._page_size})
        while page := [self._voucher(item) for item in islice(items, self._page_size)]:
            yield page

    def trial_balance(self, period: FiscalPeriod) -> Sequence[AccountBalance]:
        balances = [
            AccountBalance(each["account"], self._minor(each["debit"]), self._minor(each["credit"]))
            for each in self._read("/api/balances", period=_their_period(period))
        ]
        return [each for each in balances if each.debit_minor or each.credit_minor]

    # -- writing ---------------------------------------------------------------------------------------

    def ensure_dimensions(self, values: Iterable[AuxiliaryDimension]) -> None:
        by_kind: dict[str, dict[str, AuxiliaryDimension]] = defaultdict(dict)
        for value in values:
            if value.kind in self.dimension_kinds:
                by_kind[value.kind].setdefault(value.code, value)
        missing = [
            wanted[code]
            for kind, wanted in by_kind.items()
            for chunk in _chunks(list(wanted))
            for code in sorted({*chunk} - self._known_codes(kind, chunk))
        ]
        refused = [value for value in missing if value.kind not in self._create_missing]
        if refused:
            names = "、".join(f"{value.kind} {value.code}" for value in refused)
            raise FixData(
                f"账务系统没有 {names}，请在其中建立，或将其种类加入账簿的 ledger.create_missing / the ledger has no {names}: "
                "create them there, or name their kinds in the book's ledger.create_missing"
            )
        for value in missing:
            self._add(value)

    def post(self, vouchers: Sequence[Voucher]) -> Sequence[PostingResult]:
        """See `LedgerGateway.post`. Other content under a voucher's key is CONFLICT, the same content EXISTS."""
        if len(vouchers) > self.batch_size:
            raise ValueError(f"{len(vouchers)} vouchers in one call, at most {self.batch_size}")
        if not vouchers:
            return []
        try:
            items = self.create(vouchers, audit=self._steps == 1)
        except KeysTaken as taken:
            return self._without_taken(vouchers, taken)
        except LedgerRefusal as refusal:
            said = {error["index"]: error["message"] for error in refusal.errors}
            return [
                PostingResult(
                    voucher.key, PostingOutcome.REJECTED, message=_refused(said.get(index), refusal)
                )
                for index, voucher in enumerate(vouchers)
            ]
        drafts = (
            [item["id"] for item in items if item["ok"] and not item["existed"]] if self._steps == 2 else []
        )
        try:
            numbers = self._audit_new(drafts)
        except LedgerRefusal as refusal:
            return [
                PostingResult(voucher.key, PostingOutcome.REJECTED, message=str(refusal))
                if item.get("id") in drafts
                else _result(voucher, item, {})
                for voucher, item in zip(vouchers, items, strict=True)
            ]
        return [_result(voucher, item, numbers) for voucher, item in zip(vouchers, items, strict=True)]

    def complete(self, vouchers: Sequence[LedgerVoucher]) -> Sequence[LedgerVoucher]:
        for each in vouchers:
            if each.state is not LedgerVoucherState.DRAFT:
                continue
            try:
                self.client.call("/api/vouchers/audit", writes=True, ids=[each.ledger_id])
            except LedgerRefusal as refusal:
                if refusal.code != ALREADY_AUDITED:
                    raise
        return self._read_by_id([each.ledger_id for each in vouchers])

    def discard(self, vouchers: Sequence[LedgerVoucher]) -> None:
        there = self._read_by_id([each.ledger_id for each in vouchers])
        if there:  # the server refuses all of them where one is audited
            self.client.call("/api/vouchers/delete", writes=True, ids=[each.ledger_id for each in there])

    def create(self, vouchers: Sequence[Voucher], *, audit: bool) -> list[dict[str, Any]]:
        """One call that creates vouchers, as drafts or audited; the server's own answer for each."""
        items: list[dict[str, Any]] = self.client.call(
            "/api/vouchers/create",
            writes=True,
            vouchers=[self._values(voucher) for voucher in vouchers],
            audit=audit,
        )
        return items

    def _without_taken(self, vouchers: Sequence[Voucher], taken: KeysTaken) -> Sequence[PostingResult]:
        """The call was refused because of some keys: those are conflicts, and the others go alone."""
        others = [voucher for voucher in vouchers if str(voucher.key) not in taken.keys]
        if len(others) == len(vouchers):
            raise OutcomeUnknown(
                f"账务系统报告幂等键冲突但未说明是哪一张，须先查询 / a key is taken and it is not said which, look first: {taken}"
            ) from taken
        results = {result.key: result for result in self.post(others)}
        return [
            results.get(v.key) or PostingResult(v.key, PostingOutcome.CONFLICT, message=str(taken))
            for v in vouchers
        ]

    def _audit_new(self, ids: Sequence[str]) -> Mapping[str, str]:
        """Audit drafts that were made just now, and give their numbers.

        Raises:
            LedgerRefusal: the books would not, and the drafts are gone again.
            OutcomeUnknown: they are there, as drafts or audited.
        """
        if not ids:
            return {}
        try:
            items = self.client.call("/api/vouchers/audit", writes=True, ids=list(ids))
        except LedgerRefusal as refusal:
            if refusal.code != ALREADY_AUDITED:
                self._discard(ids, refusal)
                raise
            raise OutcomeUnknown(
                f"凭证已被他人审核，须先查询 / somebody has audited it already, look first: {refusal}"
            ) from refusal
        except (RetryLater, FixConfig) as error:
            raise OutcomeUnknown(
                f"草稿已建立但未能审核，须先查询 / drafts were made and could not be audited, look before sending again: {error}"
            ) from error
        return {item["id"]: _number(item) for item in items}

    def _discard(self, ids: Sequence[str], refusal: FixData) -> None:
        try:
            self.client.call("/api/vouchers/delete", writes=True, ids=list(ids))
        except (RetryLater, FixData, FixConfig) as error:
            raise OutcomeUnknown(
                f"账务系统拒绝审核，草稿未能删除，须先查询 / the ledger refused and the drafts could not be deleted, look first: "
                f"{refusal}; {error}"
            ) from error

    def _add(self, value: AuxiliaryDimension) -> None:
        body = {"kind": value.kind, "code": value.code, "name": value.name}
        try:
            self.client.call("/api/auxiliary/add", writes=False, **body)  # a repetition changes nothing
        except LedgerRefusal as refusal:
            if refusal.code != ALREADY_THERE:
                raise

    # -- their form and ours ---------------------------------------------------------------------------

    def _read(self, path: str, **body: Any) -> Any:
        return self.client.call(path, writes=False, **body)

    def _known_codes(self, kind: str, codes: Sequence[str]) -> set[str]:
        return {item["code"] for item in self._read("/api/auxiliary/query", kind=kind, codes=list(codes))}

    def _pages(self, path: str, condition: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        after, more = "0", True
        while more:
            page = self._read(path, **condition, after=after)
            yield from page["items"]
            more = page["more"]
            after = page["items"][-1]["id"] if more else after

    def _read_by_id(self, ids: Sequence[str]) -> list[LedgerVoucher]:
        items = [item for chunk in _chunks(ids) for item in self._read("/api/vouchers/read", ids=chunk)]
        return [self._voucher(item) for item in items]

    def _values(self, voucher: Voucher) -> dict[str, Any]:
        return {
            "word": voucher.word,
            "date": voucher.date.isoformat(),
            "entries": [self._entry(line) for line in voucher.lines],
            **self.own_fields(voucher),
        }

    def _entry(self, line: JournalLine) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "account": line.account,
            str(line.side): _text(line.amount),
            "summary": line.summary,
            "auxiliary": {d.kind: d.code for d in line.dimensions if d.kind in self.dimension_kinds},
        }
        if line.transaction is not None:
            entry |= {"currency": line.transaction.currency, "original": _text(line.transaction)}
        return entry

    def _voucher(self, item: Mapping[str, Any]) -> LedgerVoucher:
        return LedgerVoucher(
            ledger_id=item["id"],
            number=_number(item),
            reference=item.get("idempotencyKey") or item.get("memo") or "",
            date=date.fromisoformat(item["date"]),
            period=_our_period(item["period"]),
            state=STATES[item["status"]],
            lines=tuple(self._line(entry) for entry in item["entries"]),
        )

    def _line(self, entry: Mapping[str, Any]) -> LedgerLine:
        side = Side.DEBIT if entry["debit"] else Side.CREDIT
        original = entry["original"]
        return LedgerLine(
            side,
            entry["account"],
            Money.parse(entry[str(side)], self._currency),
            tuple(sorted(AuxiliaryDimension(d["kind"], d["code"], d["name"]) for d in entry["auxiliary"])),
            None if original is None else Money.parse(original, entry["currency"]),
            entry["summary"],
        )

    def _minor(self, text: str) -> int:
        return Money.parse(text, self._currency).minor


class NativeKeyGateway(_Gateway):
    """The server keeps our key in a field of its own and never makes a second voucher under it."""

    proof_level = ProofLevel.NATIVE_KEY

    def own_fields(self, voucher: Voucher) -> Mapping[str, str]:
        return {"idempotencyKey": str(voucher.key)}

    def mark(self, voucher: Voucher) -> str:
        return str(voucher.key)

    def mark_in(self, item: Mapping[str, Any]) -> str:
        return str(item["idempotencyKey"])

    def condition(self, marks: Sequence[str]) -> Mapping[str, Any]:
        return {"idempotencyKeys": list(marks)}


class ReferenceGateway(_Gateway):
    """Our key is text in the memo, which can be searched and may be there twice."""

    proof_level = ProofLevel.SEARCHABLE_REFERENCE

    def own_fields(self, voucher: Voucher) -> Mapping[str, str]:
        return {"memo": str(voucher.key)}

    def mark(self, voucher: Voucher) -> str:
        return str(voucher.key)

    def mark_in(self, item: Mapping[str, Any]) -> str:
        return str(item["memo"])

    def condition(self, marks: Sequence[str]) -> Mapping[str, Any]:
        return {"memos": list(marks)}


class DateAndAmountGateway(_Gateway):
    """The server keeps nothing of ours: what is found has the voucher's date and total, whoever made it."""

    proof_level = ProofLevel.DATE_AND_AMOUNT

    def own_fields(self, voucher: Voucher) -> Mapping[str, str]:
        return {}

    def mark(self, voucher: Voucher) -> str:
        return f"{voucher.date} {_text(voucher.total)}"

    def mark_in(self, item: Mapping[str, Any]) -> str:
        return f"{item['date']} {_text(Money.parse(item['total'], self._currency))}"

    def condition(self, marks: Sequence[str]) -> Mapping[str, Any]:
        return {"days": [dict(zip(("date", "total"), mark.split(" "), strict=True)) for mark in marks]}


GATEWAYS: dict[ProofLevel, type[_Gateway]] = {
    each.proof_level: each for each in (NativeKeyGateway, ReferenceGateway, DateAndAmountGateway)
}


class ChaosOptions(BaseModel):
    """The book's `ledger.options`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    level: ProofLevel = ProofLevel.NATIVE_KEY
    steps: Literal[1, 2] = 1
    batch_size: int = Field(default=20, ge=1)
    settle_s: float = Field(default=3.0, ge=0)
    read_timeout_s: float = Field(default=30.0, gt=0)


def build_ledger(book: Book, endpoint: Endpoint) -> LedgerGateway:
    """The gateway of a book whose ledger's system is `chaos`.

    Raises:
        FixConfig: options that do not exist or do not fit.
    """
    try:
        options = ChaosOptions.model_validate(dict(book.ledger.options))
    except ValidationError as error:
        raise FixConfig(f"{book.file}: ledger.options 有误 / wrong options: {error}") from error
    limiter = limiter_of(endpoint.name, book.ledger.calls_per_s, book.ledger.burst)
    return GATEWAYS[options.level](
        LedgerClient(endpoint, read_timeout_s=options.read_timeout_s, limiter=limiter),
        currency=book.currency,
        create_missing=book.ledger.create_missing,
        steps=options.steps,
        batch_size=options.batch_size,
        settle_s=options.settle_s,
    )


def _result(voucher: Voucher, item: Mapping[str, Any], numbers: Mapping[str, str]) -> PostingResult:
    if not item["ok"]:
        message = f"账务系统拒绝：{item['message']} / the ledger refuses: {item['message']} ({item['code']})"
        return PostingResult(voucher.key, PostingOutcome.REJECTED, message=message)
    outcome = PostingOutcome.EXISTS if item["existed"] else PostingOutcome.CREATED
    return PostingResult(voucher.key, outcome, item["id"], numbers.get(item["id"]) or _number(item))


def _refused(said: str | None, refusal: LedgerRefusal) -> str:
    """Why a voucher of a batch that was refused as a whole did not go in, as far as the server says."""
    return f"账务系统拒绝：{said} / the ledger refuses: {said}" if said else str(refusal)


def _account(item: Mapping[str, Any]) -> Account:
    required = frozenset({"party"} if item["auxiliaryRequired"] else ())
    return Account(item["code"], item["name"], is_leaf=item["detail"], required_dimensions=required)


def _number(item: Mapping[str, Any]) -> str:
    return f"{item['word']}-{item['number']}" if item["number"] else ""


def _text(amount: Money) -> str:
    return f"{to_decimal(amount.minor, amount.currency):f}"


def _their_period(period: FiscalPeriod) -> str:
    return period.code.replace("-", "")


def _state(period: Mapping[str, Any]) -> PeriodState:
    if period["closed"]:
        return PeriodState.CLOSED
    return PeriodState.NOT_YET_OPEN if period["future"] else PeriodState.OPEN


def _our_period(code: str) -> str:
    return f"{code[:4]}-{code[4:]}"


def _chunks(values: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(values), CHUNK):
        yield list(values[start : start + CHUNK])
