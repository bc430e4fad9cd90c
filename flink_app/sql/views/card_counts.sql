-- How many payments each stolen card has in the hour that ends with each fire.
-- reads: card_changes
SELECT
    window_start,
    window_end,
    card_token,
    MAX(card_last4) AS card_last4,
    SUM(payment_count) AS payment_count
FROM
    TABLE(
        CUMULATE(
            TABLE card_changes, DESCRIPTOR (rt), INTERVAL '10' SECOND, INTERVAL '10' MINUTE
        )
    )
GROUP BY window_start, window_end, card_token
HAVING SUM(payment_count) > 0
