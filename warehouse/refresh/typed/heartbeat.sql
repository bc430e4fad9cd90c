-- Generated from the contract by `make contract`: change the contract, not this file.
--
-- Question: which HEARTBEATs are new? One heartbeat, sent to every shard every second.
-- Of the copies of an event the first that is seen counts. Times are UTC.
-- Reads: staging.events, refresh.loads, typed.heartbeat
-- Writes: typed.heartbeat

INSERT INTO typed.heartbeat (
    event_id,
    event_date_origin,
    event_dw_regdate,
    batch,
    source
)
SELECT
    copies.event_id,
    copies.event_date_origin,
    copies.event_dw_regdate,
    :to_batch AS batch,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'source'), '') AS source
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
        event_type = 'HEARTBEAT'
        AND event_dw_regdate BETWEEN :loaded_from AND :loaded_to
        AND event_dw_regdate IN (
            SELECT loads.loaded_at
            FROM refresh.loads
            WHERE loads.batch > :from_batch AND loads.batch <= :to_batch
        )
) AS copies
LEFT JOIN typed.heartbeat AS known
    ON copies.event_id = known.event_id
WHERE copies.copy_number = 1 AND known.event_id IS NULL;
