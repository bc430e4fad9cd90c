-- Each arrival beside what the statuses that stand before it on its shard say of its card.
-- reads: arrivals
--
-- A card's payments and statuses share a partition key, so they stand on one shard in one order,
-- and processing time is that order: what a payment is judged by depends on the stream alone, not
-- on watermarks, parallelism or the run. State: three times per card token, for good; a status that
-- is published again changes none of them.
-- noqa: all columns of the view below, whichever they are.
SELECT
    *, -- noqa: AM04
    MIN(CASE WHEN card_status = 'STOLEN' THEN rt END) OVER so_far AS first_stolen_from,
    MAX(CASE WHEN card_status = 'STOLEN' THEN rt END) OVER so_far AS stolen_from,
    MAX(CASE WHEN card_status = 'ACTIVE' THEN rt END) OVER so_far AS active_from
FROM (
    SELECT
        *,
        PROCTIME() AS seen_at
    FROM arrivals
)
WINDOW so_far AS (
    PARTITION BY card_token
    ORDER BY seen_at
    RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
)
