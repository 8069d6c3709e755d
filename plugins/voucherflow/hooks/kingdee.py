"""A Kingdee 云星空 site as an Airflow connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.adapters.registry import build_ledger
from include.settings import load_settings
from voucherflow.hooks.base import SystemHook

if TYPE_CHECKING:
    from include.ports import LedgerGateway
    from include.settings import Book


class KingdeeHook(SystemHook):
    """Connection type `kingdee`: host is the site's URL (…/k3cloud), login the integration user, password the
    application's secret; `acct_id` and `app_id` are fields of their own.
    """

    conn_name_attr = "kingdee_conn_id"
    default_conn_name = "kingdee_default"
    conn_type = "kingdee"
    hook_name = "金蝶云星空 Kingdee"

    def __init__(self, kingdee_conn_id: str = default_conn_name) -> None:
        super().__init__(kingdee_conn_id)

    def ledger(self, book: Book) -> LedgerGateway:
        """The gateway of a book over this connection."""
        return build_ledger(book, self.get_conn())

    def books(self) -> list[Book]:
        """The configured books that are kept in Kingdee."""
        return [book for book in load_settings().books.values() if book.ledger.system == self.conn_type]

    def check(self) -> str:
        """Be let in and read a little, as a book that uses this connection would, else any book on Kingdee."""
        books = self.books()
        if not books:
            raise self.nothing_configured()
        own = [book for book in books if book.ledger.connection == self.connection_id]
        return self.ledger((own or books)[0]).check()
