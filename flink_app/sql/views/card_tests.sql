-- What changes how many cards are tried out at a merchant: an attempt that looks like a test, when
-- it counts; and a row without a payment a millisecond after its 60 s, when it no longer counts.
-- The rule card_testing says what looks like a test.
-- reads: timed_attempts
-- boundary: counted_at
SELECT
    CAST(change.counted_at AS TIMESTAMP_LTZ(3)) AS counted_at,
    attempt.merchant_id,
    change.comes,
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
        declined,
        amount,
        CASE
            WHEN currency IN ('CHF', 'EUR', 'GBP', 'USD') THEN 5
            WHEN currency = 'KWD' THEN 1.5
            WHEN currency = 'AUD' THEN 8
            WHEN currency = 'PLN' THEN 20
            WHEN currency = 'BRL' THEN 30
            WHEN currency = 'SEK' THEN 55
            WHEN currency = 'INR' THEN 450
            WHEN currency = 'JPY' THEN 800
        END AS small
    FROM timed_attempts
    WHERE CHAR_LENGTH(merchant_id) BETWEEN 1 AND 128
) AS attempt
CROSS JOIN
    UNNEST(ARRAY [ROW(attempt.comes_at, TRUE), ROW(attempt.gone_at, FALSE)])
        AS change (counted_at, comes)
WHERE attempt.declined OR (attempt.amount >= 0 AND attempt.amount <= attempt.small)
