-- Question: how many pages told of each rule's alerts since a moment, and of how many?

SELECT
    alerts.rule,
    COUNT(DISTINCT page_alerts.page_id) AS page_count,
    COUNT(DISTINCT CASE WHEN page_alerts.repeat THEN page_alerts.page_id END) AS repeat_count,
    COUNT(DISTINCT page_alerts.alert_id) AS alert_count,
    MAX(page_alerts.happened_at) AS newest
FROM marts.page_alerts
INNER JOIN marts.alerts
    ON page_alerts.alert_id = alerts.alert_id
WHERE page_alerts.state = 'SENT' AND page_alerts.happened_at >= :since
GROUP BY alerts.rule
ORDER BY page_count DESC, alerts.rule ASC;
