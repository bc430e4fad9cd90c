-- Which payments have a score that somebody should look at now?
-- reads: scored_payments
-- application: risk_desk
--
-- Rule: high_score, version 1. A payment whose score is 70 or more: once, as it comes, about its
-- card. No factor has as much alone: a payment on a stolen card has an alert of its own, and is
-- here when something else speaks against it too. Constants: the threshold, 70. Severity high.
SELECT
    JSON_OBJECT(
        KEY 'type' VALUE 'RULE_ALERT',
        KEY 'event_id' VALUE alert_id,
        KEY 'schema_version' VALUE 1,
        KEY 'event_date_origin' VALUE ${instant_text(rt)},
        KEY 'event_json_data' VALUE JSON_OBJECT(
            KEY 'alert_id' VALUE alert_id,
            KEY 'rule' VALUE 'high_score',
            KEY 'rule_version' VALUE 1,
            KEY 'severity' VALUE 'high',
            KEY 'entity_kind' VALUE 'card',
            KEY 'entity_id' VALUE card_token,
            KEY 'card_last4' VALUE SUBSTRING(card_last4, 1, 128),
            KEY 'currency' VALUE CAST(NULL AS STRING),
            KEY 'observed' VALUE CAST(score AS STRING),
            KEY 'threshold' VALUE '70',
            KEY 'explanation' VALUE 'score ' || CAST(score AS STRING) || ' of 100: ' || why,
            KEY 'window_start' VALUE CAST(NULL AS STRING),
            KEY 'window_end' VALUE CAST(NULL AS STRING),
            KEY 'detected_at' VALUE ${instant_text(CURRENT_TIMESTAMP)},
            KEY 'payment_ids' VALUE JSON_ARRAY(SUBSTRING(payment_id, 1, 128)),
            KEY 'payment_count' VALUE 1
        )
    ) AS record,
    card_token AS partition_key
FROM (
    SELECT
        *,
        LOWER(
            SHA2(CONCAT_WS('|', 'high_score', '1', 'card', card_token, '', payment_id), 256)
        ) AS alert_id
    FROM scored_payments
    WHERE score >= 70
)
