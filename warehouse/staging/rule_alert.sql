-- Generated from the contract by `make contract`: change the contract, not this file.
--
-- Question: every RULE_ALERT once, typed. One breach of one rule by one entity: what was observed,
-- against what threshold.
-- Of the copies of an event the first that was loaded counts. Times are UTC.

CREATE OR REPLACE VIEW staging.rule_alert AS
SELECT
    event_id,
    event_date_origin,
    event_dw_regdate,
    NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'alert_id'), '') AS alert_id,
    NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'rule'), '') AS rule,
    CAST(
        NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'rule_version'), '') AS BIGINT
    ) AS rule_version,
    NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'severity'), '') AS severity,
    NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'entity_kind'), '') AS entity_kind,
    NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'entity_id'), '') AS entity_id,
    NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'card_last4'), '') AS card_last4,
    NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'currency'), '') AS currency,
    CAST(
        NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'observed'), '') AS DECIMAL(19, 4)
    ) AS observed,
    CAST(
        NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'threshold'), '') AS DECIMAL(19, 4)
    ) AS threshold,
    NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'explanation'), '') AS explanation,
    CAST(
        NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'window_start'), '') AS TIMESTAMP
    ) AS window_start,
    CAST(
        NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'window_end'), '') AS TIMESTAMP
    ) AS window_end,
    CAST(
        NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'detected_at'), '') AS TIMESTAMP
    ) AS detected_at,
    NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'payment_ids'), '') AS payment_ids,
    CAST(
        NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'payment_count'), '') AS BIGINT
    ) AS payment_count
FROM (
    SELECT
        event_id,
        event_date_origin,
        event_dw_regdate,
        event_json_data,
        ROW_NUMBER() OVER (
            PARTITION BY event_id
            ORDER BY event_dw_regdate, event_date_origin, event_json_data
        ) AS copy_number
    FROM staging.events
    WHERE event_type = 'RULE_ALERT'
) AS copies
WHERE copy_number = 1;
