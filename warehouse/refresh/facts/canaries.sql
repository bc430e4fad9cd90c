-- Generated from the contract by `make contract`: change the contract, not this file.
--
-- Question: which canaries came, and when were they, and their alerts, staged?
-- Of the copies of an event the first that is seen counts.
-- Reads: staging.events, refresh.loads, facts.canaries
-- Writes: facts.canaries

INSERT INTO facts.canaries (
    event_id, event_type, payment_id, origin_at, detected_at, staged_at
)
SELECT
    copies.event_id,
    copies.event_type,
    JSON_EXTRACT_PATH_TEXT(copies.data, 'payment_id') AS payment_id,
    copies.event_date_origin AS origin_at,
    CAST(
        NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'detected_at'), '') AS TIMESTAMP
    ) AS detected_at,
    copies.event_dw_regdate AS staged_at
FROM (
    SELECT
        event_id,
        event_type,
        event_date_origin,
        event_dw_regdate,
        event_json_data AS data,
        ROW_NUMBER() OVER (
            PARTITION BY event_id
            ORDER BY event_dw_regdate, event_date_origin, event_json_data
        ) AS copy_number
    FROM staging.events
    WHERE
        event_type IN ('PAYMENT_EVENT', 'PAYMENT_ALERT')
        AND event_dw_regdate BETWEEN :loaded_from AND :loaded_to
        AND event_dw_regdate IN (
            SELECT loads.loaded_at
            FROM refresh.loads
            WHERE loads.batch > :from_batch AND loads.batch <= :to_batch
        )
        AND JSON_EXTRACT_PATH_TEXT(event_json_data, 'card_token')
        = 'cacacacacacacacacacacacacacacaca'
) AS copies
LEFT JOIN facts.canaries AS known
    ON copies.event_id = known.event_id
WHERE copies.copy_number = 1 AND known.event_id IS NULL;
