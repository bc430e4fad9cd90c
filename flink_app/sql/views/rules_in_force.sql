-- Each rule's version in force at a time, and the one that only counts beside it, in each bucket.
-- reads: rule_versions
--
-- A table of versions by their publication, for FOR SYSTEM_TIME AS OF: one that is published again
-- and is not the newest is passed over. One in shadow is over when one in force is newer.
SELECT
    rt,
    rule_bucket,
    in_force,
    CASE WHEN in_shadow > COALESCE(in_force, '') THEN in_shadow END AS in_shadow
FROM (
    SELECT
        *,
        ROW_NUMBER() OVER (PARTITION BY rule_bucket ORDER BY rt DESC) AS age
    FROM (
        SELECT
            rt,
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
