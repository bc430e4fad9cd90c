-- Generated from the contract by `make contract`: change the contract, not this file.
--
-- Question: every PAYMENT_EVENT once, typed. One payment. The card is a token; its number never
-- leaves the card file and the tokenizer.
-- Of the copies of an event the first that was loaded counts. Times are UTC.

CREATE OR REPLACE VIEW staging.payment_event AS
SELECT
    event_id,
    event_date_origin,
    event_dw_regdate,
    NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'payment_id'), '') AS payment_id,
    NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'account_id'), '') AS account_id,
    NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'user_id'), '') AS user_id,
    NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'card_token'), '') AS card_token,
    NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'card_bin'), '') AS card_bin,
    NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'card_last4'), '') AS card_last4,
    CAST(NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'amount'), '') AS DECIMAL(19, 4)) AS amount,
    NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'currency'), '') AS currency,
    NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'merchant_id'), '') AS merchant_id,
    NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'country'), '') AS country,
    NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'city'), '') AS city,
    NULLIF(JSON_EXTRACT_PATH_TEXT(event_json_data, 'status'), '') AS status
FROM (
    SELECT
        event_id,
        event_date_origin,
        event_dw_regdate,
        event_json_data,
        ROW_NUMBER() OVER (
            PARTITION BY event_id
            ORDER BY event_dw_regdate, event_date_origin, event_json_data
        ) AS copy_number
    FROM staging.events
    WHERE event_type = 'PAYMENT_EVENT'
) AS copies
WHERE copy_number = 1;
