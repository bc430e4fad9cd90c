-- What changes how many cards are tried out at a merchant, or by a user: an attempt that looks like
-- a test, when it counts; and a row without a card a millisecond after its window, when it no
-- longer does. By the version in force of the rule card_testing, which says what looks like a test
-- and for how long it counts, and again by one in shadow.
-- reads: card_attempts, rules_in_force
-- boundary: counted_at
--
-- An attempt keeps the version that it came under, without its amounts: they have been read.
-- What counts its rows looks back a minute, whatever the version says: so one that counts longer
-- comes again each minute, with its card alone. A window that is not listed here finds nothing;
-- the list is that of src/cardwatch/rules/file.py.
SELECT
    CAST(
        attempt.counted_at + change.minute_of_it * INTERVAL '1' MINUTE
        + CASE
            WHEN change.minute_of_it < attempt.minutes THEN INTERVAL '0' SECOND
            ELSE INTERVAL '0.001' SECOND
        END AS TIMESTAMP_LTZ(3)
    ) AS counted_at,
    attempt.entity_kind,
    attempt.entity_id,
    attempt.judged_by,
    change.minute_of_it = 0 AS comes,
    CASE WHEN change.minute_of_it = 0 THEN attempt.version END AS version,
    CASE WHEN change.minute_of_it = 0 THEN attempt.happened_at END AS happened_at,
    CASE WHEN change.minute_of_it = 0 THEN attempt.payment_id END AS payment_id,
    CASE WHEN change.minute_of_it < attempt.minutes THEN attempt.card_token END AS card_token
FROM (
    SELECT
        counted_at,
        happened_at,
        entity_kind,
        entity_id,
        payment_id,
        card_token,
        judged_by,
        ${window_of(version)} / 60 AS minutes,
        CASE ${window_of(version)}
            WHEN 60 THEN ARRAY [0, 1]
            WHEN 120 THEN ARRAY [0, 1, 2]
            WHEN 300 THEN ARRAY [0, 1, 2, 3, 4, 5]
        END AS changes,
        REGEXP_REPLACE(version, '"amounts":\[[^\]]*\]', '"amounts":[]') AS version
    FROM ${judged(card_attempts)}
    WHERE
        version IS NOT NULL
        AND (declined OR amount <= CAST(${amount_said(version)} AS DECIMAL(19, 4)))
) AS attempt
CROSS JOIN UNNEST(attempt.changes) AS change (minute_of_it)
