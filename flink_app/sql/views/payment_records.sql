-- Each record that says something new of a payment: its first, its first charge and its first
-- refund; and the versions of accounts, in the order in which all came.
-- reads: risk_payments
-- boundary: rt
-- lifetime: 2 h
--
-- State: three numbers per payment, for two hours from its newest record on, so that no copy and no
-- later status counts again. One that comes later than that is a payment's first once more: it is
-- scored again, under the same event_id.
SELECT
    rt,
    version,
    stolen_since,
    late,
    record_number = 1 AS is_first,
    payment_id,
    account_id,
    user_id,
    card_token,
    card_last4,
    amount,
    currency,
    merchant_id,
    country,
    city,
    status,
    sign,
    CASE
        WHEN (sign = 1 AND charges = 1) OR (sign = -1 AND refunds = 1) THEN sign * amount
    END AS spend,
    place,
    card_absent
FROM (
    SELECT
        *,
        COUNT(*) OVER records AS record_number,
        SUM(CASE WHEN sign = 1 THEN 1 ELSE 0 END) OVER records AS charges,
        SUM(CASE WHEN sign = -1 THEN 1 ELSE 0 END) OVER records AS refunds
    FROM (
        SELECT
            *,
            PROCTIME() AS seen_at
        FROM risk_payments
    )
    WINDOW records AS (PARTITION BY payment_id, card_token ORDER BY seen_at)
)
WHERE
    version IS NOT NULL
    OR record_number = 1
    OR (sign = 1 AND charges = 1)
    OR (sign = -1 AND refunds = 1)
