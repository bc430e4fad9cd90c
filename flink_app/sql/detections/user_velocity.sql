-- Which users pay more often than a person does?
-- reads: timed_attempts
-- application: risk_desk
-- boundary: none
-- lifetime: 2 h
--
-- Rule: user_velocity, version 1. More than five attempts to pay by one user within 60 s, declined
-- ones included: of six in a row the latest is less than 60 s behind the earliest, by the times at
-- which they were made. What came late stands in the row where it came; but attempts that come late
-- all at once were not made all at once.
-- One that is 60 s or more older than the user's newest cannot be among six with that one, so it
-- stands in a row of such old ones: the row of the new ones goes on as if it had not come.
-- Once per breach: attempts in a row that are each the sixth within 60 s are one. It is over with
-- one that is not, as the next never is where 60 s passed without any.
-- Constants: five attempts, 60 s. Severity medium. Kept for two hours: a user's newest time, and
-- the last seven attempts of either row.
--
-- The window that looks for the newest also puts the attempts in order: those of a user come from
-- several tasks, far apart where a job catches up.
SELECT
    JSON_OBJECT(
        KEY 'type' VALUE 'RULE_ALERT',
        KEY 'event_id' VALUE alert_id,
        KEY 'schema_version' VALUE 1,
        KEY 'event_date_origin' VALUE ${instant_text(happened_at)},
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
            || CAST(TIMESTAMPDIFF(SECOND, earliest, latest) + 1 AS STRING)
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
            *,
            GREATEST(happened_at, time_1, time_2, time_3, time_4, time_5) AS latest,
            LEAST(happened_at, time_1, time_2, time_3, time_4, time_5) AS earliest,
            GREATEST(time_1, time_2, time_3, time_4, time_5, time_6) AS latest_before,
            LEAST(time_1, time_2, time_3, time_4, time_5, time_6) AS earliest_before
        FROM (
            SELECT
                happened_at,
                user_id,
                payment_id,
                LAG(happened_at, 1) OVER so_far AS time_1,
                LAG(happened_at, 2) OVER so_far AS time_2,
                LAG(happened_at, 3) OVER so_far AS time_3,
                LAG(happened_at, 4) OVER so_far AS time_4,
                LAG(happened_at, 5) OVER so_far AS time_5,
                LAG(happened_at, 6) OVER so_far AS time_6,
                LAG(payment_id, 1) OVER so_far AS id_1,
                LAG(payment_id, 2) OVER so_far AS id_2,
                LAG(payment_id, 3) OVER so_far AS id_3,
                LAG(payment_id, 4) OVER so_far AS id_4,
                LAG(payment_id, 5) OVER so_far AS id_5
            FROM (
                SELECT
                    *,
                    happened_at <= newest - INTERVAL '60' SECOND AS is_old,
                    PROCTIME() AS seen_at
                FROM (
                    SELECT
                        happened_at,
                        user_id,
                        payment_id,
                        MAX(happened_at) OVER (PARTITION BY user_id ORDER BY counted_at) AS newest
                    FROM timed_attempts
                    WHERE CHAR_LENGTH(user_id) BETWEEN 1 AND 128
                )
            )
            WINDOW so_far AS (PARTITION BY user_id, is_old ORDER BY seen_at)
        )
    )
    WHERE
        latest < earliest + INTERVAL '60' SECOND
        AND NOT COALESCE(latest_before < earliest_before + INTERVAL '60' SECOND, FALSE)
)
