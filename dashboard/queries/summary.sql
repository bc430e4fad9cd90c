-- Question: what does the newest summary say of the payments on stolen cards in its hour?

SELECT
    payment_alert_summary.window_start,
    payment_alert_summary.window_end,
    payment_alert_summary.payment_count,
    payment_alert_summary.card_count,
    payment_alert_summary.declined,
    payment_alert_summary.refunded
FROM typed.payment_alert_summary
WHERE payment_alert_summary.event_date_origin >= :since
ORDER BY
    payment_alert_summary.window_end DESC,
    payment_alert_summary.event_date_origin DESC
LIMIT 1;
