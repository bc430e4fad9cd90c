-- The parts of each summary, at the end of its hour: one row per card, and one per currency.
-- reads: hour_changes
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
        MAX(card_last4) AS card_last4,
        SUM(payment_count) AS payment_count,
        SUM(declined) AS declined,
        SUM(refunded) AS refunded
    FROM
        TABLE(
            CUMULATE(
                TABLE hour_changes, DESCRIPTOR (rt), INTERVAL '10' SECOND, INTERVAL '1' MINUTE
            )
        )
    WHERE card_token IS NOT NULL
    GROUP BY window_start, window_end, card_token
)
WHERE payment_count > 0
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
        currency,
        minor_unit,
        SUM(payment_count) AS payment_count,
        SUM(amount) AS amount
    FROM
        TABLE(
            CUMULATE(
                TABLE hour_changes, DESCRIPTOR (rt), INTERVAL '10' SECOND, INTERVAL '1' MINUTE
            )
        )
    WHERE card_token IS NULL
    GROUP BY window_start, window_end, currency, minor_unit
)
WHERE payment_count > 0
