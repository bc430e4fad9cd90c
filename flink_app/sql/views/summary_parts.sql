-- The parts of each summary, at the end of its hour: how many cards, the five with the most
-- payments, and a row per currency, the one of no currency for what cost nothing.
-- reads: card_counts, total_changes
--
-- top_card and total are texts that sort in the order the summary asks for: top_card starts with
-- its rank, then the card's JSON; total is a currency's JSON, currency first.
SELECT
    window_start,
    window_end,
    0 AS payment_count,
    0 AS declined,
    0 AS refunded,
    -- Counted by a column that the five cards have too: so Flink makes one window for both.
    COUNT(card_last4) + COUNT(*) FILTER (WHERE card_last4 IS NULL) AS card_count,
    CAST(NULL AS STRING) AS top_card,
    CAST(NULL AS STRING) AS total
FROM card_counts
GROUP BY window_start, window_end
UNION ALL
SELECT
    window_start,
    window_end,
    0 AS payment_count,
    0 AS declined,
    0 AS refunded,
    0 AS card_count,
    CAST(card_rank AS STRING)
    || '{"card_token":"'
    || card_token
    || '","card_last4":'
    || COALESCE(JSON_STRING(card_last4), 'null')
    || ',"payment_count":' || CAST(payment_count AS STRING) || '}' AS top_card,
    CAST(NULL AS STRING) AS total
FROM (
    SELECT
        window_start,
        window_end,
        card_token,
        card_last4,
        payment_count,
        ROW_NUMBER() OVER (
            PARTITION BY window_start, window_end ORDER BY payment_count DESC, card_token ASC
        ) AS card_rank
    FROM card_counts
)
WHERE card_rank <= 5
UNION ALL
SELECT
    window_start,
    window_end,
    payment_count,
    declined,
    refunded,
    0 AS card_count,
    CAST(NULL AS STRING) AS top_card,
    '{"currency":' || JSON_STRING(currency) || ',"count":' || CAST(payment_count AS STRING)
    || ',"amount":"' || ${amount_text(amount)} || '"}' AS total
FROM (
    SELECT
        window_start,
        window_end,
        currency,
        minor_unit,
        SUM(payment_count) AS payment_count,
        SUM(declined) AS declined,
        SUM(refunded) AS refunded,
        SUM(amount) AS amount
    FROM
        TABLE(
            CUMULATE(
                TABLE total_changes, DESCRIPTOR (rt), INTERVAL '10' SECOND, INTERVAL '10' MINUTE
            )
        )
    GROUP BY window_start, window_end, currency, minor_unit
)
WHERE payment_count > 0
