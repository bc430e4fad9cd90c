-- What changes how many cards are tried out at a merchant: an attempt that looks like a test, when
-- it counts; and a row without a payment a millisecond after its 60 s, when it no longer does. By
-- the version in force of the rule card_testing, which says what looks like a test, and again by
-- one in shadow.
-- reads: card_attempts, rules_in_force
-- boundary: counted_at
--
-- An attempt keeps the version that it came under, without its amounts: they have been read.
SELECT
    CAST(change.counted_at AS TIMESTAMP_LTZ(3)) AS counted_at,
    attempt.merchant_id,
    attempt.judged_by,
    change.comes,
    CASE WHEN change.comes THEN attempt.version END AS version,
    CASE WHEN change.comes THEN attempt.happened_at END AS happened_at,
    CASE WHEN change.comes THEN attempt.payment_id END AS payment_id,
    CASE WHEN change.comes THEN attempt.card_token END AS card_token
FROM (
    SELECT
        CAST(counted_at AS TIMESTAMP_LTZ(3)) AS comes_at,
        CAST(counted_at AS TIMESTAMP_LTZ(3)) + INTERVAL '60.001' SECOND AS gone_at,
        happened_at,
        merchant_id,
        payment_id,
        card_token,
        judged_by,
        REGEXP_REPLACE(version, '"amounts":\[[^\]]*\]', '"amounts":[]') AS version
    FROM ${judged(card_attempts)}
    WHERE
        version IS NOT NULL
        AND (declined OR amount <= CAST(${amount_said(version)} AS DECIMAL(19, 4)))
) AS attempt
CROSS JOIN
    UNNEST(ARRAY [ROW(attempt.comes_at, TRUE), ROW(attempt.gone_at, FALSE)])
        AS change (counted_at, comes)
