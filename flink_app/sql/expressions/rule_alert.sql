-- An alert of the rule ${it} as an envelope, by its columns: alert_id, happened_at, rule_version,
-- settings (of the version), entity_kind, entity_id, card_last4, currency, observed, threshold,
-- explanation, window_start, window_end, payment_ids (a JSON list) and payment_count.
SELECT
    JSON_OBJECT(
        KEY 'type' VALUE 'RULE_ALERT',
        KEY 'event_id' VALUE alert_id,
        KEY 'schema_version' VALUE 1,
        KEY 'event_date_origin' VALUE ${instant_text(happened_at)},
        KEY 'event_json_data' VALUE JSON_OBJECT(
            KEY 'alert_id' VALUE alert_id,
            KEY 'rule' VALUE '${it}',
            KEY 'rule_version' VALUE rule_version,
            KEY 'severity' VALUE JSON_VALUE(settings, '$.severity'),
            KEY 'entity_kind' VALUE entity_kind,
            KEY 'entity_id' VALUE entity_id,
            KEY 'card_last4' VALUE card_last4,
            KEY 'currency' VALUE currency,
            KEY 'observed' VALUE observed,
            KEY 'threshold' VALUE threshold,
            KEY 'explanation' VALUE explanation,
            KEY 'window_start' VALUE ${instant_text(window_start)},
            KEY 'window_end' VALUE ${instant_text(window_end)},
            KEY 'detected_at' VALUE ${instant_text(CURRENT_TIMESTAMP)},
            KEY 'payment_ids' VALUE JSON(payment_ids),
            KEY 'payment_count' VALUE payment_count,
            KEY 'paging' VALUE JSON_VALUE(settings, '$.paging')
        )
    )
