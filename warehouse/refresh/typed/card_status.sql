-- Generated from the contract by `make contract`: change the contract, not this file.
--
-- Question: which CARD_STATUSs are new? One version of one card's status; `effective_from` is its
-- event time.
-- Of the copies of an event the first that is seen counts. Times are UTC.
-- Reads: staging.events, refresh.loads, typed.card_status
-- Writes: typed.card_status

INSERT INTO typed.card_status (
    event_id,
    event_date_origin,
    event_dw_regdate,
    batch,
    card_token,
    card_last4,
    status,
    effective_from,
    reason
)
SELECT
    copies.event_id,
    copies.event_date_origin,
    copies.event_dw_regdate,
    :to_batch AS batch,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'card_token'), '') AS card_token,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'card_last4'), '') AS card_last4,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'status'), '') AS status,
    CAST(
        NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'effective_from'), '') AS TIMESTAMP
    ) AS effective_from,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'reason'), '') AS reason
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
        event_type = 'CARD_STATUS'
        AND event_dw_regdate BETWEEN :loaded_from AND :loaded_to
        AND event_dw_regdate IN (
            SELECT loads.loaded_at
            FROM refresh.loads
            WHERE loads.batch > :from_batch AND loads.batch <= :to_batch
        )
) AS copies
LEFT JOIN typed.card_status AS known
    ON copies.event_id = known.event_id
WHERE
    copies.copy_number = 1
    AND known.event_id IS NULL
    AND COALESCE(JSON_EXTRACT_PATH_TEXT(copies.data, 'card_token'), '')
    <> 'cacacacacacacacacacacacacacacaca';
