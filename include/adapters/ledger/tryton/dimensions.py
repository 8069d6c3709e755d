"""Parties and analytic accounts: look them up by code or id in bulk, remember them, make missing ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from threading import Lock
from typing import Any, TypeVar

from include.adapters.ledger.tryton.client import TrytonClient
from include.adapters.ledger.tryton.mapping import (
    References,
    clean_text,
    is_party,
    party_code,
    party_dimension,
)
from include.domain.account import AuxiliaryDimension
from include.domain.errors import FixData

T = TypeVar("T")

CHUNK = 200
"""Values per look-up or creation."""

PARTY = "party.party"
ANALYTIC = "analytic_account.account"


class DimensionIndex:
    """What we know of the ledger's dimension values. Grows with the master data, not with vouchers; thread-safe.

    Of two analytic accounts with one code (Tryton allows it) the older one is used.
    """

    def __init__(self, client: TrytonClient) -> None:
        self._client = client
        self._lock = Lock()
        self._ids: dict[AuxiliaryDimension, int] = {}
        self._values: dict[tuple[str, int], AuxiliaryDimension] = {}

    def ids_of(
        self, values: Iterable[AuxiliaryDimension], references: References
    ) -> Mapping[AuxiliaryDimension, int]:
        """Ids of those that the ledger has and that are active."""
        wanted = set(values)
        with self._lock:
            known = {value: self._ids[value] for value in wanted if value in self._ids}
        missing = wanted - known.keys()
        self._read_parties(
            "code", [party_code(value) for value in missing if is_party(value.kind)], references
        )
        for kind in {value.kind for value in missing if value.kind in references.roots}:
            codes = [value.code for value in missing if value.kind == kind]
            self._read_analytic([("root", "=", references.roots[kind])], "code", codes, references)
        with self._lock:
            return known | {value: self._ids[value] for value in missing if value in self._ids}

    def of_parties(self, ids: Iterable[int], references: References) -> Mapping[int, AuxiliaryDimension]:
        """The dimensions of parties by id."""
        wanted = set(ids)
        self._read_parties("id", self._unknown(PARTY, wanted), references)
        with self._lock:
            return {i: self._values[PARTY, i] for i in wanted if (PARTY, i) in self._values}

    def of_analytic(self, ids: Iterable[int], references: References) -> Mapping[int, AuxiliaryDimension]:
        """The dimensions of analytic accounts by id."""
        wanted = set(ids)
        self._read_analytic([], "id", self._unknown(ANALYTIC, wanted), references)
        with self._lock:
            return {i: self._values[ANALYTIC, i] for i in wanted if (ANALYTIC, i) in self._values}

    def create(self, values: Iterable[AuxiliaryDimension], references: References) -> None:
        """Make those that are missing.

        Raises:
            FixData: values that exist but are switched off.
        """
        wanted = sorted(set(values))
        known = self.ids_of(wanted, references)
        missing = [value for value in wanted if value not in known]
        parties = [
            {"code": party_code(value), "name": clean_text(value.name) or value.code, "addresses": []}
            for value in missing
            if is_party(value.kind)
        ]
        analytic = [_analytic_values(value, references) for value in missing if not is_party(value.kind)]
        for model, rows in ((PARTY, parties), (ANALYTIC, analytic)):
            for chunk in chunks(rows):
                self._client.call(f"model.{model}.create", chunk, _context(references), writes=True)
        known = self.ids_of(missing, references)
        left = [value for value in missing if value not in known]
        if left:
            names = name_values(left)
            raise FixData(
                f"账务系统已停用 {names}，请重新启用 / switched off in the ledger, activate them there: {names}"
            )

    def _unknown(self, model: str, ids: set[int]) -> list[int]:
        with self._lock:
            return [i for i in ids if (model, i) not in self._values]

    def _read_parties(self, key: str, wanted: Sequence[Any], references: References) -> None:
        for row in self._search(PARTY, [], key, wanted, ["code", "name", "active"], references):
            self._remember(PARTY, row, party_dimension(row["code"], row["name"] or ""))

    def _read_analytic(
        self, domain: list[Any], key: str, wanted: Sequence[Any], references: References
    ) -> None:
        kinds = {root: kind for kind, root in references.roots.items()}
        fields = ["code", "name", "active", "root"]
        for row in self._search(
            ANALYTIC, [*domain, ("type", "=", "normal")], key, wanted, fields, references
        ):
            kind = kinds.get(row["root"])
            if kind is not None and row["code"]:
                self._remember(ANALYTIC, row, AuxiliaryDimension(kind, row["code"], row["name"]))

    def _search(
        self,
        model: str,
        domain: list[Any],
        key: str,
        wanted: Sequence[Any],
        fields: list[str],
        references: References,
    ) -> Iterator[dict[str, Any]]:
        for chunk in chunks(wanted):
            yield from self._client.call(
                f"model.{model}.search_read",
                [*domain, (key, "in", chunk)],
                0,
                None,
                [("id", "ASC")],
                fields,
                {**_context(references), "active_test": False},
                writes=False,
            )

    def _remember(self, model: str, row: Mapping[str, Any], value: AuxiliaryDimension) -> None:
        with self._lock:
            self._values[model, row["id"]] = value
            if row["active"]:
                self._ids.setdefault(value, row["id"])


def _analytic_values(value: AuxiliaryDimension, references: References) -> dict[str, Any]:
    root = references.roots[value.kind]
    return {
        "code": value.code,
        "name": clean_text(value.name) or value.code,
        "type": "normal",
        "state": "opened",
        "root": root,
        "parent": root,
        "company": references.company,
    }


def _context(references: References) -> dict[str, Any]:
    return {"company": references.company}


def name_values(values: Sequence[AuxiliaryDimension]) -> str:
    """Up to twenty of them, and how many more."""
    shown = ", ".join(f"{value.kind} {value.code}" for value in values[:20])
    return shown if len(values) <= 20 else f"{shown} … +{len(values) - 20}"


def chunks(values: Sequence[T], size: int = CHUNK) -> Iterator[list[T]]:
    for start in range(0, len(values), size):
        yield list(values[start : start + size])
