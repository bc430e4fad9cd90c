-- Question: at which merchants or in which countries do most alerts stand since a moment?
--
-- ${place} is merchant_id or country. Alerts that name none are left out. country: one of those in
-- which a merchant's alerts stand; country_count: how many these are.

SELECT
    places.place,
    COUNT(*) AS alert_count,
    COUNT(DISTINCT places.card_token) AS card_count,
    MIN(places.country) AS country,
    COUNT(DISTINCT places.country) AS country_count
FROM (
    SELECT
        alerts.${place} AS place,
        alerts.country,
        alerts.card_token
    FROM marts.alerts
    WHERE alerts.detected_at >= :since AND alerts.${place} IS NOT NULL
) AS places
GROUP BY places.place
ORDER BY alert_count DESC, places.place ASC
LIMIT :rows;
