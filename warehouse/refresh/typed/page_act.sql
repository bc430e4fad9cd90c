-- Generated from the contract by `make contract`: change the contract, not this file.
--
-- Question: which PAGE_ACTs are new? What one person did, once: the same act told again has the
-- same id.
-- Of the copies of an event the first that is seen counts. Times are UTC.
-- Reads: staging.events, refresh.loads, typed.page_act
-- Writes: typed.page_act

INSERT INTO typed.page_act (
    event_id,
    event_date_origin,
    event_dw_regdate,
    batch,
    act_id,
    page_id,
    scope,
    act,
    by,
    claimed,
    reason,
    until,
    link_id
)
SELECT
    copies.event_id,
    copies.event_date_origin,
    copies.event_dw_regdate,
    :to_batch AS batch,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'act_id'), '') AS act_id,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'page_id'), '') AS page_id,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'scope'), '') AS scope,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'act'), '') AS act,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'by'), '') AS by,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'claimed'), '') = 'true' AS claimed,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'reason'), '') AS reason,
    CAST(NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'until'), '') AS TIMESTAMP) AS until,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'link_id'), '') AS link_id
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
        event_type = 'PAGE_ACT'
        AND event_dw_regdate BETWEEN :loaded_from AND :loaded_to
        AND event_dw_regdate IN (
            SELECT loads.loaded_at
            FROM refresh.loads
            WHERE loads.batch > :from_batch AND loads.batch <= :to_batch
        )
) AS copies
LEFT JOIN typed.page_act AS known
    ON copies.event_id = known.event_id
WHERE copies.copy_number = 1 AND known.event_id IS NULL;
