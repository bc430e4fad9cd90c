-- Question: how long did each alert take, from the payment to the page and to the warehouse?
--
-- One row per alert on a stolen card. origin_at: the payment happened. window_end: its 5 s window
-- closed. detected_at: the job made the alert. paged_at: the first page that carries it was sent,
-- null while there is none. page_kind: FIRST, DIGEST for what waited because
-- too many pages went out, or FOLLOW_UP for what came on a card soon after a page of it and waited
-- by design. staged_at: the alert was loaded here. Durations are
-- milliseconds; detection_ms counts from the window's end, the rest from the payment.

CREATE OR REPLACE VIEW marts.alert_latency AS
SELECT
    alerts.alert_id,
    alerts.payment_id,
    alerts.late,
    COALESCE(alerts.found_by, 'stream') AS found_by,
    alerts.event_date_origin AS origin_at,
    alerts.window_end,
    alerts.detected_at,
    first_pages.paged_at,
    first_pages.page_kind,
    alerts.event_dw_regdate AS staged_at,
    DATEDIFF(MILLISECOND, alerts.window_end, alerts.detected_at) AS detection_ms,
    DATEDIFF(MILLISECOND, alerts.event_date_origin, alerts.detected_at) AS origin_to_detected_ms,
    DATEDIFF(MILLISECOND, alerts.event_date_origin, first_pages.paged_at) AS origin_to_paged_ms,
    DATEDIFF(
        MILLISECOND, alerts.event_date_origin, alerts.event_dw_regdate
    ) AS origin_to_staged_ms,
    freshness.lag_seconds
FROM typed.payment_alert AS alerts
LEFT JOIN marts.first_pages
    ON alerts.alert_id = first_pages.alert_id
CROSS JOIN marts.freshness;
