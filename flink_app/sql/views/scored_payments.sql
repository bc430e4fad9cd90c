-- Each payment with its score, and the reasons as JSON: what fired, what was observed, and what
-- could not be judged.
-- reads: payment_factors, weighed_payments
-- boundary: none
--
-- What nothing speaks against is scored at once; the rest waits for the watermark, about a second,
-- because which points hold is known then.
SELECT
    ${payment_said},
    0 AS score,
    CAST(NULL AS INT) AS score_version,
    ${not_judged} AS not_judged,
    '[]' AS factors
FROM payment_factors
WHERE NOT ${fired}
UNION ALL
SELECT
    ${payment_said},
    score,
    ${version_of(version)} AS score_version,
    not_judged,
    factors
FROM weighed_payments
WHERE judged_by = 'in force'
