-- Payments, what is said of their cards, and versions of accounts, the values read that the risk
-- score asks for.
-- reads: timed_events
-- boundary: rt
--
-- A boundary, because Flink reads a value wherever it is named.
SELECT
    rt,
    `type`,
    payment_id,
    account_id,
    user_id,
    card_token,
    card_last4,
    CASE WHEN `type` = 'PAYMENT_EVENT' THEN ${readable_amount} END AS amount,
    currency,
    merchant_id,
    country,
    city,
    status,
    entry_mode,
    latitude,
    longitude,
    account_name,
    holder_country,
    CASE WHEN `type` = 'ACCOUNT' THEN ${instant(opened_at)} END AS opened,
    credit_limit,
    spent,
    CASE WHEN `type` = 'ACCOUNT' THEN ${instant(spent_until)} END AS spent_by,
    risk_segment
FROM timed_events
WHERE
    `type` IN ('PAYMENT_EVENT', 'CARD_STATUS', 'ACCOUNT')
    AND rt > TO_TIMESTAMP_LTZ(0, 3)
    AND ${no_canary}
