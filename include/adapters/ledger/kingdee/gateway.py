"""The ledger gateway for Kingdee 云星空.

A voucher is saved, submitted and audited by separate calls; where a crash comes between, its key finds it and `complete`
goes on. The interface has no posting (过账): that stays the accountants', and an audited voucher counts as posted here.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from threading import Lock
from typing import Any

from include.adapters.ledger.kingdee.answers import is_repeat
from include.adapters.ledger.kingdee.client import Batch, KingdeeClient
from include.adapters.ledger.kingdee.dimensions import (
    DimensionIndex,
    all_rows,
    chunks,
    name_values,
    one_of,
    quoted,
)
from include.adapters.ledger.kingdee.mapping import (
    AUDITED,
    SUBMITTED,
    Found,
    KeyField,
    Refusal,
    full_number,
    model_of,
    refusals_of,
    say,
)
from include.adapters.ledger.kingdee.reading import ID, VOUCHER, VoucherReader
from include.adapters.ledger.kingdee.references import References, read_references
from include.domain.account import AccountBalance, AuxiliaryDimension, Chart
from include.domain.errors import FixConfig, FixData, OutcomeUnknown, RetryLater
from include.domain.money import Money
from include.domain.period import FiscalPeriod, LedgerPeriod
from include.domain.voucher import (
    LedgerVoucher,
    LedgerVoucherState,
    PostingOutcome,
    PostingResult,
    Side,
    Voucher,
    VoucherKey,
)
from include.pace import Refused
from include.ports import ProofLevel

log = logging.getLogger(__name__)

NUMBER_KEYS = ("FVOUCHERGROUPID.FName", "FVOUCHERGROUPNO")
SAVE_OPTIONS: Mapping[str, Any] = {
    "NumberSearch": "true",
    "ValidateFlag": "true",
    "IsVerifyBaseDataField": "true",  # otherwise a code that does not exist is saved as nothing
    "IsDeleteEntry": "true",
}


class KingdeeGateway:
    """One account book of a K3Cloud site; implements `include.ports.LedgerGateway`.

    What vouchers refer to (chart, periods, words, flex columns) is read once and again by `chart` and `periods`, and
    whenever it says that a voucher cannot be posted. Safe to share between threads.
    """

    name = "kingdee"
    ceiling_per_s: float | None = None
    """Not published: sites say "too many calls" by MsgCode 14, and the limiter slows down."""

    def __init__(
        self,
        client: KingdeeClient,
        *,
        book: str,
        currency: str,
        dimensions: Mapping[str, str],
        words: Mapping[str, str],
        finish: str,
        key: KeyField | None,
        rate_type: str,
        current_period: tuple[str, str],
        batch_size: int,
        settle_s: float,
        page_size: int,
        view_hidden: bool,
    ) -> None:
        self.batch_size = batch_size
        self.settle_s = settle_s
        self.proof_level = ProofLevel.SEARCHABLE_REFERENCE if key else ProofLevel.DATE_AND_AMOUNT
        self.dimension_kinds = frozenset(dimensions)
        self._client = client
        self._setup: dict[str, Any] = {
            "book": book,
            "currency": currency,
            "words": words,
            "dimensions": dimensions,
            "current_period": current_period,
        }
        self._finish = finish
        self._key = key
        self._rate_type = rate_type
        self._page_size = page_size
        self._view_hidden = view_hidden
        self._dimensions = DimensionIndex(client)
        self._lock = Lock()
        self._references: References | None = None
        self._deleted: set[VoucherKey] = set()

    def chart(self) -> Chart:
        return Chart.of(found.account for found in self._read_references().accounts.values())

    def periods(self) -> Sequence[LedgerPeriod]:
        return [found.period for found in self._read_references().periods]

    def period_of(self, day: date) -> LedgerPeriod | None:
        found = self._known().period_of(day)
        return found.period if found else None

    def check(self) -> str:
        references = self._read_references()
        # The fields that are read, our key's among them, and the right to read vouchers, on a day that has none.
        list(self._reader(references).found(f"FDate='{date(1990, 1, 1)}'"))
        return (
            f"已登录金蝶：账簿 {references.book} {references.book_name} ({references.currency})，{len(references.accounts)} 个科目，"
            f"{len(references.periods)} 个会计期间 / let in by Kingdee: book {references.book}, {len(references.accounts)} accounts, "
            f"{len(references.periods)} periods"
        )

    def ensure_dimensions(self, values: Iterable[AuxiliaryDimension]) -> None:
        wanted = sorted({value for value in values if value.kind in self.dimension_kinds})
        known = self._dimensions.known(wanted, self._known().columns)
        missing = [value for value in wanted if value not in known]
        if missing:
            names = name_values(missing)
            raise FixData(
                f"金蝶没有 {names}，或未审核、已禁用，请在金蝶中建立并审核 / Kingdee has no {names} in use: create and audit them there"
            )

    def find(self, vouchers: Sequence[Voucher]) -> Mapping[VoucherKey, Sequence[LedgerVoucher]]:
        return self._find_by_key(vouchers) if self._key else self._find_by_day(vouchers)

    def _find_by_key(self, vouchers: Sequence[Voucher]) -> dict[VoucherKey, list[LedgerVoucher]]:
        assert self._key is not None
        wanted, reader = {voucher.key for voucher in vouchers}, self._reader()
        ids = [
            each
            for chunk in chunks(sorted({str(key) for key in wanted}))
            for each in reader.ids(one_of(self._key.name, chunk))
        ]
        found: dict[VoucherKey, list[LedgerVoucher]] = {}
        for each in reader.by_ids(list(dict.fromkeys(ids))).values():
            # Filters look at neither case nor width: another key may have been met.
            if each.voucher.key in wanted:
                found.setdefault(each.voucher.key, []).append(each.voucher)
        return found

    def _find_by_day(self, vouchers: Sequence[Voucher]) -> dict[VoucherKey, list[LedgerVoucher]]:
        """Everything of our voucher's date whose debit total is ours, whoever made it."""
        reader = self._reader()
        there: dict[tuple[date, int], list[LedgerVoucher]] = defaultdict(list)
        for day in sorted({voucher.date for voucher in vouchers}):
            for each in reader.found(f"FDate>='{day}' and FDate<='{day} 23:59:59'"):
                there[day, _debit_total(each.voucher)].append(each.voucher)
        found = {v.key: there.get((v.date, v.total.minor), []) for v in vouchers}
        return {key: copies for key, copies in found.items() if copies}

    def numbers(self, ledger_ids: Sequence[str]) -> Mapping[str, str]:
        reader = self._reader()
        rows = reader.rows_by_ids(ledger_ids, NUMBER_KEYS)
        found = {
            ledger_id: full_number(*(row.text(key) for key in NUMBER_KEYS)) for ledger_id, row in rows.items()
        }
        if self._view_hidden:
            found |= {
                each: n for each in ledger_ids if each not in found and (n := reader.viewed_number(each))
            }
        return found

    def post(self, vouchers: Sequence[Voucher]) -> Sequence[PostingResult]:
        """See `LedgerGateway.post`. What can be told beforehand is refused per voucher, the rest is one batch."""
        if len(vouchers) > self.batch_size:
            raise ValueError(f"{len(vouchers)} vouchers in one call, at most {self.batch_size}")
        refusals, references = self._resolve(vouchers)
        results = {key: _rejected(key, say(texts)) for key, texts in refusals.items() if texts}
        batch = [voucher for voucher in vouchers if not refusals[voucher.key]]
        # Kingdee's guard against repeats would hold up those that were there before and were deleted: they go without it.
        # So does everything where no key is kept, since there two vouchers may well be the same.
        for is_guarded in (True, False):
            part = [v for v in batch if (self._key is not None and v.key not in self._deleted) is is_guarded]
            if part:
                results |= self._send(part, references, is_guarded=is_guarded)
        return [results[voucher.key] for voucher in vouchers]

    def complete(self, vouchers: Sequence[LedgerVoucher]) -> Sequence[LedgerVoucher]:
        reader, ids = self._reader(), [voucher.ledger_id for voucher in vouchers]
        there = reader.by_ids(ids)
        for chunk in chunks(
            [each for each in ids if each in there and _is_draft(there[each])], self.batch_size
        ):
            refused = self._finish_all({each: there[each].status for each in chunk})
            if refused:
                told = "；".join(f"{each}: {text}" for each, text in refused.items())
                raise FixData(
                    f"金蝶拒绝提交或审核凭证（内码），请在金蝶中处理 / Kingdee refuses to submit or audit vouchers, settle it there: {told}"
                )
        there = reader.by_ids(ids)
        return [there[each].voucher for each in ids if each in there]

    def discard(self, vouchers: Sequence[LedgerVoucher]) -> None:
        there = self._reader().by_ids([voucher.ledger_id for voucher in vouchers])
        kept = [
            each.voucher.number or ledger_id
            for ledger_id, each in there.items()
            if not _is_draft(each) or each.status in (SUBMITTED, AUDITED)
        ]
        if kept:
            raise FixData(
                f"凭证 {'、'.join(kept)} 已提交或审核，不能删除，只能冲销 / {', '.join(kept)}: submitted or audited, so not to be deleted "
                "but reversed"
            )
        for chunk in chunks(list(there), self.batch_size):
            self._delete(chunk)
        self._remember_deleted(there.values())

    def vouchers(self, period: FiscalPeriod) -> Iterator[Sequence[LedgerVoucher]]:
        page: list[LedgerVoucher] = []
        for each in self._in_period(period):
            page.append(each.voucher)
            if len(page) >= self._page_size:
                yield page
                page = []
        if page:
            yield page

    def trial_balance(self, period: FiscalPeriod) -> Sequence[AccountBalance]:
        """GL_BALANCE, which knows posted (过账) vouchers alone, and those of the list that it does not hold: audited
        ones that wait for 过账, and void ones, so that it can be compared with the list.
        """
        references = self._known()
        totals: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        order = ["FACCOUNTID.FNumber", "FCURRENCYID.FNumber"]
        order += [column.code for column in references.all_columns]
        keys = ["FACCOUNTID.FNumber", "FCURRENCYID.FNumber", "FDebit", "FCredit"]
        for each in references.of(period):
            where = f"FACCOUNTBOOKID.FNumber={quoted(references.book)} and FYEAR={each.year} and FPERIOD={each.number}"
            for row in all_rows(self._client, "GL_BALANCE", keys, where, ",".join(order)):
                found = references.accounts.get(row.text(keys[0]))
                # Totals over currencies have none, totals over accounts are those of groups.
                if found is None or not found.account.is_leaf or not row.text(keys[1]):
                    continue
                for place, key in enumerate(keys[2:]):
                    totals[found.account.code][place] += Money.parse(row[key] or 0, references.currency).minor
        for found_voucher in self._in_period(period):
            if found_voucher.is_in_balances or _is_draft(found_voucher):
                continue
            for line in found_voucher.voucher.lines:
                totals[line.account][0 if line.side is Side.DEBIT else 1] += line.amount.minor
        return [AccountBalance(code, *sums) for code, sums in sorted(totals.items()) if any(sums)]

    def _in_period(self, period: FiscalPeriod) -> Iterator[Found]:
        reader = self._reader()
        for each in self._known().of(period):
            yield from reader.found(f"FYEAR={each.year} and FPERIOD={each.number}")

    def _resolve(self, vouchers: Sequence[Voucher]) -> tuple[dict[VoucherKey, list[Refusal]], References]:
        """Why each voucher cannot be sent, with what was known; re-read once before anything is refused."""
        values = {value for voucher in vouchers for line in voucher.lines for value in line.dimensions}
        references = self._known()
        refusals = self._refusals(vouchers, values, references)
        if any(refusals.values()):
            references = self._read_references()
            refusals = self._refusals(vouchers, values, references)
        return refusals, references

    def _refusals(
        self, vouchers: Sequence[Voucher], values: set[AuxiliaryDimension], references: References
    ) -> dict[VoucherKey, list[Refusal]]:
        known = self._dimensions.known(values, references.columns)
        return {voucher.key: refusals_of(voucher, references, known, self._key) for voucher in vouchers}

    def _send(
        self, batch: Sequence[Voucher], references: References, *, is_guarded: bool
    ) -> dict[VoucherKey, PostingResult]:
        """Save, submit, audit."""
        wanted = [ID, "FVOUCHERGROUPNO", *([self._key.returned] if self._key else [])]
        data = {
            **SAVE_OPTIONS,
            "ValidateRepeatJson": str(is_guarded).lower(),
            "NeedReturnFields": wanted,
            "Model": [model_of(voucher, references, self._key, self._rate_type) for voucher in batch],
        }
        saved = self._save(batch, data)
        ids = {
            voucher.key: saved.status.done[index]
            for index, voucher in enumerate(batch)
            if index in saved.status.done
        }
        refused = self._finish_new(batch, saved, ids)
        results = self._settle_rest(batch, saved, ids)
        self._remember_new_values(batch, results)
        numbers = {str(each.get(ID)): str(each.get("FVOUCHERGROUPNO") or "") for each in saved.returned}
        for voucher in batch:
            ledger_id = ids.get(voucher.key)
            if ledger_id in refused:
                results[voucher.key] = _rejected(voucher.key, _refused_by_kingdee(refused[ledger_id]))
            elif ledger_id is not None:
                word = references.word_names.get(references.words[voucher.word], voucher.word)
                number = full_number(word, numbers.get(ledger_id, ""))
                results[voucher.key] = PostingResult(voucher.key, PostingOutcome.CREATED, ledger_id, number)
        return results

    def _save(self, batch: Sequence[Voucher], data: Mapping[str, Any]) -> Batch:
        """BatchSave. A repeat may be refused like a record that is locked: then what is there is no new voucher's."""
        try:
            return self._client.change("BatchSave", VOUCHER, data)
        except Refused as error:
            if self._key is not None and self.find(batch):
                raise OutcomeUnknown(
                    f"金蝶不接受，而凭证已在其中，须先查询 / Kingdee does not take what it has already, look: {error}"
                ) from error
            raise

    def _settle_rest(
        self, batch: Sequence[Voucher], saved: Batch, ids: Mapping[VoucherKey, str]
    ) -> dict[VoucherKey, PostingResult]:
        """Results of vouchers that were not saved now.

        One that is there under its key had been saved before: Kingdee's guard refuses repeats, in words that the vendor does
        not document. One that Kingdee calls a repeat and does not list may be on its way.
        """
        errors = saved.status.errors
        rest = {index: voucher for index, voucher in enumerate(batch) if voucher.key not in ids}
        try:
            there = self.find(list(rest.values())) if rest and self._key else {}
        except (RetryLater, FixConfig, FixData) as error:
            raise OutcomeUnknown(
                f"金蝶拒绝了凭证，但未能查询是否已在其中，须再查询 / Kingdee refused vouchers, and whether it has them already could not "
                f"be read, look again: {saved.status.message}; {error}"
            ) from error
        results = {}
        for index, voucher in rest.items():
            key, text = voucher.key, errors.get(index)
            if copies := there.get(key):
                found = copies[0]
                results[key] = PostingResult(key, PostingOutcome.EXISTS, found.ledger_id, found.number)
            elif text is None or is_repeat(text):
                message = (
                    f"金蝶没有说明此凭证的结果，或说已提交过但查不到，须再查询 / Kingdee does not say what became of it, or has got it "
                    f"before and does not list it, look again: {text or saved.status.message}"
                )
                results[key] = PostingResult(key, PostingOutcome.UNKNOWN, message=message)
            else:
                results[key] = _rejected(key, _refused_by_kingdee(text))
        return results

    def _finish_new(
        self, batch: Sequence[Voucher], saved: Batch, ids: Mapping[VoucherKey, str]
    ) -> dict[str, str]:
        """Submit and audit what was just saved; drafts that Kingdee does not let go on are deleted, and why, by id.

        Raises:
            OutcomeUnknown: drafts are there and it is not known how far they came.
        """
        if not ids:
            return {}
        try:
            refused = self._check_keys(batch, saved, ids) or self._finish_all(
                dict.fromkeys(ids.values(), "A")
            )
            if refused:
                there = self._reader().by_ids(list(refused))
                late = [each for each in there if there[each].status in (SUBMITTED, AUDITED)]
                if late:
                    raise OutcomeUnknown(
                        f"金蝶拒绝审核已提交的凭证，须由人处理 / Kingdee refuses to audit what it let us submit, a person decides: "
                        f"{'；'.join(refused.values())}"
                    )
                self._delete(list(there))
                self._remember_deleted(there.values())
        except (RetryLater, FixConfig, FixData) as error:
            raise OutcomeUnknown(
                f"凭证已保存但未能提交、审核或删除，须先查询 / vouchers were saved and could not be submitted, audited or deleted, look "
                f"before sending again: {error}"
            ) from error
        return refused

    def _check_keys(
        self, batch: Sequence[Voucher], saved: Batch, ids: Mapping[VoucherKey, str]
    ) -> dict[str, str]:
        """Vouchers of which Kingdee kept another key than we sent, by id: they could not be found again."""
        if self._key is None:
            return {}
        returned = {str(each.get(ID)): each for each in saved.returned}
        wrong = {}
        for voucher in batch:
            kept = self._key.kept(returned.get(ids.get(voucher.key, ""), {}))
            if kept and kept != {str(voucher.key)}:
                length = max(map(len, kept))
                wrong[ids[voucher.key]] = (
                    f"字段 {self._key.name} 只留下键的 {length} 个字符，请换用更长的字段并设置 key_length / the field keeps {length} "
                    "characters of our key: use a longer one, and set key_length"
                )
        # One that was cut means that none is safe: all are taken back.
        return {each: next(iter(wrong.values())) for each in ids.values()} if wrong else {}

    def _finish_all(self, statuses: Mapping[str, str]) -> dict[str, str]:
        """Submit and audit, as the book says, from the statuses in which vouchers are; what is refused, by id."""
        refused: dict[str, str] = {}
        if self._finish != "save":
            to_submit = [each for each, status in statuses.items() if status not in (SUBMITTED, AUDITED)]
            refused |= self._each("Submit", to_submit)
        elif any(status == "Z" for status in statuses.values()):
            return dict.fromkeys(statuses, "暂存凭证请在金蝶中保存 / saved aside: save it in Kingdee")
        if self._finish == "audit":
            to_audit = [
                each for each, status in statuses.items() if status != AUDITED and each not in refused
            ]
            refused |= self._each("Audit", to_audit)
        return refused

    def _delete(self, ids: Sequence[str]) -> None:
        refused = self._each("Delete", ids)
        left = self._reader().by_ids(list(refused)) if refused else {}  # gone already counts as deleted
        if left:
            told = "；".join(refused[each] for each in left)
            raise FixData(f"金蝶拒绝删除 / Kingdee refuses to delete: {told}")

    def _each(self, operation: str, ids: Sequence[str]) -> dict[str, str]:
        """An operation on vouchers; what is refused, by id."""
        if not ids:
            return {}
        status = self._client.change(operation, VOUCHER, {"Ids": ",".join(ids)}).status
        done = set(status.done.values())
        refused = {ids[index]: text for index, text in status.errors.items() if index < len(ids)}
        silent = [each for each in ids if each not in done and each not in refused]
        if silent and not (
            status.is_success and not status.done
        ):  # a site may leave the list out when all went well
            raise OutcomeUnknown(
                f"金蝶没有说明凭证（内码 {', '.join(silent)}）{operation} 的结果，须先查询 / Kingdee does not say what became of these "
                f"vouchers, look: {operation}"
            )
        return {each: text for each, text in refused.items() if each not in done}

    def _remember_deleted(self, found: Iterable[Found]) -> None:
        self._deleted |= {each.voucher.key for each in found if each.voucher.key is not None}

    def _remember_new_values(
        self, batch: Sequence[Voucher], results: Mapping[VoucherKey, PostingResult]
    ) -> None:
        """What Kingdee refused may be for a value that was switched off meanwhile: it is asked for again."""
        for voucher in batch:
            if voucher.key in results:
                self._dimensions.forget(value for line in voucher.lines for value in line.dimensions)

    def _reader(self, references: References | None = None) -> VoucherReader:
        return VoucherReader(
            self._client,
            references or self._known(),
            self._key,
            finish=self._finish,
            page_size=self._page_size,
        )

    def _known(self) -> References:
        with self._lock:
            references = self._references
        return references or self._read_references()

    def _read_references(self) -> References:
        references = read_references(self._client, **self._setup)
        with self._lock:
            self._references = references
        return references


def _is_draft(found: Found) -> bool:
    return found.voucher.state is LedgerVoucherState.DRAFT


def _debit_total(voucher: LedgerVoucher) -> int:
    return sum(line.amount.minor for line in voucher.lines if line.side is Side.DEBIT)


def _rejected(key: VoucherKey, message: str) -> PostingResult:
    return PostingResult(key, PostingOutcome.REJECTED, message=message)


def _refused_by_kingdee(text: str) -> str:
    return f"金蝶拒绝：{text} / Kingdee refuses: {text}"
