-- What did stolen cards cost us in the last hour?
-- reads: summary_parts
--
-- Rule: over all stolen payments, every 10 s, over the last 60 min, while there is one: how many
-- payments, of them how many declined and refunded, how many cards, the total per currency without
-- those two, the five cards with the most payments. A payment is counted by its record that was
-- judged first.
-- A late payment counts from the next fire as long as its last window is open.
-- A card is shown with the greatest digits of its payments since the ten minutes in which the
-- hour began.
-- Constants: window 60 min, slide 10 s, five cards. Totals are sorted by currency; they leave out
-- unreadable amounts and sums of more than the contract's 15 digits.
SELECT
    JSON_OBJECT(
        KEY 'type' VALUE 'PAYMENT_ALERT_SUMMARY',
        KEY 'event_id' VALUE summary_id,
        KEY 'schema_version' VALUE 1,
        KEY 'event_date_origin' VALUE window_end,
        KEY 'event_json_data' VALUE JSON_OBJECT(
            KEY 'window_start' VALUE window_start,
            KEY 'window_end' VALUE window_end,
            KEY 'payment_count' VALUE payment_count,
            KEY 'declined' VALUE declined,
            KEY 'refunded' VALUE refunded,
            KEY 'card_count' VALUE card_count,
            KEY 'totals' VALUE JSON(
                '[' || COALESCE(ARRAY_JOIN(ARRAY_SORT(totals), ','), '') || ']'
            ),
            KEY 'top_cards' VALUE JSON(
                '[' || CONCAT_WS(
                    ',',
                    SUBSTRING(cards[1], 2),
                    SUBSTRING(cards[2], 2),
                    SUBSTRING(cards[3], 2),
                    SUBSTRING(cards[4], 2),
                    SUBSTRING(cards[5], 2)
                ) || ']'
            )
        )
    ) AS record,
    summary_id AS partition_key
FROM (
    SELECT
        *,
        LOWER(SHA2(CONCAT_WS('|', 'summary', window_end, '1'), 256)) AS summary_id
    FROM (
        SELECT
            *,
            ${instant_text(hour_start)} AS window_start,
            ${instant_text(hour_end)} AS window_end,
            ARRAY_SORT(top_cards) AS cards
        FROM (
            SELECT
                window_end - INTERVAL '60' MINUTE AS hour_start,
                window_end AS hour_end,
                SUM(payment_count) AS payment_count,
                SUM(declined) AS declined,
                SUM(refunded) AS refunded,
                SUM(card_count) AS card_count,
                ARRAY_AGG(total) FILTER (WHERE total IS NOT NULL) AS totals,
                ARRAY_AGG(top_card) FILTER (WHERE top_card IS NOT NULL) AS top_cards
            FROM summary_parts
            GROUP BY window_start, window_end
        )
    )
)
