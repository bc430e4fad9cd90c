-- Question: which pages carry alerts that name one card, account or merchant, the newest first?

SELECT
    page_alerts.happened_at,
    page_alerts.page_id,
    page_alerts.state,
    page_alerts.channel,
    page_alerts.repeat,
    COUNT(*) AS alert_count
FROM marts.page_alerts
INNER JOIN marts.alerts
    ON page_alerts.alert_id = alerts.alert_id
WHERE alerts.${entity} = :id AND page_alerts.happened_at >= :since
GROUP BY
    page_alerts.happened_at,
    page_alerts.page_id,
    page_alerts.state,
    page_alerts.channel,
    page_alerts.repeat
ORDER BY page_alerts.happened_at DESC, page_alerts.page_id ASC
LIMIT :rows;
