-- Each payment's first record of an outcome, charged, declined or refunded: what is counted and
-- added up over several payments.
-- reads: arrivals
-- boundary: rt
-- lifetime: 2 h
--
-- Copies come within the two hours for which a payment is remembered, or count again: so what is
-- kept is bounded by the payments of two hours, about 100 bytes each.
SELECT
    rt,
    payment_id,
    account_id,
    user_id,
    card_token,
    merchant_id,
    currency,
    amount,
    declined,
    refunded
FROM (
    SELECT
        *,
        ROW_NUMBER() OVER (
            PARTITION BY payment_id, card_token, declined, refunded ORDER BY seen_at
        ) AS record_number
    FROM (
        SELECT
            rt,
            payment_id,
            account_id,
            user_id,
            card_token,
            merchant_id,
            currency,
            ${readable_amount} AS amount,
            COALESCE(status = 'DECLINED', FALSE) AS declined,
            COALESCE(status = 'REFUNDED', FALSE) AS refunded,
            PROCTIME() AS seen_at
        FROM arrivals
        WHERE
            card_status IS NULL
            AND REGEXP(card_token, '^[0-9a-f]{32}$')
            AND ${no_canary}
    )
)
WHERE record_number = 1
