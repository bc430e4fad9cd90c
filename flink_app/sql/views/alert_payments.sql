-- Stolen payments at the moment they are to alert: when the 5 s window closes, or at once when it
-- had closed already.
-- reads: stolen_windows, on_time
--
-- The ROW_NUMBER holds a window's rows until it closes; it has no copies left to remove.
SELECT
    CAST(rt AS TIMESTAMP_LTZ(3)) AS rt,
    window_5s_start,
    window_5s_end,
    late,
    payment_id,
    account_id,
    user_id,
    card_token,
    card_bin,
    card_last4,
    amount_text,
    currency,
    merchant_id,
    country,
    city,
    status,
    effective_from
FROM (
    SELECT
        *,
        ROW_NUMBER() OVER (
            PARTITION BY window_start, window_end, payment_id, card_token ORDER BY rt
        ) AS copy_number
    FROM TABLE(TUMBLE(TABLE on_time, DESCRIPTOR (rt), INTERVAL '5' SECOND))
)
WHERE copy_number = 1
UNION ALL
SELECT
    CAST(rt AS TIMESTAMP_LTZ(3)) AS rt,
    window_5s_start,
    window_5s_end,
    late,
    payment_id,
    account_id,
    user_id,
    card_token,
    card_bin,
    card_last4,
    amount_text,
    currency,
    merchant_id,
    country,
    city,
    status,
    effective_from
FROM stolen_windows
WHERE late
