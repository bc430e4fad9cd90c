-- Payments with since when their card is stolen, and the versions of accounts, in the order in
-- which all came.
-- reads: risk_arrivals
-- boundary: rt
--
-- stolen_since is judged as `stolen` does, by what had come of the card on its shard. late: the
-- watermark that the row meets here had passed it.
-- State: three times per card token, for good, and so apart from what is forgotten.
SELECT
    CAST(rt AS TIMESTAMP_LTZ(3)) AS rt,
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
