-- How many cards are tried out at a merchant, or by a user, at each attempt and at the millisecond
-- in which one no longer counts, and the attempts before that one.
-- reads: card_tests
--
-- RANGE gives what counts at one millisecond the same count. The rows of those that left have no
-- card: they count nothing. One that stays comes again as its last minute ends, and is in the
-- minute twice for that millisecond.
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
        entity_kind,
        entity_id,
        judged_by,
        comes,
        NOT comes AND card_token IS NOT NULL AS stays,
        version,
        payment_id,
        COUNT(DISTINCT card_token) OVER last_minute AS cards,
        COUNT(card_token) OVER last_minute AS tries,
        PROCTIME() AS seen_at
    FROM card_tests
    WINDOW last_minute AS (
        PARTITION BY entity_kind, entity_id, judged_by
        ORDER BY counted_at
        RANGE BETWEEN INTERVAL '1' MINUTE PRECEDING AND CURRENT ROW
    )
)
WINDOW so_far AS (PARTITION BY entity_kind, entity_id, judged_by, comes ORDER BY seen_at)
