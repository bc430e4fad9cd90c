-- Question: is what the warehouse holds fresh, whole, and without contradictions?
--
-- One row per check: found is what was counted, allowed how much of it is no trouble; a check
-- without `allowed` is for people and rings no alarm. What counts rows looks at the hour that ended
-- ten minutes before the newest refresh, so that nothing is on its way any more. Where nothing was
-- ever loaded, a load is waited for since the first round of upkeep.

CREATE OR REPLACE VIEW marts.data_quality AS
WITH

hours AS (
    SELECT
        lag_seconds,
        newest_load,
        DATE_TRUNC('minute', DATEADD(MINUTE, -70, as_of)) AS begins,
        DATE_TRUNC('minute', DATEADD(MINUTE, -10, as_of)) AS ends
    FROM marts.freshness
),

beginning AS (
    SELECT MIN(as_of) AS begun_at
    FROM refresh.progress
    WHERE step = 'refresh.beginning'
),

recent_alerts AS (
    SELECT
        payment_alert.alert_id,
        payment_alert.payment_id,
        payment_alert.card_token
    FROM typed.payment_alert
    INNER JOIN hours
        ON
            payment_alert.event_dw_regdate >= hours.begins
            AND payment_alert.event_dw_regdate < hours.ends
),

typed_heartbeats AS (
    SELECT
        DATE_TRUNC('minute', heartbeat.event_date_origin) AS minute,
        COUNT(*) AS typed_count
    FROM typed.heartbeat
    INNER JOIN hours
        ON
            heartbeat.event_date_origin >= hours.begins
            AND heartbeat.event_date_origin < hours.ends
    GROUP BY DATE_TRUNC('minute', heartbeat.event_date_origin)
),

typed_payments AS (
    SELECT
        spend_minutes.minute,
        SUM(spend_minutes.record_count) AS typed_count
    FROM facts.spend_minutes
    INNER JOIN hours
        ON spend_minutes.minute >= hours.begins AND spend_minutes.minute < hours.ends
    GROUP BY spend_minutes.minute
),

recent_minutes AS (
    SELECT
        event_minutes.minute,
        event_minutes.event_type,
        event_minutes.row_count,
        event_minutes.event_count
    FROM facts.event_minutes
    INNER JOIN hours
        ON event_minutes.minute >= hours.begins AND event_minutes.minute < hours.ends
),

loaded_minutes AS (
    SELECT
        minute,
        SUM(row_count) AS row_count
    FROM recent_minutes
    GROUP BY minute
),

ledger AS (
    SELECT
        loaded_objects.loaded_at,
        SUM(loaded_objects.row_count) AS row_count
    FROM staging.loaded_objects
    INNER JOIN hours
        ON
            loaded_objects.loaded_at >= hours.begins
            AND loaded_objects.loaded_at < hours.ends
    GROUP BY loaded_objects.loaded_at
),

seen AS (
    SELECT
        loads.loaded_at,
        SUM(loads.row_count) AS row_count
    FROM refresh.loads
    INNER JOIN hours
        ON loads.loaded_at >= hours.begins AND loads.loaded_at < hours.ends
    GROUP BY loads.loaded_at
),

checks AS (
    SELECT
        'seconds since something was loaded' AS check_name,
        COALESCE(
            DATEDIFF(SECOND, COALESCE(hours.newest_load, beginning.begun_at), SYSDATE), 0
        ) AS found,
        1800 AS allowed
    FROM hours
    CROSS JOIN beginning
    UNION ALL
    SELECT
        'seconds that the marts are behind' AS check_name,
        lag_seconds AS found,
        1800 AS allowed
    FROM hours
    UNION ALL
    SELECT
        'seconds since a canary was loaded' AS check_name,
        COALESCE(DATEDIFF(SECOND, MAX(staged_at), SYSDATE), 0) AS found,
        1800 AS allowed
    FROM facts.canaries
    -- One that has stayed away for a day was switched off.
    WHERE event_type = 'PAYMENT_ALERT' AND staged_at > DATEADD(DAY, -1, SYSDATE)
    UNION ALL
    SELECT
        'copies of payments, percent' AS check_name,
        CAST(
            COALESCE(100 * SUM(row_count - event_count) / NULLIF(SUM(row_count), 0), 0) AS BIGINT
        ) AS found,
        20 AS allowed
    FROM recent_minutes
    WHERE event_type = 'PAYMENT_EVENT'
    UNION ALL
    SELECT
        'heartbeats missing or doubled in their typed table' AS check_name,
        COALESCE(
            SUM(ABS(recent_minutes.event_count - COALESCE(typed_heartbeats.typed_count, 0))), 0
        ) AS found,
        0 AS allowed
    FROM recent_minutes
    LEFT JOIN typed_heartbeats
        ON recent_minutes.minute = typed_heartbeats.minute
    WHERE recent_minutes.event_type = 'HEARTBEAT'
    UNION ALL
    SELECT
        'payments doubled in their typed table' AS check_name,
        COALESCE(
            SUM(GREATEST(typed_payments.typed_count - recent_minutes.event_count, 0)), 0
        ) AS found,
        0 AS allowed
    FROM recent_minutes
    INNER JOIN typed_payments
        ON recent_minutes.minute = typed_payments.minute
    WHERE recent_minutes.event_type = 'PAYMENT_EVENT'
    UNION ALL
    SELECT
        'events that the stager counted and the warehouse lacks' AS check_name,
        COALESCE(
            SUM(GREATEST(staged_minutes.staged_count - COALESCE(loaded_minutes.row_count, 0), 0)), 0
        ) AS found,
        0 AS allowed
    FROM staging.staged_minutes
    INNER JOIN hours
        ON staged_minutes.minute >= hours.begins AND staged_minutes.minute < hours.ends
    LEFT JOIN loaded_minutes
        ON staged_minutes.minute = loaded_minutes.minute
    UNION ALL
    SELECT
        'objects whose rows are not as many as their ledger says' AS check_name,
        COUNT(*) AS found,
        0 AS allowed
    FROM ledger
    LEFT JOIN seen
        ON ledger.loaded_at = seen.loaded_at
    WHERE ledger.row_count <> COALESCE(seen.row_count, 0)
    UNION ALL
    SELECT
        'objects that cannot be loaded' AS check_name,
        COUNT(*) AS found,
        0 AS allowed
    FROM staging.bad_objects
    UNION ALL
    SELECT
        'alerts without their payment' AS check_name,
        COUNT(*) AS found,
        -- A payment in quarantine can alert: the detection reads what it needs, the stager all.
        10 AS allowed
    FROM recent_alerts
    LEFT JOIN typed.payment_event
        ON
            recent_alerts.card_token = payment_event.card_token
            AND recent_alerts.payment_id = payment_event.payment_id
    WHERE payment_event.payment_id IS NULL
    UNION ALL
    SELECT
        'pages of alerts that nobody knows' AS check_name,
        COUNT(*) AS found,
        0 AS allowed
    FROM facts.page_alerts
    INNER JOIN hours
        ON page_alerts.happened_at >= hours.begins AND page_alerts.happened_at < hours.ends
    LEFT JOIN typed.payment_alert
        ON page_alerts.alert_id = payment_alert.alert_id
    LEFT JOIN typed.rule_alert
        ON page_alerts.alert_id = rule_alert.alert_id
    WHERE payment_alert.alert_id IS NULL AND rule_alert.alert_id IS NULL
    UNION ALL
    SELECT
        'stolen payments whose alert the stream owes' AS check_name,
        COUNT(*) AS found,
        0 AS allowed
    FROM facts.stolen_payments
    INNER JOIN hours
        ON
            stolen_payments.event_date_origin >= hours.begins
            AND stolen_payments.event_date_origin < hours.ends
    LEFT JOIN typed.payment_alert
        ON
            stolen_payments.payment_id = payment_alert.payment_id
            AND stolen_payments.card_token = payment_alert.card_token
            AND payment_alert.rule = 'stolen_card'
    WHERE stolen_payments.owed_by = 'stream' AND payment_alert.payment_id IS NULL
    UNION ALL
    SELECT
        'reported cards that no payment is known of' AS check_name,
        COUNT(DISTINCT card_status.card_token) AS found,
        NULL AS allowed
    FROM typed.card_status
    LEFT JOIN typed.payment_event
        ON card_status.card_token = payment_event.card_token
    WHERE payment_event.card_token IS NULL
)

SELECT
    checks.check_name,
    CAST(checks.found AS BIGINT) AS found,
    CAST(checks.allowed AS BIGINT) AS allowed,
    freshness.lag_seconds
FROM checks
CROSS JOIN marts.freshness;
