-- Generated from the contract by `make contract`: change the contract, not this file.
--
-- Question: which PAYMENT_ALERTs are new? One stolen payment. Everything a person needs to act on
-- is in it.
-- Of the copies of an event the first that is seen counts. Times are UTC.
-- Reads: staging.events, refresh.loads, typed.payment_alert
-- Writes: typed.payment_alert

INSERT INTO typed.payment_alert (
    event_id,
    event_date_origin,
    event_dw_regdate,
    batch,
    alert_id,
    rule,
    rule_version,
    reason,
    reported_at,
    window_start,
    window_end,
    late,
    detected_at,
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
    found_by
)
SELECT
    copies.event_id,
    copies.event_date_origin,
    copies.event_dw_regdate,
    :to_batch AS batch,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'alert_id'), '') AS alert_id,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'rule'), '') AS rule,
    CAST(
        NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'rule_version'), '') AS BIGINT
    ) AS rule_version,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'reason'), '') AS reason,
    CAST(
        NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'reported_at'), '') AS TIMESTAMP
    ) AS reported_at,
    CAST(
        NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'window_start'), '') AS TIMESTAMP
    ) AS window_start,
    CAST(
        NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'window_end'), '') AS TIMESTAMP
    ) AS window_end,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'late'), '') = 'true' AS late,
    CAST(
        NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'detected_at'), '') AS TIMESTAMP
    ) AS detected_at,
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
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'found_by'), '') AS found_by
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
        event_type = 'PAYMENT_ALERT'
        AND event_dw_regdate BETWEEN :loaded_from AND :loaded_to
        AND event_dw_regdate IN (
            SELECT loads.loaded_at
            FROM refresh.loads
            WHERE loads.batch > :from_batch AND loads.batch <= :to_batch
        )
) AS copies
LEFT JOIN typed.payment_alert AS known
    ON copies.event_id = known.event_id
WHERE
    copies.copy_number = 1
    AND known.event_id IS NULL
    AND COALESCE(JSON_EXTRACT_PATH_TEXT(copies.data, 'card_token'), '')
    <> 'cacacacacacacacacacacacacacacaca';
