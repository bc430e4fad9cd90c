-- Attempts that may look like tests of a card, by whatever small amounts: declined, or at most what
-- no small amount is above; of the merchant at which it was tried, and again of the user who did.
-- reads: timed_attempts
-- boundary: counted_at
SELECT
    counted_at,
    happened_at,
    payment_id,
    card_token,
    entity_kind,
    entity_id,
    currency,
    amount,
    declined,
    'card_testing|' || ${bucket(digest)} AS rule_bucket
FROM (
    SELECT
        attempt.counted_at,
        attempt.happened_at,
        attempt.payment_id,
        attempt.card_token,
        attempt.currency,
        attempt.amount,
        attempt.declined,
        entity.entity_kind,
        entity.entity_id,
        MD5(entity.entity_id) AS digest
    FROM (
        SELECT
            counted_at,
            happened_at,
            payment_id,
            card_token,
            CASE WHEN CHAR_LENGTH(currency) = 3 THEN currency END AS currency,
            amount,
            declined,
            ARRAY [ROW('merchant', merchant_id), ROW('user', user_id)] AS entities
        FROM timed_attempts
        WHERE declined OR (amount >= 0 AND ${most_small} - amount >= 0)
    ) AS attempt
    CROSS JOIN UNNEST(attempt.entities) AS entity (entity_kind, entity_id)
)
WHERE CHAR_LENGTH(entity_id) BETWEEN 1 AND 128
