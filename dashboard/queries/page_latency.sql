-- Question: how long was it from payment to page since a moment, and how much was within the
-- objective?
--
-- Milliseconds from each payment on a stolen card until the first page that tells of it was sent,
-- as the promise counts: without late payments, without what another path found, and without what
-- waited for a follow-up.

SELECT
    COUNT(*) AS alert_count,
    SUM(CASE WHEN alert_latency.origin_to_paged_ms <= :objective_ms THEN 1 ELSE 0 END)
        AS within_count,
    PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY alert_latency.origin_to_paged_ms) AS p50_ms,
    PERCENTILE_CONT(0.95) WITHIN GROUP (ORDER BY alert_latency.origin_to_paged_ms) AS p95_ms,
    PERCENTILE_CONT(0.99) WITHIN GROUP (ORDER BY alert_latency.origin_to_paged_ms) AS p99_ms,
    MAX(alert_latency.origin_to_paged_ms) AS max_ms
FROM marts.alert_latency
WHERE
    alert_latency.paged_at >= :since
    AND NOT alert_latency.late
    AND alert_latency.found_by = 'stream'
    AND alert_latency.page_kind IN ('FIRST', 'DIGEST');
