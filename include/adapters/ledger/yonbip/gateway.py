"""The ledger gateway for YonBIP and YonSuite.

The interface saves a voucher in one call and has none to audit, to post (过账) or to void one: that is the accountants'. So a
saved voucher counts as posted here, and drafts of ours do not come about.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from threading import Lock

from include.adapters.ledger.yonbip.answers import Answer
from include.adapters.ledger.yonbip.client import YonbipClient
from include.adapters.ledger.yonbip.mapping import (
    ASIDE,
    POSTED,
    Found,
    Refusal,
    body_of,
    number_of,
    refusals_of,
    say,
    status_of,
)
from include.adapters.ledger.yonbip.options import YonbipOptions
from include.adapters.ledger.yonbip.reading import VoucherReader, spans
from include.adapters.ledger.yonbip.references import References, pick, read_references, text_of
from include.domain.account import AccountBalance, AuxiliaryDimension, Chart
from include.domain.errors import FixConfig, FixData, OutcomeUnknown, RetryLater
from include.domain.money import AmountError, Money
from include.domain.period import FiscalPeriod, LedgerPeriod, PeriodState
from include.domain.voucher import (
    LedgerVoucher,
    LedgerVoucherState,
    PostingOutcome,
    PostingResult,
    Side,
    Voucher,
    VoucherKey,
    content_digest,
)
from include.ports import ProofLevel

log = logging.getLogger(__name__)

SAVE = "/yonbip/fi/ficloud/openapi/voucher/addVoucher"
DELETE = "/yonbip/fi/voucher/del"


class YonbipGateway:
    """One account book of a tenant; implements `include.ports.LedgerGateway`.

    Chart and periods are read once and again by `chart` and `periods`, and whenever they say that a voucher cannot be
    posted. Safe to share between threads.
    """

    name = "yonbip"
    ceiling_per_s: float | None = None
    """Not published for vouchers: the gateway refuses by codes, and the limiter slows down."""

    def __init__(self, client: YonbipClient, options: YonbipOptions, currency: str) -> None:
        """`currency` is the book's own, which the interface does not say."""
        form = options.form()
        self.batch_size = options.batch_size
        self.settle_s = options.settle_s
        self.proof_level = ProofLevel.DATE_AND_AMOUNT
        if form.key_field:
            is_native = options.business_id == "refused"
            self.proof_level = ProofLevel.NATIVE_KEY if is_native else ProofLevel.SEARCHABLE_REFERENCE
        self.dimension_kinds = frozenset(form.dimensions)
        self._client = client
        self._book = options.book
        self._currency = currency
        self._form = form
        self._page_size = options.page_size
        self._lock = Lock()
        self._references: References | None = None
        self._closed: set[str] = set()
        """Periods for which YonBIP refused a voucher as closed; the interface says it nowhere else."""
        self._is_key_proved = False

    def chart(self) -> Chart:
        return Chart(self._read_references().accounts)

    def periods(self) -> Sequence[LedgerPeriod]:
        return [self._as_learned(each) for each in self._read_references().periods]

    def period_of(self, day: date) -> LedgerPeriod | None:
        found = self._known().period_of(day)
        return self._as_learned(found) if found else None

    def check(self) -> str:
        references = self._read_references()
        if references.periods:
            self._reader(references).can_be_read(references.periods[-1].code)
        return (
            f"已登录用友：账簿 {references.book} {references.book_name} ({references.currency})，{len(references.accounts)} 个科目，"
            f"{len(references.periods)} 个会计期间 / let in by YonBIP: book {references.book}, {len(references.accounts)} accounts, "
            f"{len(references.periods)} periods"
        )

    def ensure_dimensions(self, values: Iterable[AuxiliaryDimension]) -> None:
        """Nothing to do beforehand: no documented interface looks auxiliary values of every kind up by code. YonBIP itself
        refuses a voucher that names one that it does not have.
        """

    def find(self, vouchers: Sequence[Voucher]) -> Mapping[VoucherKey, Sequence[LedgerVoucher]]:
        return self._find_by_key(vouchers) if self._form.key_field else self._find_by_day(vouchers)

    def _find_by_key(self, vouchers: Sequence[Voucher]) -> dict[VoucherKey, list[LedgerVoucher]]:
        wanted, reader = {str(voucher.key): voucher.key for voucher in vouchers}, self._reader()
        found: dict[VoucherKey, list[LedgerVoucher]] = {}
        for first, last in spans({voucher.period.code for voucher in vouchers}):
            for each in reader.by_key(wanted, first, last):
                found.setdefault(wanted[each.voucher.reference], []).append(each.voucher)
        return found

    def _find_by_day(self, vouchers: Sequence[Voucher]) -> dict[VoucherKey, list[LedgerVoucher]]:
        """Everything of our voucher's date whose debit total is ours, whoever made it."""
        days, there = {voucher.date for voucher in vouchers}, defaultdict(list)
        for first, last in spans({voucher.period.code for voucher in vouchers}, around=0):
            for page in self._reader().found(first, last):
                for each in page:
                    if each.voucher.date in days:
                        there[each.voucher.date, _debit_total(each.voucher)].append(each.voucher)
        found = {v.key: there.get((v.date, v.total.minor), []) for v in vouchers}
        return {key: copies for key, copies in found.items() if copies}

    def numbers(self, ledger_ids: Sequence[str]) -> Mapping[str, str]:
        return self._reader().numbers(ledger_ids)

    def post(self, vouchers: Sequence[Voucher]) -> Sequence[PostingResult]:
        """See `LedgerGateway.post`. The interface takes one voucher a call: a batch is as many calls.

        Once one of a batch was sent, trouble with a later one is OutcomeUnknown for all of it.
        """
        if len(vouchers) > self.batch_size:
            raise ValueError(f"{len(vouchers)} vouchers in one call, at most {self.batch_size}")
        refusals, references = self._resolve(vouchers)
        results: list[PostingResult] = []
        is_sent = False
        for voucher in vouchers:
            if refusals[voucher.key]:
                results.append(_rejected(voucher.key, say(refusals[voucher.key])))
                continue
            try:
                results.append(self._post_one(voucher, references))
            except (RetryLater, FixConfig, FixData) as error:
                if not is_sent:
                    raise
                raise OutcomeUnknown(
                    f"同批凭证已有发出的，须先查询 / others of the batch were sent, look before sending again: {error}"
                ) from error
            is_sent = True
        return results

    def complete(self, vouchers: Sequence[LedgerVoucher]) -> Sequence[LedgerVoucher]:
        """As they are now: nothing can be done to one by the interface.

        Raises:
            FixData: one is 暂存 or marked as wrong, which only a person can save.
        """
        there = self._there(vouchers)
        drafts = [each for each, found in there.items() if _is_draft(found)]
        if drafts:
            raise FixData(
                f"用友没有保存暂存凭证的接口，请在用友中处理凭证 {'、'.join(drafts)} / YonBIP has no interface that saves vouchers put "
                f"aside or marked as wrong, settle them there: {', '.join(drafts)}"
            )
        return [there[each.ledger_id].voucher for each in vouchers if each.ledger_id in there]

    def discard(self, vouchers: Sequence[LedgerVoucher]) -> None:
        there = self._there(vouchers)
        kept = [each.voucher.number or ledger_id for ledger_id, each in there.items() if each.status != ASIDE]
        if kept:
            raise FixData(
                f"凭证 {'、'.join(kept)} 不是暂存状态，不能删除，只能冲销 / {', '.join(kept)}: not merely put aside, so not to be deleted "
                "but reversed"
            )
        for ledger_id in there:
            self._delete(ledger_id)

    def vouchers(self, period: FiscalPeriod) -> Iterator[Sequence[LedgerVoucher]]:
        for page in self._reader().found(period.code, period.code, page_size=self._page_size):
            yield [each.voucher for each in page]

    def trial_balance(self, period: FiscalPeriod) -> Sequence[AccountBalance]:
        """Added up from the list: there is no documented interface for balances, so this proves nothing beyond it."""
        totals: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for page in self._reader().found(period.code, period.code):
            for found in page:
                if not _is_draft(found):
                    for line in found.voucher.lines:
                        totals[line.account][0 if line.side is Side.DEBIT else 1] += line.amount.minor
        return [AccountBalance(code, *sums) for code, sums in sorted(totals.items()) if any(sums)]

    def _there(self, vouchers: Sequence[LedgerVoucher]) -> dict[str, Found]:
        periods = {FiscalPeriod.of(each.date).code for each in vouchers}
        return self._reader().by_ids({each.ledger_id for each in vouchers}, periods)

    def _resolve(self, vouchers: Sequence[Voucher]) -> tuple[dict[VoucherKey, list[Refusal]], References]:
        """Why each voucher cannot be sent, with what was known; re-read once before anything is refused."""
        references = self._known()
        refusals = {each.key: refusals_of(each, references, self._form) for each in vouchers}
        if any(refusals.values()):
            references = self._read_references()
            refusals = {each.key: refusals_of(each, references, self._form) for each in vouchers}
        return refusals, references

    def _post_one(self, voucher: Voucher, references: References) -> PostingResult:
        body = body_of(voucher, references, self._form)
        answer = self._client.write(SAVE, body, is_keyed=self._form.sends_business_id)
        period = body["period"]
        if not answer.is_done:
            if answer.says_closed:
                self._closed.add(period)
            return self._settle(voucher, answer)
        self._closed.discard(period)
        data = answer.data if isinstance(answer.data, Mapping) else {}
        ledger_id = text_of(data, "voucherId", "id")
        if not ledger_id:
            raise OutcomeUnknown(
                f"{self._client.name}: 用友说已保存，但没有给出凭证 id，须先查询 / YonBIP says that it saved, without an id, look: {SAVE}"
            )
        if not self._is_ours(data, voucher):
            # Its guard against repeats gives back what the key had first: that may hold other content.
            return self._settle(voucher, answer)
        if status_of(data) not in POSTED and pick(data, "voucherStatus", "voucherstatus") is not None:
            message = (
                f"用友只暂存了凭证 {ledger_id}，请在用友中处理 / YonBIP only put it aside, settle it there"
            )
            return PostingResult(voucher.key, PostingOutcome.UNKNOWN, ledger_id, message=message)
        if refusal := self._key_refusal(voucher, ledger_id):
            return _rejected(voucher.key, refusal)
        bare = text_of(data, "billCode", "billcode")
        shown = number_of(data, self._form)
        return PostingResult(
            voucher.key,
            PostingOutcome.CREATED,
            ledger_id,
            f"{voucher.word}-{bare}" if shown == bare and bare not in ("", "0") else shown,
        )

    def _is_ours(self, data: Mapping[str, object], voucher: Voucher) -> bool:
        """Whether the totals of the answer are what we sent; where it gives none, it is believed."""
        for name in ("totalDebitOrg", "totalCreditOrg"):
            total = pick(data, name)
            try:
                if total is not None and Money.parse(total, voucher.currency) != voucher.total:
                    return False
            except AmountError:
                return False
        return True

    def _settle(self, voucher: Voucher, answer: Answer) -> PostingResult:
        """What a refusal means: one that is there under its key had been saved before, whatever YonBIP's words are.

        Without a key in the ledger only its codes for repeats tell it.
        """
        said = (
            f"用友拒绝：{answer.message} ({answer.code}) / YonBIP refuses: {answer.message} ({answer.code})"
        )
        may_be_there = answer.is_repeated or answer.is_done
        try:
            copies = self.find([voucher]).get(voucher.key, ()) if self._form.key_field else ()
        except (RetryLater, FixConfig, FixData) as error:
            raise OutcomeUnknown(
                f"用友拒绝了凭证，但未能查询是否已在其中，须再查询 / YonBIP refused the voucher, and whether it has it already could not be "
                f"read, look again: {answer.message}; {error}"
            ) from error
        if copies:
            there, kinds = copies[0], self.dimension_kinds
            is_same = content_digest(there.date, there.lines, kinds) == content_digest(
                voucher.date, voucher.lines, kinds
            )
            outcome = PostingOutcome.EXISTS if is_same else PostingOutcome.CONFLICT
            return PostingResult(voucher.key, outcome, there.ledger_id, there.number, "" if is_same else said)
        if may_be_there:
            message = (
                f"用友说此键已提交过，但查不到凭证，须再查询 / YonBIP has got this key before and does not list the voucher, look "
                f"again: {answer.message} ({answer.code})"
            )
            return PostingResult(voucher.key, PostingOutcome.UNKNOWN, message=message)
        return _rejected(voucher.key, said)

    def _key_refusal(self, voucher: Voucher, ledger_id: str) -> str:
        """Of the first voucher that is saved: why it was taken back, where YonBIP kept another key than we sent.

        Raises:
            OutcomeUnknown: it was saved and could not be read, or not be taken back.
        """
        if self._is_key_proved or not self._form.key_field:
            return ""
        try:
            detail = self._reader().detail(ledger_id)
            if detail is None or self._form.key_field not in detail:
                return ""  # nothing to compare with
            kept = text_of(detail, self._form.key_field)
            if kept == str(voucher.key):
                self._is_key_proved = True
                return ""
            self._delete(ledger_id)
        except (RetryLater, FixConfig, FixData) as error:
            raise OutcomeUnknown(
                f"凭证 {ledger_id} 已保存但未能核对或删除，须先查询 / the voucher was saved and could not be read back or deleted, look "
                f"before sending again: {error}"
            ) from error
        return (
            f"{self._form.key_field} 只留下键的 {len(kept)} 个字符，请设置 key_length、缩短账簿或来源的名称，或换用另一个 key_field / the "
            f"field keeps {len(kept)} characters of our key: set key_length and shorten the names of book or source, or use another "
            "key_field"
        )

    def _delete(self, ledger_id: str) -> None:
        """One at a time: the vendor's own limit. One that is gone already counts as deleted."""
        answer = self._client.write(DELETE, {"ids": [ledger_id]}, is_keyed=False)
        if not answer.is_done and not answer.says_absent:
            raise FixData(
                f"用友拒绝删除凭证 {ledger_id} / YonBIP refuses to delete it: {answer.message} ({answer.code})"
            )

    def _as_learned(self, period: LedgerPeriod) -> LedgerPeriod:
        return replace(period, state=PeriodState.CLOSED) if period.code in self._closed else period

    def _reader(self, references: References | None = None) -> VoucherReader:
        return VoucherReader(self._client, references or self._known(), self._form)

    def _known(self) -> References:
        with self._lock:
            references = self._references
        return references or self._read_references()

    def _read_references(self) -> References:
        references = read_references(
            self._client, book=self._book, currency=self._currency, dimensions=self._form.dimensions
        )
        with self._lock:
            self._references = references
        return references


def _is_draft(found: Found) -> bool:
    return found.voucher.state is LedgerVoucherState.DRAFT


def _debit_total(voucher: LedgerVoucher) -> int:
    return sum(line.amount.minor for line in voucher.lines if line.side is Side.DEBIT)


def _rejected(key: VoucherKey, message: str) -> PostingResult:
    return PostingResult(key, PostingOutcome.REJECTED, message=message)
