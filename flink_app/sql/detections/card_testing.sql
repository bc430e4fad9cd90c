-- At which merchants are cards tried out?
-- reads: timed_attempts
-- application: risk_desk
--
-- Rule: card_testing, version 1. More than five different cards at one merchant within 60 s, of
-- attempts that look like tests: declined, or at most a small amount of their currency. When the
-- count passes five, and again when it has been at five or less in between.
-- Constants: five cards, 60 s, the small amounts below, about five euro each; of a currency that is
-- not listed declined attempts alone count. Severity high. Kept: such attempts of 60 s, and per
-- merchant the last five, for good.
SELECT
    JSON_OBJECT(
        KEY 'type' VALUE 'RULE_ALERT',
        KEY 'event_id' VALUE alert_id,
        KEY 'schema_version' VALUE 1,
        KEY 'event_date_origin' VALUE ${instant_text(happened_at)},
        KEY 'event_json_data' VALUE JSON_OBJECT(
            KEY 'alert_id' VALUE alert_id,
            KEY 'rule' VALUE 'card_testing',
            KEY 'rule_version' VALUE 1,
            KEY 'severity' VALUE 'high',
            KEY 'entity_kind' VALUE 'merchant',
            KEY 'entity_id' VALUE merchant_id,
            KEY 'card_last4' VALUE CAST(NULL AS STRING),
            KEY 'currency' VALUE CAST(NULL AS STRING),
            KEY 'observed' VALUE CAST(cards AS STRING),
            KEY 'threshold' VALUE '5',
            KEY 'explanation' VALUE CAST(cards AS STRING)
            || ' cards tried with declined or small payments within 60 s, more than 5',
            KEY 'window_start' VALUE ${instant_text(window_start)},
            KEY 'window_end' VALUE ${instant_text(window_end)},
            KEY 'detected_at' VALUE ${instant_text(CURRENT_TIMESTAMP)},
            KEY 'payment_ids' VALUE JSON_ARRAY(
                SUBSTRING(payment_id, 1, 128),
                SUBSTRING(id_1, 1, 128),
                SUBSTRING(id_2, 1, 128),
                SUBSTRING(id_3, 1, 128),
                SUBSTRING(id_4, 1, 128),
                SUBSTRING(id_5, 1, 128)
                ABSENT ON NULL
            ),
            KEY 'payment_count' VALUE tries
        )
    ) AS record,
    merchant_id AS partition_key
FROM (
    SELECT
        *,
        counted_at - INTERVAL '60' SECOND AS window_start,
        counted_at + INTERVAL '0.001' SECOND AS window_end,
        LOWER(
            SHA2(CONCAT_WS('|', 'card_testing', '1', 'merchant', merchant_id, '', payment_id), 256)
        ) AS alert_id
    FROM (
        SELECT
            happened_at,
            counted_at,
            merchant_id,
            payment_id,
            cards,
            tries,
            LAG(cards, 1) OVER so_far AS cards_before,
            LAG(payment_id, 1) OVER so_far AS id_1,
            LAG(payment_id, 2) OVER so_far AS id_2,
            LAG(payment_id, 3) OVER so_far AS id_3,
            LAG(payment_id, 4) OVER so_far AS id_4,
            LAG(payment_id, 5) OVER so_far AS id_5
        FROM (
            SELECT
                happened_at,
                CAST(counted_at AS TIMESTAMP_LTZ(3)) AS counted_at,
                merchant_id,
                payment_id,
                COUNT(DISTINCT card_token) OVER last_minute AS cards,
                COUNT(*) OVER last_minute AS tries,
                PROCTIME() AS seen_at
            FROM (
                SELECT
                    *,
                    CASE
                        WHEN currency IN ('CHF', 'EUR', 'GBP', 'USD') THEN 5
                        WHEN currency = 'KWD' THEN 1.5
                        WHEN currency = 'AUD' THEN 8
                        WHEN currency = 'PLN' THEN 20
                        WHEN currency = 'BRL' THEN 30
                        WHEN currency = 'SEK' THEN 55
                        WHEN currency = 'INR' THEN 450
                        WHEN currency = 'JPY' THEN 800
                    END AS small
                FROM timed_attempts
                WHERE CHAR_LENGTH(merchant_id) BETWEEN 1 AND 128
            )
            WHERE declined OR (amount >= 0 AND amount <= small)
            WINDOW last_minute AS (
                PARTITION BY merchant_id
                ORDER BY counted_at
                RANGE BETWEEN INTERVAL '1' MINUTE PRECEDING AND CURRENT ROW
            )
        )
        WINDOW so_far AS (PARTITION BY merchant_id ORDER BY seen_at)
    )
    WHERE cards > 5 AND COALESCE(cards_before, 0) <= 5
)
