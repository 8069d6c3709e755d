"""Tryton 8.2, the ledger of the default installation.

The connection's address is `http://host:port/<database>`; login and password are those of a Tryton user in the group
that `./voucherflow ledger init` makes (or with the rights listed in `include/embedded/tryton/access.py`).
"""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from include.adapters.ledger.tryton.client import TrytonClient
from include.adapters.ledger.tryton.gateway import TrytonGateway
from include.connections import Endpoint
from include.domain.errors import FixConfig
from include.pace import limiter_of
from include.settings import Book

__all__ = ["TrytonGateway", "TrytonOptions", "build_ledger"]


class TrytonOptions(BaseModel):
    """The book's `ledger.options`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    company: str = ""
    """Name of the company; needed only where the database holds several."""
    dimensions: tuple[str, ...] = ("department", "project")
    """Kinds of dimensions that are analytic accounts: the codes of their roots. Others are parties, or left out."""
    batch_size: int = Field(default=50, ge=1, le=500)
    """Vouchers per call. Fifty is where Tryton posts fastest; a batch is one transaction there."""
    settle_s: float = Field(default=60, ge=0)
    """How long a call whose answer was lost may still be running in Tryton: seconds for a batch, and up to half a minute
    of waiting for the database's lock."""
    connect_timeout_s: float = Field(default=5, gt=0)
    read_timeout_s: float = Field(default=120, gt=0)


def build_ledger(book: Book, endpoint: Endpoint) -> TrytonGateway:
    """The gateway of a book.

    Raises:
        FixConfig: options that do not exist or do not fit, an address without a database, no login.
    """
    try:
        options = TrytonOptions.model_validate(dict(book.ledger.options))
    except ValidationError as error:
        details = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        known = ", ".join(TrytonOptions.model_fields)
        raise FixConfig(
            f"{book.file}: ledger.options 有误，可用的键：{known} / wrong options, the keys are {known}: {details}"
        ) from error
    if not urlsplit(endpoint.url).path.strip("/") or not endpoint.login or not endpoint.password:
        raise FixConfig(
            f"{endpoint.name}: 连接需要数据库名、用户名和密码 / the connection needs a database in its address "
            "(http://host:port/ledger), a login and a password"
        )
    client = TrytonClient(
        endpoint,
        connect_timeout_s=options.connect_timeout_s,
        read_timeout_s=options.read_timeout_s,
        limiter=limiter_of(
            endpoint.name, book.ledger.calls_per_s or TrytonGateway.ceiling_per_s, book.ledger.burst
        ),
    )
    return TrytonGateway(
        client,
        currency=book.currency,
        company=options.company,
        create_missing=book.ledger.create_missing,
        dimensions=options.dimensions,
        batch_size=options.batch_size,
        settle_s=options.settle_s,
    )
