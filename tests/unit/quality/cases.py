"""Documents and vouchers that each break the gate in one way, with the codes that must come of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime

from sqlalchemy import Connection

from include.domain.document import Disposition, DocumentKind, DocumentStatus
from include.domain.voucher import Side, VoucherStatus
from tests.builders import StoreBuilder

HOSTILE = 'O\'Brien "引号" 100% :name \\n {code} 😀𠮷'
SOUND: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Case:
    """`build` inserts rows and returns the key of the document that `codes` are expected for."""

    name: str
    codes: frozenset[str]
    build: Callable[[StoreBuilder], int]


def bad(code: str, build: Callable[[StoreBuilder], int], *more: str, name: str = "") -> Case:
    return Case(name or code, frozenset({code, *more}), build)


def good(name: str, build: Callable[[StoreBuilder], int]) -> Case:
    return Case(name, SOUND, build)


def _second_with_same_code(b: StoreBuilder) -> int:
    b.document(code="SAME")
    return b.document(code="SAME", approved_at=datetime(2026, 3, 11, tzinfo=UTC))


def _first_with_same_code(b: StoreBuilder) -> int:
    first = b.document(code="SAME2")
    b.document(code="SAME2", approved_at=datetime(2026, 3, 11, tzinfo=UTC))
    return first


def _same_code_as_accepted(b: StoreBuilder) -> int:
    """Approved first, but the other is accepted already and may be posted."""
    b.document(code="SAME3", approved_at=datetime(2026, 3, 12, tzinfo=UTC), disposition=Disposition.ACCEPTED)
    return b.document(code="SAME3")


def _same_code_as_draft(b: StoreBuilder) -> int:
    b.document(code="SAME4", status=DocumentStatus.NULLIFIED, disposition=Disposition.NOT_DUE)
    return b.document(code="SAME4")


def _overclaimed(b: StoreBuilder) -> int:
    b.invoice(b.document(), "inv-over", claimed_minor=6_000, total_minor=None)
    second = b.document(approved_at=datetime(2026, 3, 11, tzinfo=UTC))
    b.invoice(second, "inv-over", claimed_minor=6_000)
    return second


def _shared_within_total(b: StoreBuilder) -> int:
    b.invoice(b.document(), "inv-shared", claimed_minor=6_000)
    second = b.document(approved_at=datetime(2026, 3, 11, tzinfo=UTC))
    b.invoice(second, "inv-shared", claimed_minor=3_000)
    b.invoice(second, "inv-shared", claimed_minor=1_000, line_no=2)
    return second


def _claimed_unknown_counts_whole(b: StoreBuilder) -> int:
    b.invoice(b.document(), "inv-part", claimed_minor=1)
    second = b.document(approved_at=datetime(2026, 3, 11, tzinfo=UTC))
    b.invoice(second, "inv-part", claimed_minor=None)
    return second


def _after_an_absurd_claim(b: StoreBuilder) -> int:
    b.invoice(b.document(), "inv-absurd", claimed_minor=10_001)
    second = b.document(approved_at=datetime(2026, 3, 11, tzinfo=UTC))
    b.invoice(second, "inv-absurd")
    return second


def _claimed_above_total(b: StoreBuilder) -> int:
    document = b.document()
    b.invoice(document, "inv-above", claimed_minor=10_001)
    return document


def _used_twice(b: StoreBuilder) -> int:
    b.invoice(b.document(), "inv-twice", total_minor=None)
    second = b.document(approved_at=datetime(2026, 3, 11, tzinfo=UTC))
    b.invoice(second, "inv-twice", total_minor=None)
    return second


def _used_before_by_withdrawn(b: StoreBuilder) -> int:
    withdrawn = b.document(status=DocumentStatus.NULLIFIED, disposition=Disposition.NOT_DUE)
    b.invoice(withdrawn, "inv-free", total_minor=None)
    document = b.document()
    b.invoice(document, "inv-free", total_minor=None)
    return document


def _write_off(loan: str, amount: int | None = 4_000, **document: object) -> Callable[[StoreBuilder], int]:
    def build(b: StoreBuilder) -> int:
        key = b.document(
            **{"written_off_minor": amount or 0, "payable_minor": 10_000 - (amount or 0)} | document
        )
        b.write_off(key, loan, amount)
        return key

    return build


def _write_off_of(**loan: object) -> Callable[[StoreBuilder], int]:
    def build(b: StoreBuilder) -> int:
        number = f"loan-{b.next_number()}"
        b.document(**{"document_id": number, "kind": DocumentKind.LOAN} | loan)
        return _write_off(number)(b)

    return build


def _unreadable(b: StoreBuilder) -> int:
    document = b.document(
        gross_minor=None,
        payable_minor=None,
        kind=DocumentKind.UNKNOWN,
        status=DocumentStatus.UNKNOWN,
        business_date=None,
        currency="???",
        lines=[],
    )
    b.problem(document)
    return document


def _unreadable_line(b: StoreBuilder) -> int:
    document = b.document(lines=[{"amount_minor": None, "currency": None, "rate": None}])
    b.problem(document, line_no=1, where="form.details[0].feeTypeForm.amount")
    return document


def _unreadable_total(b: StoreBuilder) -> int:
    """As a loan's mapping leaves it: the one line repeats what is wrong with the total."""
    line = {"amount_minor": None, "functional_minor": None, "currency": None, "rate": None}
    document = b.document(gross_minor=None, payable_minor=None, kind=DocumentKind.LOAN, lines=[line])
    b.problem(document)
    return document


def _resolved(b: StoreBuilder) -> int:
    document = b.document()
    b.problem(document, resolved_at=datetime(2026, 3, 11, tzinfo=UTC))
    return document


def doc(**overrides: object) -> Callable[[StoreBuilder], int]:
    return lambda b: b.document(**overrides)


def line(**overrides: object) -> Callable[[StoreBuilder], int]:
    return lambda b: b.document(lines=[overrides])


DOCUMENT_CASES = (
    good("sound", doc()),
    good("hostile text", doc(title=HOSTILE, submitter_name=HOSTILE, lines=[{"description": HOSTILE}])),
    good("a problem resolved", _resolved),
    bad("extract.open", _unreadable),
    bad("extract.open", _unreadable_line, name="unreadable line"),
    bad("extract.open", _unreadable_total, name="unreadable total"),
    bad("kind.unknown", doc(kind=DocumentKind.UNKNOWN)),
    bad("status.unknown", doc(status=DocumentStatus.UNKNOWN)),
    bad("code.missing", doc(code=" ")),
    bad("code.duplicate", _second_with_same_code),
    bad("code.duplicate", _same_code_as_accepted, name="the accepted one came first"),
    good("the first with a code", _first_with_same_code),
    good("code of a voided document", _same_code_as_draft),
    bad("legal_entity.missing", doc(legal_entity_id=None, legal_entity_code="")),
    bad("legal_entity.unknown", doc(legal_entity_id=HOSTILE, legal_entity_code="")),
    bad("legal_entity.no_book", doc(legal_entity_id="LE2", legal_entity_code="E02")),
    good("legal entity by its id", doc(legal_entity_id="E01", legal_entity_code="")),
    bad("submitter.missing", doc(submitter_id=None)),
    bad("submitter.unknown", doc(submitter_id=HOSTILE)),
    bad("department.unknown", doc(department_id=HOSTILE)),
    bad("project.unknown", doc(project_id="P9")),
    good("known project", doc(project_id="P1")),
    bad("supplier.unknown", doc(kind=DocumentKind.PREPAYMENT, supplier_id="V9")),
    good("payee as supplier", doc(kind=DocumentKind.PAYMENT_REQUEST, supplier_id="PAY1")),
    bad("gross.missing", doc(gross_minor=None, lines=[{}])),
    bad("gross.not_positive", doc(gross_minor=-5, lines=[], kind=DocumentKind.RECEIPT, payable_minor=None)),
    bad(
        "gross.not_positive", doc(gross_minor=0, lines=[], kind=DocumentKind.RECEIPT), name="nothing received"
    ),
    good("a requisition may cost nothing", doc(gross_minor=0, kind=DocumentKind.REQUISITION)),
    bad(
        "gross.implausible",
        doc(gross_minor=2**63 - 1, payable_minor=None, lines=[{"amount_minor": 1}]),
    ),
    bad("written_off.out_of_range", doc(written_off_minor=-1, payable_minor=10_001)),
    bad("company_paid.out_of_range", doc(company_paid_minor=-1, payable_minor=10_001)),
    bad("payable.out_of_range", doc(payable_minor=-(10**14) - 1)),
    good("company-paid part", doc(payable_minor=9_000, company_paid_minor=1_000)),
    bad("currency.unknown", doc(currency="RMB")),
    bad("currency.not_of_book", doc(functional_currency="EUR", lines=[{"currency": "EUR"}])),
    bad("business_date.missing", doc(business_date=None)),
    bad("business_date.implausible", doc(business_date=date(9999, 12, 31))),
    bad("business_date.implausible", doc(business_date=date(1970, 1, 1)), name="the epoch"),
    bad("approved_at.before_submission", doc(submitted_at=datetime(2026, 3, 12, tzinfo=UTC))),
    bad("line.fee_type.unknown", line(fee_type_id=HOSTILE)),
    bad("line.department.unknown", line(department_id="D9")),
    bad("line.project.unknown", line(project_id="P9")),
    bad("line.currency.missing", line(currency=None, amount_minor=10_000)),
    bad("line.currency.unknown", line(currency="RMB", rate="1.5")),
    bad("line.amount.missing", line(amount_minor=None, functional_minor=10_000)),
    bad("line.functional_amount.missing", line(functional_minor=None)),
    bad("line.amount.implausible", line(amount_minor=2**63 - 1, functional_minor=10_000)),
    bad("line.functional_amount.implausible", line(functional_minor=-(2**63))),
    bad(
        "line.amount.not_positive",
        doc(lines=[{"amount_minor": 10_100}, {"amount_minor": -100}]),
    ),
    good(
        "a negative share of a line",
        doc(
            lines=[
                {"line_no": 1, "portion_no": 1, "amount_minor": 10_100, "line_id": "L"},
                {"line_no": 1, "portion_no": 2, "amount_minor": -100, "line_id": "L"},
            ]
        ),
    ),
    bad("line.functional_amount.differs", line(amount_minor=9_000, functional_minor=10_000)),
    good("foreign line", line(currency="USD", rate="7.1234", amount_minor=1_404, functional_minor=10_000)),
    bad("line.tax.negative", line(tax_minor=-1)),
    bad("line.tax.above_amount", line(tax_minor=10_001)),
    good("tax as large as the amount", line(tax_minor=10_000)),
    bad("line.rate.missing", line(currency="USD", rate=None)),
    bad("line.rate.not_positive", line(currency="USD", rate="0.000")),
    bad("line.rate.not_positive", line(currency="USD", rate="-7"), name="negative rate"),
    good("tiny rate", line(currency="USD", rate="1E-7")),
    bad("line.occurred_on.implausible", line(occurred_on=date(9999, 1, 1))),
    bad("line.occurred_on.missing", line(occurred_on=None)),
    good(
        "a payment request has no day of its own",
        doc(kind=DocumentKind.PAYMENT_REQUEST, supplier_id="V1", lines=[{"occurred_on": None}]),
    ),
    bad(
        "line.duplicate",
        doc(lines=[{"amount_minor": 5_000, "line_id": "X"}, {"amount_minor": 5_000, "line_id": "X"}]),
    ),
    bad("invoice.overclaimed", _overclaimed),
    bad("invoice.overclaimed", _claimed_unknown_counts_whole, name="a claim without an amount"),
    bad("invoice.overclaimed", _claimed_above_total, name="one claim above the total"),
    good("after a claim that cannot stand", _after_an_absurd_claim),
    good("invoice shared within its total", _shared_within_total),
    bad("invoice.used_twice", _used_twice),
    good("invoice of a withdrawn document", _used_before_by_withdrawn),
    bad("write_off.loan.missing", _write_off("")),
    bad("write_off.amount.missing", _write_off("elsewhere", None)),
    bad("write_off.amount.not_positive", _write_off("elsewhere", -100), "written_off.out_of_range"),
    bad("write_off.loan.not_a_loan", _write_off_of(kind=DocumentKind.RECEIPT)),
    bad(
        "write_off.loan.not_approved",
        _write_off_of(status=DocumentStatus.NULLIFIED, disposition=Disposition.NOT_DUE),
    ),
    good("loan written off", _write_off_of()),
    good(
        "loan of unread kind", _write_off_of(kind=DocumentKind.UNKNOWN, disposition=Disposition.QUARANTINED)
    ),
    good(
        "loan of unread state", _write_off_of(status=DocumentStatus.UNKNOWN, disposition=Disposition.ACCEPTED)
    ),
    good("loan older than the store", _write_off("elsewhere")),
)

NUL_CASES = (
    bad("text.nul", doc(title="a\0b")),
    bad("line.text.nul", line(description="a\0b")),
)
"""PostgreSQL cannot store such a text."""


def voucher(**overrides: object) -> Callable[[StoreBuilder], int]:
    def build(b: StoreBuilder) -> int:
        document = b.document()
        b.voucher(document, **overrides)
        return document

    return build


def entries(
    debit: dict[str, object] | None = None, credit: dict[str, object] | None = None
) -> list[dict[str, object]]:
    return [
        {"account": "6602.10", "dimensions": [["department", "D01", HOSTILE], ["project", "P1", ""]]}
        | (debit or {}),
        {"account": "2241.03", "side": Side.CREDIT, "dimensions": [["employee", "0001", "员工"]]}
        | (credit or {}),
    ]


def of_rules(
    debit: dict[str, object], credit: dict[str, object] | None = None
) -> Callable[[StoreBuilder], int]:
    """A voucher made under the rules that the gate holds it against (conftest.RULES)."""
    both = {"template": "a.yaml#claim"}
    lines = entries(both | {"entry": "expense"} | debit, both | {"entry": "owed"} | (credit or {}))
    return voucher(rule_digest="in force", lines=lines)


def _two_of_one_key(b: StoreBuilder) -> int:
    b.voucher(b.document(), document_id="twin", status=VoucherStatus.POSTED)
    document = b.document()
    b.voucher(document, document_id="twin", key="VF/acme/hesi/twin/expense_claim/1/again")
    return document


def _replaces_cancelled(b: StoreBuilder) -> int:
    b.voucher(b.document(), document_id="old", status=VoucherStatus.CANCELLED, key="VF/cancelled")
    document = b.document()
    b.voucher(document, document_id="old")
    return document


def _zero_line(b: StoreBuilder) -> int:
    """The database itself refuses a zero line, so its guard is taken down for this one."""
    document = b.document()
    _drop_guard(b.connection)
    b.voucher(document, lines=[*entries(), {"amount_minor": 0, "dimensions": [["department", "D01", ""]]}])
    if b.connection.dialect.name == "sqlite":
        b.connection.exec_driver_sql("PRAGMA ignore_check_constraints=OFF")
    return document


def _drop_guard(connection: Connection) -> None:
    connection.exec_driver_sql(
        "PRAGMA ignore_check_constraints=ON"
        if connection.dialect.name == "sqlite"
        else "ALTER TABLE journal_line DROP CONSTRAINT ck_journal_line_not_zero"
    )


VOUCHER_CASES = (
    good("sound voucher", voucher()),
    good("hostile text in dimensions", voucher(lines=entries())),
    good(
        "red voucher",
        voucher(
            debit_minor=-10_000,
            credit_minor=-10_000,
            lines=entries({"amount_minor": -10_000}, {"amount_minor": -10_000}),
        ),
    ),
    good("a cancelled one before it", _replaces_cancelled),
    bad("voucher.unbalanced", voucher(lines=entries(credit={"amount_minor": 9_999}))),
    bad("voucher.total", voucher(lines=entries({"amount_minor": 9_000}, {"amount_minor": 9_000}))),
    bad("voucher.implausible", voucher(debit_minor=2**62, credit_minor=2**62)),
    bad("voucher.lines", voucher(lines=[]), "voucher.total"),
    bad("voucher.period", voucher(period="2026-04")),
    bad("voucher.key", voucher(key="VF/acme/hesi/other/expense_claim/1")),
    bad("voucher.duplicate", _two_of_one_key, "voucher.key"),
    bad("voucher.currency", voucher(currency="EUR")),
    bad("journal.account.unknown", voucher(lines=entries({"account": HOSTILE}))),
    bad("journal.account.not_leaf", voucher(lines=entries({"account": "6602"}))),
    bad("journal.account.inactive", voucher(lines=entries({"account": "6699"}))),
    bad("journal.dimensions.missing", voucher(lines=entries({"dimensions": []}))),
    bad(
        "journal.dimensions.missing",
        voucher(lines=entries({"dimensions": [["department", "", ""]]})),
        name="no code",
    ),
    bad(
        "journal.dimensions.missing",
        voucher(lines=entries(credit={"dimensions": [["project", 'x["employee",', '["supplier","V1",']]})),
        name="a code that looks like a dimension",
    ),
    good("supplier as party", voucher(lines=entries(credit={"dimensions": [["supplier", "V01", ""]]}))),
    good("as the rules give it", of_rules({})),
    good("the last cents on their own account", of_rules({"account": "6699.01", "dimensions": []})),
    good(
        "made under other rules", voucher(lines=entries({"account": "6602.11", "template": "a.yaml#claim"}))
    ),
    bad("journal.entry.unknown", of_rules({"account": "6602.11"})),
    bad("journal.entry.unknown", of_rules({"entry": "gone"}), name="an entry that the rules do not have"),
    bad(
        "journal.entry.unknown",
        of_rules({"side": Side.CREDIT}, {"side": Side.DEBIT}),
        name="sides exchanged",
    ),
    bad("journal.entry.dimensions", of_rules({"dimensions": [["department", "D01", ""]]})),
    bad("journal.zero", _zero_line),
    bad(
        "journal.implausible",
        voucher(lines=entries({"amount_minor": 2**62}, {"amount_minor": 2**62})),
        "voucher.total",
    ),
    bad(
        "journal.transaction_sign",
        voucher(lines=entries({"transaction_currency": "USD", "transaction_minor": -5})),
    ),
    bad(
        "journal.transaction_currency",
        voucher(lines=entries({"transaction_currency": "RMB", "transaction_minor": 5})),
    ),
    good(
        "foreign line in a voucher",
        voucher(lines=entries({"transaction_currency": "USD", "transaction_minor": 5})),
    ),
    bad("journal.summary.missing", voucher(lines=entries({"summary": " "}))),
)
