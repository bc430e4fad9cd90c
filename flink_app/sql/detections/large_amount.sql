-- Which single payments are above the limit of their currency?
-- reads: arrivals
-- application: risk_desk
--
-- Rule: large_amount, version 1. A payment that was not declined and is no refund, whose amount
-- exceeds its currency's limit: once, as it comes, about its card. A declined payment cost nothing,
-- and was seen by whoever declined it; tried again and authorized it alerts.
-- Constants: the limits below, about 10,000 euro each; a currency that is not listed has none.
-- Severity medium.
SELECT
    JSON_OBJECT(
        KEY 'type' VALUE 'RULE_ALERT',
        KEY 'event_id' VALUE alert_id,
        KEY 'schema_version' VALUE 1,
        KEY 'event_date_origin' VALUE ${instant_text(rt)},
        KEY 'event_json_data' VALUE JSON_OBJECT(
            KEY 'alert_id' VALUE alert_id,
            KEY 'rule' VALUE 'large_amount',
            KEY 'rule_version' VALUE 1,
            KEY 'severity' VALUE 'medium',
            KEY 'entity_kind' VALUE 'card',
            KEY 'entity_id' VALUE card_token,
            KEY 'card_last4' VALUE SUBSTRING(card_last4, 1, 128),
            KEY 'currency' VALUE currency,
            KEY 'observed' VALUE observed,
            KEY 'threshold' VALUE CAST(threshold AS STRING),
            KEY 'explanation' VALUE 'a payment of ' || observed || ' ' || currency
            || ' is above the limit of ' || CAST(threshold AS STRING) || ' ' || currency,
            KEY 'window_start' VALUE CAST(NULL AS STRING),
            KEY 'window_end' VALUE CAST(NULL AS STRING),
            KEY 'detected_at' VALUE ${instant_text(CURRENT_TIMESTAMP)},
            KEY 'payment_ids' VALUE JSON_ARRAY(SUBSTRING(payment_id, 1, 128)),
            KEY 'payment_count' VALUE 1
        )
    ) AS record,
    card_token AS partition_key
FROM (
    SELECT
        *,
        ${amount_text} AS observed,
        LOWER(
            SHA2(
                CONCAT_WS('|', 'large_amount', '1', 'card', card_token, currency, payment_id), 256
            )
        ) AS alert_id
    FROM (
        SELECT
            *,
            ${minor_unit} AS minor_unit,
            ROW_NUMBER() OVER (
                PARTITION BY payment_id, card_token ORDER BY seen_at
            ) AS record_number
        FROM (
            SELECT
                rt,
                payment_id,
                card_token,
                card_last4,
                currency,
                ${readable_amount} AS amount,
                CASE
                    WHEN currency IN ('CHF', 'EUR', 'USD') THEN 10000
                    WHEN currency = 'GBP' THEN 9000
                    WHEN currency = 'KWD' THEN 3500
                    WHEN currency = 'AUD' THEN 17000
                    WHEN currency = 'PLN' THEN 45000
                    WHEN currency = 'BRL' THEN 60000
                    WHEN currency = 'SEK' THEN 115000
                    WHEN currency = 'INR' THEN 1000000
                    WHEN currency = 'JPY' THEN 1700000
                END AS threshold,
                PROCTIME() AS seen_at
            FROM arrivals
            WHERE
                card_status IS NULL
                AND COALESCE(status NOT IN ('DECLINED', 'REFUNDED'), TRUE)
        )
        WHERE amount > threshold AND REGEXP(card_token, '^[0-9a-f]{32}$')
    )
    WHERE record_number = 1
)
