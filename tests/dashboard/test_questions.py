"""The questions about scores are answered by an index: their time does not grow with the table."""

from datetime import datetime

import psycopg
import pytest
from dashboard.warehouse import Entity, in_psycopg, statement

SINCE = datetime(2026, 11, 27)  # noqa: DTZ001 - as the warehouse has times
SCORED = """
INSERT INTO typed.payment_attributed (
    event_id, event_date_origin, event_dw_regdate, batch, payment_id, card_token, account_id,
    merchant_id, score
)
SELECT
    n, timestamp '2026-11-27' + n * interval '1 second', now(), 1, n, n % 1000, n % 1000, n % 500,
    n % 101
FROM generate_series(1, 20000) AS n
"""
PAID = """
INSERT INTO typed.payment_event (
    event_id, event_date_origin, event_dw_regdate, batch, payment_id, card_token, account_id,
    merchant_id, status
)
SELECT event_id, event_date_origin, event_dw_regdate, batch, payment_id, card_token, account_id,
    merchant_id, 'AUTHORIZED'
FROM typed.payment_attributed
"""


@pytest.mark.parametrize(
    ("question", "column", "index"),
    [
        ("scores", None, "score_event_date_origin"),
        ("scores_of", "card_token", "card_token_payment_id"),
        ("scores_of", "account_id", "account_id_event_date_origin"),
        ("scores_of", "merchant_id", "merchant_id_event_date_origin"),
        ("payments_of", "card_token", "card_token_payment_id"),
        ("payments_of", "account_id", "card_token_payment_id"),
        ("payments_of", "merchant_id", "card_token_payment_id"),
    ],
)
def test_a_question_about_scores_finds_its_rows_by_an_index(
    connection: psycopg.Connection, question: str, column: Entity | None, index: str
) -> None:
    connection.execute(SCORED)
    connection.execute(PAID)
    connection.execute("ANALYZE typed.payment_attributed, typed.payment_event")
    explain = b"EXPLAIN (ANALYZE) " + in_psycopg(statement(question, column))
    values = {"since": SINCE, "minimum": 1, "rows": 200, "id": "7"}
    plan = "\n".join(line for (line,) in connection.execute(explain, values))
    assert f"typed_payment_attributed_{index}" in plan
    assert "Seq Scan on payment_" not in plan
