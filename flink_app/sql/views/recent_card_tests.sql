-- How many cards are tried out at a merchant within the 60 s up to each attempt and up to the
-- millisecond in which one has left them, and the attempts before that one.
-- reads: card_tests
--
-- RANGE gives what counts at one millisecond the same count. The rows of those that left have no
-- payment and no card: they count nothing.
SELECT
    *,
    LAG(payment_id, 1) OVER so_far AS id_1,
    LAG(payment_id, 2) OVER so_far AS id_2,
    LAG(payment_id, 3) OVER so_far AS id_3,
    LAG(payment_id, 4) OVER so_far AS id_4,
    LAG(payment_id, 5) OVER so_far AS id_5
FROM (
    SELECT
        counted_at,
        happened_at,
        merchant_id,
        judged_by,
        comes,
        version,
        payment_id,
        COUNT(DISTINCT card_token) OVER last_minute AS cards,
        COUNT(payment_id) OVER last_minute AS tries,
        PROCTIME() AS seen_at
    FROM card_tests
    WINDOW last_minute AS (
        PARTITION BY merchant_id, judged_by
        ORDER BY counted_at
        RANGE BETWEEN INTERVAL '1' MINUTE PRECEDING AND CURRENT ROW
    )
)
WINDOW so_far AS (PARTITION BY merchant_id, judged_by, comes ORDER BY seen_at)
