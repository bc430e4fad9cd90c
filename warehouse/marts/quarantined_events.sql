-- Question: which payments on stolen cards, and which card statuses, are in quarantine, why, and
-- was each judged all the same?
--
-- One row per event and reason, with what could be read of it; arrived_at is when the stream took
-- it, reported_at the report that held at a payment's own time. outcome `alerted`: the detection
-- reads less than the stager, and found it. `staged`: it came as a valid event too, so the other
-- marts judge it. `not stolen`: of all statuses of the card none held at the payment's time that
-- says so. `open`: nobody judged it; without a legible payment_id nothing can tell otherwise.

CREATE OR REPLACE VIEW marts.quarantined_events AS
WITH

alerted AS (
    SELECT
        quarantined_event.event_id,
        MIN(payment_alert.alert_id) AS alert_id
    FROM typed.quarantined_event
    INNER JOIN typed.payment_alert
        ON
            quarantined_event.payment_id = payment_alert.payment_id
            AND quarantined_event.card_token = payment_alert.card_token
    WHERE payment_alert.rule = 'stolen_card'
    GROUP BY quarantined_event.event_id
),

staged AS (
    SELECT quarantined_event.event_id
    FROM typed.quarantined_event
    INNER JOIN typed.payment_event
        ON
            quarantined_event.card_token = payment_event.card_token
            AND quarantined_event.payment_id = payment_event.payment_id
    UNION -- noqa: AM02
    SELECT quarantined_event.event_id
    FROM typed.quarantined_event
    INNER JOIN typed.card_status
        ON
            quarantined_event.card_token = card_status.card_token
            AND quarantined_event.status = card_status.status
            AND quarantined_event.happened_at = card_status.effective_from
),

statuses AS (
    SELECT
        quarantined_event.event_id,
        MAX(CASE WHEN card_status.status = 'STOLEN' THEN card_status.effective_from END)
            AS reported_at,
        MAX(CASE WHEN card_status.status = 'ACTIVE' THEN card_status.effective_from END)
            AS cleared_at
    FROM typed.quarantined_event
    INNER JOIN typed.card_status
        ON
            quarantined_event.card_token = card_status.card_token
            AND quarantined_event.happened_at >= card_status.effective_from
    WHERE quarantined_event.kind = 'PAYMENT'
    GROUP BY quarantined_event.event_id
),

reports AS (
    SELECT
        event_id,
        reported_at
    FROM statuses
    WHERE reported_at IS NOT NULL AND COALESCE(reported_at >= cleared_at, TRUE)
)

SELECT
    quarantined_event.event_id,
    quarantined_event.kind,
    quarantined_event.reason,
    quarantined_event.card_token,
    quarantined_event.payment_id,
    quarantined_event.status,
    quarantined_event.happened_at,
    quarantined_event.event_date_origin AS arrived_at,
    reports.reported_at,
    CASE
        WHEN alerted.event_id IS NOT NULL THEN 'alerted'
        WHEN staged.event_id IS NOT NULL THEN 'staged'
        WHEN
            quarantined_event.kind = 'PAYMENT'
            AND quarantined_event.happened_at IS NOT NULL
            AND reports.event_id IS NULL
            THEN 'not stolen'
        ELSE 'open'
    END AS outcome,
    alerted.alert_id,
    freshness.lag_seconds
FROM typed.quarantined_event
LEFT JOIN alerted
    ON quarantined_event.event_id = alerted.event_id
LEFT JOIN staged
    ON quarantined_event.event_id = staged.event_id
LEFT JOIN reports
    ON quarantined_event.event_id = reports.event_id
CROSS JOIN marts.freshness;
