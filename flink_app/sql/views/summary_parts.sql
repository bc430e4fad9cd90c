-- The parts of each summary: one row per card, and one per currency, of the hour that ends at
-- window_end. Two windows with few keys are cheaper than one with a key per card and currency.
-- reads: stolen
--
-- ranked_card and total are texts that sort in the order the summary asks for: ranked_card starts
-- with ten digits that fall as the count grows, then the card's JSON, token first; total is a
-- currency's JSON, currency first.
SELECT
    window_start,
    window_end,
    payment_count,
    declined,
    refunded,
    1 AS card_count,
    LPAD(CAST(9999999999 - payment_count AS STRING), 10, '0')
    || '{"card_token":"'
    || card_token
    || '","card_last4":'
    || COALESCE(JSON_STRING(card_last4), 'null')
    || ',"payment_count":' || CAST(payment_count AS STRING) || '}' AS ranked_card,
    CAST(NULL AS STRING) AS total
FROM (
    SELECT
        window_start,
        window_end,
        card_token,
        MAX(SUBSTRING(card_last4, 1, 128)) AS card_last4,
        COUNT(*) AS payment_count,
        COUNT(*) FILTER (WHERE status = 'DECLINED') AS declined,
        COUNT(*) FILTER (WHERE status = 'REFUNDED') AS refunded
    FROM
        TABLE(
            HOP(TABLE stolen, DESCRIPTOR (rt), INTERVAL '10' SECOND, INTERVAL '60' MINUTE)
        )
    GROUP BY window_start, window_end, card_token
)
UNION ALL
SELECT
    window_start,
    window_end,
    0 AS payment_count,
    0 AS declined,
    0 AS refunded,
    0 AS card_count,
    CAST(NULL AS STRING) AS ranked_card,
    '{"currency":' || JSON_STRING(currency) || ',"count":' || CAST(payment_count AS STRING)
    || ',"amount":"' || ${amount_text} || '"}' AS total
FROM (
    SELECT
        window_start,
        window_end,
        SUBSTRING(currency, 1, 128) AS currency,
        minor_unit,
        COUNT(*) AS payment_count,
        SUM(amount) AS amount
    FROM
        TABLE(
            HOP(TABLE stolen, DESCRIPTOR (rt), INTERVAL '10' SECOND, INTERVAL '60' MINUTE)
        )
    WHERE
        amount_text IS NOT NULL
        AND currency IS NOT NULL
        AND COALESCE(status NOT IN ('DECLINED', 'REFUNDED'), TRUE)
    GROUP BY window_start, window_end, SUBSTRING(currency, 1, 128), minor_unit
)
