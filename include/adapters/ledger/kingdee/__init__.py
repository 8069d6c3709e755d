"""Kingdee 金蝶云星空 (K3Cloud) through its web API and Kingdee's own SDK.

The connection's address is `https://host/k3cloud`; login is the integration user, password the application's secret, and
`acct_id` and `app_id` stand in its extra fields, all as Kingdee shows them under 第三方系统登录授权.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from include.adapters.ledger.kingdee.client import MAX_LIMIT, KingdeeClient
from include.adapters.ledger.kingdee.gateway import KingdeeGateway
from include.adapters.ledger.kingdee.mapping import KeyField
from include.connections import Endpoint
from include.domain.errors import FixConfig
from include.pace import limiter_of
from include.settings import Book

__all__ = ["KingdeeGateway", "KingdeeOptions", "build_ledger"]


class KingdeeOptions(BaseModel):
    """The book's `ledger.options`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    book: str = Field(min_length=1)
    """Number (FNumber) of the account book."""
    organisation: str = ""
    """Number of the organisation to work in, where the site has several."""
    words: Mapping[str, str] = Field(default_factory=dict)
    """Voucher word in rules → its FNumber, for words that are not the names of voucher groups."""
    finish: Literal["save", "submit", "audit"] = "audit"
    """How far vouchers are brought. What is beyond, and 过账 always, is left to accountants."""
    key_field: str = "FEntity.FBUSNO"
    """Where our key is kept and searched: a text field of entries (`FEntity.…`) or of the head; "" for nowhere, which leaves
    date and amount as the only proof."""
    key_length: int = Field(default=80, ge=20, le=4000)
    """How many characters that field holds; see it in Kingdee's BOS designer."""
    dimensions: Mapping[str, str] = Field(
        default_factory=lambda: {
            "supplier": "BD_Supplier",
            "department": "BD_Department",
            "customer": "BD_Customer",
            "employee": "BD_Empinfo",
        }
    )
    """Kind → the 核算维度 that holds it, by its value source, number or name. Kinds that are not here are left out."""
    rate_type: str = Field(default="HLTX01_SYS", min_length=1)
    """FNumber of the exchange-rate type of lines."""
    current_period: tuple[str, str] = ("FCURRENTYEAR", "FCURRENTPERIOD")
    """Keys of the current year and period of an account book, which the vendor does not document."""
    batch_size: int = Field(default=20, ge=1, le=200)
    """Vouchers per call."""
    page_size: int = Field(default=MAX_LIMIT, ge=1, le=MAX_LIMIT)
    """Rows (entries) per query."""
    settle_s: float = Field(default=120, ge=0)
    """How long a call whose answer was lost may still be running in Kingdee."""
    view_hidden: bool = False
    """The site's queries do not show all vouchers that it has saved: numbers are then read by View."""
    connect_timeout_s: float = Field(default=10, gt=0)
    read_timeout_s: float = Field(default=120, gt=0)


def build_ledger(book: Book, endpoint: Endpoint) -> KingdeeGateway:
    """The gateway of a book.

    Raises:
        FixConfig: options that do not exist or do not fit, a connection that lacks a part.
    """
    try:
        options = KingdeeOptions.model_validate(dict(book.ledger.options))
        key = KeyField.of(options.key_field, options.key_length)
    except ValidationError as error:
        details = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        known = ", ".join(KingdeeOptions.model_fields)
        raise FixConfig(
            f"{book.file}: ledger.options 有误，可用的键：{known} / wrong options, the keys are {known}: {details}"
        ) from error
    except FixConfig as error:
        raise FixConfig(f"{book.file}: {error}") from error
    if book.ledger.create_missing:
        raise FixConfig(
            f"{book.file}: 金蝶的基础资料不能由接口建立，请去掉 ledger.create_missing / master data of Kingdee are not made by us: "
            "leave ledger.create_missing out, and create them in Kingdee"
        )
    client = KingdeeClient(
        endpoint,
        organisation=options.organisation,
        connect_timeout_s=options.connect_timeout_s,
        read_timeout_s=options.read_timeout_s,
        limiter=limiter_of(
            endpoint.name, book.ledger.calls_per_s or KingdeeGateway.ceiling_per_s, book.ledger.burst
        ),
    )
    return KingdeeGateway(
        client,
        book=options.book,
        currency=book.currency,
        dimensions=options.dimensions,
        words=options.words,
        finish=options.finish,
        key=key,
        rate_type=options.rate_type,
        current_period=options.current_period,
        batch_size=options.batch_size,
        settle_s=options.settle_s,
        page_size=options.page_size,
        view_hidden=options.view_hidden,
    )
