"""YonBIP 用友 and YonSuite through Yonyou's open platform.

The connection's address is where a tenant's data centre is asked for (`https://apigateway.yonyoucloud.com`) and its `tenant_id`
stands in the extra fields; or it is the gateway itself and `token_url` stands there. Login is the application's appKey, password
its appSecret.
"""

from __future__ import annotations

from pydantic import ValidationError

from include.adapters.ledger.yonbip.client import YonbipClient
from include.adapters.ledger.yonbip.gateway import YonbipGateway
from include.adapters.ledger.yonbip.options import YonbipOptions
from include.connections import Endpoint
from include.domain.errors import FixConfig
from include.pace import limiter_of
from include.settings import Book

__all__ = ["YonbipGateway", "YonbipOptions", "build_ledger"]


def build_ledger(book: Book, endpoint: Endpoint) -> YonbipGateway:
    """The gateway of a book.

    Raises:
        FixConfig: options that do not exist or do not fit, a connection that lacks a part.
    """
    try:
        options = YonbipOptions.model_validate(dict(book.ledger.options))
    except ValidationError as error:
        details = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        known = ", ".join(YonbipOptions.model_fields)
        raise FixConfig(
            f"{book.file}: ledger.options 有误，可用的键：{known} / wrong options, the keys are {known}: {details}"
        ) from error
    if book.ledger.create_missing:
        raise FixConfig(
            f"{book.file}: 用友的基础档案不能由接口建立，请去掉 ledger.create_missing / master data of YonBIP are not made by us: leave "
            "ledger.create_missing out, and create them in YonBIP"
        )
    client = YonbipClient(
        endpoint,
        connect_timeout_s=options.connect_timeout_s,
        read_timeout_s=options.read_timeout_s,
        limiter=limiter_of(
            endpoint.name, book.ledger.calls_per_s or YonbipGateway.ceiling_per_s, book.ledger.burst
        ),
    )
    return YonbipGateway(client, options, book.currency)
