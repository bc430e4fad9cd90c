-- Generated from the contract by `make contract`: change the contract, not this file.
--
-- Question: which PAGE_EVENTs are new? One step of one page's life.
-- Of the copies of an event the first that is seen counts. Times are UTC.
-- Reads: staging.events, refresh.loads, typed.page_event
-- Writes: typed.page_event

INSERT INTO typed.page_event (
    event_id,
    event_date_origin,
    event_dw_regdate,
    batch,
    page_id,
    state,
    alert_ids,
    channel,
    repeat,
    reason,
    kind,
    act_id
)
SELECT
    copies.event_id,
    copies.event_date_origin,
    copies.event_dw_regdate,
    :to_batch AS batch,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'page_id'), '') AS page_id,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'state'), '') AS state,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'alert_ids'), '') AS alert_ids,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'channel'), '') AS channel,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'repeat'), '') = 'true' AS repeat,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'reason'), '') AS reason,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'kind'), '') AS kind,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'act_id'), '') AS act_id
FROM (
    SELECT
        event_id,
        event_date_origin,
        event_dw_regdate,
        event_json_data AS data,
        ROW_NUMBER() OVER (
            PARTITION BY event_id
            ORDER BY event_dw_regdate, event_date_origin, event_json_data
        ) AS copy_number
    FROM staging.events
    WHERE
        event_type = 'PAGE_EVENT'
        AND event_dw_regdate BETWEEN :loaded_from AND :loaded_to
        AND event_dw_regdate IN (
            SELECT loads.loaded_at
            FROM refresh.loads
            WHERE loads.batch > :from_batch AND loads.batch <= :to_batch
        )
) AS copies
LEFT JOIN typed.page_event AS known
    ON copies.event_id = known.event_id
WHERE copies.copy_number = 1 AND known.event_id IS NULL;
