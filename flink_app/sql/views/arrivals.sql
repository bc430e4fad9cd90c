-- What the detections look at: card statuses, and payments that can be told apart (without a
-- payment_id there is no alert_id).
-- reads: events
-- boundary: rt
--
-- card_status: null for a payment. A card token that is not the tokenizer's is no card: its
-- payments cannot alert, whatever a status says of it.
SELECT
    CAST(events.rt AS TIMESTAMP_LTZ(3)) AS rt,
    CASE WHEN events.`type` = 'CARD_STATUS' THEN event_json_data.status END AS card_status,
    event_json_data.payment_id,
    event_json_data.account_id,
    event_json_data.user_id,
    event_json_data.card_token,
    event_json_data.card_bin,
    event_json_data.card_last4,
    event_json_data.amount,
    event_json_data.currency,
    event_json_data.merchant_id,
    event_json_data.country,
    event_json_data.city,
    event_json_data.status
FROM events
WHERE
    events.rt > TO_TIMESTAMP_LTZ(0, 3)
    AND (
        (
            events.`type` = 'PAYMENT_EVENT'
            AND event_json_data.payment_id IS NOT NULL
            AND CHAR_LENGTH(event_json_data.card_token) = 32
        )
        OR (
            events.`type` = 'CARD_STATUS'
            AND event_json_data.status IN ('ACTIVE', 'STOLEN')
            AND REGEXP(event_json_data.card_token, '^[0-9a-f]{32}$')
        )
    )
