-- Generated from the contract by `make contract`: change the contract, not this file.
--
-- Question: every CARD_STATUS once, typed. One version of one card's status; `effective_from` is
-- its event time.
-- Of the copies of an event the first that was loaded counts. Times are UTC.

CREATE OR REPLACE VIEW staging.card_status AS
SELECT
    event_id,
    event_date_origin,
    event_dw_regdate,
    NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'card_token'), '') AS card_token,
    NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'card_last4'), '') AS card_last4,
    NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'status'), '') AS status,
    CAST(
        NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'effective_from'), '') AS TIMESTAMP
    ) AS effective_from,
    NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'reason'), '') AS reason
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
    WHERE event_type = 'CARD_STATUS'
) AS copies
WHERE copy_number = 1;
