-- How many cards are tried out at a merchant, or by a user, in each millisecond that may change it,
-- and before; of counts that may be above what the rule card_testing allows, which is two at least.
-- reads: recent_card_tests
-- boundary: counted_at
-- lifetime: 2 h
SELECT *
FROM (
    SELECT
        *,
        LAG(cards, 1) OVER (
            PARTITION BY entity_kind, entity_id, judged_by ORDER BY judged_at
        ) AS cards_before
    FROM (
        -- What changes at one millisecond, as one; its last attempt has the others of the window
        -- before it, and the version that all of the millisecond came under.
        SELECT
            CAST(window_start AS TIMESTAMP_LTZ(3)) AS counted_at,
            entity_kind,
            entity_id,
            judged_by,
            MAX(version) AS version,
            MAX(cards) AS cards,
            MAX(tries) - SUM(CASE WHEN stays THEN 1 ELSE 0 END) AS tries,
            LAST_VALUE(happened_at) AS happened_at,
            LAST_VALUE(payment_id) AS payment_id,
            LAST_VALUE(id_1) AS id_1,
            LAST_VALUE(id_2) AS id_2,
            LAST_VALUE(id_3) AS id_3,
            LAST_VALUE(id_4) AS id_4,
            LAST_VALUE(id_5) AS id_5,
            PROCTIME() AS judged_at
        FROM
            TABLE(
                TUMBLE(
                    TABLE recent_card_tests, DESCRIPTOR (counted_at), INTERVAL '0.001' SECOND
                )
            )
        GROUP BY window_start, window_end, entity_kind, entity_id, judged_by
    )
)
WHERE cards > 2
