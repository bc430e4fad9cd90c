-- Which users pay more often than a person does?
-- reads: user_breaches, rules_in_force
-- application: risk_desk
--
-- Rule: user_velocity. More than five attempts to pay by one user within 60 s, declined
-- ones included: of six in a row the latest is less than 60 s behind the earliest, by the times at
-- which they were made. What came late stands in the row where it came; but attempts that come late
-- all at once were not made all at once.
-- One that is 60 s or more older than the user's newest cannot be among six with that one, so it
-- stands in a row of such old ones: the row of the new ones goes on as if it had not come.
-- Once per breach: attempts in a row that are each the sixth within 60 s are one. It is over with
-- one that is not, as the next never is where 60 s passed without any.
-- Data (rules.yaml, docs/rules.md): on or off, paging, the severity, by the version in force when
-- the sixth counts. Constants: five attempts, 60 s. Kept for two hours: a user's newest time, and
-- the last seven attempts of either row.
SELECT
    JSON_OBJECT(
        KEY 'type' VALUE 'RULE_ALERT',
        KEY 'event_id' VALUE alert_id,
        KEY 'schema_version' VALUE 1,
        KEY 'event_date_origin' VALUE ${instant_text(happened_at)},
        KEY 'event_json_data' VALUE JSON_OBJECT(
            KEY 'alert_id' VALUE alert_id,
            KEY 'rule' VALUE 'user_velocity',
            KEY 'rule_version' VALUE rule_version,
            KEY 'severity' VALUE JSON_VALUE(settings, '$.severity'),
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
            KEY 'payment_count' VALUE 6,
            KEY 'paging' VALUE JSON_VALUE(settings, '$.paging')
        )
    ) AS record,
    user_id AS partition_key
FROM (
    SELECT
        *,
        LOWER(
            SHA2(
                CONCAT_WS(
                    '|',
                    'user_velocity',
                    CAST(rule_version AS STRING),
                    'user',
                    user_id,
                    '',
                    id_5
                ),
                256
            )
        ) AS alert_id
    FROM (
        SELECT
            *,
            ${settings_of(version)} AS settings,
            ${version_of(version)} AS rule_version
        FROM (
            SELECT
                found.*,
                judgement.version
            FROM (
                SELECT
                    *,
                    COALESCE(published, ${user_velocity_rule}) AS in_force
                FROM (
                    SELECT
                        user_breaches.*,
                        rules_in_force.in_force AS published,
                        rules_in_force.in_shadow
                    FROM user_breaches
                    LEFT JOIN
                        rules_in_force
                        FOR SYSTEM_TIME AS OF user_breaches.counted_at
                        ON user_breaches.rule_bucket = rules_in_force.rule_bucket
                )
            ) AS found
            CROSS JOIN UNNEST(ARRAY [found.in_force, found.in_shadow]) AS judgement (version)
        )
    )
    WHERE JSON_VALUE(settings, '$.state') = 'on'
)
