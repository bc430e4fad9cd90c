-- Question: how fast are we, at the median and at the 99th percentile, step by step?
--
-- One row per step, durations in milliseconds. Alerts on late payments are left out, for their
-- window had closed before they came, and so are those that the stream did not find. To be paged is
-- one step for alerts that were paged at once and another for those that waited for a follow-up, as
-- they have to. The steps are stacked because Redshift wants all percentiles of one SELECT to share
-- their ordering.

CREATE OR REPLACE VIEW marts.alert_latency_percentiles AS
WITH

alerts AS (
    SELECT
        detection_ms,
        origin_to_detected_ms,
        origin_to_paged_ms,
        page_kind,
        origin_to_staged_ms
    FROM marts.alert_latency
    WHERE NOT late AND found_by = 'stream'
),

durations AS (
    SELECT
        'window end to detected' AS step,
        detection_ms AS duration_ms
    FROM alerts
    UNION ALL
    SELECT
        'origin to detected' AS step,
        origin_to_detected_ms AS duration_ms
    FROM alerts
    UNION ALL
    SELECT
        'origin to paged' AS step,
        origin_to_paged_ms AS duration_ms
    FROM alerts
    WHERE page_kind IN ('FIRST', 'DIGEST')
    UNION ALL
    SELECT
        'origin to follow-up' AS step,
        origin_to_paged_ms AS duration_ms
    FROM alerts
    WHERE page_kind = 'FOLLOW_UP'
    UNION ALL
    SELECT
        'origin to staged' AS step,
        origin_to_staged_ms AS duration_ms
    FROM alerts
)

SELECT
    steps.step,
    steps.alerts,
    steps.p50_ms,
    steps.p99_ms,
    steps.max_ms,
    freshness.lag_seconds
FROM (
    SELECT
        step,
        COUNT(*) AS alerts,
        CAST(PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY duration_ms) AS BIGINT) AS p50_ms,
        CAST(PERCENTILE_CONT(0.99) WITHIN GROUP (ORDER BY duration_ms) AS BIGINT) AS p99_ms,
        MAX(duration_ms) AS max_ms
    FROM durations
    GROUP BY step
) AS steps
CROSS JOIN marts.freshness;
