-- At which merchants are cards tried out?
-- reads: recent_card_tests
-- application: risk_desk
-- boundary: none
-- lifetime: 2 h
--
-- Rule: card_testing, version 1. More than five different cards at one merchant within 60 s, the
-- full 60 s included, of attempts that look like tests: declined, or at most a small amount of
-- their currency. When the count passes five, and again when it has been at five or less in
-- between, if only for a millisecond, also where only time passed. An attempt that came late counts
-- as of when it came. What comes and leaves at one millisecond does so together: one count and one
-- alert, named after the last attempt.
-- Constants: five cards, 60 s, and the small amounts in card_tests, about five euro each; of a
-- currency that is not listed declined attempts alone count. Severity high. Kept: such attempts of
-- 60 s; per merchant the last six and the last count, for two hours.
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
            *,
            LAG(cards, 1) OVER (PARTITION BY merchant_id ORDER BY judged_at) AS cards_before
        FROM (
            -- What changes at one millisecond, as one; its last attempt has the others of the 60 s
            -- before it.
            SELECT
                CAST(window_start AS TIMESTAMP_LTZ(3)) AS counted_at,
                merchant_id,
                MAX(cards) AS cards,
                MAX(tries) AS tries,
                LAST_VALUE(happened_at) AS happened_at,
                LAST_VALUE(payment_id) AS payment_id,
                LAST_VALUE(id_1) AS id_1,
                LAST_VALUE(id_2) AS id_2,
                LAST_VALUE(id_3) AS id_3,
                LAST_VALUE(id_4) AS id_4,
                LAST_VALUE(id_5) AS id_5,
                PROCTIME() AS judged_at
            FROM
                TABLE(
                    TUMBLE(
                        TABLE recent_card_tests, DESCRIPTOR (counted_at), INTERVAL '0.001' SECOND
                    )
                )
            GROUP BY window_start, window_end, merchant_id
        )
    )
    WHERE cards > 5 AND COALESCE(cards_before, 0) <= 5
)
