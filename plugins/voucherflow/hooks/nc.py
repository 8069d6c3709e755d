"""A Yonyou NC site as an Airflow connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.adapters.registry import build_ledger
from include.settings import load_settings
from voucherflow.hooks.base import SystemHook

if TYPE_CHECKING:
    from include.ports import LedgerGateway
    from include.settings import Book


class NcHook(SystemHook):
    """Connection type `nc`: host is the NC server, whose exchange platform asks for no password; `view_user` and
    `view_password`, fields of their own, open the site's read-only views.
    """

    conn_name_attr = "nc_conn_id"
    default_conn_name = "nc_default"
    conn_type = "nc"
    hook_name = "用友 NC 外部交换平台"

    def __init__(self, nc_conn_id: str = default_conn_name) -> None:
        super().__init__(nc_conn_id)

    def ledger(self, book: Book) -> LedgerGateway:
        """The gateway of a book over this connection."""
        return build_ledger(book, self.get_conn())

    def books(self) -> list[Book]:
        """The configured books that are kept in NC."""
        return [book for book in load_settings().books.values() if book.ledger.system == self.conn_type]

    def check(self) -> str:
        """Read the views as a book that uses this connection would, else any book on NC."""
        books = self.books()
        if not books:
            raise self.nothing_configured()
        own = [book for book in books if book.ledger.connection == self.connection_id]
        return self.ledger((own or books)[0]).check()
