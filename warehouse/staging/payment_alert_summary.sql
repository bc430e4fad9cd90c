-- Generated from the contract by `make contract`: change the contract, not this file.
--
-- Question: every PAYMENT_ALERT_SUMMARY once, typed. One fire of the 60 min window; there is none
-- while the window is empty.
-- Of the copies of an event the first that was loaded counts. Times are UTC.

CREATE OR REPLACE VIEW staging.payment_alert_summary AS
SELECT
    event_id,
    event_date_origin,
    event_dw_regdate,
    CAST(
        NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'window_start'), '') AS TIMESTAMP
    ) AS window_start,
    CAST(
        NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'window_end'), '') AS TIMESTAMP
    ) AS window_end,
    CAST(
        NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'payment_count'), '') AS BIGINT
    ) AS payment_count,
    CAST(NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'card_count'), '') AS BIGINT) AS card_count,
    NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'totals'), '') AS totals,
    NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'top_cards'), '') AS top_cards,
    CAST(NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'declined'), '') AS BIGINT) AS declined,
    CAST(NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'refunded'), '') AS BIGINT) AS refunded
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
    WHERE event_type = 'PAYMENT_ALERT_SUMMARY'
) AS copies
WHERE copy_number = 1;
