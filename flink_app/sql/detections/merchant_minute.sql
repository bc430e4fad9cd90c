-- How much did each merchant take in each minute, and from how many cards?
-- reads: timed_records
-- application: risk_desk
-- stream: scores
--
-- Rule: per merchant, currency and minute, how many payments, of them declined and refunded, what
-- was charged and refunded, how many different cards. A payment counts once for each of its
-- outcomes, a late one in the minute in which it came. Currencies are never added together, so
-- cards are counted in each. Kept: a minute's sums and cards, until it closes.
-- Constants: one minute; of it the ${minute_rows} rows with the most payments, a setting.
SELECT
    ${minute_record(merchant)} AS record,
    merchant_id AS partition_key
FROM (
    SELECT
        *,
        ${minor_unit} AS minor_unit,
        ROW_NUMBER() OVER (
            PARTITION BY window_start, window_end
            ORDER BY payment_count DESC, merchant_id ASC, currency ASC
        ) AS place
    FROM (
        SELECT
            merchant_id,
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
                merchant_id,
                NULLIF(SUBSTRING(currency, 1, 128), '') AS currency,
                card_token,
                amount,
                declined,
                refunded
            FROM TABLE(TUMBLE(TABLE timed_records, DESCRIPTOR (counted_at), INTERVAL '1' MINUTE))
            WHERE CHAR_LENGTH(merchant_id) BETWEEN 1 AND 128
        )
        GROUP BY merchant_id, currency, window_start, window_end
    )
)
WHERE place <= ${minute_rows}
