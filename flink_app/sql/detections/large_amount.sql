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
    ${rule_alert(large_amount)} AS record,
    entity_id AS partition_key
FROM (
    SELECT
        *,
        ${rule_alert_id(large_amount)} AS alert_id
    FROM (
        SELECT
            happened_at,
            rule_version,
            settings,
            'card' AS entity_kind,
            card_token AS entity_id,
            SUBSTRING(card_last4, 1, 128) AS card_last4,
            currency,
            ${amount_text(amount)} AS observed,
            threshold,
            'a payment of ' || ${amount_text(amount)} || ' ' || currency
            || ' is above the limit of ' || threshold || ' ' || currency AS explanation,
            CAST(NULL AS TIMESTAMP_LTZ(3)) AS window_start,
            CAST(NULL AS TIMESTAMP_LTZ(3)) AS window_end,
            payment_id AS first_payment_id,
            JSON_ARRAY(SUBSTRING(payment_id, 1, 128)) AS payment_ids,
            1 AS payment_count
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
                FROM ${judged(timed_large_payments)}
            )
            WHERE
                amount > CAST(threshold AS DECIMAL(19, 4))
                AND ${is_on(version)}
        )
        WHERE alert_number = 1
    )
)
