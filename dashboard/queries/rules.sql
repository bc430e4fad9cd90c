-- Question: which rules alerted since a moment, how often, and how much of it was paged?

SELECT
    alerts.rule,
    COUNT(*) AS alert_count,
    COUNT(alerts.paged_at) AS paged_count,
    MAX(alerts.detected_at) AS newest
FROM marts.alerts
WHERE alerts.detected_at >= :since
GROUP BY alerts.rule
ORDER BY alert_count DESC, alerts.rule ASC;
