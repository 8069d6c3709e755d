"""The floor of the voucher gate: what its checks ask, as three plain queries that count the bad rows."""

from __future__ import annotations

import time

from sqlalchemy import Engine

_BAD_VOUCHERS = """
SELECT count(*) FROM voucher v JOIN source_document d ON d.id = v.document_pk LEFT JOIN (
  SELECT voucher_id, count(*) AS lines,
         sum(CASE WHEN side = 'debit' THEN amount_minor ELSE 0 END) AS debit,
         sum(CASE WHEN side = 'credit' THEN amount_minor ELSE 0 END) AS credit
  FROM journal_line GROUP BY voucher_id
) x ON x.voucher_id = v.id
WHERE v.status = 'generated' AND (
  x.lines IS NULL OR x.lines < 2 OR x.debit <> x.credit OR x.debit <> v.debit_minor OR v.currency <> 'CNY'
  OR v.debit_minor NOT BETWEEN -100000000000000 AND 100000000000000
  OR v.key <> 'VF/' || v.book || '/' || v.source || '/' || v.document_id || '/' || v.event || '/' || v.revision
)"""
_BAD_LINES = """
SELECT count(*) FROM journal_line x JOIN voucher v ON v.id = x.voucher_id
JOIN source_document d ON d.id = v.document_pk
WHERE v.status = 'generated' AND (
  x.amount_minor = 0 OR trim(x.summary) = '' OR x.account NOT IN ({accounts})
  OR x.amount_minor NOT BETWEEN -100000000000000 AND 100000000000000
  OR (x.amount_minor > 0 AND x.transaction_minor < 0) OR (x.amount_minor < 0 AND x.transaction_minor > 0)
  OR (x.transaction_currency = '' AND x.transaction_minor <> 0)
  OR (x.account IN ({with_party}) AND x.dimensions NOT LIKE '%"employee",%' AND x.dimensions NOT LIKE '%"supplier",%')
)"""
_TWICE = """
SELECT count(*) FROM (
  SELECT 1 FROM voucher WHERE status <> 'cancelled' GROUP BY source, document_id, event, revision HAVING count(*) > 1
) twice"""


def check(engine: Engine, accounts: list[str], with_party: list[str]) -> float:
    """Seconds for the three."""
    lines = _BAD_LINES.format(accounts=_texts(accounts), with_party=_texts(with_party))
    connection = engine.raw_connection()
    try:
        cursor = connection.cursor()
        started = time.perf_counter()
        for query in (_BAD_VOUCHERS, lines, _TWICE):
            cursor.execute(query)
            if cursor.fetchone() != (0,):
                raise AssertionError("the generated vouchers should be sound")
        return time.perf_counter() - started
    finally:
        connection.close()


def _texts(values: list[str]) -> str:
    return ", ".join(f"'{value}'" for value in values)
