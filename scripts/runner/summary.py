"""The numbers of a run, per book and together, and the file that keeps them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from include.connections import Endpoint
from include.domain.errors import FixConfig
from include.settings import Settings
from include.stages.context import open_context
from include.stages.summary import summarise
from include.store.store import open_store

TOTALS = ("debit_total", "credit_total")


def read_summaries(settings: Settings, store_url: str) -> dict[str, dict[str, Any]]:
    """What the store holds of each book; asks neither OA nor ledger."""
    store = open_store(store_url)
    try:
        return {
            book_id: summarise(
                open_context(settings, book_id, store, _no_connection, actor="make run")
            ).as_dict()
            for book_id in sorted(settings.books)
        }
    finally:
        store.engine.dispose()


def merge(summaries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """All books together: counts are added, `complete` holds only if it holds everywhere.

    Totals of money (text in major units) are added where all books share a currency and left out otherwise; the
    same goes for any other text.
    """
    merged: dict[str, Any] = {}
    one_currency = len({summary["currency"] for summary in summaries}) == 1
    for key in dict.fromkeys(key for summary in summaries for key in summary):
        values = [summary[key] for summary in summaries if key in summary]
        if key in TOTALS:
            if one_currency:
                merged[key] = str(sum(map(Decimal, values), Decimal(0)))
        elif all(isinstance(value, bool) for value in values):
            merged[key] = all(values)
        elif all(isinstance(value, int) for value in values):
            merged[key] = sum(values)
        elif len(set(values)) == 1:
            merged[key] = values[0]
    return merged


def write_summary(
    path: Path, world: str, states: Mapping[str, str], summaries: Mapping[str, Mapping[str, Any]]
) -> None:
    """The numbers of all books together, and each book's own under `books`, replaced as a whole."""
    books = {book_id: {"state": states[book_id], **summary} for book_id, summary in summaries.items()}
    content = {**merge(list(summaries.values())), "world": world, "books": books}
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    fresh.replace(path)


def _no_connection(connection_id: str) -> Endpoint:
    raise FixConfig(
        f"汇总不应访问外部系统 {connection_id} / a summary needs no connection, asked for {connection_id}"
    )
