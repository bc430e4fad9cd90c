-- Each rule's version in force at a time, and the one that only counts beside it, in each bucket.
-- reads: rule_versions
--
-- A table of versions by time, for FOR SYSTEM_TIME AS OF: what is published again and is not the
-- newest changes nothing. One in shadow is over when one in force is newer.
SELECT
    counted_at,
    rule_bucket,
    in_force,
    CASE WHEN in_shadow > COALESCE(in_force, '') THEN in_shadow END AS in_shadow
FROM (
    SELECT
        *,
        ROW_NUMBER() OVER (PARTITION BY rule_bucket ORDER BY counted_at DESC) AS age
    FROM (
        SELECT
            counted_at,
            rule_bucket,
            MAX(CASE WHEN NOT in_shadow THEN version END) OVER so_far AS in_force,
            MAX(CASE WHEN in_shadow THEN version END) OVER so_far AS in_shadow
        FROM (
            SELECT
                *,
                PROCTIME() AS seen_at
            FROM rule_versions
        )
        WINDOW so_far AS (PARTITION BY rule_bucket ORDER BY seen_at)
    )
)
WHERE age = 1
