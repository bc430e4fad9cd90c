-- Which users pay more often than a person does?
-- reads: attempts
-- application: risk_desk
--
-- Rule: user_velocity, version 1. More than five attempts to pay by one user within 60 s, declined
-- ones included: the fifth before this one is less than 60 s away. Once per breach: not again while
-- the attempt before was one too. Judged as they arrive.
-- Constants: five attempts, 60 s. Severity medium. Kept: the last six attempts of a user, for good.
SELECT
    JSON_OBJECT(
        KEY 'type' VALUE 'RULE_ALERT',
        KEY 'event_id' VALUE alert_id,
        KEY 'schema_version' VALUE 1,
        KEY 'event_date_origin' VALUE ${instant_text(rt)},
        KEY 'event_json_data' VALUE JSON_OBJECT(
            KEY 'alert_id' VALUE alert_id,
            KEY 'rule' VALUE 'user_velocity',
            KEY 'rule_version' VALUE 1,
            KEY 'severity' VALUE 'medium',
            KEY 'entity_kind' VALUE 'user',
            KEY 'entity_id' VALUE user_id,
            KEY 'card_last4' VALUE CAST(NULL AS STRING),
            KEY 'currency' VALUE CAST(NULL AS STRING),
            KEY 'observed' VALUE '6',
            KEY 'threshold' VALUE '5',
            KEY 'explanation' VALUE '6 payments within '
            || CAST(ABS(TIMESTAMPDIFF(SECOND, time_5, rt)) + 1 AS STRING)
            || ' s, more than 5 in 60 s',
            KEY 'window_start' VALUE CAST(NULL AS STRING),
            KEY 'window_end' VALUE CAST(NULL AS STRING),
            KEY 'detected_at' VALUE ${instant_text(CURRENT_TIMESTAMP)},
            KEY 'payment_ids' VALUE JSON_ARRAY(
                SUBSTRING(id_5, 1, 128),
                SUBSTRING(id_4, 1, 128),
                SUBSTRING(id_3, 1, 128),
                SUBSTRING(id_2, 1, 128),
                SUBSTRING(id_1, 1, 128),
                SUBSTRING(payment_id, 1, 128)
            ),
            KEY 'payment_count' VALUE 6
        )
    ) AS record,
    user_id AS partition_key
FROM (
    SELECT
        *,
        LOWER(
            SHA2(CONCAT_WS('|', 'user_velocity', '1', 'user', user_id, '', id_5), 256)
        ) AS alert_id
    FROM (
        SELECT
            CAST(rt AS TIMESTAMP_LTZ(3)) AS rt,
            user_id,
            payment_id,
            LAG(rt, 1) OVER so_far AS time_1,
            LAG(rt, 5) OVER so_far AS time_5,
            LAG(rt, 6) OVER so_far AS time_6,
            LAG(payment_id, 1) OVER so_far AS id_1,
            LAG(payment_id, 2) OVER so_far AS id_2,
            LAG(payment_id, 3) OVER so_far AS id_3,
            LAG(payment_id, 4) OVER so_far AS id_4,
            LAG(payment_id, 5) OVER so_far AS id_5
        FROM (
            SELECT
                CAST(rt AS TIMESTAMP_LTZ(3)) AS rt,
                user_id,
                payment_id,
                PROCTIME() AS seen_at
            FROM attempts
            WHERE CHAR_LENGTH(user_id) BETWEEN 1 AND 128
        )
        WINDOW so_far AS (PARTITION BY user_id ORDER BY seen_at)
    )
    WHERE
        time_5 > rt - INTERVAL '60' SECOND
        AND time_5 < rt + INTERVAL '60' SECOND
        AND NOT COALESCE(
            time_6 > time_1 - INTERVAL '60' SECOND AND time_6 < time_1 + INTERVAL '60' SECOND, FALSE
        )
)
