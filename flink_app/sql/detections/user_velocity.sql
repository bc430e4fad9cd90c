-- Which users pay more often than a person does?
-- reads: judged_attempts
-- application: risk_desk
--
-- Rule: user_velocity. More than so many attempts to pay by one user within so long, declined
-- ones included. More than five within 60 s: of six in a row the latest is less than 60 s behind
-- the earliest, by the times at which they were made. What came late stands in the row where it
-- came; but attempts that come late all at once were not made all at once.
-- One that is 60 s or more older than the user's newest stands in a row of such old ones, whatever
-- the window is: the row of the new ones goes on as if it had not come.
-- Once per breach: attempts in a row that are each the sixth within 60 s are one. It is over with
-- one that is not, as the next never is where 60 s passed without any.
-- Data (rules.yaml, docs/rules.md): on or off, paging, the severity, how many and within how long,
-- by the version in force when an attempt counts. By the same version the attempts before it are
-- judged: what was a breach by it then, whatever was in force, goes on.
-- A count and a window that the job cannot do make nothing a breach.
-- Constants: what is old; ten attempts at most, within 30 s, 60 s, two or five minutes, and of each
-- window the least count. Kept for two hours: a user's newest time, and the last twelve attempts
-- of either row.
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
            ${version_of(version)} AS rule_version,
            settings,
            'user' AS entity_kind,
            user_id AS entity_id,
            CAST(NULL AS STRING) AS card_last4,
            CAST(NULL AS STRING) AS currency,
            CAST(more_than + 1 AS STRING) AS observed,
            CAST(more_than AS STRING) AS threshold,
            CAST(more_than + 1 AS STRING) || ' payments within '
            || CAST(seconds + 1 AS STRING) || ' s, more than ' || CAST(more_than AS STRING)
            || ' in ' || CAST(window_seconds AS STRING) || ' s' AS explanation,
            CAST(NULL AS TIMESTAMP_LTZ(3)) AS window_start,
            CAST(NULL AS TIMESTAMP_LTZ(3)) AS window_end,
            ids[more_than + 1] AS first_payment_id,
            JSON_ARRAY(
                CASE WHEN more_than >= 10 THEN SUBSTRING(ids[11], 1, 128) END,
                CASE WHEN more_than >= 9 THEN SUBSTRING(ids[10], 1, 128) END,
                CASE WHEN more_than >= 8 THEN SUBSTRING(ids[9], 1, 128) END,
                CASE WHEN more_than >= 7 THEN SUBSTRING(ids[8], 1, 128) END,
                CASE WHEN more_than >= 6 THEN SUBSTRING(ids[7], 1, 128) END,
                CASE WHEN more_than >= 5 THEN SUBSTRING(ids[6], 1, 128) END,
                CASE WHEN more_than >= 4 THEN SUBSTRING(ids[5], 1, 128) END,
                SUBSTRING(ids[4], 1, 128),
                SUBSTRING(ids[3], 1, 128),
                SUBSTRING(ids[2], 1, 128),
                SUBSTRING(ids[1], 1, 128)
                ABSENT ON NULL
            ) AS payment_ids,
            more_than + 1 AS payment_count
        FROM (
            SELECT
                *,
                TIMESTAMPDIFF(SECOND, ARRAY_MIN(these), ARRAY_MAX(these)) AS seconds,
                TIMESTAMPDIFF(SECOND, ARRAY_MIN(former), ARRAY_MAX(former)) AS seconds_before
            FROM (
                SELECT
                    *,
                    ARRAY_SLICE(times, 1, more_than + 1) AS these,
                    ARRAY_SLICE(times, 2, more_than + 2) AS former
                FROM judged_attempts
                WHERE
                    more_than <= 10
                    AND more_than >= CASE window_seconds
                        WHEN 30 THEN 3
                        WHEN 60 THEN 4
                        WHEN 120 THEN 6
                        WHEN 300 THEN 8
                    END
            )
        )
        WHERE
            times[more_than + 1] IS NOT NULL
            AND seconds < window_seconds
            AND (times[more_than + 2] IS NULL OR seconds_before >= window_seconds)
    )
)
