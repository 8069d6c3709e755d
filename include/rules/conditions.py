"""The closed set of predicates, as Polars expressions over a frame with the facts' columns."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from include.rules.lookup import bound
from include.rules.schema import Predicate


def condition(when: Mapping[str, Predicate], decimals: int) -> pl.Expr:
    """Whether all predicates hold; never null."""
    result = pl.lit(True)
    for path, predicate in when.items():
        result = result & _holds(path, predicate, decimals)
    return result


def _holds(path: str, predicate: Predicate, decimals: int) -> pl.Expr:
    value = pl.col(path)
    if predicate.equals is not None:
        result = value == predicate.equals
    elif predicate.any_of is not None:
        result = value.is_in(list(predicate.any_of))
    elif predicate.prefix is not None:
        result = value.str.starts_with(predicate.prefix)
    elif predicate.range is not None:
        result = value.is_not_null()
        start = bound(predicate.range.start, decimals, is_start=True)
        end = bound(predicate.range.end, decimals, is_start=False)
        if start is not None:
            result = result & (value >= start)
        if end is not None:
            result = result & (value <= end)
    elif predicate.is_missing:
        result = value.is_null()
    else:
        result = value.is_not_null()
    return result.fill_null(False)
