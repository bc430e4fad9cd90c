-- Question: at which merchants or in which countries do most alerts stand since a moment?
--
-- ${place} is merchant_id or country. Alerts that name none are left out.

SELECT
    places.place,
    COUNT(*) AS alert_count,
    COUNT(DISTINCT places.card_token) AS card_count
FROM (
    SELECT
        alerts.${place} AS place,
        alerts.card_token
    FROM marts.alerts
    WHERE alerts.detected_at >= :since AND alerts.${place} IS NOT NULL
) AS places
GROUP BY places.place
ORDER BY alert_count DESC, places.place ASC
LIMIT :rows;
