-- Generated from the contract by `make contract`: change the contract, not this file.
--
-- Question: which PAYMENT_ATTRIBUTEDs are new? One payment by its first record, as it was judged
-- when that record arrived. Late payments and those of unknown accounts have one too. The payment's
-- own fields are copied as it said them; the account's are those of the newest version that had
-- arrived.
-- Of the copies of an event the first that is seen counts. Times are UTC.
-- Reads: staging.events, refresh.loads, typed.payment_attributed
-- Writes: typed.payment_attributed

INSERT INTO typed.payment_attributed (
    event_id,
    event_date_origin,
    event_dw_regdate,
    batch,
    payment_id,
    card_token,
    card_last4,
    account_id,
    user_id,
    merchant_id,
    amount,
    currency,
    status,
    country,
    city,
    account_known,
    account_name,
    holder_country,
    opened_at,
    credit_limit,
    account_currency,
    account_status,
    risk_segment,
    account_valid_from,
    late,
    not_judged,
    score,
    score_version,
    factors,
    detected_at
)
SELECT
    copies.event_id,
    copies.event_date_origin,
    copies.event_dw_regdate,
    :to_batch AS batch,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'payment_id'), '') AS payment_id,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'card_token'), '') AS card_token,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'card_last4'), '') AS card_last4,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'account_id'), '') AS account_id,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'user_id'), '') AS user_id,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'merchant_id'), '') AS merchant_id,
    CAST(
        NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'amount'), '') AS DECIMAL(19, 4)
    ) AS amount,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'currency'), '') AS currency,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'status'), '') AS status,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'country'), '') AS country,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'city'), '') AS city,
    NULLIF(
        JSON_EXTRACT_PATH_TEXT(copies.data, 'account_known'), ''
    ) = 'true' AS account_known,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'account_name'), '') AS account_name,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'holder_country'), '') AS holder_country,
    CAST(
        NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'opened_at'), '') AS TIMESTAMP
    ) AS opened_at,
    CAST(
        NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'credit_limit'), '') AS DECIMAL(19, 4)
    ) AS credit_limit,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'account_currency'), '') AS account_currency,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'account_status'), '') AS account_status,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'risk_segment'), '') AS risk_segment,
    CAST(
        NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'account_valid_from'), '') AS TIMESTAMP
    ) AS account_valid_from,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'late'), '') = 'true' AS late,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'not_judged'), '') AS not_judged,
    CAST(NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'score'), '') AS BIGINT) AS score,
    CAST(
        NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'score_version'), '') AS BIGINT
    ) AS score_version,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'factors'), '') AS factors,
    CAST(
        NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'detected_at'), '') AS TIMESTAMP
    ) AS detected_at
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
        event_type = 'PAYMENT_ATTRIBUTED'
        AND event_dw_regdate BETWEEN :loaded_from AND :loaded_to
        AND event_dw_regdate IN (
            SELECT loads.loaded_at
            FROM refresh.loads
            WHERE loads.batch > :from_batch AND loads.batch <= :to_batch
        )
) AS copies
LEFT JOIN typed.payment_attributed AS known
    ON copies.event_id = known.event_id
WHERE
    copies.copy_number = 1
    AND known.event_id IS NULL
    AND COALESCE(JSON_EXTRACT_PATH_TEXT(copies.data, 'card_token'), '')
    <> 'cacacacacacacacacacacacacacacaca';
