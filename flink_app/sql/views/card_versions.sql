-- The versions of each card's status, by the time from which the job may judge by them.
--
-- newest: the greatest effective_from, with its status, up to this row. A status that comes after a
-- newer one took effect changes nothing and is left out; one that is published again says the same
-- again. Where two statuses have the same effective_from, STOLEN wins.
-- The outer ROW_NUMBER keeps every version for the join: it is the form in which Flink knows a
-- versioned view, and says that card_token is its key.
SELECT
    card_token,
    status,
    effective_from,
    judged_at
FROM (
    SELECT
        *,
        ROW_NUMBER() OVER (PARTITION BY card_token ORDER BY judged_at DESC) AS version_number
    FROM (
        SELECT
            *,
            DATE_FORMAT(effective_from, 'yyyyMMddHHmmssSSS') || status AS version,
            MAX(DATE_FORMAT(effective_from, 'yyyyMMddHHmmssSSS') || status) OVER (
                PARTITION BY card_token
                ORDER BY judged_at
                RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
            ) AS newest
        FROM card_changes
    )
    WHERE version = newest
)
WHERE version_number = 1
