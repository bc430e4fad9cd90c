-- Question: how many payments of each minute or hour since a moment have a score in which band?
--
-- A band begins at 0, which is 0 alone, 1, 10, 20 and so on to 90, which is 90 to 100.

SELECT
    counts.happened,
    counts.band,
    SUM(counts.payment_count) AS payment_count
FROM (
    SELECT
        DATE_TRUNC(:bucket, scores_per_minute.minute) AS happened,
        CASE
            WHEN scores_per_minute.score >= 90 THEN 90
            WHEN scores_per_minute.score BETWEEN 1 AND 9 THEN 1
            ELSE scores_per_minute.score - MOD(scores_per_minute.score, 10)
        END AS band,
        scores_per_minute.payment_count
    FROM marts.scores_per_minute
    WHERE scores_per_minute.minute >= :since
) AS counts
GROUP BY counts.happened, counts.band
ORDER BY counts.happened ASC, counts.band ASC;
