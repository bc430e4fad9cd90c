-- Question: which rows are of a time that is kept no longer?
-- Reads: what it writes
-- Writes: staging.events, staging.staged_minutes
-- Writes: typed.payment_event, typed.payment_attributed, typed.account, typed.heartbeat
-- Writes: typed.payment_alert, typed.payment_alert_summary, typed.rule_alert, typed.page_event
-- Writes: typed.merchant_minute, typed.user_minute, typed.quarantined_event, typed.page_act
-- Writes: facts.page_alerts, facts.stolen_payments, facts.spend_minutes, facts.event_minutes
-- Writes: facts.country_minutes, facts.score_minutes, facts.canaries
-- Writes: refresh.loads
--
-- By event time, up to a full minute. Typed reference data (typed.card_status, typed.rule) stays: a
-- card that was reported years ago is stolen today, a rule that was published then is in force. Of
-- each account the version that held at that time stays, because it tells of what came after. What
-- goes from here is in the bucket still, and its objects stay in the ledger of loads; `cardwatch
-- backfill --again` loads them once more.

DELETE FROM facts.page_alerts
WHERE happened_at < :before;

DELETE FROM facts.stolen_payments
WHERE event_date_origin < :before;

DELETE FROM facts.spend_minutes
WHERE minute < :before;

DELETE FROM facts.event_minutes
WHERE minute < :before;

DELETE FROM facts.country_minutes
WHERE minute < :before;

DELETE FROM facts.score_minutes
WHERE minute < :before;

DELETE FROM facts.canaries
WHERE origin_at < :before;

DELETE FROM typed.payment_event
WHERE event_date_origin < :before;

DELETE FROM typed.payment_attributed
WHERE event_date_origin < :before;

DELETE FROM typed.account
WHERE
    valid_from < :before
    AND event_id NOT IN (
        SELECT versions.event_id
        FROM (
            SELECT
                event_id,
                ROW_NUMBER() OVER (
                    PARTITION BY account_id
                    ORDER BY valid_from DESC, event_date_origin DESC, event_id ASC
                ) AS version_number
            FROM typed.account
            WHERE valid_from < :before
        ) AS versions
        WHERE versions.version_number = 1
    );

DELETE FROM typed.heartbeat
WHERE event_date_origin < :before;

DELETE FROM typed.payment_alert
WHERE event_date_origin < :before;

DELETE FROM typed.payment_alert_summary
WHERE event_date_origin < :before;

DELETE FROM typed.rule_alert
WHERE event_date_origin < :before;

DELETE FROM typed.merchant_minute
WHERE event_date_origin < :before;

DELETE FROM typed.user_minute
WHERE event_date_origin < :before;

DELETE FROM typed.page_event
WHERE event_date_origin < :before;

DELETE FROM typed.quarantined_event
WHERE event_date_origin < :before;

DELETE FROM typed.page_act
WHERE event_date_origin < :before;

DELETE FROM staging.events
WHERE event_date_origin < :before;

DELETE FROM staging.staged_minutes
WHERE minute < :before;

DELETE FROM refresh.loads
WHERE loaded_at < DATEADD(HOUR, -1, :before);
