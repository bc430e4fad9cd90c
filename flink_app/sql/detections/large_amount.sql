-- Which single payments are above the limit of their currency?
-- reads: timed_large_payments, rules_in_force
-- application: risk_desk
--
-- Rule: large_amount. A payment that was not declined and is no refund, whose amount exceeds its
-- currency's limit: once, about its card. A declined payment cost nothing, and was seen by whoever
-- declined it; tried again and authorized it alerts.
-- Data (rules.yaml, docs/rules.md): on or off, paging, the severity, the limits; a currency that is
-- not listed has none. The version in force at the payment's time decides, or when it came late the
-- one of then; the payment waits for the watermark for that.
-- Constants: which records count. Kept: for two hours what may be large; for good which payments
-- alerted.
SELECT
    JSON_OBJECT(
        KEY 'type' VALUE 'RULE_ALERT',
        KEY 'event_id' VALUE alert_id,
        KEY 'schema_version' VALUE 1,
        KEY 'event_date_origin' VALUE ${instant_text(happened_at)},
        KEY 'event_json_data' VALUE JSON_OBJECT(
            KEY 'alert_id' VALUE alert_id,
            KEY 'rule' VALUE 'large_amount',
            KEY 'rule_version' VALUE rule_version,
            KEY 'severity' VALUE JSON_VALUE(settings, '$.severity'),
            KEY 'entity_kind' VALUE 'card',
            KEY 'entity_id' VALUE card_token,
            KEY 'card_last4' VALUE SUBSTRING(card_last4, 1, 128),
            KEY 'currency' VALUE currency,
            KEY 'observed' VALUE observed,
            KEY 'threshold' VALUE threshold,
            KEY 'explanation' VALUE 'a payment of ' || observed || ' ' || currency
            || ' is above the limit of ' || threshold || ' ' || currency,
            KEY 'window_start' VALUE CAST(NULL AS STRING),
            KEY 'window_end' VALUE CAST(NULL AS STRING),
            KEY 'detected_at' VALUE ${instant_text(CURRENT_TIMESTAMP)},
            KEY 'payment_ids' VALUE JSON_ARRAY(SUBSTRING(payment_id, 1, 128)),
            KEY 'payment_count' VALUE 1,
            KEY 'paging' VALUE JSON_VALUE(settings, '$.paging')
        )
    ) AS record,
    card_token AS partition_key
FROM (
    SELECT
        *,
        ${amount_text(amount)} AS observed,
        LOWER(
            SHA2(
                CONCAT_WS(
                    '|',
                    'large_amount',
                    CAST(rule_version AS STRING),
                    'card',
                    card_token,
                    currency,
                    payment_id
                ),
                256
            )
        ) AS alert_id
    FROM (
        SELECT
            *,
            ${minor_unit} AS minor_unit,
            ROW_NUMBER() OVER (
                PARTITION BY payment_id, card_token, judged_by ORDER BY seen_at
            ) AS alert_number
        FROM (
            SELECT
                *,
                ${settings_of(version)} AS settings,
                ${version_of(version)} AS rule_version,
                ${amount_said(version)} AS threshold,
                PROCTIME() AS seen_at
            FROM (
                SELECT
                    payment.*,
                    judgement.judged_by,
                    judgement.version
                FROM (
                    SELECT
                        *,
                        COALESCE(published, ${large_amount_rule}) AS in_force
                    FROM (
                        SELECT
                            timed_large_payments.*,
                            rules_in_force.in_force AS published,
                            rules_in_force.in_shadow
                        FROM timed_large_payments
                        LEFT JOIN
                            rules_in_force
                            FOR SYSTEM_TIME AS OF timed_large_payments.counted_at
                            ON timed_large_payments.rule_bucket = rules_in_force.rule_bucket
                    )
                ) AS payment
                CROSS JOIN
                    UNNEST(
                        ARRAY [
                            ROW('in force', payment.in_force), ROW('in shadow', payment.in_shadow)
                        ]
                    ) AS judgement (judged_by, version)
            )
        )
        WHERE
            amount > CAST(threshold AS DECIMAL(19, 4))
            AND JSON_VALUE(settings, '$.state') = 'on'
    )
    WHERE alert_number = 1
)
