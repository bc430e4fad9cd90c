-- Payments that may be large, by whatever limits: those above what no limit is below.
-- reads: arrivals
-- boundary: rt
-- lifetime: 2 h
--
-- Each record once, but for one with another amount: what comes again within two hours says nothing
-- new. Above by their difference: a comparison with a CASE is planned as one comparison per branch,
-- each of which reads the amount anew.
SELECT
    rt,
    payment_id,
    card_token,
    card_last4,
    currency,
    amount
FROM (
    SELECT
        *,
        ROW_NUMBER() OVER (
            PARTITION BY payment_id, card_token, amount ORDER BY seen_at
        ) AS record_number
    FROM (
        SELECT
            rt,
            payment_id,
            card_token,
            card_last4,
            currency,
            ${readable_amount} AS amount,
            PROCTIME() AS seen_at
        FROM arrivals
        WHERE
            card_status IS NULL
            AND COALESCE(status NOT IN ('DECLINED', 'REFUNDED'), TRUE)
    )
    WHERE
        CHAR_LENGTH(currency) = 3
        AND amount - ${least_limit} > 0
        AND REGEXP(card_token, '^[0-9a-f]{32}$')
)
WHERE record_number = 1
