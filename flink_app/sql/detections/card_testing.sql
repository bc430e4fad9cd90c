-- At which merchants, and by which users, are cards tried out?
-- reads: card_test_counts
-- application: risk_desk
--
-- Rule: card_testing. More than so many different cards at one merchant, or by one user, within
-- 60, 120 or 300 s, the full time included, of attempts that look like tests: declined, or at most
-- a small amount of their currency. When the count passes that, and again when it has been at it or
-- below in between, if only for a millisecond, also where only time passed. An attempt that came
-- late counts as of when it came. What comes and leaves at one millisecond does so together: one
-- count and one alert, named after the last attempt.
-- Data (rules.yaml, docs/rules.md): on or off, paging, the severity, how many cards, within how
-- long, and what is a small amount; of a currency that is not listed declined attempts alone count.
-- Whether an attempt counts, and for how long, says the version in force when it comes; how many
-- are too many says the version of the last one, and the count before is held against that too.
-- What is in shadow counts what came since it was published. Named are the newest, as many as
-- count: just after a shorter window was published one of these may have left before an older one.
-- Constants: that what was declined counts, and that merchants and users have one limit. Kept: such
-- attempts for as long as they count; per merchant and per user the last six and the last count,
-- for two hours.
SELECT
    ${rule_alert(card_testing)} AS record,
    entity_id AS partition_key
FROM (
    SELECT
        *,
        ${rule_alert_id(card_testing)} AS alert_id
    FROM (
        SELECT
            happened_at,
            rule_version,
            settings,
            entity_kind,
            entity_id,
            CAST(NULL AS STRING) AS card_last4,
            CAST(NULL AS STRING) AS currency,
            CAST(cards AS STRING) AS observed,
            more_than AS threshold,
            CAST(cards AS STRING)
            || ' cards tried with declined or small payments within '
            || CAST(window_seconds AS STRING) || ' s, more than ' || more_than AS explanation,
            counted_at - window_seconds * INTERVAL '1' SECOND AS window_start,
            counted_at + INTERVAL '0.001' SECOND AS window_end,
            payment_id AS first_payment_id,
            JSON_ARRAY(
                SUBSTRING(payment_id, 1, 128),
                CASE WHEN tries > 1 THEN SUBSTRING(id_1, 1, 128) END,
                CASE WHEN tries > 2 THEN SUBSTRING(id_2, 1, 128) END,
                CASE WHEN tries > 3 THEN SUBSTRING(id_3, 1, 128) END,
                CASE WHEN tries > 4 THEN SUBSTRING(id_4, 1, 128) END,
                CASE WHEN tries > 5 THEN SUBSTRING(id_5, 1, 128) END
                ABSENT ON NULL
            ) AS payment_ids,
            tries AS payment_count
        FROM (
            SELECT
                *,
                JSON_VALUE(settings, '$.more_than') AS more_than
            FROM (
                SELECT
                    *,
                    ${settings_of(version)} AS settings,
                    ${version_of(version)} AS rule_version,
                    ${window_of(version)} AS window_seconds
                FROM card_test_counts
            )
        )
        WHERE
            cards > CAST(more_than AS BIGINT)
            AND COALESCE(cards_before, 0) <= CAST(more_than AS BIGINT)
            AND ${is_on(version)}
    )
)
