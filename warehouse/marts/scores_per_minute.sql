-- Question: how many payments of each minute have which risk score?
--
-- Minutes of the payments' own time; score: 0 to 100. One payment counts once, by its first record.

CREATE OR REPLACE VIEW marts.scores_per_minute AS
SELECT
    score_minutes.minute,
    score_minutes.score,
    score_minutes.payment_count,
    freshness.lag_seconds
FROM facts.score_minutes
CROSS JOIN marts.freshness;
