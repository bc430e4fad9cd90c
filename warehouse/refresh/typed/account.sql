-- Generated from the contract by `make contract`: change the contract, not this file.
--
-- Question: which ACCOUNTs are new? One version of one account; it holds from `valid_from` to that
-- of the next version. The holder's full name never leaves the bank's database.
-- Of the copies of an event the first that is seen counts. Times are UTC.
-- Reads: staging.events, refresh.loads, typed.account
-- Writes: typed.account

INSERT INTO typed.account (
    event_id,
    event_date_origin,
    event_dw_regdate,
    batch,
    account_id,
    account_name,
    holder_country,
    opened_at,
    credit_limit,
    currency,
    spent,
    spent_until,
    status,
    risk_segment,
    valid_from
)
SELECT
    copies.event_id,
    copies.event_date_origin,
    copies.event_dw_regdate,
    :to_batch AS batch,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'account_id'), '') AS account_id,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'account_name'), '') AS account_name,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'holder_country'), '') AS holder_country,
    CAST(
        NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'opened_at'), '') AS TIMESTAMP
    ) AS opened_at,
    CAST(
        NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'credit_limit'), '') AS DECIMAL(19, 4)
    ) AS credit_limit,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'currency'), '') AS currency,
    CAST(
        NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'spent'), '') AS DECIMAL(19, 4)
    ) AS spent,
    CAST(
        NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'spent_until'), '') AS TIMESTAMP
    ) AS spent_until,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'status'), '') AS status,
    NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'risk_segment'), '') AS risk_segment,
    CAST(
        NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'valid_from'), '') AS TIMESTAMP
    ) AS valid_from
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
        event_type = 'ACCOUNT'
        AND event_dw_regdate BETWEEN :loaded_from AND :loaded_to
        AND event_dw_regdate IN (
            SELECT loads.loaded_at
            FROM refresh.loads
            WHERE loads.batch > :from_batch AND loads.batch <= :to_batch
        )
) AS copies
LEFT JOIN typed.account AS known
    ON copies.event_id = known.event_id
WHERE copies.copy_number = 1 AND known.event_id IS NULL;
