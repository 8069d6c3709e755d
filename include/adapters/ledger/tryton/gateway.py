"""The ledger gateway for Tryton 8.2.

A voucher is a move whose description is our key. It is created as a draft and posted by a second call, since Tryton
numbers a move when it is posted; a draft that a crash left behind is found by its key and completed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from threading import Lock
from typing import Any

from include.adapters.ledger.tryton.client import TrytonClient
from include.adapters.ledger.tryton.dimensions import DimensionIndex, chunks, name_values
from include.adapters.ledger.tryton.mapping import (
    ANY_PARTY,
    PARTY_KINDS,
    PeriodReference,
    References,
    Refusal,
    full_number,
    ledger_line,
    ledger_voucher,
    money,
    move_values,
    refusals_of,
    say,
)
from include.domain.account import Account, AccountBalance, AuxiliaryDimension, Chart
from include.domain.errors import FixConfig, FixData, OutcomeUnknown, RetryLater
from include.domain.period import FiscalPeriod, LedgerPeriod, PeriodState
from include.domain.voucher import (
    LedgerVoucher,
    LedgerVoucherState,
    PostingOutcome,
    PostingResult,
    Voucher,
    VoucherKey,
)
from include.ports import ProofLevel

log = logging.getLogger(__name__)

MOVE_FIELDS = [
    "number",
    "description",
    "date",
    "period",
    "journal",
    "state",
    "origin",
    "lines.account",
    "lines.debit",
    "lines.credit",
    "lines.second_currency",
    "lines.amount_second_currency",
    "lines.party",
    "lines.description",
    "lines.analytic_lines.account",
]


class TrytonGateway:
    """One company's books in a Tryton database; implements `include.ports.LedgerGateway`.

    What moves refer to (accounts, periods, journals) is read once and again by `chart` and `periods`, and whenever it
    says that a voucher cannot be posted. Safe to share between threads.
    """

    name = "tryton"
    proof_level = ProofLevel.SEARCHABLE_REFERENCE
    ceiling_per_s: float | None = None
    """Tryton knows no limit of its own; a proxy before it may (the book's `ledger.calls_per_s`)."""

    def __init__(
        self,
        client: TrytonClient,
        *,
        currency: str,
        company: str = "",
        create_missing: Iterable[str] = (),
        dimensions: Iterable[str] = ("department", "project"),
        batch_size: int = 50,
        settle_s: float = 60,
        page_size: int = 200,
    ) -> None:
        self.batch_size = batch_size
        self.settle_s = settle_s
        self._page_size = page_size
        self._roots = tuple(dimensions)
        self.dimension_kinds = frozenset({*PARTY_KINDS, ANY_PARTY, *self._roots})
        self._client = client
        self._currency = currency
        self._company = company
        self._create_missing = frozenset(create_missing)
        self._dimensions = DimensionIndex(client)
        self._lock = Lock()
        self._references: References | None = None

    def chart(self) -> Chart:
        return Chart.of(self._read_references().accounts.values())

    def periods(self) -> Sequence[LedgerPeriod]:
        return [found.period for found in self._read_references().periods]

    def period_of(self, day: date) -> LedgerPeriod | None:
        found = self._known().period_of(day)
        return found.period if found else None

    def check(self) -> str:
        references = self._read_references()
        return (
            f"已登录 Tryton：{references.company_name} ({references.currency})，{len(references.accounts)} 个科目，"
            f"{len(references.periods)} 个会计期间 / logged in to Tryton: {len(references.accounts)} accounts, "
            f"{len(references.periods)} periods"
        )

    def ensure_dimensions(self, values: Iterable[AuxiliaryDimension]) -> None:
        references = self._known()
        wanted = sorted({value for value in values if value.kind in self.dimension_kinds})
        known = self._dimensions.ids_of(wanted, references)
        missing = [value for value in wanted if value not in known]
        refused = [value for value in missing if value.kind not in self._create_missing]
        if refused:
            names = name_values(refused)
            raise FixData(
                f"账务系统没有 {names}，请在其中建立，或将其种类加入账簿的 ledger.create_missing / the ledger has no "
                f"{names}: create them there, or name their kinds in the book's ledger.create_missing"
            )
        if missing:
            self._dimensions.create(missing, references)

    def find(self, vouchers: Sequence[Voucher]) -> Mapping[VoucherKey, Sequence[LedgerVoucher]]:
        found: dict[VoucherKey, list[LedgerVoucher]] = {}
        for chunk in chunks([str(voucher.key) for voucher in vouchers]):
            for voucher in self._moves([("description", "in", list(chunk))]):
                if voucher.key is not None:
                    found.setdefault(voucher.key, []).append(voucher)
        return found

    def numbers(self, ledger_ids: Sequence[str]) -> Mapping[str, str]:
        return {
            number: text
            for chunk in chunks([int(each) for each in ledger_ids if each.isdecimal()], self._page_size)
            for number, text in self._numbers(chunk).items()
        }

    def read(self, ledger_ids: Sequence[str]) -> Sequence[LedgerVoucher]:
        """Vouchers by Tryton's ids, in rising order; those that are gone are left out."""
        ids = [int(ledger_id) for ledger_id in ledger_ids if ledger_id.isdecimal()]
        return [voucher for chunk in chunks(ids) for voucher in self._moves([("id", "in", chunk)])]

    def post(self, vouchers: Sequence[Voucher]) -> Sequence[PostingResult]:
        """See `LedgerGateway.post`. What can be told beforehand is refused per voucher, the rest is one batch."""
        if len(vouchers) > self.batch_size:
            raise ValueError(f"{len(vouchers)} vouchers in one call, at most {self.batch_size}")
        refusals, references, ids = self._resolve(vouchers)
        results = {
            key: PostingResult(key, PostingOutcome.REJECTED, message=say(texts))
            for key, texts in refusals.items()
            if texts
        }
        batch = [voucher for voucher in vouchers if not refusals[voucher.key]]
        if batch:
            values = [move_values(voucher, references, ids) for voucher in batch]
            results |= self._send([voucher.key for voucher in batch], values, references)
        return [results[voucher.key] for voucher in vouchers]

    def complete(self, vouchers: Sequence[LedgerVoucher]) -> Sequence[LedgerVoucher]:
        drafts = [int(voucher.ledger_id) for voucher in vouchers if voucher.state is LedgerVoucherState.DRAFT]
        for chunk in chunks(drafts, self.batch_size):
            self._post(chunk, self._known())
        return self.read([voucher.ledger_id for voucher in vouchers])

    def discard(self, vouchers: Sequence[LedgerVoucher]) -> None:
        there = self.read([voucher.ledger_id for voucher in vouchers])
        posted = [each.number for each in there if each.state is not LedgerVoucherState.DRAFT]
        if posted:
            raise FixData(
                f"凭证 {'、'.join(posted)} 已记账，不能删除，只能冲销 / {', '.join(posted)}: posted, so not to be deleted but reversed"
            )
        for chunk in chunks([int(each.ledger_id) for each in there], self.batch_size):
            self._delete(chunk, self._known())

    def vouchers(self, period: FiscalPeriod) -> Iterator[Sequence[LedgerVoucher]]:
        period_ids = self._known().ids_of(period)
        last = 0
        while page := self._moves([("period", "in", period_ids), ("id", ">", last)], limit=self._page_size):
            yield page
            last = int(page[-1].ledger_id)

    def trial_balance(self, period: FiscalPeriod) -> Sequence[AccountBalance]:
        references = self._known()
        rows = self._search(
            "account.account",
            [("company", "=", references.company), ("type", "!=", None)],
            ["code", "debit", "credit"],
            order="code",
            periods=references.ids_of(period),
            posted=True,
            active_test=False,
        )
        return [
            AccountBalance(
                row["code"],
                money(row["debit"], references.currency).minor,
                money(row["credit"], references.currency).minor,
            )
            for row in rows
            if row["debit"] or row["credit"]
        ]

    def _resolve(
        self, vouchers: Sequence[Voucher]
    ) -> tuple[dict[VoucherKey, list[Refusal]], References, Mapping[AuxiliaryDimension, int]]:
        """Why each voucher cannot be sent, with what was known; re-read once before anything is refused."""
        values = {value for voucher in vouchers for line in voucher.lines for value in line.dimensions}
        references = self._known()
        ids = self._dimensions.ids_of(values, references)
        refusals = {voucher.key: refusals_of(voucher, references, ids) for voucher in vouchers}
        if any(refusals.values()):
            references = self._read_references()
            refusals = {voucher.key: refusals_of(voucher, references, ids) for voucher in vouchers}
        return refusals, references, ids

    def _send(
        self, keys: Sequence[VoucherKey], values: list[dict[str, Any]], references: References
    ) -> dict[VoucherKey, PostingResult]:
        context = {"company": references.company}
        try:
            ids = self._client.call("model.account.move.create", values, context, writes=True)
        except FixData as refusal:
            return _all_rejected(keys, refusal)
        try:
            self._post(ids, references)
        except FixData as refusal:
            self._discard(ids, references, refusal)
            return _all_rejected(keys, refusal)
        except (RetryLater, FixConfig) as error:
            raise OutcomeUnknown(
                f"草稿已建立但未能记账，须先查询 / drafts were made and could not be posted, look before sending again: {error}"
            ) from error
        try:
            numbers = self._numbers(ids)
        except RetryLater as error:
            numbers = {}  # they are posted all the same, and a write-back reads the numbers again
            log.warning(
                "%s: posted %s vouchers, their numbers will be read later: %s", self.name, len(ids), error
            )
        return {
            key: PostingResult(key, PostingOutcome.CREATED, str(move_id), numbers.get(str(move_id), ""))
            for key, move_id in zip(keys, ids, strict=True)
        }

    def _post(self, ids: Sequence[int], references: References) -> None:
        self._client.call("model.account.move.post", list(ids), {"company": references.company}, writes=True)

    def _delete(self, ids: Sequence[int], references: References) -> None:
        self._client.call(
            "model.account.move.delete", list(ids), {"company": references.company}, writes=True
        )

    def _discard(self, ids: Sequence[int], references: References, refusal: FixData) -> None:
        """Delete drafts that the ledger would not post, so that REJECTED means that nothing of them is there."""
        try:
            self._delete(ids, references)
        except (RetryLater, FixData, FixConfig) as error:
            raise OutcomeUnknown(
                f"账务系统拒绝记账，草稿未能删除，须先查询 / the ledger refused to post and the drafts could not be deleted, "
                f"look before sending again: {refusal}; {error}"
            ) from error

    def _numbers(self, ids: Sequence[int]) -> dict[str, str]:
        company = ("company", "=", self._known().company)
        rows = self._search("account.move", [company, ("id", "in", list(ids))], ["number", "journal"])
        words = self._known().words
        return {str(row["id"]): full_number(words.get(row["journal"], ""), row["number"]) for row in rows}

    def _moves(self, domain: list[Any], limit: int | None = None) -> list[LedgerVoucher]:
        """Moves with their lines in rising order of id: one call, another for reversals, and names not yet known."""
        references = self._known()
        company = ("company", "=", references.company)
        rows = self._search("account.move", [company, *domain], MOVE_FIELDS, limit=limit, active_test=False)
        if not rows:
            return []
        origins = [f"account.move,{row['id']}" for row in rows]
        reversals = self._search(
            "account.move", [company, ("origin", "in", origins), ("state", "=", "posted")], ["origin"]
        )
        is_reversed = {row["origin"] for row in reversals}
        all_lines = [line for row in rows for line in row["lines."]]
        parties = self._dimensions.of_parties((x["party"] for x in all_lines if x["party"]), references)
        analytic = self._dimensions.of_analytic(
            (entry["account"] for line in all_lines for entry in line["analytic_lines."]), references
        )
        vouchers = []
        for row, origin in zip(rows, origins, strict=True):
            lines = []
            for line in sorted(row["lines."], key=lambda found: int(found["id"])):
                values = {analytic[x["account"]] for x in line["analytic_lines."] if x["account"] in analytic}
                if line["party"] in parties:
                    values.add(parties[line["party"]])
                lines.append(ledger_line(line, references, sorted(values)))
            vouchers.append(ledger_voucher(row, lines, references, is_reversed=origin in is_reversed))
        return vouchers

    def _known(self) -> References:
        with self._lock:
            references = self._references
        return references or self._read_references()

    def _read_references(self) -> References:
        company = self._read_company()
        of_company = ("company", "=", company["id"])
        accounts = self._search(
            "account.account",
            [of_company],
            ["code", "name", "type", "closed", "childs", "party_required", "active"],
            active_test=False,
        )
        references = References(
            company=company["id"],
            company_name=company["party."]["name"],
            currency=company["currency."]["code"],
            accounts={row["id"]: _account(row) for row in accounts if row["code"]},
            periods=self._read_periods(company["id"]),
            journals={
                row["code"]: row["id"] for row in self._search("account.journal", [], ["code"]) if row["code"]
            },
            currencies={row["code"]: row["id"] for row in self._search("currency.currency", [], ["code"])},
            roots=self._read_roots(company["id"]),
        )
        with self._lock:
            self._references = references
        return references

    def _read_company(self) -> dict[str, Any]:
        rows = self._search("company.company", [], ["party.name", "currency.code"])
        names = [row["party."]["name"] for row in rows]
        chosen = [row for row in rows if self._company in ("", row["party."]["name"])]
        if len(chosen) != 1:
            raise FixConfig(
                f"账簿设置 ledger.options.company 应为其中之一 / set the book's ledger.options.company to one of: "
                f"{'、'.join(names) or '（无 / none)'}"
            )
        if chosen[0]["currency."]["code"] != self._currency:
            raise FixConfig(
                f"账簿本位币为 {self._currency}，而账务系统中 {chosen[0]['party.']['name']} 的本位币为 "
                f"{chosen[0]['currency.']['code']} / the book's currency is {self._currency}, the company's in the "
                f"ledger is {chosen[0]['currency.']['code']}: correct the book or its connection"
            )
        return dict(chosen[0])

    def _read_roots(self, company: int) -> dict[str, int]:
        rows = self._search(
            "analytic_account.account", [("company", "=", company), ("type", "=", "root")], ["code"]
        )
        roots = {row["code"]: row["id"] for row in rows}
        missing = [kind for kind in self._roots if kind not in roots]
        if missing:
            raise FixConfig(
                f"账务系统没有辅助核算 {'、'.join(missing)}，请建立同编码的分析根科目，或修改账簿的 ledger.options.dimensions / "
                f"no analytic root has the code {', '.join(missing)}: create it in Tryton, or correct the book's "
                "ledger.options.dimensions"
            )
        return {kind: roots[kind] for kind in self._roots}

    def _read_periods(self, company: int) -> list[PeriodReference]:
        """Normal and adjustment periods; Tryton knows none that is not open yet: a year that is to come is not there."""
        rows = self._search(
            "account.period",
            [("company", "=", company)],
            ["name", "type", "start_date", "end_date", "state", "fiscalyear.state"],
            order="start_date",
        )
        return [PeriodReference(row["id"], _period(row)) for row in rows]

    def _search(
        self,
        model: str,
        domain: list[Any],
        fields: list[str],
        *,
        order: str = "id",
        limit: int | None = None,
        **context: Any,
    ) -> list[dict[str, Any]]:
        if self._references is not None:
            context = {"company": self._references.company, **context}
        rows: list[dict[str, Any]] = self._client.call(
            f"model.{model}.search_read", domain, 0, limit, [(order, "ASC")], fields, context, writes=False
        )
        return rows


def _account(row: Mapping[str, Any]) -> Account:
    return Account(
        code=row["code"],
        name=row["name"],
        is_leaf=row["type"] is not None and not row["childs"],
        is_active=bool(row["active"]) and not row["closed"],
        required_dimensions=frozenset({"party"} if row["party_required"] else ()),
    )


def _period(row: Mapping[str, Any]) -> LedgerPeriod:
    """A normal period is named by its month, an adjustment period as people named it."""
    is_open = row["state"] == "open" and row["fiscalyear."]["state"] == "open"
    is_adjustment = row["type"] != "standard"
    return LedgerPeriod(
        code=row["name"] if is_adjustment else FiscalPeriod.of(row["start_date"]).code,
        first_day=row["start_date"],
        last_day=row["end_date"],
        state=PeriodState.OPEN if is_open else PeriodState.CLOSED,
        is_adjustment=is_adjustment,
    )


def _all_rejected(keys: Sequence[VoucherKey], refusal: FixData) -> dict[VoucherKey, PostingResult]:
    return {key: PostingResult(key, PostingOutcome.REJECTED, message=str(refusal)) for key in keys}
