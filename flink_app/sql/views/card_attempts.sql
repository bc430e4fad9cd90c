-- Attempts that may look like tests of a card, by whatever small amounts: declined, or at most what
-- no small amount is above.
-- reads: timed_attempts
-- boundary: counted_at
SELECT
    counted_at,
    happened_at,
    payment_id,
    card_token,
    merchant_id,
    currency,
    amount,
    declined,
    'card_testing|' || ${bucket(digest)} AS rule_bucket
FROM (
    SELECT
        counted_at,
        happened_at,
        payment_id,
        card_token,
        merchant_id,
        CASE WHEN CHAR_LENGTH(currency) = 3 THEN currency END AS currency,
        amount,
        declined,
        MD5(merchant_id) AS digest
    FROM timed_attempts
    WHERE
        CHAR_LENGTH(merchant_id) BETWEEN 1 AND 128
        AND (declined OR (amount >= 0 AND ${most_small} - amount >= 0))
)
