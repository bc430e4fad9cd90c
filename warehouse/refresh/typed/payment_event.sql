-- Generated from the contract by `make contract`: change the contract, not this file.
--
-- Question: which PAYMENT_EVENTs are new? One payment. The card is a token; its number never leaves
-- the card file and the tokenizer.
-- Of the copies of an event the first that is seen counts, and of the events of one (payment_id,
-- card_token, status) as well. Times are UTC.
-- Reads: staging.events, refresh.loads, typed.payment_event
-- Writes: typed.payment_event

INSERT INTO typed.payment_event (
    event_id,
    event_date_origin,
    event_dw_regdate,
    batch,
    payment_id,
    account_id,
    user_id,
    card_token,
    card_bin,
    card_last4,
    amount,
    currency,
    merchant_id,
    country,
    city,
    status,
    entry_mode,
    merchant_category,
    latitude,
    longitude
)
SELECT
    records.event_id,
    records.event_date_origin,
    records.event_dw_regdate,
    :to_batch AS batch,
    records.payment_id,
    records.account_id,
    records.user_id,
    records.card_token,
    records.card_bin,
    records.card_last4,
    records.amount,
    records.currency,
    records.merchant_id,
    records.country,
    records.city,
    records.status,
    records.entry_mode,
    records.merchant_category,
    records.latitude,
    records.longitude
FROM (
    SELECT
        events.event_id,
        events.event_date_origin,
        events.event_dw_regdate,
        events.payment_id,
        events.account_id,
        events.user_id,
        events.card_token,
        events.card_bin,
        events.card_last4,
        events.amount,
        events.currency,
        events.merchant_id,
        events.country,
        events.city,
        events.status,
        events.entry_mode,
        events.merchant_category,
        events.latitude,
        events.longitude,
        ROW_NUMBER() OVER (
            PARTITION BY events.payment_id, events.card_token, events.status
            ORDER BY events.event_dw_regdate, events.event_date_origin, events.event_id
        ) AS record_number
    FROM (
        SELECT
            copies.event_id,
            copies.event_date_origin,
            copies.event_dw_regdate,
            NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'payment_id'), '') AS payment_id,
            NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'account_id'), '') AS account_id,
            NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'user_id'), '') AS user_id,
            NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'card_token'), '') AS card_token,
            NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'card_bin'), '') AS card_bin,
            NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'card_last4'), '') AS card_last4,
            CAST(
                NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'amount'), '') AS DECIMAL(19, 4)
            ) AS amount,
            NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'currency'), '') AS currency,
            NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'merchant_id'), '') AS merchant_id,
            NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'country'), '') AS country,
            NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'city'), '') AS city,
            NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'status'), '') AS status,
            NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'entry_mode'), '') AS entry_mode,
            NULLIF(
                JSON_EXTRACT_PATH_TEXT(copies.data, 'merchant_category'), ''
            ) AS merchant_category,
            NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'latitude'), '') AS latitude,
            NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'longitude'), '') AS longitude
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
                event_type = 'PAYMENT_EVENT'
                AND event_dw_regdate BETWEEN :loaded_from AND :loaded_to
                AND event_dw_regdate IN (
                    SELECT loads.loaded_at
                    FROM refresh.loads
                    WHERE loads.batch > :from_batch AND loads.batch <= :to_batch
                )
        ) AS copies
        LEFT JOIN typed.payment_event AS known
            ON copies.event_id = known.event_id
        WHERE
            copies.copy_number = 1
            AND known.event_id IS NULL
            AND COALESCE(JSON_EXTRACT_PATH_TEXT(copies.data, 'card_token'), '')
            <> 'cacacacacacacacacacacacacacacaca'
    ) AS events
) AS records
LEFT JOIN typed.payment_event AS known
    ON
        records.payment_id = known.payment_id
        AND records.card_token = known.card_token
        AND records.status = known.status
WHERE records.record_number = 1 AND known.event_id IS NULL;
