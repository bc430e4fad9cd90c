-- Each record that says something new of a payment: its first, its first charge and its first
-- refund; and the versions of accounts, in the order in which all came.
-- reads: risk_arrivals
-- boundary: none
--
-- stolen_since is judged as `stolen` does, by what had come of the card on its shard: three times
-- per card token, for good. late: the watermark that the row meets here had passed it.
-- State besides: three numbers per payment, for good, so that no copy and no later status counts
-- again. It grows with the stream and has no bound yet: docs/decisions/0034.
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
            CAST(rt AS TIMESTAMP_LTZ(3)) AS rt,
            seen_at,
            version,
            ${stolen_since} AS stolen_since,
            COALESCE(rt <= CURRENT_WATERMARK(rt), FALSE) AS late,
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
            place,
            card_absent
        FROM (
            SELECT
                *,
                MIN(CASE WHEN card_status = 'STOLEN' THEN rt END) OVER so_far AS first_stolen_from,
                MAX(CASE WHEN card_status = 'STOLEN' THEN rt END) OVER so_far AS stolen_from,
                MAX(CASE WHEN card_status = 'ACTIVE' THEN rt END) OVER so_far AS active_from
            FROM (
                SELECT
                    *,
                    PROCTIME() AS seen_at
                FROM risk_arrivals
            )
            WINDOW so_far AS (PARTITION BY card_token ORDER BY seen_at)
        )
        WHERE card_status IS NULL
    )
    WINDOW records AS (PARTITION BY payment_id, card_token ORDER BY seen_at)
)
WHERE
    version IS NOT NULL
    OR record_number = 1
    OR (sign = 1 AND charges = 1)
    OR (sign = -1 AND refunds = 1)
