-- Generated from the contract by `make contract`: change the contract, not this file.
--
-- Question: every PAYMENT_ALERT once, typed. One stolen payment. Everything a person needs to act
-- on is in it.
-- Of the copies of an event the first that was loaded counts. Times are UTC.

CREATE OR REPLACE VIEW staging.payment_alert AS
SELECT
    event_id,
    event_date_origin,
    event_dw_regdate,
    NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'alert_id'), '') AS alert_id,
    NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'rule'), '') AS rule,
    CAST(
        NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'rule_version'), '') AS BIGINT
    ) AS rule_version,
    NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'reason'), '') AS reason,
    CAST(
        NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'reported_at'), '') AS TIMESTAMP
    ) AS reported_at,
    CAST(
        NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'window_start'), '') AS TIMESTAMP
    ) AS window_start,
    CAST(
        NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'window_end'), '') AS TIMESTAMP
    ) AS window_end,
    NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'late'), '') = 'true' AS late,
    CAST(
        NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'detected_at'), '') AS TIMESTAMP
    ) AS detected_at,
    NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'payment_id'), '') AS payment_id,
    NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'account_id'), '') AS account_id,
    NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'user_id'), '') AS user_id,
    NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'card_token'), '') AS card_token,
    NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'card_bin'), '') AS card_bin,
    NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'card_last4'), '') AS card_last4,
    CAST(NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'amount'), '') AS DECIMAL(19, 4)) AS amount,
    NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'currency'), '') AS currency,
    NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'merchant_id'), '') AS merchant_id,
    NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'country'), '') AS country,
    NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'city'), '') AS city,
    NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'status'), '') AS status,
    NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'found_by'), '') AS found_by
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
    WHERE event_type = 'PAYMENT_ALERT'
) AS copies
WHERE copy_number = 1;
