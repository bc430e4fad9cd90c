-- Each payment by its first record beside what its account has spent that day up to it; and the
-- versions of accounts.
-- reads: payment_records
-- boundary: rt
-- lifetime: 26 h
--
-- spent_today: what the account has spent since midnight (UTC) of the payment's day in the
-- payment's currency, with this payment, net of refunds.
-- State: one sum per account, currency and day, for 26 hours from its newest record on: a day, and
-- two hours for what comes late.
SELECT
    rt,
    version,
    stolen_since,
    late,
    payment_id,
    account_id,
    user_id,
    card_token,
    card_last4,
    amount,
    currency,
    merchant_id,
    country,
    city,
    status,
    sign,
    place,
    card_absent,
    spent_today
FROM (
    SELECT
        *,
        SUM(spend) OVER (
            PARTITION BY account_id, currency, CAST(rt AS DATE) ORDER BY seen_at
        ) AS spent_today
    FROM (
        SELECT
            *,
            PROCTIME() AS seen_at
        FROM payment_records
    )
)
WHERE is_first OR version IS NOT NULL
