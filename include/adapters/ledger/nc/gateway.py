"""The ledger gateway for NC's 外部交换平台.

The platform imports a voucher in one step and can neither audit, post, void nor delete one: that is the accountants'. So an
imported voucher counts as posted here, and drafts do not come about. An id that was imported before is refused by NC itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from threading import Lock

from include.adapters.ledger.nc.answers import SendResult
from include.adapters.ledger.nc.client import NcClient
from include.adapters.ledger.nc.mapping import (
    TALLIED,
    Refusal,
    document_of,
    found_voucher,
    number_of,
    refusals_of,
    say,
)
from include.adapters.ledger.nc.options import NcOptions
from include.adapters.ledger.nc.references import References, field_of, pages, read_references, text_of
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


class NcGateway:
    """One accounting book of an NC site; implements `include.ports.LedgerGateway`.

    Chart and periods are read once and again by `chart` and `periods`, and whenever they say that a voucher cannot be
    posted. Safe to share between threads.
    """

    name = "nc"
    proof_level = ProofLevel.NATIVE_KEY
    ceiling_per_s: float | None = None
    """Not published."""

    def __init__(self, client: NcClient, options: NcOptions, currency: str) -> None:
        """`currency` is the book's own, which the views do not say."""
        self.batch_size = options.batch_size
        self.settle_s = options.settle_s
        self.dimension_kinds = frozenset(options.dimensions)
        self._client = client
        self._options = options
        self._currency = currency
        self._lock = Lock()
        self._references: References | None = None
        self._names: dict[AuxiliaryDimension, str] = {}

    def chart(self) -> Chart:
        return Chart(self._read_references().accounts)

    def periods(self) -> Sequence[LedgerPeriod]:
        return self._read_references().periods

    def period_of(self, day: date) -> LedgerPeriod | None:
        return self._known().period_of(day)

    def check(self) -> str:
        references, book = self._read_references(), self._options.book
        if references.periods:
            query = {"book": book, "period": references.periods[0].code, "limit": "1"}
            self._client.view("vouchers", query)
        return (
            f"NC 的视图可读：账簿 {book}，{len(references.accounts)} 个科目，{len(references.periods)} 个会计期间；交换平台只在制证时才用到 / "
            f"the views can be read: book {book}, {len(references.accounts)} accounts, {len(references.periods)} periods; the "
            "exchange platform itself is first called for a voucher"
        )

    def ensure_dimensions(self, values: Iterable[AuxiliaryDimension]) -> None:
        wanted = sorted({value for value in values if value.kind in self.dimension_kinds})
        missing = []
        for kind in sorted({value.kind for value in wanted}):
            query = {"type": self._options.dimensions[kind]}
            rows = (row for page in pages(self._client, "aux", query) for row in page)
            known = {text_of(row, "code") for row in rows if field_of(row, "enabled") is not False}
            missing += [value for value in wanted if value.kind == kind and value.code not in known]
        if missing:
            names = "、".join(f"{value.kind} {value.code}" for value in missing)
            raise FixData(
                f"NC 没有 {names}，或已停用，请在 NC 中建立 / NC has no {names} in use: create them there first"
            )

    def find(self, vouchers: Sequence[Voucher]) -> Mapping[VoucherKey, Sequence[LedgerVoucher]]:
        references = self._known()
        found: dict[VoucherKey, list[LedgerVoucher]] = {}
        for key in dict.fromkeys(voucher.key for voucher in vouchers):
            query = {"book": self._options.book, "external_id": str(key)}
            rows = (row for page in pages(self._client, "vouchers", query, "pk_voucher") for row in page)
            copies = [self._found(row, references) for row in rows]
            if copies := [each for each in copies if each.reference == str(key)]:
                found[key] = copies
        return found

    def numbers(self, ledger_ids: Sequence[str]) -> Mapping[str, str]:
        """Read from the periods, the newest first, until all are found: the view knows no look-up by NC's own key."""
        wanted = set(ledger_ids)
        found: dict[str, str] = {}
        for period in reversed(self._known().periods):
            if not wanted - found.keys():
                break
            if period.state is not PeriodState.NOT_YET_OPEN:
                for page in self._rows(period.code):
                    shown = {text_of(row, "pk_voucher"): row for row in page}
                    found |= {each: number_of(shown[each], self._options) for each in wanted & shown.keys()}
        return found

    def post(self, vouchers: Sequence[Voucher]) -> Sequence[PostingResult]:
        """See `LedgerGateway.post`. What can be told beforehand is refused per voucher, the rest is one file."""
        if len(vouchers) > self.batch_size:
            raise ValueError(f"{len(vouchers)} vouchers in one call, at most {self.batch_size}")
        refusals = self._resolve(vouchers)
        results = {key: _rejected(key, say(texts)) for key, texts in refusals.items() if texts}
        batch = [voucher for voucher in vouchers if not refusals[voucher.key]]
        if batch:
            answers: dict[str, list[SendResult]] = defaultdict(list)
            for answer in self._client.exchange(document_of(batch, self._options)):
                answers[answer.voucher_id].append(answer)
            results |= self._settle(batch, answers)
        return [results[voucher.key] for voucher in vouchers]

    def complete(self, vouchers: Sequence[LedgerVoucher]) -> Sequence[LedgerVoucher]:
        """As they are now: an imported voucher is whole."""
        there = self._there(vouchers)
        return [there[each.ledger_id] for each in vouchers if each.ledger_id in there]

    def discard(self, vouchers: Sequence[LedgerVoucher]) -> None:
        there = self._there(vouchers)
        if there:
            names = "、".join(each.number or each.ledger_id for each in there.values())
            raise FixData(
                f"外部交换平台不能删除凭证 {names}，请在 NC 中处理或冲销 / the exchange platform deletes no vouchers, settle or reverse them "
                f"in NC: {names}"
            )

    def vouchers(self, period: FiscalPeriod) -> Iterator[Sequence[LedgerVoucher]]:
        references = self._known()
        for page in self._rows(period.code):
            yield [self._found(row, references) for row in page]

    def trial_balance(self, period: FiscalPeriod) -> Sequence[AccountBalance]:
        """The view of balances, which holds posted (已记账) vouchers alone, and those of the list that wait for that."""
        totals: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        query = {"book": self._options.book, "period": period.code}
        for page in pages(self._client, "balances", query):
            for row in page:
                try:
                    sums = [Money.parse(row.get(name), self._currency).minor for name in ("debit", "credit")]
                except AmountError as error:
                    raise FixData(
                        f"视图 balances 不能读取 / the view balances cannot be read: {error}"
                    ) from error
                for place, minor in enumerate(sums):
                    totals[text_of(row, "account")][place] += minor
        references = self._known()
        for page in self._rows(period.code):
            for row in page:
                found = self._found(row, references)
                if text_of(row, "status") == TALLIED or found.state is LedgerVoucherState.REVERSED:
                    continue
                for line in found.lines:
                    totals[line.account][0 if line.side is Side.DEBIT else 1] += line.amount.minor
        return [AccountBalance(code, *sums) for code, sums in sorted(totals.items()) if any(sums)]

    def _found(self, row: Mapping[str, object], references: References) -> LedgerVoucher:
        """A voucher of the view, its auxiliary values with the names that another view has."""
        found = found_voucher(row, references, self._options)
        values = {value for line in found.lines for value in line.dimensions if not value.name}
        for kind in sorted({value.kind for value in values if value not in self._names}):
            self._names |= {value: "" for value in values if value.kind == kind}  # asked for once
            query = {"type": self._options.dimensions[kind]}
            for each in (each for page in pages(self._client, "aux", query) for each in page):
                self._names[AuxiliaryDimension(kind, text_of(each, "code"))] = text_of(each, "name")
        lines = (
            replace(
                line,
                dimensions=tuple(replace(v, name=v.name or self._names.get(v, "")) for v in line.dimensions),
            )
            for line in found.lines
        )
        return replace(found, lines=tuple(lines))

    def _rows(self, period: str) -> Iterator[Sequence[Mapping[str, object]]]:
        query = {"book": self._options.book, "period": period, "limit": str(self._options.page_size)}
        return pages(self._client, "vouchers", query, "pk_voucher")

    def _there(self, vouchers: Sequence[LedgerVoucher]) -> dict[str, LedgerVoucher]:
        wanted, references = {each.ledger_id for each in vouchers}, self._known()
        return {
            text_of(row, "pk_voucher"): self._found(row, references)
            for period in sorted({each.period for each in vouchers})
            for page in self._rows(period)
            for row in page
            if text_of(row, "pk_voucher") in wanted
        }

    def _settle(
        self, batch: Sequence[Voucher], answers: Mapping[str, Sequence[SendResult]]
    ) -> dict[VoucherKey, PostingResult]:
        """What each answer means, by what the view shows under the key: NC gives neither primary keys nor reasons that
        can be relied upon.
        """
        try:
            there = self.find(batch)
        except (RetryLater, FixConfig, FixData) as error:
            raise OutcomeUnknown(
                f"已发送但未能从视图核对，须再查询 / sent, but the view could not be read, look before sending again: {error}"
            ) from error
        return {v.key: self._result(v, answers.get(str(v.key), ()), there.get(v.key, ())) for v in batch}

    def _result(
        self, voucher: Voucher, answers: Sequence[SendResult], copies: Sequence[LedgerVoucher]
    ) -> PostingResult:
        answer = answers[0] if len(answers) == 1 else None
        said = (
            f"NC：{answer.description[:1000]} ({answer.code[:40]})"
            if answer
            else "NC 没有给出结果 / no result"
        )
        is_ok = answer is not None and answer.code == self._options.ok_code
        if copies:
            copy, kinds = copies[0], self.dimension_kinds
            is_same = content_digest(copy.date, copy.lines, kinds) == content_digest(
                voucher.date, voucher.lines, kinds
            )
            outcome = PostingOutcome.CREATED if is_ok else PostingOutcome.EXISTS
            if not is_same:
                outcome, said = (
                    PostingOutcome.CONFLICT,
                    f"{said}；同一 id 的内容不同 / other content under this id",
                )
            return PostingResult(voucher.key, outcome, copy.ledger_id, copy.number, "" if is_same else said)
        if answer is None or is_ok or self._options.repeat_text in answer.description:
            return PostingResult(
                voucher.key,
                PostingOutcome.UNKNOWN,
                message=f"{said}；视图中还没有该 id：视图滞后，或凭证已在 NC 中被删除，须再查询 / the view does not show this id: it lags, or "
                "somebody deleted the voucher in NC, look again",
            )
        return _rejected(voucher.key, f"{said} / NC refuses: {answer.description[:1000]}")

    def _resolve(self, vouchers: Sequence[Voucher]) -> dict[VoucherKey, list[Refusal]]:
        """Why each voucher cannot be sent, with what was known; re-read once before anything is refused."""
        references = self._known()
        refusals = {each.key: refusals_of(each, references, self._options) for each in vouchers}
        if any(refusals.values()):
            references = self._read_references()
            refusals = {each.key: refusals_of(each, references, self._options) for each in vouchers}
        return refusals

    def _known(self) -> References:
        with self._lock:
            references = self._references
        return references or self._read_references()

    def _read_references(self) -> References:
        references = read_references(
            self._client,
            book=self._options.book,
            currency=self._currency,
            dimensions=self._options.dimensions,
        )
        with self._lock:
            self._references = references
        return references


def _rejected(key: VoucherKey, message: str) -> PostingResult:
    return PostingResult(key, PostingOutcome.REJECTED, message=message)
