-- Question: in which countries do most payments and alerts stand since a moment?
--
-- A payment's minute and an alert's moment count. Alerts that name no country are left out.

SELECT
    counts.country,
    SUM(counts.record_count) AS payment_count,
    SUM(counts.alert_count) AS alert_count
FROM (
    SELECT
        payments_per_country.country,
        payments_per_country.record_count,
        0 AS alert_count
    FROM marts.payments_per_country
    WHERE payments_per_country.minute >= :since AND payments_per_country.country IS NOT NULL
    UNION ALL
    SELECT
        alerts.country,
        0 AS record_count,
        1 AS alert_count
    FROM marts.alerts
    WHERE alerts.detected_at >= :since AND alerts.country IS NOT NULL
) AS counts
GROUP BY counts.country
ORDER BY alert_count DESC, payment_count DESC, counts.country ASC
LIMIT :rows;
