-- Generated from the contract by `make contract`: change the contract, not this file.
--
-- Question: which QUARANTINED_EVENTs are new? One payment on a stolen card, or one card status,
-- that breaks the contract. Payment, status and time are what could be read of a record that is
-- broken somewhere else, so each may be null. Nothing in it is taken over that could hold a card
-- number.
-- Of the copies of an event the first that is seen counts. Times are UTC.
-- Reads: staging.events, refresh.loads, typed.quarantined_event
-- Writes: typed.quarantined_event

INSERT INTO typed.quarantined_event (
    event_id,
    event_date_origin,
    event_dw_regdate,
    batch,
    kind,
    reason,
    card_token,
    payment_id,
    status,
    happened_at
)
SELECT
    copies.event_id,
    copies.event_date_origin,
    copies.event_dw_regdate,
    :to_batch AS batch,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'kind'), '') AS kind,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'reason'), '') AS reason,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'card_token'), '') AS card_token,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'payment_id'), '') AS payment_id,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'status'), '') AS status,
    CAST(
        NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'happened_at'), '') AS TIMESTAMP
    ) AS happened_at
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
        event_type = 'QUARANTINED_EVENT'
        AND event_dw_regdate BETWEEN :loaded_from AND :loaded_to
        AND event_dw_regdate IN (
            SELECT loads.loaded_at
            FROM refresh.loads
            WHERE loads.batch > :from_batch AND loads.batch <= :to_batch
        )
) AS copies
LEFT JOIN typed.quarantined_event AS known
    ON copies.event_id = known.event_id
WHERE
    copies.copy_number = 1
    AND known.event_id IS NULL
    AND COALESCE(JSON_EXTRACT_PATH_TEXT(copies.data, 'card_token'), '')
    <> 'cacacacacacacacacacacacacacacaca';
