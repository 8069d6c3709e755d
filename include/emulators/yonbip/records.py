"""Vouchers as the interfaces show them: small letters in the list, camel case in the detail and after a save."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from include.emulators.hesi.clock import text_of
from include.emulators.ledger_books import Books
from include.emulators.ledger_rules import Line, Voucher
from include.emulators.yonbip.options import Options

Json = dict[str, Any]
VOID = "05"
AMOUNTS = ("debitOriginal", "debitOrg", "creditOriginal", "creditOrg")


def status_of(voucher: Voucher) -> str:
    return VOID if voucher.void else "04" if voucher.posted else voucher.status


class Records:
    """Shows vouchers of one file of books."""

    def __init__(self, books: Books, options: Options) -> None:
        self.books = books
        self.options = options

    def saved(self, voucher: Voucher) -> Json:
        """`data` of addVoucher."""
        total = self._amount(voucher, voucher.total)
        return {
            "voucherId": str(voucher.id),
            "voucherStatus": status_of(voucher),
            "period": _period(voucher),
            "billCode": voucher.number,
            "totalDebitOrg": total,
            "totalCreditOrg": total,
            "accbook": self._book(voucher),
            "voucherType": {"id": f"type-{voucher.word}"},
        }

    def listed(self, voucher: Voucher) -> Json:
        """One record of queryVouchers."""
        total = self._amount(voucher, voucher.total)
        header = {
            "id": str(voucher.id),
            "accbook": self._book(voucher),
            "period": _period(voucher),
            "vouchertype": self._word(voucher),
            "billcode": voucher.number,
            "displaybillcode": "" if voucher.number is None else str(voucher.number),
            "displayname": self._name(voucher),
            "maketime": voucher.day.isoformat(),
            "voucherstatus": status_of(voucher),
            "description": voucher.extra.get("description", ""),
            "attachedbill": voucher.attachments,
            "srcsystem": "总账管理",
            "srcsystemid": {"code": voucher.extra.get("srcSystemCode", "figl")},
            "totaldebit_org": total,
            "totalcredit_org": total,
            "maker": {"name": voucher.preparer},
            "auditor": {"name": voucher.reviewer},
            "tallyman": {"name": voucher.poster},
            "ts": text_of(voucher.modified_ms),
        }
        head = {"businessId": voucher.reference, **voucher.extra}
        header |= {name: head.get(name, "") for name in self.options.list_shows}
        body = [self._entry(voucher, number, line) for number, line in enumerate(voucher.lines, start=1)]
        return {"header": header, "body": body}

    def detailed(self, voucher: Voucher) -> Json:
        """`data` of queryVoucherById."""
        external = {name: value for name, value in voucher.extra.items() if name.startswith("external")}
        bodies = [
            {
                "id": str(line.id),
                "recordNumber": number,
                "description": line.summary,
                "accSubjectObj": self._account(voucher, line),
                "currencyObj": {"code": line.currency},
                **dict(zip(AMOUNTS, self._amounts(voucher, line), strict=True)),
                "clientAuxiliary": self._auxiliaries(line),
            }
            for number, line in enumerate(voucher.lines, start=1)
        ]
        return {
            "id": str(voucher.id),
            "accBookObj": self._book(voucher),
            "periodUnion": _period(voucher),
            "voucherTypeObj": self._word(voucher),
            "billCode": voucher.number,
            "displayName": self._name(voucher),
            "makeTime": voucher.day.isoformat(),
            "voucherStatus": status_of(voucher),
            "description": voucher.extra.get("description", ""),
            "srcSystem": voucher.extra.get("srcSystemCode", "figl"),
            "makerObj": {"name": voucher.preparer},
            **external,
            "bodies": bodies,
        }

    def _entry(self, voucher: Voucher, number: int, line: Line) -> Json:
        debit_for, debit, credit_for, credit = self._amounts(voucher, line)
        return {
            "id": str(line.id),
            "voucherid": str(voucher.id),
            "recordnumber": number,
            "description": line.summary,
            "accsubject": self._account(voucher, line),
            "currency": {"code": line.currency},
            "rate_org": Decimal(line.rate),
            "debit_original": debit_for,
            "debit_org": debit,
            "credit_original": credit_for,
            "credit_org": credit,
            "clientauxiliary": self._auxiliaries(line),
        }

    def _amounts(self, voucher: Voucher, line: Line) -> tuple[Decimal, Decimal, Decimal, Decimal]:
        original = Decimal(line.amount_for or 0).scaleb(-(self.books.scale(line.currency) or 0))
        debit, credit = self._amount(voucher, line.debit), self._amount(voucher, line.credit)
        return (original if debit else Decimal(0)), debit, (original if credit else Decimal(0)), credit

    def _amount(self, voucher: Voucher, minor: int) -> Decimal:
        own = str(self.books.book(voucher.book)["currency"])
        return Decimal(minor).scaleb(-(self.books.scale(own) or 0))

    def _auxiliaries(self, line: Line) -> list[Json]:
        shown = []
        for kind, code in line.dimensions.items():
            item = self.books.item(kind, code)
            data = {"id": f"{kind}-{item.id if item else 0}", "code": code, "name": item.name if item else ""}
            shown.append({"code": self.options.code_of(kind), "value": data["id"], "data": data})
        return shown

    def _account(self, voucher: Voucher, line: Line) -> Json:
        account = self.books.account(voucher.book, line.account)
        return {"code": line.account, "name": account.name if account else ""}

    def _book(self, voucher: Voucher) -> Json:
        row = self.books.book(voucher.book)
        return {"id": f"book-{row['id']}", "code": row["code"], "name": row["name"]}

    def _word(self, voucher: Voucher) -> Json:
        with self.books.transaction() as db:
            row = db.execute("SELECT name FROM words WHERE code = ?", (voucher.word,)).fetchone()
        name = str(row["name"]) if row else voucher.word
        return {
            "id": f"type-{voucher.word}",
            "code": voucher.word,
            "name": name,
            "voucherstr": name[:1],
        }

    def _name(self, voucher: Voucher) -> str:
        number = "" if voucher.number is None else voucher.number
        return f"{self._word(voucher)['voucherstr']}-{number}"


def _period(voucher: Voucher) -> str:
    return f"{voucher.year}-{voucher.period:02d}"
