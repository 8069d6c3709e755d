"""A YonBIP 用友 or YonSuite tenant as an Airflow connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.adapters.registry import build_ledger
from include.settings import load_settings
from voucherflow.hooks.base import SystemHook

if TYPE_CHECKING:
    from include.ports import LedgerGateway
    from include.settings import Book


class YonbipHook(SystemHook):
    """Connection type `yonbip`: host is where the tenant's data centre is asked for, login the appKey, password the
    appSecret; `tenant_id` is a field of its own, and so is `token_url`, for a gateway that is named itself.
    """

    conn_name_attr = "yonbip_conn_id"
    default_conn_name = "yonbip_default"
    conn_type = "yonbip"
    hook_name = "用友 YonBIP / YonSuite"

    def __init__(self, yonbip_conn_id: str = default_conn_name) -> None:
        super().__init__(yonbip_conn_id)

    def ledger(self, book: Book) -> LedgerGateway:
        """The gateway of a book over this connection."""
        return build_ledger(book, self.get_conn())

    def books(self) -> list[Book]:
        """The configured books that are kept in YonBIP."""
        return [book for book in load_settings().books.values() if book.ledger.system == self.conn_type]

    def check(self) -> str:
        """Get a token and read a little, as a book that uses this connection would, else any book on YonBIP."""
        books = self.books()
        if not books:
            raise self.nothing_configured()
        own = [book for book in books if book.ledger.connection == self.connection_id]
        return self.ledger((own or books)[0]).check()
