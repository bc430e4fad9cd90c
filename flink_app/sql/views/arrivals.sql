-- What the detections look at, each row with the time at which it may be judged.
--
-- judged_at is the row time from here on: the row's own time, or, for a row that came after the
-- watermark had passed it, the first millisecond after that watermark. So no row is late for what
-- follows, and which statuses judge which payments follows from the order of arrival alone, not
-- from how far one input of the join runs ahead of the other.
SELECT
    events.`type`,
    CAST(rt AS TIMESTAMP_LTZ(3)) AS rt,
    COALESCE(
        GREATEST(CAST(rt AS TIMESTAMP_LTZ(3)), CURRENT_WATERMARK(rt) + INTERVAL '0.001' SECOND),
        CAST(rt AS TIMESTAMP_LTZ(3))
    ) AS judged_at,
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
    events.`type` IN ('PAYMENT_EVENT', 'CARD_STATUS')
    AND rt > TO_TIMESTAMP_LTZ(0, 3)
    AND event_json_data.card_token IS NOT NULL
