"""Vouchers of one book out of the list, whose pages are numbered and move while people work."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from include.adapters.ledger.yonbip.client import YonbipClient
from include.adapters.ledger.yonbip.mapping import Form, Found, found_voucher, number_of, reference_of
from include.adapters.ledger.yonbip.references import Record, References, pick, text_of
from include.domain.errors import FixConfig, FixData, RetryLater
from include.domain.period import FiscalPeriod

LIST = "/yonbip/fi/ficloud/openapi/voucher/queryVouchers"
DETAIL = "/yonbip/EFI/openapi/voucher/queryVoucherById"
MAX_PAGE = 1000
"""Vouchers of one page, the vendor's own limit."""
LOOK_UP_PAGE = 500
"""Of a look-up: calls are what is counted, and a page of vouchers with many entries has to stay within the limit of size."""
MAX_PAGES = 10_000
PASSES = 5
"""How often a list is read until it holds what it counts."""


class VoucherReader:
    """Reads the vouchers of a span of periods, each once, in no order."""

    def __init__(self, client: YonbipClient, references: References, form: Form) -> None:
        self._client = client
        self._references = references
        self._form = form

    def found(self, first: str, last: str, *, page_size: int = LOOK_UP_PAGE) -> Iterator[list[Found]]:
        """Pages of whole vouchers of the periods `first` to `last` (`2026-01`), both with them."""
        for records in self._records(first, last, page_size):
            yield [found_voucher(each, self._references, self._form) for each in records]

    def by_key(self, keys: Collection[str], first: str, last: str) -> list[Found]:
        """Those of these periods that carry one of these keys; others need not be readable.

        Raises:
            FixConfig: no voucher of the list shows the key's field at all, which would make every key look absent.
        """
        names, wanted, is_shown, is_empty = (
            {self._form.key_field, self._form.key_field.lower()},
            [],
            False,
            True,
        )
        for records in self._records(first, last, LOOK_UP_PAGE):
            for record in records:
                head, is_empty = self._head(record), False
                is_shown = is_shown or bool(names & head.keys())
                if reference_of(head, self._form) in keys:
                    wanted.append(record)
        if not is_shown and not is_empty:
            raise FixConfig(
                f"{self._client.name}: 凭证列表不返回 {self._form.key_field}，请将 ledger.options.key_field 改为 description / the list of "
                "vouchers does not show that field: set key_field to description"
            )
        return [found_voucher(each, self._references, self._form) for each in wanted]

    def by_ids(self, ids: Collection[str], periods: Collection[str]) -> dict[str, Found]:
        """Those with these ids, in periods near these; those that are gone are left out."""
        return {
            each.voucher.ledger_id: each
            for first, last in spans(periods)
            for page in self.found(first, last)
            for each in page
            if each.voucher.ledger_id in ids
        }

    def numbers(self, ids: Sequence[str]) -> dict[str, str]:
        """The numbers that vouchers have now: a call each, since the list cannot be asked by id."""
        heads = ((each, self.detail(each)) for each in ids)
        return {
            each: number
            for each, head in heads
            if head is not None and (number := number_of(head, self._form))
        }

    def detail(self, ledger_id: str) -> Record | None:
        """A voucher by its id, in the spelling of its own page; None where there is none."""
        answer = self._client.ask(DETAIL, {"voucherId": ledger_id})
        if answer.is_done and isinstance(answer.data, dict) and text_of(answer.data, "id"):
            return answer.data
        if answer.says_absent or (answer.is_done and not answer.data):
            return None
        raise RetryLater(
            f"{self._client.name}: 凭证 {ledger_id} 不能读取 / the voucher cannot be read: {answer.message} ({answer.code})"
        )

    def can_be_read(self, period: str) -> None:
        """Ask for a page of one, as a check of rights. Raises as `YonbipClient.read`."""
        self._page(period, period, 1, 1)

    def _records(self, first: str, last: str, page_size: int) -> Iterator[list[Record]]:
        """Records whose ids have not come yet, in passes, until they are as many as the list counts.

        A voucher that is saved or deleted meanwhile moves others between pages: one that slipped through comes in the next
        pass.
        """
        seen: set[str] = set()
        for _ in range(PASSES):
            this_pass: set[str] = set()
            for index in range(1, MAX_PAGES + 1):
                records, count = self._page(first, last, index, page_size)
                ids = [self._id(each) for each in records]
                new = [each for each, own in zip(records, ids, strict=True) if own not in seen]
                this_pass |= set(ids)
                seen |= set(ids)
                if new:
                    yield new
                if len(records) < page_size or index * page_size >= count:
                    break
            if len(this_pass) == count:
                return
        raise RetryLater(
            f"{self._client.name}: 凭证列表 {first} 至 {last} 一直在变，稍后会重试 / the list of vouchers keeps changing, it will be read "
            "again later"
        )

    def _page(self, first: str, last: str, index: int, size: int) -> tuple[list[Record], int]:
        body = {
            "accbookCode": self._references.book,
            "pager": {"pageIndex": index, "pageSize": size},
            "periodStart": first,  # always sent: without them sites were reported to answer with nothing
            "periodEnd": last,
        }
        try:
            data = self._client.read(LIST, body).data
        except FixData as error:
            raise FixConfig(
                f"{self._client.name}: 用友不给凭证列表，请检查账簿和权限 / YonBIP gives no list of vouchers, check book and rights: {error}"
            ) from error
        records = data.get("recordList") if isinstance(data, dict) else None
        try:
            count = int(str(data["recordCount"])) if isinstance(data, dict) else -1
        except (KeyError, ValueError):
            count = -1
        if not isinstance(records, list) or not all(isinstance(each, dict) for each in records) or count < 0:
            raise RetryLater(f"{self._client.name}: {LIST}: 不是凭证列表 / no list of vouchers")
        return records, count

    def _id(self, record: Record) -> str:
        found = text_of(self._head(record), "id")
        if not found:
            raise RetryLater(f"{self._client.name}: {LIST}: 凭证没有 id / a voucher without an id")
        return found

    def _head(self, record: Record) -> dict[str, Any]:
        head = pick(record, "header")
        return head if isinstance(head, dict) else {}


def spans(periods: Collection[str], around: int = 1) -> list[tuple[str, str]]:
    """Spans of periods that hold these and their neighbours: somebody may have moved a voucher into the next one."""
    months = sorted(
        {_shifted(FiscalPeriod.parse(code), by) for code in periods for by in range(-around, around + 1)}
    )
    found: list[tuple[FiscalPeriod, FiscalPeriod]] = []
    for month in months:
        if found and _shifted(found[-1][1], 1) == month:
            found[-1] = found[-1][0], month
        else:
            found.append((month, month))
    return [(first.code, last.code) for first, last in found]


def _shifted(period: FiscalPeriod, months: int) -> FiscalPeriod:
    index = min(max(period.year * 12 + period.month - 1 + months, 12), 9999 * 12 + 11)
    return FiscalPeriod(index // 12, index % 12 + 1)
