"""A Tryton ledger as an Airflow connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.adapters.registry import build_ledger
from include.settings import load_settings
from voucherflow.hooks.base import SystemHook

if TYPE_CHECKING:
    from include.ports import LedgerGateway
    from include.settings import Book


class TrytonHook(SystemHook):
    """Connection type `tryton`: host is the server's URL, schema the database, login and password a Tryton user's."""

    conn_name_attr = "tryton_conn_id"
    default_conn_name = "tryton_default"
    conn_type = "tryton"
    hook_name = "Tryton 账务"

    def __init__(self, tryton_conn_id: str = default_conn_name) -> None:
        super().__init__(tryton_conn_id)

    def ledger(self, book: Book) -> LedgerGateway:
        """The gateway of a book over this connection."""
        return build_ledger(book, self.get_conn())

    def check(self) -> str:
        """Log in and read a little, as a book that uses this connection would, else any book on Tryton."""
        books = [book for book in load_settings().books.values() if book.ledger.system == self.conn_type]
        if not books:
            raise self.nothing_configured()
        own = [book for book in books if book.ledger.connection == self.connection_id]
        return self.ledger((own or books)[0]).check()
