-- Question: how much did each user pay in each minute, and with how many cards?
--
-- Written with the setting UserMinutes alone. One row per user, currency and minute with a payment,
-- of a minute the users with the most payments (the setting MinuteRows). amount: what was charged;
-- net_amount: less what was refunded in that minute. declined_share: of the payments, the declined
-- ones. cards: different ones in that currency.

CREATE OR REPLACE VIEW marts.user_minutes AS
SELECT
    minutes.user_id,
    minutes.currency,
    minutes.window_start AS minute,
    minutes.payment_count,
    minutes.declined,
    minutes.refunded,
    CAST(
        CAST(minutes.declined AS DECIMAL(19, 4)) / minutes.payment_count AS DECIMAL(5, 4)
    ) AS declined_share,
    minutes.amount,
    CAST(
        COALESCE(minutes.amount, 0) - COALESCE(minutes.refunded_amount, 0) AS DECIMAL(19, 4)
    ) AS net_amount,
    minutes.card_count AS cards,
    freshness.lag_seconds
FROM typed.user_minute AS minutes
CROSS JOIN marts.freshness;
