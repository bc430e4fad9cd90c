-- Generated from the contract by `make contract`: change the contract, not this file.
--
-- Question: which PAYMENT_ALERT_SUMMARYs are new? One fire of the 60 min window; there is none
-- while the window is empty.
-- Of the copies of an event the first that is seen counts. Times are UTC.
-- Reads: staging.events, refresh.loads, typed.payment_alert_summary
-- Writes: typed.payment_alert_summary

INSERT INTO typed.payment_alert_summary (
    event_id,
    event_date_origin,
    event_dw_regdate,
    batch,
    window_start,
    window_end,
    payment_count,
    card_count,
    totals,
    top_cards,
    declined,
    refunded
)
SELECT
    copies.event_id,
    copies.event_date_origin,
    copies.event_dw_regdate,
    :to_batch AS batch,
    CAST(
        NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'window_start'), '') AS TIMESTAMP
    ) AS window_start,
    CAST(
        NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'window_end'), '') AS TIMESTAMP
    ) AS window_end,
    CAST(
        NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'payment_count'), '') AS BIGINT
    ) AS payment_count,
    CAST(
        NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'card_count'), '') AS BIGINT
    ) AS card_count,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'totals'), '') AS totals,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'top_cards'), '') AS top_cards,
    CAST(NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'declined'), '') AS BIGINT) AS declined,
    CAST(NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'refunded'), '') AS BIGINT) AS refunded
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
        event_type = 'PAYMENT_ALERT_SUMMARY'
        AND event_dw_regdate BETWEEN :loaded_from AND :loaded_to
        AND event_dw_regdate IN (
            SELECT loads.loaded_at
            FROM refresh.loads
            WHERE loads.batch > :from_batch AND loads.batch <= :to_batch
        )
) AS copies
LEFT JOIN typed.payment_alert_summary AS known
    ON copies.event_id = known.event_id
WHERE copies.copy_number = 1 AND known.event_id IS NULL;
