-- What was published of the rules, once per bucket (expressions/in_every_bucket.sql).
-- reads: timed_events
-- boundary: counted_at
--
-- A version is one text: when it was published, its number, what payments are held against, its
-- settings. So the greatest text of a rule is its newest version, in whichever order they come and
-- however often. What payments are held against stands at fixed places, because JSON is dear to
-- read for each of them (expressions/held_against.sql). What is no version changes nothing. One
-- that comes behind the watermark, as what is published again does, counts as of then: which
-- payments it meets is no race.
-- The array depends on the row: a constant one is planned as a join, which loses the row time.
SELECT
    published.counted_at,
    published.rule || '|' || bucket.name AS rule_bucket,
    published.version,
    published.in_shadow
FROM (
    SELECT
        ${late_for_nothing} AS counted_at,
        rule,
        ${in_every_bucket(rule)} AS everywhere,
        CONCAT(
            ${instant_text(rt)},
            '|',
            LPAD(rule_version, 9, '0'),
            '|',
            ${held_against},
            '|',
            settings
        ) AS version,
        COALESCE(JSON_VALUE(settings, '$.paging') = 'shadow', FALSE) AS in_shadow
    FROM timed_events
    WHERE
        `type` = 'RULE'
        AND rt > TO_TIMESTAMP_LTZ(0, 3)
        AND REGEXP(rule_version, '^[1-9][0-9]{0,8}$')
        AND CHAR_LENGTH(rule) BETWEEN 1 AND 128
        AND JSON_VALUE(settings, '$.state') IN ('on', 'off')
        AND JSON_VALUE(settings, '$.paging') IN ('on', 'off', 'shadow')
        AND JSON_VALUE(settings, '$.severity') IN ('low', 'medium', 'high', 'critical')
) AS published
CROSS JOIN UNNEST(published.everywhere) AS bucket (name)
