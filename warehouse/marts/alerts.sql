-- Question: what alerted, of whichever rule, why, about whom, and when was somebody paged?
--
-- One row per alert. why is a sentence for people. A stolen card's alert names all that its payment
-- named; another rule's names the one entity that it is about, and its severity. observed is that
-- rule's figure, or the payment's amount; paged_at is the first sent page that carries the alert,
-- null while there is none. What a version of a rule in shadow counted is not here
-- (marts.rule_versions).

CREATE OR REPLACE VIEW marts.alerts AS
WITH

alerts AS (
    SELECT
        alert_id,
        rule,
        rule_version,
        CAST(NULL AS VARCHAR(64)) AS severity,
        reason AS why,
        'card' AS entity_kind,
        card_token,
        card_last4,
        account_id,
        user_id,
        merchant_id,
        country,
        amount AS observed,
        CAST(NULL AS DECIMAL(19, 4)) AS threshold,
        currency,
        payment_id,
        1 AS payment_count,
        late,
        event_date_origin AS origin_at,
        detected_at
    FROM typed.payment_alert
    UNION ALL
    SELECT
        alert_id,
        rule,
        rule_version,
        severity,
        explanation AS why,
        entity_kind,
        CASE WHEN entity_kind = 'card' THEN entity_id END AS card_token,
        card_last4,
        CASE WHEN entity_kind = 'account' THEN entity_id END AS account_id,
        CASE WHEN entity_kind = 'user' THEN entity_id END AS user_id,
        CASE WHEN entity_kind = 'merchant' THEN entity_id END AS merchant_id,
        CAST(NULL AS VARCHAR(1024)) AS country,
        observed,
        threshold,
        currency,
        JSON_EXTRACT_ARRAY_ELEMENT_TEXT(payment_ids, 0) AS payment_id,
        payment_count,
        CAST(NULL AS BOOLEAN) AS late,
        event_date_origin AS origin_at,
        detected_at
    FROM typed.rule_alert
    WHERE COALESCE(paging, 'on') <> 'shadow'
)

SELECT
    alerts.alert_id,
    alerts.rule,
    alerts.rule_version,
    alerts.severity,
    alerts.why,
    alerts.entity_kind,
    alerts.card_token,
    alerts.card_last4,
    alerts.account_id,
    alerts.user_id,
    alerts.merchant_id,
    alerts.country,
    alerts.observed,
    alerts.threshold,
    alerts.currency,
    alerts.payment_id,
    alerts.payment_count,
    alerts.late,
    alerts.origin_at,
    alerts.detected_at,
    first_pages.paged_at,
    freshness.lag_seconds
FROM alerts
LEFT JOIN marts.first_pages
    ON alerts.alert_id = first_pages.alert_id
CROSS JOIN marts.freshness;
