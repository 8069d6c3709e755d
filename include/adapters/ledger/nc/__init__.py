"""Yonyou NC through its 外部交换平台 (XML by HTTP or SOAP), read through views that the site sets up itself.

The connection's address is the NC server; `view_user` and `view_password` stand in its extra fields.
"""

from __future__ import annotations

from pydantic import ValidationError

from include.adapters.ledger.nc.client import NcClient
from include.adapters.ledger.nc.client_soap import SoapNcClient
from include.adapters.ledger.nc.gateway import NcGateway
from include.adapters.ledger.nc.options import NcOptions
from include.connections import Endpoint
from include.domain.errors import FixConfig
from include.pace import Limiter, limiter_of
from include.settings import Book

__all__ = ["NcGateway", "NcOptions", "build_ledger", "connect"]


def connect(endpoint: Endpoint, options: NcOptions, limiter: Limiter) -> NcClient:
    """The client of the interface that the options name."""
    return (SoapNcClient if options.interface == "soap" else NcClient)(endpoint, options, limiter=limiter)


def build_ledger(book: Book, endpoint: Endpoint) -> NcGateway:
    """The gateway of a book.

    Raises:
        FixConfig: options that do not exist or do not fit, a connection that lacks a part.
    """
    try:
        options = NcOptions.model_validate(dict(book.ledger.options))
    except ValidationError as error:
        details = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        known = ", ".join(NcOptions.model_fields)
        raise FixConfig(
            f"{book.file}: ledger.options 有误，可用的键：{known} / wrong options, the keys are {known}: {details}"
        ) from error
    if book.ledger.create_missing:
        raise FixConfig(
            f"{book.file}: NC 的基础档案不能由接口建立，请去掉 ledger.create_missing / master data of NC are not made by us: leave "
            "ledger.create_missing out, and create them in NC"
        )
    limiter = limiter_of(endpoint.name, book.ledger.calls_per_s or NcGateway.ceiling_per_s, book.ledger.burst)
    return NcGateway(connect(endpoint, options, limiter), options, book.currency)
