-- Generated from the contract by `make contract`: change the contract, not this file.
--
-- Question: every HEARTBEAT once, typed. One heartbeat, sent to every shard every second.
-- Of the copies of an event the first that was loaded counts. Times are UTC.

CREATE OR REPLACE VIEW staging.heartbeat AS
SELECT
    event_id,
    event_date_origin,
    event_dw_regdate,
    NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'source'), '') AS source
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
    WHERE event_type = 'HEARTBEAT'
) AS copies
WHERE copy_number = 1;
