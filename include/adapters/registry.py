"""Every vendor we can talk to, by the word that configuration uses for it. Adding a vendor is one line here."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from include.connections import Endpoint
from include.domain.errors import FixConfig
from include.ports import Clock, DocumentSource, LedgerGateway
from include.settings import Book, Source

SOURCES = {
    "dingtalk": "include.adapters.oa.dingtalk:build_source",
    "feishu": "include.adapters.oa.feishu:build_source",
    "hesi": "include.adapters.oa.hesi:build_source",
    "weaver": "include.adapters.oa.weaver:build_source",
}
LEDGERS = {
    "kingdee": "include.adapters.ledger.kingdee:build_ledger",
    "nc": "include.adapters.ledger.nc:build_ledger",
    "tryton": "include.adapters.ledger.tryton:build_ledger",
    "yonbip": "include.adapters.ledger.yonbip:build_ledger",
}


def build_source(source: Source, endpoint: Endpoint, clock: Clock) -> DocumentSource:
    """The adapter of a configured source.

    Raises:
        FixConfig: nobody knows that system, or its options are wrong.
    """
    adapter: DocumentSource = _load(SOURCES, source.system, source.file)(source, endpoint, clock)
    return adapter


def build_ledger(book: Book, endpoint: Endpoint) -> LedgerGateway:
    """The adapter of a book's ledger; raises as `build_source`."""
    adapter: LedgerGateway = _load(LEDGERS, book.ledger.system, book.file)(book, endpoint)
    return adapter


def _load(registry: dict[str, str], system: str, file: str) -> Any:
    if system not in registry:
        known = "、".join(sorted(registry))
        raise FixConfig(
            f"{file}: system {system!r} 不存在，可选：{known} / unknown system {system!r}, choose one of: {known}"
        )
    module, _, name = registry[system].partition(":")
    return getattr(import_module(module), name)
