"""Vouchers of one book out of queries: a row per entry, pages that may end in the middle of a voucher."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from include.adapters.ledger.kingdee.answers import NotAnAnswer
from include.adapters.ledger.kingdee.client import KingdeeClient, Row
from include.adapters.ledger.kingdee.dimensions import SMALL_PAGE, chunks, quoted
from include.adapters.ledger.kingdee.mapping import (
    Found,
    KeyField,
    found_voucher,
    full_number,
    voucher_keys,
)
from include.adapters.ledger.kingdee.references import References
from include.domain.errors import FixData, RetryLater

VOUCHER = "GL_VOUCHER"
ID, ORDER = "FVOUCHERID", "FVOUCHERID,FEntity_FEntryID"
MAX_ENTRIES = 100_000
"""Of one voucher."""


class VoucherReader:
    """Reads vouchers that meet a condition, in rising order of Kingdee's ids, which never come twice."""

    def __init__(
        self,
        client: KingdeeClient,
        references: References,
        key: KeyField | None,
        *,
        finish: str,
        page_size: int,
    ) -> None:
        self._client = client
        self._references = references
        self._key = key
        self._finish = finish
        self._page_size = page_size
        self._book = f"FAccountBookID.FNumber={quoted(references.book)}"

    def ids(self, where: str) -> list[str]:
        """Kingdee's ids of vouchers that meet a condition."""
        return [rows[0].text(ID) for rows in self._vouchers([ID, "FEntity_FEntryID"], where)]

    def found(self, where: str) -> Iterator[Found]:
        """Whole vouchers that meet a condition, one that names no field of entries."""
        for rows in self._vouchers(voucher_keys(self._references, self._key), where):
            yield found_voucher(rows, self._references, self._key, self._finish)

    def by_ids(self, ids: Sequence[str]) -> dict[str, Found]:
        """Whole vouchers by Kingdee's ids; those that are gone are left out."""
        return {
            each.voucher.ledger_id: each
            for chunk in chunks([text for text in ids if text.isascii() and text.isdecimal()])
            for each in self.found(f"{ID} in ({','.join(chunk)})")
        }

    def rows_by_ids(self, ids: Sequence[str], keys: Sequence[str]) -> dict[str, Row]:
        """The first row of each voucher, by Kingdee's ids."""
        return {
            rows[0].text(ID): rows[0]
            for chunk in chunks([text for text in ids if text.isascii() and text.isdecimal()])
            for rows in self._vouchers([ID, "FEntity_FEntryID", *keys], f"{ID} in ({','.join(chunk)})")
        }

    def viewed_number(self, ledger_id: str) -> str:
        """By View, which shows vouchers that the site's queries hide; "" where there is none."""
        try:
            found = self._client.view(VOUCHER, ledger_id)
        except FixData:
            return ""
        try:
            word = found["VOUCHERGROUPID"]["Name"]
            text = word if isinstance(word, str) else word[0]["Value"]
            return full_number(str(text), str(found.get("VOUCHERGROUPNO") or ""))
        except (KeyError, TypeError, IndexError, NotAnAnswer) as error:
            raise RetryLater(
                f"{self._client.name}: View {ledger_id}: 不能读取 / cannot be read: {error!r}"
            ) from error

    def _vouchers(self, keys: Sequence[str], where: str) -> Iterator[list[Row]]:
        """The rows of each voucher.

        Pages go on after the last id, so that vouchers deleted meanwhile shift nothing. The last voucher of a page may go on
        on the next one: it is read again with that, or by itself where it fills a page.
        """
        last = 0
        while True:
            page = self._page(keys, where, last)
            groups = [list(rows) for _, rows in groupby(page, key=lambda row: row.whole(ID))]
            ids = [rows[0].whole(ID) for rows in groups]
            if ids != sorted(set(ids)) or (ids and ids[0] <= last):
                raise RetryLater(
                    f"{self._client.name}: 金蝶的分页不按顺序，稍后会重试 / Kingdee's pages are out of order, they will be read again"
                )
            is_last = len(page) < min(SMALL_PAGE, self._page_size)
            if len(groups) == 1 and not is_last:
                groups = [self._whole(keys, where, ids[0], groups[0])]
            elif not is_last:
                groups.pop()
            yield from groups
            if is_last or not groups:
                return
            last = groups[-1][0].whole(ID)

    def _page(self, keys: Sequence[str], where: str, last: int) -> list[Row]:
        wanted = f"{self._book} and ({where}) and {ID}>{last}"
        return self._client.query(VOUCHER, keys, wanted, ORDER, limit=self._page_size)

    def _whole(self, keys: Sequence[str], where: str, ledger_id: int, rows: list[Row]) -> list[Row]:
        """A voucher that fills a page, to its end."""
        wanted = f"{self._book} and ({where}) and {ID}={ledger_id}"
        while len(rows) < MAX_ENTRIES:
            more = self._client.query(VOUCHER, keys, wanted, ORDER, start=len(rows), limit=self._page_size)
            if not more:
                return rows
            rows = [*rows, *more]
        raise RetryLater(
            f"{self._client.name}: 凭证内码 {ledger_id} 的分录没有尽头 / the entries of voucher {ledger_id} do not end"
        )
