-- How much did each user pay in each minute, and with how many cards?
-- reads: timed_records
-- application: risk_desk
-- stream: scores
-- on demand: yes
--
-- Rule: per user, currency and minute, how many payments, of them declined and refunded, what
-- was charged and refunded, how many different cards. A payment counts once for each of its
-- outcomes, a late one in the minute in which it came. Currencies are never added together, so
-- cards are counted in each. Kept: a minute's sums and cards, until it closes.
-- Constants: one minute; of it the ${minute_rows} rows with the most payments, a setting.
SELECT
    ${minute_record(user)} AS record,
    user_id AS partition_key
FROM (
    SELECT
        *,
        ${minor_unit} AS minor_unit,
        ROW_NUMBER() OVER (
            PARTITION BY window_start, window_end
            ORDER BY payment_count DESC, user_id ASC, currency ASC
        ) AS place
    FROM (
        SELECT
            user_id,
            currency,
            window_start,
            window_end,
            COUNT(*) AS payment_count,
            COUNT(*) FILTER (WHERE declined) AS declined,
            COUNT(*) FILTER (WHERE refunded) AS refunded,
            SUM(amount) FILTER (WHERE NOT declined AND NOT refunded) AS amount,
            SUM(amount) FILTER (WHERE refunded) AS refunded_amount,
            COUNT(DISTINCT card_token) AS card_count
        FROM (
            SELECT
                window_start,
                window_end,
                user_id,
                NULLIF(SUBSTRING(currency, 1, 128), '') AS currency,
                card_token,
                amount,
                declined,
                refunded
            FROM TABLE(TUMBLE(TABLE timed_records, DESCRIPTOR (counted_at), INTERVAL '1' MINUTE))
            WHERE CHAR_LENGTH(user_id) BETWEEN 1 AND 128
        )
        GROUP BY user_id, currency, window_start, window_end
    )
)
WHERE place <= ${minute_rows}
