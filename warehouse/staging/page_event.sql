-- Generated from the contract by `make contract`: change the contract, not this file.
--
-- Question: every PAGE_EVENT once, typed. One step of one page's life.
-- Of the copies of an event the first that was loaded counts. Times are UTC.

CREATE OR REPLACE VIEW staging.page_event AS
SELECT
    event_id,
    event_date_origin,
    event_dw_regdate,
    NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'page_id'), '') AS page_id,
    NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'state'), '') AS state,
    NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'alert_ids'), '') AS alert_ids,
    NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'channel'), '') AS channel,
    NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'repeat'), '') = 'true' AS repeat
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
    WHERE event_type = 'PAGE_EVENT'
) AS copies
WHERE copy_number = 1;
