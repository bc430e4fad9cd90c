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
    ${rule_alert(user_velocity)} AS record,
    entity_id AS partition_key
FROM (
    SELECT
        *,
        ${rule_alert_id(user_velocity)} AS alert_id
    FROM (
        SELECT
            happened_at,
            rule_version,
            settings,
            'user' AS entity_kind,
            user_id AS entity_id,
            CAST(NULL AS STRING) AS card_last4,
            CAST(NULL AS STRING) AS currency,
            '6' AS observed,
            '5' AS threshold,
            '6 payments within ' || CAST(TIMESTAMPDIFF(SECOND, earliest, latest) + 1 AS STRING)
            || ' s, more than 5 in 60 s' AS explanation,
            CAST(NULL AS TIMESTAMP_LTZ(3)) AS window_start,
            CAST(NULL AS TIMESTAMP_LTZ(3)) AS window_end,
            id_5 AS first_payment_id,
            JSON_ARRAY(
                SUBSTRING(id_5, 1, 128),
                SUBSTRING(id_4, 1, 128),
                SUBSTRING(id_3, 1, 128),
                SUBSTRING(id_2, 1, 128),
                SUBSTRING(id_1, 1, 128),
                SUBSTRING(payment_id, 1, 128)
            ) AS payment_ids,
            6 AS payment_count
        FROM (
            SELECT
                *,
                ${settings_of(version)} AS settings,
                ${version_of(version)} AS rule_version
            FROM ${judged(user_breaches)}
        )
        WHERE JSON_VALUE(settings, '$.state') = 'on'
    )
)
