-- The events that have a time of their own, as flat columns, their instants read.
-- reads: events
-- boundary: none
--
-- A boundary, so that what reads a record's texts is computed once, not wherever it is used, and
-- that all detections share one reading of the stream. What the watermark does not need of an
-- account is read behind it, by the one application that asks for it.
SELECT
    `type`,
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
    event_json_data.status,
    event_json_data.entry_mode,
    event_json_data.latitude,
    event_json_data.longitude,
    event_json_data.account_name,
    event_json_data.holder_country,
    event_json_data.opened_at,
    event_json_data.credit_limit,
    event_json_data.spent,
    event_json_data.spent_until,
    event_json_data.risk_segment,
    event_json_data.rule,
    event_json_data.rule_version,
    event_json_data.settings,
    ${instant(event_date_origin)} AS origin,
    ${instant(event_json_data.effective_from)} AS effective_from,
    ${instant(event_json_data.valid_from)} AS valid_from,
    arrived_at
FROM events
WHERE `type` IN ('PAYMENT_EVENT', 'CARD_STATUS', 'ACCOUNT', 'RULE', 'HEARTBEAT')
