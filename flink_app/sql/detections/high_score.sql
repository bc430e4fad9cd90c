-- Which payments have a score that somebody should look at now?
-- reads: weighed_payments
-- application: risk_desk
--
-- Rule: high_score. A payment whose score is the threshold or more: once, about its card. By the
-- points of rules.yaml no factor has as much alone: a payment on a stolen card has an alert of its
-- own, and is here when something else speaks against it too.
-- Data (rules.yaml, docs/rules.md): on or off, paging, the severity, the threshold, and the points
-- of each factor, by the version in force at the payment's time, or when it came late the one of
-- then. Constants: the factors and what makes them fire, in views/payment_factors.sql.
SELECT
    ${rule_alert(high_score)} AS record,
    entity_id AS partition_key
FROM (
    SELECT
        *,
        ${rule_alert_id(high_score)} AS alert_id
    FROM (
        SELECT
            rt AS happened_at,
            rule_version,
            settings,
            'card' AS entity_kind,
            card_token AS entity_id,
            SUBSTRING(card_last4, 1, 128) AS card_last4,
            CAST(NULL AS STRING) AS currency,
            CAST(score AS STRING) AS observed,
            CAST(threshold AS STRING) AS threshold,
            'score ' || CAST(score AS STRING) || ' of 100: ' || why AS explanation,
            CAST(NULL AS TIMESTAMP_LTZ(3)) AS window_start,
            CAST(NULL AS TIMESTAMP_LTZ(3)) AS window_end,
            payment_id AS first_payment_id,
            JSON_ARRAY(SUBSTRING(payment_id, 1, 128)) AS payment_ids,
            1 AS payment_count
        FROM (
            SELECT
                *,
                ${settings_of(version)} AS settings,
                ${version_of(version)} AS rule_version,
                ${threshold_of(version)} AS threshold
            FROM weighed_payments
        )
        WHERE
            ${is_on(version)}
            AND threshold > 0
            AND score >= threshold
    )
)
