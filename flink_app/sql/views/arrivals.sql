-- What the detections look at: card statuses, and payments that can be told apart (without a
-- payment_id there is no alert_id).
-- reads: timed_events
--
-- card_status: null for a payment. A card token that is not the tokenizer's is no card: its
-- payments cannot alert, whatever a status says of it.
SELECT
    CAST(rt AS TIMESTAMP_LTZ(3)) AS rt,
    CASE WHEN `type` = 'CARD_STATUS' THEN status END AS card_status,
    payment_id,
    account_id,
    user_id,
    card_token,
    card_bin,
    card_last4,
    amount,
    currency,
    merchant_id,
    country,
    city,
    status
FROM timed_events
WHERE
    rt > TO_TIMESTAMP_LTZ(0, 3)
    AND (
        (
            `type` = 'PAYMENT_EVENT'
            AND payment_id IS NOT NULL
            AND CHAR_LENGTH(card_token) = 32
        )
        OR (
            `type` = 'CARD_STATUS'
            AND status IN ('ACTIVE', 'STOLEN')
            AND REGEXP(card_token, '^[0-9a-f]{32}$')
        )
    )
