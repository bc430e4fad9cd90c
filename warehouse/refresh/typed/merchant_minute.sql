-- Generated from the contract by `make contract`: change the contract, not this file.
--
-- Question: which MERCHANT_MINUTEs are new? What one merchant took in one minute and one currency.
-- Of the copies of an event the first that is seen counts. Times are UTC.
-- Reads: staging.events, refresh.loads, typed.merchant_minute
-- Writes: typed.merchant_minute

INSERT INTO typed.merchant_minute (
    event_id,
    event_date_origin,
    event_dw_regdate,
    batch,
    currency,
    window_start,
    window_end,
    payment_count,
    declined,
    refunded,
    amount,
    refunded_amount,
    card_count,
    merchant_id
)
SELECT
    copies.event_id,
    copies.event_date_origin,
    copies.event_dw_regdate,
    :to_batch AS batch,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'currency'), '') AS currency,
    CAST(
        NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'window_start'), '') AS TIMESTAMP
    ) AS window_start,
    CAST(
        NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'window_end'), '') AS TIMESTAMP
    ) AS window_end,
    CAST(
        NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'payment_count'), '') AS BIGINT
    ) AS payment_count,
    CAST(NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'declined'), '') AS BIGINT) AS declined,
    CAST(NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'refunded'), '') AS BIGINT) AS refunded,
    CAST(
        NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'amount'), '') AS DECIMAL(19, 4)
    ) AS amount,
    CAST(
        NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'refunded_amount'), '') AS DECIMAL(19, 4)
    ) AS refunded_amount,
    CAST(
        NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'card_count'), '') AS BIGINT
    ) AS card_count,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'merchant_id'), '') AS merchant_id
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
        event_type = 'MERCHANT_MINUTE'
        AND event_dw_regdate BETWEEN :loaded_from AND :loaded_to
        AND event_dw_regdate IN (
            SELECT loads.loaded_at
            FROM refresh.loads
            WHERE loads.batch > :from_batch AND loads.batch <= :to_batch
        )
) AS copies
LEFT JOIN typed.merchant_minute AS known
    ON copies.event_id = known.event_id
WHERE copies.copy_number = 1 AND known.event_id IS NULL;
