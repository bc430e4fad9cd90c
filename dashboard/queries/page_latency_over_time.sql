-- Question: how long was it from payment to page in each minute or hour since a moment?
--
-- Counted like page_latency, in the minute or hour of the page.

SELECT
    alerts.paged,
    COUNT(*) AS alert_count,
    PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY alerts.origin_to_paged_ms) AS p50_ms,
    PERCENTILE_CONT(0.95) WITHIN GROUP (ORDER BY alerts.origin_to_paged_ms) AS p95_ms,
    PERCENTILE_CONT(0.99) WITHIN GROUP (ORDER BY alerts.origin_to_paged_ms) AS p99_ms
FROM (
    SELECT
        DATE_TRUNC(:bucket, alert_latency.paged_at) AS paged,
        alert_latency.origin_to_paged_ms
    FROM marts.alert_latency
    WHERE
        alert_latency.paged_at >= :since
        AND NOT alert_latency.late
        AND alert_latency.found_by = 'stream'
        AND alert_latency.page_kind IN ('FIRST', 'DIGEST')
) AS alerts
GROUP BY alerts.paged
ORDER BY alerts.paged ASC;
